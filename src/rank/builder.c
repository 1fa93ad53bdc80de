/*-------------------------------------------------------------------------
 *
 * builder.c
 *	  Put a rank_model together from the trees of a model file.
 *
 * Nodes are numbered anew, level by level, so that children come after their
 * parents.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "miscadmin.h"
#include "rank/builder.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

/* A tree that is being copied. Nodes are visited when their parent is copied. */
typedef struct Copying
{
	ModelBuilder     *builder;
	const SourceTree *tree;
	uint32            first; /* new number of the root, if it is a node */
	uint32            count; /* nodes visited */
	uint32           *order; /* of the source's nodes */
	bool             *seen_nodes;
	bool             *seen_leaves;
} Copying;

void
model_error(const char *format, ...)
{
	StringInfoData detail;
	va_list        arguments;

	initStringInfo(&detail);
	for (;;)
	{
		int needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&detail, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&detail, needed);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("invalid input syntax for type rank_model"),
					errdetail_internal("%s", detail.data)));
}

void
model_unsupported(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a rank_model cannot have %s", what)));
}

void
builder_begin(ModelBuilder *builder, RankKind kind, uint64 nfeatures)
{
	memset(builder, 0, sizeof(ModelBuilder));
	if (nfeatures == 0)
		model_error("The model has no features.");
	if (nfeatures > RANK_MAX_FEATURES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a rank_model cannot have more than %d features", RANK_MAX_FEATURES)));
	builder->header.version = RANK_MODEL_VERSION;
	builder->header.kind = kind;
	builder->header.nfeatures = (uint32) nfeatures;
	builder->features = palloc0(nfeatures);
	initStringInfo(&builder->nodes);
	initStringInfo(&builder->leaves);
	initStringInfo(&builder->roots);
	initStringInfo(&builder->words);
	initStringInfo(&builder->names);
}

/* ---- names ---- */

/* Return the number of names so far. */
static uint32
names_so_far(const ModelBuilder *builder)
{
	uint32 count = 0;

	for (int i = 0; i < builder->names.len; i++)
		count += builder->names.data[i] == '\0';
	return count;
}

void
builder_add_name(ModelBuilder *builder, const char *name, size_t length)
{
	appendBinaryStringInfo(&builder->names, name, (int) length);
	appendStringInfoChar(&builder->names, '\0');
}

void
builder_add_names(ModelBuilder *builder)
{
	for (uint32 i = names_so_far(builder); i < builder->header.nfeatures; i++)
	{
		char *name = psprintf("f%u", i);

		builder_add_name(builder, name, strlen(name));
		pfree(name);
	}
}

/* ---- trees ---- */

/* Note that a child is reached, and return its number in the model. */
static int32
visit(Copying *copying, int32 child)
{
	const SourceTree *tree = copying->tree;
	RankModel        *header = &copying->builder->header;
	bool              is_leaf = child < 0;
	uint32            number = (uint32) (is_leaf ? ~child : child);
	bool             *seen = is_leaf ? copying->seen_leaves : copying->seen_nodes;

	if (number >= (is_leaf ? tree->nleaves : tree->nnodes))
		model_error("Tree %u has a child that does not exist.", header->ntrees);
	if (seen[number])
		model_error("A node of tree %u has two parents.", header->ntrees);
	seen[number] = true;
	if (!is_leaf)
	{
		copying->order[copying->count] = number;
		return (int32) (copying->first + copying->count++);
	}
	if (!isfinite(tree->leaves[number]))
		model_error("Tree %u has a leaf that is not finite.", header->ntrees);
	appendBinaryStringInfo(&copying->builder->leaves, (const char *) &tree->leaves[number],
						   sizeof(double));
	return ~(int32) header->nleaves++;
}

static void
copy_node(Copying *copying, uint32 number)
{
	ModelBuilder *builder = copying->builder;
	RankNode      node = copying->tree->nodes[number];

	if (node.feature >= builder->header.nfeatures)
		model_error("Tree %u has a feature that does not exist.", builder->header.ntrees);
	if (!(node.flags & RANK_IS_SET) && isnan(node.split.threshold))
		model_error("Tree %u has a threshold that is not a number.", builder->header.ntrees);
	if (node.flags & SOURCE_REFUSES_NULL)
		builder->features[node.feature] |= RANK_REFUSES_NULL;
	node.flags &= RANK_NODE_FLAGS;
	node.left = visit(copying, node.left);
	node.right = visit(copying, node.right);
	appendBinaryStringInfo(&builder->nodes, (const char *) &node, sizeof(RankNode));
}

void
builder_add_words(ModelBuilder *builder, const uint32 *words, uint32 n)
{
	appendBinaryStringInfo(&builder->words, (const char *) words,
						   (int) mul_size(n, sizeof(uint32)));
	builder->header.nwords += n;
}

void
builder_add_tree(ModelBuilder *builder, const SourceTree *tree)
{
	Copying copying = {.builder = builder, .tree = tree, .first = builder->header.nnodes};
	int32   root;

	CHECK_FOR_INTERRUPTS();
	copying.order = palloc(mul_size(Max(tree->nnodes, 1), sizeof(uint32)));
	copying.seen_nodes = palloc0(Max(tree->nnodes, 1));
	copying.seen_leaves = palloc0(Max(tree->nleaves, 1));
	root = visit(&copying, tree->root);
	appendBinaryStringInfo(&builder->roots, (const char *) &root, sizeof(int32));
	for (uint32 i = 0; i < copying.count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		copy_node(&copying, copying.order[i]);
	}
	builder->header.nnodes += copying.count;
	builder->header.ntrees++;
	pfree(copying.order);
	pfree(copying.seen_nodes);
	pfree(copying.seen_leaves);
}

void
builder_set_weights(ModelBuilder *builder, const double *weights)
{
	for (uint32 i = 0; i < builder->header.nfeatures; i++)
	{
		if (!isfinite(weights[i]))
			model_error("Weight %u is not finite.", i);
		builder->features[i] |= RANK_REFUSES_NULL;
	}
	appendBinaryStringInfo(&builder->leaves, (const char *) weights,
						   (int) (builder->header.nfeatures * sizeof(double)));
	builder->header.nleaves = builder->header.nfeatures;
}

/* ---- the end ---- */

static char *
append(char *to, const void *bytes, int size)
{
	memcpy(to, bytes, size);
	return to + size;
}

RankModel *
builder_end(ModelBuilder *builder)
{
	RankModel  *header = &builder->header;
	RankModel  *model;
	const char *wrong;
	size_t      size;
	char       *at;

	header->names_size = (uint32) builder->names.len;
	size = rank_model_size(header);
	if (size > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("rank_model of %zu bytes is too large", size)));
	model = palloc(size);
	at = append((char *) model, header, sizeof(RankModel));
	at = append(at, builder->nodes.data, builder->nodes.len);
	at = append(at, builder->leaves.data, builder->leaves.len);
	at = append(at, builder->roots.data, builder->roots.len);
	at = append(at, builder->words.data, builder->words.len);
	at = append(at, builder->features, (int) header->nfeatures);
	(void) append(at, builder->names.data, builder->names.len);
	SET_VARSIZE(model, size);
	wrong = rank_model_check(model, size);
	if (wrong != NULL)
		model_error("The model %s.", wrong);
	return model;
}
