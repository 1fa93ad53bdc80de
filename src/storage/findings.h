/*-------------------------------------------------------------------------
 *
 * findings.h
 *	  Findings of an index check.
 *
 * Each part of an index checks itself and reports findings here, independent
 * of how they are presented. The number of findings listed per part is
 * limited.
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
	/*
	 * Space is lost, or searches are slower or have lower recall than
	 * possible; no result is wrong.
	 */
	FINDING_WARNING,
	/* Damage: rows may be missed, or searches fail. */
	FINDING_ERROR
} FindingSeverity;

typedef struct Finding
{
	FindingSeverity severity;
	const char     *part;
	int64           item; /* ordinal or block; NO_ITEM if it concerns neither */
	char           *message;
} Finding;

#define NO_ITEM ((int64) - 1)

typedef struct Findings
{
	MemoryContext context; /* of the list and its findings */
	List         *list;    /* of Finding */
	const char   *part;    /* part being checked */
	uint32        in_part; /* findings of this part so far */
} Findings;

extern Findings *findings_create(void);

/* Begin a part (a constant string); later findings are reported for it. */
extern void findings_begin_part(Findings *findings, const char *part);

/* Add a finding about item to the current part, with a formatted message. */
extern void findings_add(Findings *findings, FindingSeverity severity, int64 item,
						 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Remove findings that others does not contain. */
extern void findings_intersect(Findings *findings, const Findings *others);

#endif /* COLBERT_FINDINGS_H */
