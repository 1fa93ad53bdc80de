/*-------------------------------------------------------------------------
 *
 * kernels.h
 *	  The arithmetic of late interaction: dot products with running maxima.
 *
 * Plain C without PostgreSQL: this floor is tested and timed without a
 * server. Nothing here allocates, errors or takes locks; callers own all
 * memory, so every function is safe under a buffer lock.
 *
 * One answer everywhere. The float kernels give the same bits on every
 * instruction set, for every shape and every element format:
 *
 *	dot(q, d) = acc after  acc = fmaf(q[k], d[k], acc)  for k = 0 .. dim-1,
 *				from acc = 0; d[k] is the stored element widened to float4
 *				(int8: the float product  code * scale);
 *	key(q, d) = fmaf(dot, mul[d], add[d]);
 *	best[q]   = the largest key, the lowest row among equals; a NaN never
 *				wins, and best stays -INFINITY where no row won.
 *
 * mul and add turn inner product into the other metrics: cosine is mul =
 * 1/|d|, L2 is add = -|d|^2/2. A query is packed with its tokens in the lanes
 * of a register and its dims one after another, so that no kernel ever adds
 * across lanes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_H
#define COLBERT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the elements of a token are stored. */
typedef enum KernelElement
{
	KERNEL_FLOAT4 = 0,
	KERNEL_FLOAT2 = 1, /* IEEE binary16 */
	KERNEL_INT8 = 2    /* symmetric, one float4 scale a token */
} KernelElement;

/* Bytes of one element. */
static inline size_t
kernel_element_size(KernelElement element)
{
	return element == KERNEL_FLOAT4 ? 4 : element == KERNEL_FLOAT2 ? 2 : 1;
}

/*
 * A packed float query: lanes of tokens, dim-major. lanes is 4, 8 or 16,
 * chosen from ntokens alone; group g holds tokens g*lanes .. g*lanes+lanes-1
 * as pack[(g * dim + k) * lanes + lane], lanes past the last token are zero.
 * Follow the struct with kernel_query_size() - sizeof(KernelQuery) bytes.
 */
typedef struct KernelQuery
{
	uint32_t ntokens;
	uint32_t dim;
	uint32_t lanes;
	uint32_t ngroups; /* nslots = lanes * ngroups */
	float   *pack;    /* 64-byte aligned, inside the allocation */
	float   *scratch; /* room to widen a few rows, 64-byte aligned */
} KernelQuery;

/* Number of entries that best and best_row arrays of this query must have. */
static inline uint32_t
kernel_query_slots(const KernelQuery *q)
{
	return q->lanes * q->ngroups;
}

/* Bytes to allocate for a query of that shape; SIZE_MAX when it overflows. */
extern size_t kernel_query_size(uint32_t ntokens, uint32_t dim);

/* Pack ntokens x dim row-major floats into memory of kernel_query_size(). */
extern KernelQuery *kernel_query_pack(void *memory, const float *tokens, uint32_t ntokens,
									  uint32_t dim);

/*
 * A run of rows of one element format. Row i starts at rows + i * stride.
 * scale, mul and add may be NULL (1, 1 and 0); the value for row i is at the
 * byte address  (const char *) p + i * param_stride. No alignment is needed.
 */
typedef struct KernelRows
{
	const void   *rows;
	size_t        stride;
	KernelElement element;
	uint32_t      nrows;
	uint32_t      first; /* number of the first row, for best_row */
	const float  *scale;
	const float  *mul;
	const float  *add;
	size_t        param_stride; /* usually sizeof(float), or the stride */

	/*
	 * Where the rows begin that will be scored next, or NULL: their first
	 * bytes are brought into cache meanwhile. Never read as memory.
	 */
	const void *next;
} KernelRows;

/* An int8 query for sq8 rows; see kernel_sq8_pack. */
typedef struct KernelSq8Query
{
	uint32_t ntokens;
	uint32_t dim;
	uint32_t dim4;       /* dim rounded up to 4 */
	uint32_t ngroups;    /* of 16 tokens */
	int8_t  *pack;       /* [group][dim4/4][16 tokens][4 dims] */
	int32_t *correction; /* 128 * sum of the token's codes, by slot */
	float   *scale;      /* by slot */
} KernelSq8Query;

static inline uint32_t
kernel_sq8_slots(const KernelSq8Query *q)
{
	return q->ngroups * 16;
}

extern size_t          kernel_sq8_query_size(uint32_t ntokens, uint32_t dim);
extern KernelSq8Query *kernel_sq8_pack(void *memory, const float *tokens, uint32_t ntokens,
									   uint32_t dim);

/* The same of tokens that are encoded as sq8 rows already. */
extern KernelSq8Query *kernel_sq8_pack_rows(void *memory, const uint8_t *const *rows,
											uint32_t ntokens, uint32_t dim, bool has_add);

/* The offset of the codes of an sq8 row: a code is stored as code + SQ8_BIAS. */
#define SQ8_BIAS 128

/*
 * An sq8 row: float scale, [float add where has_add], then dim4 bytes of
 * code + SQ8_BIAS (so 1 .. 255; padding bytes are SQ8_BIAS).
 * key = fmaf((float) (sum of integer products), scale_row * scale_query, add).
 */
static inline size_t
kernel_sq8_row_size(uint32_t dim, bool has_add)
{
	return sizeof(float) * (has_add ? 2 : 1) + (((size_t) dim + 3) & ~(size_t) 3);
}

/* Decode one row; token has dim floats. */
extern void kernel_sq8_decode(const uint8_t *row, uint32_t dim, bool has_add, float *token);

/*
 * An sq4 row: float scale, [float add where has_add], then dim/2 bytes; byte i
 * has the codes of dim i (low) and dim i + dim/2 (high). dim is a multiple of
 * 32. A code stands for a level, given here as sq8 has it, + 128: those of
 * Lloyd and Max for a normal of deviation 46.
 */
static const uint8_t kernel_sq4_levels[16] __attribute__((unused)) = {
	2, 33, 54, 70, 85, 98, 110, 122, 134, 146, 158, 171, 186, 202, 223, 254};

static inline size_t
kernel_sq4_row_size(uint32_t dim, bool has_add)
{
	return sizeof(float) * (has_add ? 2 : 1) + dim / 2;
}

/*
 * A pq row: [float add where has_add], then the codes of m sub-quantizers, a
 * byte each. A query for pq rows holds, for each sub-quantizer, the products
 * of its tokens with all centroids, the tokens side by side: in groups of 16,
 * the last of which has as many lanes as it needs (4, 8 or 16).
 * key = the entries of the codes added up in order of the sub-quantizers, and add.
 */
#define PQ_CENTROIDS 256

typedef struct KernelPqQuery
{
	uint32_t ntokens;
	uint32_t m;
	uint32_t ngroups;
	uint32_t last_lanes;
	float   *tables; /* [group][m][PQ_CENTROIDS][lanes], 64-byte aligned */
} KernelPqQuery;

static inline size_t
kernel_pq_row_size(uint32_t m, bool has_add)
{
	return (has_add ? sizeof(float) : 0) + m;
}

static inline uint32_t
kernel_pq_lanes(const KernelPqQuery *q, uint32_t group)
{
	return group + 1 < q->ngroups ? 16 : q->last_lanes;
}

static inline uint32_t
kernel_pq_slots(const KernelPqQuery *q)
{
	return (q->ngroups - 1) * 16 + q->last_lanes;
}

/* The PQ_CENTROIDS x lanes entries of one sub-quantizer. */
static inline float *
kernel_pq_table(const KernelPqQuery *q, uint32_t group, uint32_t s)
{
	return q->tables +
		   ((size_t) group * q->m * 16 + (size_t) s * kernel_pq_lanes(q, group)) * PQ_CENTROIDS;
}

/* A query without its entries, which are the caller's to fill in. */
extern size_t         kernel_pq_query_size(uint32_t ntokens, uint32_t m);
extern KernelPqQuery *kernel_pq_lay_out(void *memory, uint32_t ntokens, uint32_t m);

/*
 * Sketches: one bit a dim in blocks of 16 tokens. A block holds dim/8 byte
 * positions x 16 tokens (byte p of token t at block[p * 16 + t]; bit j of it,
 * lowest first, is the sign of dim 8p + j: 1 is positive), then 16 binary16
 * factors, then, where has_add, 16 binary16 addends. dim is a multiple of 32.
 * A block with fewer than 16 tokens repeats its last one.
 */
#define SKETCH_BLOCK_TOKENS 16

static inline size_t
kernel_sketch_block_size(uint32_t dim, bool has_add)
{
	return (size_t) SKETCH_BLOCK_TOKENS * (dim / 8 + (has_add ? 4 : 2));
}

/*
 * A query for sketches: for each query token a table for every 4 dims of the
 * sum of +-q over them, in at most 31 steps (fewer where a 16-bit total could
 * overflow): eight entries add up in a byte, and their rounding is a tenth of
 * the error of the one-bit code itself. The estimate of a token is
 *		factor * (delta * total + base) + constant + add
 * as two fused multiply-adds and an addition, add being 0 where there is none.
 */
typedef struct KernelSketchQuery
{
	uint32_t ntokens;
	uint32_t dim; /* multiple of 32 */
	bool     has_add;
	uint8_t *lut; /* [dim/32][token][low, high nibble][4 bytes][16], 64-byte aligned */
	float   *delta;
	float   *base;
	float   *constant; /* what the mean contributes: q . mean */
} KernelSketchQuery;

extern size_t kernel_sketch_query_size(uint32_t ntokens, uint32_t dim);

/* rotated: ntokens x dim floats, already rotated; constant: one a token. */
extern KernelSketchQuery *kernel_sketch_pack(void *memory, const float *rotated,
											 const float *constant, uint32_t ntokens, uint32_t dim,
											 bool has_add);

/*
 * The functions that differ by instruction set. All keep the rule above:
 * equal bits from every implementation.
 */
typedef struct KernelOps
{
	const char *name; /* scalar, avx2, avx512, avx512vnni, amx; neon, neondot */

	/*
	 * Running maxima of key over a run of rows. best and best_row have
	 * kernel_query_slots() entries; the caller sets best to -INFINITY (and
	 * best_row to anything) before the first run. best_row may be NULL.
	 */
	void (*maxsim_rows)(const KernelQuery *q, const KernelRows *rows, float *best,
						uint32_t *best_row);

	/* All keys: out[row * kernel_query_slots() + slot]. */
	void (*dot_matrix)(const KernelQuery *q, const KernelRows *rows, float *out);

	/* Running maxima over sq8 rows of kernel_sq8_row_size() bytes, one after another. */
	void (*sq8_rows)(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					 float *best);

	/* All keys of such rows: out[row * kernel_sq8_slots() + slot]; fastest where out is aligned to 64 bytes. */
	void (*sq8_keys)(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					 float *out);

	/* Encode one row; token has dim floats. */
	void (*sq8_encode)(const float *token, uint32_t dim, bool has_add, float add, uint8_t *row);

	/* The squared length of a decoded row: exact but for the scale. dims are too few to overflow. */
	float (*sq8_squared)(const uint8_t *row, uint32_t dim, bool has_add);

	/* Raise largest[slot] by the keys of nrows rows: keys[row * nslots + slot], nslots being a multiple of 16. A NaN raises nothing. */
	void (*keys_max)(const float *keys, uint32_t nrows, uint32_t nslots, float *largest);

	/* The rows that have a key of at least least[slot], or that is no number; returns how many. rows: room for nrows. */
	uint32_t (*keys_at_least)(const float *keys, uint32_t nrows, uint32_t nslots,
							  const float *least, uint32_t *rows);

	/* Unpack sq4 rows into sq8 rows of the same dim, scale and add. */
	void (*sq4_unpack)(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add,
					   uint8_t *out);

	/* Running maxima over pq rows of kernel_pq_row_size() bytes, one after another. */
	void (*pq_rows)(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					float *best);

	/*
	 * Running maxima over sketch blocks: state is ntokens x 16 floats, a
	 * maximum for each query token and lane, set to -INFINITY by the caller.
	 */
	void (*sketch_blocks)(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks,
						  float *state);

	/* The end of a document: best[t] = the largest of the token's 16 lanes. */
	void (*sketch_finish)(const KernelSketchQuery *q, const float *state, float *best);

	/* Estimates of the 16 tokens of one block for one query token. */
	void (*sketch_scores)(const KernelSketchQuery *q, uint32_t token, const uint8_t *block,
						  float *scores);

	/* Elements: widen exactly, narrow to nearest even. */
	void (*half_to_float)(const uint16_t *in, float *out, size_t n);
	void (*float_to_half)(const float *in, uint16_t *out, size_t n);
} KernelOps;

/* The implementation in use; never NULL. */
extern const KernelOps *kernels;

/* Choose the best implementation for this machine. Idempotent. */
extern void kernels_init(void);

/* Force one by name ("auto" = best). False where unknown or not supported here. */
extern bool kernels_select(const char *name);
extern bool kernels_supported(const char *name);

/* Names of all that this build knows, supported or not; NULL-terminated. */
extern const char *const *kernels_names(void);

/* The largest finite binary16. */
#define MAX_HALF 65504.0f

/* One value, for code that is not hot. */
extern float    kernel_half_to_float(uint16_t h);
extern uint16_t kernel_float_to_half(float f);

/* |x| by the canonical chain: sqrtf of the fmaf chain of x[k] * x[k]. */
extern float kernel_norm(const float *x, uint32_t dim);

#endif /* COLBERT_KERNELS_H */
