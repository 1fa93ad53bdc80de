/*-------------------------------------------------------------------------
 *
 * postings_segment.h
 *	  Merge and filter sorted runs of distinct document ordinals.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_POSTINGS_SEGMENT_H
#define COLBERT_POSTINGS_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Write the union of two runs to out, which has room for both and overlaps
 * neither. Returns its length.
 */
extern uint32_t run_merge(const uint32_t *a, uint32_t na, const uint32_t *b, uint32_t nb,
						  uint32_t *out);

/* Write the documents of a that are not in b to out, which may be a. Returns their number. */
extern uint32_t run_subtract(const uint32_t *a, uint32_t na, const uint32_t *b, uint32_t nb,
							 uint32_t *out);

/* Return true if a document's bit is set: bit d & 7 of byte d >> 3, for d < ndocs. */
static inline bool
doc_is_set(const uint8_t *bits, uint32_t ndocs, uint32_t doc)
{
	return doc < ndocs && (bits[doc >> 3] >> (doc & 7) & 1) != 0;
}

/* Count the documents of a run whose bit is set. */
extern uint32_t run_count_set(const uint32_t *docs, uint32_t n, const uint8_t *bits,
							  uint32_t ndocs);

/* Write the documents whose bit is not set to out, which may be docs. Returns their number. */
extern uint32_t run_drop_set(const uint32_t *docs, uint32_t n, const uint8_t *bits, uint32_t ndocs,
							 uint32_t *out);

/* Write the documents below limit, in any order, to out. Returns their number. */
extern uint32_t run_copy_below(const uint32_t *docs, uint32_t n, uint32_t limit, uint32_t *out);

#endif /* COLBERT_POSTINGS_SEGMENT_H */
