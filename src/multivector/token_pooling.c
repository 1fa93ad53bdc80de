/*-------------------------------------------------------------------------
 *
 * token_pooling.c
 *	  pool_tokens(doc, factor): fewer tokens for nearly the same scores.
 *
 * Hierarchical token pooling (Clavie, Chaffin and Adams, "Reducing the
 * Footprint of Multi-Vector Retrieval with Minimal Performance Impact via
 * Token Pooling", 2024). The normalized tokens are clustered with Ward's
 * linkage into ntokens / factor clusters, and each cluster becomes the mean of
 * its tokens.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "multivector/multivector.h"
#include "multivector/ward.h"
#include "storage/shmem.h"

PG_FUNCTION_INFO_V1(multivector_pool_tokens);

static void *
allocate(Size count, Size size)
{
	return palloc_extended(mul_size(count, size), MCXT_ALLOC_HUGE);
}

static void
check_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/* Initialize one cluster per token, from the normalized tokens of a document. */
static void
ward_init(Ward *ward, const MultiVector *mv)
{
	memset(ward, 0, sizeof(*ward));
	ward->dim = mv->dim;
	ward->ntokens = mv->ntokens;
	ward->centroids = allocate(mul_size(mv->ntokens, mv->dim), sizeof(float));
	ward->sizes = allocate(mv->ntokens, sizeof(uint32));
	ward->active = allocate(mv->ntokens, sizeof(uint32));
	ward->chain = allocate(mv->ntokens, sizeof(uint32));
	ward->place = allocate(mv->ntokens, sizeof(uint32));
	ward->on_chain = allocate(mv->ntokens, sizeof(bool));
	ward->merges = allocate(mv->ntokens, sizeof(WardMerge));
	ward->check_interrupts = check_interrupts;

	multivector_tokens(mv, 0, mv->ntokens, ward->centroids);
	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		float *token = ward->centroids + (Size) t * mv->dim;

		for (uint32 k = 0; k < mv->dim && mv->norms[t] > 0.0f; k++)
			token[k] /= mv->norms[t];
	}
}

/* Compute the mean of the tokens of each label. */
static MultiVector *
pool_labels(const MultiVector *mv, const uint32 *labels, uint32 nlabels)
{
	Size    dim = mv->dim;
	float  *means = palloc_extended(mul_size(mul_size(nlabels, dim), sizeof(float)),
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	float  *token = palloc(dim * sizeof(float));
	uint32 *counts =
		palloc_extended(mul_size(nlabels, sizeof(uint32)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	MultiVector *result;

	for (uint32 t = 0; t < mv->ntokens; t++)
	{
		float *mean = means + labels[t] * dim;

		multivector_tokens(mv, t, 1, token);
		counts[labels[t]]++;
		for (uint32 k = 0; k < dim; k++)
			mean[k] += token[k];
	}
	for (uint32 i = 0; i < nlabels; i++)
	{
		for (uint32 k = 0; k < dim; k++)
			means[i * dim + k] /= (float) counts[i];
	}
	result = multivector_from_floats(means, nlabels, mv->dim, mv->element);
	pfree(means);
	pfree(token);
	pfree(counts);
	return result;
}

Datum
multivector_pool_tokens(PG_FUNCTION_ARGS)
{
	MultiVector *mv = PG_GETARG_MULTIVECTOR(0);
	int32        factor = PG_GETARG_INT32(1);
	uint32       nclusters;
	uint32      *labels;
	Ward         ward;

	if (factor < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("factor must be at least 1, not %d", factor)));
	nclusters = (mv->ntokens - 1) / (uint32) factor + 1;
	if (nclusters == mv->ntokens)
		PG_RETURN_POINTER(mv);

	ward_init(&ward, mv);
	labels = allocate(mv->ntokens, sizeof(uint32));
	if (!ward_find_merges(&ward) || ward_label(&ward, mv->ntokens - nclusters, labels) != nclusters)
		elog(ERROR, "tokens were clustered wrongly");
	PG_RETURN_POINTER(pool_labels(mv, labels, nclusters));
}
