/*-------------------------------------------------------------------------
 *
 * build_encode.c
 *	  The second pass of a build: documents into the docstore, and the pairs
 *	  of their tokens' nodes and themselves into a sort.
 *
 *-------------------------------------------------------------------------
 */
#include "compat/pg_compat.h"

#include "access/build.h"
#include "access/tableam.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "commands/progress.h"
#include "index/docstore.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"

/* Tokens assigned at a time, and parents whose children are looked at for each. */
#define CHUNK_TOKENS 256
#define ASSIGN_PARENTS 4

Tuplesortstate *
build_sort_begin(int work_mem, SortCoordinate coordinate)
{
	return tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false, work_mem, coordinate, TUPLESORT_NONE);
}

void
build_encoder_init(BuildEncoder *encoder, IndexView *view, BuildMode mode,
				   const KmeansResult *trained, const uint32 *node_of, Tuplesortstate *sort)
{
	memset(encoder, 0, sizeof(BuildEncoder));
	encoder->view = view;
	encoder->mode = mode;
	encoder->sort = sort;
	encoder->row_context = AllocSetContextCreate(CurrentMemoryContext, "colbert build row", ALLOCSET_DEFAULT_SIZES);
	if (mode == BUILD_TRAINED)
	{
		encoder->node_of = node_of;
		encoder->assigner = kmeans_assigner_create(trained, view->dim, ASSIGN_PARENTS, &train_hooks);
	}
	else if (mode == BUILD_EVERY_TOKEN)
	{
		encoder->graph_meta = palloc(sizeof(MetaPageData));
		*encoder->graph_meta = view->meta;
		encoder->graph = graph_open(&view->index, encoder->graph_meta, &view->sketch);
	}
}

void
build_encoder_end(BuildEncoder *encoder)
{
	if (encoder->graph != NULL)
		graph_close(encoder->graph);
	MemoryContextDelete(encoder->row_context);
}

static int
compare_nodes(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/* The nodes of n prepared tokens. */
static void
find_nodes(BuildEncoder *encoder, const float *tokens, uint32 n, uint32 *nodes)
{
	if (encoder->mode == BUILD_EVERY_TOKEN)
	{
		for (uint32 i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			nodes[i] = graph_insert(encoder->graph, tokens + (size_t) i * encoder->view->dim);
		}
		return;
	}
	kmeans_assign(encoder->assigner, tokens, n, nodes, NULL);
	for (uint32 i = 0; i < n; i++)
		nodes[i] = encoder->node_of[nodes[i]];
}

/* Put a pair of each distinct node and the document into the sort. */
static void
put_pairs(BuildEncoder *encoder, uint32 *nodes, uint32 n, uint32 doc)
{
	qsort(nodes, n, sizeof(uint32), compare_nodes);
	for (uint32 i = 0; i < n; i++)
		if (i == 0 || nodes[i] != nodes[i - 1])
			tuplesort_putdatum(encoder->sort, Int64GetDatum((int64) ((uint64) nodes[i] << 32 | doc)), false);
}

static void
encode_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	BuildEncoder *encoder = arg;
	IndexView  *view = encoder->view;
	MemoryContext old = MemoryContextSwitchTo(encoder->row_context);

	if (isnull[0])
		docstore_append_null(view, tid);
	else
	{
		MultiVector *mv = multivector_from_datum(values[0]);
		uint32		doc = docstore_append(view, tid, mv,
										  encoder->mode == BUILD_PENDING ? DOC_IN_QUEUE : DOC_IN_POSTINGS);

		if (encoder->mode != BUILD_PENDING)
		{
			float	   *tokens = palloc(Min(mv->ntokens, CHUNK_TOKENS) * view->dim * sizeof(float));
			uint32		nodes[CHUNK_TOKENS];

			for (uint32 first = 0; first < mv->ntokens; first += CHUNK_TOKENS)
			{
				uint32		n = Min(mv->ntokens - first, CHUNK_TOKENS);

				CHECK_FOR_INTERRUPTS();
				view_prepare_tokens(view, mv, first, n, tokens);
				find_nodes(encoder, tokens, n, nodes);
				put_pairs(encoder, nodes, n, doc);
			}
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(encoder->row_context);
	encoder->done++;
	if (encoder->report)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, encoder->done);
}

double
build_encode(BuildEncoder *encoder, Relation heap, IndexInfo *info, TableScanDesc scan)
{
	return table_index_build_scan(heap, encoder->view->index.rel, info, scan != NULL, encoder->report,
								  encode_row, encoder, scan);
}
