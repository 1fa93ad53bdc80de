/*-------------------------------------------------------------------------
 *
 * siblings.c
 *	  Facts shared by the searches whose rows are merged into one order.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/array.h"
#include "search/siblings.h"
#include "utils/memutils.h"

Siblings *
siblings_create(void)
{
	Siblings *siblings = palloc0(sizeof(Siblings));

	siblings->context = AllocSetContextCreate(CurrentMemoryContext, "colbert_pg sibling searches",
											  ALLOCSET_SMALL_SIZES);
	return siblings;
}

void
siblings_begin_round(Siblings *siblings)
{
	MemoryContextReset(siblings->context);
	*siblings = (Siblings) {.context = siblings->context,
							.prepared = {.context = siblings->context},
							.round = siblings->round + 1,
							.changes = siblings->changes + 1};
}

bool
siblings_join(Siblings *siblings, const MultiVector *query, Metric metric, CodecId codec,
			  double share)
{
	if (siblings->query == NULL)
	{
		siblings->query = MemoryContextAlloc(siblings->context, VARSIZE(query));
		memcpy(siblings->query, query, VARSIZE(query));
		siblings->metric = metric;
		siblings->code_codec = codec;
	}
	else if (siblings->metric != metric || VARSIZE(siblings->query) != VARSIZE(query) ||
			 memcmp(siblings->query, query, VARSIZE(query)) != 0)
		return false;
	siblings->share = Min(siblings->share + share, 1);
	if (codec == siblings->code_codec)
		siblings->code_share = Min(siblings->code_share + share, 1);
	siblings->changes++;
	return true;
}

/* ---- scores ---- */

/* Keep the best POLICY_MAX_WANTED. */
void
siblings_add_code(Siblings *siblings, float score)
{
	CandidateList *codes = &siblings->codes;

	if (codes->count / 2 >= POLICY_MAX_WANTED)
	{
		candidates_select(codes->items, codes->count, POLICY_MAX_WANTED);
		codes->count = POLICY_MAX_WANTED;
	}
	codes->items = array_reserve(codes->items, &codes->capacity, (Size) codes->count + 1,
								 sizeof(Candidate), siblings->context);
	codes->items[codes->count++] = (Candidate) {0, score};
	siblings->changes++;
}

double
siblings_nth_code(Siblings *siblings, uint32 n)
{
	return candidates_nth(&siblings->codes, n);
}

void
siblings_add_row(Siblings *siblings, double score)
{
	uint32 at = siblings->nlikely;

	while (at > 0 && score > siblings->likely[at - 1])
	{
		if (at < POLICY_LIKELY_LIMIT)
			siblings->likely[at] = siblings->likely[at - 1];
		at--;
	}
	if (at < POLICY_LIKELY_LIMIT)
		siblings->likely[at] = score;
	siblings->nlikely = Min(siblings->nlikely + 1, POLICY_LIKELY_LIMIT);
}

void
siblings_give(Siblings *siblings, bool first)
{
	siblings->returned++;
	siblings->givers += first;
}

/* ---- errors ---- */

/* Copy a line. The copies of documents that it knows are those of its own index. */
static void
copy_line(EstimateFit *to, const EstimateFit *from)
{
	to->count = from->count;
	to->mean_estimate = from->mean_estimate;
	to->mean_outcome = from->mean_outcome;
	to->xx = from->xx;
	to->xy = from->xy;
	to->yy = from->yy;
	to->cubes = from->cubes;
}

void
siblings_take_errors(const Siblings *siblings, CodecId codec, FunnelState *state)
{
	if (!siblings->has_codec || siblings->codec != codec)
		return;
	copy_line(&state->sketch_fit, &siblings->sketch_fit);
	/* Below a threshold, a search learns errors of its own. */
	if (state->ranked_below)
		return;
	state->score_errors = siblings->score_errors;
	copy_line(&state->score_fit, &siblings->score_fit);
}

void
siblings_leave_errors(Siblings *siblings, CodecId codec, const FunnelState *state)
{
	if (!siblings->has_codec)
		siblings->codec = codec;
	siblings->has_codec = true;
	if (siblings->codec != codec)
		return;
	copy_line(&siblings->sketch_fit, &state->sketch_fit);
	if (state->ranked_below)
		return;
	siblings->score_errors = state->score_errors;
	copy_line(&siblings->score_fit, &state->score_fit);
}
