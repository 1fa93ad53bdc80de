/*-------------------------------------------------------------------------
 *
 * kernels.h
 *	  Arithmetic of late interaction: dot products with running maxima.
 *
 * Plain C without PostgreSQL, so that the kernels can be tested and timed
 * without a server. No function here allocates, raises an error or takes a
 * lock. Callers own all memory, so every function is safe under a buffer lock.
 *
 * One answer everywhere: the float kernels return the same bits on every
 * instruction set, for every shape and every element format.
 *
 *	dot(q, d) = acc after  acc = fmaf(q[k], d[k], acc)  for k = 0 .. dim-1,
 *				from acc = 0; d[k] is the stored element widened to float4
 *				(int8: the float product  code * scale);
 *	key(q, d) = fmaf(dot, mul[d], add[d]);
 *	best[q]   = the largest key, from the lowest row among equals. A NaN
 *				never wins; if no row wins, best stays -INFINITY.
 *
 * mul and add turn the inner product into the other metrics: cosine is
 * mul = 1/|d|, L2 is add = -|d|^2/2. A packed query holds its tokens in the lanes of
 * a register and its dims one after another, so that no kernel ever adds
 * across lanes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_H
#define COLBERT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Storage format of a token's elements. */
typedef enum KernelElement
{
	KERNEL_FLOAT4 = 0,
	KERNEL_FLOAT2 = 1, /* IEEE binary16 */
	KERNEL_INT8 = 2    /* symmetric, one float4 scale per token */
} KernelElement;

/* Return the size of one element in bytes. */
static inline size_t
kernel_element_size(KernelElement element)
{
	return element == KERNEL_FLOAT4 ? 4 : element == KERNEL_FLOAT2 ? 2 : 1;
}

/*
 * A packed float query: lanes of tokens, dim-major. lanes is 4, 8 or 16 and
 * depends on ntokens alone. Group g holds tokens g*lanes .. g*lanes+lanes-1 as
 * pack[(g * dim + k) * lanes + lane]; lanes after the last token are zero. The
 * struct is followed by kernel_query_size() - sizeof(KernelQuery) bytes.
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

/* Return the number of entries that the query's best and best_row arrays must have. */
static inline uint32_t
kernel_query_slots(const KernelQuery *q)
{
	return q->lanes * q->ngroups;
}

/* Return the bytes to allocate for a query of this shape, or SIZE_MAX on overflow. */
extern size_t kernel_query_size(uint32_t ntokens, uint32_t dim);

/* Pack ntokens x dim row-major floats into memory of kernel_query_size() bytes. */
extern KernelQuery *kernel_query_pack(void *memory, const float *tokens, uint32_t ntokens,
									  uint32_t dim);

/*
 * A run of rows of one element format. Row i starts at rows + i * stride.
 * scale, mul and add may be NULL (1, 1 and 0); the value for row i is at byte
 * address (const char *) p + i * param_stride. Nothing needs to be aligned.
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
	size_t        param_stride; /* usually sizeof(float) or stride */

	/*
	 * Start of the rows to be scored next, or NULL. Their first bytes are
	 * prefetched, but never read.
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
	int32_t *correction; /* 128 * sum of the token's codes, per slot */
	float   *scale;      /* per slot */
} KernelSq8Query;

static inline uint32_t
kernel_sq8_slots(const KernelSq8Query *q)
{
	return q->ngroups * 16;
}

extern size_t          kernel_sq8_query_size(uint32_t ntokens, uint32_t dim);
extern KernelSq8Query *kernel_sq8_pack(void *memory, const float *tokens, uint32_t ntokens,
									   uint32_t dim);

/* Pack tokens that are already encoded as sq8 rows. */
extern KernelSq8Query *kernel_sq8_pack_rows(void *memory, const uint8_t *const *rows,
											uint32_t ntokens, uint32_t dim, bool has_add);

/* Offset of the codes of an sq8 row: a code is stored as code + SQ8_BIAS. */
#define SQ8_BIAS 128

/*
 * Return the size of an sq8 row: float scale, [float add if has_add], then
 * dim4 bytes of code + SQ8_BIAS (hence 1 .. 255; padding bytes are SQ8_BIAS).
 *
 * key = fmaf((float) (sum of integer products), scale_row * scale_query, add).
 */
static inline size_t
kernel_sq8_row_size(uint32_t dim, bool has_add)
{
	return sizeof(float) * (has_add ? 2 : 1) + (((size_t) dim + 3) & ~(size_t) 3);
}

/* Decode one row into dim floats. */
extern void kernel_sq8_decode(const uint8_t *row, uint32_t dim, bool has_add, float *token);

/*
 * An sq4 row: float scale, [float add if has_add], then dim/2 bytes. Byte i
 * holds the codes of dim i (low nibble) and dim i + dim/2 (high nibble). dim
 * is a multiple of 32. A code stands for one of these levels, given as sq8
 * codes + 128: the Lloyd-Max levels of a normal distribution with standard
 * deviation 46.
 */
static const uint8_t kernel_sq4_levels[16] __attribute__((unused)) = {
	2, 33, 54, 70, 85, 98, 110, 122, 134, 146, 158, 171, 186, 202, 223, 254};

static inline size_t
kernel_sq4_row_size(uint32_t dim, bool has_add)
{
	return sizeof(float) * (has_add ? 2 : 1) + dim / 2;
}

/*
 * A pq row: [float add if has_add], then the codes of m sub-quantizers, one
 * byte each. A query for pq rows holds, for each sub-quantizer, the inner
 * products of its tokens with all centroids. Tokens are side by side in groups
 * of 16; the last group has 4, 8 or 16 lanes, whichever it needs.
 *
 * key = the entries of the row's codes, added in order of the sub-quantizers,
 * plus add.
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

/* Return the PQ_CENTROIDS x lanes entries of one sub-quantizer. */
static inline float *
kernel_pq_table(const KernelPqQuery *q, uint32_t group, uint32_t s)
{
	return q->tables +
		   ((size_t) group * q->m * 16 + (size_t) s * kernel_pq_lanes(q, group)) * PQ_CENTROIDS;
}

/* Lay out a query in memory of kernel_pq_query_size() bytes; the caller fills in the entries. */
extern size_t         kernel_pq_query_size(uint32_t ntokens, uint32_t m);
extern KernelPqQuery *kernel_pq_lay_out(void *memory, uint32_t ntokens, uint32_t m);

/*
 * Sketches store one bit per dim, in blocks of 16 tokens. A block holds dim/8
 * byte positions x 16 tokens: byte p of token t is block[p * 16 + t], and its
 * bit j, counted from the lowest, is the sign of dim 8p + j (1 is positive).
 * Then follow 16 binary16 factors and, if has_add, 16 binary16 addends. dim is
 * a multiple of 32. A block with fewer than 16 tokens repeats its last token.
 */
#define SKETCH_BLOCK_TOKENS 16

static inline size_t
kernel_sketch_block_size(uint32_t dim, bool has_add)
{
	return (size_t) SKETCH_BLOCK_TOKENS * (dim / 8 + (has_add ? 4 : 2));
}

/*
 * A query for sketches. For each query token and every 4 dims, a table holds
 * the sums of +-q over these dims, in at most 31 steps (fewer if a 16-bit
 * total could overflow). Eight entries therefore add up in a byte, and their
 * rounding is a tenth of the error of the one-bit code itself. The estimate of
 * a token is
 *
 *		factor * (delta * total + base) + constant + add
 *
 * computed as two fused multiply-adds and an addition; add is 0 if there are
 * no addends.
 */
typedef struct KernelSketchQuery
{
	uint32_t ntokens;
	uint32_t dim; /* multiple of 32 */
	bool     has_add;
	uint8_t *lut; /* [dim/32][token][low, high nibble][4 bytes][16], 64-byte aligned */
	float   *delta;
	float   *base;
	float   *constant; /* contribution of the mean: q . mean */
} KernelSketchQuery;

extern size_t kernel_sketch_query_size(uint32_t ntokens, uint32_t dim);

/* Pack ntokens x dim floats that are already rotated; constant has one value per token. */
extern KernelSketchQuery *kernel_sketch_pack(void *memory, const float *rotated,
											 const float *constant, uint32_t ntokens, uint32_t dim,
											 bool has_add);

/*
 * Copy a query without addends: its tokens multiplied by factors, with constants
 * of 0, in memory of kernel_sketch_scaled_size() bytes. The copy points to the
 * tables of the original.
 */
extern size_t             kernel_sketch_scaled_size(uint32_t ntokens);
extern KernelSketchQuery *kernel_sketch_scale(void *memory, const KernelSketchQuery *query,
											  const float *factors);

/*
 * The functions that differ by instruction set. Every implementation returns
 * the same bits, as defined at the top of this file.
 */
typedef struct KernelOps
{
	const char *name; /* scalar, avx2, avx512, avx512vnni, amx; neon, neondot */

	/*
	 * Update running maxima of the keys of a run of rows. best and best_row
	 * have kernel_query_slots() entries. Before the first run the caller sets
	 * best to -INFINITY; best_row needs no initial value and may be NULL.
	 */
	void (*maxsim_rows)(const KernelQuery *q, const KernelRows *rows, float *best,
						uint32_t *best_row);

	/* Write all keys: out[row * kernel_query_slots() + slot]. */
	void (*dot_matrix)(const KernelQuery *q, const KernelRows *rows, float *out);

	/* Update running maxima over contiguous sq8 rows of kernel_sq8_row_size() bytes. */
	void (*sq8_rows)(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					 float *best);

	/*
	 * Write all keys of such rows: out[row * kernel_sq8_slots() + slot].
	 * Fastest if out is aligned to 64 bytes.
	 */
	void (*sq8_keys)(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					 float *out);

	/* Encode one row from dim floats. */
	void (*sq8_encode)(const float *token, uint32_t dim, bool has_add, float add, uint8_t *row);

	/*
	 * Return the squared length of a decoded row. The sum of squared codes is
	 * exact: no supported dim makes it overflow.
	 */
	float (*sq8_squared)(const uint8_t *row, uint32_t dim, bool has_add);

	/* Compute kernel_norm of each of n tokens. */
	void (*norms)(const float *tokens, uint32_t n, uint32_t dim, float *norms);

	/*
	 * Raise largest[slot] to the largest key of nrows rows, which are at
	 * keys[row * nslots + slot]. nslots is a multiple of 16. A NaN raises
	 * nothing.
	 */
	void (*keys_max)(const float *keys, uint32_t nrows, uint32_t nslots, float *largest);

	/*
	 * Collect the rows that have a key of at least least[slot], or a NaN key.
	 * Returns their number; rows has room for nrows.
	 */
	uint32_t (*keys_at_least)(const float *keys, uint32_t nrows, uint32_t nslots,
							  const float *least, uint32_t *rows);

	/* Unpack sq4 rows into sq8 rows with the same dim, scale and add. */
	void (*sq4_unpack)(const uint8_t *rows, uint32_t nrows, uint32_t dim, bool has_add,
					   uint8_t *out);

	/* Update running maxima over contiguous pq rows of kernel_pq_row_size() bytes. */
	void (*pq_rows)(const KernelPqQuery *q, const uint8_t *rows, uint32_t nrows, bool has_add,
					float *best);

	/*
	 * Update running maxima over sketch blocks. state holds ntokens x 16
	 * floats, one maximum per query token and lane; the caller sets them to
	 * -INFINITY.
	 */
	void (*sketch_blocks)(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks,
						  float *state);

	/* Finish a document: best[t] = the largest of the token's 16 lanes. */
	void (*sketch_finish)(const KernelSketchQuery *q, const float *state, float *best);

	/* Write the estimates of one block's 16 tokens for one query token. */
	void (*sketch_scores)(const KernelSketchQuery *q, uint32_t token, const uint8_t *block,
						  float *scores);

	/* Convert elements: widening is exact, narrowing rounds to nearest even. */
	void (*half_to_float)(const uint16_t *in, float *out, size_t n);
	void (*float_to_half)(const float *in, uint16_t *out, size_t n);
} KernelOps;

/* Implementation in use; never NULL. */
extern const KernelOps *kernels;

/* Choose the best implementation that this machine supports. Idempotent. */
extern void kernels_init(void);

/*
 * Force an implementation by name ("auto" = the best). Returns false if it is
 * unknown or not supported by this machine.
 */
extern bool kernels_select(const char *name);
extern bool kernels_supported(const char *name);

/* Return the names of all implementations in this build, supported or not, NULL-terminated. */
extern const char *const *kernels_names(void);

/* Largest finite binary16. */
#define MAX_HALF 65504.0f

/* Convert one value, outside hot loops. */
extern float    kernel_half_to_float(uint16_t h);
extern uint16_t kernel_float_to_half(float f);

/* Return |x|: the square root of the fmaf chain of x[k] * x[k]. */
extern float kernel_norm(const float *x, uint32_t dim);

#endif /* COLBERT_KERNELS_H */
