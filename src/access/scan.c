/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Index scans: ORDER BY maxsim(doc, query), WHERE maxsim(doc, query) >
 *	  bound, and IS [NOT] NULL.
 *
 * A scan returns its rows in runs: the rows whose document is NULL (first,
 * last, or not at all), and the others in exact order. Without an order to
 * keep, the scan returns every live document once, in directory order. This is
 * the case without ORDER BY, and with a NULL query, for which SQL leaves the
 * order open.
 *
 * Ordinals and heap TIDs may be reused while a scan holds them. This is
 * harmless under an MVCC snapshot; other snapshots are rejected. With
 * old_snapshot_threshold, rows that the snapshot sees may be removed. The scan
 * therefore checks each index page that it reads, and the heap page of each row
 * that it returns or does not find.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/access.h"
#include "access/relscan.h"
#include "access/totals.h"
#include "index/nulls.h"
#include "index/versions.h"
#include "miscadmin.h"
#include "multivector/threshold.h"
#include "pgstat.h"
#include "search/search.h"
#include "settings.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Runs of a scan, in the order in which they come. */
typedef enum ScanRun
{
	RUN_NULLS_FIRST,
	RUN_DOCUMENTS,
	RUN_NULLS_LAST,
	RUN_END
} ScanRun;

/* A cursor that reads an array a page at a time: null pages, or documents in directory order. */
typedef struct PageCursor
{
	uint32 next;  /* next item to read */
	char  *items; /* copy of the page */
	uint32 first; /* ordinal of items[0] */
	uint32 count; /* of a null page, its rows */
	uint32 at;    /* the next of these */
} PageCursor;

/* The end of a search, in its memory context. */
typedef struct SearchEnd
{
	const Search         *search;
	bool                  regular; /* no error ended it */
	MemoryContextCallback callback;
} SearchEnd;

typedef struct ColbertScan
{
	MemoryContext         context; /* reset by rescan */
	bool                  started;
	bool                  want_nulls;
	bool                  want_documents;
	bool                  nulls_first;
	bool                  recheck; /* the scan has a bound */
	MultiVector          *query;   /* NULL: every document qualifies */
	bool                  ordered;
	ScanRun               run;
	IndexView            *view;
	Search               *search;
	SearchEnd            *end;      /* of the search */
	const RowFilter      *filter;   /* kept by rescans; NULL: none */
	const SearchSettings *settings; /* kept by rescans; NULL: those of the session and the index */
	const ScanNeeds      *needs;    /* kept by rescans; NULL: all rows in order, exact thresholds */
	Siblings             *siblings; /* of this run of the scan; NULL: none */
	double                share;
	PageCursor            cursor;
	DocRows         versions; /* versions of the cursor's document that are not returned yet */
	ItemPointerData given;    /* last row returned; invalid: none */
	SearchCounters  earlier;  /* sum over earlier searches */
} ColbertScan;

IndexScanDesc
colbert_beginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	ColbertScan  *state = palloc0(sizeof(ColbertScan));

	state->context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg scan", ALLOCSET_DEFAULT_SIZES);
	scan->opaque = state;
	return scan;
}

void
colbert_set_filter(IndexScanDesc scan, const RowFilter *filter)
{
	ColbertScan *state = scan->opaque;

	state->filter = filter;
}

void
colbert_set_settings(IndexScanDesc scan, const SearchSettings *settings)
{
	ColbertScan *state = scan->opaque;

	state->settings = settings;
}

void
colbert_set_needs(IndexScanDesc scan, const ScanNeeds *needs)
{
	ColbertScan *state = scan->opaque;

	state->needs = needs;
}

const ScanNeeds *
colbert_scan_needs(IndexScanDesc scan)
{
	return ((const ColbertScan *) scan->opaque)->needs;
}

bool
colbert_has_filter(IndexScanDesc scan)
{
	return ((const ColbertScan *) scan->opaque)->filter != NULL;
}

SearchCounters
colbert_scan_counters(IndexScanDesc scan)
{
	const ColbertScan *state = scan->opaque;
	SearchCounters     sum = state->earlier;

	if (state->search != NULL)
		counters_add(&sum, search_counters(state->search));
	return sum;
}

/* ---- beginning and end ---- */

/* Count a search whose memory is released: at its end, or because an error ended it. */
static void
count_search(void *arg)
{
	const SearchEnd *end = arg;

	totals_add(search_counters(end->search), !end->regular);
}

/* Count the search when it ends. */
static void
count_at_end(ColbertScan *state)
{
	MemoryContext context = GetMemoryChunkContext(state->search);

	state->end = MemoryContextAllocZero(context, sizeof(SearchEnd));
	state->end->search = state->search;
	state->end->callback = (MemoryContextCallback) {.func = count_search, .arg = state->end};
	MemoryContextRegisterResetCallback(context, &state->end->callback);
}

static void
release(ColbertScan *state)
{
	if (state->search != NULL)
	{
		if (state->end != NULL)
			state->end->regular = true;
		last_scan_keep(search_counters(state->search));
		counters_add(&state->earlier, search_counters(state->search));
		search_end(state->search);
	}
	state->search = NULL;
	state->end = NULL;
	state->view = NULL;
	state->query = NULL;
	state->siblings = NULL;
	ItemPointerSetInvalid(&state->given);
	state->versions.count = 0;
	state->started = false;
	MemoryContextReset(state->context);
}

void
colbert_endscan(IndexScanDesc scan)
{
	ColbertScan *state = scan->opaque;

	release(state);
	MemoryContextDelete(state->context);
	pfree(state);
	scan->opaque = NULL;
}

/* Set the kinds of rows that IS NULL, IS NOT NULL and bounds leave. */
static void
apply_keys(ColbertScan *state, IndexScanDesc scan)
{
	state->want_nulls = true;
	state->want_documents = true;
	state->recheck = false;
	for (int i = 0; i < scan->numberOfKeys; i++)
	{
		const ScanKeyData *key = &scan->keyData[i];

		if (key->sk_flags & SK_SEARCHNULL)
			state->want_documents = false;
		else
			state->want_nulls = false;
		if (key->sk_flags & (SK_SEARCHNULL | SK_SEARCHNOTNULL))
			continue;
		state->recheck = true;
		if (key->sk_flags & SK_ISNULL)
			state->want_documents = false;
	}
}

void
colbert_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
	ColbertScan *state = scan->opaque;

	release(state);
	if (keys != NULL && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, scan->numberOfKeys * sizeof(ScanKeyData));
	if (orderbys != NULL && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));

	apply_keys(state, scan);
	state->nulls_first =
		scan->numberOfOrderBys > 0 && scan->orderByData[0].sk_strategy == STRATEGY_NULLS_FIRST;
}

/*
 * Return the query of the scan, detoasted into the scan's memory context, or
 * NULL if there is no order to keep.
 */
static MultiVector *
scan_query(IndexScanDesc scan)
{
	if (scan->numberOfOrderBys == 0 || (scan->orderByData[0].sk_flags & SK_ISNULL))
		return NULL;
	return multivector_from_datum(scan->orderByData[0].sk_argument);
}

static bool
same_query(const MultiVector *a, const MultiVector *b)
{
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

/* The bounds of a scan, combined. */
typedef struct ScanBounds
{
	double threshold; /* bound for the scan's query; -INFINITY: none */
	bool   others;    /* a bound for another query drops rows */
} ScanBounds;

/*
 * Read the bounds of a scan.
 *
 * The scan's query is that of ORDER BY, or else that of the first bound. If any
 * part of a bound is NULL, no document qualifies.
 */
static ScanBounds
scan_bounds(ColbertScan *state, IndexScanDesc scan)
{
	ScanBounds bounds = {-INFINITY, false};

	for (int i = 0; i < scan->numberOfKeys && state->want_documents; i++)
	{
		ScoreThreshold threshold;

		if (scan->keyData[i].sk_flags & (SK_SEARCHNULL | SK_SEARCHNOTNULL))
			continue;
		if (!threshold_from_datum(scan->keyData[i].sk_argument, &threshold))
		{
			state->want_documents = false;
			break;
		}
		view_check_dims(state->view, threshold.query);
		if (state->query == NULL)
			state->query = threshold.query;
		if (same_query(state->query, threshold.query))
			bounds.threshold =
				Max(bounds.threshold, threshold_score(&threshold, state->view->metric));
		else
			bounds.others = true;
	}
	return bounds;
}

/*
 * Return the rows that must not be late. If the executor drops rows by bounds
 * that the search does not apply, any number of rows may be needed.
 */
static OrderNeed
scan_order_need(const ColbertScan *state, bool drops_rows)
{
	OrderNeed need = {ORDER_NEED_ALL, false};

	if (state->needs != NULL)
		need = state->needs->order != NULL ? state->needs->order(state->needs->arg)
										   : (OrderNeed) {0, false};
	if (need.rows > 0 && drops_rows)
		need.rows = ORDER_NEED_ALL;
	return need;
}

/* A session setting takes precedence over the index's option; 0 lets the index choose. */
SearchSettings
scan_settings(Relation index)
{
	ColbertOptions options = options_get(index);

	return (SearchSettings) {
		.probes = colbert_probes > 0 ? colbert_probes : options.probes,
		.ef_search = colbert_ef_search > 0 ? colbert_ef_search : options.ef_search,
		.candidates = colbert_candidates > 0 ? colbert_candidates : options.candidates,
		.rerank = colbert_rerank > 0 ? colbert_rerank : options.rerank,
		.recall = colbert_recall > 0 ? colbert_recall : options.recall,
		.shards = colbert_shards > 0 ? colbert_shards : options.shards,
	};
}

double
scan_documents(Relation index)
{
	ColbertIndex opened = {.rel = index};

	meta_read(&opened);
	return opened.meta.documents.live_docs;
}

/* Begin a search with a threshold. */
static void
start_search(ColbertScan *state, IndexScanDesc scan, double threshold, OrderNeed need)
{
	SearchRequest request = {
		.query = state->query,
		.settings = state->settings != NULL ? *state->settings : scan_settings(scan->indexRelation),
		.order = state->ordered ? SEARCH_NEAREST_FIRST : SEARCH_UNORDERED,
		.threshold = threshold,
		.need = need,
		.likely_rows = state->needs != NULL && state->needs->rows != NULL
						   ? state->needs->rows(state->needs->arg)
						   : 0,
		.siblings = state->ordered && need.rows == 0 ? state->siblings : NULL,
		.share = state->share,
		.table = scan->heapRelation,
		.snapshot = scan->xs_snapshot,
		.filter = state->filter,
	};

	view_check_dims(state->view, state->query);
	if (!state->want_documents)
		return;
	state->search = search_begin(state->view, &request);
	/* Trials of colbert_tune, which have their own settings, are not counted. */
	if (totals_exist() && state->settings == NULL)
		count_at_end(state);
	last_scan_begin(search_counters(state->search));
}

/*
 * Begin the search of a scan that has a query. If thresholds must be exact, the
 * search has none: the scan returns every document in order, and the executor
 * tests it.
 */
static void
start_by_query(ColbertScan *state, IndexScanDesc scan)
{
	ScanBounds bounds = scan_bounds(state, scan);
	bool       exact = state->needs == NULL || state->needs->exact_thresholds;
	OrderNeed  need;

	if (state->query == NULL || (exact && !state->ordered))
		return;
	need = scan_order_need(state, bounds.others || (exact && state->recheck));
	start_search(state, scan, exact ? -INFINITY : bounds.threshold, need);
}

/* For the first row: open a view of the index, and begin a search if the scan has a query. */
static void
start(IndexScanDesc scan)
{
	ColbertScan  *state = scan->opaque;
	MemoryContext old = MemoryContextSwitchTo(state->context);

	if (!IsMVCCSnapshot(scan->xs_snapshot))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("colbert_pg indexes can only be scanned under an MVCC snapshot")));

	pgstat_count_index_scan(scan->indexRelation);
	compat_count_search(scan);
	/*
	 * Any new document may change the rows, so a serializable transaction has
	 * read the whole index. Core would count it as read when the plan starts,
	 * even if the scan is then pruned and never starts.
	 */
	PredicateLockRelation(scan->indexRelation, scan->xs_snapshot);
	state->view = view_open_scan(scan->indexRelation, scan->xs_snapshot);
	COLBERT_PAUSE("scan-opened");
	state->query = scan_query(scan);
	state->ordered = state->query != NULL;
	/* Also if this scan searches nothing: the first one begins a round. */
	if (state->needs != NULL && state->needs->siblings != NULL)
		state->siblings = state->needs->siblings(state->needs->arg, &state->share);
	start_by_query(state, scan);
	state->cursor = (PageCursor) {.items = palloc(PAGE_PAYLOAD)};
	state->run = state->nulls_first ? RUN_NULLS_FIRST : RUN_DOCUMENTS;
	state->started = true;
	MemoryContextSwitchTo(old);
}

/* Return the next item of an array, or NULL at the end. */
static char *
cursor_next(ColbertScan *state, ArrayKind kind, uint32 *ordinal)
{
	PageCursor   *cursor = &state->cursor;
	ColbertIndex *index = state->view->index;
	uint32        nitems = parray_nitems(index, kind);

	if (cursor->next >= nitems)
		return NULL;
	if (cursor->next >= cursor->first + cursor->count)
	{
		CHECK_FOR_INTERRUPTS();
		cursor->first = cursor->next;
		cursor->count = Min(parray_run(index, kind, cursor->next), nitems - cursor->next);
		parray_copy_out(index, kind, cursor->first, cursor->count, cursor->items);
	}
	*ordinal = cursor->next++;
	return cursor->items + (*ordinal - cursor->first) * parray_item_size(index, kind);
}

/* Return the next NULL row. */
static bool
next_null(ColbertScan *state, ItemPointer tid)
{
	PageCursor *cursor = &state->cursor;
	NullPage   *page = (NullPage *) cursor->items;
	uint32      npages = parray_nitems(state->view->index, ARRAY_NULLS);

	if (!state->want_nulls)
		return false;
	while (cursor->at >= cursor->count)
	{
		if (cursor->next >= npages)
			return false;
		CHECK_FOR_INTERRUPTS();
		nulls_copy_page(state->view, cursor->next++, page);
		cursor->count = page->count;
		cursor->at = 0;
	}
	*tid = page->tids[cursor->at++];
	return true;
}

/* Return the next document: in exact order, above the threshold, or in directory order. */
static bool
next_document(ColbertScan *state, ItemPointer tid)
{
	DocEntry *entry;
	uint32    ordinal;
	bool      found;

	if (!state->want_documents)
		return false;
	if (state->search != NULL)
	{
		found = search_next(state->search, tid);
		last_scan_keep(search_counters(state->search));
		return found;
	}
	/* At most one version is visible; the executor drops the others. */
	while (state->versions.count == 0)
	{
		entry = (DocEntry *) cursor_next(state, ARRAY_DOCS, &ordinal);
		if (entry == NULL)
			return false;
		if (entry->state != DOC_LIVE)
			continue;
		if (entry->flags & DOC_VERSIONS)
			versions_read(state->view, ordinal, &state->versions);
		else
			state->versions.tids[state->versions.count++] = entry->tid;
	}
	*tid = state->versions.tids[--state->versions.count];
	return true;
}

bool
colbert_gettuple(IndexScanDesc scan, ScanDirection direction)
{
	ColbertScan *state = scan->opaque;

	Assert(ScanDirectionIsForward(direction));
	if (!state->started)
		start(scan);
	/* By now the executor has fetched the previous row. */
	if (ItemPointerIsValid(&state->given))
		view_check_age(state->view, scan->heapRelation, &state->given);

	scan->xs_recheck = state->recheck;
	scan->xs_recheckorderby = false;
	for (; state->run < RUN_END; state->run++)
	{
		bool nulls = state->run != RUN_DOCUMENTS;

		if (nulls && state->nulls_first != (state->run == RUN_NULLS_FIRST))
			continue;
		if (nulls ? next_null(state, &scan->xs_heaptid) : next_document(state, &scan->xs_heaptid))
		{
			view_check_row(state->view, scan->heapRelation, &scan->xs_heaptid);
			state->given = scan->xs_heaptid;
			return true;
		}
		state->cursor = (PageCursor) {.items = state->cursor.items};
	}
	return false;
}
