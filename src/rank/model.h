/*-------------------------------------------------------------------------
 *
 * model.h
 *	  The bytes of a rank_model, a trained ranker.
 *
 * After the header come nodes, leaves, roots, words of category sets, flags of
 * features, and names of features, in this order and without gaps.
 *
 * A child, or a root, is the number of a node, or ~ of the number of a leaf.
 * The children of a node have higher numbers than the node, so a walk from any
 * root ends. rank_model_check enforces this and all bounds; every value of the
 * type has passed it, and rank_score runs it again before it walks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RANK_MODEL_H
#define COLBERT_RANK_MODEL_H

#define RANK_MODEL_VERSION 1

/* Maximum number of features; they must fit into an array of real. */
#define RANK_MAX_FEATURES 65535

typedef enum RankKind
{
	RANK_LINEAR,
	RANK_LIGHTGBM,
	RANK_XGBOOST,
} RankKind;

/* ---- flags of a node ---- */

/* The way of a missing value. */
#define RANK_DEFAULT_LEFT 0x01
/* Values in a set go left. Otherwise values up to the threshold do. */
#define RANK_IS_SET 0x02
/* Values of about zero count as missing. */
#define RANK_ZERO_IS_MISSING 0x04
#define RANK_NODE_FLAGS      0x07

/* ---- flags of a feature ---- */

/* The training data had no missing values: a NULL would be taken as 0 by mistake. */
#define RANK_REFUSES_NULL  0x01
#define RANK_FEATURE_FLAGS 0x01

/* A set of categories, as bits: word i / 32, bit i % 32. */
typedef struct RankSet
{
	uint32 first; /* number of its first word */
	uint32 nwords;
} RankSet;

typedef struct RankNode
{
	union
	{
		double  threshold;
		RankSet set;
	} split;
	uint32 feature;
	uint32 flags;
	int32  left;
	int32  right;
} RankNode;

/* A model of kind RANK_LINEAR has a leaf per feature, its weight, and no nodes and trees. */
typedef struct RankModel
{
	int32  vl_len_;
	uint8  version;
	uint8  kind;
	uint16 unused;
	uint32 nfeatures;
	uint32 ntrees;
	uint32 nnodes;
	uint32 nleaves;
	uint32 nwords;
	uint32 names_size; /* of the names, each with a zero byte at its end */
	double base;       /* the score before the first tree */
} RankModel;

StaticAssertDecl(sizeof(RankNode) == 24, "size of RankNode");
StaticAssertDecl(offsetof(RankNode, feature) == 8, "offset of RankNode.feature");
StaticAssertDecl(offsetof(RankNode, left) == 16, "offset of RankNode.left");
StaticAssertDecl(sizeof(RankModel) == 40, "size of RankModel");
StaticAssertDecl(offsetof(RankModel, nfeatures) == 8, "offset of RankModel.nfeatures");
StaticAssertDecl(offsetof(RankModel, base) == 32, "offset of RankModel.base");

static inline RankNode *
rank_nodes(const RankModel *model)
{
	return (RankNode *) (model + 1);
}

static inline double *
rank_leaves(const RankModel *model)
{
	return (double *) (rank_nodes(model) + model->nnodes);
}

static inline int32 *
rank_roots(const RankModel *model)
{
	return (int32 *) (rank_leaves(model) + model->nleaves);
}

static inline uint32 *
rank_words(const RankModel *model)
{
	return (uint32 *) (rank_roots(model) + model->ntrees);
}

static inline uint8 *
rank_feature_flags(const RankModel *model)
{
	return (uint8 *) (rank_words(model) + model->nwords);
}

static inline char *
rank_names(const RankModel *model)
{
	return (char *) (rank_feature_flags(model) + model->nfeatures);
}

/* ---- model.c ---- */

/* Return the size of a model with the counts of this header, in bytes. */
extern size_t rank_model_size(const RankModel *header);

/* Return NULL if the size bytes of a model keep all invariants, else what is wrong. */
extern const char *rank_model_check(const RankModel *model, size_t size);

/* Detoast a model, and check it. A model that is damaged is an error. */
extern const RankModel *rank_model_checked(Datum datum);

/* Return the name of a kind. */
extern const char *rank_kind_name(uint8 kind);

#endif /* COLBERT_RANK_MODEL_H */
