/*-------------------------------------------------------------------------
 *
 * score_memo.c
 *	  Scores computed by a scan, for the expressions of its statement.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/detoast.h"
#include "lib/ilist.h"
#include "multivector/score_memo.h"
#include "utils/memutils.h"

/*
 * Slots per memo, indexed by the last bits of a value's OID. A scan reads only
 * a few rows ahead of the one that it emits.
 */
#define MEMO_SLOTS 256

/* Copying and comparing larger queries would cost more than it saves. */
#define MAX_QUERY (1024 * 1024)

typedef struct MemoSlot
{
	Oid    relation; /* InvalidOid: empty */
	Oid    value;
	double score;
} MemoSlot;

struct ScoreMemo
{
	dlist_node            node;
	MemoryContextCallback forget;
	ScoreQuery           *prepared;
	Metric                metric;
	MemoSlot              slots[MEMO_SLOTS];
	MemoryContext         context;
	struct varlena       *form; /* query as passed by calls, toasted; NULL before the first */
	bool                  form_is_query; /* whether form has the same value as query */
	char query[FLEXIBLE_ARRAY_MEMBER];   /* a copy: runtime keys are freed before the scan ends */
};

/* Memos of the scans that are open in this backend. */
static dlist_head memos = DLIST_STATIC_INIT(memos);

static void
forget(void *arg)
{
	dlist_delete(&((ScoreMemo *) arg)->node);
}

ScoreMemo *
score_memo_begin(const MultiVector *query, ScoreQuery *prepared, Metric metric)
{
	ScoreMemo *memo;

	if (VARSIZE(query) > MAX_QUERY)
		return NULL;
	memo = palloc0(offsetof(ScoreMemo, query) + VARSIZE(query));
	memcpy(memo->query, query, VARSIZE(query));
	memo->context = CurrentMemoryContext;
	memo->prepared = prepared;
	memo->metric = metric;
	memo->forget.func = forget;
	memo->forget.arg = memo;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &memo->forget);
	dlist_push_head(&memos, &memo->node);
	return memo;
}

/* Return true if a value is stored out of line on disk; *pointer becomes its toast pointer. */
static bool
is_out_of_line(Datum document, struct varatt_external *pointer)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(document);

	if (!VARATT_IS_EXTERNAL_ONDISK(value))
		return false;
	VARATT_EXTERNAL_GET_POINTER(*pointer, value);
	return true;
}

void
score_memo_put(ScoreMemo *memo, Datum document, double score)
{
	struct varatt_external pointer;

	if (memo != NULL && is_out_of_line(document, &pointer))
		memo->slots[pointer.va_valueid % MEMO_SLOTS] =
			(MemoSlot) {pointer.va_toastrelid, pointer.va_valueid, score};
}

static bool
same_bytes(const struct varlena *a, const void *b)
{
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/*
 * Return true if a query passed by a call is the one of a memo. The memo has a
 * plain copy of the scan's query. If calls pass another form of it, that form
 * is detoasted once and remembered. A toast pointer keeps its meaning: see
 * score_memo.h.
 */
static bool
is_query_of(ScoreMemo *memo, const struct varlena *query)
{
	struct varlena *plain;

	if (VARATT_IS_4B_U(query))
		return same_bytes(query, memo->query);
	if (memo->form != NULL && same_bytes(query, memo->form))
		return memo->form_is_query;

	plain = detoast_attr((struct varlena *) query);
	if (memo->form != NULL)
	{
		pfree(memo->form);
		memo->form = NULL;
	}
	memo->form = MemoryContextAlloc(memo->context, VARSIZE_ANY(query));
	memcpy(memo->form, query, VARSIZE_ANY(query));
	memo->form_is_query = same_bytes(plain, memo->query);
	pfree(plain);
	return memo->form_is_query;
}

bool
score_memo_find(Datum document, const struct varlena *query, Metric metric, double *score,
				ScoreQuery **prepared)
{
	struct varatt_external pointer;
	dlist_iter             iter;

	if (dlist_is_empty(&memos) || !is_out_of_line(document, &pointer))
		return false;
	dlist_foreach(iter, &memos)
	{
		ScoreMemo      *memo = dlist_container(ScoreMemo, node, iter.cur);
		const MemoSlot *slot = &memo->slots[pointer.va_valueid % MEMO_SLOTS];

		if (slot->relation == pointer.va_toastrelid && slot->value == pointer.va_valueid &&
			memo->metric == metric && is_query_of(memo, query))
		{
			*score = slot->score;
			*prepared = memo->prepared;
			return true;
		}
	}
	return false;
}
