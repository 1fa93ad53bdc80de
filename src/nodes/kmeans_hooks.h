/*-------------------------------------------------------------------------
 *
 * kmeans_hooks.h
 *	  Memory and interrupts for k-means, which knows no server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KMEANS_HOOKS_H
#define COLBERT_KMEANS_HOOKS_H

#include "kmeans/kmeans.h"

/* palloc in the current context, and interrupts. */
extern const KmeansHooks kmeans_hooks;

#endif /* COLBERT_KMEANS_HOOKS_H */
