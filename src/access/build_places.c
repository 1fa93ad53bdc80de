/*-------------------------------------------------------------------------
 *
 * build_places.c
 *	  Where the documents of a build go in the index.
 *
 * The first pass over the table lists each document with 32 random components
 * of its mean. The list, in the order of the table and divided by bisection
 * (kmeans/bisect.h), gives the order of the documents in the index: the
 * directory, means, sketches and code rows of like documents share pages. The
 * second pass meets the documents in the order of the table and writes each at
 * its place.
 *
 * The passes of CREATE INDEX CONCURRENTLY have different snapshots. A document
 * without a place gets a slot behind the others, and a place without a document
 * becomes a free slot.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/build.h"
#include "base/array.h"
#include "kmeans/bisect.h"
#include "miscadmin.h"
#include "nodes/kmeans_hooks.h"
#include "utils/memutils.h"

/* Divisor of maintenance_work_mem for the places of all participants. */
#define PLACES_PART 16

struct PlaceList
{
	const Build *build;
	float       *rotated; /* scratch */
	BuildPlace  *places;  /* NULL: none yet, or too many */
	uint32       count;
	uint32       capacity;
	uint32       limit;
	bool         full; /* too many */
};

PlaceList *
places_begin(const Build *build)
{
	const IndexView *view = build->view;
	PlaceList       *list = palloc0(sizeof(PlaceList));
	Size             room = (Size) maintenance_work_mem * 1024 / PLACES_PART;

	StaticAssertStmt(PLACE_DIMS <= BISECT_MAX_DIM, "places have too many dims");
	list->build = build;
	list->limit =
		(uint32) Min(room / sizeof(BuildPlace) / build_participants(build), PG_UINT32_MAX);
	list->rotated = palloc(rotation_padded(view->dim) * sizeof(float));
	return list;
}

/* Encode the first components as shares of the largest one; all are 0 if the sum has overflowed. */
static void
encode_mean(const float *rotated, int8 *mean)
{
	float largest = 0;
	float total = 0;

	for (int k = 0; k < PLACE_DIMS; k++)
	{
		largest = Max(largest, fabsf(rotated[k]));
		total += fabsf(rotated[k]);
	}
	for (int k = 0; k < PLACE_DIMS; k++)
		mean[k] = largest > 0 && isfinite(total) ? (int8) lrintf(rotated[k] / largest * 127) : 0;
}

void
places_add(PlaceList *list, ItemPointer tid, uint32 ntokens, const float *sum)
{
	BuildPlace *added;

	if (list->count == list->limit && list->places != NULL)
	{
		pfree(list->places);
		list->places = NULL;
	}
	list->full |= list->count == list->limit;
	if (list->full)
		return;
	list->places = array_reserve(list->places, &list->capacity, (Size) list->count + 1,
								 sizeof(BuildPlace), GetMemoryChunkContext(list));
	added = &list->places[list->count++];
	memset(added, 0, sizeof(BuildPlace));
	added->tid = *tid;
	added->ntokens = ntokens;
	rotation_apply(list->build->view->sketch.rotation, sum, list->rotated);
	encode_mean(list->rotated, added->mean);
}

static int
compare_places(const void *a, const void *b)
{
	ItemPointerData first = ((const BuildPlace *) a)->tid;
	ItemPointerData second = ((const BuildPlace *) b)->tid;

	return ItemPointerCompare(&first, &second);
}

/* Divide the places of all documents among them, in this order. */
static void
divide_places(const Build *build, const uint32 *order)
{
	DocPlace next = docstore_take_places(build->view, build->nplaces, build->counts.ntokens,
										 build->counts.nblocks);

	for (uint32 i = 0; i < build->nplaces; i++)
	{
		BuildPlace *place = &build->places[order[i]];

		place->place = next;
		next.doc++;
		next.first_block += sketch_blocks_for(place->ntokens);
		next.first_row += place->ntokens;
	}
}

/* Work of one participant: order all documents, and give them places. */
static void
order_places(void *arg, uint32 item)
{
	const Build *build = arg;
	BisectPoints points = {.first = build->places[0].mean,
						   .stride = sizeof(BuildPlace),
						   .n = build->nplaces,
						   .dim = PLACE_DIMS};
	uint32      *order = palloc_extended(mul_size(points.n, sizeof(uint32)), MCXT_ALLOC_HUGE);

	qsort(build->places, build->nplaces, sizeof(BuildPlace), compare_places);
	bisect_order(&points, build->view->index->meta.shape.seed, &kmeans_hooks, order);
	divide_places(build, order);
	pfree(order);
}

/* Count this participant's documents. Returns where they begin among those of all. */
static uint64
count_places(BuildShared *shared, const PlaceList *list)
{
	uint64 first;

	SpinLockAcquire(&shared->mutex);
	first = shared->nplaces;
	shared->nplaces += list->count;
	shared->unplaced |= list->full;
	SpinLockRelease(&shared->mutex);
	return first;
}

void
build_places(Build *build, PlaceList *list)
{
	BuildShared *shared = build->shared;
	Team        *team = build_team(build);
	uint64       first = count_places(shared, list);

	if (team != NULL)
		team->barrier(team->arg);
	if (build->mode != BUILD_PENDING && !shared->unplaced && shared->nplaces > 0)
	{
		Size size = mul_size(shared->nplaces, sizeof(BuildPlace));

		build->nplaces = (uint32) shared->nplaces;
		build->places = team != NULL ? team->alloc_shared(team->arg, size)
									 : palloc_extended(size, MCXT_ALLOC_HUGE);
		if (list->count > 0)
			memcpy(build->places + first, list->places, list->count * sizeof(BuildPlace));
		if (team != NULL)
			team->barrier(team->arg);
		team_run(team, 1, order_places, build);
	}
	if (list->places != NULL)
		pfree(list->places);
	pfree(list->rotated);
	pfree(list);
}

BuildPlace *
build_find_place(const Build *build, ItemPointer tid, uint32 ntokens)
{
	BuildPlace  wanted = {.tid = *tid};
	BuildPlace *found = NULL;

	if (build->places != NULL)
		found = bsearch(&wanted, build->places, build->nplaces, sizeof(BuildPlace), compare_places);
	return found != NULL && !found->taken && found->ntokens == ntokens ? found : NULL;
}

void
build_free_places(const Build *build)
{
	for (uint32 i = 0; i < build->nplaces; i++)
	{
		const BuildPlace *place = &build->places[i];

		CHECK_FOR_INTERRUPTS();
		if (!place->taken)
			docstore_free_place(build->view, &place->place, place->ntokens);
	}
}
