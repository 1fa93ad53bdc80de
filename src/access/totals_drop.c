/*-------------------------------------------------------------------------
 *
 * totals_drop.c
 *	  Remove the cumulative counters of indexes and databases that are dropped.
 *
 * A hook is called before an object is dropped. The transaction may still fail,
 * or roll back to a savepoint. Before it commits, those that exist no longer
 * are found in the catalog, and after it has committed they are removed.
 *
 * Some drops are not seen: those that a standby replays, those of prepared
 * transactions, and those of indexes whose creation is rolled back. Nobody
 * searches the index again, so that its counters give way when the table of
 * counters is full; and readers pass over them.
 *
 *-------------------------------------------------------------------------
 */
#include "access/totals.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

static object_access_hook_type previous_hook;

/* Keys that this transaction drops, in its memory. */
static List *dropped = NIL;

/*
 * The index that a DROP INDEX CONCURRENTLY drops, or InvalidOid. That takes
 * several transactions, of which the last one removes the index from the
 * catalog; until then it may be searched, and the statement may fail.
 */
static TotalsKey dropping;

static void
remember(TotalsKey key)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	TotalsKey    *kept = palloc(sizeof(TotalsKey));

	*kept = key;
	dropped = lappend(dropped, kept);
	MemoryContextSwitchTo(old);
}

static void
object_dropped(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	if (previous_hook != NULL)
		previous_hook(access, class, object, column, arg);
	if (access != OAT_DROP || column != 0)
		return;
	if (class == DatabaseRelationId)
		remember((TotalsKey) {object, InvalidOid});
	else if (class == RelationRelationId)
	{
		TotalsKey key = {MyDatabaseId, object};

		if (((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_CONCURRENTLY)
			dropping = key;
		else if (totals_have(key))
			remember(key);
	}
}

/* Return true if the index or the database still exists for this transaction. */
static bool
exists(const TotalsKey *key)
{
	if (OidIsValid(key->index))
		return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(key->index));
	return SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(key->database));
}

/* Keep only the keys of what exists no longer. */
static void
keep_dropped(void)
{
	ListCell *cell;

	foreach (cell, dropped)
		if (exists(lfirst(cell)))
			dropped = foreach_delete_current(dropped, cell);
	if (OidIsValid(dropping.index) && !exists(&dropping))
	{
		remember(dropping);
		dropping.index = InvalidOid;
	}
}

static void
transaction_ends(XactEvent event, void *arg)
{
	ListCell *cell;

	if (event == XACT_EVENT_PRE_COMMIT)
		keep_dropped();
	if (event == XACT_EVENT_COMMIT)
	{
		foreach (cell, dropped)
			totals_remove(*(TotalsKey *) lfirst(cell));
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		dropped = NIL;
	if (event == XACT_EVENT_ABORT)
		dropping.index = InvalidOid;
}

void
totals_drop_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = object_dropped;
	RegisterXactCallback(transaction_ends, NULL);
}
