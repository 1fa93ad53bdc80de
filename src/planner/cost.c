/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  Cost estimates of index scans, and paths that must not be used.
 *
 * The start-up cost of a search covers its stages before the first row:
 * finding nodes, gathering their postings, narrowing and reranking documents.
 * Each row then costs one exact score, as declared for the operator's
 * function. If few rows pass a filter, the search tests many documents and
 * immediately widens to as many as are likely to hold the first ten rows; only
 * LIMIT tells how many more are read. Returning every row takes a pass over
 * all documents. The numbers of documents, nodes and postings come from the
 * index's meta page. Core adds the heap fetches.
 *
 * Times are for 128 dims in memory (bench/planner). They are converted to
 * costs by the declared cost of the score functions.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <math.h>

#include "access/access.h"
#include "index/queue.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "planner/cost.h"
#include "planner/order_use.h"
#include "search/policy.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

/* A score is declared to cost 3,000 operators, and takes 10 us. */
#define OPERATORS_PER_US 300.0

/* Times in microseconds. A group is 16 query tokens, which are scored at once. */
#define US_BEGIN           120.0 /* opening an index and preparing the query */
#define US_FIND_TOKEN      20.0  /* finding the nodes of a query token */
#define US_POSTING         0.012
#define US_SKETCH_TOKEN    0.0065 /* scoring the sketch of a document token against a group */
#define US_ROW_TOKEN       0.023  /* scoring its code row against a group */
#define US_TEST            1.2    /* fetching a row and testing quals on it */
#define US_DIRECTORY_ENTRY 0.02

/* Number of rows that are fetched before the first is returned. */
#define WINDOW_ROWS 16

/* Assumed number of query tokens while the query is unknown. */
#define LIKELY_QUERY_TOKENS 16

/* Higher than the cost of any plan that core wants to avoid (1e10), and still finite. */
#define FORBIDDEN_COST 1.0e20

/* Return the threshold among a path's conditions, or NULL. */
static OpExpr *
find_threshold(IndexPath *path)
{
	ListCell *cell;

	foreach (cell, path->indexclauses)
	{
		Expr *clause =
			linitial_node(RestrictInfo, lfirst_node(IndexClause, cell)->indexquals)->clause;

		if (IsA(clause, OpExpr))
			return (OpExpr *) clause;
	}
	return NULL;
}

/*
 * Number of rows that a LIMIT parameter is assumed to take.
 *
 * For such a LIMIT, core assumes a tenth of all rows. In practice people ask
 * for tens of documents, however large the table is. With core's assumption
 * the cost would trigger JIT compilation, which would take longer than the
 * search.
 */
#define ROWS_WITH_UNKNOWN_LIMIT 1000

/* Return true if the query's LIMIT is a parameter and nothing but the LIMIT reads the path. */
static bool
has_unknown_limit(PlannerInfo *root, Path *path)
{
	Query *query = root->parse;

	return query->limitCount != NULL && !IsA(query->limitCount, Const) && root->limit_tuples < 0 &&
		   root->tuple_fraction > 0 && root->tuple_fraction < 1 && !query->hasAggs &&
		   !query->hasTargetSRFs && query->groupClause == NIL && query->groupingSets == NIL &&
		   query->distinctClause == NIL && query->setOperations == NULL &&
		   bms_is_subset(root->all_baserels, path->parent->relids);
}

void
colbert_expect_limit(PlannerInfo *root, Path *path)
{
	double share = ROWS_WITH_UNKNOWN_LIMIT / Max(path->rows, 1);

	if (share >= 1 || !has_unknown_limit(root, path))
		return;
	path->rows = ROWS_WITH_UNKNOWN_LIMIT;
	path->total_cost = path->startup_cost + share * (path->total_cost - path->startup_cost);
}

/* Return true if a path must not be chosen. */
static bool
is_forbidden(PlannerInfo *root, IndexPath *path)
{
	/*
	 * If a query needs no columns, core assumes that any index can return rows
	 * without visiting the table. Our scans cannot: they pin no page that
	 * would keep VACUUM from recycling a heap TID under them.
	 */
	if (path->path.pathtype == T_IndexOnlyScan)
		return true;
	if (find_threshold(path) != NULL && wants_exact_thresholds(root, path->indexinfo->rel))
		return true;
	return path->indexorderbys != NIL &&
		   !order_is_usable(root, path->indexinfo->rel, linitial_node(PathKey, path->path.pathkeys),
							PATH_REQ_OUTER(&path->path));
}

/* ---- contents of an index ---- */

typedef struct IndexContents
{
	double         docs;
	double         pending_docs;
	double         doc_tokens; /* tokens per document */
	double         nodes;
	double         node_postings; /* postings per node */
	double         scale;         /* cost per dim, relative to 128 dims */
	SearchSettings settings;      /* as requested */
	double         share; /* of the documents in all indexes whose rows are merged or sharded */
} IndexContents;

/* Return the topmost parent of a table: a partitioned one, or one that others inherit from. */
static Index
topmost_parent(PlannerInfo *root, Index relid)
{
	while (root->append_rel_array != NULL && root->append_rel_array[relid] != NULL)
		relid = root->append_rel_array[relid]->parent_relid;
	return relid;
}

/*
 * Return the share of a table in the rows of all partitions that the query
 * reads. Their scans look for the wanted rows together (search/siblings.h).
 */
static double
share_of_parent(PlannerInfo *root, const RelOptInfo *rel)
{
	Index     parent = topmost_parent(root, rel->relid);
	double    sum = 0;
	ListCell *cell;

	if (parent == rel->relid)
		return 1;
	foreach (cell, root->append_rel_list)
	{
		const AppendRelInfo *child = lfirst_node(AppendRelInfo, cell);
		RelOptInfo          *other = root->simple_rel_array[child->child_relid];

		if (other != NULL && !IS_DUMMY_REL(other) && other->indexlist != NIL &&
			!root->simple_rte_array[child->child_relid]->inh &&
			topmost_parent(root, child->child_relid) == parent)
			sum += Max(other->tuples, 0);
	}
	return sum > rel->tuples && rel->tuples > 0 ? rel->tuples / sum : 1;
}

static IndexContents
read_contents(PlannerInfo *root, IndexOptInfo *info)
{
	IndexContents contents = {
		.docs = info->tuples, .doc_tokens = 64, .node_postings = 64, .scale = 1, .share = 1};
	Relation     rel;
	ColbertIndex index;

	contents.share = share_of_parent(root, info->rel);
	/* Index advisors create hypothetical indexes, which do not exist on disk. */
	if (info->hypothetical)
		return contents;
	rel = index_open(info->indexoid, NoLock);
	index = (ColbertIndex) {.rel = rel};
	meta_read(&index);
	contents.settings = scan_settings(rel);
	contents.share /= Max(contents.settings.shards, 1);
	index_close(rel, NoLock);

	contents.docs = index.meta.documents.live_docs;
	contents.pending_docs = queue_count(&index.meta);
	if (index.meta.documents.live_docs > 0)
		contents.doc_tokens =
			(double) index.meta.documents.live_tokens / index.meta.documents.live_docs;
	if (has_nodes(&index.meta))
	{
		contents.nodes = meta_nnodes(&index.meta);
		contents.node_postings = index.meta.nodes.postings / contents.nodes;
	}
	contents.scale = index.meta.shape.dim / 128.0;
	return contents;
}

/* Return the number of tokens of the query that documents are scored with. */
static uint32
query_tokens(const IndexOptInfo *index, Node *query)
{
	MultiVector header;

	if (query == NULL || !IsA(query, Const) || ((Const *) query)->constisnull ||
		((Const *) query)->consttype != index->opcintype[0])
		return LIKELY_QUERY_TOKENS;
	multivector_peek(((Const *) query)->constvalue, &header);
	return Max(header.ntokens, 1);
}

/* ---- costs of a search ---- */

typedef struct SearchCost
{
	double start_us; /* before the first row */
	double row_us;   /* per row returned */
	double rest_us;  /* to return all rows */
} SearchCost;

static double
sketch_us(const IndexContents *contents, double groups)
{
	return contents->doc_tokens * groups * contents->scale * US_SKETCH_TOKEN;
}

static double
rerank_us(const IndexContents *contents, double groups)
{
	return contents->doc_tokens * groups * contents->scale * US_ROW_TOKEN;
}

/* Cost one pass of find, gather, narrow and rerank with the requested settings. */
static double
first_batch_us(const IndexContents *contents, uint32 ntokens, double groups)
{
	SearchSettings settings = budget_expected(ntokens, contents->share, &contents->settings);
	double         probes = Min(settings.probes, contents->nodes);
	double found = contents->nodes > 0 ? Min(settings.candidates, contents->docs) : contents->docs;

	return ntokens * probes * contents->node_postings * US_POSTING +
		   (contents->nodes > 0 ? ntokens * contents->scale * US_FIND_TOKEN : 0) +
		   Min(found + contents->pending_docs, contents->docs) * sketch_us(contents, groups) +
		   Min(settings.rerank, contents->docs) * rerank_us(contents, groups);
}

/*
 * Cost an ordered search through a filter that this share of the documents
 * passes. If few pass, the first rows take more candidates than the settings
 * allow, so the search widens before it returns any.
 */
static SearchCost
ordered_search(const IndexContents *contents, uint32 ntokens, double share, bool filtered)
{
	SearchSettings settings = budget_expected(ntokens, contents->share, &contents->settings);
	double         groups = ceil(ntokens / 16.0);
	double         sketch = sketch_us(contents, groups);
	double tested = filtered ? Min((double) POLICY_LIKELY_LIMIT / share, contents->docs) : 0;
	double narrowed = tested * POLICY_NARROWED_PER_ROW;
	double all = contents->docs *
				 (share * POLICY_TEST_BEFORE_NARROWING < 1 ? US_TEST + share * sketch : sketch);
	SearchCost cost;

	cost.start_us = US_BEGIN + first_batch_us(contents, ntokens, groups);
	if (narrowed * 2 > contents->docs)
		cost.start_us += all;
	else
	{
		cost.start_us += tested * US_TEST;
		if (narrowed > settings.candidates)
			cost.start_us += narrowed * sketch;
	}
	cost.rest_us = all + (filtered ? contents->docs * US_TEST : 0);
	cost.row_us = rerank_us(contents, groups);
	return cost;
}

/*
 * Cost a search that scores all documents by sketch, and those that reach a
 * threshold by their code rows.
 */
static SearchCost
threshold_search(const IndexContents *contents, uint32 ntokens)
{
	double groups = ceil(ntokens / 16.0);

	return (SearchCost) {.start_us = US_BEGIN + contents->docs * sketch_us(contents, groups),
						 .row_us = rerank_us(contents, groups)};
}

/* ---- costs of a path ---- */

/* Return the query of a threshold that the planner built; NULL for any other threshold. */
static Node *
threshold_query(OpExpr *threshold)
{
	Node *made = lsecond(threshold->args);

	return IsA(made, FuncExpr) && ((FuncExpr *) made)->args != NIL
			   ? linitial(((FuncExpr *) made)->args)
			   : NULL;
}

/*
 * Cost one score of a stored column: the indexed expression and the operator.
 * The query is evaluated only once.
 */
static Cost
exact_cost(PlannerInfo *root, OpExpr *scored)
{
	QualCost cost;

	cost_qual_eval_node(&cost, linitial(scored->args), root);
	add_function_cost(root, get_opcode(scored->opno), (Node *) scored, &cost);
	return cost.per_tuple;
}

static void
cost_ordered(PlannerInfo *root, IndexPath *path, double tuples, Cost *startup, Cost *total)
{
	IndexContents contents = read_contents(root, path->indexinfo);
	OpExpr       *order_by = linitial_node(OpExpr, path->indexorderbys);
	OpExpr       *threshold = find_threshold(path);
	Cost          exact = exact_cost(root, order_by);
	double        rows = path->path.param_info != NULL ? path->path.param_info->ppi_rows
													   : path->indexinfo->rel->rows;
	double        share = Min(Max(rows, 1) / Max(tuples, 1), 1);
	bool          filtered = share < 1;
	SearchCost    search = ordered_search(
        &contents, query_tokens(path->indexinfo, lsecond(order_by->args)), share, filtered);
	Cost   us = OPERATORS_PER_US * cpu_operator_cost;
	double window = Min(WINDOW_ROWS, share * contents.docs);

	/* Each row above a threshold is scored a second time, by the executor's recheck. */
	*startup = search.start_us * us + window * exact;
	*total = *startup + search.rest_us * us +
			 share * tuples * (search.row_us * us + exact * (threshold != NULL ? 2 : 1));
}

/* If the query stops reading after some rows, reduce the path's cost to the cost of these. */
static void
stop_early(PlannerInfo *root, IndexPath *path, Cost startup, Cost *total, Selectivity *selectivity)
{
	double stop =
		order_rows(root, path->indexinfo->rel, linitial_node(PathKey, path->path.pathkeys),
				   PATH_REQ_OUTER(&path->path));
	double rows = path->indexinfo->rel->rows;

	if (stop <= 0 || stop >= rows)
		return;
	*total = startup + (*total - startup) * stop / rows;
	*selectivity *= stop / rows;
}

static void
cost_threshold(PlannerInfo *root, IndexPath *path, OpExpr *threshold, double tuples, Cost *startup,
			   Cost *total)
{
	IndexContents contents = read_contents(root, path->indexinfo);
	SearchCost    search =
		threshold_search(&contents, query_tokens(path->indexinfo, threshold_query(threshold)));
	Cost us = OPERATORS_PER_US * cpu_operator_cost;
	Cost exact = exact_cost(root, threshold);

	*startup = search.start_us * us + WINDOW_ROWS * exact;
	*total = *startup + tuples * (search.row_us * us + exact);
}

void
colbert_costestimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost,
					 Cost *total_cost, Selectivity *selectivity, double *correlation, double *pages)
{
	GenericCosts costs = {0};
	OpExpr      *threshold = find_threshold(path);

	/*
	 * The estimate covers the rows that satisfy the conditions and the
	 * predicate of a partial index.
	 */
	genericcostestimate(root, path, loop_count, &costs);
	*selectivity = costs.indexSelectivity;
	*correlation = 0;
	*pages = costs.numIndexPages;

	if (is_forbidden(root, path))
	{
		compat_disable_path(&path->path);
		*startup_cost = *total_cost = FORBIDDEN_COST;
	}
	else if (path->indexorderbys != NIL)
	{
		cost_ordered(root, path, costs.numIndexTuples, startup_cost, total_cost);
		stop_early(root, path, *startup_cost, total_cost, selectivity);
	}
	else if (threshold != NULL)
		cost_threshold(root, path, threshold, costs.numIndexTuples, startup_cost, total_cost);
	else
	{
		Cost us = OPERATORS_PER_US * cpu_operator_cost;

		*startup_cost = US_BEGIN * us;
		*total_cost = *startup_cost + path->indexinfo->tuples * US_DIRECTORY_ENTRY * us +
					  costs.numIndexTuples * cpu_index_tuple_cost;
	}
}
