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
#include "index/postings.h"
#include "index/queue.h"
#include "miscadmin.h"
#include "search/funnel.h"
#include "search/means.h"
#include "search/sums.h"

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
	uint32 start;
	uint32 count;
} Probe;

/* Maximum number of mute lists remembered. Any further ones are read each time. */
#define MAX_MUTE_LISTS 8

/*
 * Nodes to find first, as a multiple of those that are probed, and at most.
 * Finding more at once costs less than finding again when the search goes on.
 * One of several searches mostly does not.
 */
#define FIND_AHEAD     2
#define MAX_FIND_AHEAD 512

/* The nodes that were found, and the posting lists that were read so far. */
typedef struct ProbeList
{
	uint32        found;  /* maximum nodes per token; 0: nothing was found yet */
	uint32        probed; /* nodes per token that were probed */
	NodeHit      *hits;   /* of token t: from t * found on, nearest first (keep_probed) */
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

/* Return REACH, or 1 if lists are ordered by the distance. */
static float
whole_reach(const IndexView *view)
{
	if (view->index->meta.shape.tokens_per_node == 1 ||
		(view->metric == METRIC_L2 && view->index->meta.nodes.length_spread > 0))
		return 1;
	return REACH;
}

/*
 * Part of the reach that the query token has: it is made this much longer.
 *
 * A graph is walked by <q, c> - .5 |c|^2, so a walk does not get to long nodes
 * if the query is as long as the mean token and lengths differ. A longer query
 * walks nearer to the order by inner products. The order of the nodes that are
 * found stays the same, since the reach is shorter. Of 4,000 documents of 60
 * topics with lengths of .1 to 10, recall@10 was .117 without this, and .992
 * with it.
 */
static float
stretch_of(const IndexView *view)
{
	if (view->metric == METRIC_L2 || view->index->meta.nodes.length_spread < VARIED_LENGTHS)
		return 1;
	return whole_reach(view);
}

static float
reach_of(const IndexView *view)
{
	return whole_reach(view) / stretch_of(view);
}

/*
 * Return the query tokens to look up nodes by.
 *
 * The order by inner product does not depend on the length of the query token,
 * so each is scaled to the length of document tokens, or to more if lengths
 * differ (stretch_of). scales: receives the factor that converts keys back. The
 * result is search->query.directions.tokens, or a copy that the caller frees.
 */
static const float *
tokens_to_find(const Search *search, float *scales)
{
	const WeightedTokens *tokens = &search->query.directions;
	uint32                dim = search->view->dim;
	float  length = search->view->index->meta.nodes.token_norm * stretch_of(search->view);
	float *scaled;

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

/* Return the usual margin of a query token, for a miss. */
static float
usual_margin(const Search *search, uint32 token)
{
	const IndexView *view = search->view;

	return MISS_MARGIN * view->index->meta.nodes.token_norm *
		   (view->metric == METRIC_L2 ? 1.0f : sqrtf(search->query.directions.squares[token]));
}

/* Return the margin if nhits nodes are probed: 0 after a mute list. */
static float
miss_margin(const Search *search, const TokenNodes *nodes, uint32 nhits)
{
	float margin = usual_margin(search, nodes->token);

	if (nodes->nread < nhits)
		return 0;
	if (nhits > 1)
		margin = Min(margin, MISS_SPREADS * (node_similarity(search, nodes, 0) -
											 node_similarity(search, nodes, nhits - 1)));
	return margin;
}

/* Return the similarity of a miss if nhits nodes are probed. */
static float
miss_similarity(const Search *search, const TokenNodes *nodes, uint32 nhits)
{
	uint32 last = nodes->nread < nhits ? nodes->nread : nhits - 1;

	return node_similarity(search, nodes, last) - miss_margin(search, nodes, nhits);
}

static void
free_found(ProbeList *list)
{
	if (list->found == 0)
		return;
	pfree(list->hits);
	pfree(list->nhits);
	pfree(list->scales);
	pfree(list->probes);
	pfree(list->nread);
}

static void
free_probes(ProbeList *list)
{
	free_found(list);
	if (list->postings.docs != NULL)
		pfree(list->postings.docs);
	*list = (ProbeList) {0};
}

/* Look for a node among hits, at a place first. Returns its place, or n. */
static uint32
place_of(const NodeHit *hits, uint32 n, uint32 node, uint32 place)
{
	if (place < n && hits[place].node == node)
		return place;
	for (place = 0; place < n && hits[place].node != node; place++)
		;
	return place;
}

/*
 * Let the probed nodes of a token stay first among more nodes that were found,
 * with their lists. A wider search may find some nodes that are nearer than
 * these; they follow.
 */
static void
keep_probed(ProbeList *list, const ProbeList *old, uint32 token, NodeHit *found)
{
	NodeHit       *hits = list->hits + (size_t) token * list->found;
	const NodeHit *kept = old->hits + (size_t) token * old->found;
	uint32         nkept = Min(old->probed, old->nhits[token]);
	uint32         nfound = list->nhits[token];
	uint32         n = nkept;
	uint32         next = 0;

	memcpy(found, hits, nfound * sizeof(NodeHit));
	memcpy(hits, kept, nkept * sizeof(NodeHit));
	for (uint32 i = 0; i < nfound && n < list->found; i++)
	{
		uint32 place = place_of(kept, nkept, found[i].node, next);

		if (place < nkept)
			next = place + 1;
		else
			hits[n++] = found[i];
	}
	list->nhits[token] = n;
	list->nread[token] = old->nread[token];
	memcpy(list->probes + (size_t) token * list->found, old->probes + (size_t) token * old->found,
		   old->nread[token] * sizeof(Probe));
}

/* Stage "find": find nodes of every query token. */
static void
find_nodes(Search *search, uint32 found, uint32 ef, ProbeList *list)
{
	uint32     ntokens = search->query.directions.count;
	Size       nhits = mul_size(ntokens, found);
	ProbeList  old = *list;
	FindQuery  find = {.ntokens = ntokens,
					   .probes = found,
					   .reach = reach_of(search->view),
					   .ef = Max(ef, found),
					   .share = search->policy.share};
	instr_time start;

	stage_start(search, &start);
	list->found = found;
	list->hits = palloc_extended(mul_size(nhits, sizeof(NodeHit)), MCXT_ALLOC_HUGE);
	list->probes = palloc_extended(mul_size(nhits, sizeof(Probe)), MCXT_ALLOC_HUGE);
	list->nhits = palloc_extended(mul_size(ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE);
	list->nread =
		palloc_extended(mul_size(ntokens, sizeof(uint32)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	list->scales = palloc_extended(mul_size(ntokens, sizeof(float)), MCXT_ALLOC_HUGE);
	find.tokens = tokens_to_find(search, list->scales);
	find.wider = old.found > 0;
	if (!search->query.sketch->has_add)
		find.sketch = search->query.sketch;
	find.scales = list->scales;
	finder_find(search->finder, &find, list->hits, list->nhits);
	if (find.tokens != search->query.directions.tokens)
		pfree((void *) find.tokens);
	search->counters.hops += find.hops;
	if (old.probed > 0)
	{
		NodeHit *room = palloc_extended(mul_size(found, sizeof(NodeHit)), MCXT_ALLOC_HUGE);

		for (uint32 token = 0; token < ntokens; token++)
			keep_probed(list, &old, token, room);
		pfree(room);
	}
	free_found(&old);
	stage_stop(search, STAGE_FIND, start);
}

/* Return how many times the probed nodes to find. The user's probes are not exceeded. */
static uint32
find_ahead(const Search *search, const ProbeList *list)
{
	if (!search->policy.may_gather_more || search->finder->ops->goes_on || search->policy.share < 1)
		return 1;
	return list->found == 0 ? FIND_AHEAD : 1;
}

/*
 * If lists may be on disk, request the first pages of those of one query token
 * that will be read.
 */
static void
request_lists(Search *search, uint32 token, uint32 nhits, const ProbeList *list)
{
	ColbertIndex  *index = search->view->index;
	const NodeHit *hits = list->hits + (size_t) token * list->found;
	uint32         first = list->nread[token];
	uint32         distance = first < nhits ? readahead_distance(&search->ahead[STAGE_GATHER]) : 0;

	for (uint32 i = first; i < nhits && i - first < distance; i++)
		if (!is_mute(list, hits[i].node))
			postings_request(index, hits[i].node);
}

/* Read the lists of the nodes near every query token that were not read yet. */
static void
probe_once(Search *search, uint32 probes, uint32 ef, ProbeList *list)
{
	uint32     ntokens = search->query.directions.count;
	instr_time start;

	if (probes > list->found)
	{
		uint64 ahead = Min((uint64) probes * find_ahead(search, list), MAX_FIND_AHEAD);

		find_nodes(search, (uint32) Max(Min(ahead, search->policy.nodes), probes), ef, list);
	}
	stage_start(search, &start);
	readahead_resume(&search->ahead[STAGE_GATHER]);
	for (uint32 token = 0; token < ntokens; token++)
	{
		CHECK_FOR_INTERRUPTS();
		/* Request those of the next token before reading this one's. */
		for (uint32 next = token == 0 ? 0 : token + 1; next < Min(token + 2, ntokens); next++)
			request_lists(search, next, Min(probes, list->nhits[next]), list);
		read_lists(search, token, Min(probes, list->nhits[token]), list);
	}
	list->probed = probes;
	stage_stop(search, STAGE_GATHER, start);
}

/* Number of bins of the estimates by half of the lists. */
#define HALF_BINS 256

/* The probed lists and the sums of their documents. */
struct Gathered
{
	ProbeList lists;
	DocSums   sums;
	MeanQuery means;
	uint32    judged;   /* documents whose sums include the gains of their means */
	uint32    summed;   /* lists per token that are in the sums */
	uint32    postings; /* number of their postings */
	float    *misses;   /* weighted similarities of a miss of each token */
	float    *falls;    /* by which these have fallen */
	Bins      half_bins;
	uint32    half_counts[HALF_BINS];
};

static void
free_sums(Gathered *gathered)
{
	SumsMemory *memory = &gathered->sums.memory;

	if (memory->slots != NULL)
	{
		pfree(memory->slots);
		pfree(memory->docs);
		pfree(memory->met);
	}
	gathered->sums = (DocSums) {0};
	means_free(&gathered->means);
	gathered->judged = 0;
	gathered->summed = 0;
	gathered->postings = 0;
}

/*
 * Find the nodes of every query token, and read their postings. If VACUUM has
 * replaced the nodes meanwhile, their lists may have been emptied, so the
 * search asks the new ones.
 */
static void
probe_all(Search *search, uint32 probes, uint32 ef, Gathered *gathered)
{
	probe_once(search, probes, ef, &gathered->lists);
	COLBERT_PAUSE("probed");
	while (finder_replaced(search->finder))
	{
		free_probes(&gathered->lists);
		free_sums(gathered);
		probe_once(search, probes, ef, &gathered->lists);
		COLBERT_PAUSE("probed");
	}
}

/* ---- sums ---- */

/* Make room for the documents of all lists that were read. */
static void
reserve_docs(Gathered *gathered, uint32 ndocs, uint32 ntokens)
{
	DocSums   *sums = &gathered->sums;
	SumsMemory old = sums->memory;
	SumsMemory memory = {0};
	uint64     more = gathered->lists.postings.count - gathered->postings;
	uint32     room = (uint32) Min(sums->count + more, ndocs);

	sums->words = sums_words(ntokens);
	memory.nslots = sums_slots(room);
	if (old.slots != NULL && memory.nslots <= old.nslots)
		return;
	room = Min(memory.nslots / 2, ndocs);
	memory.slots =
		palloc_extended(mul_size(memory.nslots, sizeof(uint32)), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	memory.docs = palloc_extended(mul_size(Max(room, 1), sizeof(SummedDoc)), MCXT_ALLOC_HUGE);
	memory.met = palloc_extended(mul_size(mul_size(Max(room, 1), sums->words), sizeof(uint64)),
								 MCXT_ALLOC_HUGE);
	sums_move(sums, &memory);
	if (old.slots != NULL)
	{
		pfree(old.slots);
		pfree(old.docs);
		pfree(old.met);
	}
}

/* Set the similarity of a miss of each query token if this many lists are probed, and its fall. */
static void
set_misses(Search *search, Gathered *gathered, uint32 probes)
{
	const ProbeList *list = &gathered->lists;

	for (uint32 token = 0; token < search->query.directions.count; token++)
	{
		size_t     first = (size_t) token * list->found;
		TokenNodes nodes = {token, list->scales[token], list->hits + first, list->nread[token]};
		float      miss = 0;

		if (nodes.nread > 0)
			miss = search->query.directions.weights[token] *
				   miss_similarity(search, &nodes, Min(probes, list->nhits[token]));
		gathered->falls[token] = gathered->misses[token] - miss;
		gathered->misses[token] = miss;
	}
}

/* Add lists from .. to - 1 of one query token. */
static void
sum_token(Search *search, Gathered *gathered, uint32 token, uint32 from, uint32 to)
{
	const ProbeList *list = &gathered->lists;
	size_t           first = (size_t) token * list->found;
	TokenNodes       nodes = {token, list->scales[token], list->hits + first, list->nread[token]};
	uint32           ndocs = parray_nitems(search->view->index, ARRAY_DOCS);
	float            weight = search->query.directions.weights[token];

	for (uint32 i = from; i < Min(to, nodes.nread); i++)
	{
		const Probe *probe = &list->probes[first + i];
		GainList     gains = {token,
							  weight * node_similarity(search, &nodes, i) - gathered->misses[token],
							  list->postings.docs + probe->start, probe->count};

		sums_add(&gathered->sums, &gains, ndocs);
	}
}

/*
 * Prepare the scores of means. A query token counts by its margin: one that is
 * hardly nearer to some lists than to others, such as a padding vector, says
 * nothing about a document.
 */
static void
prepare_means(Search *search, Gathered *gathered, uint32 probes)
{
	const ProbeList *list = &gathered->lists;
	uint32           ntokens = search->query.directions.count;
	float           *shares = palloc_extended(mul_size(ntokens, sizeof(float)), MCXT_ALLOC_HUGE);

	for (uint32 token = 0; token < ntokens; token++)
	{
		size_t     first = (size_t) token * list->found;
		TokenNodes nodes = {token, list->scales[token], list->hits + first, list->nread[token]};
		float      usual = usual_margin(search, token);

		shares[token] = 0;
		if (nodes.nread > 0 && usual > 0)
			shares[token] = miss_margin(search, &nodes, Min(probes, list->nhits[token])) / usual;
	}
	means_prepare(search->view, &search->query,
				  &(MeanShares) {.misses = gathered->misses, .shares = shares}, &gathered->means);
	pfree(shares);
}

/* Add the gains of the means of documents that lists named for the first time. */
static void
add_means(Search *search, Gathered *gathered, uint32 probes)
{
	DocSums *sums = &gathered->sums;

	if (gathered->means.sketch == NULL)
		prepare_means(search, gathered, probes);
	means_add(search->view, &gathered->means, sums->memory.docs + gathered->judged,
			  sums->count - gathered->judged);
	gathered->judged = sums->count;
}

/* Stage "gather": extend the sums to this many lists per query token. */
static void
extend_sums(Search *search, Gathered *gathered, uint32 probes)
{
	uint32 ntokens = search->query.directions.count;
	uint32 from = gathered->summed;

	set_misses(search, gathered, probes);
	if (ntokens <= SUMS_MAX_TOKENS)
		sums_raise(&gathered->sums, gathered->falls, ntokens);
	else
	{
		sums_restart(&gathered->sums);
		gathered->judged = 0;
		from = 0;
	}
	for (uint32 token = 0; token < ntokens; token++)
	{
		CHECK_FOR_INTERRUPTS();
		if (token > 0 && token % SUMS_MAX_TOKENS == 0)
			sums_forget_met(&gathered->sums);
		sum_token(search, gathered, token, from, probes);
	}
	add_means(search, gathered, probes);
	gathered->summed = probes;
}

/*
 * Sum the lists: of the first ones half, then all; then twice the lists at a
 * time. The estimates by half of the lists are those before the last extension.
 */
static void
sum_lists(Search *search, Gathered *gathered, uint32 probes)
{
	uint32 ntokens = search->query.directions.count;

	if (gathered->misses == NULL)
	{
		gathered->misses = palloc_extended(mul_size(ntokens, sizeof(float)), MCXT_ALLOC_HUGE);
		gathered->falls = palloc_extended(mul_size(ntokens, sizeof(float)), MCXT_ALLOC_HUGE);
	}
	reserve_docs(gathered, parray_nitems(search->view->index, ARRAY_DOCS), ntokens);
	if (gathered->summed == 0)
		extend_sums(search, gathered, (probes + 1) / 2);
	do
	{
		extend_sums(search, gathered, Min(gathered->summed * 2, probes));
	} while (gathered->summed < probes);
	gathered->postings = gathered->lists.postings.count;
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
	for (uint32 i = 0; i < gathered->sums.count; i++)
	{
		const SummedDoc *doc = &gathered->sums.memory.docs[i];

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
		const SummedDoc *doc = sums_find(&search->gathered->sums, pairs->items[i].doc);

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

	memset(gathered->half_counts, 0, sizeof(gathered->half_counts));
	for (uint32 i = 0; i < gathered->sums.count; i++)
		highest = Max(highest, gathered->sums.memory.docs[i].half_estimate);
	gathered->half_bins = bins_of(0, highest, HALF_BINS);
	for (uint32 i = 0; i < gathered->sums.count; i++)
		gathered->half_counts[bins_find(&gathered->half_bins,
										gathered->sums.memory.docs[i].half_estimate)]++;
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
		const SummedDoc *doc = sums_find(&gathered->sums, codes->items[i].doc);

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
	finder_forget(search->finder);
	free_probes(&gathered->lists);
	free_sums(gathered);
	if (gathered->misses != NULL)
	{
		pfree(gathered->misses);
		pfree(gathered->falls);
	}
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
	probe_all(search, probes, ef, gathered);
	COLBERT_PAUSE("gathered");
	stage_start(search, &start);
	if (search->waiting.items != NULL)
		pfree(search->waiting.items);
	sum_lists(search, gathered, probes);
	search->counters.gathered = gathered->sums.count;
	set_waiting(search);
	renew_pairs(search);
	count_halves(gathered);
	search->state.probes = probes;
	search->state.found = gathered->lists.found;
	stage_stop(search, STAGE_GATHER, start);
}
