/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  Handlers of the access methods colbert_hnsw and colbert_ivf.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "planner/cost.h"

PG_FUNCTION_INFO_V1(colbert_hnsw_handler);
PG_FUNCTION_INFO_V1(colbert_ivf_handler);

/*
 * Fill the static routine of an access method and return what its handler
 * gives to core. Both methods share all functions except the one for options,
 * which also determines the finder.
 */
static const IndexAmRoutine *
fill_routine(IndexAmRoutine *am, amoptions_function options)
{
	am->type = T_IndexAmRoutine;
	am->amstrategies = STRATEGY_COUNT;
	am->amsupport = SUPPORT_COUNT;
	am->amcanorderbyop = true;
	am->amoptionalkey = true;
	am->amsearchnulls = true;
	am->ampredlocks = true;
	compat_set_build_parallel(am);
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	am->amkeytype = InvalidOid;

	am->ambuild = colbert_build;
	am->ambuildempty = colbert_build_empty;
	am->aminsert = colbert_insert;
	am->ambulkdelete = colbert_bulkdelete;
	am->amvacuumcleanup = colbert_vacuumcleanup;
	am->amcostestimate = colbert_costestimate;
	am->amoptions = options;
	am->ambuildphasename = colbert_phase_name;
	am->amvalidate = colbert_validate;
	am->ambeginscan = colbert_beginscan;
	am->amrescan = colbert_rescan;
	am->amgettuple = colbert_gettuple;
	am->amendscan = colbert_endscan;
	return compat_am_routine(am);
}

Datum
colbert_hnsw_handler(PG_FUNCTION_ARGS)
{
	static IndexAmRoutine routine;

	PG_RETURN_POINTER(fill_routine(&routine, colbert_hnsw_options));
}

Datum
colbert_ivf_handler(PG_FUNCTION_ARGS)
{
	static IndexAmRoutine routine;

	PG_RETURN_POINTER(fill_routine(&routine, colbert_ivf_options));
}

FinderKind
colbert_finder(Relation index)
{
	return index->rd_indam->amoptions == colbert_ivf_options ? FINDER_IVF : FINDER_HNSW;
}

extern Datum multivector_maxsim(PG_FUNCTION_ARGS);
extern Datum multivector_maxsim_cosine(PG_FUNCTION_ARGS);
extern Datum multivector_maxsim_l2(PG_FUNCTION_ARGS);

/*
 * Return the metric of an index. It follows from the C function behind the
 * operator class's support function, not from names in SQL.
 */
Metric
colbert_metric(Relation index)
{
	static const struct
	{
		PGFunction function;
		Metric     metric;
	} scores[] = {
		{multivector_maxsim, METRIC_IP},
		{multivector_maxsim_cosine, METRIC_COSINE},
		{multivector_maxsim_l2, METRIC_L2},
	};

	/* An operator class may lack the function, which core would report as an internal error. */
	if (OidIsValid(index_getprocid(index, 1, SUPPORT_SCORE)))
	{
		FmgrInfo *score = index_getprocinfo(index, 1, SUPPORT_SCORE);

		for (int i = 0; i < lengthof(scores); i++)
			if (score->fn_addr == scores[i].function)
				return scores[i].metric;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator class of index \"%s\" does not order by a score of colbert_pg",
					RelationGetRelationName(index)),
			 errhint("Use multivector_maxsim_ops, multivector_cosine_ops or multivector_l2_ops.")));
}
