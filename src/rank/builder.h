/*-------------------------------------------------------------------------
 *
 * builder.h
 *	  Put a rank_model together from the trees of a model file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RANK_BUILDER_H
#define COLBERT_RANK_BUILDER_H

#include "lib/stringinfo.h"
#include "rank/model.h"

/* A model that grows. Each buffer holds the bytes of one part of the model. */
typedef struct ModelBuilder
{
	RankModel      header;
	StringInfoData nodes;
	StringInfoData leaves;
	StringInfoData roots;
	StringInfoData words;
	StringInfoData names;
	uint8         *features;
} ModelBuilder;

/* Flag of a source node: its feature had no missing values in the training data. */
#define SOURCE_REFUSES_NULL 0x80

/*
 * A tree as a model file numbers it. A child is a node, or ~ of a leaf. The
 * builder takes what is reachable from the root, and sets the children of the
 * nodes that it copies.
 */
typedef struct SourceTree
{
	int32         root;
	uint32        nnodes;
	uint32        nleaves;
	RankNode     *nodes;
	const double *leaves;
} SourceTree;

extern void builder_begin(ModelBuilder *builder, RankKind kind, uint64 nfeatures);

/* Add the name of the next feature. */
extern void builder_add_name(ModelBuilder *builder, const char *name, size_t length);

/* Name the features that have no name yet f0, f1 and so on, by their place, as XGBoost does. */
extern void builder_add_names(ModelBuilder *builder);

/* Add words of a category set. */
extern void builder_add_words(ModelBuilder *builder, const uint32 *words, uint32 n);

/* Add a tree. Children out of bounds, and nodes with two parents, are errors. */
extern void builder_add_tree(ModelBuilder *builder, const SourceTree *tree);

/* Set the weights of a linear model, one per feature. */
extern void builder_set_weights(ModelBuilder *builder, const double *weights);

extern RankModel *builder_end(ModelBuilder *builder);

/*
 * Raise an error: the model file is damaged, or of a form that is not known.
 * clang does not know the format of pg_attribute_printf.
 */
compat_noreturn extern void model_error(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Raise an error: the model file has something that is not supported. */
compat_noreturn extern void model_unsupported(const char *what);

#endif /* COLBERT_RANK_BUILDER_H */
