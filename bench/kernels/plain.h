/*-------------------------------------------------------------------------
 *
 * plain.h
 *	  Plain loops that the kernels are compared with; see plain.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COLBERT_BENCH_PLAIN_H
#define COLBERT_BENCH_PLAIN_H

/* Score a document of nd tokens for a query of nq tokens. */
typedef float (*PlainScore)(const float *q, int nq, const float *d, int nd, int dim);

extern float plain_maxsim(const float *q, int nq, const float *d, int nd, int dim);
extern float plain_cosine(const float *q, int nq, const float *d, int nd, int dim);
extern float plain_l2(const float *q, int nq, const float *d, int nd, int dim);
extern float fast_maxsim(const float *q, int nq, const float *d, int nd, int dim);
extern float fast_cosine(const float *q, int nq, const float *d, int nd, int dim);
extern float fast_l2(const float *q, int nq, const float *d, int nd, int dim);

#endif /* COLBERT_BENCH_PLAIN_H */
