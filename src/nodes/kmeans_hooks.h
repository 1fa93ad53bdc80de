/*-------------------------------------------------------------------------
 *
 * kmeans_hooks.h
 *	  Memory and interrupts for k-means, which is independent of PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KMEANS_HOOKS_H
#define COLBERT_KMEANS_HOOKS_H

#include "kmeans/kmeans.h"

/* Allocate in the current memory context, and check for interrupts. */
extern const KmeansHooks kmeans_hooks;

#endif /* COLBERT_KMEANS_HOOKS_H */
