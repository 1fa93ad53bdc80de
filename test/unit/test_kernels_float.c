/*-------------------------------------------------------------------------
 *
 * test_kernels_float.c
 *	  Kernels over floats: maxsim_rows and dot_matrix.
 *
 * All instruction sets must return the same bits as the scalar kernels, which
 * must agree with double-precision arithmetic. Rows start at arbitrary
 * addresses and end where their memory ends, so that reads beyond them are
 * detected.
 *
 *-------------------------------------------------------------------------
 */
#include "instruction_sets.h"
#include "sample.h"
#include "tap.h"

/* A query and a run of rows, with their allocations. */
typedef struct Case
{
	uint32_t     ntokens;
	uint32_t     dim;
	SampleKind   kind;
	KernelQuery *query;
	float       *tokens;
	KernelRows   rows;
	uint8_t     *memory;
	size_t       size;   /* bytes of memory */
	float       *params; /* scale, mul and add of each row */
} Case;

/* Rows follow each other without gaps. */
static bool dense;

static void
fill_elements(KernelElement element, SampleKind kind, uint8_t *out, uint32_t dim)
{
	for (uint32_t k = 0; k < dim; k++)
	{
		float    x = sample_float(kind);
		uint16_t half = kernel_float_to_half(x);

		if (element == KERNEL_FLOAT4)
			memcpy(out + (size_t) k * 4, &x, 4);
		else if (element == KERNEL_FLOAT2)
			memcpy(out + (size_t) k * 2, &half, 2);
		else
			out[k] = (uint8_t) sample_bits();
	}
}

static void
case_init(Case *c, uint32_t ntokens, uint32_t nrows, uint32_t dim, SampleKind kind,
		  KernelElement element)
{
	size_t row_size = dim * kernel_element_size(element);
	size_t gap = dense ? 0 : sample_range(0, 2) * sample_range(1, 9);

	c->ntokens = ntokens;
	c->dim = dim;
	c->kind = kind;
	c->tokens = sample_floats(kind, (size_t) ntokens * dim);
	c->query =
		kernel_query_pack(sample_memory(kernel_query_size(ntokens, dim)), c->tokens, ntokens, dim);

	memset(&c->rows, 0, sizeof(c->rows));
	c->rows.element = element;
	c->rows.nrows = nrows;
	c->rows.stride = row_size + gap;
	c->rows.first = sample_range(0, 1000);

	c->size = nrows > 0 ? (nrows - 1) * c->rows.stride + row_size : 0;
	c->memory = sample_guarded(c->size);
	c->rows.rows = c->memory;
	for (uint32_t i = 0; i < nrows; i++)
	{
		uint8_t *row = c->memory + i * c->rows.stride;

		/* Sometimes repeat a row, so that there are equal maxima. */
		if (i > 0 && sample_range(0, 3) == 0)
			memcpy(row, row - c->rows.stride, row_size);
		else
			fill_elements(element, kind, row, dim);
	}

	c->params = sample_floats(kind, 3 * (size_t) nrows);
	c->rows.param_stride = 3 * sizeof(float);
	c->rows.scale = sample_range(0, 3) > 0 ? c->params : NULL;
	c->rows.mul = sample_range(0, 1) ? c->params + 1 : NULL;
	c->rows.add = sample_range(0, 1) ? c->params + 2 : NULL;
	c->rows.next = sample_range(0, 1) ? c->memory : NULL;
}

static void
case_free(Case *c)
{
	free(c->query);
	free(c->tokens);
	sample_guarded_free(c->memory, c->size);
	free(c->params);
}

static bool
same_floats(const float *expected, const float *got, size_t n, const char *what, const Case *c)
{
	for (size_t i = 0; i < n; i++)
	{
		if (same_float(expected[i], got[i]))
			continue;
		tap_diag("%s[%zu] is %a, not %a: %u tokens, %u rows, dim %u, element %d, %s%s%s%s", what, i,
				 got[i], expected[i], c->ntokens, c->rows.nrows, c->dim, (int) c->rows.element,
				 sample_names[c->kind], c->rows.scale ? " scale" : "", c->rows.mul ? " mul" : "",
				 c->rows.add ? " add" : "");
		return false;
	}
	return true;
}

/* Compute running maxima in two runs, where the second continues from the maxima of the first. */
static void
run_maxima(const KernelOps *ops, const Case *c, float *best, uint32_t *best_row)
{
	KernelRows run = c->rows;
	uint32_t   split = c->rows.nrows / 3;

	for (uint32_t slot = 0; slot < kernel_query_slots(c->query); slot++)
	{
		best[slot] = -INFINITY;
		if (best_row != NULL)
			best_row[slot] = UINT32_MAX;
	}
	run.nrows = split;
	ops->maxsim_rows(c->query, &run, best, best_row);

	run.nrows = c->rows.nrows - split;
	run.first += split;
	run.rows = (const char *) run.rows + split * run.stride;
	run.scale = run.scale ? run.scale + 3 * (size_t) split : NULL;
	run.mul = run.mul ? run.mul + 3 * (size_t) split : NULL;
	run.add = run.add ? run.add + 3 * (size_t) split : NULL;
	ops->maxsim_rows(c->query, &run, best, best_row);
}

/* Results of the scalar kernels for a case, to compare the others with. */
typedef struct Expected
{
	float    *best;
	uint32_t *best_row;
	float    *matrix;
} Expected;

static Expected
expected_alloc(const Case *c)
{
	size_t   nslots = kernel_query_slots(c->query);
	Expected e;

	e.best = sample_memory(nslots * sizeof(float));
	e.best_row = sample_memory(nslots * sizeof(uint32_t));
	e.matrix = sample_memory(nslots * c->rows.nrows * sizeof(float));
	return e;
}

static void
expected_free(Expected *e)
{
	free(e->best);
	free(e->best_row);
	free(e->matrix);
}

static bool
case_agrees(const KernelOps *ops, const Case *c, const Expected *expected)
{
	size_t   nslots = kernel_query_slots(c->query);
	Expected got = expected_alloc(c);
	bool     agrees;

	run_maxima(ops, c, got.best, got.best_row);
	agrees = same_floats(expected->best, got.best, nslots, "best", c);
	if (agrees && memcmp(expected->best_row, got.best_row, nslots * sizeof(uint32_t)) != 0)
	{
		tap_diag("best_row differs: %u tokens, %u rows, dim %u, %s", c->ntokens, c->rows.nrows,
				 c->dim, sample_names[c->kind]);
		agrees = false;
	}
	run_maxima(ops, c, got.best, NULL);
	agrees = agrees && same_floats(expected->best, got.best, nslots, "best without rows", c);
	ops->dot_matrix(c->query, &c->rows, got.matrix);
	agrees =
		agrees && same_floats(expected->matrix, got.matrix, nslots * c->rows.nrows, "matrix", c);
	expected_free(&got);
	return agrees;
}

static void
check_shape(uint32_t ntokens, uint32_t nrows, uint32_t dim, SampleKind kind, KernelElement element)
{
	Case     c;
	Expected expected;

	case_init(&c, ntokens, nrows, dim, kind, element);
	expected = expected_alloc(&c);
	run_maxima(sets[0], &c, expected.best, expected.best_row);
	sets[0]->dot_matrix(c.query, &c.rows, expected.matrix);
	for (int i = 1; i < nsets; i++)
		agreed[i] = case_agrees(sets[i], &c, &expected) && agreed[i];
	expected_free(&expected);
	case_free(&c);
}

static void
report(const char *what)
{
	for (int i = 1; i < nsets; i++)
		tap_ok(agreed[i], "%s: %s equals scalar", sets[i]->name, what);
}

static void
begin(void)
{
	for (int i = 0; i < nsets; i++)
		agreed[i] = true;
}

static SampleKind
any_kind(void)
{
	return (SampleKind) sample_range(0, SAMPLE_KINDS - 1);
}

static KernelElement
any_element(void)
{
	return (KernelElement) sample_range(KERNEL_FLOAT4, KERNEL_INT8);
}

/* Compare the scalar kernels with double-precision arithmetic. */
static void
check_twin(void)
{
	bool close = true;

	for (uint32_t dim = 1; dim < 300; dim = dim * 3 / 2 + 1)
	{
		Case     c;
		Expected e;

		case_init(&c, 5, 7, dim, SAMPLE_ORDINARY, KERNEL_FLOAT4);
		c.rows.mul = c.rows.add = NULL;
		e = expected_alloc(&c);
		sets[0]->dot_matrix(c.query, &c.rows, e.matrix);
		for (uint32_t i = 0; i < c.rows.nrows; i++)
		{
			for (uint32_t t = 0; t < c.ntokens; t++)
			{
				double sum = 0;

				for (uint32_t k = 0; k < dim; k++)
				{
					float x;

					memcpy(&x, (const char *) c.rows.rows + i * c.rows.stride + (size_t) k * 4,
						   sizeof(x));
					sum += (double) x * c.tokens[(size_t) t * dim + k];
				}
				close =
					close && fabs(sum - e.matrix[i * kernel_query_slots(c.query) + t]) < 1e-6 * dim;
			}
		}
		expected_free(&e);
		case_free(&c);
	}
	tap_ok(close, "scalar: dot products agree with double precision");
}

/* The norms of several tokens are those of each, on every instruction set. */
static void
test_norms(void)
{
	for (int s = 0; s < nsets; s++)
	{
		bool same = true;

		for (uint32_t round = 0; round < 200; round++)
		{
			uint32_t dim = sample_range(1, 140);
			uint32_t n = sample_range(0, 20);
			float   *tokens = sample_floats((SampleKind) (round % SAMPLE_KINDS), (size_t) n * dim);
			float    norms[20];

			sets[s]->norms(tokens, n, dim, norms);
			for (uint32_t t = 0; t < n; t++)
				same &= same_float(norms[t], kernel_norm(tokens + (size_t) t * dim, dim));
			free(tokens);
		}
		tap_ok(same, "%s: norms", sets[s]->name);
	}
}

int
main(void)
{
	static const uint32_t large[] = {96, 127, 128, 129, 768, 1024, 16000};
	uint32_t              step = tap_brief() ? 3 : 1;

	find_sets();
	check_twin();

	begin();
	for (uint32_t ntokens = 1; ntokens <= 40; ntokens += step)
	{
		for (uint32_t nrows = 0; nrows <= 40; nrows += step)
			check_shape(ntokens, nrows, sample_range(1, 70), any_kind(), any_element());
	}
	report("every count of tokens and rows to 40");

	begin();
	for (uint32_t dim = 1; dim <= 70; dim++)
	{
		for (int element = KERNEL_FLOAT4; element <= KERNEL_INT8; element++)
		{
			for (int kind = 0; kind < SAMPLE_KINDS; kind++)
				check_shape(sample_range(1, 40), sample_range(1, 40), dim, (SampleKind) kind,
							(KernelElement) element);
		}
	}
	report("every dim to 70, every element and kind of values");

	begin();
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
	{
		for (uint32_t ntokens = 1; ntokens <= 33; ntokens += ntokens < 4 ? 3 : ntokens < 8 ? 4 : 9)
		{
			dense = ntokens % 2 == 0;
			if (tap_brief() && large[i] > 1024 && ntokens > 8)
				continue;
			for (int element = KERNEL_FLOAT4; element <= KERNEL_INT8; element++)
				check_shape(ntokens, large[i] > 1024 ? 17 : 35, large[i], any_kind(),
							(KernelElement) element);
		}
	}
	report("dims to 16,000");

	test_norms();
	return tap_done();
}
