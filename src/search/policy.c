/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  What a search does next.
 *
 * The rules and their reasons are in README.md; each constant that decides
 * stands here, in policy.h or in budget.c.
 *
 *-------------------------------------------------------------------------
 */
#include "search/policy.h"

#include <math.h>

#include "base/minmax.h"

/* Rows fetched before the first is given: enough to know how large errors are. */
#define FIRST_WINDOW 8

/*
 * An estimate is taken to be off by its mean error and this many standard
 * deviations; by more of them while few errors tell how large these are.
 */
#define ERROR_DEVIATIONS    3.0
#define ERRORS_FOR_ONE_MORE 12.0

/*
 * Documents that come after a row and beat it: reranking stops when at most
 * this many are expected among those left. If few rows pass a filter, missing
 * one weighs more.
 */
#define MAX_EXPECTED_MISSES          1e-1
#define MAX_EXPECTED_MISSES_FILTERED 1e-2

/*
 * Narrowing pays if it brings one document per this many sketches (blocks of a
 * document times query tokens). The waiting documents
 * are judged by the worse half of the last chunk that was narrowed. Where
 * postings predict little, as with random vectors, that half scores as well as
 * the better one; on MedQuAD, hardly any of it scores above the bar.
 */
#define SKETCHES_FOR_ONE 3000.0

/* If fewer than one row of this many passes, rows are tested before they are scored by codes. */
#define TEST_BEFORE_RERANKING 2

/* A widening multiplies probes and candidates by this. */
#define WIDEN_FACTOR 4

/* A document that seems to miss the threshold by more than this many deviations is given up. */
#define THRESHOLD_DEVIATIONS 3.0

/* Documents below the threshold that teach how large errors are: reranked, and fetched. */
#define THRESHOLD_SAMPLE 256
#define THRESHOLD_WINDOW 32

static Step
plain_step(StepKind kind)
{
	return (Step) {.kind = kind};
}

/* Is it cheaper to test rows first, since fewer than one of this many passes? */
static bool
few_pass(const Policy *policy, const FunnelState *state, uint32_t share)
{
	return policy->filtered && state->passed * share < state->tested;
}

/* ---- widening ---- */

/* Is so wide a search no better than a sweep, or too large for work_mem? */
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

/* Documents that should have been narrowed for the next row. The settings suit the first "rerank" rows. */
static uint64_t
wanted_depth(const Policy *policy, const FunnelState *state)
{
	double depth = state->depth;

	/* If few rows pass a filter, the depth is foreseen, as if one more had passed. */
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
	/* The worse half of what a sweep kept is no better than what it dropped, give or take an error. */
	if (state->pool_dropped)
		return state->pool < policy->pool_limit / 2;
	return state->narrowed < wanted_depth(policy, state);
}

static Step
narrow(const FunnelState *state, uint32_t n, uint32_t chunk)
{
	return (Step) {.kind = STEP_NARROW, .n = MIN(n, state->waiting), .chunk = chunk};
}

/* With a threshold the best few may be found by probes; whoever wants more gets all that reach it. */
static bool
threshold_wants_all(const Policy *policy, const FunnelState *state)
{
	return policy->threshold > -INFINITY && (!policy->ordered || state->level > 0);
}

/* More documents into the pool: those that wait; else more probes; in the end all. */
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
	/* What is new is looked at anew: as deep as the search has come. */
	step.batch =
		MAX(MIN(state->batch, (uint32_t) (wanted / POLICY_NARROWED_PER_ROW)), settings->rerank);
	return step;
}

/* ---- reranking ---- */

/* Is nothing in the pool, whose best are reranked, expected to reach the threshold? */
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

/* The step that the search needs before it can look at the best ranked document. STEP_NONE: no step is needed, or there is no document. */
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
 * The score that a document has to beat to be worth looking for: that of the
 * next row. Before the first one, that of the last row that a LIMIT is likely
 * to ask for: what is found after rows were given that it beats comes late.
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

/* Could more be found, by a search whose width was left to the index? A threshold has rules of its own. */
static bool
may_gather_more(const Policy *policy, const FunnelState *state)
{
	return policy->may_gather_more && !state->complete && !state->pool_dropped &&
		   policy->threshold == -INFINITY;
}

/* Is narrowing more documents expected to pay? */
static bool
narrowing_pays(const Policy *policy, const FunnelState *state, const ScoreBar *bar)
{
	double work = state->nworse * policy->doc_blocks * policy->ndirections;

	return policy->may_narrow_more && state->nworse > 0 &&
		   (state->waiting > 0 || may_gather_more(policy, state)) &&
		   fit_expected_above(&state->sketch_fit, &state->worse_estimates, bar) * SKETCHES_FOR_ONE >
			   work;
}

/* Rerank, narrow or gather more if that is expected to bring a document above the bar; STEP_NONE if not. */
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

/* The score that a document of this estimate is taken to have at most. */
static double
expected_at_most(const FunnelState *state, double estimate)
{
	return errors_bound(&state->score_errors, estimate,
						ERROR_DEVIATIONS + ERRORS_FOR_ONE_MORE / MAX(state->score_errors.count, 1));
}

/* Find the best estimate of a document that may beat the score in doubt. */
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

/* Of ranked documents below a threshold: STEP_NONE if the best may reach it all the same. */
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
 * Fetch until the row that is given next, or the last one that must not be
 * late, is above what any unfetched document is expected to score: first the
 * ranked ones, then those in the pool. STEP_NONE: it is.
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
 * Sort everything that is left. Before anything was searched for, every
 * document is scored exactly, as a sequential scan would.
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

/* Fetch the first rows, all before any is given; as deep as for one that is given at once. */
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

/* Rows in no order: those estimated to reach the threshold are given, those below it are fetched. */
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
