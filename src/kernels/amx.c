/*-------------------------------------------------------------------------
 *
 * amx.c
 *	  Maxima of sq8 rows with AMX int8 tiles; everything else is as with AVX-512
 *	  VNNI. All keys are also computed by VNNI, which takes .65 to .9 times as
 *	  long: the sums of a tile go through memory, and a call with few rows
 *	  mostly configures tiles (Sapphire Rapids, bench/kernels).
 *
 * A tile product multiplies up to 16 rows of 64 unsigned bytes with 16 query
 * tokens of 64 signed bytes into 16 x 16 integers. The rows are the codes as
 * stored; the query tokens are 16 registers of the query as packed for VNNI.
 *
 * The unit tests also build this file with COLBERT_AMX_EMULATED, which
 * replaces the tile instructions by functions in plain C. That tests the logic
 * on processors without AMX, but says nothing about its speed.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels/internal.h"

#if defined(__x86_64__)

#if defined(__AMX_INT8__) || defined(COLBERT_AMX_EMULATED)

#include "kernels/avx512.h"

#if defined(COLBERT_AMX_EMULATED)
#include "amx_emulation.h"
#endif

const bool kernels_amx_built = true;

#define AMX_TILE_ROWS 16
#define TILE_DIMS     64 /* dims per full step */
/* Blocks of rows at a time, in tiles 0 .. 3: enough to cover the latency of a product. */
#define BLOCKS 4

/*
 * Tiles 0 .. 3 hold sums, 4 the rows and 5 the query. Tiles 6 and 7 hold the
 * rows and the query of the last step if it has fewer than 64 dims. The shapes
 * are fixed for a whole run, since setting them clears all tiles.
 */
typedef struct __attribute__((packed)) TileConfig
{
	uint8_t  palette;
	uint8_t  start_row;
	uint8_t  reserved[14];
	uint16_t row_bytes[16];
	uint8_t  rows[16];
} TileConfig;

_Static_assert(sizeof(TileConfig) == 64, "layout of the tile configuration");

/*
 * A run of rows in blocks of equal height. The last block overlaps the one
 * before it, which changes no maximum.
 */
typedef struct TileRun
{
	const KernelSq8Query *q;
	const uint8_t        *rows;
	size_t                stride;
	size_t                codes_at; /* offset of the codes in a row */
	uint32_t              nrows;
	uint32_t              height; /* rows per block */
	bool                  has_add;
} TileRun;

/* The compiler does not know that tile instructions read memory. */
#define ALL_STORED() __asm__ volatile("" ::: "memory")

static void
set_tile(TileConfig *config, int tile, uint32_t rows, uint32_t row_bytes)
{
	config->rows[tile] = (uint8_t) rows;
	config->row_bytes[tile] = (uint16_t) row_bytes;
}

static void
configure_tiles(const TileRun *run)
{
	TileConfig config;
	uint32_t   rest = run->q->dim4 % TILE_DIMS;

	memset(&config, 0, sizeof(config));
	config.palette = 1;
	for (int block = 0; block < BLOCKS; block++)
		set_tile(&config, block, run->height, 16 * sizeof(int32_t));
	set_tile(&config, 4, run->height, TILE_DIMS);
	set_tile(&config, 5, TILE_DIMS / 4, 16 * 4);
	if (rest > 0)
	{
		set_tile(&config, 6, run->height, rest);
		set_tile(&config, 7, rest / 4, 16 * 4);
	}
	ALL_STORED();
	_tile_loadconfig(&config);
}

static size_t
block_first_row(const TileRun *run, uint32_t block)
{
	return min_uint32(block * run->height, run->nrows - run->height);
}

static const uint8_t *
block_rows(const TileRun *run, uint32_t block)
{
	return run->rows + block_first_row(run, block) * run->stride;
}

/* Take one step through the dims for up to four blocks, whose codes are at codes[]. */
#define TILE_STEP(rows_tile, query_tile, pack)                 \
	do                                                         \
	{                                                          \
		_tile_loadd(query_tile, pack, 64);                     \
		_tile_loadd(rows_tile, codes[0] + k, run->stride);     \
		_tile_dpbusd(0, rows_tile, query_tile);                \
		if (nblocks > 1)                                       \
		{                                                      \
			_tile_loadd(rows_tile, codes[1] + k, run->stride); \
			_tile_dpbusd(1, rows_tile, query_tile);            \
		}                                                      \
		if (nblocks > 2)                                       \
		{                                                      \
			_tile_loadd(rows_tile, codes[2] + k, run->stride); \
			_tile_dpbusd(2, rows_tile, query_tile);            \
		}                                                      \
		if (nblocks > 3)                                       \
		{                                                      \
			_tile_loadd(rows_tile, codes[3] + k, run->stride); \
			_tile_dpbusd(3, rows_tile, query_tile);            \
		}                                                      \
	} while (0)

/*
 * Multiply 1 to 4 blocks by one group of query tokens:
 * sums[block][row][token], less the correction.
 */
static void
multiply_blocks(const TileRun *run, uint32_t first_block, uint32_t nblocks, uint32_t group,
				int32_t (*sums)[AMX_TILE_ROWS * 16])
{
	const KernelSq8Query *q = run->q;
	const int8_t         *pack = q->pack + (size_t) group * q->dim4 * 16;
	uint32_t              whole = q->dim4 - q->dim4 % TILE_DIMS;
	int32_t               start[16] __attribute__((aligned(64)));
	const uint8_t        *codes[BLOCKS];
	uint32_t              k;

	for (uint32_t block = 0; block < BLOCKS; block++)
		codes[block] =
			block_rows(run, first_block + min_uint32(block, nblocks - 1)) + run->codes_at;
	_mm512_store_si512(start, _mm512_sub_epi32(_mm512_setzero_si512(),
											   _mm512_loadu_si512(q->correction + group * 16)));
	ALL_STORED();

	/* With a stride of 0, every row of sums starts from the same 16 integers. */
	_tile_loadd(0, start, 0);
	_tile_loadd(1, start, 0);
	_tile_loadd(2, start, 0);
	_tile_loadd(3, start, 0);
	for (k = 0; k < whole; k += TILE_DIMS)
		TILE_STEP(4, 5, pack + (size_t) k * 16);
	if (k < q->dim4)
		TILE_STEP(6, 7, pack + (size_t) k * 16);

	_tile_stored(0, sums[0], 64);
	if (nblocks > 1)
		_tile_stored(1, sums[1], 64);
	if (nblocks > 2)
		_tile_stored(2, sums[2], 64);
	if (nblocks > 3)
		_tile_stored(3, sums[3], 64);
}

static void
score_blocks(const TileRun *run, uint32_t first_block, uint32_t nblocks, float *best)
{
	int32_t sums[BLOCKS][AMX_TILE_ROWS * 16] __attribute__((aligned(64)));

	for (uint32_t group = 0; group < run->q->ngroups; group++)
	{
		multiply_blocks(run, first_block, nblocks, group, sums);
		for (uint32_t block = 0; block < nblocks; block++)
		{
			Sq8Result tile = {sums[block], block_rows(run, first_block + block),
							  run->stride, run->height,
							  1,           run->has_add};

			avx512_sq8_maxima(&tile, 0, run->q->scale + group * 16, best + group * 16);
		}
	}
}

static void
amx_sq8_rows(const KernelSq8Query *q, const uint8_t *rows, uint32_t nrows, bool has_add,
			 float *best)
{
	TileRun run = {
		q, rows,   kernel_sq8_row_size(q->dim, has_add), sizeof(float) * (has_add ? 2 : 1), nrows,
		0, has_add};
	uint32_t nblocks;

	if (nrows == 0)
		return;
	run.height = next_block_rows(nrows, AMX_TILE_ROWS);
	nblocks = (nrows + run.height - 1) / run.height;
	configure_tiles(&run);
	for (uint32_t block = 0; block < nblocks; block += BLOCKS)
		score_blocks(&run, block, min_uint32(nblocks - block, BLOCKS), best);
	_tile_release();
}

const KernelOps kernels_amx = {
	.name = "amx",
	AVX512_KERNELS,
	.sq8_rows = amx_sq8_rows,
	.sq8_keys = avx512vnni_sq8_keys,
	.sketch_blocks = avx512vnni_sketch_blocks,
	.sketch_scores = avx512vnni_sketch_scores,
};

#else /* compiler without AMX support */

const bool      kernels_amx_built = false;
const KernelOps kernels_amx = {.name = "amx"};

#endif

#endif /* __x86_64__ */
