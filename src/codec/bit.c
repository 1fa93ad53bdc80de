/*-------------------------------------------------------------------------
 *
 * bit.c
 *	  The codec without code rows: sketches narrow, and the stored column
 *	  decides.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/codec.h"

static size_t
bit_row_size(CodecShape shape)
{
	return 0;
}

const Codec codec_bit = {
	.id = CODEC_BIT,
	.name = "bit",
	.coarse = true,
	.row_size = bit_row_size,
};
