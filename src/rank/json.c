/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Values of a JSON model file, which PostgreSQL parsed as jsonb.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "miscadmin.h"
#include "rank/json.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

bool
find_member(const JsonbContainer *object, const char *key, JsonbValue *value)
{
	return JsonContainerIsObject(object) &&
		   getKeyJsonValueFromContainer((JsonbContainer *) object, key, (int) strlen(key), value) !=
			   NULL;
}

static JsonbValue
require(const JsonbContainer *object, const char *key)
{
	JsonbValue value;

	if (!find_member(object, key, &value))
		model_error("The model has no member \"%s\" where one is expected.", key);
	return value;
}

const JsonbContainer *
member_object(const JsonbContainer *object, const char *key)
{
	JsonbValue value = require(object, key);

	if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
		model_error("Member \"%s\" is not an object.", key);
	return value.val.binary.data;
}

const JsonbContainer *
member_list(const JsonbContainer *object, const char *key)
{
	JsonbValue value = require(object, key);

	if (value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data))
		model_error("Member \"%s\" is not an array.", key);
	return value.val.binary.data;
}

char *
member_string(const JsonbContainer *object, const char *key)
{
	JsonbValue value = require(object, key);

	if (value.type != jbvString)
		model_error("Member \"%s\" is not a string.", key);
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/* Return the number of a value. Numbers that do not fit are PostgreSQL's errors. */
static double
number(const JsonbValue *value, const char *key, NumberKind kind)
{
	Datum numeric;

	if (value->type == jbvBool && kind == NUMBER_INT4)
		return value->val.boolean;
	if (value->type != jbvNumeric)
		model_error("Member \"%s\" has a value that is not a number.", key);
	numeric = NumericGetDatum(value->val.numeric);
	if (kind == NUMBER_INT4)
		return DatumGetInt32(DirectFunctionCall1(numeric_int4, numeric));
	if (kind == NUMBER_FLOAT4)
		return DatumGetFloat4(DirectFunctionCall1(numeric_float4, numeric));
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, numeric));
}

int32
member_count(const JsonbContainer *object, const char *key, int32 missing)
{
	JsonbValue value;
	int32      count;

	if (!find_member(object, key, &value))
		return missing;
	if (value.type == jbvString)
		count = pg_strtoint32(pnstrdup(value.val.string.val, value.val.string.len));
	else
		count = (int32) number(&value, key, NUMBER_INT4);
	if (count < 0)
		model_error("Member \"%s\" is negative.", key);
	return count;
}

double
member_number(const JsonbContainer *object, const char *key, double missing)
{
	JsonbValue value;

	return find_member(object, key, &value) ? number(&value, key, NUMBER_FLOAT8) : missing;
}

void
member_names(const JsonbContainer *object, const char *key, ModelBuilder *builder)
{
	JsonbIterator     *iterator = JsonbIteratorInit((JsonbContainer *) member_list(object, key));
	JsonbValue         value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type != jbvString)
			model_error("Member \"%s\" has an entry that is not a string.", key);
		builder_add_name(builder, value.val.string.val, value.val.string.len);
	}
}

double *
member_numbers(const JsonbContainer *object, const char *key, NumberKind kind, uint32 *n)
{
	const JsonbContainer *list = member_list(object, key);
	JsonbIterator        *iterator = JsonbIteratorInit((JsonbContainer *) list);
	double            *numbers = palloc(mul_size(Max(JsonContainerSize(list), 1), sizeof(double)));
	JsonbValue         value;
	JsonbIteratorToken token;

	*n = 0;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM)
			numbers[(*n)++] = number(&value, key, kind);
	}
	return numbers;
}
