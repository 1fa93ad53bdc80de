/*-------------------------------------------------------------------------
 *
 * gather.c
 *	  Find the nodes nearest to each query token, and sum their postings to an
 *	  estimate per document.
 *
 * A document's estimate is a sum over the query tokens. Each token contributes
 * the similarity of the best probed node that lists the document. If no probed
 * node lists it, the token contributes somewhat less than the similarity of the
 * last node probed. A token's nodes come nearest first, so the first one that
 * lists a document is its best.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <float.h>
#include <math.h>

#include "common/hashfn.h"
#include "index/postings.h"
#include "index/queue.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "search/funnel.h"

/*
 * Assumed similarity difference between the last probed node and a node that
 * was not probed, for vectors of length 1. Measured on MedQuAD: .05 to .1 did
 * best.
 */
#define MISS_MARGIN 0.08f

/*
 * Maximum margin, as a multiple of the spread from the first to the last probed
 * node. Nodes near a padding vector or a marker token hardly differ, and neither
 * does the next one. On MedQuAD the spread is above .02 for 99% of the query
 * tokens, which keeps their margin; near a noisy padding vector it is .0005
 * (test/shared/sql/copies.sql).
 */
#define MISS_SPREADS 4

/* Number of nodes to prefetch ahead. */
#define NODES_AHEAD 4

/* The postings of one probed node: docs[start .. start + count) of the buffer. */
typedef struct Probe
{
	uint32 token;
	float  gain; /* similarity minus that of a miss, times the token's weight */
	uint32 start;
	uint32 count;
} Probe;

/* Maximum number of mute lists remembered. Any further ones are read each time. */
#define MAX_MUTE_LISTS 8

typedef struct ProbeList
{
	Probe        *probes;
	uint32        count;
	PostingBuffer postings;
	uint64        read;                 /* posting entries read, including those of mute lists */
	uint32        mute[MAX_MUTE_LISTS]; /* nodes whose lists are mute */
	uint32        nmute;
} ProbeList;

/*
 * Factor of the inner product in a key: reach * <q, c> - .5 |c|^2.
 *
 * A search wants the lists that hold the nearest tokens. These are not the
 * lists of the nearest nodes. The tokens of a list lie around its node c with a
 * spread s^2 = E|x|^2 - |c|^2. The nearest of them to q has an inner product of
 * about <q, c> + .2 s^2; the factor grows with the length of q. For tokens of
 * equal length, this orders lists by <q, c> - .2 |c|^2. The distance to c would
 * order them by <q, c> - .5 |c|^2, which favours tight lists. A reach of 2.5
 * turns the second order into the first. On MedQuAD, half as many lists then
 * hold as many of the answers.
 *
 * L2 distances between tokens of different lengths do not follow the inner
 * product, and a node that is itself a token has no spread. Both use a reach of
 * 1.
 */
#define REACH 2.5f

static float
reach_of(const IndexView *view)
{
	if (view->index->meta.shape.tokens_per_node == 1 ||
		(view->metric == METRIC_L2 && view->index->meta.nodes.length_spread > 0))
		return 1;
	return REACH;
}

/*
 * Return the query tokens to look up nodes by.
 *
 * The order by inner product does not depend on the length of the query token,
 * so each is scaled to the length of document tokens. scales: receives the
 * factor that converts keys back. The result is
 * search->query.directions.tokens, or a copy that the caller frees.
 */
static const float *
tokens_to_find(const Search *search, float *scales)
{
	const WeightedTokens *tokens = &search->query.directions;
	uint32                dim = search->view->dim;
	float                 length = search->view->index->meta.nodes.token_norm;
	float                *scaled;

	for (uint32 t = 0; t < tokens->count; t++)
		scales[t] = 1;
	if (search->view->metric == METRIC_L2 || !(length > 0))
		return tokens->tokens;
	scaled = palloc_extended(mul_size(tokens->count, dim * sizeof(float)), MCXT_ALLOC_HUGE);
	for (uint32 t = 0; t < tokens->count; t++)
	{
		float norm = sqrtf(tokens->squares[t]);

		if (norm > 0)
			scales[t] = norm / length;
		for (size_t k = (size_t) t * dim; k < ((size_t) t + 1) * dim; k++)
			scaled[k] = tokens->tokens[k] / scales[t];
	}
	return scaled;
}

/* Return the similarity that a key stands for, which is about that of the list's nearest token. */
static float
similarity(const Search *search, uint32 token, float key, float scale)
{
	const IndexView *view = search->view;
	float            reach = reach_of(view);
	float            length = view->index->meta.nodes.token_norm;

	if (view->metric != METRIC_L2)
		return key / reach * scale;
	/*
	 * The list's nearest token x has <q, x> - .5 |x|^2 = <q, c> - .2 |c|^2 - .3
	 * |x|^2, approximately (see REACH). key / reach consists of the first two
	 * terms.
	 */
	if (reach > 1)
		key = key / reach - 0.5f * (1 - 1 / reach) * length * length;
	return -sqrtf(Max(0.0f, search->query.directions.squares[token] - 2 * key));
}

/* ---- mute lists ---- */

/*
 * A list that holds nearly every document does not distinguish documents, for
 * example that of a padding vector. It is mute, that is, not read. Every
 * document is assumed to be in it. For this token, its similarity is therefore
 * the minimum of every document, and the lists after it add nothing.
 */
#define SAYS_NOTHING 0.9

static bool
says_nothing(const MetaPageData *meta, uint32 count)
{
	uint32 pending = queue_count(meta);
	double listed = (double) meta->documents.live_docs + meta->documents.dead_docs - pending;

	return count >= SAYS_NOTHING * listed;
}

static bool
is_mute(const ProbeList *list, uint32 node)
{
	for (uint32 i = 0; i < list->nmute; i++)
		if (list->mute[i] == node)
			return true;
	return false;
}

/*
 * Read the lists of one query token, nearest first, up to the first mute list.
 * Returns the number of lists read. The caller sets the token and gain of their
 * probes.
 */
static uint32
read_lists(Search *search, const NodeHit *hits, uint32 nhits, ProbeList *list)
{
	IndexView *view = search->view;

	for (uint32 i = 0; i < nhits; i++)
	{
		Probe *probe = &list->probes[list->count];

		if (is_mute(list, hits[i].node))
			return i;
		probe->start = list->postings.count;
		parray_prefetch(view->index, ARRAY_NODES, hits[Min(i + NODES_AHEAD, nhits - 1)].node);
		postings_read(view->index, hits[i].node, &list->postings);
		probe->count = list->postings.count - probe->start;
		list->read += probe->count;
		if (says_nothing(&view->index->meta, probe->count))
		{
			list->postings.count = probe->start;
			if (list->nmute < MAX_MUTE_LISTS)
				list->mute[list->nmute++] = hits[i].node;
			return i;
		}
		list->count++;
	}
	return nhits;
}

/* Read the lists of one query token, and set the gain of each over a miss. */
static void
probe_token(Search *search, uint32 token, float scale, const NodeHit *hits, uint32 nhits,
			ProbeList *list)
{
	IndexView            *view = search->view;
	const WeightedTokens *tokens = &search->query.directions;
	float                 margin = MISS_MARGIN * view->index->meta.nodes.token_norm *
				   (view->metric == METRIC_L2 ? 1.0f : sqrtf(tokens->squares[token]));
	uint32 first = list->count;
	uint32 nread = read_lists(search, hits, nhits, list);
	float  last = similarity(search, token, hits[nhits - 1].key, scale);
	float  miss;

	if (nhits > 1)
		margin = Min(margin, MISS_SPREADS * (similarity(search, token, hits[0].key, scale) - last));
	miss = nread < nhits ? similarity(search, token, hits[nread].key, scale) : last - margin;

	for (uint32 i = 0; i < nread; i++)
	{
		Probe *probe = &list->probes[first + i];

		probe->token = token;
		probe->gain =
			tokens->weights[token] * (similarity(search, token, hits[i].key, scale) - miss);
	}
}

/* Stage "find": find the nodes of every query token. */
static void
find_nodes(Search *search, FindQuery *find, float *scales, NodeHit *hits, uint32 *nhits)
{
	instr_time start;

	stage_start(search, &start);
	find->tokens = tokens_to_find(search, scales);
	finder_find(search->finder, find, hits, nhits);
	if (find->tokens != search->query.directions.tokens)
		pfree((void *) find->tokens);
	search->counters.hops += find->hops;
	stage_stop(search, STAGE_FIND, start);
}

/* Find the nodes of every query token, and read their postings, into an empty list. */
static void
probe_once(Search *search, uint32 probes, uint32 ef, ProbeList *list)
{
	FindQuery find = {.ntokens = search->query.directions.count,
					  .probes = probes,
					  .reach = reach_of(search->view),
					  .ef = ef};
	NodeHit  *hits =
		palloc_extended(mul_size(mul_size(find.ntokens, probes), sizeof(NodeHit)), MCXT_ALLOC_HUGE);
	uint32    *nhits = palloc_extended(mul_size(find.ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE);
	float     *scales = palloc_extended(mul_size(find.ntokens, sizeof(float)), MCXT_ALLOC_HUGE);
	instr_time start;

	find_nodes(search, &find, scales, hits, nhits);

	stage_start(search, &start);
	list->probes =
		palloc_extended(mul_size(mul_size(find.ntokens, probes), sizeof(Probe)), MCXT_ALLOC_HUGE);
	for (uint32 token = 0; token < find.ntokens; token++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nhits[token] > 0)
			probe_token(search, token, scales[token], hits + (size_t) token * probes, nhits[token],
						list);
	}
	search->counters.nodes += list->count;
	search->counters.postings += list->read;
	pfree(hits);
	pfree(nhits);
	pfree(scales);
	stage_stop(search, STAGE_GATHER, start);
}

static void
free_probes(ProbeList *list)
{
	if (list->probes != NULL)
		pfree(list->probes);
	if (list->postings.docs != NULL)
		pfree(list->postings.docs);
	*list = (ProbeList) {0};
}

/*
 * Find the nodes of every query token, and read their postings. If VACUUM has
 * replaced the nodes meanwhile, their lists may have been emptied, so the
 * search asks the new ones.
 */
static void
probe_all(Search *search, uint32 probes, uint32 ef, ProbeList *list)
{
	do
	{
		free_probes(list);
		probe_once(search, probes, ef, list);
		COLBERT_PAUSE("probed");
	} while (finder_replaced(search->finder));
}

/* A hash table with open addressing, from a document to its place in the list of candidates. */
typedef struct GatherSlot
{
	uint32 doc;
	uint32 at; /* place in the list, plus 1; 0: an empty slot */
} GatherSlot;

/* Place of documents that have been seen and are not gathered again. */
#define AT_NOWHERE PG_UINT32_MAX

typedef struct GatherTable
{
	GatherSlot    *slots;
	uint32         mask;
	uint32        *tokens; /* by place: the last token with a gain */
	CandidateList *list;
} GatherTable;

/* The final load is at most one half. */
static void
table_init(GatherTable *table, uint32 npostings, CandidateList *list)
{
	uint64 size = pg_nextpower2_64(Max((uint64) npostings * 2, 64));

	table->slots =
		palloc_extended(mul_size(size, sizeof(GatherSlot)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	table->mask = (uint32) (size - 1);
	table->tokens = palloc_extended(mul_size(Max(npostings, 1), sizeof(uint32)), MCXT_ALLOC_HUGE);
	table->list = list;
}

static inline GatherSlot *
find_slot(GatherTable *table, uint32 doc)
{
	uint32 at = murmurhash32(doc) & table->mask;

	while (table->slots[at].at != 0 && table->slots[at].doc != doc)
		at = (at + 1) & table->mask;
	return &table->slots[at];
}

/*
 * Add the gain of one posting to its document. Only a document's first gain per
 * token counts, since it is the best.
 */
static inline void
table_gain(const Search *search, GatherTable *table, uint32 doc, uint32 token, float gain)
{
	GatherSlot *slot = find_slot(table, doc);

	if (slot->at == 0)
	{
		slot->doc = doc;
		slot->at = AT_NOWHERE;
		if (funnel_seen(search, doc))
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

/* Stage "gather": sum the gains of every listed document not seen so far, into an empty list. */
static void
sum_gains(Search *search, const ProbeList *list, CandidateList *out)
{
	uint32      ndocs = parray_nitems(search->view->index, ARRAY_DOCS);
	GatherTable table;

	table_init(&table, list->postings.count, out);
	for (uint32 i = 0; i < list->count; i++)
	{
		const Probe  *probe = &list->probes[i];
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
gather_documents(Search *search, uint32 probes, uint32 ef, uint32 limit)
{
	CandidateList *list = &search->waiting;
	ProbeList      probed = {0};
	instr_time     start;

	if (list->items != NULL)
		pfree(list->items);
	*list = (CandidateList) {0};
	probe_all(search, probes, ef, &probed);
	COLBERT_PAUSE("gathered");
	stage_start(search, &start);
	sum_gains(search, &probed, list);
	search->counters.gathered += list->count;
	candidates_select(list->items, list->count, limit);
	free_probes(&probed);
	stage_stop(search, STAGE_GATHER, start);
}
