/*-------------------------------------------------------------------------
 *
 * team.h
 *	  Participants that run the same function in lockstep and share its work.
 *
 * Every participant (a process, or a thread) calls the same functions with
 * the same arguments. Work falls into phases of numbered items; whoever is
 * free claims the next one, and a phase ends when all participants have met.
 * Items of a phase touch disjoint memory, and which of them a participant
 * gets is left to chance: a result that is to be the same for any number of
 * participants must not depend on it. So what is summed up is summed in a
 * fixed number of parts, and these in a fixed order.
 *
 * Shared memory may stand at another address in each process: it holds
 * neither pointers nor functions. What a phase wrote there, all participants
 * see in the next one.
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

	/* 0, 1, 2 and so on over the life of the team, each to one participant. */
	uint64_t (*next_item)(void *arg);

	/* Returns when all participants have called it. */
	void (*barrier)(void *arg);

	/* All participants ask, at the same point, and get the same memory; and so they give it back. */
	void *(*alloc_shared)(void *arg, size_t bytes);
	void (*free_shared)(void *arg, void *memory);
	void    *arg;
	uint64_t claimed; /* numbers that earlier phases used up: 0 at first, then team_run's */
} Team;

/* Do one item; arg is the participant's own. */
typedef void (*TeamWork)(void *arg, uint32_t item);

/* One phase: items 0 .. nitems - 1, in this order where the team is one. */
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

	/* Everyone claims once in vain, so that the next phase's first number is known without a word. */
	team->claimed += nitems + team->nparticipants;
	team->barrier(team->arg);
}

#endif /* COLBERT_TEAM_H */
