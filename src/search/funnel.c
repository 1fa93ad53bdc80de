/*-------------------------------------------------------------------------
 *
 * funnel.c
 *	  The levels of a search.
 *
 * When the pool grows to twice its limit, the worse half is dropped, and the
 * dropped documents count as not seen. Only a sweep that dropped nothing has
 * seen every document. Until then, the sweep is repeated each time the pool
 * runs out. A search with little memory therefore takes longer, but has the
 * same result.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "base/array.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "search/funnel.h"
#include "utils/memutils.h"

/* With smaller lists, a search would make too little progress per sweep. */
#define MIN_POOL  4096
#define MIN_BATCH 1024

/*
 * Set the limits that depend on work_mem, and the initial state.
 *
 * Two lists take up to about work_mem each: the pool, which grows to twice its
 * limit in a list that doubles, and a batch of documents that are reranked and
 * fetched. Gathering takes about work_mem more during a widening.
 */
void
funnel_begin(Search *search)
{
	Size memory = (Size) work_mem * 1024;

	search->policy.memory = memory;
	search->policy.pool_limit =
		(uint32) Min(Max(memory / (4 * sizeof(Candidate)), MIN_POOL), PG_UINT32_MAX / 8);
	search->policy.batch_limit =
		(uint32) Min(Max(memory / (4 * sizeof(RankedDoc)), MIN_BATCH), PG_UINT32_MAX / 8);
	search->state.batch = search->policy.settings.rerank;
	search->state.bar = search->ready.bar = -INFINITY;
	search->state.pool_best = -FLT_MAX;
	search->seen = palloc_extended(parray_nitems(search->view->index, ARRAY_DOCS) / 8 + 1,
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* Return the number of ranked documents whose estimate is below this one. */
static uint32
count_below(const RankedList *ranked, float estimate)
{
	uint32 low = 0;
	uint32 high = ranked->count;

	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;

		if (ranked->items[middle].candidate.score < estimate)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Find the best estimate among the ranked documents that may beat the score in
 * doubt. Copies whose known score does not beat it are skipped. Returns false
 * if no document is left.
 */
static bool
find_contender(const Search *search, float *estimate)
{
	const RankedList *ranked = &search->ranked;
	const Ties       *ties = &search->state.score_ties;
	double            doubt = policy_doubt(&search->state);
	double            score;
	uint32            n = ranked->count;

	while (n > 0)
	{
		*estimate = ranked->items[n - 1].candidate.score;
		if (!ties_outcome(ties, *estimate, &score) || score > doubt)
			return true;
		n = count_below(ranked, *estimate);
	}
	return false;
}

/* ---- distinct sketch scores ---- */

#define MIN_FLOATS 64
#define MAX_FLOATS 16384

static uint32 *
find_float(uint32 *slots, uint32 size, uint32 bits)
{
	uint32 at = murmurhash32(bits) & (size - 1);

	while (slots[at] != 0 && slots[at] != bits)
		at = (at + 1) & (size - 1);
	return &slots[at];
}

static void
grow_floats(Search *search, FloatSet *set)
{
	uint32  size = Max(set->size * 2, MIN_FLOATS);
	uint32 *slots = MemoryContextAllocExtended(search->context, mul_size(size, sizeof(uint32)),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (uint32 i = 0; i < set->size; i++)
		if (set->bits[i] != 0)
			*find_float(slots, size, set->bits[i]) = set->bits[i];
	if (set->bits != NULL)
		pfree(set->bits);
	set->bits = slots;
	set->size = size;
}

bool
floats_add(Search *search, FloatSet *set, float value)
{
	uint32  bits;
	uint32 *slot;

	if (set->count >= MAX_FLOATS / 2)
		return true;
	if (set->count >= set->size / 2)
		grow_floats(search, set);
	memcpy(&bits, &value, sizeof(bits));
	slot = find_float(set->bits, set->size, bits + 1);
	if (*slot != 0)
		return false;
	*slot = bits + 1;
	set->count++;
	return true;
}

/* ---- the wanted documents ---- */

/* Return true if the code scores of other searches are comparable with those of this one. */
static bool
shares_codes(const Search *search)
{
	return search->siblings != NULL &&
		   search->siblings->code_codec == search->view->coder.codec->id;
}

void
funnel_add_codes(Search *search, const RankedDoc *docs, uint32 n)
{
	CandidateList *codes = &search->codes;

	if (!search->policy.ordered || search->state.phase > PHASE_HOLD)
		return;
	for (uint32 i = 0; i < n; i++)
	{
		if (!(fabsf(docs[i].candidate.score) < FLT_MAX))
			continue;
		candidates_add(codes, docs[i].candidate.doc, docs[i].candidate.score);
		if (shares_codes(search))
			siblings_add_code(search->siblings, docs[i].candidate.score);
	}
	if (codes->count / 2 < POLICY_MAX_WANTED)
		return;
	candidates_select(codes->items, codes->count, POLICY_MAX_WANTED);
	codes->count = POLICY_MAX_WANTED;
}

/* Number of best reranked documents that judge the lists: at least, and per wanted one. */
#define MIN_JUDGES     20
#define JUDGES_PER_ROW 2

/* The least of the judges if the index has a share of the documents. */
#define MIN_SHARE_JUDGES 8

static uint32
count_codes_from(const Search *search, double score)
{
	uint32 n = 0;

	for (uint32 i = 0; i < search->codes.count; i++)
		n += search->codes.items[i].score >= score;
	return n;
}

/* Fit the line of sketch scores over estimates. */
static void
fit_gathered(Search *search)
{
	PairSums others = {0};

	if (search->siblings != NULL)
	{
		others = search->siblings->pairs;
		pair_sums_add(&others, &search->pairs_left, -1);
	}
	search->state.gather_fit = skewed_fit(&search->narrowed.moments, &others, search->gather_prior);
}

/* Determine the score of the last wanted document. */
static void
find_wanted(Search *search)
{
	FunnelState *state = &search->state;
	Siblings    *siblings = search->siblings;
	double       share = search->policy.share;
	double       rows = policy_wanted(&search->policy, state);
	bool         shared = shares_codes(search);
	uint32 wanted = policy_among(rows, shared ? siblings->code_share / search->shards : share);
	double judges;

	if (!search->policy.ordered || state->phase > PHASE_HOLD ||
		(state->settled && wanted == search->wanted &&
		 (siblings == NULL || siblings->changes == search->changes ||
		  policy_goes_on(&search->policy, state))))
		return;
	search->wanted = wanted;
	search->changes = siblings != NULL ? siblings->changes : 0;
	state->wanted_score =
		shared ? siblings_nth_code(siblings, wanted) : candidates_nth(&search->codes, wanted);
	state->own_wanted = share < 1 ? count_codes_from(search, state->wanted_score) : wanted;
	fit_gathered(search);
	judges = Max(MIN_JUDGES, JUDGES_PER_ROW * rows);
	if (share < 1)
		judges = Max(judges * share, MIN_SHARE_JUDGES);
	if (search->gathered != NULL)
		state->late_share = gather_late_share(search, (uint32) judges);
}

/* Read the facts about the searches of the same round. */
static void
observe_siblings(Search *search)
{
	const Siblings *siblings = search->siblings;
	FunnelState    *state = &search->state;
	bool            gave = state->returned > 0;

	siblings_take_errors(siblings, search->view->coder.codec->id, state);
	state->known_share = siblings->share / search->shards;
	state->other_misses = Max(siblings->misses - state->settled_misses, 0);
	/* The merge has one row of each search in hand. */
	state->others_taken =
		siblings->returned - state->returned - (siblings->givers - (gave ? 1 : 0));
}

void
funnel_leave_errors(Search *search)
{
	Siblings *siblings = search->siblings;

	if (siblings == NULL)
		return;
	siblings_leave_errors(siblings, search->view->coder.codec->id, &search->state);
	pair_sums_add(&siblings->pairs, &search->pairs_left, -1);
	search->pairs_left = moments_centred(&search->narrowed.moments);
	pair_sums_add(&siblings->pairs, &search->pairs_left, 1);
}

void
funnel_settle(Search *search, double misses)
{
	Siblings *siblings = search->siblings;

	if (siblings != NULL)
		siblings->misses += misses - search->state.settled_misses;
	search->state.settled_misses = misses;
}

/* Return the score of the last row that is likely to be returned, among those fetched so far. */
static double
likely_score(const Search *search)
{
	const ReadyRows *ready = &search->ready;
	const Siblings  *siblings = search->siblings;
	uint32           rows = policy_among(POLICY_LIKELY_LIMIT, search->state.known_share);

	if (siblings != NULL && siblings->nlikely > 0)
		return siblings->likely[Min(siblings->nlikely, rows) - 1];
	return ready->likely[Min(ready->nlikely, rows) - 1];
}

void
funnel_observe(Search *search)
{
	FunnelState      *state = &search->state;
	ReadyRows        *ready = &search->ready;
	const RankedList *ranked = &search->ranked;

	state->waiting = search->waiting.count;
	state->pool = search->pool.count;
	state->ranked = ranked->count;
	if (ranked->count > 0)
		state->ranked_best = ranked->items[ranked->count - 1].candidate.score;
	if (search->siblings != NULL)
		observe_siblings(search);
	find_wanted(search);
	state->ready = ready->count;
	if (state->phase == PHASE_HOLD)
		state->bar =
			ready_measure(ready, search->need.rows, search->need.peers, search->query.tokens.count);
	if (ready->count > 0)
	{
		state->ready_best = ready->rows[0].score;
		state->ready_likely = likely_score(search);
		state->has_contender = find_contender(search, &state->contender);
	}
}

/* ---- the pool ---- */

void
funnel_add(Search *search, CandidateList *list)
{
	search->state.narrowed += list->count;
	for (uint32 i = 0; i < list->count; i++)
		candidates_add(&search->pool, list->items[i].doc, list->items[i].score);
	list->count = 0;
	funnel_cut_pool(search);
}

static inline void
forget(Search *search, uint32 doc)
{
	search->seen[doc >> 3] &= ~(1 << (doc & 7));
}

void
funnel_cut_pool(Search *search)
{
	CandidateList *pool = &search->pool;
	uint32         limit = search->policy.pool_limit;

	if (pool->count / 2 < limit)
		return;
	candidates_select(pool->items, pool->count, limit);
	for (uint32 i = limit; i < pool->count; i++)
		forget(search, pool->items[i].doc);
	pool->count = limit;
	search->state.pool_dropped = true;
}

void
funnel_survey_pool(Search *search)
{
	FunnelState         *state = &search->state;
	const CandidateList *pool = &search->pool;

	if (search->policy.threshold == -INFINITY)
		return;
	state->pool_best = -FLT_MAX;
	state->pool_above = 0;
	for (uint32 i = 0; i < pool->count; i++)
	{
		state->pool_best = Max(state->pool_best, pool->items[i].score);
		state->pool_above += pool->items[i].score >= search->policy.threshold;
	}
}

void
funnel_fill_histogram(Search *search)
{
	FunnelState *state = &search->state;

	histogram_fill(&state->pool_estimates, search->pool.items, search->pool.count,
				   &state->sketch_fit);
}

void
funnel_drop_pool(Search *search)
{
	search->pool.count = 0;
	/* Documents dropped by a cut were worse than the pool, so they are not wanted either. */
	if (search->state.swept)
		search->state.complete = true;
	funnel_survey_pool(search);
}

/*
 * Move copies that are known not to beat the bar to the end of the pool.
 * Returns the number of the others.
 */
static uint32
put_copies_last(Search *search, const ScoreBar *bar)
{
	const Ties *ties = &search->state.sketch_fit.ties;
	Candidate  *items = search->pool.items;
	uint32      end = search->pool.count;
	double      outcome;

	for (uint32 i = 0; i < end;)
	{
		Candidate item = items[i];

		if (!ties_outcome(ties, item.score, &outcome) || !fit_copies_are_below(outcome, bar))
			i++;
		else
		{
			items[i] = items[--end];
			items[end] = item;
		}
	}
	return end;
}

uint32
funnel_select(Search *search, uint32 n, const ScoreBar *bar)
{
	uint32 count = bar == NULL ? search->pool.count : put_copies_last(search, bar);

	n = Min(n, count);
	candidates_select(search->pool.items, count, n);
	return n;
}

void
funnel_remove(Search *search, uint32 n)
{
	CandidateList *pool = &search->pool;

	pool->count -= n;
	if (pool->count > 0)
		memmove(pool->items, pool->items + n, (size_t) pool->count * sizeof(Candidate));
}

/* ---- ranked documents ---- */

RankedDoc *
funnel_reserve_ranked(Search *search, uint32 n)
{
	RankedList *ranked = &search->ranked;

	ranked->items = array_reserve(ranked->items, &ranked->capacity, (Size) ranked->count + n,
								  sizeof(RankedDoc), search->context);
	return ranked->items + ranked->count;
}

/* Return the number of narrowed documents whose sketch scores predict at least this score. */
static double
depth_of(const Search *search, float score)
{
	double depth = bands_count_above(&search->bands, score - search->state.sketch_errors.mean);

	/*
	 * Without a filter, only the documents returned so far have at least this
	 * score, apart from ties.
	 */
	return search->policy.filtered ? depth : Min(depth, search->given);
}

RankedDoc
funnel_take(Search *search, float estimate)
{
	RankedList *ranked = &search->ranked;
	/*
	 * Take any document with this estimate. Always the last one would be that of
	 * the lowest ordinal: copies that were inserted before near copies would
	 * speak for these, too (ties.h). If a damaged page made the estimate NaN, take
	 * any document.
	 */
	uint32    first = count_below(ranked, estimate);
	uint32    place = Max(count_below(ranked, nextafterf(estimate, INFINITY)), 1) - 1;
	RankedDoc doc;

	if (place > first)
		place = first + murmurhash32((uint32) search->given) % (place - first + 1);
	doc = ranked->items[place];
	ranked->count--;
	memmove(ranked->items + place, ranked->items + place + 1,
			(size_t) (ranked->count - place) * sizeof(RankedDoc));
	search->given++;
	search->state.depth = Max(search->state.depth, depth_of(search, doc.candidate.score));
	return doc;
}
