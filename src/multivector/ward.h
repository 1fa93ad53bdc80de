/*-------------------------------------------------------------------------
 *
 * ward.h
 *	  Clusters of tokens by Ward's linkage.
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

/* Two clusters that became one. */
typedef struct WardMerge
{
	float    height; /* Ward's distance of the two */
	uint32_t order;  /* of discovery, to break ties */
	uint32_t a;      /* a token of each of them */
	uint32_t b;
} WardMerge;

/* The caller provides all arrays, of ntokens items each unless said otherwise. */
typedef struct Ward
{
	uint32_t  dim;
	uint32_t  ntokens;   /* at least 1 */
	float    *centroids; /* ntokens x dim: the tokens; overwritten. By the cluster's lowest token */
	uint32_t *sizes;
	uint32_t *active; /* the live clusters, in no order */
	uint32_t  nactive;
	uint32_t *chain; /* each is the nearest neighbour of the one before */
	uint32_t  nchain;
	uint32_t
		 *place; /* by cluster: its place in active; WARD_DEAD where it was merged into another */
	bool *on_chain; /* by cluster */
	WardMerge *merges;
	uint32_t   nmerges;
	void (*check_interrupts)(
		void); /* called once per step, which takes ntokens distances; NULL: nothing */
} Ward;

#define WARD_DEAD UINT32_MAX

/*
 * Find the ntokens - 1 merges of the hierarchy, in ward->merges. False, which
 * cannot happen, where a cluster was merged twice or merges are missing.
 */
extern bool ward_find_merges(Ward *ward);

/*
 * Do the nmerges lowest merges (fewer than ntokens): labels[t] becomes the
 * cluster of token t, numbered by first appearance. Returns the number of
 * clusters, ntokens - nmerges. Overwrites the chain.
 */
extern uint32_t ward_label(Ward *ward, uint32_t nmerges, uint32_t *labels);

#endif /* COLBERT_WARD_H */
