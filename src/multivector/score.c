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
 * For L2 the kernels choose candidates only. Their expanded form, <q, d> -
 * |d|^2/2, loses what tokens have in common to rounding; so every document
 * token whose value is within the rounding bound of the best is measured from
 * differences, and the nearest of these is the match.
 *
 * No NaN and no infinity comes out: tokens are finite and at most
 * MULTIVECTOR_MAX_NORM long, so products stay below 1e36.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/vec.h"
#include "miscadmin.h"
#include "multivector/score.h"
#include "storage/shmem.h"

/* Rows that a kernel is given at once, and multiply-adds (about 50 ms) after which it must come back. */
#define RUN_ROWS 512
#define RUN_WORK (UINT64CONST(1) << 30)

/* L2: rows of which only the best value is known. One of them in doubt, all are measured. */
#define BLOCK_ROWS 8

#define ALIGNMENT 64

/* L2: the candidates of a run, and the nearest tokens so far. */
typedef struct Nearest
{
	float *tokens;     /* ntokens x dim, row-major */
	float *norms;      /* their lengths */
	float *block_best; /* blocks of a run x slots: best values */
	float *rows;       /* a block of document tokens, widened */
	float *squares;    /* by query token: smallest squared distance */
} Nearest;

struct ScoreQuery
{
	Metric       metric;
	uint32       ntokens;
	uint32       dim;
	uint32       run; /* rows a kernel call */
	KernelQuery *kernel;
	float       *best; /* by slot of the kernel */
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

/* What L2 needs besides, in bytes. */
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

/* Rows first .. first + nrows - 1 of a document for a kernel, without what makes inner product the metric. */
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

/* Fill best, and best_row if asked for, with the best document token of each query token. */
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

/* The best value of each block of a run; best is kept up to date. Returns the length of the longest token of the run. */
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
 * How far the expanded form of a query token may be from its true value, for
 * document tokens up to a length: a chain of dim fused operations, and the
 * rounding of norms (Higham 2002, "Accuracy and Stability of Numerical
 * Algorithms", 3.1).
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

/* The document tokens of a block as floats. */
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
		query->best_row[s] = 0; /* a damaged document may have no row that wins */
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
			return 0.0 - score; /* no negative zero */
		case METRIC_COSINE:
			return query->ntokens - score;
		case METRIC_L2:
			break;
	}
	return score;
}
