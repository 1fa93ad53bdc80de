/*-------------------------------------------------------------------------
 *
 * means.c
 *	  Gains of documents by the mean of their tokens.
 *
 * The lists say little about the query tokens that they do not name a document
 * for, and nothing about how near its tokens are within a list. The mean of all
 * its tokens says something about both. A document whose mean is nearer to the
 * query by some amount is expected to score higher by a part of that amount,
 * summed over the query tokens. For inner products this sum needs one score:
 * that of the sum of the query tokens.
 *
 * A mean takes 18 bytes for 128 dims, a fiftieth of the document's sketches,
 * and the means of 450 neighbours share a page.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "base/bins.h"
#include "base/vec.h"
#include "index/docstore.h"
#include "miscadmin.h"
#include "search/means.h"

/* Gain per difference of a mean's similarity. */
#define MEAN_PART 0.5f

/*
 * Maximum number of means that are read at a time: those of the documents of
 * the best estimates. The others get the average gain.
 */
#define MAX_MEANS 8192

/* Number of bins of the estimates of more documents. */
#define ESTIMATE_BINS 1024

/* Minimum distance of a miss, by the length of tokens. */
#define MIN_DISTANCE 0.05f

/*
 * Return the part of a direction's inner products that counts. For L2 it is
 * divided by the distance d of a miss, because d changes by 1 / d of the change
 * of |x - q|^2 / 2.
 */
static float
part_of(const IndexView *view, const WeightedTokens *directions, const MeanShares *shares,
		uint32 token)
{
	float length = view->index->meta.nodes.token_norm;
	float distance;

	if (view->metric != METRIC_L2 || !(directions->weights[token] > 0))
		return shares->shares[token];
	distance = -shares->misses[token] / directions->weights[token];
	return shares->shares[token] / Max(distance, Max(MIN_DISTANCE * length, FLT_MIN));
}

/* Return the largest weight. Weights count relative to it, so that equal ones count exactly 1. */
static float
largest_weight(const WeightedTokens *directions)
{
	float largest = 0;

	for (uint32 t = 0; t < directions->count; t++)
		largest = Max(largest, directions->weights[t]);
	return largest;
}

void
means_prepare(const IndexView *view, const SearchQuery *query, const MeanShares *shares,
			  MeanQuery *means)
{
	const WeightedTokens *directions = &query->directions;
	uint32                dim = view->dim;
	float                *sum = palloc0(dim * sizeof(float));
	float                *scratch = palloc((view->sketch.rotation->padded + 1) * sizeof(float));
	float                 unit = largest_weight(directions);
	float                 weights = 0;

	for (uint32 t = 0; unit > 0 && t < directions->count; t++)
	{
		float weight = directions->weights[t] / unit * part_of(view, directions, shares, t);

		weights += weight;
		for (uint32 k = 0; k < dim; k++)
			sum[k] += weight * directions->tokens[(size_t) t * dim + k];
	}
	for (uint32 k = 0; weights > 0 && k < dim; k++)
		sum[k] /= weights;
	*means = (MeanQuery) {.factor = MEAN_PART * weights * unit};
	means->sketch = sketch_query_prepare(
		&view->sketch, sum, 1,
		palloc_extended(sketch_query_size(&view->sketch, 1), MCXT_ALLOC_HUGE), scratch);
	pfree(sum);
	pfree(scratch);
}

void
means_free(MeanQuery *means)
{
	if (means->sketch != NULL)
		pfree(means->sketch);
	*means = (MeanQuery) {0};
}

/* ---- choosing documents ---- */

/* Return the least estimate of the best n documents, approximately. */
static float
least_estimate(const SummedDoc *docs, uint32 count, uint32 n)
{
	uint32 counts[ESTIMATE_BINS] = {0};
	uint32 bin = ESTIMATE_BINS;
	uint32 above = 0;
	float  highest = 0;
	Bins   bins;

	for (uint32 i = 0; i < count; i++)
		highest = Max(highest, docs[i].estimate);
	bins = bins_of(0, highest, ESTIMATE_BINS);
	for (uint32 i = 0; i < count; i++)
		counts[bins_find(&bins, docs[i].estimate)]++;
	while (bin > 0 && above + counts[bin - 1] <= n)
		above += counts[--bin];
	return bin == 0 ? -FLT_MAX : highest * (float) bin / ESTIMATE_BINS;
}

/* Means to read: places of documents, in the order of their pages. */
typedef struct MeanList
{
	uint32 *places;
	float  *scores; /* of the places */
	uint32  count;
} MeanList;

/*
 * List the documents of at least this estimate by the pages of their means. All
 * documents exist.
 */
static void
list_by_page(ColbertIndex *index, const SummedDoc *docs, uint32 n, float least, MeanList *list)
{
	uint32  per_page = parray_per_page(index, ARRAY_MEANS);
	uint32  npages = parray_nitems(index, ARRAY_MEANS) / per_page + 1;
	uint32 *starts = palloc0(mul_size((Size) npages + 1, sizeof(uint32)));

	for (uint32 i = 0; i < n; i++)
		if (docs[i].estimate >= least)
			starts[docs[i].doc / per_page + 1]++;
	for (uint32 page = 0; page < npages; page++)
		starts[page + 1] += starts[page];
	list->count = starts[npages];
	list->places = palloc_extended(mul_size(Max(list->count, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	list->scores = palloc_extended(mul_size(Max(list->count, 1), sizeof(float)), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < n; i++)
		if (docs[i].estimate >= least)
			list->places[starts[docs[i].doc / per_page]++] = i;
	pfree(starts);
}

/* ---- scores ---- */

/* The documents whose means are scored, and the rows of up to 16 of them. */
typedef struct MeanScoring
{
	IndexView       *view;
	const MeanQuery *means;
	const SummedDoc *docs;
	MeanList         list;
	uint8           *lanes;
	uint32           nlanes;
} MeanScoring;

/* Score the means in the lanes; they are those before this item of the list. */
static void
score_lanes(MeanScoring *scoring, uint32 end)
{
	float scores[SKETCH_BLOCK_TOKENS];

	kernels->sketch_scores(scoring->means->sketch, 0, scoring->lanes, scores);
	memcpy(scoring->list.scores + end - scoring->nlanes, scores, scoring->nlanes * sizeof(float));
	scoring->nlanes = 0;
}

/* Read and score the means of items from .. to - 1 of the list, which share one page. */
static void
score_page(MeanScoring *scoring, uint32 from, uint32 to)
{
	/* A page that nothing was written to. */
	static const uint8 empty[PAGE_PAYLOAD] = {0};

	const SketchParams *sketch = &scoring->view->sketch;
	ColbertIndex       *index = scoring->view->index;
	const uint32       *places = scoring->list.places;
	uint32              first = scoring->docs[places[from]].doc;
	size_t              size = sketch_row_size(sketch);
	char               *data;
	Buffer              buffer;

	first -= first % parray_per_page(index, ARRAY_MEANS);
	buffer = parray_read(index, ARRAY_MEANS, first, &data);
	for (uint32 i = from; i < to; i++)
	{
		const uint8 *rows = data != NULL ? (const uint8 *) data : empty;

		sketch_row_to_lane(sketch, rows + (scoring->docs[places[i]].doc - first) * size,
						   scoring->nlanes++, scoring->lanes);
		if (scoring->nlanes == SKETCH_BLOCK_TOKENS)
			score_lanes(scoring, i + 1);
	}
	UnlockReleaseBuffer(buffer);
}

static void
score_means(MeanScoring *scoring)
{
	const SummedDoc *docs = scoring->docs;
	ColbertIndex    *index = scoring->view->index;
	const uint32    *places = scoring->list.places;
	uint32           count = scoring->list.count;
	uint32           per_page = parray_per_page(index, ARRAY_MEANS);

	scoring->lanes = palloc0(sketch_block_size(&scoring->view->sketch));
	for (uint32 from = 0, to; from < count; from = to)
	{
		uint32 page = docs[places[from]].doc / per_page;

		CHECK_FOR_INTERRUPTS();
		for (to = from + 1; to < count && docs[places[to]].doc / per_page == page; to++)
			;
		if (to < count)
			parray_prefetch(index, ARRAY_MEANS, docs[places[to]].doc);
		score_page(scoring, from, to);
	}
	if (scoring->nlanes > 0)
		score_lanes(scoring, count);
	pfree(scoring->lanes);
}

/* ---- gains ---- */

/* Return the gain of a score. A score of a damaged page, which may be NaN, gains nothing. */
static inline float
gain_of(const MeanQuery *means, float score)
{
	float gain = means->factor * (score - means->floor);

	return gain > 0 && gain < FLT_MAX ? gain : 0;
}

/* Set the floor to the lowest score. */
static void
set_floor(MeanQuery *means, const MeanList *list)
{
	float lowest = FLT_MAX;

	if (means->has_floor || list->count == 0)
		return;
	for (uint32 i = 0; i < list->count; i++)
		if (list->scores[i] > -FLT_MAX)
			lowest = Min(lowest, list->scores[i]);
	means->floor = lowest;
	means->has_floor = true;
}

void
means_add(IndexView *view, MeanQuery *means, SummedDoc *docs, uint32 n)
{
	float       least = n > MAX_MEANS ? least_estimate(docs, n, MAX_MEANS) : -FLT_MAX;
	MeanScoring scoring = {.view = view, .means = means, .docs = docs};
	MeanList   *list = &scoring.list;
	double      gains = 0;
	float       average;

	list_by_page(view->index, docs, n, least, list);
	score_means(&scoring);
	set_floor(means, list);
	for (uint32 i = 0; i < list->count; i++)
		gains += list->scores[i] = gain_of(means, list->scores[i]);
	average = list->count > 0 ? (float) (gains / list->count) : 0;
	for (uint32 i = 0; i < n; i++)
		if (docs[i].estimate < least)
			docs[i].estimate += average;
	for (uint32 i = 0; i < list->count; i++)
		docs[list->places[i]].estimate += list->scores[i];
	pfree(list->places);
	pfree(list->scores);
}
