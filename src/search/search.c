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
	policy->costs = budget_costs(&(WorkSizes) {
		.doc_tokens = (double) meta_nitems(meta, ARRAY_SKETCHES) * SKETCH_BLOCK_TOKENS /
					  Max(meta_nitems(meta, ARRAY_DOCS), 1),
		.postings = policy->node_postings,
		.dim = search->view->dim,
		.tokens = search->query.tokens.count,
		.directions = search->query.directions.count,
	});
}

/* Set the parts of the policy that describe the request, and resolve settings of 0. */
static void
describe_request(Search *search, const SearchRequest *request)
{
	Policy               *policy = &search->policy;
	const SearchSettings *asked = &request->settings;
	const WeightedTokens *directions = &search->query.directions;

	policy->likely_rows = request->likely_rows > 0 ? request->likely_rows : POLICY_LIKELY_LIMIT;
	policy->settings = budget_first(budget_directions(directions->weights, directions->count),
									policy->likely_rows, policy->share, asked);
	policy->recall = policy->settings.recall;
	policy->may_narrow_more = asked->candidates == 0;
	policy->may_gather_more = asked->probes == 0 && asked->ef_search == 0;
	policy->ordered = request->order == SEARCH_NEAREST_FIRST;
	policy->threshold = request->threshold;
	policy->need_rows = request->need.rows;
	policy->need_peers = request->need.peers;
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
		.share = policy->share,
	};
	/* The automatic ones count what was done. */
	if (asked->candidates == 0)
		search->counters.settings.candidates = 0;
	if (asked->rerank == 0)
		search->counters.settings.rerank = 0;
}

/* An index without documents takes part in the search with this share. */
#define MIN_SHARE 1e-6

/* Join the searches whose rows are merged with those of this one, and set its share. */
static void
join_siblings(Search *search, const SearchRequest *request)
{
	Siblings *siblings = request->siblings;
	double    share = 1;

	search->shards = Max(request->settings.shards, 1);
	if (siblings != NULL)
	{
		share = Max(Min(request->share, 1), MIN_SHARE);
		if (siblings_join(siblings, request->query, search->view->metric,
						  search->view->coder.codec->id, share))
			search->siblings = siblings;
		else
			share = 1;
	}
	search->policy.share = search->state.known_share = share / search->shards;
}

/*
 * Deviations of errors before any is known, for query tokens and document tokens
 * of length 1: of code scores from sketch scores, and of sketch scores from the
 * estimates of postings, by the number of directions. The errors of code scores
 * depend on the codec and the dims.
 */
#define CODE_DEVIATION         0.05
#define SKETCH_DEVIATION       0.11
#define SKETCH_DEVIATION_POWER 0.2

static void
set_priors(Search *search)
{
	const WeightedTokens *directions = &search->query.directions;
	bool                  l2 = search->view->metric == METRIC_L2;
	double                squares = 0;
	double                scale;

	for (uint32 i = 0; i < directions->count; i++)
	{
		double weight = directions->weights[i];

		squares += weight * weight * (l2 ? 1 : directions->squares[i]);
	}
	scale = view_unscaled(search->view,
						  (float) (sqrt(squares) * search->view->index->meta.nodes.token_norm));
	if (!isfinite(scale))
		scale = 0;
	search->state.sketch_fit.prior = search->policy.has_codes ? CODE_DEVIATION * scale : 0;
	search->state.score_errors.prior =
		search->policy.has_codes
			? search->view->coder.codec->error / sqrt(search->view->dim) * scale
			: 0;
	search->gather_prior =
		SKETCH_DEVIATION * scale * pow(directions->count, SKETCH_DEVIATION_POWER);
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
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		search->ahead[stage] = readahead_of(view->index->rel, view->index->ring != NULL);
	join_siblings(search, request);
	query_prepare(view, request->query,
				  search->siblings != NULL ? &search->siblings->prepared : NULL, &search->query);
	blank = query_blank_score(view, &search->query);
	search->state.sketch_fit.ties.blank = blank;
	search->state.score_ties.blank = blank;
	describe_request(search, request);
	/* No nodes are near a query of zero vectors. */
	if (has_nodes(&view->index->meta) && search->query.tokens.weights[0] > 0)
		search->finder = finder_open(view->index, &view->sketch);
	describe_index(search);
	set_priors(search);
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
	gather_documents(search, step->probes, step->ef);
	search->counters.settings.probes = step->probes;
	search->counters.settings.ef_search = step->ef;
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
	search->state.settled = false;
	search->state.batch_due = step->batch_due;
	funnel_leave_errors(search);
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
	search->state.settled = false;
	funnel_leave_errors(search);
	funnel_fill_histogram(search);
	funnel_survey_pool(search);
}

/* Record that enough documents are found. */
static void
settle(Search *search, const Step *step)
{
	FunnelState *state = &search->state;

	state->settled = true;
	funnel_settle(search, step->misses);
	state->settled_bar = policy_bar(&search->policy, state);
	search->counters.expected_misses = step->misses;
}

/* Start to learn errors from documents below the threshold. */
static void
relearn(ErrorStats *errors, bool *below)
{
	*errors = (ErrorStats) {.prior = errors->prior};
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
		case STEP_SETTLE:
			settle(search, step);
			break;
		case STEP_RELEARN_SKETCHES:
			relearn(&state->sketch_errors, &state->pool_below);
			break;
		case STEP_RELEARN_SCORES:
			relearn(&state->score_errors, &state->ranked_below);
			state->score_fit = (EstimateFit) {.prior = 0};
			state->learned.estimate = NAN;
			state->copies = 0;
			break;
		case STEP_DROP_POOL:
		case STEP_DROP_RANKED:
		case STEP_DROP_ALL:
			drop(search, step->kind);
			break;
		case STEP_FETCH:
			fetch_document(search, step->estimate);
			funnel_leave_errors(search);
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

	search->state.returned++;
	if (search->siblings != NULL)
		siblings_give(search->siblings, search->state.returned == 1);
	/* A search that goes on to other rows finds its lists again. */
	if (search->gathered != NULL && policy_goes_on(&search->policy, &search->state))
		gather_forget(search);
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
