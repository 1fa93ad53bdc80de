/*-------------------------------------------------------------------------
 *
 * linear.c
 *	  Read a linear model, a JSON object: its weights, and optionally an
 *	  intercept and the names of its features.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "rank/builder.h"
#include "rank/json.h"
#include "rank/readers.h"

/* Raise an error if the object has a member that is not read, such as a misspelled one. */
static void
refuse_others(const JsonbContainer *root)
{
	static const char *const known[] = {"weights", "intercept", "features"};
	JsonbValue               value;
	int                      found = 0;

	for (size_t i = 0; i < lengthof(known); i++)
		found += find_member(root, known[i], &value);
	if (found != (int) JsonContainerSize(root))
		model_error("A linear model has the members \"weights\", \"intercept\" and \"features\", "
					"and no others.");
}

RankModel *
read_linear(const JsonbContainer *root)
{
	uint32       nweights;
	double      *weights = member_numbers(root, "weights", NUMBER_FLOAT8, &nweights);
	ModelBuilder builder;
	JsonbValue   value;

	refuse_others(root);
	builder_begin(&builder, RANK_LINEAR, nweights);
	builder.header.base = member_number(root, "intercept", 0);
	if (find_member(root, "features", &value))
		member_names(root, "features", &builder);
	builder_add_names(&builder);
	builder_set_weights(&builder, weights);
	return builder_end(&builder);
}
