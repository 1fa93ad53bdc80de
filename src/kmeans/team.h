/*-------------------------------------------------------------------------
 *
 * team.h
 *	  Participants that run the same function in lockstep and share its work.
 *
 * Every participant (a process or a thread) calls the same functions with the
 * same arguments. Work is divided into phases of numbered items. A participant
 * that is free claims the next item, and a phase ends when all participants
 * have reached its end. The items of a phase touch disjoint memory. Which
 * items a participant gets depends on timing, so a result that must not depend
 * on the number of participants must not depend on that either. Sums are
 * therefore computed in a fixed number of parts, which are added in a fixed
 * order.
 *
 * Shared memory may have a different address in each process, so it holds
 * neither pointers nor functions. All participants see in a phase what earlier
 * phases wrote to it.
 *
 * A team of one is NULL. Plain C without PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_TEAM_H
#define COLBERT_TEAM_H

#include <stddef.h>
#include <stdint.h>

typedef struct Team
{
	uint32_t nparticipants;

	/* Return 0, 1, 2 and so on over the life of the team, each number to one participant. */
	uint64_t (*next_item)(void *arg);

	/* Return when all participants have called it. */
	void (*barrier)(void *arg);

	/*
	 * Allocate and free shared memory. All participants call these at the same
	 * point, and get the same memory.
	 */
	void *(*alloc_shared)(void *arg, size_t bytes);
	void (*free_shared)(void *arg, void *memory);
	void    *arg;
	uint64_t claimed; /* numbers used up by earlier phases, maintained by team_run() */
} Team;

/* Do one item; arg is private to the participant. */
typedef void (*TeamWork)(void *arg, uint32_t item);

/* Run one phase: items 0 .. nitems - 1, in this order if the team is NULL. */
static inline void
team_run(Team *team, uint32_t nitems, TeamWork work, void *arg)
{
	uint64_t claim;

	if (team == NULL)
	{
		for (uint32_t item = 0; item < nitems; item++)
			work(arg, item);
		return;
	}
	while ((claim = team->next_item(team->arg) - team->claimed) < nitems)
		work(arg, (uint32_t) claim);

	/*
	 * Every participant claims one number too many, so that all know the first
	 * number of the next phase without communication.
	 */
	team->claimed += nitems + team->nparticipants;
	team->barrier(team->arg);
}

#endif /* COLBERT_TEAM_H */
