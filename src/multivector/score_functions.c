/*-------------------------------------------------------------------------
 *
 * score_functions.c
 *	  SQL functions and operators of scores.
 *
 * A statement scores many documents with one query. Each call site therefore
 * keeps its prepared query in fn_extra, and compares each given query with the
 * one it has.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "multivector/score.h"
#include "multivector/score_memo.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

/* State of a call site. */
typedef struct QueryCache
{
	MemoryContext   context; /* holds query and prepared */
	struct varlena *query;   /* as given, toast pointers included */
	ScoreQuery     *prepared;
} QueryCache;

PG_FUNCTION_INFO_V1(multivector_maxsim);
PG_FUNCTION_INFO_V1(multivector_maxsim_cosine);
PG_FUNCTION_INFO_V1(multivector_maxsim_l2);
PG_FUNCTION_INFO_V1(multivector_maxsim_distance);
PG_FUNCTION_INFO_V1(multivector_maxsim_cosine_distance);
PG_FUNCTION_INFO_V1(multivector_maxsim_tokens);
PG_FUNCTION_INFO_V1(multivector_maxsim_features);

/*
 * Return bytes that identify the query. A pointer to a value on disk
 * identifies it, since the statement's snapshot keeps that value in place. A
 * pointer into memory does not, so it is followed.
 */
static struct varlena *
query_bytes(Datum datum)
{
	struct varlena *query = (struct varlena *) DatumGetPointer(datum);

	if (VARATT_IS_EXTERNAL(query) && !VARATT_IS_EXTERNAL_ONDISK(query))
		return detoast_external_attr(query);
	return query;
}

static bool
same_bytes(const struct varlena *a, const struct varlena *b)
{
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/* Prepare a query and cache it. */
static ScoreQuery *
cache_query(QueryCache *cache, struct varlena *query, Metric metric)
{
	MemoryContext old = CurrentMemoryContext;
	MultiVector  *mv;

	cache->prepared = NULL;
	MemoryContextReset(cache->context);
	MemoryContextSwitchTo(cache->context);
	cache->query = palloc_extended(VARSIZE_ANY(query), MCXT_ALLOC_HUGE);
	memcpy(cache->query, query, VARSIZE_ANY(query));
	mv = multivector_from_datum(PointerGetDatum(cache->query));
	cache->prepared = score_prepare(mv, metric);
	if ((Pointer) mv != (Pointer) cache->query)
		pfree(mv);
	MemoryContextSwitchTo(old);
	return cache->prepared;
}

/* Return the prepared query of this call. */
static ScoreQuery *
prepared_query(FunctionCallInfo fcinfo, int argument, Metric metric)
{
	struct varlena *query = query_bytes(PG_GETARG_DATUM(argument));
	FmgrInfo       *flinfo = fcinfo->flinfo;
	QueryCache     *cache;

	if (flinfo == NULL)
		return score_prepare(multivector_from_datum(PointerGetDatum(query)), metric);

	cache = flinfo->fn_extra;
	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(QueryCache));
		cache->context =
			AllocSetContextCreate(flinfo->fn_mcxt, "colbert_pg query", ALLOCSET_DEFAULT_SIZES);
		flinfo->fn_extra = cache;
	}
	if (cache->prepared != NULL && same_bytes(cache->query, query))
		return cache->prepared;
	return cache_query(cache, query, metric);
}

/* Score argument 0 with argument 1, and return the value of the function or of the operator. */
static Datum
score_arguments(FunctionCallInfo fcinfo, Metric metric, bool distance)
{
	ScoreQuery *query;
	double      score;

	if (!score_memo_find(PG_GETARG_DATUM(0), query_bytes(PG_GETARG_DATUM(1)), metric, &score,
						 &query))
	{
		MultiVector *doc = PG_GETARG_MULTIVECTOR(0);

		query = prepared_query(fcinfo, 1, metric);
		score = score_document(query, doc);
		PG_FREE_IF_COPY(doc, 0);
	}
	PG_RETURN_FLOAT8(distance ? score_to_distance(query, score) : score);
}

Datum
multivector_maxsim(PG_FUNCTION_ARGS)
{
	return score_arguments(fcinfo, METRIC_IP, false);
}

Datum
multivector_maxsim_cosine(PG_FUNCTION_ARGS)
{
	return score_arguments(fcinfo, METRIC_COSINE, false);
}

/* maxsim_l2(doc, query), and doc <-> query. */
Datum
multivector_maxsim_l2(PG_FUNCTION_ARGS)
{
	return score_arguments(fcinfo, METRIC_L2, false);
}

/* doc <#> query */
Datum
multivector_maxsim_distance(PG_FUNCTION_ARGS)
{
	return score_arguments(fcinfo, METRIC_IP, true);
}

/* doc <=> query */
Datum
multivector_maxsim_cosine_distance(PG_FUNCTION_ARGS)
{
	return score_arguments(fcinfo, METRIC_COSINE, true);
}

/* Return one row per query token: the document token that it matched, and their similarity. */
Datum
multivector_maxsim_tokens(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MultiVector   *doc = PG_GETARG_MULTIVECTOR(0);
	MultiVector   *query = PG_GETARG_MULTIVECTOR(1);
	ScoreQuery    *prepared = score_prepare(query, METRIC_IP);
	uint32        *doc_token = palloc_extended(query->ntokens * sizeof(uint32), MCXT_ALLOC_HUGE);
	float         *similarity = palloc_extended(query->ntokens * sizeof(float), MCXT_ALLOC_HUGE);

	InitMaterializedSRF(fcinfo, 0);
	score_document_matches(prepared, doc, doc_token, similarity);
	for (uint32 t = 0; t < query->ntokens; t++)
	{
		Datum values[3];
		bool  nulls[3] = {false, false, false};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int32GetDatum((int32) t + 1);
		values[1] = Int32GetDatum((int32) doc_token[t] + 1);
		values[2] = Float8GetDatum(similarity[t]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- features ---- */

/* The features of maxsim_features, in their order. */
typedef enum MaxsimFeature
{
	FEATURE_SCORE,
	FEATURE_MEAN,
	FEATURE_MINIMUM,
	FEATURE_MAXIMUM,
	FEATURE_SPREAD, /* standard deviation */
	FEATURE_MEDIAN,
	FEATURE_BELOW, /* share of query tokens whose similarity is below the bound */
	FEATURE_DOC_TOKENS,
	FEATURE_QUERY_TOKENS,
	NFEATURES,
} MaxsimFeature;

static int
compare_floats(const void *a, const void *b)
{
	float x = *(const float *) a;
	float y = *(const float *) b;

	return (x > y) - (x < y);
}

/* Set the features of n > 0 similarities, which are sorted by it. */
static void
summarize(float *similarity, uint32 n, float bound, double *features)
{
	double sum = 0;
	double squares = 0;
	uint32 below = 0;

	qsort(similarity, n, sizeof(float), compare_floats);
	while (below < n && similarity[below] < bound)
		below++;
	for (uint32 i = 0; i < n; i++)
		sum += similarity[i];
	for (uint32 i = 0; i < n; i++)
		squares += (similarity[i] - sum / n) * (similarity[i] - sum / n);
	features[FEATURE_MEAN] = sum / n;
	features[FEATURE_MINIMUM] = similarity[0];
	features[FEATURE_MAXIMUM] = similarity[n - 1];
	features[FEATURE_SPREAD] = sqrt(squares / n);
	features[FEATURE_MEDIAN] = ((double) similarity[(n - 1) / 2] + similarity[n / 2]) / 2;
	features[FEATURE_BELOW] = (double) below / n;
}

/* Return an array of real: what a learned ranker can use of a document and a query. */
Datum
multivector_maxsim_features(PG_FUNCTION_ARGS)
{
	MultiVector *doc = PG_GETARG_MULTIVECTOR(0);
	ScoreQuery  *query = prepared_query(fcinfo, 1, METRIC_IP);
	uint32       n = score_query_tokens(query);
	float       *similarity = palloc_extended(mul_size(n, sizeof(float)), MCXT_ALLOC_HUGE);
	double       features[NFEATURES];
	Datum        values[NFEATURES];

	features[FEATURE_SCORE] = score_document_matches(query, doc, NULL, similarity);
	summarize(similarity, n, PG_GETARG_FLOAT4(2), features);
	features[FEATURE_DOC_TOKENS] = doc->ntokens;
	features[FEATURE_QUERY_TOKENS] = n;
	for (int i = 0; i < NFEATURES; i++)
		values[i] = Float4GetDatum((float4) features[i]);
	pfree(similarity);
	PG_FREE_IF_COPY(doc, 0);
	PG_RETURN_ARRAYTYPE_P(
		construct_array(values, NFEATURES, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
}
