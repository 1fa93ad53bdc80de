/*-------------------------------------------------------------------------
 *
 * statistics.h
 *	  A table of full-text statistics, as bm25_analyze makes it.
 *
 * It is an ordinary table in the schema of the table it describes (the
 * source), and belongs to its owner. One row per lexeme holds the number of
 * documents that have it; the row with the empty lexeme, which no tsvector
 * has, describes the whole. The source is named without its schema, so that
 * the table can be dumped, restored into another schema and replicated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_STATISTICS_H
#define COLBERT_STATISTICS_H

#include "fulltext/bm25.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef enum StatisticsColumn
{
	COLUMN_LEXEME,
	COLUMN_DOCUMENTS,
	COLUMN_SOURCE,
	COLUMN_SOURCE_COLUMN,
	COLUMN_CONFIG,
	COLUMN_TABLE_DOCUMENTS,
	COLUMN_LENGTHS,
	COLUMN_ANALYZED,
	COLUMN_COUNT
} StatisticsColumn;

typedef struct Statistics
{
	Relation   table;
	Oid        index; /* of the lexemes */
	Snapshot   snapshot;
	AttrNumber columns[COLUMN_COUNT];
	bool       valid; /* the row that describes the whole exists */
	double     documents;
	double     table_documents; /* estimated if the statistics are those of a sample */
	float8     lengths[BM25_SECTIONS];
	char      *source;
	char      *source_column;
	char      *config; /* qualified name of a text search configuration */
} Statistics;

extern const char *const statistics_columns;

/* Return the owner of a relation, or InvalidOid if it was dropped. */
extern Oid statistics_owner(Oid relation);

extern Statistics statistics_open(Oid table, int lockmode);
extern void       statistics_check_rights(const Statistics *statistics);
extern double     statistics_find(const Statistics *statistics, const char *lexeme, int length);
extern void       statistics_close(Statistics *statistics, int lockmode);

#endif /* COLBERT_STATISTICS_H */
