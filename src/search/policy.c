/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Decide the next step of a search.
 *
 * README.md explains the rules. All constants that affect decisions are in this
 * file, policy.h and budget.c.
 *
 *-------------------------------------------------------------------------
 */
#include "search/policy.h"

#include <math.h>

#include "base/minmax.h"

/* Rows fetched before the first is returned, so that the size of errors is known. */
#define FIRST_WINDOW 8

/*
 * An estimate is assumed to be off by its mean error plus this many standard
 * deviations. While only n errors have been seen, ERRORS_FOR_ONE_MORE / n
 * deviations are added.
 */
#define ERROR_DEVIATIONS    3.0
#define ERRORS_FOR_ONE_MORE 12.0

/*
 * Reranking stops when at most this many documents that beat the bar are
 * expected among those left. If few rows pass a filter, a missed document
 * weighs more.
 */
#define MAX_EXPECTED_MISSES          1e-1
#define MAX_EXPECTED_MISSES_FILTERED 1e-2

/*
 * Narrowing pays if it finds at least one document per this many sketches
 * (blocks of a document times query tokens). The waiting documents are judged
 * by the worse half of the last chunk that was narrowed. If postings predict
 * little, as with random vectors, that half scores as well as the better one.
 * On MedQuAD, hardly any of it scores above the bar.
 */
#define SKETCHES_FOR_ONE 3000.0

/* Test rows before they are reranked if fewer than one in this many passes the filter. */
#define TEST_BEFORE_RERANKING 2

/* A widening multiplies probes and candidates by this. */
#define WIDEN_FACTOR 4

/* A document is given up if it seems to miss the threshold by more than this many deviations. */
#define THRESHOLD_DEVIATIONS 3.0

/* Number of documents below the threshold from which errors are learned: reranked, and fetched. */
#define THRESHOLD_SAMPLE 256
#define THRESHOLD_WINDOW 32

static Step
plain_step(StepKind kind)
{
	return (Step) {.kind = kind};
}

/* Return true if fewer than one in "share" tested rows passes, so that testing first is cheaper. */
static bool
few_pass(const Policy *policy, const FunnelState *state, uint32_t share)
{
	return policy->filtered && state->passed * share < state->tested;
}

/* ---- widening ---- */

/*
 * Return true if a search this wide costs as much as a sweep, or gathers more
 * than work_mem holds.
 */
static bool
is_too_wide(const Policy *policy, uint64_t factor)
{
	const SearchSettings *settings = &policy->settings;
	uint64_t              postings;

	if (settings->probes * factor * (factor > 1 ? WIDEN_FACTOR : 1) > policy->nodes ||
		settings->candidates * factor * 2 > policy->live_docs)
		return true;
	postings = settings->probes * factor * policy->ndirections * policy->node_postings;
	return factor > 1 && postings * POLICY_GATHER_BYTES > policy->memory;
}

/*
 * Return how many documents should have been narrowed for the next row, or 0
 * for the first "rerank" rows, which the settings suit.
 */
static uint64_t
wanted_depth(const Policy *policy, const FunnelState *state)
{
	double depth = state->depth;

	/*
	 * If few rows pass a filter, predict the depth of the next rows, as if one
	 * more row had passed.
	 */
	if (policy->filtered)
		depth = MAX(depth, (double) POLICY_LIKELY_LIMIT * state->tested / (state->passed + 1));
	return depth <= policy->settings.rerank ? 0 : (uint64_t) (depth * POLICY_NARROWED_PER_ROW);
}

static bool
pool_is_short(const Policy *policy, const FunnelState *state)
{
	if (state->complete)
		return false;
	if (state->pool == 0 && state->ranked == 0)
		return true;
	/*
	 * The worse half of the documents that a sweep kept is hardly better than
	 * those that it dropped, given the errors of estimates. Sweep again when
	 * only that half is left.
	 */
	if (state->pool_dropped)
		return state->pool < policy->pool_limit / 2;
	return state->narrowed < wanted_depth(policy, state);
}

static Step
narrow(const FunnelState *state, uint32_t n, uint32_t chunk)
{
	return (Step) {.kind = STEP_NARROW, .n = MIN(n, state->waiting), .chunk = chunk};
}

/*
 * Return true if all documents that reach the threshold are wanted. In a search
 * with an order, the first probes may find the few best ones; a search that
 * goes on finds all.
 */
static bool
threshold_wants_all(const Policy *policy, const FunnelState *state)
{
	return policy->threshold > -INFINITY && (!policy->ordered || state->level > 0);
}

/*
 * Bring more documents into the pool: first the waiting ones, then more probes,
 * finally all documents.
 */
static Step
widen(const Policy *policy, const FunnelState *state)
{
	const SearchSettings *settings = &policy->settings;
	uint64_t              wanted = wanted_depth(policy, state);
	uint64_t              factor = 1;
	Step                  step = {.kind = STEP_WIDEN, .level = state->level};

	if (state->waiting > 0)
		return narrow(state, policy->pool_limit, state->chunk);
	for (uint32_t i = 0; i < state->level; i++)
		factor *= WIDEN_FACTOR;
	while (state->level > 0 && settings->candidates * factor < wanted &&
		   !is_too_wide(policy, factor))
	{
		factor *= WIDEN_FACTOR;
		step.level++;
	}
	if (threshold_wants_all(policy, state) || is_too_wide(policy, factor))
	{
		step.kind = STEP_SWEEP;
		step.test = few_pass(policy, state, POLICY_TEST_BEFORE_NARROWING);
		return step;
	}
	step.level++;
	step.probes = (uint32_t) (settings->probes * factor);
	step.ef = (uint32_t) (settings->ef_search * factor);
	step.n = (uint32_t) MIN(settings->candidates * factor, policy->pool_limit);
	step.chunk = step.n;
	/* The new documents are reranked as deep as the search has come. */
	step.batch =
		MAX(MIN(state->batch, (uint32_t) (wanted / POLICY_NARROWED_PER_ROW)), settings->rerank);
	return step;
}

/* ---- reranking ---- */

/*
 * Return true if no document of the pool is expected to reach the threshold.
 * Its best documents have been reranked.
 */
static bool
pool_is_hopeless(const Policy *policy, const FunnelState *state)
{
	return state->pool_below && state->sketch_errors.count > 0 &&
		   errors_bound(&state->sketch_errors, state->pool_best, THRESHOLD_DEVIATIONS) <
			   policy->threshold;
}

static uint32_t
batch_size(const Policy *policy, const FunnelState *state)
{
	if (policy->threshold == -INFINITY)
		return state->batch;
	if (state->pool_above > 0)
		return MIN(state->pool_above, !policy->ordered ? policy->batch_limit : state->batch);
	return MAX(state->batch, THRESHOLD_SAMPLE);
}

static Step
rerank(const Policy *policy, const FunnelState *state, uint32_t n)
{
	if (policy->threshold > -INFINITY && state->pool_above == 0 && !state->pool_below)
		return plain_step(STEP_RELEARN_SKETCHES);
	return (Step) {
		.kind = STEP_RERANK,
		.n = n,
		.batch = MIN(state->batch * 2, policy->batch_limit),
		.test = !state->pool_tested && few_pass(policy, state, TEST_BEFORE_RERANKING),
	};
}

/*
 * Return the step that is needed before the best ranked document can be used.
 * STEP_NONE: no step is needed, or there are no more documents.
 */
static Step
supply_ranked(const Policy *policy, const FunnelState *state)
{
	bool may_drop = state->pool > 0 || (state->swept && !state->complete);

	if (state->batch_due)
		return rerank(policy, state, batch_size(policy, state));
	if (state->ranked == 0 && may_drop && pool_is_hopeless(policy, state))
		return plain_step(STEP_DROP_POOL);
	if (pool_is_short(policy, state))
	{
		Step step = widen(policy, state);

		step.batch_due = true;
		return step;
	}
	if (state->ranked > 0 || state->pool == 0)
		return plain_step(STEP_NONE);
	return rerank(policy, state, batch_size(policy, state));
}

/* ---- looking for documents that beat the rows in hand ---- */

double
policy_doubt(const FunnelState *state)
{
	if (state->phase == PHASE_HOLD)
		return state->bar;
	return state->ready > 0 ? state->ready_best : -INFINITY;
}

/*
 * Return the score that a document must beat to be worth looking for. This is
 * the score of the next row. Before the first row is returned, it is the score
 * of the last row that a LIMIT is likely to request, because a document found
 * after rows that it beats comes late.
 */
static ScoreBar
bar_to_beat(const FunnelState *state)
{
	double score = state->phase == PHASE_HOLD ? state->bar
				   : state->gave              ? state->ready_best
											  : state->ready_likely;

	return (ScoreBar) {
		.score = score - state->score_errors.mean, .exact = score, .ties = &state->score_ties};
}

/*
 * Return true if more probes may find more documents, in a search whose width
 * is left to the index. Thresholds have their own rules.
 */
static bool
may_gather_more(const Policy *policy, const FunnelState *state)
{
	return policy->may_gather_more && !state->complete && !state->pool_dropped &&
		   policy->threshold == -INFINITY;
}

/* Return true if narrowing more documents is expected to pay. */
static bool
narrowing_pays(const Policy *policy, const FunnelState *state, const ScoreBar *bar)
{
	double work = state->nworse * policy->doc_blocks * policy->ndirections;

	return policy->may_narrow_more && state->nworse > 0 &&
		   (state->waiting > 0 || may_gather_more(policy, state)) &&
		   fit_expected_above(&state->sketch_fit, &state->worse_estimates, bar) * SKETCHES_FOR_ONE >
			   work;
}

/*
 * Rerank, narrow or gather more if that is expected to find a document above
 * the bar. Returns STEP_NONE otherwise.
 */
static Step
look_for_more(const Policy *policy, const FunnelState *state)
{
	double   max_misses = policy->filtered ? MAX_EXPECTED_MISSES_FILTERED : MAX_EXPECTED_MISSES;
	ScoreBar bar = bar_to_beat(state);
	uint32_t worth = 0;
	Step     step = {.kind = STEP_NONE};

	if (state->ranked >= policy->batch_limit)
		return step;
	if (state->pool > 0 && !pool_is_hopeless(policy, state))
		worth = fit_count_promising(&state->sketch_fit, &state->pool_estimates, &bar, max_misses);
	if (worth > 0)
	{
		step = rerank(policy, state, MIN(worth, batch_size(policy, state)));
		step.over_bar = true;
		step.bar = bar;
	}
	else if (narrowing_pays(policy, state, &bar))
		step = state->waiting > 0
				   ? narrow(state, state->chunk, MIN(state->chunk * 2, policy->pool_limit))
				   : widen(policy, state);
	return step;
}

/* ---- fetching ---- */

/* Return the highest score expected of a document with this estimate. */
static double
expected_at_most(const FunnelState *state, double estimate)
{
	return errors_bound(&state->score_errors, estimate,
						ERROR_DEVIATIONS + ERRORS_FOR_ONE_MORE / MAX(state->score_errors.count, 1));
}

/* Find the best estimate of a ranked document that may beat the score in doubt. */
static bool
find_contender(const FunnelState *state, float *estimate)
{
	double doubt = policy_doubt(state);
	double score;

	*estimate = state->ranked_best;
	if (state->ready == 0 || state->score_errors.count < FIRST_WINDOW)
		return true;
	if (!state->has_contender)
		return false;
	*estimate = state->contender;
	if (ties_outcome(&state->score_ties, *estimate, &score))
		return score > doubt;
	return expected_at_most(state, *estimate) > doubt;
}

/*
 * Decide about ranked documents below a threshold. STEP_NONE: the best of them
 * may still reach it.
 */
static Step
drop_below(const Policy *policy, const FunnelState *state)
{
	if (state->ranked_best >= policy->threshold)
		return plain_step(STEP_NONE);
	if (!state->ranked_below)
		return plain_step(STEP_RELEARN_SCORES);
	if (state->score_errors.count < THRESHOLD_WINDOW ||
		!(errors_bound(&state->score_errors, state->ranked_best, THRESHOLD_DEVIATIONS) <
		  policy->threshold))
		return plain_step(STEP_NONE);
	/* Without codes, ranked documents are in the order of the pool. */
	return plain_step(policy->has_codes ? STEP_DROP_RANKED : STEP_DROP_ALL);
}

static Step
fetch(float estimate)
{
	return (Step) {.kind = STEP_FETCH, .estimate = estimate};
}

/*
 * Fetch until no unfetched document is expected to beat the next row, or the
 * last row that must not be late. Ranked documents are considered first, then
 * those in the pool. Returns STEP_NONE when no more are needed.
 */
static Step
settle(const Policy *policy, const FunnelState *state)
{
	Step  step;
	float estimate;

	if (state->ready >= policy->batch_limit)
		return plain_step(STEP_NONE);
	step = supply_ranked(policy, state);
	if (step.kind != STEP_NONE || state->ranked == 0)
		return step;
	step = drop_below(policy, state);
	if (step.kind != STEP_NONE)
		return step;
	if (find_contender(state, &estimate))
		return fetch(estimate);
	return look_for_more(policy, state);
}

/* ---- phases ---- */

static Step
give(const FunnelState *state)
{
	return plain_step(state->ready > 0 ? STEP_GIVE : STEP_END);
}

static Step
enter(SearchPhase phase)
{
	return (Step) {.kind = STEP_ENTER, .phase = phase};
}

/*
 * Sort all remaining rows. If nothing has been searched yet, every document is
 * scored exactly, as in a sequential scan.
 */
static Step
sort_rest(const Policy *policy, const FunnelState *state)
{
	if (state->phase == PHASE_NEXT && policy->threshold == -INFINITY)
		return plain_step(STEP_SORT_TABLE);
	return enter(PHASE_SORT);
}

static Step
next_row(const Policy *policy, const FunnelState *state)
{
	Step step;

	if (policy->need_rows >= policy->batch_limit)
		return sort_rest(policy, state);
	step = settle(policy, state);
	if (step.kind != STEP_NONE)
		return step;
	return policy->need_rows == 0 ? give(state) : enter(PHASE_HOLD);
}

/*
 * Fetch the rows that must not be late before any of them is returned. The
 * search goes as deep as for a row that is returned at once.
 */
static Step
hold(const Policy *policy, const FunnelState *state)
{
	Step step = settle(policy, state);

	if (step.kind != STEP_NONE)
		return step;
	step = enter(PHASE_HELD);
	step.held = state->ready >= policy->batch_limit ? INFINITY
				: state->ranked == 0                ? -INFINITY
													: state->bar;
	return step;
}

static Step
give_held(const Policy *policy, const FunnelState *state)
{
	if (state->bar > -INFINITY && (state->ready == 0 || state->ready_best < state->bar))
		return sort_rest(policy, state);
	return give(state);
}

static Step
sort_next(const Policy *policy, const FunnelState *state)
{
	Step step = supply_ranked(policy, state);

	if (step.kind != STEP_NONE)
		return step;
	if (state->ranked == 0)
		return enter(PHASE_SORTED);
	step = drop_below(policy, state);
	return step.kind != STEP_NONE ? step : fetch(state->ranked_best);
}

/*
 * Return rows in any order. Documents estimated to reach the threshold are
 * returned, those below it are fetched.
 */
static Step
next_unordered(const Policy *policy, const FunnelState *state)
{
	Step step;

	if (state->ready > 0)
		return give(state);
	step = supply_ranked(policy, state);
	if (step.kind != STEP_NONE)
		return step;
	if (state->ranked == 0)
		return give(state);
	if (state->ranked_best >= policy->threshold)
		return (Step) {.kind = STEP_TAKE, .estimate = state->ranked_best};
	step = drop_below(policy, state);
	return step.kind != STEP_NONE ? step : fetch(state->ranked_best);
}

Step
policy_next(const Policy *policy, const FunnelState *state)
{
	if (!policy->ordered)
		return next_unordered(policy, state);
	switch (state->phase)
	{
		case PHASE_NEXT:
			return next_row(policy, state);
		case PHASE_HOLD:
			return hold(policy, state);
		case PHASE_HELD:
			return give_held(policy, state);
		case PHASE_SORT:
			return sort_next(policy, state);
		case PHASE_SORTED:
			break;
	}
	return give(state);
}
