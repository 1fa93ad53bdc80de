/*-------------------------------------------------------------------------
 *
 * partitions.c
 *	  Open an index, or find the indexes of the partitions of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

bool
partitions_is_ours(Relation relation)
{
	return (relation->rd_rel->relkind == RELKIND_INDEX ||
			relation->rd_rel->relkind == RELKIND_PARTITIONED_INDEX) &&
		   relation->rd_indam != NULL && relation->rd_indam->ambuild == colbert_build;
}

/* Open a relation that must be an index of this extension, of a table of any kind. */
static Relation
open_any_index(Oid oid, LOCKMODE mode)
{
	Relation index = try_relation_open(oid, mode);

	if (index == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("index with OID %u does not exist", oid)));
	if (!partitions_is_ours(index))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a colbert_pg index", RelationGetRelationName(index))));
	return index;
}

Relation
colbert_open_index(Oid oid, LOCKMODE mode)
{
	Relation index = open_any_index(oid, mode);

	if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is an index of a partitioned table",
							   RelationGetRelationName(index)),
						errhint("Use the index of a partition. colbert_partition_info('%s') lists "
								"them.",
								RelationGetRelationName(index))));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot access temporary indexes of other sessions")));
	return index;
}

bool
colbert_is_absent(Relation index)
{
	return RecoveryInProgress() && index->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED;
}

void
colbert_check_readable(Relation index)
{
	if (!index->rd_index->indisready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not ready", RelationGetRelationName(index)),
				 errhint("Wait until it is built. If the build failed, drop it or REINDEX it.")));
	if (colbert_is_absent(index))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is unlogged and empty during recovery",
							   RelationGetRelationName(index))));
}

bool
partitions_is_parent(Oid oid)
{
	if (get_rel_relkind(oid) != RELKIND_PARTITIONED_INDEX)
		return false;
	relation_close(open_any_index(oid, AccessShareLock), AccessShareLock);
	return true;
}

List *
partitions_leaves(Oid parent)
{
	List     *leaves = NIL;
	ListCell *cell;

	foreach (cell, find_all_inheritors(parent, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_INDEX)
			leaves = lappend_oid(leaves, lfirst_oid(cell));
	}
	return leaves;
}

Relation
partitions_open_leaf(Oid oid, LOCKMODE mode)
{
	LockRelationOid(oid, mode);
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(oid)))
		return colbert_open_index(oid, NoLock);
	UnlockRelationOid(oid, mode);
	return NULL;
}

bool
partitions_skip_leaf(Relation index)
{
	if (!colbert_is_absent(index))
		return false;
	ereport(NOTICE, (errmsg("index \"%s\" is left out, because it is unlogged and empty during "
							"recovery",
							RelationGetRelationName(index))));
	return true;
}
