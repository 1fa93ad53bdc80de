/*-------------------------------------------------------------------------
 *
 * model.c
 *	  The size of a rank_model, and the check of its invariants.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "fmgr.h"
#include "rank/model.h"
#include "storage/shmem.h"

size_t
rank_model_size(const RankModel *header)
{
	size_t size = sizeof(RankModel);

	size = add_size(size, mul_size(header->nnodes, sizeof(RankNode)));
	size = add_size(size, mul_size(header->nleaves, sizeof(double)));
	size = add_size(size, mul_size(header->ntrees, sizeof(int32)));
	size = add_size(size, mul_size(header->nwords, sizeof(uint32)));
	size = add_size(size, header->nfeatures);
	return add_size(size, header->names_size);
}

/* Return true if a child of a node, or with node -1 a root, exists, and comes after the node. */
static bool
is_child(const RankModel *model, int64 node, int32 child)
{
	if (child < 0)
		return (uint32) ~child < model->nleaves;
	return child > node && (uint32) child < model->nnodes;
}

static bool
is_node(const RankModel *model, uint32 number)
{
	const RankNode *node = &rank_nodes(model)[number];

	if (node->feature >= model->nfeatures || (node->flags & ~RANK_NODE_FLAGS) != 0 ||
		!is_child(model, number, node->left) || !is_child(model, number, node->right))
		return false;
	if (node->flags & RANK_IS_SET)
		return (uint64) node->split.set.first + node->split.set.nwords <= model->nwords;
	return !isnan(node->split.threshold);
}

/* Return the number of zero bytes among the names, or -1 if the last byte is not one. */
static int64
count_names(const RankModel *model)
{
	const char *names = rank_names(model);
	int64       count = 0;

	for (uint32 i = 0; i < model->names_size; i++)
		count += names[i] == '\0';
	return model->names_size > 0 && names[model->names_size - 1] != '\0' ? -1 : count;
}

/* Check the header alone, so that the size and the places of the parts can be trusted. */
static const char *
check_header(const RankModel *model, size_t size)
{
	bool linear;

	if (size < sizeof(RankModel))
		return "is too short";
	if (model->version != RANK_MODEL_VERSION)
		return "has an unknown version";
	if (model->kind > RANK_XGBOOST || model->unused != 0)
		return "has an unknown kind";
	if (model->nfeatures == 0 || model->nfeatures > RANK_MAX_FEATURES)
		return "has no features, or too many";
	linear = model->kind == RANK_LINEAR;
	if (linear ? model->ntrees != 0 || model->nnodes != 0 || model->nleaves != model->nfeatures
			   : model->ntrees == 0)
		return "has not as many trees, nodes or leaves as its kind";
	if (rank_model_size(model) != size)
		return "has not the size that its header says";
	return NULL;
}

const char *
rank_model_check(const RankModel *model, size_t size)
{
	const char *wrong = check_header(model, size);

	if (wrong != NULL)
		return wrong;
	if (!isfinite(model->base))
		return "has a base score that is not finite";
	for (uint32 i = 0; i < model->nnodes; i++)
		if (!is_node(model, i))
			return "has a node that points out of bounds";
	for (uint32 i = 0; i < model->nleaves; i++)
		if (!isfinite(rank_leaves(model)[i]))
			return "has a leaf that is not finite";
	for (uint32 i = 0; i < model->ntrees; i++)
		if (!is_child(model, -1, rank_roots(model)[i]))
			return "has a root that points out of bounds";
	for (uint32 i = 0; i < model->nfeatures; i++)
		if (rank_feature_flags(model)[i] & ~RANK_FEATURE_FLAGS)
			return "has unknown flags of a feature";
	if (count_names(model) != model->nfeatures)
		return "has not one name per feature";
	return NULL;
}

const RankModel *
rank_model_checked(Datum datum)
{
	const RankModel *model = (const RankModel *) PG_DETOAST_DATUM(datum);
	const char      *wrong = rank_model_check(model, VARSIZE(model));

	if (wrong != NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("rank_model is damaged"),
						errdetail_internal("The model %s.", wrong)));
	return model;
}

const char *
rank_kind_name(uint8 kind)
{
	static const char *const names[] = {
		[RANK_LINEAR] = "linear", [RANK_LIGHTGBM] = "lightgbm", [RANK_XGBOOST] = "xgboost"};

	return names[kind];
}
