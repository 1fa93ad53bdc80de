/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The colbert.* configuration parameters.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include <limits.h>

#include "kernels/kernels.h"
#include "miscadmin.h"
#include "settings.h"
#include "utils/guc.h"

int    colbert_probes = 0;
int    colbert_ef_search = 0;
int    colbert_candidates = 0;
int    colbert_rerank = 0;
double colbert_recall = 0;
int    colbert_shards = 0;
int    colbert_pending_limit = 40960;
bool   colbert_background_merge = true;
int    colbert_exact_thresholds = EXACT_THRESHOLDS_AUTO;
int    colbert_multivector_output = MULTIVECTOR_OUTPUT_JSON;
int    colbert_stat_indexes = 1000;

static const struct config_enum_entry exact_thresholds_values[] = {
	{"auto", EXACT_THRESHOLDS_AUTO, false}, {"on", EXACT_THRESHOLDS_ON, false},
	{"off", EXACT_THRESHOLDS_OFF, false},   {"true", EXACT_THRESHOLDS_ON, true},
	{"false", EXACT_THRESHOLDS_OFF, true},  {"yes", EXACT_THRESHOLDS_ON, true},
	{"no", EXACT_THRESHOLDS_OFF, true},     {"1", EXACT_THRESHOLDS_ON, true},
	{"0", EXACT_THRESHOLDS_OFF, true},      {NULL, 0, false}};

static const struct config_enum_entry multivector_output_values[] = {
	{"json", MULTIVECTOR_OUTPUT_JSON, false},
	{"hex", MULTIVECTOR_OUTPUT_HEX, false},
	{NULL, 0, false}};

static char *colbert_simd = NULL;

/* Reject an instruction set that this machine or this build lacks. */
static bool
check_simd(char **newval, void **extra, GucSource source)
{
	if (strcmp(*newval, "auto") == 0 || kernels_supported(*newval))
		return true;
	GUC_check_errdetail("This machine or this build has no \"%s\" kernels.", *newval);
	GUC_check_errhint("Values are auto, scalar, avx2, avx512, avx512vnni, amx, neon and neondot.");
	return false;
}

static void
assign_simd(const char *newval, void *extra)
{
	kernels_select(newval);
}

void
settings_init(void)
{
	DefineCustomIntVariable("colbert.probes", "Sets the number of nodes probed per query token.",
							"0 uses the index's option or, if that is 0, the index's own choice.",
							&colbert_probes, 0, 0, 1048576, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("colbert.ef_search",
							"Sets the size of the dynamic candidate list of the graph search.",
							"0 uses the index's option or, if that is 0, the index's own choice.",
							&colbert_ef_search, 0, 0, 10000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("colbert.candidates",
							"Sets the number of documents narrowed by their sketches.",
							"0 uses the index's option or, if that is 0, the index's own choice.",
							&colbert_candidates, 0, 0, 10000000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("colbert.rerank",
							"Sets the number of documents reranked by their code rows.",
							"0 uses the index's option or, if that is 0, the index's own choice.",
							&colbert_rerank, 0, 0, 10000000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("colbert.recall",
							 "Sets the share of the wanted rows that a search finds on average.",
							 "0 uses the index's option or, if that is 0, 0.97.", &colbert_recall,
							 0, 0, 0.9999, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"colbert.shards", "Sets the number of servers among which the documents are divided.",
		"A search then finds its share of the wanted rows. 0 uses the index's option or, if that "
		"is 0, 1.",
		&colbert_shards, 0, 0, 100000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("colbert.pending_limit", "Sets the maximum number of pending tokens.",
							"Inserts begin to merge at three eighths of it.",
							&colbert_pending_limit, 40960, 0, INT_MAX, PGC_USERSET, 0, NULL, NULL,
							NULL);
	DefineCustomEnumVariable(
		"colbert.exact_thresholds",
		"Selects the statements that must find every row above a threshold.",
		"auto: those that modify rows by a threshold, or negate it; on: all; off: none.",
		&colbert_exact_thresholds, EXACT_THRESHOLDS_AUTO, exact_thresholds_values, PGC_USERSET, 0,
		NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"colbert.background_merge", "Starts a background worker to merge pending documents.",
		"If no worker can be started, inserts merge in steps of some milliseconds.",
		&colbert_background_merge, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("colbert.multivector_output",
							 "Sets the text form of multivectors that the server sends.",
							 "json: an array of arrays of numbers; hex: the binary format in "
							 "hexadecimal digits. Input accepts both.",
							 &colbert_multivector_output, MULTIVECTOR_OUTPUT_JSON,
							 multivector_output_values, PGC_USERSET, 0, NULL, NULL, NULL);
	/* Only the start of the server can define a setting that needs a restart. */
	DefineCustomIntVariable(
		"colbert.stat_indexes", "Sets the maximum number of indexes with cumulative counters.",
		"0 turns them off. It has an effect if colbert_pg is in shared_preload_libraries.",
		&colbert_stat_indexes, 1000, 0, 100000,
		process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP, 0, NULL, NULL,
		NULL);
	DefineCustomStringVariable("colbert.simd", "Sets the instruction set of the kernels.",
							   "auto chooses the fastest one of this machine.", &colbert_simd,
							   "auto", PGC_USERSET, 0, check_simd, assign_simd, NULL);
	MarkGUCPrefixReserved("colbert");
}
