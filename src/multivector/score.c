/*-------------------------------------------------------------------------
 *
 * score.c
 *	  Exact scores of a stored multivector against a prepared query.
 *
 * The kernels find the best token of the document for each query token;
 * here the metric becomes their multipliers and addends, and the best values
 * become the score. A document is handed to them in runs of rows, so that
 * the multipliers need no memory that grows with the document, and so that a
 * huge pair can be cancelled.
 *
 * No NaN and no infinity comes out: tokens are finite and at most
 * MULTIVECTOR_MAX_NORM long, so products stay below 1e36.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "multivector/distance.h"
#include "multivector/score.h"
#include "storage/shmem.h"

/* Rows that a kernel is given at once, and multiply-adds (about 50 ms) after which it must come back. */
#define RUN_ROWS 512
#define RUN_WORK (UINT64CONST(1) << 30)

#define ALIGNMENT 64

struct ScoreQuery
{
	Metric		metric;
	uint32		ntokens;
	uint32		dim;
	uint32		run;			/* rows a kernel call */
	KernelQuery *kernel;
	float	   *best;			/* by slot of the kernel */
	uint32	   *best_row;
	float	   *tokens;			/* L2 only: ntokens x dim, row-major */
	float	   *row;			/* L2 only: one widened document token */
	float		params[RUN_ROWS];	/* multipliers or addends of a run */
};

/* Take size bytes, aligned, from a block of memory. */
static void *
take(char **at, Size size)
{
	char	   *taken = (char *) TYPEALIGN(ALIGNMENT, *at);

	*at = taken + size;
	return taken;
}

static Size
padded(Size size)
{
	return add_size(size, ALIGNMENT);
}

/* Slots that kernel_query_pack() will make; at most a group more than tokens. */
static Size
slots_bound(uint32 ntokens)
{
	return add_size(ntokens, 64);
}

/* The query's tokens as floats, for cosine divided by their norms; a zero token stays zero. */
static void
widen_query(const MultiVector *query, Metric metric, float *tokens)
{
	multivector_tokens(query, 0, query->ntokens, tokens);
	if (metric != METRIC_COSINE)
		return;
	for (uint32 t = 0; t < query->ntokens; t++)
	{
		float	   *token = tokens + (Size) t * query->dim;
		float		norm = query->norms[t];

		for (uint32 k = 0; k < query->dim; k++)
			token[k] = norm > 0.0f ? token[k] / norm : 0.0f;
	}
}

ScoreQuery *
score_prepare(const MultiVector *query, Metric metric)
{
	Size		slots = slots_bound(query->ntokens);
	Size		tokens_size = mul_size(mul_size(query->ntokens, query->dim), sizeof(float));
	Size		kernel_size = kernel_query_size(query->ntokens, query->dim);
	Size		size;
	char	   *at;
	float	   *tokens;
	ScoreQuery *prepared;

	size = add_size(padded(sizeof(ScoreQuery)), padded(kernel_size));
	size = add_size(size, padded(mul_size(slots, sizeof(float))));
	size = add_size(size, padded(mul_size(slots, sizeof(uint32))));
	if (metric == METRIC_L2)
		size = add_size(size, add_size(padded(tokens_size), padded(query->dim * sizeof(float))));

	prepared = palloc_extended(size, MCXT_ALLOC_HUGE);
	memset(prepared, 0, sizeof(ScoreQuery));
	at = (char *) prepared + sizeof(ScoreQuery);
	prepared->metric = metric;
	prepared->ntokens = query->ntokens;
	prepared->dim = query->dim;

	tokens = palloc_extended(tokens_size, MCXT_ALLOC_HUGE);
	widen_query(query, metric, tokens);
	prepared->kernel = kernel_query_pack(take(&at, kernel_size), tokens, query->ntokens, query->dim);
	Assert(kernel_query_slots(prepared->kernel) <= slots);
	prepared->best = take(&at, slots * sizeof(float));
	prepared->best_row = take(&at, slots * sizeof(uint32));
	if (metric == METRIC_L2)
	{
		prepared->tokens = take(&at, tokens_size);
		memcpy(prepared->tokens, tokens, tokens_size);
		prepared->row = take(&at, query->dim * sizeof(float));
	}
	pfree(tokens);

	prepared->run = (uint32) Min(RUN_ROWS, Max(1, RUN_WORK / ((uint64) slots * query->dim)));
	return prepared;
}

/* Turn the norms of a run into what makes inner product the metric. */
static void
set_run_params(ScoreQuery *query, const float *norms, KernelRows *rows)
{
	switch (query->metric)
	{
		case METRIC_IP:
			break;
		case METRIC_COSINE:
			for (uint32 i = 0; i < rows->nrows; i++)
				query->params[i] = norms[i] > 0.0f ? 1.0f / norms[i] : 0.0f;
			rows->mul = query->params;
			break;
		case METRIC_L2:
			for (uint32 i = 0; i < rows->nrows; i++)
				query->params[i] = norms[i] * norms[i] * -0.5f;
			rows->add = query->params;
			break;
	}
}

/* Fill best, and best_row if asked for, with the best document token of each query token. */
static void
find_best(ScoreQuery *query, const MultiVector *doc, bool want_rows)
{
	uint32		slots = kernel_query_slots(query->kernel);
	const float *scales = multivector_scales(doc);
	KernelRows	rows = {0};

	if (doc->dim != query->dim)
		multivector_dim_error(doc->dim, query->dim);

	for (uint32 s = 0; s < slots; s++)
	{
		query->best[s] = -INFINITY;
		query->best_row[s] = 0; /* a damaged document may have no row that wins */
	}

	rows.element = (KernelElement) doc->element;
	rows.stride = doc->dim * kernel_element_size(rows.element);
	rows.param_stride = sizeof(float);
	for (uint32 first = 0; first < doc->ntokens; first += rows.nrows)
	{
		CHECK_FOR_INTERRUPTS();
		rows.first = first;
		rows.nrows = Min(query->run, doc->ntokens - first);
		rows.rows = (const char *) multivector_elements(doc) + first * rows.stride;
		rows.scale = scales ? scales + first : NULL;
		set_run_params(query, doc->norms + first, &rows);
		kernels->maxsim_rows(query->kernel, &rows, query->best, want_rows ? query->best_row : NULL);
	}
}

/* The distance of a query token to the document token that the kernel chose for it. */
static float
matched_distance(ScoreQuery *query, const MultiVector *doc, uint32 token)
{
	const float *row = query->row;
	uint32		doc_token = query->best_row[token];

	if (doc->element == KERNEL_FLOAT4)
		row = (const float *) multivector_elements(doc) + (Size) doc_token * doc->dim;
	else
		multivector_tokens(doc, doc_token, 1, query->row);
	return sqrtf(squared_distance(query->tokens + (Size) token * query->dim, row, query->dim));
}

double
score_document(ScoreQuery *query, const MultiVector *doc)
{
	return score_document_matches(query, doc, NULL, NULL);
}

double
score_document_matches(ScoreQuery *query, const MultiVector *doc, uint32 *doc_token, float *similarity)
{
	double		sum = 0.0;

	find_best(query, doc, doc_token != NULL || query->metric == METRIC_L2);
	for (uint32 t = 0; t < query->ntokens; t++)
	{
		float		value = query->best[t];

		if (query->metric == METRIC_L2)
			value = matched_distance(query, doc, t);
		if (doc_token)
			doc_token[t] = query->best_row[t];
		if (similarity)
			similarity[t] = value;
		sum += value;
	}
	return sum;
}

double
score_to_distance(const ScoreQuery *query, double score)
{
	switch (query->metric)
	{
		case METRIC_IP:
			return 0.0 - score; /* no negative zero */
		case METRIC_COSINE:
			return query->ntokens - score;
		case METRIC_L2:
			break;
	}
	return score;
}
