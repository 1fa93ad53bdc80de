/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  Table of codecs.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/codec.h"

#include <string.h>

static const Codec *const codecs[] = {
	&codec_sq8, &codec_flat, &codec_bit, &codec_sq4, &codec_pq,
};

#define NUM_CODECS (sizeof(codecs) / sizeof(codecs[0]))

const Codec *
codec_by_id(int id)
{
	for (size_t i = 0; i < NUM_CODECS; i++)
		if ((int) codecs[i]->id == id)
			return codecs[i];
	return NULL;
}

const Codec *
codec_by_name(const char *name)
{
	for (size_t i = 0; i < NUM_CODECS; i++)
		if (strcmp(codecs[i]->name, name) == 0)
			return codecs[i];
	return NULL;
}
