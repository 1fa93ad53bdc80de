/*-------------------------------------------------------------------------
 *
 * timing.c
 *	  Compare the kernels with plain loops, in microseconds per document.
 *
 * Times are CPU times of this thread, the best of several runs, so that other
 * load on the machine has little effect. The time of a float kernel includes
 * everything that turns its maxima into a score: the sum over query tokens
 * and, for L2, the roots. Norms of documents are precomputed, as they are in
 * an index.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/prefetch.h"
#include "kernels/kernels.h"
#include "plain.h"

#define DIM       128
#define MAX_QUERY 32
#define MAX_ROWS  180
#define MAX_SETS  8
#define PQ_M      32

/* Required speedups over the loop without -ffast-math. */
#define FLOOR_MAXSIM 15.0
#define FLOOR_COSINE 5.6
#define FLOOR_L2     6.1

typedef enum Metric
{
	MAXSIM,
	COSINE,
	L2,
	METRICS
} Metric;

static const char *const metric_names[METRICS] = {"inner product", "cosine", "L2"};
static const PlainScore  plain_scores[METRICS] = {plain_maxsim, plain_cosine, plain_l2};
static const PlainScore  fast_scores[METRICS] = {fast_maxsim, fast_cosine, fast_l2};
static const double      floors[METRICS] = {FLOOR_MAXSIM, FLOOR_COSINE, FLOOR_L2};

typedef struct Shape
{
	uint32_t ntokens;
	uint32_t nrows;
} Shape;

static const Shape shapes[] = {{16, 65}, {4, 65}, {32, 180}};

#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* A query in all its representations. */
typedef struct Query
{
	Shape              shape;
	float             *tokens;
	KernelQuery       *packed;
	KernelSq8Query    *sq8;
	KernelSketchQuery *sketch;
	KernelPqQuery     *pq;
} Query;

/* Consecutive documents in each representation. row_params holds 1/|d| and -|d|^2/2 of each row. */
typedef struct Documents
{
	Shape     shape;
	size_t    ndocs;
	float    *rows;
	float    *row_params;
	uint16_t *halves;
	int8_t   *bytes;
	uint8_t  *sq8;
	uint8_t  *codes; /* random bytes, for sq4 and pq */
	uint8_t  *sketches;
	size_t    sketch_size; /* bytes per document */
} Documents;

/* Written to prevent the compiler from removing the timed code. */
static volatile float sink;

/* ------------------------------------------------------------------------
 * Random data
 * ------------------------------------------------------------------------
 */

static uint64_t random_state = 88172645463325252;

static uint32_t
random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 32);
}

static void *
allocate(size_t size)
{
	void *p = aligned_alloc(4096, (size + 4095) & ~(size_t) 4095);

	if (p == NULL)
	{
		fprintf(stderr, "kernels: no memory for %zu bytes\n", size);
		exit(1);
	}
	return p;
}

static float *
random_floats(size_t n)
{
	float *floats = allocate(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		floats[i] = (float) (int32_t) random_bits() * 0x1p-31f;
	return floats;
}

static Query
make_query(Shape shape)
{
	float constant[MAX_QUERY] = {0};
	Query q;

	q.shape = shape;
	q.tokens = random_floats((size_t) shape.ntokens * DIM);
	q.packed = kernel_query_pack(allocate(kernel_query_size(shape.ntokens, DIM)), q.tokens,
								 shape.ntokens, DIM);
	q.sq8 = kernel_sq8_pack(allocate(kernel_sq8_query_size(shape.ntokens, DIM)), q.tokens,
							shape.ntokens, DIM);
	q.sketch = kernel_sketch_pack(allocate(kernel_sketch_query_size(shape.ntokens, DIM)), q.tokens,
								  constant, shape.ntokens, DIM, false);
	q.pq =
		kernel_pq_lay_out(allocate(kernel_pq_query_size(shape.ntokens, PQ_M)), shape.ntokens, PQ_M);
	for (uint32_t group = 0; group < q.pq->ngroups; group++)
		for (size_t i = 0; i < (size_t) PQ_M * PQ_CENTROIDS * kernel_pq_lanes(q.pq, group); i++)
			kernel_pq_table(q.pq, group, 0)[i] = (float) (int32_t) random_bits() * 0x1p-31f;
	return q;
}

/* Fill a block of 16 rows with random signs, and a factor of typical size. */
static void
make_sketch_block(uint8_t *block)
{
	uint16_t factor = kernel_float_to_half(0.08f);

	for (int i = 0; i < DIM * 2; i++)
		block[i] = (uint8_t) random_bits();
	for (int i = 0; i < SKETCH_BLOCK_TOKENS; i++)
		memcpy(block + DIM * 2 + i * 2, &factor, sizeof(factor));
}

static Documents
make_documents(Shape shape)
{
	size_t    nrows = shape.nrows;
	size_t    row_size = kernel_sq8_row_size(DIM, false);
	size_t    nblocks = (nrows + SKETCH_BLOCK_TOKENS - 1) / SKETCH_BLOCK_TOKENS;
	size_t    block_size = kernel_sketch_block_size(DIM, false);
	Documents d;

	d.shape = shape;
	d.ndocs = 1;
	d.rows = random_floats(nrows * DIM);
	d.row_params = allocate(nrows * 2 * sizeof(float));
	d.halves = allocate(nrows * DIM * sizeof(uint16_t));
	d.bytes = allocate(nrows * DIM);
	d.sq8 = allocate(nrows * row_size);
	d.codes = allocate(nrows * row_size);
	for (size_t i = 0; i < nrows * row_size; i++)
		d.codes[i] = (uint8_t) random_bits();
	d.sketch_size = nblocks * block_size;
	d.sketches = allocate(d.sketch_size);
	for (size_t i = 0; i < nrows; i++)
	{
		float norm = kernel_norm(d.rows + i * DIM, DIM);

		d.row_params[i * 2] = 1 / norm;
		d.row_params[i * 2 + 1] = -norm * norm / 2;
		kernels->sq8_encode(d.rows + i * DIM, DIM, false, 0, d.sq8 + i * row_size);
	}
	for (size_t i = 0; i < nrows * DIM; i++)
	{
		d.halves[i] = kernel_float_to_half(d.rows[i]);
		d.bytes[i] = (int8_t) random_bits();
	}
	for (size_t b = 0; b < nblocks; b++)
		make_sketch_block(d.sketches + b * block_size);
	return d;
}

/* ------------------------------------------------------------------------
 * Scoring one document
 * ------------------------------------------------------------------------
 */

static KernelRows
document_rows(const Documents *d, KernelElement element, size_t doc)
{
	KernelRows rows = {
		.element = element, .nrows = d->shape.nrows, .stride = DIM * kernel_element_size(element)};

	rows.rows = element == KERNEL_FLOAT4   ? (const void *) (d->rows + doc * d->shape.nrows * DIM)
				: element == KERNEL_FLOAT2 ? (const void *) d->halves
										   : (const void *) d->bytes;
	return rows;
}

static float
score_rows(const Query *q, const KernelRows *rows, Metric metric)
{
	float best[MAX_QUERY];
	float total = 0;

	for (uint32_t slot = 0; slot < kernel_query_slots(q->packed); slot++)
		best[slot] = -INFINITY;
	kernels->maxsim_rows(q->packed, rows, best, NULL);
	for (uint32_t t = 0; t < q->shape.ntokens; t++)
		total += metric == L2 ? sqrtf(fmaxf(1 - 2 * best[t], 0)) : best[t];
	return total;
}

static float
score_float(const Query *q, const Documents *d, Metric metric)
{
	KernelRows rows = document_rows(d, KERNEL_FLOAT4, 0);

	rows.param_stride = 2 * sizeof(float);
	rows.mul = metric == COSINE ? d->row_params : NULL;
	rows.add = metric == L2 ? d->row_params + 1 : NULL;
	return score_rows(q, &rows, metric);
}

static float
score_sq8(const Query *q, const uint8_t *rows)
{
	float best[MAX_QUERY];
	float total = 0;

	for (uint32_t slot = 0; slot < kernel_sq8_slots(q->sq8); slot++)
		best[slot] = -INFINITY;
	kernels->sq8_rows(q->sq8, rows, q->shape.nrows, false, best);
	for (uint32_t t = 0; t < q->shape.ntokens; t++)
		total += best[t];
	return total;
}

/* Score rows after unpacking them, as the codec does. */
static float
score_sq4(const Query *q, const uint8_t *rows)
{
	static uint8_t unpacked[MAX_ROWS * (DIM + sizeof(float))];

	kernels->sq4_unpack(rows, q->shape.nrows, DIM, false, unpacked);
	return score_sq8(q, unpacked);
}

static float
score_pq(const Query *q, const uint8_t *rows)
{
	float best[MAX_QUERY];
	float total = 0;

	for (uint32_t slot = 0; slot < kernel_pq_slots(q->pq); slot++)
		best[slot] = -INFINITY;
	kernels->pq_rows(q->pq, rows, q->shape.nrows, false, best);
	for (uint32_t t = 0; t < q->shape.ntokens; t++)
		total += best[t];
	return total;
}

static float
score_sketch(const Query *q, const uint8_t *blocks)
{
	float state[MAX_QUERY * SKETCH_BLOCK_TOKENS];
	float best[MAX_QUERY];
	float total = 0;

	for (uint32_t i = 0; i < q->shape.ntokens * SKETCH_BLOCK_TOKENS; i++)
		state[i] = -INFINITY;
	kernels->sketch_blocks(q->sketch, blocks,
						   (q->shape.nrows + SKETCH_BLOCK_TOKENS - 1) / SKETCH_BLOCK_TOKENS, state);
	kernels->sketch_finish(q->sketch, state, best);
	for (uint32_t t = 0; t < q->shape.ntokens; t++)
		total += best[t];
	return total;
}

/* ------------------------------------------------------------------------
 * The clock
 * ------------------------------------------------------------------------
 */

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

/* Microseconds of an expression: the best of at least ten batches of about 1 ms each, for 60 ms. */
#define TIME(expression)                                                \
	__extension__({                                                     \
		double best_ = INFINITY;                                        \
		double began_ = now();                                          \
		int    batch_;                                                  \
		sink = (expression);                                            \
		batch_ = (int) (1000 / (now() - began_ + 0.05)) + 1;            \
		for (int run_ = 0; run_ < 10 || now() - began_ < 60000; run_++) \
		{                                                               \
			double start_ = now();                                      \
			for (int i_ = 0; i_ < batch_; i_++)                         \
				sink = (expression);                                    \
			best_ = fmin(best_, (now() - start_) / batch_);             \
			if (now() - began_ > 400000)                                \
				break;                                                  \
		}                                                               \
		best_;                                                          \
	})

/* ------------------------------------------------------------------------
 * Tables
 * ------------------------------------------------------------------------
 */

static const char *sets[MAX_SETS];
static int         nsets;

static void
find_sets(void)
{
	for (const char *const *name = kernels_names(); *name != NULL; name++)
	{
		if (kernels_supported(*name))
			sets[nsets++] = *name;
	}
}

static void
print_shape(Shape shape, const char *what)
{
	printf("%3ux%-4u %-14s", shape.ntokens, shape.nrows, what);
}

/*
 * Times of the plain loop, of -ffast-math and of the best kernel, compared
 * with the required speedups.
 */
static double hot[METRICS][3];

static void
table_metrics(void)
{
	printf("\nfloat4, hot: microseconds per document (speedup over the plain loop)\n");
	printf("%-23s%9s%16s", "", "plain", "-ffast-math");
	for (int s = 0; s < nsets; s++)
		printf("%16s", sets[s]);
	printf("\n");
	for (size_t i = 0; i < NSHAPES; i++)
	{
		Query     q = make_query(shapes[i]);
		Documents d = make_documents(shapes[i]);

		for (int metric = 0; metric < METRICS; metric++)
		{
			Shape  shape = shapes[i];
			double plain =
				TIME(plain_scores[metric](q.tokens, shape.ntokens, d.rows, shape.nrows, DIM));
			double fast =
				TIME(fast_scores[metric](q.tokens, shape.ntokens, d.rows, shape.nrows, DIM));

			print_shape(shape, metric_names[metric]);
			printf("%9.2f%9.2f (%4.1f)", plain, fast, plain / fast);
			for (int s = 0; s < nsets; s++)
			{
				double ours;

				kernels_select(sets[s]);
				ours = TIME(score_float(&q, &d, (Metric) metric));
				printf("%9.2f (%4.1f)", ours, plain / ours);
				if (i == 0)
				{
					hot[metric][0] = plain;
					hot[metric][1] = fast;
					hot[metric][2] = ours;
				}
			}
			printf("\n");
			fflush(stdout);
		}
	}
}

static double
time_form(const Query *q, const Documents *d, int form)
{
	KernelRows rows;

	if (form == 3)
		return TIME(score_sq8(q, d->sq8));
	if (form == 4)
		return TIME(score_sketch(q, d->sketches));
	if (form == 5)
		return TIME(score_sq4(q, d->codes));
	if (form == 6)
		return TIME(score_pq(q, d->codes));
	rows = document_rows(d, (KernelElement) form, 0);
	return TIME(score_rows(q, &rows, MAXSIM));
}

static void
table_forms(void)
{
	static const char *const forms[] = {"float4", "float2", "int8", "sq8",
										"sketch", "sq4",    "pq 32"};

	printf("\nstored formats, hot: microseconds per document, inner product\n%-23s", "");
	for (int s = 1; s < nsets; s++)
		printf("%12s", sets[s]);
	printf("\n");
	for (size_t i = 0; i < NSHAPES; i++)
	{
		Query     q = make_query(shapes[i]);
		Documents d = make_documents(shapes[i]);

		for (int form = 0; form < 7; form++)
		{
			print_shape(shapes[i], forms[form]);
			for (int s = 1; s < nsets; s++)
			{
				kernels_select(sets[s]);
				printf("%12.3f", time_form(&q, &d, form));
			}
			printf("\n");
			fflush(stdout);
		}
	}
}

/* ------------------------------------------------------------------------
 * All keys of one long run, as for the centroids of an index
 * ------------------------------------------------------------------------
 */

#define CENTROIDS 16384

static float
centroid_keys(const Query *q, const uint8_t *rows, float *keys)
{
	kernels->sq8_keys(q->sq8, rows, CENTROIDS, false, keys);
	return keys[0];
}

static void
table_centroids(void)
{
	static const uint32_t ntokens[] = {5, 16, 32};
	Documents             d = make_documents((Shape) {0, CENTROIDS});
	float                *keys = allocate((size_t) CENTROIDS * MAX_QUERY * sizeof(float));

	printf("\nall keys of %d sq8 rows: microseconds\n%-23s", CENTROIDS, "");
	for (int s = 1; s < nsets; s++)
		printf("%12s", sets[s]);
	printf("\n");
	for (size_t i = 0; i < sizeof(ntokens) / sizeof(ntokens[0]); i++)
	{
		Query q = make_query((Shape) {ntokens[i], CENTROIDS});

		printf("%3u tokens%13s", ntokens[i], "");
		for (int s = 1; s < nsets; s++)
		{
			kernels_select(sets[s]);
			printf("%12.1f", TIME(centroid_keys(&q, d.sq8, keys)));
		}
		printf("\n");
		fflush(stdout);
	}
}

/* ------------------------------------------------------------------------
 * Documents outside the cache
 * ------------------------------------------------------------------------
 */

#define GIGABYTE ((size_t) 1 << 30)
#define WALK     20000 /* documents per run */

typedef enum Walk
{
	WALK_PLAIN,
	WALK_FAST,
	WALK_FLOAT,
	WALK_SQ8,
	WALK_SKETCH
} Walk;

static const char *const walk_names[] = {"plain loop", "-ffast-math", "float4", "sq8", "sketch"};

/* One gigabyte of documents, and the order in which they are scored. */
typedef struct Heap
{
	const uint8_t *memory;
	size_t         document_size;
	uint32_t      *order;
} Heap;

static const void *
heap_document(const Heap *heap, int i)
{
	return heap->memory + heap->order[i] * heap->document_size;
}

static float
walk_step(const Query *q, const Heap *heap, Walk walk, int i, bool prefetch)
{
	const void *document = heap_document(heap, i);
	const void *next = heap_document(heap, i + 1);
	KernelRows  rows = {.rows = document, .stride = DIM * sizeof(float), .nrows = q->shape.nrows};

	switch (walk)
	{
		case WALK_PLAIN:
		case WALK_FAST:
			if (prefetch)
				prefetch_bytes(next, heap->document_size);
			return (walk == WALK_PLAIN ? plain_maxsim : fast_maxsim)(q->tokens, q->shape.ntokens,
																	 document, q->shape.nrows, DIM);
		case WALK_FLOAT:
			rows.next = prefetch ? next : NULL;
			return score_rows(q, &rows, MAXSIM);
		case WALK_SQ8:
			if (prefetch)
				prefetch_bytes(next, 1024);
			return score_sq8(q, document);
		default:
			if (prefetch)
				prefetch_bytes(heap_document(heap, i + 2), heap->document_size);
			return score_sketch(q, document);
	}
}

static double
walk_time(const Query *q, const Heap *heap, Walk walk, bool prefetch)
{
	double best = INFINITY;
	int    ndocs = walk == WALK_PLAIN ? WALK / 10 : WALK;

	for (int run = 0; run < 3; run++)
	{
		double start;
		float  total = 0;

		for (int i = 0; i < WALK + 2; i++)
			heap->order[i] = (uint32_t) (random_bits() % (GIGABYTE / heap->document_size));
		start = now();
		for (int i = 0; i < ndocs; i++)
			total += walk_step(q, heap, walk, i, prefetch);
		best = fmin(best, (now() - start) / ndocs);
		sink = total;
	}
	return best;
}

/* Fill the gigabyte with copies of one document. Only the location of the bytes matters here. */
static void
fill(uint8_t *memory, const void *document, size_t size)
{
	for (size_t at = 0; at + size <= GIGABYTE; at += size)
		memcpy(memory + at, document, size);
}

static void
table_memory(void)
{
	uint8_t *memory = allocate(GIGABYTE);
	Heap     heap = {memory, 0, allocate((WALK + 2) * sizeof(uint32_t))};

	kernels_select("auto");
	printf("\nrandom documents of 1 GB, inner product, %s: microseconds per document\n",
		   kernels->name);
	printf("%-23s%14s%14s\n", "", "no prefetch", "prefetch");
	for (size_t i = 0; i < NSHAPES; i++)
	{
		Query     q = make_query(shapes[i]);
		Documents d = make_documents(shapes[i]);

		for (int walk = WALK_PLAIN; walk <= WALK_SKETCH; walk++)
		{
			const void *document = walk == WALK_SQ8      ? d.sq8
								   : walk == WALK_SKETCH ? d.sketches
														 : (const void *) d.rows;

			heap.document_size = walk == WALK_SQ8
									 ? shapes[i].nrows * kernel_sq8_row_size(DIM, false)
								 : walk == WALK_SKETCH ? d.sketch_size
													   : shapes[i].nrows * DIM * sizeof(float);
			if (walk != WALK_FAST && walk != WALK_FLOAT)
				fill(memory, document, heap.document_size);
			print_shape(shapes[i], walk_names[walk]);
			printf("%14.2f", walk_time(&q, &heap, (Walk) walk, false));
			printf("%14.2f\n", walk_time(&q, &heap, (Walk) walk, true));
			fflush(stdout);
		}
	}
}

static void
print_floors(void)
{
	printf("\nrequired speedups, 16x65 float4, %s\n", sets[nsets - 1]);
	for (int metric = 0; metric < METRICS; metric++)
	{
		double plain = hot[metric][0] / hot[metric][2];
		double fast = hot[metric][1] / hot[metric][2];

		printf("%-14s %5.1f over the plain loop (required %4.1f), %4.1f over -ffast-math (1): %s\n",
			   metric_names[metric], plain, floors[metric], fast,
			   plain >= floors[metric] && fast > 1 ? "met" : "MISSED");
	}
}

int
main(int argc, char **argv)
{
	bool hot_only = argc > 1 && strcmp(argv[1], "--hot") == 0;

	find_sets();
	table_metrics();
	table_forms();
	table_centroids();
	if (!hot_only)
		table_memory();
	print_floors();
	return 0;
}
