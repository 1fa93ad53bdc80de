/*-------------------------------------------------------------------------
 *
 * ward.h
 *	  Cluster tokens by Ward's linkage.
 *
 * Plain C without PostgreSQL; allocates nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_WARD_H
#define COLBERT_WARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A merge of two clusters. */
typedef struct WardMerge
{
	float    height; /* Ward's distance between the two */
	uint32_t order;  /* order of discovery, to break ties */
	uint32_t a;      /* a token of each cluster */
	uint32_t b;
} WardMerge;

/*
 * State of a clustering. The caller provides all arrays, with ntokens items
 * each unless noted otherwise.
 */
typedef struct Ward
{
	uint32_t dim;
	uint32_t ntokens; /* at least 1 */
	/*
	 * ntokens x dim: the tokens, overwritten by centroids. A cluster's
	 * centroid is at its lowest token.
	 */
	float     *centroids;
	uint32_t  *sizes;
	uint32_t  *active; /* live clusters, unordered */
	uint32_t   nactive;
	uint32_t  *chain; /* each is the nearest neighbor of the one before */
	uint32_t   nchain;
	uint32_t  *place;    /* per cluster: index in active, or WARD_DEAD if merged into another */
	bool      *on_chain; /* per cluster */
	WardMerge *merges;
	uint32_t   nmerges;

	/* Called once per step, which computes ntokens distances; may be NULL. */
	void (*check_interrupts)(void);
} Ward;

#define WARD_DEAD UINT32_MAX

/*
 * Find the ntokens - 1 merges of the hierarchy, in ward->merges. Returns false
 * if a cluster was merged twice or merges are missing, which cannot happen.
 */
extern bool ward_find_merges(Ward *ward);

/*
 * Perform the nmerges lowest merges (nmerges < ntokens): labels[t] becomes the
 * cluster of token t, numbered by first appearance. Returns the number of
 * clusters, ntokens - nmerges. Overwrites the chain.
 */
extern uint32_t ward_label(Ward *ward, uint32_t nmerges, uint32_t *labels);

#endif /* COLBERT_WARD_H */
