/*-------------------------------------------------------------------------
 *
 * gather.c
 *	  From query tokens to documents: the nodes nearest to each token, and
 *	  their postings summed to an estimate a document.
 *
 * A document's estimate is the sum, over the query tokens, of the similarity
 * of the best probed node that lists it; where none does, somewhat less than
 * the similarity of the last node probed for that token is imputed. Nodes of
 * a token come nearest first, so the first that names a document is its best.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "common/hashfn.h"
#include "index/postings.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "search/search.h"

/*
 * How far below the last probed node a node that was not probed is taken to
 * be, for vectors of length 1. Measured on MedQuAD: .05 to .1 did best.
 */
#define MISS_MARGIN 0.08f

/* How many nodes ahead are fetched. */
#define NODES_AHEAD 4

/* The postings of one probed node: docs[start .. start + count) of the buffer. */
typedef struct Probe
{
	uint32		token;
	float		gain;			/* similarity over that of a miss */
	uint32		start;
	uint32		count;
} Probe;

typedef struct ProbeList
{
	Probe	   *probes;
	uint32		count;
	PostingBuffer postings;
} ProbeList;

/*
 * Nodes are found by L2 distance whatever the metric: on real questions the nodes nearest so held more of the answers
 * than those of the largest inner product, which favours tight clusters. An
 * inner product does not tell the length of the query, so the token is given
 * the length that document tokens have; scales take keys back.
 */
static const float *
tokens_to_find(const Search *search, float *scales)
{
	const SearchQuery *query = &search->query;
	uint32		dim = search->view->dim;
	float		length = search->view->meta.token_norm;
	float	   *scaled;

	for (uint32 t = 0; t < query->ntokens; t++)
		scales[t] = 1;
	if (search->view->metric == METRIC_L2 || !(length > 0))
		return query->tokens;
	scaled = palloc_extended(mul_size(query->ntokens, dim * sizeof(float)), MCXT_ALLOC_HUGE);
	for (uint32 t = 0; t < query->ntokens; t++)
	{
		float		norm = sqrtf(query->norms[t]);

		if (norm > 0)
			scales[t] = norm / length;
		for (size_t k = (size_t) t * dim; k < ((size_t) t + 1) * dim; k++)
			scaled[k] = query->tokens[k] / scales[t];
	}
	return scaled;
}

/* The similarity that a key stands for. */
static float
similarity(const Search *search, uint32 token, float key, float scale)
{
	if (search->view->metric != METRIC_L2)
		return key * scale;
	return -sqrtf(Max(0.0f, search->query.norms[token] - 2 * key));
}

/* Read the postings of the best nodes of one query token. */
static void
probe_token(Search *search, uint32 token, float scale, const NodeHit *hits, uint32 nhits, ProbeList *list)
{
	IndexView  *view = search->view;
	float		margin = MISS_MARGIN * view->meta.token_norm *
		(view->metric == METRIC_L2 ? 1.0f : sqrtf(search->query.norms[token]));
	float		miss = similarity(search, token, hits[nhits - 1].key, scale) - margin;

	for (uint32 i = 0; i < nhits; i++)
	{
		Probe	   *probe = &list->probes[list->count];

		probe->token = token;
		probe->gain = similarity(search, token, hits[i].key, scale) - miss;
		probe->start = list->postings.count;
		parray_prefetch(&view->index, &view->meta, ARRAY_NODES, hits[Min(i + NODES_AHEAD, nhits - 1)].node);
		postings_read(&view->index, &view->meta, hits[i].node, &list->postings);
		probe->count = list->postings.count - probe->start;
		list->count++;
	}
}

/* find: the nodes of every query token. */
static void
find_nodes(Search *search, FindQuery *find, float *scales, NodeHit *hits, uint32 *nhits)
{
	instr_time	start;

	stage_start(search, &start);
	find->tokens = tokens_to_find(search, scales);
	search->view->finder->find(search->finder, find, hits, nhits);
	if (find->tokens != search->query.tokens)
		pfree((void *) find->tokens);
	search->counters.hops += find->hops;
	stage_stop(search, STAGE_FIND, start);
}

/* The nodes of every query token, and their postings. */
static void
probe_all(Search *search, uint32 probes, uint32 ef, ProbeList *list)
{
	FindQuery	find = {.ntokens = search->query.ntokens, .probes = probes, .ef = ef};
	NodeHit    *hits = palloc_extended(mul_size(mul_size(find.ntokens, probes), sizeof(NodeHit)), MCXT_ALLOC_HUGE);
	uint32	   *nhits = palloc_extended(mul_size(find.ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE);
	float	   *scales = palloc_extended(mul_size(find.ntokens, sizeof(float)), MCXT_ALLOC_HUGE);
	instr_time	start;

	find_nodes(search, &find, scales, hits, nhits);

	stage_start(search, &start);
	list->probes = palloc_extended(mul_size(mul_size(find.ntokens, probes), sizeof(Probe)), MCXT_ALLOC_HUGE);
	list->count = 0;
	memset(&list->postings, 0, sizeof(PostingBuffer));
	for (uint32 token = 0; token < find.ntokens; token++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nhits[token] > 0)
			probe_token(search, token, scales[token], hits + (size_t) token * probes, nhits[token], list);
	}
	search->counters.nodes += list->count;
	search->counters.postings += list->postings.count;
	pfree(hits);
	pfree(nhits);
	pfree(scales);
	stage_stop(search, STAGE_GATHER, start);
}

/*
 * Sums of gains by document: a hash table with open addressing says where in
 * the list of candidates a document stands.
 */
typedef struct GatherSlot
{
	uint32		doc;
	uint32		at;				/* place in the list, plus 1; 0: an empty slot */
} GatherSlot;

/* Of documents that are not wanted again. */
#define AT_NOWHERE PG_UINT32_MAX

typedef struct GatherTable
{
	GatherSlot *slots;
	uint32		mask;
	uint32	   *tokens;			/* by place: the last token that gained */
	CandidateList *list;
} GatherTable;

/* At most half of the slots are in use in the end. */
static void
table_init(GatherTable *table, uint32 npostings, CandidateList *list)
{
	uint64		size = pg_nextpower2_64(Max((uint64) npostings * 2, 64));

	table->slots = palloc_extended(mul_size(size, sizeof(GatherSlot)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	table->mask = (uint32) (size - 1);
	table->tokens = palloc_extended(mul_size(Max(npostings, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	table->list = list;
}

static inline GatherSlot *
find_slot(GatherTable *table, uint32 doc)
{
	uint32		at = murmurhash32(doc) & table->mask;

	while (table->slots[at].at != 0 && table->slots[at].doc != doc)
		at = (at + 1) & table->mask;
	return &table->slots[at];
}

/* A posting of a node that gains so much; a document's first for a token is its best. */
static inline void
table_gain(const Search *search, GatherTable *table, uint32 doc, uint32 token, float gain)
{
	GatherSlot *slot = find_slot(table, doc);

	if (slot->at == 0)
	{
		slot->doc = doc;
		slot->at = AT_NOWHERE;
		if (search_seen(search, doc))
			return;
		candidates_add(table->list, doc, gain);
		slot->at = table->list->count;
		table->tokens[slot->at - 1] = token;
	}
	else if (slot->at != AT_NOWHERE && table->tokens[slot->at - 1] != token)
	{
		table->list->items[slot->at - 1].score += gain;
		table->tokens[slot->at - 1] = token;
	}
}

/* gather: sum the gains of every document that is named and not seen, into an empty list. */
static void
sum_gains(Search *search, const ProbeList *list, CandidateList *out)
{
	uint32		ndocs = search->view->meta.arrays[ARRAY_DOCS].nitems;
	GatherTable table;

	table_init(&table, list->postings.count, out);
	for (uint32 i = 0; i < list->count; i++)
	{
		const Probe *probe = &list->probes[i];
		const uint32 *docs = list->postings.docs + probe->start;

		CHECK_FOR_INTERRUPTS();
		for (uint32 j = 0; j < probe->count; j++)
			if (docs[j] < ndocs)
				table_gain(search, &table, docs[j], probe->token, probe->gain);
	}
	pfree(table.slots);
	pfree(table.tokens);
}

void
search_gather(Search *search, uint32 probes, uint32 ef, uint32 limit, CandidateList *list)
{
	ProbeList	probed;
	instr_time	start;

	probe_all(search, probes, ef, &probed);
	COLBERT_PAUSE("gathered");
	stage_start(search, &start);
	sum_gains(search, &probed, list);
	search->counters.gathered += list->count;
	candidates_select(list->items, list->count, limit);
	pfree(probed.probes);
	if (probed.postings.docs != NULL)
		pfree(probed.postings.docs);
	stage_stop(search, STAGE_GATHER, start);
}
