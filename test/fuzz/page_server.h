/*-------------------------------------------------------------------------
 *
 * page_server.h
 *	  A minimal server for reading an index: pages, memory and errors.
 *
 * The index is an image of its file. Each page has an allocation of its own,
 * so that the sanitizers detect accesses beyond it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PAGE_SERVER_H
#define COLBERT_PAGE_SERVER_H

#include "compat/pg_compat.h"

#include <setjmp.h>

#include "index/view.h"

/* PostgreSQL's versions are not linked. */
#undef fprintf
#undef printf
#undef vsnprintf

/* The result of a run. */
typedef enum Ending
{
	ENDING_FINE,
	ENDING_CORRUPTED, /* an error that reports damage */
	ENDING_MEMORY,    /* out of memory, or an allocation that is too large */
	ENDING_OTHER      /* any other error */
} Ending;

#define ENDINGS 4

extern RelationData page_relation;

/* Serve this image. Copies all of its pages. */
extern void  pages_load(const char *image, BlockNumber nblocks);
extern char *pages_page(BlockNumber block);

/* Run a function until it returns or raises an error, then free all memory. */
extern Ending pages_run(void (*run)(void *arg), void *arg);

/* Return the message of the last error. */
extern const char *pages_error(void);

#endif /* COLBERT_PAGE_SERVER_H */
