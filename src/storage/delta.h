/*-------------------------------------------------------------------------
 *
 * delta.h
 *	  The difference between two states of a page, in the format of a generic
 *	  WAL record.
 *
 * A delta is a series of fragments: the offset of a part of the page and its
 * length (uint16 each), then its new bytes. access/generic_xlog.h of every
 * supported version replays this format.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_DELTA_H
#define COLBERT_DELTA_H

#include <stdbool.h>
#include <stdint.h>

/* A delta that is being written. */
typedef struct Delta
{
	char    *data;
	uint32_t length;
	uint32_t room; /* maximum length, at most 65,535 */
	bool     full; /* a fragment did not fit; data is then incomplete */
} Delta;

/* Part of a page from one offset up to another. */
typedef struct DeltaPart
{
	uint32_t start;
	uint32_t end;
} DeltaPart;

/*
 * Append the fragments that turn a part of a page (from) into its new state
 * (to). known: bytes of the old page outside of it are unknown, and always
 * written.
 */
extern void delta_add(Delta *delta, const char *from, const char *to, DeltaPart part,
					  DeltaPart known);

/* Apply a delta that is not full to the page. */
extern void delta_apply(const Delta *delta, char *page);

#endif /* COLBERT_DELTA_H */
