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
#include "search/recall.h"

/* Rows fetched before the first is returned, so that the size of errors is known. */
#define FIRST_WINDOW 8

/* Maximum ranked documents beyond which no others than copies are looked for. */
#define MAX_RANKED_COPIES 512

/*
 * An estimate is assumed to be off by its mean error plus this many standard
 * deviations. While only n errors have been seen, ERRORS_FOR_ONE_MORE / n
 * deviations are added.
 */
#define ERROR_DEVIATIONS    3.0
#define ERRORS_FOR_ONE_MORE 12.0

/*
 * Limits for the lists of a direction if the index chooses their number: work_mem
 * limits them, but not below the first number.
 */
#define MIN_PROBES_OF_ROOM 40
#define MAX_PROBES         512

/*
 * Wanted rows that a share of the documents may have beyond their mean number, in
 * deviations. Of 10 wanted rows, the first of 4 searches then expects 5, and the
 * first of 16 searches 3.
 */
#define AMONG_DEVIATIONS 1.8

/* Test rows before they are reranked if fewer than one in this many passes the filter. */
#define TEST_BEFORE_RERANKING 2

/* A widening multiplies probes and candidates by this. */
#define WIDEN_FACTOR 4

/* A document is given up if it seems to miss the threshold by more than this many deviations. */
#define THRESHOLD_DEVIATIONS 3.0

/* Number of documents below the threshold from which errors are learned: reranked, and fetched. */
#define THRESHOLD_SAMPLE 256
#define THRESHOLD_WINDOW 32

/* Number of fetched copies below the threshold from which no other errors are waited for. */
#define THRESHOLD_COPIES 1024

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
 * The documents that are narrowed first come from about this many lists, because
 * those of one list share the error of its estimate: of a query of one token,
 * 128 documents come from three or four.
 */
#define FIRST_NARROWED_LISTS 20
#define MAX_FIRST_NARROWED   384

uint32_t
policy_first_narrowed(const Policy *policy)
{
	uint64_t n = policy->node_postings * FIRST_NARROWED_LISTS / MAX(policy->ndirections, 1);

	n = MIN(MAX(n, POLICY_FIRST_NARROWED), MAX_FIRST_NARROWED);
	return (uint32_t) MAX((double) n * policy->share, POLICY_MIN_NARROWED);
}

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
 * for the first "rerank" rows, or the first documents narrowed, which suffice for them.
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
	return depth <= MAX(policy->settings.rerank, POLICY_MIN_NARROW_STEP)
			   ? 0
			   : (uint64_t) (depth * POLICY_NARROWED_PER_ROW);
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
narrow(const FunnelState *state, uint64_t n)
{
	return (Step) {.kind = STEP_NARROW, .n = (uint32_t) MIN(n, state->waiting)};
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
	{
		uint64_t more = MAX(state->narrowed, POLICY_MIN_NARROW_STEP);

		if (wanted > state->narrowed)
			more = MAX(more, wanted - state->narrowed);
		return narrow(state, MIN(more, policy->pool_limit));
	}
	for (uint32_t i = 0; i < state->level; i++)
		factor *= WIDEN_FACTOR;
	while (state->level > 0 &&
		   (settings->candidates * factor < wanted || settings->probes * factor <= state->probes) &&
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
	if (state->level == 0 && policy->may_narrow_more)
		step.n = policy_first_narrowed(policy);
	/* The new documents are reranked as deep as the search has come. */
	step.batch =
		MAX(MIN(state->batch, (uint32_t) (wanted / POLICY_NARROWED_PER_ROW)), settings->rerank);
	return step;
}

/* ---- reranking ---- */

bool
policy_pool_is_hopeless(const Policy *policy, const FunnelState *state)
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
	if (state->ranked == 0 && may_drop && policy_pool_is_hopeless(policy, state))
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

/* Return the number of fetched documents whose error is known, copies included. */
static uint64_t
errors_seen(const FunnelState *state)
{
	return state->score_errors.count + state->copies;
}

double
policy_doubt(const FunnelState *state)
{
	if (state->phase == PHASE_HOLD)
		return state->bar;
	return state->ready > 0 ? state->ready_best : -INFINITY;
}

double
policy_wanted(const Policy *policy, const FunnelState *state)
{
	double rows = (double) MAX(policy->likely_rows, policy->need_rows);

	while (rows <= (double) state->returned + state->others_taken)
		rows *= 2;
	return MIN(rows, POLICY_MAX_WANTED);
}

uint32_t
policy_among(double n, double share)
{
	double mean = n * share;

	return (uint32_t) MAX(1, ceil(MIN(n, mean + AMONG_DEVIATIONS * sqrt(mean * (1 - share)))));
}

bool
policy_goes_on(const Policy *policy, const FunnelState *state)
{
	uint64_t first = policy->share < 1 ? MAX(policy->likely_rows, policy->need_rows) : 1;

	return state->returned > 0 && state->returned + state->others_taken >= first;
}

ScoreBar
policy_bar(const Policy *policy, const FunnelState *state)
{
	bool   goes_on = policy_goes_on(policy, state);
	double exact = state->phase == PHASE_HOLD ? state->bar
				   : goes_on                  ? state->ready_best
											  : state->ready_likely;
	bool   in_hand = state->ready > 0 && errors_seen(state) >= FIRST_WINDOW;
	double score = state->wanted_score;

	/*
	 * Code scores of rows that are not returned may be among the best ones. If
	 * all rows of the last score are needed, the best ones may be such rows: a
	 * bar at their score leaves the others out.
	 */
	if (in_hand && (policy->filtered || policy->need_peers || state->gone > 0 ||
					!policy->has_codes || goes_on))
		score = MIN(score, exact - state->score_errors.mean);
	return (ScoreBar) {.score = MAX(score, policy->threshold),
					   .exact = state->ready > 0 ? exact : -INFINITY,
					   .ties = &state->score_ties};
}

/* Return true if gathered documents may still be better than those of the pool. */
static bool
may_look_further(const FunnelState *state)
{
	return !state->complete && !state->pool_dropped && !state->swept;
}

bool
policy_may_narrow(const Policy *policy, const FunnelState *state)
{
	return policy->may_narrow_more && state->waiting > 0 && may_look_further(state);
}

bool
policy_may_probe(const Policy *policy, const FunnelState *state)
{
	double probes = 2.0 * state->probes;
	double postings = probes * policy->ndirections * policy->node_postings;

	return policy->may_gather_more && state->probes > 0 && may_look_further(state) &&
		   probes <= MIN(MAX_PROBES, policy->nodes) &&
		   (probes <= MIN_PROBES_OF_ROOM || postings * POLICY_GATHER_BYTES <= policy->memory);
}

/* Gather from twice the lists. If the user set candidates, narrow them at once. */
static Step
probe(const Policy *policy, const FunnelState *state)
{
	uint32_t probes = state->probes * 2;

	return (Step) {.kind = STEP_WIDEN,
				   .level = state->level,
				   .probes = probes,
				   .ef = MAX(policy->settings.ef_search, probes),
				   .n = policy->may_narrow_more ? 0 : policy->settings.candidates,
				   .batch = state->batch};
}

/* Rerank, narrow or probe more, until few of the wanted documents are expected to be missed. */
static Step
look_for_more(const Policy *policy, const FunnelState *state)
{
	ScoreBar     bar = policy_bar(policy, state);
	RecallChoice choice = {RECALL_STOP, 0, 0};
	Step         step;

	if (state->ranked < policy->batch_limit)
		choice = recall_choose(policy, state, &bar);
	switch (choice.action)
	{
		case RECALL_RERANK:
			step = rerank(policy, state, choice.n);
			step.batch = state->batch;
			step.over_bar = true;
			step.bar = bar;
			return step;
		case RECALL_NARROW:
			return narrow(state, choice.n);
		case RECALL_PROBE:
			return probe(policy, state);
		case RECALL_STOP:
			break;
	}
	return (Step) {.kind = STEP_SETTLE, .misses = choice.misses};
}

/* Return true if more documents are wanted than when the search settled. */
static bool
is_unsettled(const Policy *policy, const FunnelState *state)
{
	ScoreBar bar = policy_bar(policy, state);

	return bar.score < state->settled_bar.score || bar.exact < state->settled_bar.exact;
}

/* ---- fetching ---- */

/*
 * Return the score of a document with this estimate whose error is this many
 * deviations above the mean.
 */
static double
bound_of(const FunnelState *state, double estimate, double deviations)
{
	/*
	 * If sketches tell little, the best estimates are too high by more than
	 * others, and a few documents score far above the line.
	 */
	return MAX(errors_bound(&state->score_errors, estimate, deviations),
			   fit_bound(&state->score_fit, estimate, deviations));
}

/* Return the highest score expected of a document with this estimate. */
static double
expected_at_most(const FunnelState *state, double estimate)
{
	double n = MAX(state->score_errors.count, 1);

	return bound_of(state, estimate, ERROR_DEVIATIONS + ERRORS_FOR_ONE_MORE / n);
}

/* Find the best estimate of a ranked document that may beat the score in doubt. */
static bool
find_contender(const FunnelState *state, float *estimate)
{
	double doubt = policy_doubt(state);
	double score;

	*estimate = state->ranked_best;
	if (state->ready == 0)
		return true;
	if (!state->has_contender)
		return false;
	*estimate = state->contender;
	/* Copies of one document do not tell the errors of others. */
	if (state->score_errors.count < FIRST_WINDOW && state->copies < THRESHOLD_COPIES)
		return true;
	if (ties_outcome(&state->score_ties, *estimate, &score))
		return score > doubt;
	return expected_at_most(state, *estimate) > doubt;
}

/*
 * Return true if the ranked documents are copies of so few that the errors of
 * others are not known, and the pool may have others. Codes have small errors,
 * which need not be known.
 */
static bool
copies_hide_errors(const Policy *policy, const FunnelState *state)
{
	return !policy->has_codes && state->copies > 0 && state->score_errors.count < FIRST_WINDOW &&
		   state->pool > 0 && state->ranked < MAX_RANKED_COPIES;
}

/*
 * Return true if the errors of enough documents below the threshold are known.
 * Without codes, copies do not tell the errors of others.
 */
static bool
knows_errors_below(const Policy *policy, const FunnelState *state)
{
	if (policy->has_codes)
		return errors_seen(state) >= THRESHOLD_WINDOW;
	return state->score_errors.count >= THRESHOLD_WINDOW || state->copies >= THRESHOLD_COPIES;
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
	if (!knows_errors_below(policy, state) ||
		!(bound_of(state, state->ranked_best, THRESHOLD_DEVIATIONS) < policy->threshold))
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
	if (!state->settled)
		return look_for_more(policy, state);
	if (find_contender(state, &estimate))
		return fetch(estimate);
	if (copies_hide_errors(policy, state))
		return rerank(policy, state, state->batch);
	return is_unsettled(policy, state) ? look_for_more(policy, state) : step;
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
