/*-------------------------------------------------------------------------
 *
 * minmax.h
 *	  Maximum and minimum of two numbers, for files without PostgreSQL
 *	  headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_MINMAX_H
#define COLBERT_MINMAX_H

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

#endif /* COLBERT_MINMAX_H */
