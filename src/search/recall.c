/*-------------------------------------------------------------------------
 *
 * recall.c
 *	  Predict how many of the wanted documents a search has not found yet, and
 *	  choose what to do next. README.md explains the rule.
 *
 *-------------------------------------------------------------------------
 */
#include "search/recall.h"

#include <math.h>

#include "base/minmax.h"

/* Number of distinct outcomes of each stage from which errors are known well enough. */
#define MIN_NARROWED POLICY_MIN_NARROWED
#define MIN_RERANKED 16

/*
 * Of the best documents so far, half of the lists had missed a share. All lists
 * miss this part of that share, and twice the lists find UNPROBED_FOUND of it.
 */
#define UNPROBED_SHARE 0.75
#define UNPROBED_FOUND 0.9

/*
 * Of the waiting documents that the fits expect above the bar, only this part is:
 * measured on MedQuAD. Searches with a share of the documents expect more, by a
 * power of their share (src/search/README.md).
 */
#define WAITING_PART        0.15
#define SHARE_WAITING_POWER (-0.65)

/* Least documents of a step of narrowing, if the search has a share of the documents. */
#define MIN_SHARE_NARROW_STEP 16

/* A search may always expect this part of the misses that its share of the documents allows. */
#define MIN_SHARE_PART 0.25

/*
 * Misses that no action can avoid, because settings or limits forbid it, count as
 * allowed ones, but for this part.
 */
#define MIN_ALLOWED_PART 0.25

/*
 * Reranking and narrowing leave this part of the allowed misses, or more if the
 * search then ends.
 */
#define POOL_PART 0.25

/*
 * A step reranks and narrows at most this many times the documents reranked and
 * narrowed before: the bar rises with the best of them.
 */
#define STEP_PART        0.5
#define NARROW_STEP_PART 1

/*
 * Finds get dearer as a search goes on. A search that has done the usual work
 * may expect the misses that the target allows, and any search misses in
 * proportion to the square of its work, within these limits. Easy questions then
 * make up for hard ones, with less work in all.
 */
#define USUAL_WORK       5.0 /* in first widths, for USUAL_ROWS at most, of USUAL_DOCS */
#define USUAL_ROWS       10.0
#define USUAL_DOCS       16384.0
#define USUAL_DOCS_POWER 0.2
#define MIN_EFFORT       0.2
#define MAX_EFFORT       10.0
#define MAX_MISSED_PART  0.5

/*
 * A search that has narrowed this share of all documents may expect no additional
 * misses, and twice the part of the waiting documents: estimates say little there.
 * One of several searches for the same rows never may expect additional ones.
 */
#define SEEN_SHARE 0.25

/* Fixed cost of a step, in microseconds. */
#define STEP_US 10.0

/* An action, the documents that it is expected to find, and its cost. */
typedef struct Option
{
	RecallAction action;
	uint32_t     n;
	double       finds;
	double       us;
} Option;

static Option
option_rerank(const Policy *policy, const FunnelState *state, const ScoreBar *bar, double left)
{
	const EstimateFit       *fit = &state->sketch_fit;
	const EstimateHistogram *pool = &state->pool_estimates;
	uint32_t step = MAX((uint32_t) (STEP_PART * fit->count), POLICY_MIN_RERANK_STEP);
	uint32_t worth = fit_count_promising(fit, pool, bar, left);
	uint32_t n = MIN(MAX(MIN(worth, step), pool->unknown), state->pool);

	return (Option) {RECALL_RERANK, n, fit_expected_of_best(fit, pool, bar, n),
					 STEP_US + n * policy->costs.rows};
}

/* Return the documents that were narrowed, in parts of SEEN_SHARE of all; at most 1. */
static double
seen_part(const Policy *policy, const FunnelState *state)
{
	return MIN(state->narrowed / (SEEN_SHARE * MAX(policy->live_docs, 1)), 1);
}

static double
waiting_part(const Policy *policy, const FunnelState *state)
{
	double part = WAITING_PART * (1 + seen_part(policy, state));

	return MIN(part * pow(policy->share, SHARE_WAITING_POWER), 1);
}

static double
expected_waiting(const Policy *policy, const FunnelState *state, const ScoreBar *bar, uint32_t n)
{
	return waiting_part(policy, state) *
		   skewed_expected_of_best(&state->gather_fit, &state->sketch_fit,
								   &state->waiting_estimates, bar->score, n);
}

static uint32_t
min_narrow_step(const Policy *policy)
{
	return (uint32_t) MAX(POLICY_MIN_NARROW_STEP * policy->share, MIN_SHARE_NARROW_STEP);
}

/* Return the maximum number of documents to narrow in one step. */
static uint32_t
narrow_step(const Policy *policy, const FunnelState *state)
{
	uint32_t step = (uint32_t) MIN(NARROW_STEP_PART * state->narrowed, UINT32_MAX / 2);

	return MIN(MAX(step, min_narrow_step(policy)), state->waiting);
}

static Option
option_narrow(const Policy *policy, const FunnelState *state, const ScoreBar *bar, double left)
{
	uint32_t worth =
		skewed_count_promising(&state->gather_fit, &state->sketch_fit, &state->waiting_estimates,
							   bar->score, left / waiting_part(policy, state));
	uint32_t n = MIN(MAX(worth, min_narrow_step(policy)), narrow_step(policy, state));

	n = MIN(n, policy->pool_limit);
	return (Option) {RECALL_NARROW, n, expected_waiting(policy, state, bar, n),
					 STEP_US + n * policy->costs.sketches};
}

static Option
option_probe(const Policy *policy, const FunnelState *state, double unprobed)
{
	double lists = 2.0 * state->probes * policy->ndirections;
	double find = 2.0 * state->probes > state->found ? policy->costs.find : 0;

	return (Option) {RECALL_PROBE, 0, UNPROBED_FOUND * unprobed,
					 STEP_US + find + lists * policy->costs.list};
}

/*
 * Return the misses that an action on documents with this many of them may
 * leave. excess: the misses of all documents beyond the allowed ones.
 */
static double
may_leave(double misses, double excess, double allowed)
{
	return MAX(misses - excess, allowed * POOL_PART);
}

/* Return the option with the most finds per microsecond. */
static Option
better(Option a, Option b)
{
	return b.finds * a.us > a.finds * b.us ? b : a;
}

/* Return the share of documents whose rows are expected to pass the filter. */
static double
pass_share(const Policy *policy, const FunnelState *state)
{
	return policy->filtered ? (state->passed + 1.0) / (state->tested + 1.0) : 1;
}

/* Return the action that is needed before errors are known, or RECALL_STOP. */
static RecallChoice
learn_errors(const Policy *policy, const FunnelState *state, const ScoreBar *bar)
{
	double   wanted = policy_wanted(policy, state);
	uint32_t left;

	if (policy_may_narrow(policy, state) && state->gather_fit.count < MIN_NARROWED)
		return (RecallChoice) {RECALL_NARROW, narrow_step(policy, state), wanted};
	if (policy->has_codes && state->sketch_fit.count < MIN_RERANKED &&
		policy->threshold == -INFINITY)
	{
		left = fit_count_promising(&state->sketch_fit, &state->pool_estimates, bar, -1);
		if (state->pool > 0 && left > 0)
			return (RecallChoice) {RECALL_RERANK, MIN(MIN_RERANKED, left), wanted};
	}
	return (RecallChoice) {RECALL_STOP, 0, 0};
}

/*
 * Return the misses that this search may expect: what the searches that began
 * before it leave of those allowed to all, but at least a quarter of its share.
 */
static double
allowed_misses(const Policy *policy, const FunnelState *state)
{
	double all = policy_among(policy_wanted(policy, state), state->known_share);
	double allowed = all * (1 - policy->recall);

	return MAX(allowed - state->other_misses,
			   allowed * policy->share / state->known_share * MIN_SHARE_PART);
}

/*
 * Return the number of wanted documents that are probably in this index. If
 * others have wanted ones as well, it is the mean of the share of the documents
 * and of the share of those found so far.
 */
static double
wanted_here(const Policy *policy, const FunnelState *state)
{
	double all = policy_among(policy_wanted(policy, state), state->known_share);

	if (policy->share >= 1)
		return all;
	return (all * policy->share / state->known_share + state->own_wanted) / 2;
}

/* Return the time of gathering from these lists, narrowing and reranking, in microseconds. */
static double
work_us(const Policy *policy, double probes, double narrowed, double reranked)
{
	const WorkCosts *costs = &policy->costs;

	return costs->find + probes * policy->ndirections * costs->list + narrowed * costs->sketches +
		   reranked * costs->rows;
}

/* Return the usual work of a search for this many rows of all documents, in microseconds. */
static double
usual_work(const Policy *policy, double rows)
{
	const SearchSettings *first = &policy->settings;
	uint32_t narrowed = policy->may_narrow_more ? policy_first_narrowed(policy) : first->candidates;
	double   docs = MAX(policy->live_docs / policy->share, 1);
	double   growth = sqrt(MAX(rows / USUAL_ROWS, 1)) * pow(docs / USUAL_DOCS, USUAL_DOCS_POWER);

	return USUAL_WORK * growth * work_us(policy, first->probes, narrowed, first->rerank);
}

double
recall_effort(const Policy *policy, const FunnelState *state)
{
	double usual = usual_work(policy, policy_wanted(policy, state));
	double done = work_us(policy, state->probes, state->narrowed, state->sketch_fit.count);
	double work;
	double effort;

	if (!(usual > 0))
		return 1;
	work = done * pass_share(policy, state) / usual;
	effort = MAX(MIN_EFFORT, MIN(MAX_EFFORT, work * work));
	if (policy->share < 1)
		return MIN(effort, 1);
	return effort <= 1 ? effort : 1 + (effort - 1) * (1 - seen_part(policy, state));
}

/* Return the misses that this search may expect for its effort, at most half of the wanted rows. */
static double
allowed_by_effort(const Policy *policy, const FunnelState *state)
{
	return MIN(allowed_misses(policy, state) * recall_effort(policy, state),
			   MAX_MISSED_PART * policy_wanted(policy, state));
}

RecallChoice
recall_choose(const Policy *policy, const FunnelState *state, const ScoreBar *bar)
{
	double       share = pass_share(policy, state);
	double       allowed = allowed_by_effort(policy, state);
	bool         may_narrow = policy_may_narrow(policy, state);
	bool         may_probe = policy_may_probe(policy, state);
	double       in_pool = 0;
	double       waiting = 0;
	double       unprobed = UNPROBED_SHARE * wanted_here(policy, state) * state->late_share;
	double       lost;
	double       misses;
	double       excess;
	Option       best = {RECALL_STOP, 0, 0, 1};
	RecallChoice first = learn_errors(policy, state, bar);

	if (first.action != RECALL_STOP)
		return first;
	if (state->pool > 0 && !policy_pool_is_hopeless(policy, state))
		in_pool = fit_expected_above(&state->sketch_fit, &state->pool_estimates, bar);
	if (state->pool_tested)
		share = 1;
	if (state->waiting > 0)
		waiting = expected_waiting(policy, state, bar, state->waiting);
	lost = (may_narrow ? 0 : share * waiting) + (may_probe ? 0 : unprobed);
	allowed = MAX(allowed - lost, allowed * MIN_ALLOWED_PART);
	misses = share * (in_pool + waiting) + unprobed;
	excess = misses - lost - allowed;
	if (excess > 0)
	{
		if (in_pool > 0)
			best = better(best, option_rerank(policy, state, bar,
											  may_leave(share * in_pool, excess, allowed) / share));
		if (may_narrow)
			best = better(best, option_narrow(policy, state, bar,
											  may_leave(share * waiting, excess, allowed) / share));
		if (may_probe)
			best = better(best, option_probe(policy, state, unprobed / share));
	}
	return (RecallChoice) {best.action, best.n, misses};
}
