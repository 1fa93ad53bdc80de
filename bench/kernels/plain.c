/*-------------------------------------------------------------------------
 *
 * plain.c
 *	  Plain loops that the kernels are compared with.
 *
 * Compiled twice: with PREFIX plain_, and with PREFIX fast_ and -ffast-math.
 * Norms (cosine) and the root (L2) are computed in the loop.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "plain.h"

#define JOIN(prefix, name)   prefix##name
#define EXPAND(prefix, name) JOIN(prefix, name)
#define PLAIN(name)          EXPAND(PREFIX, name)

float
PLAIN(maxsim)(const float *q, int nq, const float *d, int nd, int dim)
{
	float total = 0;

	for (int i = 0; i < nq; i++)
	{
		float best = -INFINITY;

		for (int j = 0; j < nd; j++)
		{
			float dot = 0;

			for (int k = 0; k < dim; k++)
				dot += q[i * dim + k] * d[j * dim + k];
			if (dot > best)
				best = dot;
		}
		total += best;
	}
	return total;
}

float
PLAIN(cosine)(const float *q, int nq, const float *d, int nd, int dim)
{
	float total = 0;

	for (int i = 0; i < nq; i++)
	{
		float best = -INFINITY;

		for (int j = 0; j < nd; j++)
		{
			float dot = 0, qq = 0, dd = 0;

			for (int k = 0; k < dim; k++)
			{
				dot += q[i * dim + k] * d[j * dim + k];
				qq += q[i * dim + k] * q[i * dim + k];
				dd += d[j * dim + k] * d[j * dim + k];
			}
			dot /= sqrtf(qq) * sqrtf(dd);
			if (dot > best)
				best = dot;
		}
		total += best;
	}
	return total;
}

float
PLAIN(l2)(const float *q, int nq, const float *d, int nd, int dim)
{
	float total = 0;

	for (int i = 0; i < nq; i++)
	{
		float best = INFINITY;

		for (int j = 0; j < nd; j++)
		{
			float distance = 0;

			for (int k = 0; k < dim; k++)
			{
				float difference = q[i * dim + k] - d[j * dim + k];

				distance += difference * difference;
			}
			distance = sqrtf(distance);
			if (distance < best)
				best = distance;
		}
		total += best;
	}
	return total;
}
