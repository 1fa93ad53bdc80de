/*-------------------------------------------------------------------------
 *
 * merge_adopt.c
 *	  Add the older documents near a new node to its list.
 *
 * Postings are not moved. Without adoption, an older document would be listed
 * only at nodes far from its tokens, and a search that begins at the near
 * nodes would rank it behind all later documents. A new node therefore also
 * lists the documents of the surrounding lists that have a token near it,
 * judged by their sketches. They stay in the older lists as well: a
 * superfluous posting costs a search one candidate, a missing one costs a
 * result. (SPFresh, Xu et al., SOSP 2023, section 3.3, moves vectors for the
 * same reason when it splits a list.)
 *
 * A node is added before its list is written. The meta page names it until
 * then, and if the merge is interrupted in between, the next one adopts the
 * documents.
 *
 * At most one page is locked at a time, in share mode. No lock is held while a
 * list is written.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/merge_internal.h"
#include "index/postings.h"
#include "miscadmin.h"

/*
 * Maximum documents considered per node. Lists that would exceed it are
 * skipped: they cover more than the node's neighbourhood.
 */
#define MAX_LOOKED_AT 512

/*
 * A token is near a new node if its squared distance is below this share of
 * the squared distance between the node and the nearest older node. Measured
 * on 1,500 MedQuAD passages added after 500 others: without adoption about 25
 * passages are not found by their own tokens. With .4, .6, .8 and 1, at most
 * one is not, for 7, 14, 36 and 139% more postings.
 */
#define NEAR_SHARE 0.6

struct Adoption
{
	IndexView         *view;
	void              *memory; /* holds query */
	float             *scratch;
	KernelSketchQuery *query; /* the new node as a query of one token */
	float              state[SKETCH_BLOCK_TOKENS];
};

Adoption *
adopt_begin(IndexView *view)
{
	Adoption *adoption = palloc0(sizeof(Adoption));

	adoption->view = view;
	adoption->memory = palloc_extended(sketch_query_size(&view->sketch, 1), MCXT_ALLOC_HUGE);
	adoption->scratch = palloc((view->sketch.rotation->padded + 1) * sizeof(float));
	return adoption;
}

void
adopt_end(Adoption *adoption)
{
	pfree(adoption->memory);
	pfree(adoption->scratch);
	pfree(adoption);
}

/* Read the documents of these lists; each document once, in ascending order. */
static void
read_lists(IndexView *view, const Around *around, PostingBuffer *docs)
{
	uint32 distinct = 0;

	for (uint32 i = 0; i < around->count; i++)
	{
		uint32 before = docs->count;

		postings_read(view->index, around->nodes[i].node, docs);
		if (docs->count > MAX_LOOKED_AT)
			docs->count = before;
	}
	if (docs->count > 0)
		qsort(docs->docs, docs->count, sizeof(uint32), compare_ordinals);
	for (uint32 i = 0; i < docs->count; i++)
		if (distinct == 0 || docs->docs[distinct - 1] != docs->docs[i])
			docs->docs[distinct++] = docs->docs[i];
	docs->count = distinct;
}

/* Return the best key of a document's tokens for the node, estimated from their sketches. */
static float
best_key(Adoption *adoption, const DocEntry *entry)
{
	ColbertIndex *index = adoption->view->index;
	uint32        end = entry->first_block + sketch_blocks_for(entry->ntokens);
	float         best;

	for (uint32 i = 0; i < SKETCH_BLOCK_TOKENS; i++)
		adoption->state[i] = -INFINITY;
	for (uint32 block = entry->first_block, run; block < end; block += run)
	{
		char  *data;
		Buffer buffer = parray_read(index, ARRAY_SKETCHES, block, &data);

		run = Min(parray_run(index, ARRAY_SKETCHES, block), end - block);
		if (data != NULL)
			kernels->sketch_blocks(adoption->query, (const uint8 *) data, run, adoption->state);
		UnlockReleaseBuffer(buffer);
	}
	kernels->sketch_finish(adoption->query, adoption->state, &best);
	return best;
}

/*
 * Return the key of a token that is just near enough. |v - x|^2 = |v|^2 +
 * |x|^2 - 2 <v, x>, and keys of the L2 metric include -|x|^2/2.
 */
static float
least_key(const Adoption *adoption, const float *vector, float nearest_key)
{
	const IndexView *view = adoption->view;
	double           norm = kernel_norm(vector, view->dim);
	double           length = view->sketch.has_add ? 0 : view->index->meta.nodes.token_norm;
	double           near = NEAR_SHARE * hit_distance(vector, view->dim, nearest_key);

	return (float) ((norm * norm + length * length - near) / 2);
}

/* Return true if a document's sketches are readable with the view's parameters. */
static bool
has_sketches(const IndexView *view, const DocEntry *entry)
{
	return entry->state == DOC_LIVE && entry->ntokens > 0 && entry->ntokens <= entry->capacity &&
		   entry->epoch == view->index->meta.nodes.epoch;
}

/*
 * Keep the documents that have a token near the node: with a key of at least
 * least. Their entries are read page by page. Returns the number kept.
 */
static uint32
keep_near(Adoption *adoption, PostingBuffer *docs, float least)
{
	IndexView *view = adoption->view;
	uint32     ndocs = parray_nitems(view->index, ARRAY_DOCS);
	DocEntry  *entries = palloc(PAGE_PAYLOAD);
	uint32     end = 0; /* of the entries, which begin with that of document first */
	uint32     first = 0;
	uint32     near = 0;

	for (uint32 i = 0; i < docs->count && docs->docs[i] < ndocs; i++)
	{
		uint32 doc = docs->docs[i];

		CHECK_FOR_INTERRUPTS();
		if (doc >= end)
		{
			first = doc;
			end = doc + Min(parray_run(view->index, ARRAY_DOCS, doc), ndocs - doc);
			parray_copy_out(view->index, ARRAY_DOCS, first, end - first, entries);
		}
		if (has_sketches(view, &entries[doc - first]) &&
			best_key(adoption, &entries[doc - first]) >= least)
			docs->docs[near++] = doc;
	}
	pfree(entries);
	return near;
}

uint32
adopt_docs(Adoption *adoption, uint32 node, const float *vector, const Around *around, bool again)
{
	IndexView    *view = adoption->view;
	PostingBuffer docs = {.enough = MAX_LOOKED_AT};
	uint32        near;

	read_lists(view, around, &docs);
	if (docs.count == 0)
	{
		/* allocated nevertheless if all lists were too long */
		if (docs.docs != NULL)
			pfree(docs.docs);
		return 0;
	}
	adoption->query =
		sketch_query_prepare(&view->sketch, vector, 1, adoption->memory, adoption->scratch);
	near = keep_near(adoption, &docs, least_key(adoption, vector, around->nodes[0].key));
	near = postings_add(view->index, node, docs.docs, near, again);
	pfree(docs.docs);
	return near;
}

void
adopt_again(Merge *merge)
{
	IndexView  *view = merge->view;
	MetaGrowth *growth = &view->index->meta.growth;
	uint32      node = growth->adopting - 1;
	float      *vector;
	NodeHit     hits[NODES_AROUND + 1];
	uint32      nhits;
	uint32      others = 0;

	if (growth->adopting == 0 || !finder_adds(merge->finder))
		return;
	vector = palloc(view->dim * sizeof(float));
	finder_vector(merge->finder, node, vector);
	finder_find(
		merge->finder,
		&(FindQuery) {
			.tokens = vector, .ntokens = 1, .probes = lengthof(hits), .reach = 1, .ef = AROUND_EF},
		hits, &nhits);
	for (uint32 i = 0; i < nhits; i++)
		if (hits[i].node != node)
			hits[others++] = hits[i];
	if (others > 0)
	{
		Adoption *adoption = adopt_begin(view);

		/* VACUUM counts the postings, because the interrupted merge left the count inexact. */
		adopt_docs(adoption, node, vector, &(Around) {hits, others}, true);
		adopt_end(adoption);
	}
	growth->adopting = 0;
	pfree(vector);
}
