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
#include "index/queue.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "search/funnel.h"

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
	uint32 token;
	float  gain; /* similarity over that of a miss */
	uint32 start;
	uint32 count;
} Probe;

/* Lists known to say nothing: more of them are read each time. */
#define MAX_MUTE_LISTS 8

typedef struct ProbeList
{
	Probe        *probes;
	uint32        count;
	PostingBuffer postings;
	uint64        read; /* posting entries, those of lists that say nothing included */
	uint32        mute[MAX_MUTE_LISTS]; /* nodes whose lists say nothing */
	uint32        nmute;
} ProbeList;

/*
 * Wanted are the lists that hold the nearest tokens, which are not those of
 * the nearest nodes. Of a list's tokens, which lie around its node c with a
 * spread s^2 = E|x|^2 - |c|^2, the nearest to q has about <q, c> + .2 s^2, the
 * longer q's way the more; for tokens of one length that orders lists by
 * <q, c> - .2 |c|^2, where the distance to c orders them by <q, c> - .5 |c|^2
 * and so favours tight lists. A reach of 2.5 makes the one of the other. On
 * MedQuAD half as many lists hold as many of the answers.
 *
 * L2 distances of tokens of different lengths do not follow the inner product.
 * A node that is a token itself has no spread.
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
 * An inner product does not depend on the length of the query token, so it is
 * given the length that document tokens have; scales take keys back.
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

/* The similarity that a key stands for: about that of the nearest token of the list. */
static float
similarity(const Search *search, uint32 token, float key, float scale)
{
	const IndexView *view = search->view;
	float            reach = reach_of(view);
	float            length = view->index->meta.nodes.token_norm;

	if (view->metric != METRIC_L2)
		return key / reach * scale;
	/* With a reach, keys lack the part of the squared length that the node's own leaves: <q, c> - .2 |c|^2 of <q, x> - .5 |x|^2. */
	if (reach > 1)
		key = key / reach - 0.5f * (1 - 1 / reach) * length * length;
	return -sqrtf(Max(0.0f, search->query.directions.squares[token] - 2 * key));
}

/* ---- lists that say nothing ---- */

/*
 * A list that holds nearly every document tells none from another, as that of
 * a padding vector does: it is not read. Every document is taken to be in it,
 * so for this token its similarity is what a document has at least, and lists
 * that come after it bring nothing.
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
 * Read the lists of one query token, nearest first, up to one that says
 * nothing. Returns how many were read; their probes lack gains.
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

/* Read the lists of one query token, and say what each of them gains over a miss. */
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
	float  miss = nread < nhits ? similarity(search, token, hits[nread].key, scale)
								: similarity(search, token, hits[nhits - 1].key, scale) - margin;

	for (uint32 i = 0; i < nread; i++)
	{
		Probe *probe = &list->probes[first + i];

		probe->token = token;
		probe->gain =
			tokens->weights[token] * (similarity(search, token, hits[i].key, scale) - miss);
	}
}

/* find: the nodes of every query token. */
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

/* The nodes of every query token, and their postings. */
static void
probe_all(Search *search, uint32 probes, uint32 ef, ProbeList *list)
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
	list->count = 0;
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

/*
 * Sums of gains by document: a hash table with open addressing says where in
 * the list of candidates a document stands.
 */
typedef struct GatherSlot
{
	uint32 doc;
	uint32 at; /* place in the list, plus 1; 0: an empty slot */
} GatherSlot;

/* Of documents that are not wanted again. */
#define AT_NOWHERE PG_UINT32_MAX

typedef struct GatherTable
{
	GatherSlot    *slots;
	uint32         mask;
	uint32        *tokens; /* by place: the last token that gained */
	CandidateList *list;
} GatherTable;

/* At most half of the slots are in use in the end. */
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

/* A posting of a node that gains so much; a document's first for a token is its best. */
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

/* gather: sum the gains of every document that is named and not seen, into an empty list. */
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
	pfree(probed.probes);
	if (probed.postings.docs != NULL)
		pfree(probed.postings.docs);
	stage_stop(search, STAGE_GATHER, start);
}
