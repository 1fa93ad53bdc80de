/*-------------------------------------------------------------------------
 *
 * search.c
 *	  The main loop of a search: ask the policy for the next step, and take
 *	  it.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "search/funnel.h"
#include "utils/memutils.h"

/* ---- beginning and end ---- */

/*
 * If probes are left to the index, they are reduced so that gathering fits in
 * work_mem, but not below this many.
 */
#define MIN_PROBES_OF_ROOM 40

static void
fit_probes(Search *search)
{
	SearchSettings     *settings = &search->policy.settings;
	const MetaPageData *meta = &search->view->index->meta;
	uint32              nodes = Max(meta_nnodes(meta), 1);
	double              postings = (double) meta->nodes.postings / nodes + 1;
	double              each = postings * search->query.directions.count * POLICY_GATHER_BYTES;
	double              room = Max(work_mem * 1024.0 / each, MIN_PROBES_OF_ROOM);

	if (settings->probes <= room)
		return;
	if (settings->ef_search == settings->probes)
		settings->ef_search = (uint32) room;
	settings->probes = (uint32) room;
}

static void
check_query(const IndexView *view, const MultiVector *query)
{
	view_check_dims(view, query);
	if (query->ntokens > SEARCH_MAX_QUERY_TOKENS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index searches support queries of at most %d tokens, not %u",
						SEARCH_MAX_QUERY_TOKENS, query->ntokens),
				 errhint("Set enable_indexscan to off, or reduce the query with pool_tokens().")));
}

/* Set the parts of the policy that describe the index. */
static void
describe_index(Search *search)
{
	Policy             *policy = &search->policy;
	const MetaPageData *meta = &search->view->index->meta;
	uint32              nodes = meta_nnodes(meta);

	policy->ndirections = search->query.directions.count;
	policy->has_codes = search->query.rows != NULL;
	policy->nodes = search->finder != NULL ? nodes : 0;
	policy->node_postings = meta->nodes.postings / Max(nodes, 1) + 1;
	policy->live_docs = meta->documents.live_docs;
	policy->doc_blocks =
		(double) meta_nitems(meta, ARRAY_SKETCHES) / Max(meta_nitems(meta, ARRAY_DOCS), 1);
}

/* Set the parts of the policy that describe the request, and resolve settings of 0. */
static void
describe_request(Search *search, const SearchRequest *request)
{
	Policy               *policy = &search->policy;
	const SearchSettings *asked = &request->settings;
	const WeightedTokens *directions = &search->query.directions;

	policy->settings = budget_resolve(budget_directions(directions->weights, directions->count),
									  meta_nnodes(&search->view->index->meta), asked);
	if (asked->probes == 0 && asked->ef_search == 0)
		fit_probes(search);
	policy->may_narrow_more = asked->candidates == 0;
	policy->may_gather_more = asked->candidates == 0 && asked->probes == 0;
	policy->ordered = request->order == SEARCH_NEAREST_FIRST;
	policy->threshold = request->threshold;
	policy->need_rows = request->need.rows;
	policy->filtered = request->filter != NULL;
	search->need = request->need;
	search->counters = (SearchCounters) {
		.valid = true,
		.index = RelationGetRelid(search->view->index->rel),
		.user = GetUserId(),
		.searches = 1,
		.asked = *asked,
		.settings = policy->settings,
		.query_tokens = request->query->ntokens,
	};
}

Search *
search_begin(IndexView *view, const SearchRequest *request)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "colbert_pg search", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Search       *search = palloc0(sizeof(Search));
	double        blank;

	check_query(view, request->query);
	search->view = view;
	search->context = context;
	query_prepare(view, request->query, &search->query);
	blank = query_blank_score(view, &search->query);
	search->state.sketch_fit.ties.blank = blank;
	search->state.score_ties.blank = blank;
	describe_request(search, request);
	/* No nodes are near a query of zero vectors. */
	if (has_nodes(&view->index->meta) && search->query.tokens.weights[0] > 0)
		search->finder = finder_open(view->index, &view->sketch);
	describe_index(search);
	funnel_begin(search);
	if (request->table != NULL)
		fetch_begin(search, request);
	MemoryContextSwitchTo(old);
	return search;
}

void
search_end(Search *search)
{
	if (search->fetch != NULL)
		fetch_end(search);
	if (search->finder != NULL)
		finder_close(search->finder);
	MemoryContextDelete(search->context);
}

const SearchCounters *
search_counters(const Search *search)
{
	return &search->counters;
}

/* ---- steps ---- */

/* Widen the search. The first widening also narrows the pending documents. */
static void
widen(Search *search, const Step *step)
{
	FunnelState *state = &search->state;

	if (state->level == 0)
		narrow_pending(search);
	else
		search->counters.widenings++;
	state->level = step->level;
	state->pool_below = false;
	if (step->kind == STEP_SWEEP)
	{
		narrow_all(search, step->test);
		return;
	}
	state->batch = step->batch;
	gather_documents(search, step->probes, step->ef, step->n);
	narrow_waiting(search, step->n);
}

/* Bring more documents into the pool. */
static void
fill_pool(Search *search, const Step *step)
{
	if (step->kind == STEP_NARROW)
		narrow_waiting(search, step->n);
	else
		widen(search, step);
	if (step->kind != STEP_SWEEP)
		search->state.chunk = step->chunk;
	search->state.batch_due = step->batch_due;
	if (!step->batch_due)
		funnel_fill_histogram(search);
	funnel_survey_pool(search);
}

static void
rerank(Search *search, const Step *step)
{
	rerank_pool(search, step);
	search->state.batch = step->batch;
	search->state.batch_due = false;
	funnel_fill_histogram(search);
	funnel_survey_pool(search);
}

/* Start to learn errors from documents below the threshold. */
static void
relearn(ErrorStats *errors, bool *below)
{
	*errors = (ErrorStats) {0};
	*below = true;
}

static void
drop(Search *search, StepKind kind)
{
	if (kind != STEP_DROP_POOL)
		search->ranked.count = 0;
	if (kind != STEP_DROP_RANKED)
		funnel_drop_pool(search);
}

static void
enter(Search *search, const Step *step)
{
	search->state.phase = step->phase;
	if (step->phase == PHASE_HELD)
		search->state.bar = step->held;
	else if (step->phase == PHASE_SORT)
		fetch_sort_ready(search);
}

/* Take a step that returns no row. */
static void
advance(Search *search, const Step *step)
{
	FunnelState *state = &search->state;

	switch (step->kind)
	{
		case STEP_WIDEN:
		case STEP_NARROW:
		case STEP_SWEEP:
			fill_pool(search, step);
			break;
		case STEP_RERANK:
			rerank(search, step);
			break;
		case STEP_RELEARN_SKETCHES:
			relearn(&state->sketch_errors, &state->pool_below);
			break;
		case STEP_RELEARN_SCORES:
			relearn(&state->score_errors, &state->ranked_below);
			break;
		case STEP_DROP_POOL:
		case STEP_DROP_RANKED:
		case STEP_DROP_ALL:
			drop(search, step->kind);
			break;
		case STEP_FETCH:
			fetch_document(search, step->estimate);
			break;
		case STEP_SORT_TABLE:
			fetch_table(search);
			state->phase = PHASE_SORTED;
			break;
		case STEP_ENTER:
			enter(search, step);
			break;
		default:
			elog(ERROR, "step %d of a search is unknown", (int) step->kind);
	}
}

static void
give(Search *search, ItemPointer tid)
{
	ExactRow row = ready_pop(&search->ready);

	search->state.gave = true;
	search->last_given = row.score;
	*tid = row.tid;
}

static bool
give_late(Search *search, ItemPointer tid)
{
	ExactRow row;

	if (search->late == NULL || !late_next(search->late, &row))
		return false;
	*tid = row.tid;
	return true;
}

/* Take steps until one returns a row. Returns false if none is left. */
static bool
take_steps(Search *search, ItemPointer tid)
{
	for (;;)
	{
		Step step;

		CHECK_FOR_INTERRUPTS();
		funnel_observe(search);
		step = policy_next(&search->policy, &search->state);
		switch (step.kind)
		{
			case STEP_GIVE:
				give(search, tid);
				return true;
			case STEP_TAKE:
				if (fetch_tid(search, step.estimate, tid))
					return true;
				break;
			case STEP_END:
				return give_late(search, tid);
			default:
				advance(search, &step);
		}
	}
}

bool
search_next(Search *search, ItemPointer tid)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);
	bool          found = take_steps(search, tid);

	MemoryContextSwitchTo(old);
	search->counters.emitted += found;
	return found;
}
