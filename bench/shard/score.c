/*-------------------------------------------------------------------------
 *
 * score.c
 *	  Exact scores of documents in memory, with our float kernel.
 *
 * A shared library for the benchmark's Python code; the server does not use
 * it.
 *
 *	  score_documents		all documents of a chunk for many queries: the
 *							exact answers
 *	  score_union			the last step of a recipe: the documents of the
 *							tokens found, ranked by exact score
 *
 * Both return the same bits as maxsim().
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

#define DIM 128

/* The tokens of all documents in one array. Document d has rows starts[d] .. starts[d+1]-1. */
typedef struct Flat
{
	float   *rows;
	int64_t *starts;
	int32_t *doc_of; /* by token */
	int32_t *seen;   /* by document: number of the last query that found it */
	int32_t  query;  /* number of the current query */
	int32_t *found;  /* documents found by it */
	int64_t  ndocs;
} Flat;

typedef struct Ranked
{
	double  score;
	int32_t doc;
} Ranked;

/*
 * The tokens found for a query, and the arrays for its k best documents.
 * scorer.py has the same fields.
 */
typedef struct Union
{
	const float   *query;  /* nquery x DIM */
	const int64_t *tokens; /* ntokens; negative values are ignored */
	double        *scores;
	int32_t       *docs;
	int64_t        ntokens;
	uint32_t       nquery;
	int32_t        k;
} Union;

/* Allocate memory, or abort the benchmark. */
static void *
allocate(size_t size)
{
	void *p = aligned_alloc(64, (size + 63) & ~(size_t) 63);

	if (p == NULL)
		abort();
	return p;
}

/* Pack the tokens of one query, or of several queries together. */
void *
score_query(const float *tokens, uint32_t ntokens)
{
	kernels_init();
	return kernel_query_pack(allocate(kernel_query_size(ntokens, DIM)), tokens, ntokens, DIM);
}

static void
score_run(const KernelQuery *query, KernelRows rows, float *best)
{
	for (uint32_t slot = 0; slot < kernel_query_slots(query); slot++)
		best[slot] = -INFINITY;
	kernels->maxsim_rows(query, &rows, best, NULL);
}

uint32_t
score_slots(const void *query)
{
	return kernel_query_slots(query);
}

/*
 * Score documents for all query tokens.
 *
 * out: ndocs x score_slots(), the best key of each query token
 * most: number of tokens of the longest document
 *
 * Each document is converted to floats only once, not once for every 16 query
 * tokens.
 */
void
score_documents(const void *query, const uint16_t *halves, const int64_t *lengths, int64_t ndocs,
				int64_t most, float *out)
{
	float *widened = allocate(most * DIM * sizeof(float));

	for (int64_t doc = 0; doc < ndocs; doc++)
	{
		KernelRows rows = {.rows = widened,
						   .stride = DIM * sizeof(float),
						   .element = KERNEL_FLOAT4,
						   .nrows = (uint32_t) lengths[doc]};

		kernels->half_to_float(halves, widened, lengths[doc] * DIM);
		score_run(query, rows, out + doc * kernel_query_slots(query));
		halves += lengths[doc] * DIM;
	}
	free(widened);
}

/* Convert the half-precision tokens of ndocs documents to an array of floats. */
void *
score_flat(const uint16_t *halves, const int64_t *starts, int64_t ndocs)
{
	Flat  *flat = allocate(sizeof(Flat));
	size_t ntokens = (size_t) starts[ndocs];

	kernels_init();
	flat->ndocs = ndocs;
	flat->rows = allocate(ntokens * DIM * sizeof(float));
	flat->starts = allocate((ndocs + 1) * sizeof(int64_t));
	flat->doc_of = allocate(ntokens * sizeof(int32_t));
	flat->seen = memset(allocate(ndocs * sizeof(int32_t)), 0, ndocs * sizeof(int32_t));
	flat->found = allocate(ndocs * sizeof(int32_t));
	flat->query = 0;
	kernels->half_to_float(halves, flat->rows, ntokens * DIM);
	memcpy(flat->starts, starts, (ndocs + 1) * sizeof(int64_t));
	for (int64_t doc = 0; doc < ndocs; doc++)
		for (int64_t token = starts[doc]; token < starts[doc + 1]; token++)
			flat->doc_of[token] = (int32_t) doc;
	return flat;
}

const float *
score_flat_rows(const void *flat)
{
	return ((const Flat *) flat)->rows;
}

static KernelRows
flat_document(const Flat *flat, int32_t doc)
{
	return (KernelRows) {.rows = flat->rows + flat->starts[doc] * DIM,
						 .stride = DIM * sizeof(float),
						 .element = KERNEL_FLOAT4,
						 .nrows = (uint32_t) (flat->starts[doc + 1] - flat->starts[doc])};
}

/* Collect the distinct documents of the given tokens. */
static int64_t
unite(Flat *flat, const int64_t *tokens, int64_t ntokens)
{
	int64_t nfound = 0;

	flat->query++;
	for (int64_t i = 0; i < ntokens; i++)
	{
		int32_t doc;

		if (tokens[i] < 0)
			continue;
		doc = flat->doc_of[tokens[i]];
		if (flat->seen[doc] == flat->query)
			continue;
		flat->seen[doc] = flat->query;
		flat->found[nfound++] = doc;
	}
	return nfound;
}

static void
keep_best(Ranked *best, int k, Ranked one)
{
	int at = k - 1;

	if (one.score <= best[at].score)
		return;
	for (; at > 0 && best[at - 1].score < one.score; at--)
		best[at] = best[at - 1];
	best[at] = one;
}

/*
 * Find the k best documents among those of the given tokens, and return the
 * number of these documents.
 */
int64_t
score_union(void *flat_, const Union *request)
{
	Flat        *flat = flat_;
	int64_t      nfound = unite(flat, request->tokens, request->ntokens);
	KernelQuery *query = score_query(request->query, request->nquery);
	float       *keys = allocate(kernel_query_slots(query) * sizeof(float));
	Ranked      *best = allocate(request->k * sizeof(Ranked));

	for (int i = 0; i < request->k; i++)
		best[i] = (Ranked) {-INFINITY, -1};
	for (int64_t i = 0; i < nfound; i++)
	{
		KernelRows rows = flat_document(flat, flat->found[i]);
		Ranked     one = {0, flat->found[i]};

		if (i + 1 < nfound)
			rows.next = flat->rows + flat->starts[flat->found[i + 1]] * DIM;
		score_run(query, rows, keys);
		for (uint32_t token = 0; token < request->nquery; token++)
			one.score += keys[token];
		keep_best(best, request->k, one);
	}
	for (int i = 0; i < request->k; i++)
	{
		request->scores[i] = best[i].score;
		request->docs[i] = best[i].doc;
	}
	free(best);
	free(keys);
	free(query);
	return nfound;
}
