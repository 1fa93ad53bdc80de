/*-------------------------------------------------------------------------
 *
 * kernels_sketch512.h
 *	  The scan over sketches in 512-bit registers, by byte shuffles.
 *
 * A register holds 4 byte positions of the 16 tokens of a block; a table of
 * 16 entries a position stands in each 128-bit lane, so one shuffle looks up
 * 64 nibbles. Four lookups of at most 63 add up in a byte; then the four
 * positions of a token are brought side by side and added into its total.
 *
 * A template: the file that includes this has defined before
 *
 *	sketch_add_quads(total, bytes)
 *		total[i] + the four unsigned bytes of element i, for 16 integers
 *
 * and gets sketch_blocks and sketch_scores.
 *
 *-------------------------------------------------------------------------
 */

/* Query tokens that share the loading and splitting of codes. */
#define SKETCH_TOKENS 4

/* The factors and addends of a block, widened. */
typedef struct SketchParams16
{
	__m512		factor;
	__m512		add;
} SketchParams16;

KERNEL_INLINE SketchParams16
sketch_params(const KernelSketchQuery *q, const uint8_t *block)
{
	const uint8_t *halves = block + (size_t) q->dim * 2;
	SketchParams16 params;

	params.factor = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) halves));
	params.add = _mm512_setzero_ps();
	if (q->has_add)
		params.add = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) (halves + 32)));
	return params;
}

KERNEL_INLINE __m512
sketch_estimate(const KernelSketchQuery *q, uint32_t token, const SketchParams16 *params, __m512i total)
{
	__m512		sum = _mm512_fmadd_ps(_mm512_set1_ps(q->delta[token]), _mm512_cvtepi32_ps(total),
									  _mm512_set1_ps(q->base[token]));
	__m512		estimate = _mm512_fmadd_ps(params->factor, sum, _mm512_set1_ps(q->constant[token]));

	return q->has_add ? _mm512_add_ps(estimate, params->add) : estimate;
}

/* sum += the table entries of the 32 dims whose codes, split into nibbles, are low and high. */
KERNEL_INLINE __m512i
sketch_look_up(__m512i sum, const uint8_t *lut, __m512i low, __m512i high)
{
	sum = _mm512_add_epi8(sum, _mm512_shuffle_epi8(_mm512_load_si512(lut), low));
	return _mm512_add_epi8(sum, _mm512_shuffle_epi8(_mm512_load_si512(lut + 64), high));
}

/*
 * Sums of the next 64 dims (32 where no more are left) for the 'ntokens'
 * query tokens whose tables begin at lut, in bytes.
 */
KERNEL_INLINE void
sketch_byte_sums(const KernelSketchQuery *q, const uint8_t *codes, const uint8_t *lut, bool whole,
				 __m512i *sums, const int ntokens)
{
	const __m512i nibble = _mm512_set1_epi8(15);
	size_t		token_size = (size_t) q->dim * 4;
	__m512i		bytes = _mm512_loadu_si512(codes);
	__m512i		low = _mm512_and_si512(bytes, nibble);
	__m512i		high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);

	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
		sums[t] = sketch_look_up(_mm512_setzero_si512(), lut + t * token_size, low, high);
	if (!whole)
		return;
	bytes = _mm512_loadu_si512(codes + 64);
	low = _mm512_and_si512(bytes, nibble);
	high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
		sums[t] = sketch_look_up(sums[t], lut + t * token_size + 128, low, high);
}

/* Bring the four positions of each token side by side: byte 16p + t to 4t + p. */
KERNEL_INLINE __m512i
sketch_by_token(__m512i sums)
{
	const __m512i dwords = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	const __m512i bytes = _mm512_set4_epi32(0x0F0B0703, 0x0E0A0602, 0x0D090501, 0x0C080400);

	return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(dwords, sums), bytes);
}

/* The totals of the 16 tokens of a block, in order, for the query tokens from 'token' on. */
KERNEL_INLINE void
sketch_totals(const KernelSketchQuery *q, const uint8_t *block, uint32_t token, __m512i *totals, const int ntokens)
{
	const uint8_t *lut = q->lut + (size_t) token * q->dim * 4;
	__m512i		sums[SKETCH_TOKENS];

	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
		totals[t] = _mm512_setzero_si512();
	for (uint32_t k = 0; k < q->dim; k += 64)
	{
		sketch_byte_sums(q, block + (size_t) k * 2, lut + (size_t) k * 4, k + 64 <= q->dim, sums, ntokens);
		KERNEL_UNROLL
		for (int t = 0; t < ntokens; t++)
			totals[t] = sketch_add_quads(totals[t], sketch_by_token(sums[t]));
	}
}

/* Running maxima of one block for a few query tokens; ntokens is a constant wherever this is expanded. */
KERNEL_INLINE void
sketch_update(const KernelSketchQuery *q, const uint8_t *block, const SketchParams16 *params, uint32_t token,
			  float *state, const int ntokens)
{
	__m512i		totals[SKETCH_TOKENS];

	sketch_totals(q, block, token, totals, ntokens);
	KERNEL_UNROLL
	for (int t = 0; t < ntokens; t++)
	{
		float	   *best = state + (size_t) (token + t) * SKETCH_BLOCK_TOKENS;
		__m512		estimate = sketch_estimate(q, token + t, params, totals[t]);

		_mm512_storeu_ps(best, _mm512_max_ps(estimate, _mm512_loadu_ps(best)));
	}
}

static void
sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks, float *state)
{
	size_t		block_size = kernel_sketch_block_size(q->dim, q->has_add);
	uint32_t	whole = q->ntokens - q->ntokens % SKETCH_TOKENS;

	for (uint32_t b = 0; b < nblocks; b++, blocks += block_size)
	{
		SketchParams16 params = sketch_params(q, blocks);

		for (uint32_t token = 0; token < whole; token += SKETCH_TOKENS)
			sketch_update(q, blocks, &params, token, state, SKETCH_TOKENS);
		if (q->ntokens - whole == 3)
			sketch_update(q, blocks, &params, whole, state, 3);
		else if (q->ntokens - whole == 2)
			sketch_update(q, blocks, &params, whole, state, 2);
		else if (q->ntokens - whole == 1)
			sketch_update(q, blocks, &params, whole, state, 1);
	}
}

static void
sketch_scores(const KernelSketchQuery *q, uint32_t token, const uint8_t *block, float *scores)
{
	SketchParams16 params = sketch_params(q, block);
	__m512i		totals[SKETCH_TOKENS];

	sketch_totals(q, block, token, totals, 1);
	_mm512_storeu_ps(scores, sketch_estimate(q, token, &params, totals[0]));
}
