/*-------------------------------------------------------------------------
 *
 * findings.h
 *	  What a check of an index has to report.
 *
 * Each part of an index checks itself and reports here; who reads the
 * findings does not matter to it. A part that is damaged all over says so a
 * limited number of times.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_FINDINGS_H
#define COLBERT_FINDINGS_H

#include "compat/pg_compat.h"

#include "nodes/pg_list.h"
#include "utils/palloc.h"

typedef enum FindingSeverity
{
	FINDING_WARNING, /* room is lost, or searches are slower or find less than they could; no answer is wrong */
	FINDING_ERROR /* damage: rows may be missed, or searches fail */
} FindingSeverity;

typedef struct Finding
{
	FindingSeverity severity;
	const char     *part;
	int64           item; /* an ordinal or a block; NO_ITEM where it is about neither */
	char           *message;
} Finding;

#define NO_ITEM ((int64) - 1)

typedef struct Findings
{
	MemoryContext context; /* of what is listed */
	List         *list;    /* of Finding */
	const char   *part;    /* that is being checked */
	uint32        in_part; /* findings of it so far */
} Findings;

extern Findings *findings_create(void);

/* What is reported from here on is about that part (a constant). */
extern void findings_begin_part(Findings *findings, const char *part);

extern void findings_add(Findings *findings, FindingSeverity severity, int64 item,
						 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Keep of findings those that others hold too. */
extern void findings_intersect(Findings *findings, const Findings *others);

#endif /* COLBERT_FINDINGS_H */
