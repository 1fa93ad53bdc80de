/*-------------------------------------------------------------------------
 *
 * lightgbm.c
 *	  Read the text file of a LightGBM model (versions v3 and v4).
 *
 * The file has lines KEY=VALUE: first those of the model, then for each tree a
 * line Tree=N and those of the tree. An array is a line of numbers that are
 * separated by spaces.
 *
 * The raw prediction of a random forest is the sum over its trees, too; only
 * LightGBM's transformed prediction divides by their number.
 *
 * Source of the rules: LightGBM 4, src/io/tree.cpp and include/LightGBM/tree.h
 * (NumericalDecision, CategoricalDecision).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <errno.h>
#include <math.h>

#include "miscadmin.h"
#include "rank/builder.h"
#include "rank/readers.h"
#include "storage/shmem.h"

/* Bits of LightGBM's decision_type. */
#define DECISION_CATEGORICAL  0x01
#define DECISION_DEFAULT_LEFT 0x02
#define DECISION_MISSING(t)   (((t) >> 2) & 3)
#define MISSING_NONE          0
#define MISSING_ZERO          1
#define MISSING_NAN           2

/* Lines that are read, of the model and of a tree. */
typedef enum Key
{
	VERSION,
	NUM_CLASS,
	TREES_PER_ITERATION,
	MAX_FEATURE,
	FEATURE_NAMES,
	NUM_LEAVES,
	NUM_CAT,
	SPLIT_FEATURE,
	THRESHOLD,
	DECISION_TYPE,
	LEFT_CHILD,
	RIGHT_CHILD,
	LEAF_VALUE,
	CAT_BOUNDARIES,
	CAT_THRESHOLD,
	IS_LINEAR,
	NKEYS,
} Key;

static const char *const keys[NKEYS] = {
	[VERSION] = "version",
	[NUM_CLASS] = "num_class",
	[TREES_PER_ITERATION] = "num_tree_per_iteration",
	[MAX_FEATURE] = "max_feature_idx",
	[FEATURE_NAMES] = "feature_names",
	[NUM_LEAVES] = "num_leaves",
	[NUM_CAT] = "num_cat",
	[SPLIT_FEATURE] = "split_feature",
	[THRESHOLD] = "threshold",
	[DECISION_TYPE] = "decision_type",
	[LEFT_CHILD] = "left_child",
	[RIGHT_CHILD] = "right_child",
	[LEAF_VALUE] = "leaf_value",
	[CAT_BOUNDARIES] = "cat_boundaries",
	[CAT_THRESHOLD] = "cat_threshold",
	[IS_LINEAR] = "is_linear",
};

/* The values of a section: each points into the text, and ends with its line. NULL: not there. */
typedef struct Section
{
	const char *values[NKEYS];
} Section;

/* ---- lines ---- */

static bool
line_begins(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

static const char *
next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end == NULL ? line + strlen(line) : end + 1;
}

static void
read_line(Section *section, const char *line)
{
	size_t length = strcspn(line, "=\r\n");

	for (int key = 0; key < NKEYS; key++)
		if (strlen(keys[key]) == length && memcmp(keys[key], line, length) == 0)
			section->values[key] = line + length + (line[length] == '=');
}

/* Read lines up to the next tree or the end of the trees. Returns the line where it stopped. */
static const char *
read_section(const char *line, Section *section)
{
	memset(section, 0, sizeof(Section));
	while (*line != '\0' && !line_begins(line, "Tree=") && !line_begins(line, "end of trees"))
	{
		CHECK_FOR_INTERRUPTS();
		read_line(section, line);
		line = next_line(line);
	}
	return line;
}

/* ---- values ---- */

static bool
is_line_end(char c)
{
	return c == '\n' || c == '\r' || c == '\0';
}

/* Read exactly n numbers of a line. */
static double *
read_numbers(const Section *section, Key key, uint32 n)
{
	const char *at = section->values[key];
	double     *numbers = palloc_extended(mul_size(Max(n, 1), sizeof(double)), MCXT_ALLOC_HUGE);

	if (at == NULL)
		model_error("A tree has no line \"%s\".", keys[key]);
	for (uint32 i = 0; i < n; i++)
	{
		char *end;

		CHECK_FOR_INTERRUPTS();
		at += strspn(at, " ");
		errno = 0;
		numbers[i] = is_line_end(*at) ? NAN : strtod(at, &end);
		if (is_line_end(*at) || end == at || (errno == ERANGE && fabs(numbers[i]) > 1))
			model_error("Line \"%s\" of a tree has no number at place %u of %u.", keys[key], i + 1,
						n);
		at = end;
	}
	if (!is_line_end(at[strspn(at, " ")]))
		model_error("Line \"%s\" of a tree has more than %u numbers.", keys[key], n);
	return numbers;
}

/* Return a number as an integer from 0 to most. */
static uint32
whole(double number, Key key, uint32 most)
{
	if (!(number >= 0 && number <= most) || number != floor(number))
		model_error("Line \"%s\" has the number %g, which is not an integer from 0 to %u.",
					keys[key], number, most);
	return (uint32) number;
}

/* Read a line that is one integer from 0 to most. missing: its value if there is no such line. */
static uint32
read_whole(const Section *section, Key key, uint32 most, uint32 missing)
{
	double *number;
	uint32  value;

	if (section->values[key] == NULL)
		return missing;
	number = read_numbers(section, key, 1);
	value = whole(*number, key, most);
	pfree(number);
	return value;
}

/* ---- trees ---- */

/* A tree's category sets: set i has the words from boundaries[i] to boundaries[i + 1]. */
typedef struct Sets
{
	uint32  count;
	double *boundaries;
	uint32  first; /* number of the model's word that is the tree's first */
} Sets;

static Sets
read_sets(ModelBuilder *builder, const Section *section, uint32 nleaves)
{
	Sets    sets = {.count = read_whole(section, NUM_CAT, nleaves, 0)};
	double *numbers;
	uint32 *words;
	uint32  nwords;

	if (sets.count == 0)
		return sets;
	sets.first = builder->header.nwords;
	sets.boundaries = read_numbers(section, CAT_BOUNDARIES, sets.count + 1);
	for (uint32 i = 0; i <= sets.count; i++)
		if (whole(sets.boundaries[i], CAT_BOUNDARIES, INT32_MAX) <
			(i == 0 ? 0 : (uint32) sets.boundaries[i - 1]))
			model_error("Line \"%s\" is not in order.", keys[CAT_BOUNDARIES]);
	nwords = (uint32) sets.boundaries[sets.count];
	/* each word takes two characters at least */
	if (section->values[CAT_THRESHOLD] == NULL ||
		nwords / 2 > strcspn(section->values[CAT_THRESHOLD], "\n"))
		model_error("Line \"%s\" has fewer than %u numbers.", keys[CAT_THRESHOLD], nwords);
	numbers = read_numbers(section, CAT_THRESHOLD, nwords);
	words = palloc_extended(mul_size(Max(nwords, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < nwords; i++)
		words[i] = whole(numbers[i], CAT_THRESHOLD, UINT32_MAX);
	builder_add_words(builder, words, nwords);
	pfree(numbers);
	pfree(words);
	return sets;
}

/* Set a node's split and flags. threshold: the line's number, that of a set if it is one. */
static void
set_split(RankNode *node, uint32 decision, double threshold, const Sets *sets)
{
	uint32 missing = DECISION_MISSING(decision);

	if (missing > MISSING_NAN)
		model_error("A tree has an unknown type of missing values.");
	if (missing == MISSING_NONE)
		node->flags |= SOURCE_REFUSES_NULL;
	if (decision & DECISION_CATEGORICAL)
	{
		uint32 set = whole(threshold, THRESHOLD, Max(sets->count, 1) - 1);

		if (sets->count == 0)
			model_error("A tree has a category set that does not exist.");
		node->flags |= RANK_IS_SET;
		node->split.set.first = sets->first + (uint32) sets->boundaries[set];
		node->split.set.nwords = (uint32) (sets->boundaries[set + 1] - sets->boundaries[set]);
		return;
	}
	node->split.threshold = threshold;
	if (decision & DECISION_DEFAULT_LEFT)
		node->flags |= RANK_DEFAULT_LEFT;
	if (missing == MISSING_ZERO)
		node->flags |= RANK_ZERO_IS_MISSING;
}

/* Return a child as the file has it: a node, or ~ of a leaf. */
static int32
child(double number, Key key)
{
	if (!(number >= INT32_MIN && number <= INT32_MAX) || number != floor(number))
		model_error("Line \"%s\" has the number %g, which is not an integer.", keys[key], number);
	return (int32) number;
}

static RankNode *
read_nodes(ModelBuilder *builder, const Section *section, uint32 nnodes)
{
	RankNode *nodes =
		palloc_extended(mul_size(nnodes, sizeof(RankNode)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	Sets    sets = read_sets(builder, section, nnodes + 1);
	double *features = read_numbers(section, SPLIT_FEATURE, nnodes);
	double *thresholds = read_numbers(section, THRESHOLD, nnodes);
	double *decisions = read_numbers(section, DECISION_TYPE, nnodes);
	double *left = read_numbers(section, LEFT_CHILD, nnodes);
	double *right = read_numbers(section, RIGHT_CHILD, nnodes);

	for (uint32 i = 0; i < nnodes; i++)
	{
		nodes[i].feature = whole(features[i], SPLIT_FEATURE, RANK_MAX_FEATURES);
		nodes[i].left = child(left[i], LEFT_CHILD);
		nodes[i].right = child(right[i], RIGHT_CHILD);
		set_split(&nodes[i], whole(decisions[i], DECISION_TYPE, UINT8_MAX), thresholds[i], &sets);
	}
	pfree(features);
	pfree(thresholds);
	pfree(decisions);
	pfree(left);
	pfree(right);
	return nodes;
}

static void
read_tree(ModelBuilder *builder, const Section *section)
{
	SourceTree tree = {.nleaves = read_whole(section, NUM_LEAVES, INT32_MAX, 0)};
	double    *leaves;

	if (read_whole(section, IS_LINEAR, 1, 0) != 0)
		model_unsupported("linear trees");
	/* each leaf takes two characters at least */
	if (tree.nleaves == 0 || section->values[LEAF_VALUE] == NULL ||
		tree.nleaves / 2 > strcspn(section->values[LEAF_VALUE], "\n"))
		model_error("Tree %u has not as many leaves as its line \"%s\" says.",
					builder->header.ntrees, keys[NUM_LEAVES]);
	leaves = read_numbers(section, LEAF_VALUE, tree.nleaves);
	tree.leaves = leaves;
	tree.nnodes = tree.nleaves - 1;
	tree.root = tree.nnodes > 0 ? 0 : ~0;
	if (tree.nnodes > 0)
		tree.nodes = read_nodes(builder, section, tree.nnodes);
	builder_add_tree(builder, &tree);
	pfree(leaves);
	if (tree.nodes != NULL)
		pfree(tree.nodes);
}

/* ---- the model ---- */

static void
read_names(ModelBuilder *builder, const char *at)
{
	uint32 count = 0;

	while (at != NULL && !is_line_end(*at))
	{
		size_t length = strcspn(at, " \r\n");

		CHECK_FOR_INTERRUPTS();
		builder_add_name(builder, at, length);
		count++;
		at += length;
		at += *at == ' ';
	}
	if (count != builder->header.nfeatures)
		model_error("The model has %u features and %u names.", builder->header.nfeatures, count);
}

static void
check_model(const Section *section)
{
	const char *version = section->values[VERSION];

	if (version == NULL || (!line_begins(version, "v3") && !line_begins(version, "v4")))
		model_unsupported("another version of LightGBM's format than v3 and v4");
	if (read_whole(section, NUM_CLASS, INT32_MAX, 1) != 1 ||
		read_whole(section, TREES_PER_ITERATION, INT32_MAX, 1) != 1)
		model_unsupported("more than one class");
}

RankModel *
read_lightgbm(const char *text)
{
	ModelBuilder builder;
	Section      section;
	const char  *line = read_section(text, &section);

	check_model(&section);
	builder_begin(&builder, RANK_LIGHTGBM,
				  (uint64) read_whole(&section, MAX_FEATURE, INT32_MAX, INT32_MAX) + 1);
	read_names(&builder, section.values[FEATURE_NAMES]);
	while (line_begins(line, "Tree="))
	{
		line = read_section(next_line(line), &section);
		read_tree(&builder, &section);
	}
	if (!line_begins(line, "end of trees"))
		model_error("The file ends before the line \"end of trees\".");
	return builder_end(&builder);
}
