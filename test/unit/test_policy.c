/*-------------------------------------------------------------------------
 *
 * test_policy.c
 *	  The next step of a search: a table of states and expected steps.
 *
 * A state is written as words "member=value"; other members are those of
 * ordinary() below. A step is written as step_text() formats it.
 *
 *-------------------------------------------------------------------------
 */
#include "search/recall.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

typedef struct Case
{
	Policy      policy;
	FunnelState state;
} Case;

/* ---- states ---- */

/* Return a search of 10,000 documents under 1,000 nodes that has not begun. */
static Case
ordinary(void)
{
	return (Case) {
		.policy = {.settings = {.probes = 8, .ef_search = 10, .candidates = 400, .rerank = 64},
				   .recall = .9,
				   .share = 1,
				   .likely_rows = 10,
				   .may_narrow_more = true,
				   .may_gather_more = true,
				   .ordered = true,
				   .threshold = -INFINITY,
				   .has_codes = true,
				   .ndirections = 16,
				   .nodes = 1000,
				   .node_postings = 10,
				   .live_docs = 10000,
				   .costs = {.sketches = 1, .rows = 5, .list = 1, .find = 100},
				   .memory = 4 * 1024 * 1024,
				   .pool_limit = 100000,
				   .batch_limit = 50000},
		.state = {.batch = 64,
				  .known_share = 1,
				  .wanted_score = -INFINITY,
				  .bar = -INFINITY,
				  .pool_best = -FLT_MAX,
				  .sketch_fit.ties.blank = NAN,
				  .score_ties.blank = NAN},
	};
}

typedef enum MemberType
{
	IS_BOOL,
	IS_UINT32,
	IS_UINT64,
	IS_FLOAT,
	IS_DOUBLE,
	IS_PHASE
} MemberType;

typedef struct Member
{
	const char *name;
	size_t      offset;
	MemberType  type;
} Member;

#define OF_POLICY(member, type) {#member, offsetof(Case, policy.member), type}
#define OF_STATE(member, type)  {#member, offsetof(Case, state.member), type}

static const Member members[] = {
	OF_POLICY(settings.candidates, IS_UINT32),
	OF_POLICY(settings.probes, IS_UINT32),
	OF_POLICY(settings.rerank, IS_UINT32),
	OF_POLICY(recall, IS_DOUBLE),
	OF_POLICY(likely_rows, IS_UINT64),
	OF_POLICY(share, IS_DOUBLE),
	OF_POLICY(may_narrow_more, IS_BOOL),
	OF_POLICY(may_gather_more, IS_BOOL),
	OF_POLICY(ordered, IS_BOOL),
	OF_POLICY(threshold, IS_DOUBLE),
	OF_POLICY(need_rows, IS_UINT64),
	OF_POLICY(filtered, IS_BOOL),
	OF_POLICY(has_codes, IS_BOOL),
	OF_POLICY(ndirections, IS_UINT32),
	OF_POLICY(nodes, IS_UINT64),
	OF_POLICY(node_postings, IS_UINT64),
	OF_POLICY(live_docs, IS_UINT64),
	OF_POLICY(costs.rows, IS_DOUBLE),
	OF_POLICY(memory, IS_UINT64),
	OF_POLICY(pool_limit, IS_UINT32),
	OF_POLICY(batch_limit, IS_UINT32),
	OF_STATE(phase, IS_PHASE),
	OF_STATE(probes, IS_UINT32),
	OF_STATE(found, IS_UINT32),
	OF_STATE(late_share, IS_DOUBLE),
	OF_STATE(level, IS_UINT32),
	OF_STATE(pool_below, IS_BOOL),
	OF_STATE(pool_dropped, IS_BOOL),
	OF_STATE(pool_tested, IS_BOOL),
	OF_STATE(swept, IS_BOOL),
	OF_STATE(complete, IS_BOOL),
	OF_STATE(narrowed, IS_UINT64),
	OF_STATE(has_contender, IS_BOOL),
	OF_STATE(contender, IS_FLOAT),
	OF_STATE(ranked_below, IS_BOOL),
	OF_STATE(batch, IS_UINT32),
	OF_STATE(batch_due, IS_BOOL),
	OF_STATE(depth, IS_DOUBLE),
	OF_STATE(tested, IS_UINT64),
	OF_STATE(passed, IS_UINT64),
	OF_STATE(gone, IS_UINT64),
	OF_STATE(copies, IS_UINT64),
	OF_STATE(ready_likely, IS_DOUBLE),
	OF_STATE(bar, IS_DOUBLE),
	OF_STATE(returned, IS_UINT64),
	OF_STATE(known_share, IS_DOUBLE),
	OF_STATE(own_wanted, IS_UINT32),
	OF_STATE(other_misses, IS_DOUBLE),
	OF_STATE(others_taken, IS_UINT64),
	OF_STATE(wanted_score, IS_DOUBLE),
};

static const char *const phases[] = {"next", "hold", "held", "sort", "sorted"};

static void
set_member(Case *c, const Member *member, const char *value)
{
	void *at = (char *) c + member->offset;

	switch (member->type)
	{
		case IS_BOOL:
			*(bool *) at = atoi(value) != 0;
			break;
		case IS_UINT32:
			*(uint32_t *) at = (uint32_t) strtoul(value, NULL, 10);
			break;
		case IS_UINT64:
			*(uint64_t *) at = strtoull(value, NULL, 10);
			break;
		case IS_FLOAT:
			*(float *) at = strtof(value, NULL);
			break;
		case IS_DOUBLE:
			*(double *) at = strtod(value, NULL);
			break;
		case IS_PHASE:
			while (strcmp(phases[*(SearchPhase *) at], value) != 0)
				++*(SearchPhase *) at;
			break;
	}
}

/* Set a histogram to n documents with the same estimate. */
static void
set_histogram(EstimateHistogram *histogram, const EstimateFit *fit, uint32_t n, float score)
{
	Candidate *items = malloc((n + 1) * sizeof(Candidate));

	for (uint32_t i = 0; i < n; i++)
		items[i] = (Candidate) {i, score};
	histogram_fill(histogram, items, n, fit);
	free(items);
}

/* Add n documents to a pool whose documents have the same, higher estimate. */
static void
add_worse(FunnelState *state, uint32_t n, float score)
{
	Candidate *items = malloc((state->pool + n) * sizeof(Candidate));

	for (uint32_t i = 0; i < state->pool + n; i++)
		items[i] = (Candidate) {i, i < n ? score : state->pool_best};
	state->pool += n;
	histogram_fill(&state->pool_estimates, items, state->pool, &state->sketch_fit);
	free(items);
}

static ErrorStats
errors_of(double count, double mean, double deviation)
{
	return (ErrorStats) {(uint64_t) count, mean, deviation * deviation * (count - 1)};
}

static void
add_tie(Ties *ties, double estimate, double outcome)
{
	ties->known[ties->nknown++] = (Tie) {estimate, 8, outcome, outcome};
}

/* Set a line, and return true, if that is what a name stands for. Its numbers are a and b. */
static bool
set_line(FunnelState *state, const char *name, double a, double b)
{
	if (strcmp(name, "gather_fit") == 0) /* sketch scores are estimates +- this */
		state->gather_fit = (SkewedFit) {.count = 100, .slope = 1, .deviation = a};
	else if (strcmp(name, "fit") == 0) /* outcomes are estimates +- this */
		state->sketch_fit = (EstimateFit) {.count = 100,
										   .xx = 100,
										   .xy = 100,
										   .yy = 100 + a * a * 98,
										   .ties = state->sketch_fit.ties};
	else if (strcmp(name, "fit_skewness") == 0) /* of the outcomes, 100 of which are +- .1 */
		state->sketch_fit.cubes.yyy = a * 100 * .1 * .1 * .1;
	else if (strcmp(name, "score_line") == 0) /* slope through 5 @ 4.6, +- .1 @ skewness */
		state->score_fit = (EstimateFit) {.count = 10000,
										  .mean_estimate = 5,
										  .mean_outcome = 4.6,
										  .xx = 100,
										  .xy = 100 * a,
										  .yy = 100 * (a * a + 1),
										  .cubes = {.yyy = b * 10}};
	else
		return false;
	return true;
}

/* Set the members of a word that stands for several; false if it does not. */
static bool
set_group(Case *c, const char *name, const char *value)
{
	FunnelState *state = &c->state;
	double       a = 0, b = 0, d = 0;

	(void) sscanf(value, "%lf@%lf@%lf", &a, &b, &d);
	if (strcmp(name, "pool") == 0) /* documents @ estimate */
	{
		state->pool = (uint32_t) a;
		state->pool_best = (float) b;
		state->pool_above = b >= c->policy.threshold ? state->pool : 0;
		set_histogram(&state->pool_estimates, &state->sketch_fit, state->pool, (float) b);
	}
	else if (strcmp(name, "worse") == 0) /* more documents of the pool @ lower estimate */
		add_worse(state, (uint32_t) a, (float) b);
	else if (strcmp(name, "waiting") == 0) /* the same, of those that wait */
	{
		state->waiting = (uint32_t) a;
		set_histogram(&state->waiting_estimates, &state->sketch_fit, state->waiting, (float) b);
	}
	else if (strcmp(name, "settled") == 0) /* when this was the bar */
	{
		state->settled = true;
		state->wanted_score = state->settled_bar.score = state->settled_bar.exact = a;
	}
	else if (strcmp(name, "ranked") == 0) /* documents @ best estimate, also of a contender */
	{
		state->ranked = (uint32_t) a;
		state->ranked_best = state->contender = (float) b;
		state->has_contender = true;
	}
	else if (strcmp(name, "ready") == 0) /* rows @ best score */
	{
		state->ready = (uint32_t) a;
		state->ready_best = state->ready_likely = b;
	}
	else if (strcmp(name, "sketch_errors") == 0) /* count @ mean @ deviation */
		state->sketch_errors = errors_of(a, b, d);
	else if (strcmp(name, "score_errors") == 0)
		state->score_errors = errors_of(a, b, d);
	else if (strcmp(name, "sketch_tie") == 0) /* estimate @ outcome */
		add_tie(&state->sketch_fit.ties, a, b);
	else if (strcmp(name, "score_tie") == 0)
		add_tie(&state->score_ties, a, b);
	else
		return set_line(state, name, a, b);
	return true;
}

static Case
read_case(const char *text)
{
	Case  c = ordinary();
	char *copy = strdup(text);

	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
	{
		char *value = strchr(word, '=');
		bool  known = false;

		if (value == NULL)
			abort();
		*value++ = '\0';
		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
			if (strcmp(members[i].name, word) == 0)
			{
				set_member(&c, &members[i], value);
				known = true;
			}
		if (!known && !set_group(&c, word, value))
			abort();
	}
	free(copy);
	return c;
}

/* ---- steps ---- */

static const char *const kinds[] = {
	"none",      "widen",       "narrow",           "sweep",
	"rerank",    "settle",      "relearn sketches", "relearn scores",
	"drop pool", "drop ranked", "drop all",         "fetch",
	"take",      "enter",       "sort table",       "give",
	"end",
};

static const char *
step_text(const Step *step)
{
	static char text[200];
	char        what[100] = "";

	switch (step->kind)
	{
		case STEP_WIDEN:
			snprintf(what, sizeof(what), " level %u: %u probes, %u of %u, then batches of %u",
					 step->level, step->probes, step->n, step->ef, step->batch);
			break;
		case STEP_NARROW:
			snprintf(what, sizeof(what), " %u", step->n);
			break;
		case STEP_RERANK:
			snprintf(what, sizeof(what), " %u, then %u%s%s", step->n, step->batch,
					 step->test ? ", tested" : "", step->over_bar ? ", over the bar" : "");
			break;
		case STEP_SWEEP:
			snprintf(what, sizeof(what), "%s", step->test ? ", tested" : "");
			break;
		case STEP_SETTLE:
			snprintf(what, sizeof(what), ", %.2g missed", step->misses);
			break;
		case STEP_FETCH:
		case STEP_TAKE:
			snprintf(what, sizeof(what), " %g", step->estimate);
			break;
		case STEP_ENTER:
			if (step->phase == PHASE_HELD)
				snprintf(what, sizeof(what), " %s, from %g", phases[step->phase], step->held);
			else
				snprintf(what, sizeof(what), " %s", phases[step->phase]);
			break;
		default:
			break;
	}
	snprintf(text, sizeof(text), "%s%s%s", kinds[step->kind], what,
			 step->batch_due ? ", batch due" : "");
	return text;
}

/* ---- the table ---- */

typedef struct Row
{
	const char *name;
	const char *state;
	const char *step;
} Row;

/*
 * 400 documents were narrowed and 100 reranked; code scores are sketch scores
 * +- .1, and these are the estimates of postings +- .1.
 */
#define LOOKED "level=1 narrowed=400 batch=128 fit=.1 gather_fit=.1 wanted_score=5 "

/* Enough documents above 5 are found. */
#define RERANKED LOOKED "settled=5 "

/*
 * Ten rows were fetched, whose scores are their estimates +- .1. The best and
 * the last likely one score 5.
 */
#define FETCHED RERANKED "ready=10@5 score_errors=10@0@.1 "

/* None of the ranked documents is expected to beat these rows. */
#define SETTLED FETCHED "ranked=54@4 "

/*
 * Are there enough documents above 5? At most one of ten may be missed, since the
 * work so far is the usual one: 100 + 400 + 100 * 16 is five times
 * 100 + 8 * 16 + 128 + 4 * 16.
 */
#define LOOKING LOOKED "live_docs=16384 settings.rerank=4 costs.rows=16 ranked=54@4 "

/*
 * Documents below 5 are not wanted. The best of the pool were reranked and
 * showed errors of .1 below the threshold.
 */
#define BELOW "threshold=5 " RERANKED "pool_below=1 sketch_errors=256@0@.1 "

static const Row rows[] = {
	/* the first steps */
	{"a search begins with probes", "",
	 "widen level 1: 8 probes, 128 of 10, then batches of 64, batch due"},
	{"the documents narrowed first come from 20 lists", "ndirections=1",
	 "widen level 1: 8 probes, 200 of 10, then batches of 64, batch due"},
	{"but they are at most 384", "ndirections=1 node_postings=20",
	 "widen level 1: 8 probes, 384 of 10, then batches of 64, batch due"},
	{"a batch follows a widening, whatever is expected of it",
	 "level=1 pool=400@1 batch_due=1 ranked=5@9", "rerank 64, then 128"},
	{"the batch is empty if nothing was found", "level=1 batch_due=1", "rerank 64, then 128"},
	{"without nodes, every document is narrowed", "nodes=0", "sweep, batch due"},
	{"every document is narrowed if the probes exceed the nodes", "nodes=7", "sweep, batch due"},
	{"a search begins with probes even if these are all nodes", "nodes=8",
	 "widen level 1: 8 probes, 128 of 10, then batches of 64, batch due"},
	{"every document is narrowed if twice the candidates exceed the documents",
	 "settings.candidates=5001", "sweep, batch due"},
	{"a sweep tests rows first if few pass the filter", "nodes=0 filtered=1 tested=80 passed=9",
	 "sweep, tested, batch due"},
	{"a sweep does not test rows first if one in eight passes",
	 "nodes=0 filtered=1 tested=80 passed=10", "sweep, batch due"},
	{"a sweep does not test rows first if the filter is unknown", "nodes=0 filtered=1",
	 "sweep, batch due"},

	/* reranking that does not depend on expectations */
	{"an empty ranked level is filled from the pool", RERANKED "pool=300@1",
	 "rerank 128, then 256"},
	{"batches double, up to the limit of memory", RERANKED "pool=300@1 batch_limit=200",
	 "rerank 128, then 200"},
	{"a batch tests rows first if fewer than half pass",
	 RERANKED "pool=300@1 filtered=1 tested=9 passed=4 narrowed=9999",
	 "rerank 128, then 256, tested"},
	{"a batch does not test rows of a tested pool again",
	 RERANKED "pool=300@1 filtered=1 tested=9 passed=4 narrowed=9999 pool_tested=1",
	 "rerank 128, then 256"},
	{"a batch does not test rows first if half pass",
	 RERANKED "pool=300@1 filtered=1 tested=8 passed=4 narrowed=9999", "rerank 128, then 256"},

	/* widening by depth, not only when nothing is left (191731a) */
	{"the first rows do not widen the search", SETTLED "pool=10@0 depth=64", "give"},
	{"a deeper search narrows twelve documents per row", SETTLED "depth=65",
	 "widen level 2: 32 probes, 1600 of 40, then batches of 65, batch due"},
	{"waiting documents are narrowed before a widening", SETTLED "depth=65 waiting=50@0",
	 "narrow 50, batch due"},
	{"after a widening, batches start from the depth, not from their last size (cc2f6e1)",
	 SETTLED "depth=100 batch=9999",
	 "widen level 2: 32 probes, 1600 of 40, then batches of 100, batch due"},
	{"a widening for a large depth skips widths that are too small",
	 SETTLED "depth=140 nodes=99999 live_docs=99999",
	 "widen level 3: 128 probes, 6400 of 160, then batches of 128, batch due"},
	{"a widening that needs more than a quarter of the nodes becomes a sweep",
	 SETTLED "depth=65 nodes=127", "sweep, batch due"},
	{"a widening that exceeds work_mem becomes a sweep", SETTLED "depth=65 memory=300000",
	 "sweep, batch due"},
	{"the first width ignores work_mem", "memory=1",
	 "widen level 1: 8 probes, 128 of 10, then batches of 64, batch due"},
	{"the first width is that of the settings, whatever the depth",
	 "depth=1000 nodes=99999 live_docs=99999",
	 "widen level 1: 8 probes, 128 of 10, then batches of 64, batch due"},
	{"a filter increases the expected depth", RERANKED "filtered=1 tested=40 passed=4 pool=9@0",
	 "widen level 2: 32 probes, 1600 of 40, then batches of 80, batch due"},
	{"the fraction passing a filter is estimated with one more passing row: 1 of 7",
	 RERANKED "filtered=1 tested=6 passed=0 pool=9@0", "rerank 128, then 256, tested"},
	{"the fraction passing a filter is estimated with one more passing row: 1 of 8",
	 RERANKED "filtered=1 tested=7 passed=0 pool=9@0",
	 "widen level 2: 32 probes, 1600 of 40, then batches of 70, batch due"},
	{"a search without documents left widens", RERANKED "ready=3@5",
	 "widen level 2: 32 probes, 1600 of 40, then batches of 64, batch due"},
	{"a complete search does not widen", RERANKED "complete=1 ready=3@5", "give"},
	{"after a sweep that dropped documents, half a pool is reranked",
	 "pool_limit=1000 pool_dropped=1 swept=1 depth=9999 " RERANKED "pool=500@1",
	 "rerank 128, then 256"},
	{"after a sweep that dropped documents, less than half a pool causes another sweep",
	 "pool_limit=1000 pool_dropped=1 swept=1 nodes=0 " RERANKED "pool=499@1 ranked=3@1",
	 "sweep, batch due"},

	/* choice of the row to fetch */
	{"the best ranked document is fetched", RERANKED "ranked=64@9", "fetch 9"},
	{"fewer than eight errors are not trusted",
	 RERANKED "ready=10@5 score_errors=7@0@.1 ranked=9@1", "fetch 1"},
	{"without a ready row, no document is passed over",
	 RERANKED "score_errors=20@0@.1 ranked=9@1 has_contender=0", "fetch 1"},
	{"a document that may beat the next row is fetched", FETCHED "ranked=9@4.7", "fetch 4.7"},
	{"with ten errors the bound is 4.2 deviations", FETCHED "ranked=9@4.57", "give"},
	{"with many errors the bound is 3 deviations",
	 RERANKED "ready=10@5 score_errors=9999@0@.1 ranked=9@4.69", "give"},
	{"with many errors a document within 3 deviations is fetched",
	 RERANKED "ready=10@5 score_errors=9999@0@.1 ranked=9@4.705", "fetch 4.705"},
	{"a positive mean error raises the bound",
	 RERANKED "ready=10@5 score_errors=9999@.5@.1 ranked=9@4.3", "fetch 4.3"},
	{"a line with errors that are not skewed does not raise the bound",
	 RERANKED "ready=10@5 score_errors=9999@-.4@.1 score_line=0@0 ranked=9@4.8", "give"},
	{"a line with errors skewed to the right raises the bound of poor estimates",
	 RERANKED "ready=10@5 score_errors=9999@-.4@.1 score_line=0@2 ranked=9@4.8", "fetch 4.8"},
	{"but not beyond the deviations of the skewed distribution",
	 "has_codes=0 " RERANKED "ready=10@5.2 score_errors=9999@-.4@.1 score_line=0@2 ranked=9@4.8",
	 "give"},
	{"errors are at least the rounding errors of float4 sums (69bd267)",
	 RERANKED "ready=10@5 score_errors=10@0@0 ranked=9@4.99998", "fetch 4.99998"},
	{"ready rows beyond a batch are given", "batch_limit=10 " FETCHED "ranked=9@9", "give"},

	/* copies (c7fe8d8) */
	{"copies of a document do not tell the errors of others",
	 "has_codes=0 " RERANKED "ready=10@5 score_errors=7@0@.1 copies=90 ranked=9@1", "fetch 1"},
	{"but 1,024 copies, below a threshold, end the wait for other errors",
	 "has_codes=0 " RERANKED "ready=10@5 score_errors=7@0@.1 copies=1024 ranked=9@1", "give"},
	{"if all ranked documents are known copies, others come from the pool",
	 "has_codes=0 " SETTLED
	 "settled=5 ready=10@5 score_errors=1@0@0 copies=9 ranked=99@6 has_contender=0 pool=20@1",
	 "rerank 128, then 256"},
	{"but not if 512 are ranked",
	 "has_codes=0 " SETTLED
	 "settled=5 ready=10@5 score_errors=1@0@0 copies=9 ranked=512@6 has_contender=0 pool=20@1",
	 "give"},
	{"nor if eight errors are known",
	 "has_codes=0 " SETTLED
	 "settled=5 ready=10@5 score_errors=8@0@.1 copies=9 ranked=99@6 has_contender=0 pool=20@1",
	 "give"},
	{"nor for the small errors of codes",
	 SETTLED
	 "settled=5 ready=10@5 score_errors=1@0@0 copies=9 ranked=99@6 has_contender=0 pool=20@1",
	 "give"},
	{"copies that score no more than the next row are passed over",
	 FETCHED "ranked=9@6 score_tie=6@5 contender=4.7", "fetch 4.7"},
	{"copies that score more are fetched, whatever is expected",
	 FETCHED "ranked=9@2 score_tie=2@5.1", "fetch 2"},
	{"copies in the pool count by their known score: above", LOOKING "sketch_tie=1@5.5 pool=20@1",
	 "rerank 20, then 128, over the bar"},
	{"copies in the pool count by their known score: not above",
	 LOOKING "sketch_tie=9@4.5 pool=20@9", "settle, 0 missed"},
	{"code scores of copies are replaced by known exact scores",
	 LOOKING "ready=10@5 sketch_tie=1@5.5 score_tie=5.5@5 pool=20@1", "settle, 0 missed"},

	/* are enough documents found? (recall.c) */
	{"errors of estimates are learned first", "level=1 narrowed=64 ranked=5@4 waiting=900@3",
	 "narrow 64"},
	{"errors of sketch scores are learned first", "level=1 ranked=5@4 gather_fit=.1 pool=300@1",
	 "rerank 16, then 64, over the bar"},
	{"nothing is learned from copies whose score is known",
	 "level=1 ranked=5@4 gather_fit=.1 wanted_score=5 sketch_tie=1@0 pool=300@1",
	 "settle, 0 missed"},
	{"reranking goes on while more than one of ten is expected to be missed: 5.8% of 20",
	 LOOKING "pool=20@4.85", "rerank 20, then 128, over the bar"},
	{"reranking stops below one of ten: 4.7% of 20", LOOKING "pool=20@4.84", "settle, 0.93 missed"},
	{"a higher recall allows less", LOOKING "recall=.95 pool=20@4.84",
	 "rerank 20, then 128, over the bar"},
	{"a few documents may be far above their estimates", LOOKING "fit_skewness=2 pool=20@4.7",
	 "settle, 0.25 missed"},
	{"skewness that errors have by chance does not count", LOOKING "fit_skewness=.6 pool=20@4.7",
	 "settle, 0.016 missed"},
	{"nor does that of documents far below their estimates", LOOKING "fit_skewness=-2 pool=20@4.7",
	 "settle, 0.016 missed"},
	{"a larger LIMIT allows more, after the work that is usual for it",
	 LOOKING "likely_rows=20 narrowed=1270 pool=20@4.85", "settle, 1.2 missed"},
	{"a step reranks at most half of the documents reranked before", LOOKING "pool=200@4.9",
	 "rerank 50, then 128, over the bar"},
	{"the last step leaves the allowed misses", LOOKING "pool=20@4.85 worse=20@4.82",
	 "rerank 20, then 128, over the bar"},
	{"only the share that passes a filter is missed",
	 LOOKING "filtered=1 tested=3 passed=1 pool=20@4.8", "settle, 0.18 missed"},
	{"every document of a tested pool passes",
	 LOOKING "filtered=1 tested=3 passed=1 pool=20@4.8 pool_tested=1",
	 "rerank 20, then 128, over the bar"},
	{"rows that pass a filter lower the bar",
	 LOOKING "filtered=1 tested=9 passed=9 ready=10@5 ready_likely=3 score_errors=10@0@.1 "
			 "pool=20@2.9",
	 "rerank 20, then 128, over the bar"},
	{"rows in hand lower the bar if others are gone",
	 LOOKING "gone=1 ready=10@5 ready_likely=3 score_errors=10@0@.1 pool=20@2.9",
	 "rerank 20, then 128, over the bar"},
	{"and not otherwise", LOOKING "ready=10@5 ready_likely=3 score_errors=10@0@.1 pool=20@2.9",
	 "settle, 0 missed"},
	{"rows above their estimates lower the bar",
	 LOOKING "filtered=1 tested=9 passed=9 ready=10@5 score_errors=10@.5@.1 pool=20@4.4",
	 "rerank 20, then 128, over the bar"},
	{"documents without an estimate are reranked (e0aad64)", LOOKING "pool=3@inf",
	 "rerank 3, then 128, over the bar"},
	{"documents with sketches from before the first merge are reranked (d4cd091)",
	 LOOKING "pool=3@3.4028235e38", "rerank 3, then 128, over the bar"},
	{"without codes, documents from before the first merge are fetched first",
	 FETCHED "ranked=9@3.4028235e38", "fetch 3.40282e+38"},
	{"no more documents are ranked than fit in memory", "batch_limit=54 " LOOKING "pool=20@9",
	 "settle, 0 missed"},
	{"waiting documents are narrowed, at most as many as before", LOOKING "waiting=2900@5",
	 "narrow 400"},
	{"only documents that are worth it are narrowed", LOOKING "waiting=300@5", "narrow 300"},
	{"narrowing stops if few of them are expected above the bar", LOOKING "waiting=900@4.5",
	 "settle, 0.022 missed"},
	{"narrowing stops if the user set candidates", LOOKING "may_narrow_more=0 waiting=900@5",
	 "settle, 74 missed"},
	{"with a quarter of all documents narrowed, nearly twice as many waiting ones are expected",
	 LOOKING "may_narrow_more=0 narrowed=4096 waiting=900@5", "settle, 1.4e+02 missed"},
	{"narrowing stops after a sweep", LOOKING "swept=1 waiting=900@5", "settle, 74 missed"},
	{"lists are doubled if half of them had missed many of the best",
	 LOOKING "probes=8 found=32 late_share=.2",
	 "widen level 1: 16 probes, 0 of 16, then batches of 128"},
	{"if the user set candidates, these are narrowed again",
	 LOOKING "may_narrow_more=0 probes=8 late_share=.2",
	 "widen level 1: 16 probes, 400 of 16, then batches of 128"},
	{"lists are not doubled if half of them had missed few of the best",
	 LOOKING "probes=8 late_share=.1", "settle, 0.75 missed"},
	{"lists are not doubled if the user set probes",
	 LOOKING "may_gather_more=0 probes=8 late_share=.2", "settle, 1.5 missed"},
	{"lists are not doubled if all documents are narrowed",
	 LOOKING "complete=1 probes=8 late_share=.2", "settle, 1.5 missed"},
	{"lists are not doubled if a sweep dropped documents",
	 LOOKING "pool=60000@0 pool_dropped=1 probes=8 late_share=.2", "settle, 1.5 missed"},
	{"lists are not doubled beyond the nodes", LOOKING "nodes=15 probes=8 late_share=.2",
	 "settle, 1.5 missed"},
	{"lists are not doubled beyond work_mem", LOOKING "memory=1 probes=21 late_share=.2",
	 "settle, 1.5 missed"},
	{"a few lists ignore work_mem", LOOKING "memory=1 probes=20 late_share=.2",
	 "widen level 1: 40 probes, 0 of 40, then batches of 128"},
	{"misses that the search may not avoid leave less to the others",
	 LOOKING "may_gather_more=0 probes=8 late_share=.1 pool=20@4.83",
	 "rerank 20, then 128, over the bar"},
	{"but a quarter is left to them",
	 LOOKING "may_gather_more=0 probes=8 late_share=1 pool=20@4.75", "settle, 7.6 missed"},
	{"the action with the most finds per microsecond: narrowing",
	 LOOKING "pool=20@4.9 waiting=900@4.9", "narrow 400"},
	{"the action with the most finds per microsecond: reranking",
	 LOOKING "pool=20@4.9 waiting=900@4.6", "rerank 20, then 128, over the bar"},
	{"once enough is found, the search does not ask again", SETTLED "pool=20@9", "give"},
	{"a search that has done little may miss less", LOOKING "costs.rows=0 pool=20@4.82",
	 "rerank 20, then 128, over the bar"},
	{"and one that has done much may miss more", LOOKING "costs.rows=1000 pool=20@4.88",
	 "settle, 2.1 missed"},
	{"unless no miss is allowed", LOOKING "recall=1 costs.rows=1000 pool=20@4.6",
	 "rerank 20, then 128, over the bar"},

	/* a share of the documents (siblings.h) */
	{"an index with a share of the documents narrows fewer first", "share=.25",
	 "widen level 1: 8 probes, 32 of 10, then batches of 64, batch due"},
	{"the misses of other searches leave less to this one",
	 "share=.5 other_misses=.5 " LOOKING "pool=20@4.84", "rerank 20, then 128, over the bar"},
	{"but a quarter of its share is left to it", "share=.5 other_misses=9 " LOOKING "pool=20@4.76",
	 "settle, 0.12 missed"},
	{"a sixteenth of the documents expects all of its waiting ones that the estimates do",
	 "share=.0625 " LOOKING "may_narrow_more=0 waiting=900@5", "settle, 4.5e+02 missed"},
	{"an eighth most of them", "share=.125 " LOOKING "may_narrow_more=0 waiting=900@5",
	 "settle, 2.9e+02 missed"},
	{"however low the target, half of the wanted documents may be missed",
	 LOOKING "recall=.5 costs.rows=64 pool=20@4.97", "rerank 20, then 128, over the bar"},
	{"after so much work, nearly half of them", LOOKING "recall=.5 costs.rows=64 pool=20@4.93",
	 "settle, 4.6 missed"},
	{"a search alone may miss what its share allows: one of the six that are wanted here",
	 "share=.25 known_share=.25 " LOOKING "pool=20@4.81", "settle, 0.46 missed"},
	{"lists are not doubled for wanted documents that others have",
	 "share=.25 own_wanted=3 " LOOKING "probes=8 late_share=.2", "settle, 0.41 missed"},
	{"a row that the merge asks for ahead does not lower the bar",
	 "share=.5 " RERANKED
	 "returned=3 others_taken=3 ready=9@4 ready_likely=5 score_errors=10@0@.1 ranked=9@2 "
	 "pool=20@3.9",
	 "give"},
	{"once the wanted rows are taken, the next row lowers the bar",
	 "share=.5 " RERANKED
	 "returned=3 others_taken=7 ready=9@4 score_errors=10@0@.1 ranked=9@2 pool=20@3.9",
	 "rerank 20, then 128, over the bar"},
	{"it asks again if the next row scores less than the bar",
	 RERANKED "returned=1 ready=9@4 score_errors=10@0@.1 ranked=9@2 pool=20@3.9",
	 "rerank 20, then 128, over the bar"},
	{"it asks again if more rows are wanted", SETTLED "returned=10 wanted_score=4.8 pool=20@4.75",
	 "rerank 20, then 128, over the bar"},
	{"without codes, it asks again if rows in hand lower the bar",
	 SETTLED "has_codes=0 ready_likely=4 pool=20@3.9", "rerank 20, then 128, over the bar"},

	/* thresholds */
	{"all documents estimated to reach a threshold are reranked in batches",
	 "threshold=5 " RERANKED "pool=300@6", "rerank 128, then 256"},
	{"a batch has only documents estimated to reach the threshold",
	 "threshold=5 " RERANKED "pool=30@6", "rerank 30, then 256"},
	{"below the threshold, errors of sketches are learned again",
	 "threshold=5 " RERANKED "pool=300@4", "relearn sketches"},
	{"errors above the threshold do not exclude the rest of the pool",
	 "threshold=5 sketch_errors=64@0@.1 " RERANKED "pool=300@4", "relearn sketches"},
	{"errors below the threshold are learned from a sample",
	 "threshold=5 pool_below=1 " RERANKED "pool=300@4", "rerank 256, then 256"},
	{"the rest of the pool is dropped if it is out of reach", BELOW "pool=300@4.6", "drop pool"},
	{"the rest of the pool is reranked if it is within reach", BELOW "pool=300@4.8",
	 "rerank 256, then 256"},
	{"a pool that has grown above the threshold is not dropped (70336de)", BELOW "pool=300@5.5",
	 "rerank 128, then 256"},
	{"a pool that is out of reach is not reranked for the next row",
	 BELOW "pool=300@4.6 ready=10@6 ready_likely=4.5 score_errors=10@0@.1 ranked=9@5.2",
	 "settle, 0 missed"},
	{"an empty pool is dropped once after a sweep, which completes the search", BELOW "swept=1",
	 "drop pool"},
	{"a complete search below the threshold ends", BELOW "swept=1 complete=1", "end"},
	{"with a threshold and an order, a sweep follows the probes", "threshold=5 " RERANKED,
	 "sweep, batch due"},
	{"with a threshold and no order, a sweep comes first", "threshold=5 ordered=0",
	 "sweep, batch due"},
	{"documents below a threshold are not wanted", "threshold=6 " LOOKING "ranked=9@6 pool=20@5",
	 "settle, 0 missed"},
	{"the first ranked document below the threshold resets the errors of scores",
	 "threshold=4.5 " SETTLED, "relearn scores"},
	{"ranked documents below the threshold are fetched until enough errors are known",
	 "threshold=5 settled=5 ranked_below=1 score_errors=31@0@.1 ranked=9@4", "fetch 4"},
	{"ranked documents out of reach of the threshold are dropped",
	 "threshold=5 ranked_below=1 score_errors=32@0@.1 ranked=9@4.6", "drop ranked"},
	{"ranked documents within reach of the threshold are fetched",
	 "threshold=5 settled=5 ranked_below=1 score_errors=32@0@.1 ranked=9@4.8", "fetch 4.8"},
	{"without codes, the pool is dropped together with the ranked documents",
	 "threshold=5 ranked_below=1 has_codes=0 score_errors=32@0@.1 ranked=9@4.6", "drop all"},
	{"without codes, copies below the threshold do not tell the errors of others",
	 "threshold=5 settled=5 ranked_below=1 has_codes=0 score_errors=31@0@.1 copies=90 ranked=9@4",
	 "fetch 4"},
	{"1,024 copies end the wait for other errors",
	 "threshold=5 ranked_below=1 has_codes=0 score_errors=2@0@.1 copies=1024 ranked=9@4",
	 "drop all"},
	{"the small errors of codes need not be known",
	 "threshold=5 ranked_below=1 score_errors=2@0@.1 copies=30 ranked=9@4", "drop ranked"},
	{"without codes, documents within reach of the line are fetched",
	 "threshold=5 settled=5 ranked_below=1 has_codes=0 score_errors=9999@-.4@.1 score_line=0@2 "
	 "ranked=9@4.8",
	 "fetch 4.8"},
	{"but not those below the skewed distribution",
	 "threshold=5.2 ranked_below=1 has_codes=0 score_errors=9999@-.4@.1 score_line=0@2 "
	 "ranked=9@4.8",
	 "drop all"},

	/* unordered rows */
	{"without an order, rows above the threshold are given unfetched",
	 "threshold=5 ordered=0 ranked=9@5", "take 5"},
	{"without an order, documents below the threshold are fetched",
	 "threshold=5 ordered=0 ranked_below=1 ranked=9@4.9", "fetch 4.9"},
	{"without an order, ready rows are given at once",
	 "threshold=5 ordered=0 ranked_below=1 ranked=9@4.9 ready=1@5.1", "give"},
	{"without an order, batches are as large as memory allows",
	 "threshold=5 ordered=0 level=1 pool=9999@6", "rerank 9999, then 128"},
	{"without an order, the search ends when nothing is left", "ordered=0 complete=1", "end"},

	/* rows that must not be late (a680a50) */
	{"rows that must not be late are searched like others", "need_rows=20 " FETCHED "ranked=9@4.7",
	 "fetch 4.7"},
	{"rows that must not be late are held back", "need_rows=20 " SETTLED, "enter hold"},
	{"while rows are held back, ranked documents are fetched until enough are ready",
	 "need_rows=20 phase=hold " SETTLED, "fetch 4"},
	{"while rows are held back, documents that may beat the last one are fetched",
	 "need_rows=10 phase=hold bar=4.2 " SETTLED, "fetch 4"},
	{"while rows are held back, documents of the pool that may beat the last one are reranked",
	 "need_rows=10 phase=hold bar=4.9 " SETTLED "wanted_score=4.9 pool=9@4.9",
	 "rerank 9, then 128, over the bar"},
	{"held rows at the bar and above are given",
	 "need_rows=10 phase=hold bar=4.9 " SETTLED "settled=4.9", "enter held, from 4.9"},
	{"all held rows are given if nothing else is left",
	 "need_rows=10 phase=hold bar=4.9 complete=1 " FETCHED, "enter held, from -inf"},
	{"no held rows are given if they exceed a batch",
	 "need_rows=9 phase=hold batch_limit=10 " FETCHED, "enter held, from inf"},
	{"held rows are given one by one", "need_rows=10 phase=held bar=4.9 " SETTLED, "give"},
	{"rows after the held ones come from a sort", "need_rows=10 phase=held bar=5.1 " SETTLED,
	 "enter sort"},
	{"the search ends if no rows follow the held ones", "need_rows=20 phase=held", "end"},
	{"if too many rows must not be late, the table is sorted", "need_rows=50000", "sort table"},
	{"with a threshold, only documents that reach it are sorted", "threshold=5 need_rows=50000",
	 "enter sort"},
	{"a sort fetches every ranked document", "phase=sort " SETTLED, "fetch 4"},
	{"a sort reranks all of the pool", "phase=sort " RERANKED "pool=9@0", "rerank 128, then 256"},
	{"a sort ends when nothing is left", "phase=sort complete=1", "enter sorted"},
	{"a search ends after its sorted rows", "phase=sorted", "end"},
};

/* Wanted rows among a share of the documents: 1.8 deviations more than on average, at least 1. */
static void
test_among(void)
{
	tap_ok(policy_among(10, 1) == 10, "all wanted rows are among all documents");
	tap_ok(policy_among(10, .25) == 5, "five of ten are among a quarter");
	tap_ok(policy_among(10, .0625) == 3, "three are among a sixteenth");
	tap_ok(policy_among(10, 1e-6) == 1, "one is among any documents");
	tap_ok(policy_among(3, .9) == 3, "never more than there are");
}

typedef struct Effort
{
	const char *name;
	const char *state;
	double      effort;
} Effort;

static const Effort efforts[] = {
	{"the usual work is an effort of 1", LOOKING, 1},
	{"an index without documents", LOOKING "live_docs=0 costs.rows=1000 narrowed=2500", 1},
	{"an effort is at least .2", LOOKING "costs.rows=0", .2},
	{"narrowed documents are work", LOOKING "costs.rows=0 narrowed=1680", 1},
	{"four times the rows usually take twice the work, and half of it is a quarter of the effort",
	 LOOKING "likely_rows=40", .25},
	{"thirty-two times the documents usually take twice the work", LOOKING "live_docs=524288", .25},
	{"documents of other indexes count as well",
	 LOOKING "share=.03125 may_narrow_more=0 settings.candidates=128", .25},
	{"twice the work is usual if half of the rows pass", LOOKING "filtered=1 tested=3 passed=1",
	 .25},
	{"an effort is at most 10", LOOKING "costs.rows=1000 narrowed=0", 10},
	{"with an eighth of all documents narrowed, half of what exceeds 1 counts",
	 LOOKING "costs.rows=1000 narrowed=2048", 5.5},
	{"with a quarter, none of it", LOOKING "costs.rows=1000 narrowed=4096", 1},
	{"nor if the search has a share of the documents", LOOKING "share=.25 costs.rows=1000", 1},
};

static void
test_effort(void)
{
	for (size_t i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++)
	{
		Case   c = read_case(efforts[i].state);
		double effort = recall_effort(&c.policy, &c.state);

		if (!tap_ok(fabs(effort - efforts[i].effort) < 1e-9, "%s", efforts[i].name))
			tap_diag("%g, not %g", effort, efforts[i].effort);
	}
}

int
main(void)
{
	test_among();
	test_effort();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		Case        c = read_case(rows[i].state);
		Step        step = policy_next(&c.policy, &c.state);
		const char *text = step_text(&step);
		bool        ok = strcmp(text, rows[i].step) == 0;

		tap_ok(ok, "%s", rows[i].name);
		if (!ok)
			tap_diag("%s, not %s", text, rows[i].step);
	}
	return tap_done();
}
