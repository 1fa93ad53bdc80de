/*-------------------------------------------------------------------------
 *
 * tiles.h
 *	  The part of the float and sq8 kernels that all vector instruction sets
 *	  share.
 *
 * A tile is a block of document rows times one or two groups of query tokens.
 * An instruction set provides functions that compute the dot products of a
 * tile of fixed height, and functions that widen rows. This file provides the
 * rest: cutting a run of rows into tiles, turning dot products into keys, and
 * updating the maxima.
 *
 * Each instruction set's file includes this one after <immintrin.h> or its
 * equivalent. Everything is inlined there and compiled for that instruction
 * set.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_KERNELS_TILES_H
#define COLBERT_KERNELS_TILES_H

#include "kernels/internal.h"

/* Rows this many bytes apart share a set of the first-level cache. */
#define CACHE_WAY     4096
#define MAX_TILE_ROWS KERNEL_SCRATCH_ROWS
/*
 * Maximum tile height if the caller announces the next rows: taller tiles wait
 * for lines that are not in cache.
 */
#define MAX_STREAM_ROWS 16
#define MAX_TILE_FLOATS (16 * 32) /* dots of 16 rows of one group of 16, or of 12 rows of two */

/*
 * The rows of a tile, and the bytes to prefetch meanwhile: ahead_step of them
 * with each step through the dims, while the multiply-adds keep the core busy.
 * Prefetches in one burst before a document would wait for each other; spread
 * out, they hide most of the latency.
 */
typedef struct TileRows
{
	const char *first;
	size_t      stride;
	uint32_t    nrows;
	const char *ahead;
	size_t      ahead_step;
} TileRows;

KERNEL_INLINE void
tile_prefetch(const TileRows *rows, size_t k)
{
	__builtin_prefetch(rows->ahead + k * rows->ahead_step, 0, 3);
}

/*
 * Compute the dot products of a fixed number of rows with the group of query
 * tokens at pack, or with that group and the next:
 * dots[(row * groups + group) * lanes + lane].
 */
typedef void (*DotTile)(const KernelQuery *q, const float *pack, const TileRows *rows, float *dots);

/* Tiles of one shape, indexed by height; tiles[0] is unused. */
typedef struct TileShape
{
	uint32_t       most_rows;
	bool           full_first; /* tiles of the maximum height are faster: use all that fit */
	uint32_t       groups;
	const DotTile *tiles;
} TileShape;

/* A tile's dot products and its position in the run and in the query. */
typedef struct TileResult
{
	const float *dots;
	uint32_t     width;     /* floats per row of dots: lanes * groups */
	uint32_t     first_row; /* in the run */
	uint32_t     nrows;
	uint32_t     first_slot; /* in the query */
} TileResult;

/*
 * Finish slots at .. at + lanes - 1 of a tile's width: update running maxima
 * (best_row may be NULL), or write keys, nslots floats per row.
 */
typedef void (*TileMaxima)(const KernelRows *rows, const TileResult *tile, uint32_t at, float *best,
						   uint32_t *best_row);
typedef void (*TileKeys)(const KernelRows *rows, const TileResult *tile, uint32_t at, float *keys,
						 size_t nslots);

/* Functions of an instruction set for queries with a given number of lanes. */
typedef struct TileLanes
{
	TileShape  one;  /* one group at a time */
	TileShape  pair; /* two groups at a time, or the same as one */
	TileMaxima maxima;
	TileKeys   keys;
} TileLanes;

typedef struct TileKernels
{
	TileLanes lanes4;
	TileLanes lanes8;
	TileLanes lanes16;
	void (*half_to_float)(const uint16_t *in, float *out, size_t n);
	void (*int8_to_float)(const int8_t *in, float scale, float *out, size_t n);
} TileKernels;

/*
 * Return rows i .. i + nrows - 1 as floats: in place, or widened into the
 * query's scratch, which holds one tile. Rows that are a whole number of cache
 * ways apart would evict each other, so they are copied to the scratch too.
 * Prefetching continues with the next rows of the run, or after its end with
 * those that the caller announced.
 */
KERNEL_INLINE TileRows
tile_rows(const TileKernels *k, const KernelQuery *q, const KernelRows *rows, uint32_t i,
		  uint32_t nrows)
{
	size_t   scratch_stride = kernel_scratch_stride(q->dim);
	TileRows tile = {(const char *) row_bytes(rows, i), rows->stride, nrows, rows->next, 0};

	if (i + nrows < rows->nrows || rows->next == NULL)
		tile.ahead = tile.first + nrows * rows->stride;
	tile.ahead_step = (nrows * rows->stride + q->dim - 1) / q->dim;
	if (rows->element == KERNEL_FLOAT4 && rows->stride % CACHE_WAY != 0)
		return tile;

	for (uint32_t r = 0; r < nrows; r++)
	{
		const void *in = row_bytes(rows, i + r);
		float      *out = q->scratch + r * scratch_stride;

		if (rows->element == KERNEL_FLOAT4)
			memcpy(out, in, q->dim * sizeof(float));
		else if (rows->element == KERNEL_FLOAT2)
			k->half_to_float(in, out, q->dim);
		else
			k->int8_to_float(in, row_param(rows, rows->scale, i + r, 1.0f), out, q->dim);
	}
	tile.first = (const char *) q->scratch;
	tile.stride = scratch_stride * sizeof(float);
	return tile;
}

/* Return the constants that turn the dots of row r of a tile into keys. */
KERNEL_INLINE float
tile_mul(const KernelRows *rows, const TileResult *tile, uint32_t r)
{
	return row_param(rows, rows->mul, tile->first_row + r, 1.0f);
}

KERNEL_INLINE float
tile_add(const KernelRows *rows, const TileResult *tile, uint32_t r)
{
	return row_param(rows, rows->add, tile->first_row + r, 0.0f);
}

/* Where the results of a run go: maxima, or all keys if keys is not NULL. */
typedef struct TileSink
{
	float    *best;
	uint32_t *best_row;
	float    *keys;
} TileSink;

KERNEL_INLINE void
tile_finish(const TileLanes *k, const KernelQuery *q, const KernelRows *rows,
			const TileResult *tile, const TileSink *sink)
{
	for (uint32_t at = 0; at < tile->width; at += q->lanes)
	{
		if (sink->keys != NULL)
			k->keys(rows, tile, at, sink->keys, kernel_query_slots(q));
		else
			k->maxima(rows, tile, at, sink->best, sink->best_row);
	}
}

/* Return the height of the next tile when 'left' rows remain. */
KERNEL_INLINE uint32_t
tile_height(const TileShape *shape, const KernelRows *rows, uint32_t left)
{
	if (rows->next != NULL)
		return next_block_rows(left, min_uint32(shape->most_rows, MAX_STREAM_ROWS));
	if (shape->full_first && left >= shape->most_rows)
		return shape->most_rows;
	return next_block_rows(left, shape->most_rows);
}

/*
 * Process a run of rows tile by tile. All query tokens are multiplied with a
 * block of rows before the next block is touched, so that each row is read
 * from memory once.
 */
KERNEL_INLINE void
tile_run(const TileKernels *kernels_of_isa, const KernelQuery *q, const KernelRows *rows,
		 const TileSink *sink)
{
	float            dots[MAX_TILE_FLOATS] __attribute__((aligned(64)));
	const TileLanes *k = q->lanes == 4   ? &kernels_of_isa->lanes4
						 : q->lanes == 8 ? &kernels_of_isa->lanes8
										 : &kernels_of_isa->lanes16;
	uint32_t         nrows;

	for (uint32_t i = 0; i < rows->nrows; i += nrows)
	{
		TileRows         block;
		const TileShape *shape;

		nrows = tile_height(q->ngroups > 1 ? &k->pair : &k->one, rows, rows->nrows - i);
		block = tile_rows(kernels_of_isa, q, rows, i, nrows);
		for (uint32_t group = 0; group < q->ngroups; group += shape->groups)
		{
			TileResult tile;

			shape = q->ngroups - group > 1 ? &k->pair : &k->one;
			shape->tiles[nrows](q, q->pack + (size_t) group * q->dim * q->lanes, &block, dots);
			block.ahead_step = 0;

			tile.dots = dots;
			tile.width = shape->groups * q->lanes;
			tile.first_row = i;
			tile.nrows = nrows;
			tile.first_slot = group * q->lanes;
			tile_finish(k, q, rows, &tile, sink);
		}
	}
}

/*
 * Pointers to every third row. Addressing modes can add one or two strides to
 * a base register, so that few registers reach many rows.
 */
#define ROW_BASES ((MAX_TILE_ROWS + 2) / 3)

KERNEL_INLINE void
set_row_bases(const char **base, const TileRows *rows, const int nrows)
{
	KERNEL_UNROLL
	for (int i = 0; i < (nrows + 2) / 3; i++)
		base[i] = rows->first + i * 3 * rows->stride;
}

KERNEL_INLINE const char *
row_at(const char *const *base, size_t stride, const int i)
{
	return base[i / 3] + i % 3 * stride;
}

/*
 * Define tiles of every height from an expression in n. TILES_16(DEFINE_TILE,
 * name, EXPRESSION) defines name_1 to name_16; {NULL, TILES_16(TILE_ENTRY,
 * name, _)} is their table.
 */
#define DEFINE_TILE(name, expression, n)                                                  \
	static void name##_##n(const KernelQuery *q, const float *pack, const TileRows *rows, \
						   float *dots)                                                   \
	{                                                                                     \
		expression(n);                                                                    \
	}
#define TILE_ENTRY(name, expression, n) name##_##n,

#define TILES_4(m, name, expression) \
	m(name, expression, 1) m(name, expression, 2) m(name, expression, 3) m(name, expression, 4)
#define TILES_6(m, name, expression) \
	TILES_4(m, name, expression) m(name, expression, 5) m(name, expression, 6)
#define TILES_8(m, name, expression) \
	TILES_6(m, name, expression) m(name, expression, 7) m(name, expression, 8)
#define TILES_12(m, name, expression) \
	TILES_8(m, name, expression)      \
	m(name, expression, 9) m(name, expression, 10) m(name, expression, 11) m(name, expression, 12)
#define TILES_15(m, name, expression) \
	TILES_12(m, name, expression)     \
	m(name, expression, 13) m(name, expression, 14) m(name, expression, 15)
#define TILES_16(m, name, expression) TILES_15(m, name, expression) m(name, expression, 16)

/* ------------------------------------------------------------------------
 * sq8
 * ------------------------------------------------------------------------
 */

/*
 * Compute the integer dot products, less the correction, of a fixed number of
 * rows with one group of 16 query tokens, or with that group and the next:
 * sums[(row * groups + group) * 16 + token]. codes->first points to the codes
 * of the first row, after the row's scale and add.
 */
typedef void (*Sq8Tile)(const KernelSq8Query *q, uint32_t group, const TileRows *codes,
						int32_t *sums);

typedef struct Sq8Shape
{
	uint32_t       most_rows;
	uint32_t       groups;
	const Sq8Tile *tiles; /* by height; tiles[0] is unused */
} Sq8Shape;

/* A tile of sums and the rows it was computed from. */
typedef struct Sq8Result
{
	const int32_t *sums;
	const uint8_t *rows; /* start of the first row, with its scale and add */
	size_t         stride;
	uint32_t       nrows;
	uint32_t       ngroups;
	bool           has_add;
} Sq8Result;

typedef struct Sq8Kernels
{
	Sq8Shape half; /* first 8 tokens of a group, or the same as one */
	Sq8Shape one;
	Sq8Shape pair;
	/* Update the 16 running maxima at best from column 'group' of the tile. */
	void (*maxima)(const Sq8Result *tile, uint32_t group, const float *query_scale, float *best);
	/* Write the 16 keys of each row of that column, nslots floats per row. */
	void (*keys)(const Sq8Result *tile, uint32_t group, const float *query_scale, float *out,
				 size_t nslots);
} Sq8Kernels;

/* Where the results of a run go: maxima, or all keys if keys is not NULL. */
typedef struct Sq8Sink
{
	float *best;
	float *keys;
} Sq8Sink;

KERNEL_INLINE float
sq8_row_scale(const Sq8Result *tile, uint32_t r)
{
	return load_float(tile->rows + r * tile->stride);
}

KERNEL_INLINE float
sq8_row_add(const Sq8Result *tile, uint32_t r)
{
	return tile->has_add ? load_float(tile->rows + r * tile->stride + sizeof(float)) : 0.0f;
}

/* Choose the shape of tile for the query tokens from 'group' on. */
KERNEL_INLINE const Sq8Shape *
sq8_shape(const Sq8Kernels *k, const KernelSq8Query *q, uint32_t group)
{
	uint32_t left = q->ntokens - group * 16;

	return left > 16 ? &k->pair : left > 8 ? &k->one : &k->half;
}

KERNEL_INLINE void
sq8_run(const Sq8Kernels *k, const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows,
		bool has_add, Sq8Sink sink)
{
	int32_t  sums[MAX_TILE_FLOATS] __attribute__((aligned(64)));
	size_t   stride = kernel_sq8_row_size(q->dim, has_add);
	uint32_t most_rows = sq8_shape(k, q, 0)->most_rows;

	while (nrows > 0)
	{
		uint32_t        height = next_block_rows(nrows, most_rows);
		const char     *first = (const char *) rows + sizeof(float) * (has_add ? 2 : 1);
		TileRows        codes = {first, stride, height, first + height * stride,
								 (height * stride + q->dim - 1) / q->dim};
		const Sq8Shape *shape;

		for (uint32_t group = 0; group < q->ngroups; group += shape->groups)
		{
			Sq8Result tile;

			shape = sq8_shape(k, q, group);
			tile.sums = sums;
			tile.rows = rows;
			tile.stride = stride;
			tile.nrows = height;
			tile.ngroups = shape->groups;
			tile.has_add = has_add;
			shape->tiles[height](q, group, &codes, sums);
			codes.ahead_step = 0;
			for (uint32_t g = 0; g < shape->groups; g++)
			{
				size_t slot = (size_t) (group + g) * 16;

				if (sink.keys != NULL)
					k->keys(&tile, g, q->scale + slot, sink.keys + slot, kernel_sq8_slots(q));
				else
					k->maxima(&tile, g, q->scale + slot, sink.best + slot);
			}
		}
		rows += height * stride;
		nrows -= height;
		if (sink.keys != NULL)
			sink.keys += (size_t) height * kernel_sq8_slots(q);
	}
}

#define DEFINE_SQ8_TILE(name, expression, n)                                               \
	static void name##_##n(const KernelSq8Query *q, uint32_t group, const TileRows *codes, \
						   int32_t *sums)                                                  \
	{                                                                                      \
		expression(n);                                                                     \
	}

/* The shapes of Sq8Kernels if one kind of tile serves all. */
#define SQ8_SHAPES(rows, tile_table)                                   \
	.half = {.most_rows = (rows), .groups = 1, .tiles = (tile_table)}, \
	.one = {.most_rows = (rows), .groups = 1, .tiles = (tile_table)},  \
	.pair = {.most_rows = (rows), .groups = 1, .tiles = (tile_table)}

/* Define the members of KernelOps that run the Sq8Kernels of an instruction set. */
#define DEFINE_SQ8_KERNELS(set)                                                              \
	static void set##_sq8_rows(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, \
							   bool has_add, float *best)                                    \
	{                                                                                        \
		sq8_run(&set##_sq8, q, rows, nrows, has_add, (Sq8Sink) {best, NULL});                \
	}                                                                                        \
	static void set##_sq8_keys(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, \
							   bool has_add, float *out)                                     \
	{                                                                                        \
		sq8_run(&set##_sq8, q, rows, nrows, has_add, (Sq8Sink) {NULL, out});                 \
	}

#endif /* COLBERT_KERNELS_TILES_H */
