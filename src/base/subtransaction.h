/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Catch an error raised in an internal subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_SUBTRANSACTION_H
#define COLBERT_SUBTRANSACTION_H

#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/*
 * Roll back the current subtransaction and return its error, which the caller
 * may rethrow. Call it inside PG_CATCH.
 *
 * context, owner: those that were current before the subtransaction began. The
 * error is allocated in context, and both are current again on return.
 */
static inline ErrorData *
subtransaction_catch(MemoryContext context, ResourceOwner owner)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

#endif /* COLBERT_SUBTRANSACTION_H */
