/*-------------------------------------------------------------------------
 *
 * page_server.h
 *	  As much of a server as reading an index takes: pages, memory, errors.
 *
 * The index is an image of its file. Each page stands in memory of its own
 * size, so that the sanitizers see a byte too far.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PAGE_SERVER_H
#define COLBERT_PAGE_SERVER_H

#include "compat/pg_compat.h"

#include <setjmp.h>

#include "index/view.h"

/* PostgreSQL's own are not here. */
#undef fprintf
#undef printf
#undef vsnprintf

/* What a run ended with. */
typedef enum Ending
{
	ENDING_FINE,
	ENDING_CORRUPTED, /* an error of damage */
	ENDING_MEMORY,    /* out of memory, or more than an allocation may be */
	ENDING_OTHER      /* an error that does not tell of damage */
} Ending;

#define ENDINGS 4

extern RelationData page_relation;

/* Serve this image; pages that differ from those of before are copied. */
extern void  pages_load(const char *image, BlockNumber nblocks);
extern char *pages_page(BlockNumber block);

/* Run to its end or its error; all memory is freed afterwards. */
extern Ending pages_run(void (*run)(void *arg), void *arg);

/* The message of the last error. */
extern const char *pages_error(void);

#endif /* COLBERT_PAGE_SERVER_H */
