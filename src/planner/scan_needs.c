/*-------------------------------------------------------------------------
 *
 * scan_needs.c
 *	  Requirements of a finished plan on its index scans.
 *
 * An ordered scan may find a row that belongs before rows it has already
 * returned, and return it late. That is fine for a client that reads the rows
 * one by one, but wrong below a node that relies on their order: grouping,
 * Unique or a merge join. A threshold may miss a row. That is fine for a
 * statement that looks for rows, but wrong if a missed row is kept, changed or
 * negated: DELETE, NOT EXISTS or EXCEPT.
 *
 * Below a MergeAppend, as over the partitions of a table, several scans look for
 * the same rows together (search/siblings.h).
 *
 * When a plan starts, a walk from its top down to each of our scans finds
 * which of these nodes stand above the scan, and informs the scan. The number
 * of rows needed in order is determined when the scan starts, since a LIMIT
 * may be a parameter.
 *
 * To recheck a changed row, the executor starts another copy of the plan on
 * its own, which the walk does not see. Its scans return all rows in order,
 * and all rows above a threshold.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/parallel.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "planner/index_node.h"
#include "planner/order_demand.h"
#include "planner/scan_needs.h"
#include "search/siblings.h"
#include "settings.h"

/* The effect of a row that a threshold misses; larger is worse. */
typedef enum ThresholdUse
{
	THRESHOLD_SELECTS,     /* the row is missing from the result */
	THRESHOLD_LIMITED,     /* like the next, but below a LIMIT: harmless in an ordered scan */
	THRESHOLD_FILLS_NULLS, /* NULLs appear in its place */
	THRESHOLD_NEGATES      /* another row appears in its place, or the row is not modified */
} ThresholdUse;

/* A node, linked to the nodes above it that see the same order. */
typedef struct Above
{
	const struct Above *above;
	PlanState          *node;
} Above;

/* A step from a MergeAppend down to one of its children. */
typedef struct MergeStep
{
	const struct MergeStep *above;
	const MergeAppendState *node;
	int                     child;
} MergeStep;

/* Index scans whose rows are merged into one order. */
typedef struct Merge
{
	Siblings *siblings;
	List     *scans;     /* of NodeNeeds, in the order in which they start */
	double    documents; /* of those that take part in this round */
} Merge;

/* The position of a node in a plan. */
typedef struct Place
{
	bool         order_believed; /* a node in above relies on the order */
	const Above *above; /* nodes up to the client, or to one that creates an order of its own */
	ThresholdUse thresholds;
	Merge       *merge; /* the node's rows are merged, and nothing else is done to them; or NULL */
	const MergeStep *merge_step; /* the last one above it */
} Place;

/* A common table expression, walked after all of its readers. */
typedef struct SharedPlan
{
	PlanState *node;
	Place      place; /* the most demanding of its readers */
} SharedPlan;

typedef struct Walk
{
	int         nshared;
	SharedPlan *shared; /* indexed by plan number */
} Walk;

/* The requirements passed to a scan, allocated in the plan's memory context. */
typedef struct NodeNeeds
{
	ScanNeeds        needs;
	IndexScanState  *node;
	Merge           *merge; /* NULL: none */
	const MergeStep *merge_step;
	double           documents; /* in the index, when the round began */
	uint64           round;     /* the last one that the scan took part in */
	int              nsteps;
	DemandStep       steps[FLEXIBLE_ARRAY_MEMBER]; /* from the top down */
} NodeNeeds;

/* ---- orders ---- */

typedef enum OrderUse
{
	ORDER_IGNORED,
	ORDER_PASSED_ON,
	ORDER_BELIEVED
} OrderUse;

/*
 * Groups are runs of equal rows, so they rely on the order. A plain aggregate
 * takes rows in any order, unless it has an ORDER BY or DISTINCT of its own.
 */
static OrderUse
order_use_by_agg(const AggState *node)
{
	ListCell *cell;

	foreach (cell, node->aggs)
		if (compat_is_presorted(lfirst_node(Aggref, cell)))
			return ORDER_BELIEVED;
	switch (((Agg *) node->ss.ps.plan)->aggstrategy)
	{
		case AGG_PLAIN:
		case AGG_HASHED:
			return ORDER_IGNORED;
		default:
			return ORDER_BELIEVED;
	}
}

/*
 * Return true if the inner child of a nested loop is one of our ordered scans.
 * The planner puts it there only for an outer side of one row, so that its
 * order is the order of the join.
 */
static bool
is_ordered_search(PlanState *child)
{
	while (child != NULL && IsA(child, ResultState))
		child = outerPlanState(child);
	return child != NULL && IsA(child, IndexScanState) &&
		   ((IndexScanState *) child)->iss_NumOrderByKeys > 0 &&
		   index_node_is_ours((IndexScanState *) child);
}

/* Return what a node does with the order of a child's rows. */
static OrderUse
order_use(PlanState *node, PlanState *child)
{
	switch (nodeTag(node))
	{
		case T_ResultState:
		case T_ProjectSetState:
		case T_SubqueryScanState:
		case T_LockRowsState:
		case T_AppendState:
		case T_MergeAppendState:
		case T_MaterialState:
		case T_MemoizeState:
			return ORDER_PASSED_ON;
		case T_LimitState:
			return ((Limit *) node->plan)->limitOption == LIMIT_OPTION_WITH_TIES ? ORDER_BELIEVED
																				 : ORDER_PASSED_ON;
		case T_NestLoopState:
			return child == outerPlanState(node) || is_ordered_search(child) ? ORDER_PASSED_ON
																			 : ORDER_IGNORED;
		case T_GatherState:
			return ((Gather *) node->plan)->single_copy ? ORDER_PASSED_ON : ORDER_IGNORED;
		case T_AggState:
			return order_use_by_agg((AggState *) node);
		case T_SetOpState:
			return ((SetOp *) node->plan)->strategy == SETOP_HASHED ? ORDER_IGNORED
																	: ORDER_BELIEVED;
		case T_SortState:
		case T_HashState:
		case T_HashJoinState:
			return ORDER_IGNORED;
		default:
			return ORDER_BELIEVED;
	}
}

/* Return the number of leading rows that the nodes above take. */
static OrderNeed
rows_taken(const NodeNeeds *needs)
{
	const IndexScanState *node = needs->node;
	OrderNeed             need = {ORDER_NEED_ALL, false};

	for (int i = 0; i < needs->nsteps; i++)
		need = demand_below(&needs->steps[i], need);
	/* The node may drop any number of the rows that the scan returns. */
	if (node->ss.ps.qual != NULL && !colbert_has_filter(node->iss_ScanDesc))
		need.rows = ORDER_NEED_ALL;
	return need;
}

/* Return the number of rows whose order must be right. */
static OrderNeed
order_need(void *arg)
{
	return rows_taken(arg);
}

/* Return the number of rows that a LIMIT requests, or 0 if it is not known. */
static uint64
limit_rows(void *arg)
{
	OrderNeed taken = rows_taken(arg);

	return taken.rows == ORDER_NEED_ALL ? 0 : taken.rows;
}

/* ---- scans whose rows are merged ---- */

/* Return true if run-time pruning leaves a scan. */
static bool
takes_part(const NodeNeeds *scan)
{
	for (const MergeStep *step = scan->merge_step; step != NULL; step = step->above)
		if (step->node->ms_valid_subplans != NULL &&
			!bms_is_member(step->child, step->node->ms_valid_subplans))
			return false;
	return true;
}

static bool
is_first_of_round(const NodeNeeds *scan)
{
	ListCell *cell;

	foreach (cell, scan->merge->scans)
	{
		const NodeNeeds *other = lfirst(cell);

		if (other == scan)
			return true;
		if (takes_part(other))
			return false;
	}
	return false;
}

static void
begin_round(Merge *merge)
{
	ListCell *cell;

	siblings_begin_round(merge->siblings);
	merge->documents = 0;
	foreach (cell, merge->scans)
	{
		NodeNeeds *scan = lfirst(cell);

		scan->documents = takes_part(scan) ? scan_documents(scan->node->iss_RelationDesc) : 0;
		merge->documents += scan->documents;
	}
}

/*
 * Join the other scans. MergeAppend starts them in order, each time that it is
 * rescanned.
 */
static Siblings *
join_siblings(void *arg, double *share)
{
	NodeNeeds *scan = arg;
	Merge     *merge = scan->merge;

	if (list_length(merge->scans) < 2)
		return NULL;
	if (is_first_of_round(scan) || scan->round == merge->siblings->round)
		begin_round(merge);
	scan->round = merge->siblings->round;
	*share = merge->documents > 0 ? scan->documents / merge->documents : 1;
	return merge->siblings;
}

/* ---- thresholds ---- */

/* Return true if a join fills in NULLs for rows missing from a child. */
static bool
fills_nulls(JoinType type, bool outer)
{
	return type == JOIN_FULL || type == (outer ? JOIN_RIGHT : JOIN_LEFT);
}

static ThresholdUse
below_join(PlanState *node, PlanState *child)
{
	JoinType type = ((Join *) node->plan)->jointype;
	bool     outer = child == outerPlanState(node);

	if (outer ? compat_negates_outer(type) : type == JOIN_ANTI)
		return THRESHOLD_NEGATES;
	return fills_nulls(type, outer) ? THRESHOLD_FILLS_NULLS : THRESHOLD_SELECTS;
}

/* Return the effect of a row of a child that a threshold misses, judging by this node alone. */
static ThresholdUse
own_threshold_use(PlanState *node, PlanState *child)
{
	switch (nodeTag(node))
	{
		case T_ModifyTableState:
			return ((ModifyTable *) node->plan)->operation == CMD_INSERT ? THRESHOLD_SELECTS
																		 : THRESHOLD_NEGATES;
		case T_SetOpState:
			switch (((SetOp *) node->plan)->cmd)
			{
				case SETOPCMD_EXCEPT:
				case SETOPCMD_EXCEPT_ALL:
					return THRESHOLD_NEGATES;
				default:
					return THRESHOLD_SELECTS;
			}
		case T_NestLoopState:
		case T_HashJoinState:
		case T_MergeJoinState:
			return below_join(node, child);
		default:
			return THRESHOLD_SELECTS;
	}
}

/* Return that effect as passed on from the nodes above it. */
static ThresholdUse
inherited_threshold_use(PlanState *node, ThresholdUse use)
{
	if (IsA(node, LimitState) && use == THRESHOLD_FILLS_NULLS)
		return THRESHOLD_LIMITED;
	if ((IsA(node, SortState) || IsA(node, IncrementalSortState)) && use == THRESHOLD_LIMITED)
		return THRESHOLD_SELECTS;
	return use;
}

static bool
wants_exact_thresholds(const IndexScanState *node, ThresholdUse use)
{
	if (colbert_exact_thresholds != EXACT_THRESHOLDS_AUTO)
		return colbert_exact_thresholds == EXACT_THRESHOLDS_ON;
	return use > THRESHOLD_LIMITED || (use == THRESHOLD_LIMITED && node->iss_NumOrderByKeys == 0);
}

/* ---- the walk ---- */

static void
tell(IndexScanState *node, const Place *place)
{
	const ScanNeeds *told;
	NodeNeeds       *needs;
	PlanState       *child = &node->ss.ps;
	int              nsteps = 0;

	index_node_begin(node);
	for (const Above *above = place->above; above != NULL; above = above->above)
		nsteps++;
	needs = palloc0(add_size(offsetof(NodeNeeds, steps), mul_size(nsteps, sizeof(DemandStep))));
	needs->node = node;
	needs->needs.exact_thresholds = wants_exact_thresholds(node, place->thresholds);
	needs->needs.order = place->order_believed ? order_need : NULL;
	needs->needs.rows = limit_rows;
	needs->needs.arg = needs;
	needs->nsteps = nsteps;
	for (const Above *above = place->above; above != NULL; above = above->above)
	{
		needs->steps[--nsteps] = demand_step(above->node, child);
		child = above->node;
	}

	/* A sub-plan may be used twice. If so, its readers' rows are not counted. */
	told = colbert_scan_needs(node->iss_ScanDesc);
	if (told != NULL)
	{
		if (told->order != NULL || place->order_believed)
			needs->needs.order = order_need;
		needs->needs.exact_thresholds |= told->exact_thresholds;
		needs->nsteps = 0;
	}
	else if (place->merge != NULL && node->iss_NumOrderByKeys > 0)
	{
		needs->merge = place->merge;
		needs->merge_step = place->merge_step;
		needs->needs.siblings = join_siblings;
		place->merge->scans = lappend(place->merge->scans, needs);
	}
	colbert_set_needs(node->iss_ScanDesc, &needs->needs);
}

static void walk(PlanState *node, const Place *place, Walk *plans);

/* Return true if a node returns the rows of its child as they are. */
static bool
only_projects(const PlanState *node)
{
	return IsA(node, ResultState) && node->qual == NULL &&
		   ((const ResultState *) node)->resconstantqual == NULL;
}

static void
walk_child(PlanState *node, PlanState *child, const Place *place, Walk *plans)
{
	Above    self = {place->above, node};
	OrderUse use;
	Place    below = {0};

	if (child == NULL)
		return;
	if (only_projects(node) || IsA(node, MergeAppendState))
	{
		below.merge = place->merge;
		below.merge_step = place->merge_step;
	}
	use = order_use(node, child);
	below.order_believed =
		use == ORDER_BELIEVED || (use == ORDER_PASSED_ON && place->order_believed);
	below.above = use == ORDER_IGNORED ? NULL : &self;
	below.thresholds =
		Max(own_threshold_use(node, child), inherited_threshold_use(node, place->thresholds));
	walk(child, &below, plans);
}

static void
walk_children(PlanState *node, PlanState **children, int count, const Place *place, Walk *plans)
{
	for (int i = 0; i < count; i++)
		walk_child(node, children[i], place, plans);
}

static void
walk_merge(MergeAppendState *node, const Place *place, Walk *plans)
{
	Place merged = *place;

	if (merged.merge == NULL)
	{
		merged.merge = palloc0(sizeof(Merge));
		merged.merge->siblings = siblings_create();
	}
	for (int i = 0; i < node->ms_nplans; i++)
	{
		MergeStep *step = palloc(sizeof(MergeStep));

		*step = (MergeStep) {place->merge_step, node, i};
		merged.merge_step = step;
		walk_child(&node->ps, node->mergeplans[i], &merged, plans);
	}
}

/*
 * Record a reader of a common table expression. The number of rows that each
 * reader takes is not counted.
 */
static void
note_shared(Walk *plans, int plan_id, PlanState *node, bool order_believed, ThresholdUse thresholds)
{
	SharedPlan *shared = &plans->shared[plan_id - 1];

	shared->node = node;
	shared->place.order_believed |= order_believed;
	shared->place.thresholds = Max(shared->place.thresholds, thresholds);
}

/* Walk sub-selects. EXISTS, IN and ALL may stand below a NOT; other sub-selects return values. */
static void
walk_subplans(List *subplans, const Place *place, Walk *plans)
{
	ListCell *cell;

	foreach (cell, subplans)
	{
		SubPlanState *state = lfirst_node(SubPlanState, cell);
		Place         below = {.thresholds = place->thresholds};

		switch (state->subplan->subLinkType)
		{
			case CTE_SUBLINK:
				note_shared(plans, state->subplan->plan_id, state->planstate, false,
							THRESHOLD_SELECTS);
				continue;
			case EXISTS_SUBLINK:
			case ANY_SUBLINK:
			case ALL_SUBLINK:
				below.thresholds = THRESHOLD_NEGATES;
				break;
			default:
				break;
		}
		walk(state->planstate, &below, plans);
	}
}

static void
walk_custom(CustomScanState *node, const Place *place, Walk *plans)
{
	ListCell *cell;

	foreach (cell, node->custom_ps)
		walk_child(&node->ss.ps, lfirst(cell), place, plans);
}

static void
walk(PlanState *node, const Place *place, Walk *plans)
{
	check_stack_depth();
	walk_subplans(node->initPlan, place, plans);
	walk_subplans(node->subPlan, place, plans);
	walk_child(node, outerPlanState(node), place, plans);
	walk_child(node, innerPlanState(node), place, plans);
	switch (nodeTag(node))
	{
		case T_IndexScanState:
			if (index_node_is_ours((IndexScanState *) node))
				tell((IndexScanState *) node, place);
			break;
		case T_AppendState:
			walk_children(node, ((AppendState *) node)->appendplans,
						  ((AppendState *) node)->as_nplans, place, plans);
			break;
		case T_MergeAppendState:
			walk_merge((MergeAppendState *) node, place, plans);
			break;
		case T_SubqueryScanState:
			walk_child(node, ((SubqueryScanState *) node)->subplan, place, plans);
			break;
		case T_CustomScanState:
			walk_custom((CustomScanState *) node, place, plans);
			break;
		case T_CteScanState:
			note_shared(plans, ((CteScan *) node->plan)->ctePlanId,
						((CteScanState *) node)->cteplanstate, place->order_believed,
						place->thresholds);
			break;
		default:
			break;
	}
}

/*
 * In a parallel worker, the plan is the part below Gather Merge, which relies
 * on the order, or below Gather, which mostly does not.
 */
void
scan_needs_tell(QueryDesc *query)
{
	MemoryContext old = MemoryContextSwitchTo(query->estate->es_query_cxt);
	Walk          plans = {.nshared = list_length(query->estate->es_subplanstates)};
	Place         top = {.order_believed = IsParallelWorker()};

	plans.shared = palloc0(mul_size(plans.nshared, sizeof(SharedPlan)));
	walk(query->planstate, &top, &plans);

	/* A common table expression reads only earlier ones. */
	for (int i = plans.nshared - 1; i >= 0; i--)
		if (plans.shared[i].node != NULL)
			walk(plans.shared[i].node, &plans.shared[i].place, &plans);
	MemoryContextSwitchTo(old);
}
