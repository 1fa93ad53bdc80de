/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Values of a JSON model file, which PostgreSQL parsed as jsonb.
 *
 * Each function raises an error if a value is missing or of another type,
 * unless its comment says otherwise. key: of a member of the object.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RANK_JSON_H
#define COLBERT_RANK_JSON_H

#include "rank/builder.h"
#include "utils/jsonb.h"

typedef enum NumberKind
{
	NUMBER_FLOAT4, /* rounded to float4 */
	NUMBER_FLOAT8,
	NUMBER_INT4, /* true and false are 1 and 0 */
} NumberKind;

/* Return true if there is such a member; *value is set to it. */
extern bool find_member(const JsonbContainer *object, const char *key, JsonbValue *value);

extern const JsonbContainer *member_object(const JsonbContainer *object, const char *key);
extern const JsonbContainer *member_list(const JsonbContainer *object, const char *key);

/* Return a string, with a zero byte at its end. */
extern char *member_string(const JsonbContainer *object, const char *key);

/* Return an integer from 0 on, written as a number or a string; if there is none, missing. */
extern int32 member_count(const JsonbContainer *object, const char *key, int32 missing);

/* Return a number; if there is none, missing. */
extern double member_number(const JsonbContainer *object, const char *key, double missing);

/* Add the strings of a list as names of features. */
extern void member_names(const JsonbContainer *object, const char *key, ModelBuilder *builder);

/* Return the numbers of a list, and set *n to how many there are. */
extern double *member_numbers(const JsonbContainer *object, const char *key, NumberKind kind,
							  uint32 *n);

#endif /* COLBERT_RANK_JSON_H */
