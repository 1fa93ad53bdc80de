/*-------------------------------------------------------------------------
 *
 * threshold.c
 *	  Thresholds of a score: "maxsim(doc, query) > bound" as a value.
 *
 *	comparison	documents within the threshold
 *	> >=		those whose score (maxsim, maxsim_cosine) satisfies it
 *	< <=		those whose distance (<#>, <=>, <->) satisfies it
 *
 * The operators in this file compare exactly as core compares the same
 * numbers, with NaN above all others, so that the planner may substitute one
 * for a comparison in a query.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "multivector/score_memo.h"
#include "multivector/threshold.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

/* Fields of the composite type multivector_threshold. */
enum
{
	FIELD_QUERY,
	FIELD_COMPARISON,
	FIELD_BOUND,
	FIELD_COUNT
};

PG_FUNCTION_INFO_V1(multivector_threshold);
PG_FUNCTION_INFO_V1(multivector_bound);
PG_FUNCTION_INFO_V1(multivector_maxsim_within);
PG_FUNCTION_INFO_V1(multivector_maxsim_cosine_within);
PG_FUNCTION_INFO_V1(multivector_maxsim_l2_within);

static void
set_comparison(ScoreThreshold *threshold, const char *comparison)
{
	bool known = (comparison[0] == '<' || comparison[0] == '>') &&
				 (comparison[1] == '\0' || strcmp(comparison + 1, "=") == 0);

	if (!known)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("comparison of a threshold must be >, >=, < or <=, not \"%s\"",
							   comparison)));
	threshold->of_distance = comparison[0] == '<';
	threshold->inclusive = comparison[1] == '=';
}

/* Make a row (query, comparison, bound) after checking the comparison. */
Datum
multivector_threshold(PG_FUNCTION_ARGS)
{
	ScoreThreshold threshold;
	TupleDesc      desc;
	Datum          values[FIELD_COUNT];
	bool           nulls[FIELD_COUNT] = {0};

	set_comparison(&threshold, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != FIELD_COUNT)
		elog(ERROR, "return type must be multivector_threshold");
	for (int i = 0; i < FIELD_COUNT; i++)
		values[i] = PG_GETARG_DATUM(i);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Check the type's fields: it belongs to the extension, but its owner could alter it. */
static void
check_fields(TupleDesc desc)
{
	if (desc->natts != FIELD_COUNT || TupleDescAttr(desc, FIELD_QUERY)->attlen != -1 ||
		TupleDescAttr(desc, FIELD_COMPARISON)->atttypid != TEXTOID ||
		TupleDescAttr(desc, FIELD_BOUND)->atttypid != FLOAT8OID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("type multivector_threshold has been altered")));
}

bool
threshold_from_datum(Datum datum, ScoreThreshold *threshold)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(datum);
	TupleDesc       desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_data = row, .t_len = HeapTupleHeaderGetDatumLength(row)};
	Datum         values[FIELD_COUNT];
	bool          nulls[FIELD_COUNT];

	check_fields(desc);
	heap_deform_tuple(&tuple, desc, values, nulls);
	ReleaseTupleDesc(desc);
	if (nulls[FIELD_QUERY] || nulls[FIELD_COMPARISON] || nulls[FIELD_BOUND])
		return false;
	set_comparison(threshold, text_to_cstring(DatumGetTextPP(values[FIELD_COMPARISON])));
	threshold->query = multivector_from_datum(values[FIELD_QUERY]);
	threshold->bound = DatumGetFloat8(values[FIELD_BOUND]);
	return true;
}

/*
 * Relative slack of a bound. The rounding errors of an operation and its
 * inverse are at most half of this share of their operands and results.
 */
#define BOUND_SLACK (4 * DBL_EPSILON)

/* A bound of a score, and its possible error. */
typedef struct LooseBound
{
	double bound;
	double slack;
	bool   falls; /* the value falls as the score rises */
} LooseBound;

/* Return the score for which the operation yields this value. */
static LooseBound
undo(const char *operation, double value, double operand)
{
	double sum = (fabs(value) + fabs(operand)) * BOUND_SLACK;

	if (strcmp(operation, BOUND_PLUS) == 0)
		return (LooseBound) {value - operand, sum};
	if (strcmp(operation, BOUND_MINUS) == 0)
		return (LooseBound) {value + operand, sum};
	if (strcmp(operation, BOUND_SUBTRACTED) == 0)
		return (LooseBound) {operand - value, sum, true};
	if (strcmp(operation, BOUND_TIMES) == 0)
		return (LooseBound) {value / operand, fabs(value / operand) * BOUND_SLACK + DBL_MIN,
							 operand < 0};
	if (strcmp(operation, BOUND_DIVIDED) == 0)
		return (LooseBound) {value * operand, fabs(value * operand) * BOUND_SLACK + DBL_MIN,
							 operand < 0};
	if (strcmp(operation, BOUND_REAL) == 0)
		return (LooseBound) {value, fabs(value) * FLT_EPSILON + FLT_MIN};
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized operation on a score: \"%s\"", operation)));
}

/*
 * Return the bound of a score, given the bound of an operation on the score
 * and an operand. The bound is a lower one if "above" is true, otherwise an
 * upper one. If the value, the operand or the result is not finite, the
 * returned bound excludes nothing.
 */
Datum
multivector_bound(PG_FUNCTION_ARGS)
{
	bool       above = PG_GETARG_BOOL(3);
	double     value = PG_GETARG_FLOAT8(0);
	double     operand = PG_GETARG_FLOAT8(2);
	LooseBound loose = undo(text_to_cstring(PG_GETARG_TEXT_PP(1)), value, operand);
	double     nothing;

	above = above != loose.falls;
	nothing = above ? -INFINITY : INFINITY;
	if (!isfinite(value) || !isfinite(operand) || !isfinite(loose.bound) || !isfinite(loose.slack))
		PG_RETURN_FLOAT8(nothing);
	PG_RETURN_FLOAT8(above ? loose.bound - loose.slack : loose.bound + loose.slack);
}

/*
 * Share of a score by which its threshold is lowered, since one may be
 * computed from the other. Larger than any rounding error.
 */
#define SCORE_SLACK 1e-12

double
threshold_score(const ScoreThreshold *threshold, Metric metric)
{
	double score = threshold->bound;

	/* The score of L2 is a distance: documents beyond a bound are far ones. */
	if (metric == METRIC_L2 && !threshold->of_distance)
		return -INFINITY;
	/* Nothing is above NaN, everything is below it. */
	if (isnan(score))
		return threshold->of_distance ? -INFINITY : INFINITY;
	/* As in score_to_distance(). */
	if (threshold->of_distance)
		score = (metric == METRIC_COSINE ? threshold->query->ntokens : 0) - score;
	if (!isfinite(score))
		return score;
	return score - SCORE_SLACK * (fabs(score) + threshold->query->ntokens);
}

/* ---- Operators ---- */

/* State of a call site: the last threshold, prepared. */
typedef struct ThresholdCache
{
	MemoryContext   context; /* holds all of the following */
	struct varlena *given;
	bool            empty; /* a field is NULL */
	ScoreThreshold  threshold;
	ScoreQuery     *query;
} ThresholdCache;

static void
cache_threshold(ThresholdCache *cache, struct varlena *given, Metric metric)
{
	MemoryContext   old;
	struct varlena *copy;

	cache->given = NULL;
	MemoryContextReset(cache->context);
	old = MemoryContextSwitchTo(cache->context);
	/* The threshold's query points into its datum, hence into a copy that outlives this call. */
	copy = palloc_extended(VARSIZE_ANY(given), MCXT_ALLOC_HUGE);
	memcpy(copy, given, VARSIZE_ANY(given));
	cache->empty = !threshold_from_datum(PointerGetDatum(copy), &cache->threshold);
	if (!cache->empty)
		cache->query = score_prepare(cache->threshold.query, metric);
	MemoryContextSwitchTo(old);
	/* Last: an error above leaves a cache without a threshold. */
	cache->given = copy;
}

/*
 * Return the threshold of this call. A composite value holds no pointers into
 * storage, so its bytes identify it.
 */
static const ThresholdCache *
prepared_threshold(FunctionCallInfo fcinfo, Metric metric)
{
	struct varlena *given = PG_DETOAST_DATUM(PG_GETARG_DATUM(1));
	ThresholdCache *cache = fcinfo->flinfo->fn_extra;

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ThresholdCache));
		cache->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "colbert_pg threshold",
											   ALLOCSET_DEFAULT_SIZES);
		fcinfo->flinfo->fn_extra = cache;
	}
	if (cache->given == NULL || VARSIZE_ANY(cache->given) != VARSIZE_ANY(given) ||
		memcmp(cache->given, given, VARSIZE_ANY(given)) != 0)
		cache_threshold(cache, given, metric);
	if ((Pointer) given != DatumGetPointer(PG_GETARG_DATUM(1)))
		pfree(given);
	return cache;
}

static Datum
within(FunctionCallInfo fcinfo, Metric metric)
{
	const ThresholdCache *cache = prepared_threshold(fcinfo, metric);
	const ScoreThreshold *threshold = &cache->threshold;
	ScoreQuery           *query = cache->query;
	double                value;

	if (cache->empty)
		PG_RETURN_NULL();
	/* A scan ordered by the same query has just scored the document. */
	if (!score_memo_find(PG_GETARG_DATUM(0), (struct varlena *) threshold->query, metric, &value,
						 &query))
	{
		MultiVector *doc = PG_GETARG_MULTIVECTOR(0);

		value = score_document(query, doc);
		PG_FREE_IF_COPY(doc, 0);
	}
	if (threshold->of_distance)
	{
		value = score_to_distance(query, value);
		PG_RETURN_BOOL(threshold->inclusive ? float8_le(value, threshold->bound)
											: float8_lt(value, threshold->bound));
	}
	PG_RETURN_BOOL(threshold->inclusive ? float8_ge(value, threshold->bound)
										: float8_gt(value, threshold->bound));
}

/* doc <#~@ threshold */
Datum
multivector_maxsim_within(PG_FUNCTION_ARGS)
{
	return within(fcinfo, METRIC_IP);
}

/* doc <=~@ threshold */
Datum
multivector_maxsim_cosine_within(PG_FUNCTION_ARGS)
{
	return within(fcinfo, METRIC_COSINE);
}

/* doc <-~@ threshold */
Datum
multivector_maxsim_l2_within(PG_FUNCTION_ARGS)
{
	return within(fcinfo, METRIC_L2);
}
