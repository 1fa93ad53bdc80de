/*-------------------------------------------------------------------------
 *
 * build_team.c
 *	  The team of a parallel build: processes that share a barrier and a
 *	  counter in dynamic shared memory.
 *
 * Memory comes from an area that grows on demand. Waiting for the others checks
 * for interrupts. If a participant fails, the leader receives its error and
 * fails too, which ends the others, so nobody waits forever.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "base/array.h"

/* An allocation that is shared and not yet freed. */
typedef struct SharedPiece
{
	void       *address; /* address in this process */
	dsa_pointer memory;
} SharedPiece;

typedef struct BuildTeam
{
	Team         team;
	TeamShared  *shared;
	dsa_area    *area;
	bool         leader;
	SharedPiece *pieces;
	int          npieces;
	uint32       capacity;
} BuildTeam;

static uint64
next_item(void *arg)
{
	return pg_atomic_fetch_add_u64(&((BuildTeam *) arg)->shared->items, 1);
}

static void
meet_all(void *arg)
{
	BarrierArriveAndWait(&((BuildTeam *) arg)->shared->barrier,
						 WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
}

static void *
alloc_shared(void *arg, size_t bytes)
{
	BuildTeam   *team = arg;
	SharedPiece *piece;

	team->pieces = array_reserve(team->pieces, &team->capacity, (Size) team->npieces + 1,
								 sizeof(SharedPiece), CurrentMemoryContext);
	if (team->leader)
		team->shared->memory = dsa_allocate_extended(team->area, Max(bytes, 1), DSA_ALLOC_HUGE);
	meet_all(team);
	piece = &team->pieces[team->npieces++];
	piece->memory = team->shared->memory;
	piece->address = dsa_get_address(team->area, piece->memory);

	/* The next allocation must wait until all participants have read this one. */
	meet_all(team);
	return piece->address;
}

static void
free_shared(void *arg, void *memory)
{
	BuildTeam *team = arg;
	int        i = 0;

	while (i < team->npieces && team->pieces[i].address != memory)
		i++;
	if (i == team->npieces)
		elog(ERROR, "memory was not shared by the team");

	/* After this barrier no participant uses the memory any more. */
	meet_all(team);
	if (team->leader)
		dsa_free(team->area, team->pieces[i].memory);
	team->pieces[i] = team->pieces[--team->npieces];
}

void
build_team_init(TeamShared *shared, int participants)
{
	BarrierInit(&shared->barrier, participants);
	pg_atomic_init_u64(&shared->items, 0);
	shared->memory = InvalidDsaPointer;
}

Team *
build_team_open(TeamShared *shared, dsa_area *area, int participants, bool leader)
{
	BuildTeam *team = palloc0(sizeof(BuildTeam));

	team->shared = shared;
	team->area = area;
	team->leader = leader;
	team->capacity = 16;
	team->pieces = palloc(team->capacity * sizeof(SharedPiece));
	team->team = (Team) {
		.nparticipants = participants,
		.next_item = next_item,
		.barrier = meet_all,
		.alloc_shared = alloc_shared,
		.free_shared = free_shared,
		.arg = team,
	};
	return &team->team;
}
