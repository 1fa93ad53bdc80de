/*-------------------------------------------------------------------------
 *
 * build_fallback.c
 *	  Restart a parallel build without workers if dynamic shared memory runs
 *	  out, as in a container with a small /dev/shm.
 *
 * The required amount is not known before the table has been read, and other
 * sessions use the same memory. The parallel build is therefore simply tried,
 * in a subtransaction. If the subtransaction aborts, that ends the workers and
 * releases locks, pins, snapshots and segments. Then the index is truncated.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "base/subtransaction.h"
#include "catalog/storage.h"
#include "commands/progress.h"
#include "pgstat.h"
#include "utils/backend_status.h"

/* The row of pg_stat_progress_create_index, which the abort of a subtransaction clears. */
typedef struct Progress
{
	ProgressCommandType command;
	Oid                 target;
	int64               params[PGSTAT_NUM_PROGRESS_PARAM];
} Progress;

static void
save_progress(Progress *progress)
{
	progress->command = PROGRESS_COMMAND_INVALID;
	if (MyBEEntry == NULL)
		return;
	progress->command = MyBEEntry->st_progress_command;
	progress->target = MyBEEntry->st_progress_command_target;
	memcpy(progress->params, (int64 *) MyBEEntry->st_progress_param, sizeof(progress->params));
}

static void
restore_progress(const Progress *progress)
{
	if (progress->command == PROGRESS_COMMAND_INVALID)
		return;
	pgstat_progress_start_command(progress->command, progress->target);
	for (int i = 0; i < PGSTAT_NUM_PROGRESS_PARAM; i++)
		pgstat_progress_update_param(i, progress->params[i]);
}

/*
 * Return true if the error was raised by the code that creates segments and
 * areas. The SQLSTATE is not sufficient: a full disk raises the same one, and
 * segments of type mmap report the errno of the failed call.
 */
static bool
is_of_shared_memory(const ErrorData *error)
{
	static const char *const files[] = {"dsm_impl.c", "dsm.c", "dsa.c"};

	if (error->elevel != ERROR || error->filename == NULL)
		return false;
	for (int i = 0; i < lengthof(files); i++)
	{
		if (strcmp(error->filename, files[i]) == 0)
			return true;
	}
	return false;
}

/* Report why the build restarts, and truncate the index. */
static void
start_over(Build *build, const Progress *progress, const ErrorData *error)
{
	restore_progress(progress);
	ereport(
		NOTICE,
		(errmsg(
			 "building index \"%s\" without parallel workers because shared memory is insufficient",
			 RelationGetRelationName(build->index)),
		 errdetail_internal("%s", error->message),
		 errhint("Increase shared memory (the size of /dev/shm, or --shm-size of a container), "
				 "or decrease maintenance_work_mem.")));
	RelationTruncate(build->index, 0);
}

bool
build_try_parallel(Build *build, int nworkers, void (*build_index)(Build *build, int nworkers))
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext context =
		AllocSetContextCreate(caller, "colbert_pg parallel build", ALLOCSET_DEFAULT_SIZES);
	volatile bool built = false;
	Progress      progress;

	save_progress(&progress);
	BeginInternalSubTransaction("colbert_build");
	MemoryContextSwitchTo(context);

	/*
	 * Assign a transaction ID now. Workers lock the index in
	 * AccessExclusiveLock mode, which needs one, and it cannot be assigned in
	 * parallel mode.
	 */
	if (!build->info->ii_Concurrent)
		(void) GetCurrentTransactionId();
	PG_TRY();
	{
		build_index(build, nworkers);
		ReleaseCurrentSubTransaction();
		built = true;
	}
	PG_CATCH();
	{
		ErrorData *error = subtransaction_catch(context, owner);

		if (!is_of_shared_memory(error))
			ReThrowError(error);
		start_over(build, &progress, error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	MemoryContextDelete(context);
	return built;
}
