/*-------------------------------------------------------------------------
 *
 * drift.c
 *	  Measure how well the nodes of an index fit its tokens, and advise when
 *	  to rebuild it.
 *
 * Nodes are trained on the tokens present at that time. Tokens of another
 * distribution lie farther from their nodes and fill fewer lists. Searches then
 * read more postings or have lower recall. VACUUM trains new lists when an
 * index has doubled (relist.c).
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "index/drift.h"
#include "index/postings.h"
#include "index/relist.h"
#include "index/train.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Maximum lists read, evenly spaced. */
#define SAMPLED_LISTS 4096

/*
 * Limits above which REINDEX pays. FAR_TIMES: distance of later tokens,
 * relative to that of the trained ones. FAR_SHARE: share of later tokens among
 * all. CROWDED_TIMES: tokens per list, relative to tokens_per_node.
 */
#define FAR_TIMES     1.15
#define FAR_LENGTHS   0.01 /* plus this share of a token's length */
#define FAR_SHARE     0.1
#define CROWDED_TIMES 4.0

/* Searches read this many times the postings that even lists would have. */
#define UNEVEN_TIMES 4.0

static double
root_mean_square(const Assigned *assigned)
{
	return assigned->tokens > 0 ? sqrt(assigned->squares / assigned->tokens) : NAN;
}

static double
measure_imbalance(IndexView *view)
{
	uint32        end = meta_end_node(&view->index->meta);
	uint32        stride = meta_nnodes(&view->index->meta) / SAMPLED_LISTS + 1;
	double        sum = 0;
	double        squares = 0;
	uint32        n = 0;
	PostingBuffer buffer = {0};

	for (uint64 node = meta_first_node(&view->index->meta); node < end; node += stride, n++)
	{
		CHECK_FOR_INTERRUPTS();
		buffer.count = 0;
		postings_read(view->index, (uint32) node, &buffer);
		sum += buffer.count;
		squares += (double) buffer.count * buffer.count;
	}
	if (buffer.docs != NULL)
		pfree(buffer.docs);
	return sum > 0 ? n * squares / (sum * sum) : 0;
}

void
drift_measure(IndexView *view, Drift *drift)
{
	uint32 nnodes = meta_nnodes(&view->index->meta);
	double scale = scale_factor(view->index->meta.documents.scale_log2);

	drift->trained_distance = root_mean_square(&view->index->meta.nodes.trained) / scale;
	drift->merged_distance = root_mean_square(&view->index->meta.nodes.merged) / scale;
	drift->imbalance = measure_imbalance(view);
	drift->tokens_per_list =
		nnodes > 0 ? (double) view->index->meta.documents.live_tokens / nnodes : 0;
}

/* Return the share of tokens added since training. */
static double
merged_share(const MetaPageData *meta)
{
	uint64 all = meta->nodes.trained.tokens + meta->nodes.merged.tokens;

	return all > 0 ? (double) meta->nodes.merged.tokens / all : 0;
}

bool
drift_lists_outgrown(const MetaPageData *meta)
{
	uint32 nlists = meta_nnodes(meta);

	return meta->shape.finder == FINDER_IVF && !meta_lists_are_fixed(meta) && nlists > 0 &&
		   (double) meta->documents.live_tokens / nlists >
			   CROWDED_TIMES * meta->shape.tokens_per_node;
}

/* Return what replaces the nodes of an index by better ones. */
static const char *
new_nodes(const MetaPageData *meta)
{
	return OidIsValid(meta->origin.centroids) ? "Train the table of centroids again, and REINDEX"
											  : "REINDEX";
}

char *
drift_advice(const IndexView *view, const Drift *drift)
{
	const MetaPageData *meta = &view->index->meta;
	double         token_norm = meta->nodes.token_norm / scale_factor(meta->documents.scale_log2);
	StringInfoData advice;

	initStringInfo(&advice);
	if (!has_nodes(meta))
	{
		if (meta->documents.live_tokens < train_min_tokens(meta))
			return NULL;
		return "There are enough tokens to train nodes: VACUUM the table, or call colbert_merge().";
	}
	if (scale_is_off(view->metric, meta->nodes.token_norm))
		appendStringInfo(
			&advice,
			"REINDEX: the tokens have length %.3g, but the index is scaled for length %.3g.",
			token_norm, 1 / scale_factor(meta->documents.scale_log2));
	else if (meta->lists.next_node > 0)
		appendStringInfoString(
			&advice,
			"VACUUM the table: the replacement of the lists was interrupted, or is running.");
	else if (relist_is_due(view))
		appendStringInfo(&advice,
						 "VACUUM the table: the lists hold %.0f tokens on average; %u are best.",
						 drift->tokens_per_list, meta->shape.tokens_per_node);
	else if (merged_share(meta) > FAR_SHARE &&
			 drift->merged_distance >
				 drift->trained_distance * FAR_TIMES + token_norm * FAR_LENGTHS)
		appendStringInfo(
			&advice,
			"%s: the %.0f%% of tokens added later lie %.3g from their nodes, the others %.3g.",
			new_nodes(meta), 100 * merged_share(meta), drift->merged_distance,
			drift->trained_distance);
	else if (drift_lists_outgrown(meta))
		appendStringInfo(&advice, "REINDEX: the lists hold %.0f tokens on average; %u are best.",
						 drift->tokens_per_list, meta->shape.tokens_per_node);
	else if (drift->imbalance > UNEVEN_TIMES)
		appendStringInfo(
			&advice,
			"%s or lower probes: uneven lists make searches read %.1f times as many postings.",
			new_nodes(meta), drift->imbalance);
	else if (view->metric == METRIC_IP && meta->nodes.length_spread >= VARIED_LENGTHS)
		appendStringInfo(
			&advice,
			"Normalise tokens or use maxsim_cosine: lengths that vary by %d%% lower maxsim recall.",
			meta->nodes.length_spread);
	return advice.len > 0 ? advice.data : NULL;
}
