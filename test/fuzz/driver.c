/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  Run a fuzz target without libFuzzer.
 *
 *	  driver SECONDS SEED LENGTH FILE...
 *
 * Inputs are seeds with a few random changes each, of at most LENGTH bytes. The
 * same SEED repeats a run. Coverage does not guide the changes. If the process
 * dies, it writes the current input to a file.
 *
 *-------------------------------------------------------------------------
 */
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"

#define MAX_INPUT   4096
#define MAX_SEEDS   64
#define MAX_CHANGES 8

typedef struct Input
{
	uint8_t bytes[MAX_INPUT];
	size_t  size;
} Input;

static Input    seeds[MAX_SEEDS];
static int      nseeds;
static Input    current;
static size_t   max_input;
static char     crash_file[64];
static uint64_t random_state = UINT64_C(0x9E3779B97F4A7C15);

extern void __sanitizer_set_death_callback(void (*callback)(void));

static uint64_t
random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % n;
}

static void
save_current(void)
{
	FILE *file = fopen(crash_file, "wb");

	if (file)
	{
		fwrite(current.bytes, 1, current.size, file);
		fclose(file);
		fprintf(stderr, "the input is in %s\n", crash_file);
	}
}

static void
on_abort(int signal_number)
{
	save_current();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* Replace length bytes at a position by other bytes, if there is room. */
static void
splice(size_t at, size_t length, const uint8_t *bytes, size_t nbytes)
{
	if (current.size - length + nbytes > max_input)
		return;
	memmove(current.bytes + at + nbytes, current.bytes + at + length, current.size - at - length);
	memcpy(current.bytes + at, bytes, nbytes);
	current.size += nbytes - length;
}

/* Make one random change. */
static void
change(void)
{
	static const uint8_t characters[] = "[],.eE+-0123456789 nNif\t\"";
	static const uint8_t extremes[] = {0, 1, 0x7F, 0x80, 0x81, 0xFF};
	const Input         *other = &seeds[random_below(nseeds)];
	size_t               at = random_below(current.size + 1);
	size_t               rest = current.size - at;
	uint8_t              byte;

	switch (random_below(7))
	{
		case 0:
			if (rest > 0)
				current.bytes[at] ^= 1 << random_below(8);
			break;
		case 1:
			byte = extremes[random_below(sizeof(extremes))];
			splice(at, rest > 0, &byte, 1);
			break;
		case 2:
			byte = characters[random_below(sizeof(characters) - 1)];
			splice(at, random_below(2) && rest > 0, &byte, 1);
			break;
		case 3:
			splice(at, random_below(rest + 1), current.bytes, 0);
			break;
		case 4:
			current.size = at;
			break;
		case 5:
			if (other->size > 0)
			{
				size_t from = random_below(other->size);

				splice(at, random_below(rest + 1), other->bytes + from,
					   random_below(other->size - from) + 1);
			}
			break;
		case 6:
		{
			uint8_t copy[64];
			size_t  length = random_below(rest < sizeof(copy) ? rest + 1 : sizeof(copy));

			memcpy(copy, current.bytes + at, length);
			splice(at, 0, copy, length);
		}
		break;
	}
}

/* Read a seed, or the beginning of a long one: changes need room to insert. */
static void
read_seed(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL || nseeds == MAX_SEEDS)
	{
		fprintf(stderr, "cannot take seed %s\n", path);
		exit(2);
	}
	seeds[nseeds].size = fread(seeds[nseeds].bytes, 1, max_input / 4 * 3, file);
	fclose(file);
	nseeds++;
}

int
main(int argc, char **argv)
{
	time_t        end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);
	unsigned long runs = 0;

	/* Odd multiples are never 0, the one state that xorshift does not leave. */
	random_state *= argc > 2 ? 2 * strtoull(argv[2], NULL, 10) + 1 : 1;
	max_input = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	if (argc < 5 || max_input == 0 || max_input > MAX_INPUT)
	{
		fprintf(stderr, "usage: driver SECONDS SEED LENGTH FILE...; LENGTH is at most %d\n",
				MAX_INPUT);
		return 2;
	}
	snprintf(crash_file, sizeof(crash_file), "crash-%s-%zu", basename(argv[0]), max_input);
	for (int i = 4; i < argc; i++)
		read_seed(argv[i]);
	__sanitizer_set_death_callback(save_current);
	signal(SIGABRT, on_abort);

	for (; runs % 1024 != 0 || time(NULL) < end; runs++)
	{
		uint8_t *exact;

		current = seeds[random_below(nseeds)];
		for (uint64_t n = random_below(MAX_CHANGES); n > 0; n--)
			change();

		/* An allocation of exactly this size, so that the sanitizers detect reads beyond it. */
		exact = malloc(current.size);
		memcpy(exact, current.bytes, current.size);
		LLVMFuzzerTestOneInput(exact, current.size);
		free(exact);
	}
	printf("%lu inputs\n", runs);
	return 0;
}
