/*-------------------------------------------------------------------------
 *
 * late.c
 *	  Keep rows that were found out of order until nothing else is left.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "search/late.h"
#include "utils/builtins.h"
#include "utils/tuplesort.h"

/*
 * Columns of the sort. The score is negated, because core has a symbol only for
 * the "less" operator.
 */
enum
{
	COLUMN_SCORE = 1,
	COLUMN_DOC,
	COLUMN_TID,
	COLUMN_COUNT = COLUMN_TID
};

struct LateRows
{
	MemoryContext   context;
	Tuplesortstate *sort;
	TupleTableSlot *in;
	TupleTableSlot *out;
	bool            sorted;
	ItemPointerData tid; /* tid of the row being added */
};

LateRows *
late_begin(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	LateRows     *late = palloc0(sizeof(LateRows));
	TupleDesc     desc = CreateTemplateTupleDesc(COLUMN_COUNT);
	AttrNumber    keys[] = {COLUMN_SCORE, COLUMN_DOC};
	Oid           operators[] = {Float8LessOperator, Int8LessOperator};
	Oid           collations[] = {InvalidOid, InvalidOid};
	bool          nulls_first[] = {false, false};

	TupleDescInitEntry(desc, COLUMN_SCORE, "score", FLOAT8OID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_DOC, "doc", INT8OID, -1, 0);
	TupleDescInitEntry(desc, COLUMN_TID, "tid", TIDOID, -1, 0);
	compat_finish_desc(desc);
	late->context = context;
	late->in = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	late->out = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	late->sort = tuplesort_begin_heap(desc, lengthof(keys), keys, operators, collations,
									  nulls_first, work_mem, NULL, TUPLESORT_NONE);
	MemoryContextSwitchTo(old);
	return late;
}

void
late_add(LateRows *late, const ExactRow *row)
{
	MemoryContext   old = MemoryContextSwitchTo(late->context);
	TupleTableSlot *slot = late->in;

	late->tid = row->tid;
	ExecClearTuple(slot);
	slot->tts_values[COLUMN_SCORE - 1] = Float8GetDatum(-row->score);
	slot->tts_values[COLUMN_DOC - 1] = Int64GetDatum(row->doc);
	slot->tts_values[COLUMN_TID - 1] = PointerGetDatum(&late->tid);
	memset(slot->tts_isnull, false, COLUMN_COUNT * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(late->sort, slot);
	MemoryContextSwitchTo(old);
}

bool
late_next(LateRows *late, ExactRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(late->context);
	bool          found;

	if (!late->sorted)
		tuplesort_performsort(late->sort);
	late->sorted = true;
	found = tuplesort_gettupleslot(late->sort, true, false, late->out, NULL);
	MemoryContextSwitchTo(old);
	if (!found)
		return false;
	slot_getallattrs(late->out);
	row->score = -DatumGetFloat8(late->out->tts_values[COLUMN_SCORE - 1]);
	row->doc = (uint32) DatumGetInt64(late->out->tts_values[COLUMN_DOC - 1]);
	row->tid = *(ItemPointer) DatumGetPointer(late->out->tts_values[COLUMN_TID - 1]);
	return true;
}

void
late_end(LateRows *late)
{
	ExecDropSingleTupleTableSlot(late->in);
	ExecDropSingleTupleTableSlot(late->out);
	tuplesort_end(late->sort);
}
