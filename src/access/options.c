/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The options of an index, given in WITH (...).
 *
 * Structural options (m, ef_construction, tokens_per_node, lists, quantizer,
 * pq_m) are copied to the meta page when the index is built, and from then on
 * read only from there: ALTER INDEX can change reloptions, but not the pages.
 * Only a build reads the table that centroids names.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/access.h"
#include "access/reloptions.h"
#include "utils/regproc.h"

#define DEFAULT_M               16
#define DEFAULT_EF_CONSTRUCTION 64
#define DEFAULT_QUANTIZER       CODEC_SQ8
#define DEFAULT_PQ_M            32

static relopt_kind hnsw_kind;
static relopt_kind ivf_kind;

static relopt_enum_elt_def quantizers[] = {
	{"sq8", CODEC_SQ8},
	{"sq4", CODEC_SQ4},
	{"pq", CODEC_PQ},
	{"flat", CODEC_FLAT},
	{"bit", CODEC_BIT},
	{"pg_catalog.bit", CODEC_BIT}, /* the parser's spelling of an unquoted bit */
	{NULL, 0}};

void
options_split_table(const char *value, char **schema, char **table)
{
	List *names = compat_qualified_names(value);

	if (list_length(names) != 2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"centroids\": \"%s\"", value),
						errdetail("The table needs a schema, as in \"public.centroids\".")));
	*schema = strVal(linitial(names));
	*table = strVal(lsecond(names));
}

static void
check_centroids(const char *value)
{
	char *schema;
	char *table;

	if (value != NULL)
		options_split_table(value, &schema, &table);
}

/*
 * Add the options of every access method. Changing a scan default does not
 * block running scans; the next scan uses the new value.
 */
static void
add_scan_options(relopt_kind kind)
{
	add_int_reloption(kind, "probes", "Nodes probed per query token (0 = chosen by the index)", 0,
					  0, 1048576, ShareUpdateExclusiveLock);
	add_int_reloption(kind, "candidates",
					  "Documents narrowed by their sketches (0 = chosen by the index)", 0, 0,
					  10000000, ShareUpdateExclusiveLock);
	add_int_reloption(kind, "rerank",
					  "Documents reranked by their code rows (0 = chosen by the index)", 0, 0,
					  10000000, ShareUpdateExclusiveLock);
	add_real_reloption(kind, "recall",
					   "Share of the wanted rows that a search finds on average (0 = 0.97)", 0, 0,
					   0.9999, ShareUpdateExclusiveLock);
	add_int_reloption(kind, "shards", "Servers among which the documents are divided (0 = 1)", 0, 0,
					  100000, ShareUpdateExclusiveLock);
	add_enum_reloption(kind, "quantizer", "Codec of the code rows", quantizers, DEFAULT_QUANTIZER,
					   "Valid values are \"sq8\", \"sq4\", \"pq\", \"flat\" and \"bit\".",
					   AccessExclusiveLock);
	add_int_reloption(kind, "pq_m", "Bytes per token code of the quantizer pq", DEFAULT_PQ_M, 1,
					  MULTIVECTOR_MAX_DIM, AccessExclusiveLock);
	add_string_reloption(kind, "centroids", "Table of the centroids that a build takes as nodes",
						 NULL, check_centroids, AccessExclusiveLock);
}

void
options_init(void)
{
	hnsw_kind = add_reloption_kind();
	add_scan_options(hnsw_kind);
	add_int_reloption(
		hnsw_kind, "m",
		"Neighbours of a node on each level of the graph (twice as many on the lowest)", DEFAULT_M,
		MIN_M, MAX_M, AccessExclusiveLock);
	add_int_reloption(
		hnsw_kind, "ef_construction", "Size of the dynamic candidate list while the graph is built",
		DEFAULT_EF_CONSTRUCTION, MIN_EF_CONSTRUCTION, MAX_EF_CONSTRUCTION, AccessExclusiveLock);
	add_int_reloption(hnsw_kind, "tokens_per_node",
					  "Tokens per node of the graph (0 = chosen by the index)", 0, 0,
					  MAX_TOKENS_PER_NODE, AccessExclusiveLock);
	add_int_reloption(hnsw_kind, "ef_search",
					  "Size of the dynamic candidate list of a search (0 = chosen by the index)", 0,
					  0, 10000, ShareUpdateExclusiveLock);

	ivf_kind = add_reloption_kind();
	add_scan_options(ivf_kind);
	add_int_reloption(ivf_kind, "lists", "Inverted lists (0 = chosen by the index)", 0, 0,
					  MAX_LISTS, AccessExclusiveLock);
}

bytea *
colbert_hnsw_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"m", RELOPT_TYPE_INT, offsetof(ColbertOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT, offsetof(ColbertOptions, ef_construction)},
		{"tokens_per_node", RELOPT_TYPE_INT, offsetof(ColbertOptions, tokens_per_node)},
		{"quantizer", RELOPT_TYPE_ENUM, offsetof(ColbertOptions, quantizer)},
		{"pq_m", RELOPT_TYPE_INT, offsetof(ColbertOptions, pq_m)},
		{"probes", RELOPT_TYPE_INT, offsetof(ColbertOptions, probes)},
		{"ef_search", RELOPT_TYPE_INT, offsetof(ColbertOptions, ef_search)},
		{"candidates", RELOPT_TYPE_INT, offsetof(ColbertOptions, candidates)},
		{"rerank", RELOPT_TYPE_INT, offsetof(ColbertOptions, rerank)},
		{"recall", RELOPT_TYPE_REAL, offsetof(ColbertOptions, recall)},
		{"shards", RELOPT_TYPE_INT, offsetof(ColbertOptions, shards)},
		{"centroids", RELOPT_TYPE_STRING, offsetof(ColbertOptions, centroids)},
	};

	return (bytea *) build_reloptions(reloptions, validate, hnsw_kind, sizeof(ColbertOptions),
									  table, lengthof(table));
}

bytea *
colbert_ivf_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"lists", RELOPT_TYPE_INT, offsetof(ColbertOptions, lists)},
		{"quantizer", RELOPT_TYPE_ENUM, offsetof(ColbertOptions, quantizer)},
		{"pq_m", RELOPT_TYPE_INT, offsetof(ColbertOptions, pq_m)},
		{"probes", RELOPT_TYPE_INT, offsetof(ColbertOptions, probes)},
		{"candidates", RELOPT_TYPE_INT, offsetof(ColbertOptions, candidates)},
		{"rerank", RELOPT_TYPE_INT, offsetof(ColbertOptions, rerank)},
		{"recall", RELOPT_TYPE_REAL, offsetof(ColbertOptions, recall)},
		{"shards", RELOPT_TYPE_INT, offsetof(ColbertOptions, shards)},
		{"centroids", RELOPT_TYPE_STRING, offsetof(ColbertOptions, centroids)},
	};

	return (bytea *) build_reloptions(reloptions, validate, ivf_kind, sizeof(ColbertOptions), table,
									  lengthof(table));
}

ColbertOptions
options_get(Relation index)
{
	ColbertOptions options = {0};

	if (index->rd_options != NULL)
		return *(ColbertOptions *) index->rd_options;
	options.m = DEFAULT_M;
	options.ef_construction = DEFAULT_EF_CONSTRUCTION;
	options.quantizer = DEFAULT_QUANTIZER;
	options.pq_m = DEFAULT_PQ_M;
	return options;
}

const char *
options_centroids(Relation index)
{
	ColbertOptions *options = (ColbertOptions *) index->rd_options;

	return options != NULL ? GET_STRING_RELOPTION(options, centroids) : NULL;
}
