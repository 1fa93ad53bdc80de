/*-------------------------------------------------------------------------
 *
 * descent.c
 *	  The choice of settings to try.
 *
 * The first trial leaves all settings to the index. Then the index is given
 * other recalls to aim at, because what it finds may differ from its aim.
 *
 * Fixed widths follow: a ladder on which all of them double from rung to rung.
 * It starts far below the index's choice and ends at the first rung that
 * reaches the target; one more rung shows the price of more recall. From there
 * the search descends: one setting lower, or one lower and another higher, as
 * long as that is cheaper and still reaches the target. Steps are halves first,
 * then quarters. Settings that cannot reach the target are given up as soon as
 * that is clear.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "tune/tune.h"

/* The settings that vary: nodes probed per query token, documents narrowed, documents reranked. */
typedef enum Axis
{
	AXIS_WIDTH,
	AXIS_CANDIDATES,
	AXIS_RERANK,
	AXIS_COUNT
} Axis;

typedef struct Point
{
	uint32 at[AXIS_COUNT];
} Point;

/* Maximum settings: the options' limits (access/options.c). */
#define MAX_EF_SEARCH 10000
#define MAX_PROBES    1048576
#define MAX_DOCUMENTS 10000000

/* The ladder starts at the index's own choice divided by this. */
#define FIRST_RUNG 8

/*
 * The ladder also ends after BARREN_RUNGS doublings in a row that each gained
 * less recall than BARREN_GAIN.
 */
#define BARREN_RUNGS 2
#define BARREN_GAIN  1e-3

/* Settings count as cheaper if they take at most this fraction of the time, since clocks err. */
#define CHEAPER 0.98

/*
 * Searches that aim at a recall adapt to queries and table. Fixed widths are
 * chosen only if they take at most this fraction of the time, and another aim
 * than the index's own only on the same condition.
 */
#define CHEAPER_THAN_ADAPTIVE 0.95

/*
 * Finalists: the settings that reach the target within this multiple of the
 * least time are timed again in turns, up to MAX_FINALISTS.
 */
#define NEARLY_CHEAPEST 1.3
#define MAX_FINALISTS   5

/* Maximum number of trials in the descent. */
#define MAX_TRIALS 100

/* ---- points ---- */

/* Return the number of answers that a part has on average, at least 1. */
static int
rows_of_part(const Tune *tune)
{
	return Max(tune->k / tune->nparts, 1);
}

static uint32
least_on(const Tune *tune, Axis axis)
{
	switch (axis)
	{
		case AXIS_CANDIDATES:
			return Min(2 * (uint32) rows_of_part(tune), MAX_DOCUMENTS);
		case AXIS_RERANK:
			return rows_of_part(tune);
		default:
			return 1;
	}
}

static uint32
most_on(const Tune *tune, Axis axis)
{
	uint32 most;

	if (axis == AXIS_WIDTH)
		most = Min(tune->nodes,
				   colbert_finder(tune->index) == FINDER_HNSW ? MAX_EF_SEARCH : MAX_PROBES);
	else
		most = Min(tune->docs, MAX_DOCUMENTS);
	return Max(most, least_on(tune, axis));
}

/*
 * Limit a point to valid settings on every axis. At most as many documents are
 * reranked as narrowed.
 */
static Point
clamp(const Tune *tune, Point point)
{
	for (int axis = 0; axis < AXIS_COUNT; axis++)
		point.at[axis] = Min(Max(point.at[axis], least_on(tune, axis)), most_on(tune, axis));
	point.at[AXIS_RERANK] = Min(point.at[AXIS_RERANK], point.at[AXIS_CANDIDATES]);
	return point;
}

static bool
same_point(const Point *a, const Point *b)
{
	return memcmp(a, b, sizeof(Point)) == 0;
}

/*
 * Convert a point to settings. colbert_hnsw probes all nodes that a graph
 * search with ef_search finds.
 */
static SearchSettings
settings_at(const Tune *tune, const Point *point)
{
	SearchSettings settings = {.candidates = point->at[AXIS_CANDIDATES],
							   .rerank = point->at[AXIS_RERANK]};

	if (colbert_finder(tune->index) == FINDER_HNSW)
		settings.ef_search = point->at[AXIS_WIDTH];
	else
		settings.probes = point->at[AXIS_WIDTH];
	return settings;
}

static Trial *
try_point(Tune *tune, const Point *point, Trial *rival)
{
	SearchSettings settings = settings_at(tune, point);

	return tune_try(tune, &settings, rival);
}

/* ---- aims ---- */

/* The recalls to aim at, ascending. The index's own is between two of them. */
static const double aims[] = {0.5,  0.6,  0.7,  0.75, 0.8,   0.85,  0.9,   0.925,
							  0.95, 0.96, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999};

/* Return the trial of the lowest aim that reaches the target, or NULL. */
static Trial *
try_aims(Tune *tune)
{
	Trial *reached = NULL;
	int    low = 0;
	int    high = lengthof(aims);

	while (low < high)
	{
		int    middle = (low + high) / 2;
		Trial *trial = tune_try(tune, &(SearchSettings) {.recall = aims[middle]}, NULL);

		if (tune_reaches(tune, trial))
		{
			reached = trial;
			high = middle;
		}
		else
			low = middle + 1;
	}
	return reached;
}

/* ---- up ---- */

static Point
scaled(const Tune *tune, Point point, uint32 times, uint32 parts)
{
	for (int axis = 0; axis < AXIS_COUNT; axis++)
		point.at[axis] = (uint32) Min((uint64) point.at[axis] * times / parts, MAX_DOCUMENTS);
	return clamp(tune, point);
}

/*
 * Climb to the first rung that reaches the target, and set *point to it.
 * Return NULL if none does.
 */
static Trial *
climb(Tune *tune, Point *point)
{
	SearchSettings automatic =
		budget_expected(tune->query_tokens, 1.0 / tune->nparts, &(SearchSettings) {0});
	double best = 0;
	int    barren = 0;
	Trial *reached = NULL;

	*point = (Point) {{automatic.probes, automatic.candidates, automatic.rerank}};
	*point = scaled(tune, *point, 1, FIRST_RUNG);
	for (;;)
	{
		Trial *trial = try_point(tune, point, NULL);
		Point  next = scaled(tune, *point, 2, 1);

		if (tune_reaches(tune, trial))
			reached = trial;
		barren = trial->recall < best + BARREN_GAIN ? barren + 1 : 0;
		best = Max(best, trial->recall);
		if (reached != NULL || barren == BARREN_RUNGS || same_point(&next, point))
			break;
		*point = next;
	}
	if (reached != NULL)
	{
		Point next = scaled(tune, *point, 2, 1);

		(void) try_point(tune, &next, NULL);
	}
	return reached;
}

/* ---- down ---- */

/* The size of a step: a setting changes to times / parts of its value. */
typedef struct Step
{
	uint32 times;
	uint32 parts;
} Step;

static uint32
stepped(uint32 value, Step step)
{
	uint32 next = (uint32) Min((uint64) value * step.times / step.parts, MAX_DOCUMENTS);

	return step.times < step.parts ? Min(next, value - 1) : Max(next, value + 1);
}

/*
 * Try a point. If it is cheaper than the best and reaches the target, make it
 * the best and return true.
 */
static bool
improve(Tune *tune, Point *point, Trial **best, Point next)
{
	Trial *trial;

	next = clamp(tune, next);
	if (same_point(&next, point) || list_length(tune->trials) >= MAX_TRIALS)
		return false;
	trial = try_point(tune, &next, *best);
	if (!tune_reaches(tune, trial) || trial->ms > (*best)->ms * CHEAPER)
		return false;
	*best = trial;
	*point = next;
	return true;
}

/* Take one step down on an axis or, if that does not help, combine it with a step up on another. */
static bool
step_down(Tune *tune, Point *point, Trial **best, Step step)
{
	Step back = {step.parts, step.times};

	for (int axis = 0; axis < AXIS_COUNT; axis++)
	{
		Point next = *point;

		next.at[axis] = stepped(next.at[axis], step);
		if (improve(tune, point, best, next))
			return true;
	}
	for (int pair = 0; pair < AXIS_COUNT * AXIS_COUNT; pair++)
	{
		Axis  down = pair / AXIS_COUNT;
		Axis  up = pair % AXIS_COUNT;
		Point next = *point;

		if (down == up)
			continue;
		next.at[down] = stepped(next.at[down], step);
		next.at[up] = stepped(next.at[up], back);
		if (improve(tune, point, best, next))
			return true;
	}
	return false;
}

/* ---- the choice ---- */

/* Return the trials that reach the target, cheapest first. The first trial is left out. */
static List *
reaching(Tune *tune)
{
	List *found = NIL;

	for (int i = 1; i < list_length(tune->trials); i++)
	{
		Trial *trial = list_nth(tune->trials, i);

		if (tune_reaches(tune, trial))
			found = lappend(found, trial);
	}
	list_sort(found, tune_cheapest_first);
	return found;
}

/*
 * Time the cheapest trials again, together with those that adapt: the index's
 * own choice, and the best aim unless it is NULL.
 */
static void
time_finalists(Tune *tune, List *found, Trial *aimed)
{
	List     *finalists = list_make1(linitial(tune->trials));
	ListCell *cell;

	if (aimed != NULL)
		finalists = lappend(finalists, aimed);
	foreach (cell, found)
	{
		Trial *trial = lfirst(cell);

		if (trial != aimed && trial->ms <= ((Trial *) linitial(found))->ms * NEARLY_CHEAPEST &&
			list_length(finalists) <= MAX_FINALISTS)
			finalists = lappend(finalists, trial);
	}
	tune_time(tune, finalists);
}

/* Return the trial that adapts, unless it misses the target or the other is clearly cheaper. */
static Trial *
prefer(const Tune *tune, Trial *adaptive, Trial *other)
{
	if (adaptive == NULL || !tune_reaches(tune, adaptive))
		return other;
	return other->ms > adaptive->ms * CHEAPER_THAN_ADAPTIVE ? adaptive : other;
}

Trial *
tune_descend(Tune *tune)
{
	static const Step steps[] = {{1, 2}, {3, 4}};
	Trial            *automatic = tune_try(tune, &(SearchSettings) {0}, NULL);
	Trial            *aimed = try_aims(tune);
	Point             point;
	Trial            *best = climb(tune, &point);
	List             *found;

	for (int i = 0; best != NULL && i < lengthof(steps); i++)
		while (step_down(tune, &point, &best, steps[i]))
			;
	found = reaching(tune);
	if (found == NIL)
		return tune_reaches(tune, automatic) ? automatic : NULL;
	time_finalists(tune, found, aimed);
	list_sort(found, tune_cheapest_first);
	return prefer(tune, automatic, prefer(tune, aimed, linitial(found)));
}
