/*-------------------------------------------------------------------------
 *
 * io.h
 *	  JSON text of multivectors, for casts from and to types that hold text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MULTIVECTOR_IO_H
#define COLBERT_MULTIVECTOR_IO_H

#include "multivector/multivector.h"

/*
 * Parse [[0.1,0.2],[0.3,0.4]]; the text need not be NUL-terminated. context is
 * that of an input function, or NULL. Returns NULL if the context took a soft
 * error.
 */
extern MultiVector *multivector_from_text(Node *context, const char *text, size_t length);

/* Return [[0.1,0.2],[0.3,0.4]], whatever form the session's output has. */
extern char *multivector_json(const MultiVector *mv);

#endif /* COLBERT_MULTIVECTOR_IO_H */
