/*-------------------------------------------------------------------------
 *
 * parts.c
 *	  The index that colbert_tune measures, or the indexes of all partitions.
 *
 * Lock order: the named table and index, then each partition before its index.
 * The lock on the partitioned table keeps partitions from being attached,
 * detached or dropped meanwhile, except for DETACH CONCURRENTLY.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "tune/tune.h"
#include "utils/snapmgr.h"

static void
check_usable(Relation index)
{
	if (!index->rd_index->indisvalid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is not valid", RelationGetRelationName(index)),
						index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX
							? errhint("Attach a valid index of each partition to it.")
							: errhint("Drop it or REINDEX it.")));
	colbert_check_readable(index);
	if (index->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data),
							   TransactionXmin))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is too new for the snapshot of this transaction",
							   RelationGetRelationName(index)),
						errhint("Tune it in a new transaction.")));
}

static void
add_part(Tune *tune, Relation heap, Relation index)
{
	check_usable(index);
	tune->parts[tune->nparts++] = (TunePart) {.tune = tune, .heap = heap, .index = index};
}

/*
 * Return the OIDs of all partitions that hold rows, in the order in which
 * MergeAppend starts their scans: the first ones do more of the work.
 */
static List *
list_partitions(Relation parent, List *tables)
{
	PartitionDesc desc = RelationGetPartitionDesc(parent, true);

	check_stack_depth();
	for (int i = 0; i < desc->nparts; i++)
	{
		Relation partition;

		if (desc->is_leaf[i])
		{
			tables = lappend_oid(tables, desc->oids[i]);
			continue;
		}
		partition = relation_open(desc->oids[i], AccessShareLock);
		tables = list_partitions(partition, tables);
		relation_close(partition, AccessShareLock);
	}
	return tables;
}

/* Return the first of these indexes that is one of the table, or InvalidOid. */
static Oid
index_of(Oid table, const List *indexes)
{
	ListCell *cell;

	foreach (cell, indexes)
	{
		if (IndexGetRelation(lfirst_oid(cell), true) == table)
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

/* Add the index of each partition. A foreign partition has none. */
static void
open_partitions(Tune *tune)
{
	List     *tables = list_partitions(tune->heap, NIL);
	List     *indexes = partitions_leaves(RelationGetRelid(tune->index));
	ListCell *cell;

	tune->parts = palloc0(mul_size(Max(list_length(tables), 1), sizeof(TunePart)));
	foreach (cell, tables)
	{
		Relation heap = try_relation_open(lfirst_oid(cell), AccessShareLock);
		Oid      oid = heap != NULL ? index_of(lfirst_oid(cell), indexes) : InvalidOid;
		Relation index = OidIsValid(oid) ? partitions_open_leaf(oid, AccessShareLock) : NULL;

		if (index != NULL)
		{
			add_part(tune, heap, index);
			indexes = list_delete_oid(indexes, oid);
		}
		else if (heap != NULL)
			relation_close(heap, AccessShareLock);
	}
}

void
tune_open_parts(Tune *tune, Oid oid)
{
	bool is_parent = partitions_is_parent(oid);
	Oid  table = IndexGetRelation(oid, true);

	tune->heap = OidIsValid(table) ? try_relation_open(table, AccessShareLock) : NULL;
	tune->index =
		is_parent ? relation_open(oid, AccessShareLock) : colbert_open_index(oid, AccessShareLock);
	if (tune->heap == NULL || IndexGetRelation(oid, false) != RelationGetRelid(tune->heap))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the table of index \"%s\" was dropped",
														  RelationGetRelationName(tune->index))));
	check_usable(tune->index);
	if (is_parent)
		open_partitions(tune);
	else
	{
		tune->parts = palloc0(sizeof(TunePart));
		add_part(tune, tune->heap, tune->index);
	}
}

void
tune_close_parts(Tune *tune)
{
	for (int i = 0; i < tune->nparts && tune->parts[i].index != tune->index; i++)
	{
		relation_close(tune->parts[i].index, AccessShareLock);
		relation_close(tune->parts[i].heap, AccessShareLock);
	}
	relation_close(tune->index, AccessShareLock);
	relation_close(tune->heap, AccessShareLock);
}
