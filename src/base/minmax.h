/*-------------------------------------------------------------------------
 *
 * minmax.h
 *	  The larger and the smaller of two numbers, in plain C.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MINMAX_H
#define COLBERT_MINMAX_H

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

#endif /* COLBERT_MINMAX_H */
