/*-------------------------------------------------------------------------
 *
 * xgboost.c
 *	  Read the JSON file of an XGBoost model.
 *
 * In the file, nodes and leaves of a tree share one numbering. A value goes
 * left if it is less than the condition, as floats; the nodes of a rank_model
 * send values up to a threshold to the left, so the threshold is the float
 * before the condition. The condition of a leaf is its value.
 *
 * Source of the rules: XGBoost 3, doc/tutorials/saving_model.rst and
 * src/predictor.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "rank/builder.h"
#include "rank/json.h"
#include "rank/readers.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

/* A tree as in the file: arrays with an entry per node. */
typedef struct JsonTree
{
	uint32  nnodes;
	double *left;
	double *right;
	double *features;
	double *conditions;
	double *default_left;
} JsonTree;

/* Read an array of a tree, which must have as many entries as the others. */
static double *
read_array(const JsonbContainer *object, const char *key, NumberKind kind, uint32 nnodes)
{
	uint32  n;
	double *numbers = member_numbers(object, key, kind, &n);

	if (n != nnodes)
		model_error("Member \"%s\" of a tree has %u entries, not %u.", key, n, nnodes);
	return numbers;
}

static void
refuse_categories(const JsonbContainer *object)
{
	JsonbValue value;
	double    *types;
	uint32     n;

	if (!find_member(object, "split_type", &value))
		return;
	types = member_numbers(object, "split_type", NUMBER_INT4, &n);
	for (uint32 i = 0; i < n; i++)
		if (types[i] != 0)
			model_unsupported("categories of XGBoost");
	pfree(types);
}

/* Return a child, or ~ of it if it is a leaf. */
static int32
child(const JsonTree *tree, double number)
{
	if (number < 0 || number >= tree->nnodes)
		model_error("A tree has a child that does not exist.");
	return tree->left[(uint32) number] < 0 ? ~(int32) number : (int32) number;
}

static RankNode
make_node(const JsonTree *tree, uint32 number)
{
	RankNode node = {.flags = 0};

	if (tree->features[number] < 0 || tree->features[number] > RANK_MAX_FEATURES)
		model_error("A tree has a feature that does not exist.");
	node.feature = (uint32) tree->features[number];
	node.split.threshold = nextafterf((float) tree->conditions[number], -INFINITY);
	if (tree->default_left[number] != 0)
		node.flags = RANK_DEFAULT_LEFT;
	node.left = child(tree, tree->left[number]);
	node.right = child(tree, tree->right[number]);
	return node;
}

static void
add_tree(ModelBuilder *builder, const JsonTree *tree)
{
	SourceTree source = {
		.nnodes = tree->nnodes, .nleaves = tree->nnodes, .leaves = tree->conditions};

	source.nodes = palloc0(mul_size(tree->nnodes, sizeof(RankNode)));
	source.root = child(tree, 0);
	for (uint32 i = 0; i < tree->nnodes; i++)
		if (tree->left[i] >= 0)
			source.nodes[i] = make_node(tree, i);
	builder_add_tree(builder, &source);
	pfree(source.nodes);
}

static void
read_tree(ModelBuilder *builder, const JsonbContainer *object)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "rank_model tree", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	JsonTree      tree;

	if (member_count(member_object(object, "tree_param"), "size_leaf_vector", 0) > 1)
		model_unsupported("leaves with several values");
	refuse_categories(object);
	tree.left = member_numbers(object, "left_children", NUMBER_INT4, &tree.nnodes);
	if (tree.nnodes == 0)
		model_error("A tree has no nodes.");
	tree.right = read_array(object, "right_children", NUMBER_INT4, tree.nnodes);
	tree.features = read_array(object, "split_indices", NUMBER_INT4, tree.nnodes);
	tree.conditions = read_array(object, "split_conditions", NUMBER_FLOAT4, tree.nnodes);
	tree.default_left = read_array(object, "default_left", NUMBER_INT4, tree.nnodes);
	MemoryContextSwitchTo(old);
	add_tree(builder, &tree);
	MemoryContextDelete(context);
}

static void
read_trees(ModelBuilder *builder, const JsonbContainer *list)
{
	JsonbIterator     *iterator = JsonbIteratorInit((JsonbContainer *) list);
	JsonbValue         value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			model_error("Member \"trees\" has an entry that is not an object.");
		read_tree(builder, value.val.binary.data);
	}
}

/* ---- the model ---- */

/* Return the base score of the file: "5E-1", or "[5E-1]" since XGBoost 3. */
static float
base_score(const JsonbContainer *parameters)
{
	char *text = member_string(parameters, "base_score");
	char *start = text + strspn(text, "[");
	char *end;
	float base = strtof(start, &end);

	if (end == start || *(end + strspn(end, "]")) != '\0' || !isfinite(base))
		model_error("Member \"base_score\" is \"%s\", which is not one number.", text);
	return base;
}

/* Return the base score as a raw prediction: the inverse of the objective's transformation. */
static float
base_margin(const char *objective, float base)
{
	static const char *const same[] = {"rank:",
									   "reg:squarederror",
									   "reg:absoluteerror",
									   "reg:squaredlogerror",
									   "reg:pseudohubererror",
									   "binary:logitraw",
									   "binary:hinge"};
	static const char *const logistic[] = {"binary:logistic", "reg:logistic"};
	static const char *const exponential[] = {"count:poisson", "reg:gamma", "reg:tweedie"};

	for (size_t i = 0; i < lengthof(same); i++)
		if (strncmp(objective, same[i], strlen(same[i])) == 0)
			return base;
	for (size_t i = 0; i < lengthof(logistic); i++)
		if (strcmp(objective, logistic[i]) == 0)
			return -logf(1.0f / base - 1.0f);
	for (size_t i = 0; i < lengthof(exponential); i++)
		if (strcmp(objective, exponential[i]) == 0)
			return logf(base);
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("a rank_model cannot have the objective \"%s\"", objective)));
}

/* Return the trees of the booster, after a check that it is a kind that is read. */
static const JsonbContainer *
trees_of(const JsonbContainer *learner)
{
	const JsonbContainer *booster = member_object(learner, "gradient_booster");

	if (strcmp(member_string(booster, "name"), "gbtree") != 0)
		model_unsupported("another booster of XGBoost than gbtree");
	return member_list(member_object(booster, "model"), "trees");
}

RankModel *
read_xgboost(const JsonbContainer *root)
{
	const JsonbContainer *learner = member_object(root, "learner");
	const JsonbContainer *parameters = member_object(learner, "learner_model_param");
	const JsonbContainer *trees = trees_of(learner);
	const char           *objective = member_string(member_object(learner, "objective"), "name");
	ModelBuilder          builder;
	JsonbValue            value;

	if (member_count(parameters, "num_class", 0) > 1 ||
		member_count(parameters, "num_target", 1) > 1)
		model_unsupported("more than one class or target");
	builder_begin(&builder, RANK_XGBOOST, (uint64) member_count(parameters, "num_feature", 0));
	builder.header.base = base_margin(objective, base_score(parameters));
	if (find_member(learner, "feature_names", &value))
		member_names(learner, "feature_names", &builder);
	builder_add_names(&builder);
	read_trees(&builder, trees);
	return builder_end(&builder);
}
