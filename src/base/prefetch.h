/*-------------------------------------------------------------------------
 *
 * prefetch.h
 *	  Bring memory into the cache before it is read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_PREFETCH_H
#define COLBERT_PREFETCH_H

#include <stddef.h>

/* Bytes fetched from memory at a time. */
#define CACHE_LINE 64

static inline void
prefetch_bytes(const void *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += CACHE_LINE)
		__builtin_prefetch((const char *) p + i);
}

#endif /* COLBERT_PREFETCH_H */
