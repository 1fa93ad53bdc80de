/*-------------------------------------------------------------------------
 *
 * ward_check.h
 *	  Cluster tokens in memory of exactly the required size and check the
 *	  clusters. Shared by the unit test and the fuzz target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_WARD_CHECK_H
#define COLBERT_WARD_CHECK_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "multivector/ward.h"

/* Return true if the labels are those of nlabels clusters, numbered by first appearance. */
static inline bool
ward_labels_are_sound(const uint32_t *labels, uint32_t ntokens, uint32_t nlabels)
{
	uint32_t next = 0;

	for (uint32_t t = 0; t < ntokens; t++)
	{
		if (labels[t] > next)
			return false;
		next += labels[t] == next;
	}
	return next == nlabels;
}

/*
 * Return true if n merges always leave ntokens - n clusters. nchecked: number
 * of values of n to try.
 */
static inline bool
ward_is_sound(const float *tokens, uint32_t ntokens, uint32_t dim, uint32_t nchecked)
{
	Ward      ward = {.dim = dim, .ntokens = ntokens};
	uint32_t *labels = malloc(ntokens * sizeof(uint32_t));
	bool      sound;

	ward.centroids = malloc((size_t) ntokens * dim * sizeof(float));
	memcpy(ward.centroids, tokens, (size_t) ntokens * dim * sizeof(float));
	ward.sizes = malloc(ntokens * sizeof(uint32_t));
	ward.active = malloc(ntokens * sizeof(uint32_t));
	ward.chain = malloc(ntokens * sizeof(uint32_t));
	ward.place = malloc(ntokens * sizeof(uint32_t));
	ward.on_chain = malloc(ntokens * sizeof(bool));
	ward.merges = malloc(ntokens * sizeof(WardMerge));

	sound = ward_find_merges(&ward);
	for (uint32_t i = 0; sound && i < nchecked; i++)
	{
		uint32_t nmerges =
			nchecked > 1 ? (uint32_t) ((uint64_t) (ntokens - 1) * i / (nchecked - 1)) : ntokens - 1;

		sound = ward_label(&ward, nmerges, labels) == ntokens - nmerges &&
				ward_labels_are_sound(labels, ntokens, ntokens - nmerges);
	}

	free(ward.centroids);
	free(ward.sizes);
	free(ward.active);
	free(ward.chain);
	free(ward.place);
	free(ward.on_chain);
	free(ward.merges);
	free(labels);
	return sound;
}

#endif /* COLBERT_WARD_CHECK_H */
