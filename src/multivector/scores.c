/*-------------------------------------------------------------------------
 *
 * scores.c
 *	  Scores of one document for many queries at once.
 *
 * The tokens of all queries are concatenated into one multivector, so that a
 * document is read once and short queries fill the kernels. The best match of
 * a token does not depend on the tokens beside it, and each query's values are
 * summed in order. The results therefore have the same bits as scores computed
 * one by one.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "base/constant.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "multivector/arrays.h"
#include "multivector/score.h"

PG_FUNCTION_INFO_V1(multivector_scores);

/* The prepared queries; kept as long as the arguments are constants. */
typedef struct ManyQueries
{
	ScoreQuery *query;
	int         count;
	uint32     *ntokens;    /* per query */
	float      *similarity; /* per token of all queries */
} ManyQueries;

/* Concatenate the tokens of all queries. */
static MultiVector *
concatenate(MultiVector **parts, int count)
{
	uint64       ntokens = 0;
	uint64       at = 0;
	MultiVector *all;

	for (int i = 0; i < count; i++)
	{
		if (parts[i]->dim != parts[0]->dim)
			multivector_dim_error(parts[0]->dim, parts[i]->dim);
		ntokens += parts[i]->ntokens;
	}
	all = multivector_alloc((uint32) Min(ntokens, PG_UINT32_MAX), parts[0]->dim, KERNEL_FLOAT4);
	for (int i = 0; i < count; i++)
	{
		multivector_tokens(parts[i], 0, parts[i]->ntokens,
						   (float *) multivector_elements(all) + at * all->dim);
		at += parts[i]->ntokens;
	}
	multivector_set_norms(all);
	return all;
}

static ManyQueries *
prepare(ArrayType *array, Metric metric)
{
	ManyQueries  *many = palloc0(sizeof(ManyQueries));
	MultiVector **parts;
	MultiVector  *all;
	Datum        *values;
	bool         *nulls;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &values, &nulls,
					  &many->count);
	if (many->count == 0)
		return many;
	parts = palloc(mul_size(many->count, sizeof(MultiVector *)));
	many->ntokens = palloc(mul_size(many->count, sizeof(uint32)));
	for (int i = 0; i < many->count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("queries must not be NULL")));
		parts[i] = multivector_from_datum(values[i]);
		many->ntokens[i] = parts[i]->ntokens;
	}
	all = concatenate(parts, many->count);
	many->query = score_prepare(all, metric);
	many->similarity = palloc_extended(mul_size(all->ntokens, sizeof(float)), MCXT_ALLOC_HUGE);
	pfree(all);
	return many;
}

static Metric
metric_argument(int32 metric)
{
	if (metric < METRIC_IP || metric > METRIC_L2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unrecognized metric: %d", metric)));
	return (Metric) metric;
}

/*
 * multivector_scores(doc, queries, metric): one score per query, equal to
 * those of maxsim, maxsim_cosine and maxsim_l2.
 */
Datum
multivector_scores(PG_FUNCTION_ARGS)
{
	ManyQueries *many = fcinfo->flinfo->fn_extra;
	MultiVector *doc = PG_GETARG_MULTIVECTOR(0);
	Datum       *scores;
	const float *similarity;

	if (many == NULL)
	{
		bool keep =
			argument_is_constant(fcinfo->flinfo, 1) && argument_is_constant(fcinfo->flinfo, 2);
		MemoryContext old =
			MemoryContextSwitchTo(keep ? fcinfo->flinfo->fn_mcxt : CurrentMemoryContext);

		many = prepare(PG_GETARG_ARRAYTYPE_P(1), metric_argument(PG_GETARG_INT32(2)));
		MemoryContextSwitchTo(old);
		if (keep)
			fcinfo->flinfo->fn_extra = many;
	}
	if (many->count == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(FLOAT8OID));

	score_document_matches(many->query, doc, NULL, many->similarity);
	PG_FREE_IF_COPY(doc, 0);
	scores = palloc(mul_size(many->count, sizeof(Datum)));
	similarity = many->similarity;
	for (int i = 0; i < many->count; i++)
	{
		double sum = 0.0;

		for (uint32 t = 0; t < many->ntokens[i]; t++)
			sum += *similarity++;
		scores[i] = Float8GetDatum(sum);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(scores, many->count, FLOAT8OID, sizeof(float8),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
