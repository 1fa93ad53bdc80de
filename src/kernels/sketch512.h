/*-------------------------------------------------------------------------
 *
 * sketch512.h
 *	  Scan sketches in 512-bit registers, by byte shuffles.
 *
 * A register holds 4 byte positions of the 16 tokens of a block. Each 128-bit
 * lane holds the table of one position, 16 entries, so one shuffle looks up 64
 * nibbles. Eight lookups of at most 31 add up in a byte: the sums of 128 dims.
 * Then the four positions of each token are brought side by side and added to
 * its total.
 *
 * This file is a template. The including file must define
 *
 *	sketch_add_quads(total, bytes)
 *		total[i] + the four unsigned bytes of element i, for 16 integers
 *
 * and gets sketch_blocks and sketch_scores.
 *
 *-------------------------------------------------------------------------
 */

/*
 * The unit of work: two blocks, so that a table is loaded once for both; 128
 * of their dims, whose nibbles stay in registers; and a batch of query tokens,
 * whose totals are kept if there are more dims.
 */
#define SKETCH_BLOCKS 2
#define SKETCH_STEPS  (SKETCH_BYTE_DIMS / 32)
#define SKETCH_BATCH  32

/* Widened factors and addends of the blocks, and where the maxima go. */
typedef struct SketchTarget
{
	__m512 factor[SKETCH_BLOCKS];
	__m512 add[SKETCH_BLOCKS];
	float *state;
} SketchTarget;

/* nblocks is constant at every call, here and below. */
KERNEL_INLINE SketchTarget
sketch_target(const KernelSketchQuery *q, const uint8_t *block, float *state, const int nblocks)
{
	size_t       block_size = kernel_sketch_block_size(q->dim, q->has_add);
	SketchTarget target;

	target.state = state;
	KERNEL_UNROLL
	for (int b = 0; b < nblocks; b++)
	{
		const uint8_t *halves = block + b * block_size + (size_t) q->dim * 2;

		target.factor[b] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) halves));
		target.add[b] = _mm512_setzero_ps();
		if (q->has_add)
			target.add[b] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) (halves + 32)));
	}
	return target;
}

/* Without addends zero is added, as in the scalar kernels: that costs less than a branch. */
KERNEL_INLINE __m512
sketch_estimate(const KernelSketchQuery *q, uint32_t token, __m512 factor, __m512 add,
				__m512i total)
{
	__m512 sum = _mm512_fmadd_ps(_mm512_set1_ps(q->delta[token]), _mm512_cvtepi32_ps(total),
								 _mm512_set1_ps(q->base[token]));

	return _mm512_add_ps(_mm512_fmadd_ps(factor, sum, _mm512_set1_ps(q->constant[token])), add);
}

/* Update the running maxima of one query token from its totals for the blocks. */
KERNEL_INLINE void
sketch_update(const KernelSketchQuery *q, uint32_t token, const SketchTarget *target,
			  const __m512i *totals, const int nblocks)
{
	float *best = target->state + (size_t) token * SKETCH_BLOCK_TOKENS;
	__m512 largest = _mm512_loadu_ps(best);

	KERNEL_UNROLL
	for (int b = 0; b < nblocks; b++)
		largest = _mm512_max_ps(
			sketch_estimate(q, token, target->factor[b], target->add[b], totals[b]), largest);
	_mm512_storeu_ps(best, largest);
}

/* Split the codes of 32 dims into nibbles. */
KERNEL_INLINE void
sketch_split(const uint8_t *codes, __m512i *low, __m512i *high)
{
	const __m512i nibble = _mm512_set1_epi8(15);
	__m512i       bytes = _mm512_loadu_si512(codes);

	*low = _mm512_and_si512(bytes, nibble);
	*high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
}

/*
 * Return total plus the table entries in sums, whose four positions per token
 * are first brought side by side: byte 16p + t moves to 4t + p.
 */
KERNEL_INLINE __m512i
sketch_add_sums(__m512i total, __m512i sums)
{
	const __m512i dwords = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	const __m512i bytes = _mm512_set4_epi32(0x0F0B0703, 0x0E0A0602, 0x0D090501, 0x0C080400);

	return sketch_add_quads(total,
							_mm512_shuffle_epi8(_mm512_permutexvar_epi32(dwords, sums), bytes));
}

/* A batch of query tokens over blocks. */
typedef struct SketchBatch
{
	uint32_t       first; /* first query token */
	uint32_t       ntokens;
	const uint8_t *block;

	/* Used if there is more than one chunk of dims. */
	__m512i totals[SKETCH_BATCH][SKETCH_BLOCKS];
} SketchBatch;

/*
 * Process a chunk of 32 * nsteps dims from dim k on. If it is the only chunk,
 * its totals become maxima at once; otherwise they are added to those of the
 * batch.
 */
KERNEL_INLINE void
sketch_chunk(const KernelSketchQuery *q, SketchBatch *batch, const SketchTarget *target, uint32_t k,
			 const int nsteps, const int nblocks)
{
	size_t         block_size = kernel_sketch_block_size(q->dim, q->has_add);
	size_t         lut_stride = (size_t) q->ntokens * SKETCH_LUT_SIZE;
	const uint8_t *lut = q->lut + k / 32 * lut_stride + (size_t) batch->first * SKETCH_LUT_SIZE;
	__m512i        low[SKETCH_STEPS][SKETCH_BLOCKS];
	__m512i        high[SKETCH_STEPS][SKETCH_BLOCKS];

	KERNEL_UNROLL
	for (int i = 0; i < nsteps * nblocks; i++)
		sketch_split(batch->block + i % nblocks * block_size + (size_t) k * 2 + i / nblocks * 64,
					 &low[i / nblocks][i % nblocks], &high[i / nblocks][i % nblocks]);

	for (uint32_t t = 0; t < batch->ntokens; t++, lut += SKETCH_LUT_SIZE)
	{
		__m512i sums[SKETCH_BLOCKS];
		__m512i totals[SKETCH_BLOCKS];

		KERNEL_UNROLL
		for (int i = 0; i < nsteps; i++)
		{
			__m512i table_low = _mm512_load_si512(lut + i * lut_stride);
			__m512i table_high = _mm512_load_si512(lut + i * lut_stride + 64);

			KERNEL_UNROLL
			for (int b = 0; b < nblocks; b++)
			{
				__m512i entries = _mm512_add_epi8(_mm512_shuffle_epi8(table_low, low[i][b]),
												  _mm512_shuffle_epi8(table_high, high[i][b]));

				sums[b] = i == 0 ? entries : _mm512_add_epi8(sums[b], entries);
			}
		}
		KERNEL_UNROLL
		for (int b = 0; b < nblocks; b++)
		{
			totals[b] = q->dim <= SKETCH_BYTE_DIMS ? _mm512_setzero_si512() : batch->totals[t][b];
			totals[b] = sketch_add_sums(totals[b], sums[b]);
			if (q->dim > SKETCH_BYTE_DIMS)
				batch->totals[t][b] = totals[b];
		}
		if (q->dim <= SKETCH_BYTE_DIMS)
			sketch_update(q, batch->first + t, target, totals, nblocks);
	}
}

/* Process all dims for a batch. */
KERNEL_INLINE void
sketch_batch(const KernelSketchQuery *q, SketchBatch *batch, const SketchTarget *target,
			 const int nblocks)
{
	uint32_t k = 0;

	if (q->dim > SKETCH_BYTE_DIMS)
		memset(batch->totals, 0, batch->ntokens * sizeof(batch->totals[0]));
	for (; k + SKETCH_BYTE_DIMS <= q->dim; k += SKETCH_BYTE_DIMS)
		sketch_chunk(q, batch, target, k, SKETCH_STEPS, nblocks);
	if (q->dim - k == 96)
		sketch_chunk(q, batch, target, k, 3, nblocks);
	else if (q->dim - k == 64)
		sketch_chunk(q, batch, target, k, 2, nblocks);
	else if (q->dim - k == 32)
		sketch_chunk(q, batch, target, k, 1, nblocks);

	if (q->dim <= SKETCH_BYTE_DIMS)
		return;
	for (uint32_t t = 0; t < batch->ntokens; t++)
		sketch_update(q, batch->first + t, target, batch->totals[t], nblocks);
}

KERNEL_INLINE void
sketch_update_all(const KernelSketchQuery *query, const uint8_t *block, float *state,
				  const int nblocks)
{
	const KernelSketchQuery q = *query; /* local copy that stores to state cannot change */
	SketchTarget            target = sketch_target(&q, block, state, nblocks);
	SketchBatch             batch;

	batch.block = block;
	for (batch.first = 0; batch.first < q.ntokens; batch.first += SKETCH_BATCH)
	{
		batch.ntokens = min_uint32(q.ntokens - batch.first, SKETCH_BATCH);
		sketch_batch(&q, &batch, &target, nblocks);
	}
}

static void
sketch_blocks(const KernelSketchQuery *q, const uint8_t *blocks, uint32_t nblocks, float *state)
{
	size_t   block_size = kernel_sketch_block_size(q->dim, q->has_add);
	uint32_t b = 0;

	for (; b + SKETCH_BLOCKS <= nblocks; b += SKETCH_BLOCKS)
		sketch_update_all(q, blocks + b * block_size, state, SKETCH_BLOCKS);
	if (b < nblocks)
		sketch_update_all(q, blocks + b * block_size, state, 1);
}

static void
sketch_scores(const KernelSketchQuery *q, uint32_t token, const uint8_t *block, float *scores)
{
	SketchTarget   target = sketch_target(q, block, scores, 1);
	const uint8_t *lut = q->lut + (size_t) token * SKETCH_LUT_SIZE;
	__m512i        total = _mm512_setzero_si512();

	for (uint32_t k = 0; k < q->dim;)
	{
		uint32_t end = min_uint32(k + SKETCH_BYTE_DIMS, q->dim);
		__m512i  sums = _mm512_setzero_si512();

		for (; k < end; k += 32, lut += (size_t) q->ntokens * SKETCH_LUT_SIZE)
		{
			__m512i low;
			__m512i high;

			sketch_split(block + (size_t) k * 2, &low, &high);
			sums = _mm512_add_epi8(sums, _mm512_shuffle_epi8(_mm512_load_si512(lut), low));
			sums = _mm512_add_epi8(sums, _mm512_shuffle_epi8(_mm512_load_si512(lut + 64), high));
		}
		total = sketch_add_sums(total, sums);
	}
	_mm512_storeu_ps(scores, sketch_estimate(q, token, target.factor[0], target.add[0], total));
}
