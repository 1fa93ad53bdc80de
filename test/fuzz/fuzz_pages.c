/*-------------------------------------------------------------------------
 *
 * fuzz_pages.c
 *	  Search and check indexes with damaged pages, without a server.
 *
 *	  fuzz_pages SECONDS SEED IMAGE...
 *
 * An image is the file of an index (seed-pages writes some). Each run damages
 * a few pages of an image: single bits, bytes or words, half pages, or copies
 * of other pages. Then it runs a complete search, and all checks that do not
 * need the table. Both may report damage. Neither may read beyond a page, loop
 * forever, or raise an error other than one for damage or lack of memory. The
 * counts are printed.
 *
 *-------------------------------------------------------------------------
 */
#include "page_server.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "check/check.h"
#include "index/hashes.h"
#include "index/versions.h"
#include "search/search.h"

#define MAX_IMAGES   16
#define MAX_DAMAGES  3
#define QUERY_TOKENS 3

/* Re-encoding the edges of a graph takes longer than all other checks together. */
#define EDGES_ONE_IN 20

typedef struct Image
{
	const char *name;
	char       *bytes;
	BlockNumber nblocks;
	uint32      dim;
} Image;

static Image  images[MAX_IMAGES];
static int    nimages;
static uint64 random_state;

static uint64
random_below(uint64 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % n;
}

static void
read_image(const char *path)
{
	Image *image = &images[nimages++];
	FILE  *file = nimages <= MAX_IMAGES ? fopen(path, "rb") : NULL;
	long   size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < BLCKSZ)
	{
		fprintf(stderr, "cannot take image %s\n", path);
		exit(2);
	}
	image->name = path;
	image->nblocks = (BlockNumber) (size / BLCKSZ);
	image->bytes = malloc((size_t) image->nblocks * BLCKSZ);
	rewind(file);
	if (fread(image->bytes, BLCKSZ, image->nblocks, file) != image->nblocks)
		exit(2);
	fclose(file);
	image->dim = meta_data(image->bytes)->shape.dim;
}

/* ---- damage ---- */

static const uint32 extremes[] = {0,          1,          2,         0x7F,   0x80,
								  0xFF,       0x7FFF,     0x8000,    0xFFFF, 0x7FFFFFFF,
								  0x80000000, 0xFFFFFFFE, 0xFFFFFFFF};

/*
 * Return a random position for this many bytes on a page. Most positions are
 * near the beginning, where the items are.
 */
static size_t
place(size_t bytes)
{
	size_t end = random_below(3) == 0 ? BLCKSZ : 1024;

	return random_below(end / bytes) * bytes;
}

static void
damage_page(const Image *image)
{
	/* The meta page is a single page, but affects all others. */
	BlockNumber block =
		random_below(6) == 0 ? META_BLOCK : (BlockNumber) random_below(image->nblocks);
	char  *page = pages_page(block);
	uint32 word;

	switch (random_below(8))
	{
		case 0:
		case 1:
		case 2:
			page[place(1)] ^= 1 << random_below(8);
			break;
		case 3:
			page[place(1)] = (char) random_below(256);
			break;
		case 4:
			word = extremes[random_below(lengthof(extremes))];
			memcpy(page + place(sizeof(word)), &word, sizeof(word));
			break;
		case 5:
			word = (uint32) random_below(1000);
			memcpy(page + place(sizeof(word)), &word, sizeof(word));
			break;
		case 6:
			memset(page + (random_below(2) ? BLCKSZ / 2 : 0), 0, BLCKSZ / 2);
			break;
		case 7:
			memcpy(page, image->bytes + (size_t) random_below(image->nblocks) * BLCKSZ,
				   random_below(2) ? BLCKSZ : BLCKSZ / 2);
			break;
	}
}

/* ---- runs ---- */

/* Read what an UPDATE reads: the versions of a document's row, and the documents with its hash. */
static void
read_versions(IndexView *view, uint32 doc)
{
	DocEntry entry;
	DocRows  rows;
	uint32   docs[8];

	versions_read(view, doc, &rows);
	if (rows.count > VERSIONS_MAX_ROWS)
		abort();
	if (docstore_entry(view, doc, &entry) &&
		hashes_find(view, entry.hash, docs, lengthof(docs)) > lengthof(docs))
		abort();
}

static void
search_all(void *arg)
{
	const Image    *image = arg;
	float          *tokens = palloc0(QUERY_TOKENS * image->dim * sizeof(float));
	IndexView      *view = view_open(&page_relation, false, VIEW_WITH_PENDING);
	uint32          ndocs = parray_nitems(view->index, ARRAY_DOCS);
	SearchRequest   request = {.order = SEARCH_UNORDERED, .threshold = -INFINITY};
	Search         *search;
	ItemPointerData tid;
	uint64          given = 0;

	for (uint32 i = 0; i < QUERY_TOKENS * image->dim; i++)
		tokens[i] = (float) random_below(2000) / 1000 - 1;
	request.query = multivector_from_floats(tokens, QUERY_TOKENS, image->dim, KERNEL_FLOAT4);
	search = search_begin(view, &request);
	while (search_next(search, &tid))
	{
		if (++given > ndocs)
			abort();
		if (random_below(8) == 0)
			read_versions(view, (uint32) random_below(ndocs));
	}
	search_end(search);
}

static void
check_all(void *arg)
{
	Findings findings = {0};
	Check    check = {.index = &page_relation, .findings = &findings};

	check.view = view_open(&page_relation, false, VIEW_WITHOUT_PENDING);
	check.nblocks = RelationGetNumberOfBlocks(&page_relation);
	check_extents(&check);
	if (!check.extents_agree)
		return;
	check_snapshot(&check);
	check_directory(&check);
	check_versions(&check);
	check_hashes(&check);
	check_queue(&check);
	check_free(&check);
	check_nulls(&check);
	finder_check(check.view->index, &check.view->sketch, &findings,
				 random_below(EDGES_ONE_IN) == 0);
	check_pages(&check);
	check_postings(&check);
}

static uint64 endings[2][ENDINGS];

static void
count(int kind, const Image *image, Ending ending)
{
	endings[kind][ending]++;
	if (ending == ENDING_OTHER)
	{
		fprintf(stderr, "%s: an error that does not tell of damage: %s\n", image->name,
				pages_error());
		abort();
	}
}

int
main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);
	uint64 runs = 0;
	uint64 damaged = 0;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) * 2 + 1 : 1;
	for (int i = 3; i < argc; i++)
		read_image(argv[i]);
	if (nimages == 0)
	{
		fprintf(stderr, "usage: fuzz_pages SECONDS SEED IMAGE...\n");
		return 2;
	}
	kernels_init();

	/* Without damage, every image must pass. */
	for (int i = 0; i < nimages; i++)
	{
		pages_load(images[i].bytes, images[i].nblocks);
		if (pages_run(search_all, &images[i]) != ENDING_FINE ||
			pages_run(check_all, &images[i]) != ENDING_FINE)
		{
			fprintf(stderr, "%s: %s\n", images[i].name, pages_error());
			return 1;
		}
	}
	for (; runs % 64 != 0 || time(NULL) < end; runs++)
	{
		Image *image = &images[random_below(nimages)];

		pages_load(image->bytes, image->nblocks);
		for (uint64 n = random_below(MAX_DAMAGES) + 1; n > 0; n--, damaged++)
			damage_page(image);
		count(0, image, pages_run(search_all, image));
		count(1, image, pages_run(check_all, image));
	}
	printf("%lu damaged pages, %lu searches: %lu complete, %lu found damage, "
		   "%lu too large for memory; %lu checks complete, %lu not\n",
		   (unsigned long) damaged, (unsigned long) runs, (unsigned long) endings[0][ENDING_FINE],
		   (unsigned long) endings[0][ENDING_CORRUPTED], (unsigned long) endings[0][ENDING_MEMORY],
		   (unsigned long) endings[1][ENDING_FINE],
		   (unsigned long) (endings[1][ENDING_CORRUPTED] + endings[1][ENDING_MEMORY]));
	return 0;
}
