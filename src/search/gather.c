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

#include "base/bins.h"
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
	float  gain;      /* similarity minus that of a miss, times the token's weight */
	float  half_gain; /* the same if half of the lists were probed; 0: this one would not be */
	uint32 start;
	uint32 count;
} Probe;

/* Maximum number of mute lists remembered. Any further ones are read each time. */
#define MAX_MUTE_LISTS 8

/*
 * Nodes to find first, as a multiple of those that are probed, and at most.
 * Finding more at once costs less than finding again when the search goes on.
 */
#define FIND_AHEAD     2
#define MAX_FIND_AHEAD 512

/* The nodes that were found, and the posting lists that were read so far. */
typedef struct ProbeList
{
	uint32        found; /* maximum nodes per token; 0: nothing was found yet */
	NodeHit      *hits;  /* of token t: from t * found on, nearest first */
	uint32       *nhits;
	float        *scales;
	Probe        *probes; /* of hits, in the same places */
	uint32       *nread;  /* lists read per token, up to a mute one */
	PostingBuffer postings;
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
 * Read the list of a node into a probe. Returns false if it is mute.
 */
static bool
read_list(Search *search, uint32 node, ProbeList *list, Probe *probe)
{
	IndexView *view = search->view;

	if (is_mute(list, node))
		return false;
	probe->start = list->postings.count;
	postings_read(view->index, node, &list->postings);
	probe->count = list->postings.count - probe->start;
	search->counters.postings += probe->count;
	if (says_nothing(&view->index->meta, probe->count))
	{
		list->postings.count = probe->start;
		if (list->nmute < MAX_MUTE_LISTS)
			list->mute[list->nmute++] = node;
		return false;
	}
	search->counters.nodes++;
	return true;
}

/*
 * Read the lists of the first nhits nodes of one query token that were not read
 * yet, nearest first, up to the first mute list.
 */
static void
read_lists(Search *search, uint32 token, uint32 nhits, ProbeList *list)
{
	size_t         first = (size_t) token * list->found;
	const NodeHit *hits = list->hits + first;

	while (list->nread[token] < nhits)
	{
		uint32 i = list->nread[token];

		parray_prefetch(search->view->index, ARRAY_NODES,
						hits[Min(i + NODES_AHEAD, nhits - 1)].node);
		if (!read_list(search, hits[i].node, list, &list->probes[first + i]))
			break;
		list->nread[token]++;
	}
}

/* The nodes of one query token. */
typedef struct TokenNodes
{
	uint32         token;
	float          scale;
	const NodeHit *hits; /* nearest first */
	uint32         nread;
} TokenNodes;

static float
node_similarity(const Search *search, const TokenNodes *nodes, uint32 i)
{
	return similarity(search, nodes->token, nodes->hits[i].key, nodes->scale);
}

/* Return the similarity of a miss if nhits nodes are probed. */
static float
miss_similarity(const Search *search, const TokenNodes *nodes, uint32 nhits)
{
	const IndexView *view = search->view;
	float            margin =
		MISS_MARGIN * view->index->meta.nodes.token_norm *
		(view->metric == METRIC_L2 ? 1.0f : sqrtf(search->query.directions.squares[nodes->token]));
	float last;

	if (nodes->nread < nhits)
		return node_similarity(search, nodes, nodes->nread);
	last = node_similarity(search, nodes, nhits - 1);
	if (nhits > 1)
		margin = Min(margin, MISS_SPREADS * (node_similarity(search, nodes, 0) - last));
	return last - margin;
}

/* Set the gain over a miss of each list of one query token, of which nhits are probed. */
static void
set_gains(Search *search, const TokenNodes *nodes, uint32 nhits, Probe *probes)
{
	uint32 half = (nhits + 1) / 2;
	float  miss = miss_similarity(search, nodes, nhits);
	float  half_miss = miss_similarity(search, nodes, half);
	float  weight = search->query.directions.weights[nodes->token];

	for (uint32 i = 0; i < nodes->nread; i++)
	{
		float key = node_similarity(search, nodes, i);

		probes[i].gain = weight * (key - miss);
		probes[i].half_gain = i < half ? weight * (key - half_miss) : 0;
	}
}

static void
free_probes(ProbeList *list)
{
	if (list->found == 0)
		return;
	pfree(list->hits);
	pfree(list->nhits);
	pfree(list->scales);
	pfree(list->probes);
	pfree(list->nread);
	if (list->postings.docs != NULL)
		pfree(list->postings.docs);
	*list = (ProbeList) {0};
}

/* Stage "find": find nodes of every query token. */
static void
find_nodes(Search *search, uint32 found, uint32 ef, ProbeList *list)
{
	uint32     ntokens = search->query.directions.count;
	Size       nhits = mul_size(ntokens, found);
	FindQuery  find = {.ntokens = ntokens,
					   .probes = found,
					   .reach = reach_of(search->view),
					   .ef = Max(ef, found),
					   .share = search->policy.share};
	instr_time start;

	stage_start(search, &start);
	free_probes(list);
	list->found = found;
	list->hits = palloc_extended(mul_size(nhits, sizeof(NodeHit)), MCXT_ALLOC_HUGE);
	list->probes = palloc_extended(mul_size(nhits, sizeof(Probe)), MCXT_ALLOC_HUGE);
	list->nhits = palloc_extended(mul_size(ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE);
	list->nread =
		palloc_extended(mul_size(ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	list->scales = palloc_extended(mul_size(ntokens, sizeof(float)), MCXT_ALLOC_HUGE);
	find.tokens = tokens_to_find(search, list->scales);
	finder_find(search->finder, &find, list->hits, list->nhits);
	if (find.tokens != search->query.directions.tokens)
		pfree((void *) find.tokens);
	search->counters.hops += find.hops;
	stage_stop(search, STAGE_FIND, start);
}

/* Return how many times the probed nodes to find. The user's probes are not exceeded. */
static uint32
find_ahead(const Search *search, const ProbeList *list)
{
	if (!search->policy.may_gather_more)
		return 1;
	return list->found == 0 ? FIND_AHEAD : 1;
}

/* Read the lists of the nodes near every query token that were not read yet. */
static void
probe_once(Search *search, uint32 probes, uint32 ef, ProbeList *list)
{
	instr_time start;

	if (probes > list->found)
	{
		uint64 ahead = Min((uint64) probes * find_ahead(search, list), MAX_FIND_AHEAD);

		find_nodes(search, (uint32) Max(Min(ahead, search->policy.nodes), probes), ef, list);
	}
	stage_start(search, &start);
	for (uint32 token = 0; token < search->query.directions.count; token++)
	{
		CHECK_FOR_INTERRUPTS();
		read_lists(search, token, Min(probes, list->nhits[token]), list);
	}
	stage_stop(search, STAGE_GATHER, start);
}

/*
 * Find the nodes of every query token, and read their postings. If VACUUM has
 * replaced the nodes meanwhile, their lists may have been emptied, so the
 * search asks the new ones.
 */
static void
probe_all(Search *search, uint32 probes, uint32 ef, ProbeList *list)
{
	probe_once(search, probes, ef, list);
	COLBERT_PAUSE("probed");
	while (finder_replaced(search->finder))
	{
		free_probes(list);
		probe_once(search, probes, ef, list);
		COLBERT_PAUSE("probed");
	}
}

/* A document of the probed lists. */
typedef struct GatheredDoc
{
	uint32 doc;
	uint32 token; /* the last one with a gain */
	float  estimate;
	float  half_estimate; /* if half of the lists were probed; 0: they do not name it */
} GatheredDoc;

/* Number of bins of the estimates by half of the lists. */
#define HALF_BINS 256

/*
 * The probed lists and their documents. slots: a hash table with open addressing
 * of the documents' places, plus 1; 0: an empty slot.
 */
struct Gathered
{
	ProbeList    lists;
	uint32      *slots;
	uint32       mask;
	GatheredDoc *docs;
	uint32       count;
	Bins         half_bins;
	uint32       half_counts[HALF_BINS];
};

/*
 * Forget the documents, and make room for those of this many postings, at a load
 * of at most one half.
 */
static void
reset_docs(Gathered *gathered, uint32 npostings)
{
	uint64 size = pg_nextpower2_64(Max((uint64) npostings * 2, 64));

	if (gathered->slots != NULL)
	{
		pfree(gathered->slots);
		pfree(gathered->docs);
	}
	gathered->slots =
		palloc_extended(mul_size(size, sizeof(uint32)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	gathered->mask = (uint32) (size - 1);
	gathered->docs =
		palloc_extended(mul_size(Max(npostings, 1), sizeof(GatheredDoc)), MCXT_ALLOC_HUGE);
	gathered->count = 0;
	memset(gathered->half_counts, 0, sizeof(gathered->half_counts));
}

static inline uint32 *
find_slot(const Gathered *gathered, uint32 doc)
{
	uint32 at = murmurhash32(doc) & gathered->mask;

	while (gathered->slots[at] != 0 && gathered->docs[gathered->slots[at] - 1].doc != doc)
		at = (at + 1) & gathered->mask;
	return &gathered->slots[at];
}

static inline const GatheredDoc *
find_doc(const Gathered *gathered, uint32 doc)
{
	uint32 at = *find_slot(gathered, doc);

	return at > 0 ? &gathered->docs[at - 1] : NULL;
}

/*
 * Add the gain of one posting to its document. Only a document's first gain per
 * token counts, since it is the best.
 */
static inline void
add_gain(Gathered *gathered, uint32 doc, uint32 token, const Probe *probe)
{
	uint32      *slot = find_slot(gathered, doc);
	GatheredDoc *found;

	if (*slot == 0)
	{
		gathered->docs[gathered->count++] =
			(GatheredDoc) {doc, token, probe->gain, probe->half_gain};
		*slot = gathered->count;
		return;
	}
	found = &gathered->docs[*slot - 1];
	if (found->token == token)
		return;
	found->token = token;
	found->estimate += probe->gain;
	found->half_estimate += probe->half_gain;
}

/* Stage "gather": sum the gains of every document in the lists of one query token. */
static void
sum_token(Gathered *gathered, uint32 token, uint32 ndocs)
{
	const ProbeList *list = &gathered->lists;
	const Probe     *probes = list->probes + (size_t) token * list->found;

	for (uint32 i = 0; i < list->nread[token]; i++)
	{
		const uint32 *docs = list->postings.docs + probes[i].start;

		for (uint32 j = 0; j < probes[i].count; j++)
			if (docs[j] < ndocs)
				add_gain(gathered, docs[j], token, &probes[i]);
	}
}

static void
sum_gains(Search *search, Gathered *gathered, uint32 probes)
{
	const ProbeList *list = &gathered->lists;
	uint32           ndocs = parray_nitems(search->view->index, ARRAY_DOCS);

	reset_docs(gathered, list->postings.count);
	for (uint32 token = 0; token < search->query.directions.count; token++)
	{
		size_t     first = (size_t) token * list->found;
		TokenNodes nodes = {token, list->scales[token], list->hits + first, list->nread[token]};

		CHECK_FOR_INTERRUPTS();
		if (nodes.nread == 0)
			continue;
		set_gains(search, &nodes, Min(probes, list->nhits[token]), list->probes + first);
		sum_token(gathered, token, ndocs);
	}
}

/* ---- from the documents of the lists to those that wait ---- */

/* Make the documents that were not seen so far wait, and count their estimates. */
static void
set_waiting(Search *search)
{
	const Gathered    *gathered = search->gathered;
	CandidateList     *list = &search->waiting;
	EstimateHistogram *histogram = &search->state.waiting_estimates;
	float              lowest = FLT_MAX;
	float              highest = -FLT_MAX;

	*list = (CandidateList) {0};
	for (uint32 i = 0; i < gathered->count; i++)
	{
		const GatheredDoc *doc = &gathered->docs[i];

		if (funnel_seen(search, doc->doc))
			continue;
		candidates_add(list, doc->doc, doc->estimate);
		lowest = Min(lowest, doc->estimate);
		highest = Max(highest, doc->estimate);
	}
	memset(histogram, 0, sizeof(EstimateHistogram));
	histogram->lowest = lowest;
	histogram->width = (highest - lowest) / HISTOGRAM_BINS;
	histogram_count(histogram, list->items, list->count, 1);
}

/* Replace the estimates of the documents that were narrowed before. */
static void
renew_pairs(Search *search)
{
	PairList *pairs = &search->narrowed;
	uint32    kept = 0;

	pairs->moments = (PairMoments) {0};
	for (uint32 i = 0; i < pairs->count; i++)
	{
		const GatheredDoc *doc = find_doc(search->gathered, pairs->items[i].doc);

		if (doc == NULL)
			continue;
		pairs->items[kept] = pairs->items[i];
		pairs->items[kept].estimate = doc->estimate;
		moments_add(&pairs->moments, &pairs->items[kept++]);
	}
	pairs->count = kept;
}

static void
count_halves(Gathered *gathered)
{
	float highest = 0;

	for (uint32 i = 0; i < gathered->count; i++)
		highest = Max(highest, gathered->docs[i].half_estimate);
	gathered->half_bins = bins_of(0, highest, HALF_BINS);
	for (uint32 i = 0; i < gathered->count; i++)
		gathered->half_counts[bins_find(&gathered->half_bins, gathered->docs[i].half_estimate)]++;
}

/* Return the bin of the nth best estimate by half of the lists. */
static uint32
half_bin(const Gathered *gathered, uint64 n)
{
	uint32 bin = HALF_BINS;
	uint64 above = 0;

	while (bin > 0 && above < n)
		above += gathered->half_counts[--bin];
	return bin;
}

double
gather_late_share(Search *search, uint32 n)
{
	const Gathered *gathered = search->gathered;
	CandidateList  *codes = &search->codes;
	uint32          judges = 0;
	uint32          late = 0;
	uint32          bin;

	n = Min(n, codes->count);
	candidates_select(codes->items, codes->count, n);
	bin = half_bin(gathered, search->narrowed_waiting);
	for (uint32 i = 0; i < n; i++)
	{
		const GatheredDoc *doc = find_doc(gathered, codes->items[i].doc);

		if (doc == NULL)
			continue;
		judges++;
		late +=
			!(doc->half_estimate > 0) || bins_find(&gathered->half_bins, doc->half_estimate) < bin;
	}
	return judges > 0 ? (double) late / judges : 0;
}

void
gather_forget(Search *search)
{
	Gathered *gathered = search->gathered;

	if (gathered == NULL)
		return;
	free_probes(&gathered->lists);
	pfree(gathered->slots);
	pfree(gathered->docs);
	pfree(gathered);
	search->gathered = NULL;
	search->state.found = 0;
}

void
gather_documents(Search *search, uint32 probes, uint32 ef)
{
	Gathered  *gathered = search->gathered;
	instr_time start;

	if (gathered == NULL)
		search->gathered = gathered = palloc0(sizeof(Gathered));
	probe_all(search, probes, ef, &gathered->lists);
	COLBERT_PAUSE("gathered");
	stage_start(search, &start);
	if (search->waiting.items != NULL)
		pfree(search->waiting.items);
	sum_gains(search, gathered, probes);
	search->counters.gathered = gathered->count;
	set_waiting(search);
	renew_pairs(search);
	count_halves(gathered);
	search->state.probes = probes;
	search->state.found = gathered->lists.found;
	stage_stop(search, STAGE_GATHER, start);
}
