/*-------------------------------------------------------------------------
 *
 * io.h
 *	  Text input of multivectors, for casts from types that hold text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MULTIVECTOR_IO_H
#define COLBERT_MULTIVECTOR_IO_H

#include "multivector/multivector.h"

/*
 * Parse [[0.1,0.2],[0.3,0.4]]; the text need not end in a NUL. Returns NULL
 * where the context of an input function (NULL elsewhere) took the error.
 */
extern MultiVector *multivector_from_text(Node *context, const char *text, size_t length);

/* The output function. */
extern Datum multivector_out(PG_FUNCTION_ARGS);

#endif /* COLBERT_MULTIVECTOR_IO_H */
