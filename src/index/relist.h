/*-------------------------------------------------------------------------
 *
 * relist.h
 *	  Train new lists for a colbert_ivf index that has outgrown its lists.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_RELIST_H
#define COLBERT_RELIST_H

#include "index/view.h"

/*
 * Return true if an index has grown so much since its lists were trained that
 * new lists pay, and maintenance_work_mem suffices to train them.
 */
extern bool relist_is_due(const IndexView *view);

/*
 * Train new lists if they are due, fill them, and let searches use them. Also
 * continues what an earlier call, interrupted, has left. pending_limit: see
 * merge_pending.
 *
 * No other process calls this for the index meanwhile, and no document is
 * freed: VACUUM calls it, which excludes both. The caller does not hold the
 * merge lock.
 */
extern void relist(Relation rel, uint64 pending_limit);

#endif /* COLBERT_RELIST_H */
