/*-------------------------------------------------------------------------
 *
 * amx_emulation.h
 *	  Emulation in plain C of the AMX instructions that kernels/amx.c uses.
 *
 * It follows the definition of the instructions, including their checks: if a
 * tile is used against its configured shape, the program aborts, as the
 * processor would raise a fault.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_AMX_EMULATION_H
#define COLBERT_AMX_EMULATION_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct EmulatedTile
{
	uint32_t rows;
	uint32_t row_bytes;
	uint8_t  data[16][64];
} EmulatedTile;

/* Registers of a thread. */
static _Thread_local EmulatedTile emulated_tiles[8];
static _Thread_local int          emulated_palette;

static inline EmulatedTile *
emulated_tile(int number)
{
	EmulatedTile *tile = &emulated_tiles[number];

	if (emulated_palette != 1 || tile->rows == 0 || tile->row_bytes == 0)
		abort();
	return tile;
}

static inline void
emulated_loadconfig(const uint8_t *config)
{
	memset(emulated_tiles, 0, sizeof(emulated_tiles));
	emulated_palette = config[0];
	for (int i = 0; i < 8; i++)
	{
		emulated_tiles[i].row_bytes = config[16 + 2 * i] | config[17 + 2 * i] << 8;
		emulated_tiles[i].rows = config[48 + i];
		if (emulated_tiles[i].rows > 16 || emulated_tiles[i].row_bytes > 64)
			abort();
	}
}

static inline void
emulated_loadd(int number, const uint8_t *base, long stride)
{
	EmulatedTile *tile = emulated_tile(number);

	memset(tile->data, 0, sizeof(tile->data));
	for (uint32_t row = 0; row < tile->rows; row++)
		memcpy(tile->data[row], base + (long) row * stride, tile->row_bytes);
}

static inline void
emulated_stored(int number, uint8_t *base, long stride)
{
	const EmulatedTile *tile = emulated_tile(number);

	for (uint32_t row = 0; row < tile->rows; row++)
		memcpy(base + (long) row * stride, tile->data[row], tile->row_bytes);
}

/* Add to sums[m][n] the four products of unsigned a[m][4k ..] and signed b[k][4n ..], for all k. */
static inline void
emulated_dpbusd(int sums_number, int a_number, int b_number)
{
	EmulatedTile       *sums = emulated_tile(sums_number);
	const EmulatedTile *a = emulated_tile(a_number);
	const EmulatedTile *b = emulated_tile(b_number);

	if (sums->rows != a->rows || a->row_bytes != b->rows * 4 || sums->row_bytes != b->row_bytes)
		abort();
	for (uint32_t m = 0; m < sums->rows; m++)
	{
		for (uint32_t n = 0; n < sums->row_bytes / 4; n++)
		{
			int32_t sum;

			memcpy(&sum, &sums->data[m][n * 4], sizeof(sum));
			for (uint32_t k = 0; k < a->row_bytes; k++)
				sum += (int32_t) a->data[m][k] * (int8_t) b->data[k / 4][n * 4 + k % 4];
			memcpy(&sums->data[m][n * 4], &sum, sizeof(sum));
		}
	}
}

#undef _tile_loadconfig
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbusd
#undef _tile_release
#define _tile_loadconfig(config) emulated_loadconfig((const uint8_t *) (config))
#define _tile_loadd(tile, base, stride) \
	emulated_loadd(tile, (const uint8_t *) (base), (long) (stride))
#define _tile_stored(tile, base, stride) emulated_stored(tile, (uint8_t *) (base), (long) (stride))
#define _tile_dpbusd(sums, a, b)         emulated_dpbusd(sums, a, b)
#define _tile_release()                  ((void) (emulated_palette = 0))

#endif /* COLBERT_AMX_EMULATION_H */
