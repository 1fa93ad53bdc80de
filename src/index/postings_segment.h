/*-------------------------------------------------------------------------
 *
 * postings_segment.h
 *	  Sorted runs of distinct document ordinals: merging and filtering.
 *
 * Plain C without PostgreSQL; never allocates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_POSTINGS_SEGMENT_H
#define COLBERT_POSTINGS_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

/* The union of two runs, into out (room for both; not one of them); returns its length. */
extern uint32_t run_merge(const uint32_t *a, uint32_t na, const uint32_t *b, uint32_t nb,
						  uint32_t *out);

/* Those of a that are not in b, into out (which may be a). */
extern uint32_t run_subtract(const uint32_t *a, uint32_t na, const uint32_t *b, uint32_t nb,
							 uint32_t *out);

/* Is the bit of a document set? Bit d & 7 of byte d >> 3, for d < ndocs. */
static inline bool
doc_is_set(const uint8_t *bits, uint32_t ndocs, uint32_t doc)
{
	return doc < ndocs && (bits[doc >> 3] >> (doc & 7) & 1) != 0;
}

/* How many of a run have their bit set. */
extern uint32_t run_count_set(const uint32_t *docs, uint32_t n, const uint8_t *bits,
							  uint32_t ndocs);

/* Those whose bit is not set, into out (which may be docs). */
extern uint32_t run_drop_set(const uint32_t *docs, uint32_t n, const uint8_t *bits, uint32_t ndocs,
							 uint32_t *out);

/* Those below limit, whatever their order, into out. */
extern uint32_t run_copy_below(const uint32_t *docs, uint32_t n, uint32_t limit, uint32_t *out);

#endif /* COLBERT_POSTINGS_SEGMENT_H */
