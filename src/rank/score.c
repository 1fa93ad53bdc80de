/*-------------------------------------------------------------------------
 *
 * score.c
 *	  rank_score: the prediction of a model for one row of features.
 *
 * The score has the bits of the raw prediction of the library that trained
 * the model: LightGBM adds the leaves as doubles, XGBoost as floats, both in
 * the order of the trees.
 *
 * A call keeps its model, detoasted and checked, for the calls that follow
 * with the same model in the same statement.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "base/constant.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "rank/model.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(rank_score);
PG_FUNCTION_INFO_V1(rank_score_by_name);

/* Values of at most this size are zero to LightGBM (kZeroThreshold, which is a float). */
#define ZERO_LIMIT 1e-35f

/*
 * Trees, nodes on the way through a tree, and names, between two checks for
 * interrupts. Trees may share nodes, and one way may go through all of them.
 */
#define TREES_PER_CHECK 1024
#define NODES_PER_CHECK 4096
#define NAMES_PER_CHECK 65536

/* What a call of rank_score leaves for the next one. */
typedef struct ScoreCall
{
	MemoryContext    context;  /* of the model, key, names and places */
	bool             constant; /* the model is the same in all calls */
	const RankModel *model;
	struct varlena  *key;    /* model as the call got it, toasted; NULL if that may change */
	struct varlena  *names;  /* names as the call got them */
	int              nnames; /* number of names */
	int32           *places; /* of each feature of the model among the names; -1: not there */
	float           *values; /* of the model's features */
} ScoreCall;

/* ---- trees ---- */

static int32
next_by_set(const RankModel *model, const RankNode *node, float value)
{
	const RankSet *set = &node->split.set;
	uint32         category;

	/* NaN, and what is no category, are not in the set */
	if (!(value > -1 && value < 0x1p31f))
		return node->right;
	category = (uint32) (int32) value;
	if (category / 32 >= set->nwords ||
		!((rank_words(model)[set->first + category / 32] >> category % 32) & 1))
		return node->right;
	return node->left;
}

static inline int32
next_node(const RankModel *model, const RankNode *node, float value)
{
	if (unlikely(node->flags & RANK_IS_SET))
		return next_by_set(model, node, value);
	if (unlikely(isnan(value)) ||
		((node->flags & RANK_ZERO_IS_MISSING) && fabsf(value) <= ZERO_LIMIT))
		return node->flags & RANK_DEFAULT_LEFT ? node->left : node->right;
	return value <= node->split.threshold ? node->left : node->right;
}

/* Return the leaf's value that a tree has for the features. */
static inline double
tree_value(const RankModel *model, int32 at, const float *values)
{
	const RankNode *nodes = rank_nodes(model);

	for (uint32 steps = 1; at >= 0; steps++)
	{
		if (unlikely(steps % NODES_PER_CHECK == 0))
			CHECK_FOR_INTERRUPTS();
		at = next_node(model, &nodes[at], values[nodes[at].feature]);
	}
	return rank_leaves(model)[~at];
}

static double
sum_of_trees(const RankModel *model, const float *values)
{
	double sum = model->base;

	for (uint32 i = 0; i < model->ntrees; i++)
	{
		if (i % TREES_PER_CHECK == TREES_PER_CHECK - 1)
			CHECK_FOR_INTERRUPTS();
		sum += tree_value(model, rank_roots(model)[i], values);
	}
	return sum;
}

static float
sum_of_trees_in_floats(const RankModel *model, const float *values)
{
	float sum = (float) model->base;

	for (uint32 i = 0; i < model->ntrees; i++)
	{
		if (i % TREES_PER_CHECK == TREES_PER_CHECK - 1)
			CHECK_FOR_INTERRUPTS();
		sum += (float) tree_value(model, rank_roots(model)[i], values);
	}
	return sum;
}

static double
weighted_sum(const RankModel *model, const float *values)
{
	double sum = model->base;

	for (uint32 i = 0; i < model->nfeatures; i++)
		sum += rank_leaves(model)[i] * values[i];
	return sum;
}

static double
predict(const RankModel *model, const float *values)
{
	switch (model->kind)
	{
		case RANK_LINEAR:
			return weighted_sum(model, values);
		case RANK_XGBOOST:
			return sum_of_trees_in_floats(model, values);
		default:
			return sum_of_trees(model, values);
	}
}

/* ---- the model ---- */

/* Return a copy of a datum as it is, or NULL if the same bytes may be another value later. */
static struct varlena *
copy_form(struct varlena *datum)
{
	struct varlena *copy;

	if (VARATT_IS_EXTERNAL(datum) && !VARATT_IS_EXTERNAL_ONDISK(datum))
		return NULL;
	copy = palloc(VARSIZE_ANY(datum));
	memcpy(copy, datum, VARSIZE_ANY(datum));
	return copy;
}

static bool
is_same_form(const struct varlena *a, const struct varlena *b)
{
	return a != NULL && VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/* Return the call with its model, which is that of the call before if it is the same. */
static ScoreCall *
score_call(FunctionCallInfo fcinfo)
{
	ScoreCall      *call = fcinfo->flinfo->fn_extra;
	struct varlena *form = (struct varlena *) PG_GETARG_POINTER(0);
	MemoryContext   context;
	MemoryContext   old;

	if (call != NULL && (call->constant || is_same_form(call->key, form)))
		return call;
	fcinfo->flinfo->fn_extra = NULL;
	if (call != NULL)
		MemoryContextDelete(call->context);
	context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "rank_score", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	call = palloc0(sizeof(ScoreCall));
	call->context = context;
	call->key = copy_form(form);
	call->model = rank_model_checked(
		PointerGetDatum(call->key != NULL ? (struct varlena *) call->key : form));
	call->constant = argument_is_constant(fcinfo->flinfo, 0);
	call->values = palloc(call->model->nfeatures * sizeof(float));
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

/* ---- features ---- */

static const char *
feature_name(const RankModel *model, uint32 feature)
{
	const char *name = rank_names(model);

	for (uint32 i = 0; i < feature; i++)
		name += strlen(name) + 1;
	return name;
}

static void
check_null(const RankModel *model, uint32 feature, float value)
{
	if (likely(!isnan(value)) || !(rank_feature_flags(model)[feature] & RANK_REFUSES_NULL))
		return;
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("feature \"%s\" is null or NaN", feature_name(model, feature)),
					errdetail("It was never missing in the data that the model was trained with."),
					errhint("Use coalesce(), or train with rows in which it is missing.")));
}

/* Return the values of an array of real; NULLs are NaN. *n is set to their number. */
static const float *
array_values(ArrayType *array, int *n)
{
	const float *stored = (const float *) ARR_DATA_PTR(array);
	const uint8 *present = ARR_NULLBITMAP(array);
	float       *values;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("features must be an array of one dimension")));
	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (present == NULL)
		return stored;
	values = palloc(Max(*n, 1) * sizeof(float));
	for (int i = 0; i < *n; i++)
		values[i] = present[i / 8] & (1 << i % 8) ? *stored++ : NAN;
	return values;
}

Datum
rank_score(PG_FUNCTION_ARGS)
{
	ScoreCall       *call = score_call(fcinfo);
	const RankModel *model = call->model;
	ArrayType       *array = PG_GETARG_ARRAYTYPE_P(1);
	int              n;
	const float     *values = array_values(array, &n);
	double           score;

	if ((uint32) n != model->nfeatures)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("expected %u features, not %d", model->nfeatures, n),
						errhint("rank_model_features() lists those of the model.")));
	for (uint32 i = 0; i < model->nfeatures; i++)
		check_null(model, i, values[i]);
	score = predict(model, values);
	PG_FREE_IF_COPY(array, 1);
	PG_RETURN_FLOAT8(score);
}

/* ---- features by name ---- */

/* Return the place of a name among names, or -1. */
static int32
place_of(const char *name, const Datum *names, const bool *nulls, int n)
{
	size_t length = strlen(name);

	for (int i = 0; i < n; i++)
	{
		const struct varlena *candidate = (const struct varlena *) DatumGetPointer(names[i]);

		if (i % NAMES_PER_CHECK == 0)
			CHECK_FOR_INTERRUPTS();
		if (!nulls[i] && VARSIZE_ANY_EXHDR(candidate) == length &&
			memcmp(VARDATA_ANY(candidate), name, length) == 0)
			return i;
	}
	return -1;
}

static void
check_count(int nnames, int nvalues)
{
	if (nvalues != nnames)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("expected %d features, one for each name, not %d", nnames, nvalues)));
}

/*
 * Find the places of the model's features among the names, unless the call has
 * them already. Raises an error unless there are as many names as values.
 */
static void
find_places(ScoreCall *call, struct varlena *form, int nvalues)
{
	MemoryContext old;
	const char   *name = rank_names(call->model);
	Datum        *names;
	bool         *nulls;
	int           n;

	if (is_same_form(call->names, form))
	{
		check_count(call->nnames, nvalues);
		return;
	}
	deconstruct_array(DatumGetArrayTypeP(PointerGetDatum(form)), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, &nulls, &n);
	check_count(n, nvalues);
	old = MemoryContextSwitchTo(call->context);
	if (call->places == NULL)
		call->places = palloc(call->model->nfeatures * sizeof(int32));
	if (call->names != NULL)
		pfree(call->names);
	call->names = NULL;
	for (uint32 i = 0; i < call->model->nfeatures; i++, name += strlen(name) + 1)
		call->places[i] = place_of(name, names, nulls, n);
	call->names = copy_form(form);
	MemoryContextSwitchTo(old);
	call->nnames = n;
	pfree(names);
	pfree(nulls);
}

Datum
rank_score_by_name(PG_FUNCTION_ARGS)
{
	ScoreCall       *call = score_call(fcinfo);
	const RankModel *model = call->model;
	ArrayType       *array = PG_GETARG_ARRAYTYPE_P(1);
	int              n;
	const float     *values = array_values(array, &n);

	find_places(call, (struct varlena *) PG_GETARG_POINTER(2), n);
	for (uint32 i = 0; i < model->nfeatures; i++)
	{
		int32 place = call->places[i];

		if (place < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_PARAMETER),
					 errmsg("the names lack feature \"%s\" of the model", feature_name(model, i))));
		call->values[i] = values[place];
		check_null(model, i, values[place]);
	}
	PG_FREE_IF_COPY(array, 1);
	PG_RETURN_FLOAT8(predict(model, call->values));
}
