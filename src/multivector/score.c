/*-------------------------------------------------------------------------
 *
 * score.c
 *	  Exact scores of a stored multivector and a prepared query.
 *
 * The kernels find the best document token for each query token. This file
 * turns the metric into their multipliers and addends, and the best values
 * into the score. A document is passed to the kernels in runs of rows. That
 * bounds the memory for multipliers, and lets a huge pair be cancelled.
 *
 * For L2 the kernels only choose candidates. Their expanded form, <q, d> -
 * |d|^2/2, loses the part that tokens have in common to rounding. So every
 * document token whose value is within the rounding bound of the best is
 * measured from differences, and the nearest of these is the match.
 *
 * No score is NaN or infinite: tokens are finite and no longer than
 * MULTIVECTOR_MAX_NORM, so products stay below 1e36.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/vec.h"
#include "miscadmin.h"
#include "multivector/score.h"
#include "storage/shmem.h"

/* Rows per kernel call, and multiply-adds (about 50 ms) after which a call must return. */
#define RUN_ROWS 512
#define RUN_WORK (UINT64CONST(1) << 30)

/*
 * L2: rows per block. The kernels return only the best value of a block; if it
 * is within the rounding bound, all rows of the block are measured.
 */
#define BLOCK_ROWS 8

#define ALIGNMENT 64

/* L2: the candidates of a run, and the nearest tokens so far. */
typedef struct Nearest
{
	float *tokens;     /* ntokens x dim, row-major */
	float *norms;      /* lengths of the tokens */
	float *block_best; /* blocks of a run x slots: best values */
	float *rows;       /* one block of document tokens, widened */
	float *squares;    /* per query token: smallest squared distance */
} Nearest;

struct ScoreQuery
{
	Metric       metric;
	uint32       ntokens;
	uint32       dim;
	uint32       run; /* rows per kernel call */
	KernelQuery *kernel;
	float       *best; /* per slot of the kernel */
	uint32      *best_row;
	Nearest      nearest;          /* L2 only */
	float        params[RUN_ROWS]; /* multipliers or addends of a run */
};

/* Take size bytes, aligned, from a block of memory. */
static void *
take(char **at, Size size)
{
	char *taken = (char *) TYPEALIGN(ALIGNMENT, *at);

	*at = taken + size;
	return taken;
}

static Size
padded(Size size)
{
	return add_size(size, ALIGNMENT);
}

/* Return a bound for the slots of kernel_query_pack(): at most one group more than tokens. */
static Size
slots_bound(uint32 ntokens)
{
	return add_size(ntokens, 64);
}

/*
 * Return the query's tokens as floats. For cosine they are divided by their
 * norms; a zero token stays zero.
 */
static void
widen_query(const MultiVector *query, Metric metric, float *tokens)
{
	multivector_tokens(query, 0, query->ntokens, tokens);
	if (metric != METRIC_COSINE)
		return;
	for (uint32 t = 0; t < query->ntokens; t++)
	{
		float *token = tokens + (Size) t * query->dim;
		float  norm = query->norms[t];

		for (uint32 k = 0; k < query->dim; k++)
			token[k] = norm > 0.0f ? token[k] / norm : 0.0f;
	}
}

static uint32
blocks_of(uint32 nrows)
{
	return (nrows + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

/* Return the additional bytes that L2 needs. */
static Size
nearest_size(const ScoreQuery *query, Size slots)
{
	Size size = padded(mul_size(mul_size(query->ntokens, query->dim), sizeof(float)));

	size = add_size(size, mul_size(2, padded(mul_size(query->ntokens, sizeof(float)))));
	size = add_size(size, padded(mul_size(mul_size(blocks_of(query->run), slots), sizeof(float))));
	return add_size(size, padded(BLOCK_ROWS * query->dim * sizeof(float)));
}

static void
nearest_init(ScoreQuery *query, const float *tokens, Size slots, char **at)
{
	Nearest *nearest = &query->nearest;
	Size     tokens_size = (Size) query->ntokens * query->dim * sizeof(float);

	nearest->tokens = take(at, tokens_size);
	memcpy(nearest->tokens, tokens, tokens_size);
	nearest->norms = take(at, query->ntokens * sizeof(float));
	nearest->squares = take(at, query->ntokens * sizeof(float));
	nearest->block_best = take(at, blocks_of(query->run) * slots * sizeof(float));
	nearest->rows = take(at, BLOCK_ROWS * query->dim * sizeof(float));
	for (uint32 t = 0; t < query->ntokens; t++)
		nearest->norms[t] = kernel_norm(tokens + (Size) t * query->dim, query->dim);
}

uint32
score_query_tokens(const ScoreQuery *query)
{
	return query->ntokens;
}

ScoreQuery *
score_prepare(const MultiVector *query, Metric metric)
{
	Size        slots = slots_bound(query->ntokens);
	Size        kernel_size = kernel_query_size(query->ntokens, query->dim);
	ScoreQuery  shape = {.metric = metric, .ntokens = query->ntokens, .dim = query->dim};
	Size        size;
	char       *at;
	float      *tokens;
	ScoreQuery *prepared;

	shape.run = (uint32) Min(RUN_ROWS, Max(1, RUN_WORK / ((uint64) slots * query->dim)));
	size = add_size(padded(sizeof(ScoreQuery)), padded(kernel_size));
	size = add_size(size, padded(mul_size(slots, sizeof(float))));
	size = add_size(size, padded(mul_size(slots, sizeof(uint32))));
	if (metric == METRIC_L2)
		size = add_size(size, nearest_size(&shape, slots));

	prepared = palloc_extended(size, MCXT_ALLOC_HUGE);
	*prepared = shape;
	at = (char *) prepared + sizeof(ScoreQuery);

	tokens = palloc_extended(mul_size(mul_size(query->ntokens, query->dim), sizeof(float)),
							 MCXT_ALLOC_HUGE);
	widen_query(query, metric, tokens);
	prepared->kernel =
		kernel_query_pack(take(&at, kernel_size), tokens, query->ntokens, query->dim);
	Assert(kernel_query_slots(prepared->kernel) <= slots);
	prepared->best = take(&at, slots * sizeof(float));
	prepared->best_row = take(&at, slots * sizeof(uint32));
	if (metric == METRIC_L2)
		nearest_init(prepared, tokens, slots, &at);
	pfree(tokens);
	return prepared;
}

/* Turn the norms of a run into the multipliers or addends of the metric. */
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

/*
 * Describe rows [first, first + nrows) of a document for a kernel, without
 * multipliers and addends.
 */
static void
set_rows(const MultiVector *doc, uint32 first, uint32 nrows, KernelRows *rows)
{
	const float *scales = multivector_scales(doc);

	*rows = (KernelRows) {.element = (KernelElement) doc->element, .param_stride = sizeof(float)};
	rows->stride = doc->dim * kernel_element_size(rows->element);
	rows->first = first;
	rows->nrows = nrows;
	rows->rows = (const char *) multivector_elements(doc) + first * rows->stride;
	rows->scale = scales ? scales + first : NULL;
}

/*
 * Fill best, and if want_rows is true best_row, with the best document token
 * of each query token.
 */
static void
find_best(ScoreQuery *query, const MultiVector *doc, bool want_rows)
{
	KernelRows rows;

	for (uint32 first = 0; first < doc->ntokens; first += rows.nrows)
	{
		CHECK_FOR_INTERRUPTS();
		set_rows(doc, first, Min(query->run, doc->ntokens - first), &rows);
		set_run_params(query, doc->norms + first, &rows);
		kernels->maxsim_rows(query->kernel, &rows, query->best, want_rows ? query->best_row : NULL);
	}
}

/* ---- L2 ---- */

/*
 * Fill the best value of each block of a run, and update best. Returns the
 * length of the run's longest token.
 */
static float
find_block_best(ScoreQuery *query, const MultiVector *doc, uint32 first, uint32 nrows)
{
	uint32 slots = kernel_query_slots(query->kernel);
	float  longest = 0;

	for (uint32 block = 0; block < blocks_of(nrows); block++)
	{
		float     *best = query->nearest.block_best + (Size) block * slots;
		uint32     start = first + block * BLOCK_ROWS;
		KernelRows rows;

		set_rows(doc, start, Min(BLOCK_ROWS, first + nrows - start), &rows);
		set_run_params(query, doc->norms + start, &rows);
		for (uint32 s = 0; s < slots; s++)
			best[s] = -INFINITY;
		kernels->maxsim_rows(query->kernel, &rows, best, NULL);
		for (uint32 s = 0; s < slots; s++)
			query->best[s] = Max(query->best[s], best[s]);
		for (uint32 i = 0; i < rows.nrows; i++)
			longest = Max(longest, doc->norms[start + i]);
	}
	return longest;
}

/*
 * Return a bound for the error of a query token's expanded form, for document
 * tokens up to a length. The error is that of a chain of dim fused operations,
 * plus the rounding of norms (Higham 2002, "Accuracy and Stability of
 * Numerical Algorithms", 3.1).
 */
static float
rounding_bound(const ScoreQuery *query, uint32 token, float longest)
{
	return (query->dim + 16) * 0x1p-24f *
		   (query->nearest.norms[token] * longest + longest * longest);
}

/* Measure the rows of a block from one query token, and keep the nearest. */
static void
measure_block(ScoreQuery *query, uint32 token, const float *rows, uint32 first, uint32 nrows)
{
	const float *from = query->nearest.tokens + (Size) token * query->dim;

	for (uint32 i = 0; i < nrows; i++)
	{
		float square = vec_squared_distance(from, rows + (Size) i * query->dim, query->dim);

		if (square < query->nearest.squares[token])
		{
			query->nearest.squares[token] = square;
			query->best_row[token] = first + i;
		}
	}
}

/* Return the document tokens of a block as floats. */
static const float *
block_rows(ScoreQuery *query, const MultiVector *doc, uint32 first, uint32 nrows)
{
	if (doc->element == KERNEL_FLOAT4)
		return (const float *) multivector_elements(doc) + (Size) first * doc->dim;
	multivector_tokens(doc, first, nrows, query->nearest.rows);
	return query->nearest.rows;
}

/* Fill squares and best_row with the nearest document token of each query token. */
static void
find_nearest(ScoreQuery *query, const MultiVector *doc)
{
	uint32 slots = kernel_query_slots(query->kernel);
	float  longest = 0;
	uint32 nrows;

	for (uint32 t = 0; t < query->ntokens; t++)
		query->nearest.squares[t] = INFINITY;
	for (uint32 first = 0; first < doc->ntokens; first += nrows)
	{
		nrows = Min(query->run, doc->ntokens - first);
		CHECK_FOR_INTERRUPTS();
		longest = Max(longest, find_block_best(query, doc, first, nrows));
		for (uint32 block = 0; block < blocks_of(nrows); block++)
		{
			const float *best = query->nearest.block_best + (Size) block * slots;
			uint32       start = first + block * BLOCK_ROWS;
			uint32       n = Min(BLOCK_ROWS, first + nrows - start);
			const float *rows = NULL;

			CHECK_FOR_INTERRUPTS();
			for (uint32 t = 0; t < query->ntokens; t++)
			{
				if (best[t] < query->best[t] - 2 * rounding_bound(query, t, longest))
					continue;
				if (rows == NULL)
					rows = block_rows(query, doc, start, n);
				measure_block(query, t, rows, start, n);
			}
		}
	}
}

double
score_document(ScoreQuery *query, const MultiVector *doc)
{
	return score_document_matches(query, doc, NULL, NULL);
}

double
score_document_matches(ScoreQuery *query, const MultiVector *doc, uint32 *doc_token,
					   float *similarity)
{
	double sum = 0.0;
	uint32 slots = kernel_query_slots(query->kernel);

	if (doc->dim != query->dim)
		multivector_dim_error(doc->dim, query->dim);
	for (uint32 s = 0; s < slots; s++)
	{
		query->best[s] = -INFINITY;
		query->best_row[s] = 0; /* in a damaged document it may be that no row wins */
	}
	if (query->metric == METRIC_L2)
		find_nearest(query, doc);
	else
		find_best(query, doc, doc_token != NULL);

	for (uint32 t = 0; t < query->ntokens; t++)
	{
		float value =
			query->metric == METRIC_L2 ? sqrtf(query->nearest.squares[t]) : query->best[t];

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
			return 0.0 - score; /* avoids negative zero */
		case METRIC_COSINE:
			return query->ntokens - score;
		case METRIC_L2:
			break;
	}
	return score;
}
