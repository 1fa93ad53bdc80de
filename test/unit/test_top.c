/*-------------------------------------------------------------------------
 *
 * test_top.c
 *	  The best items of an array against a sort of it.
 *
 *-------------------------------------------------------------------------
 */
#include "tap.h"
#include "sample.h"

typedef struct Item
{
	uint32_t id;
	float    key;
} Item;

#define TOP_PREFIX       item
#define TOP_TYPE         Item
#define TOP_KEY(item)    ((item).key)
#define TOP_NEARER(a, b) ((a).key > (b).key || ((a).key == (b).key && (a).id < (b).id))
#include "base/top_template.h"

#define MAX_ITEMS 1000
#define ROUNDS    200

/* How keys are drawn. */
typedef enum Keys
{
	SPREAD,
	FEW_VALUES,
	ONE_VALUE,
	OUTLIER,
	INFINITE,
	NKEYS
} Keys;

static const char *const names[NKEYS] = {"random keys", "few values", "equal keys", "an outlier",
										 "infinite keys"};

static Item items[MAX_ITEMS];
static Item sorted[MAX_ITEMS];
static Item scratch[MAX_ITEMS];

static float
draw_key(Keys keys, uint32_t i)
{
	switch (keys)
	{
		case FEW_VALUES:
			return (float) sample_range(1, 5);
		case ONE_VALUE:
			return 7;
		case OUTLIER:
			return i == 0 ? 1e30f : (float) sample_range(1, 1000);
		case INFINITE:
			return i % 3 == 0 ? INFINITY : i % 3 == 1 ? -INFINITY : (float) sample_range(1, 9);
		default:
			return (float) sample_range(1, 1000000) / 7;
	}
}

static int
nearer_first(const void *a, const void *b)
{
	const Item *x = a;
	const Item *y = b;

	return x->key != y->key ? (x->key > y->key ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

/* Are the n best among the first of these items? */
static bool
hold_best(uint32_t first, uint32_t n)
{
	memcpy(scratch, items, first * sizeof(Item));
	qsort(scratch, first, sizeof(Item), nearer_first);
	return n <= first && memcmp(scratch, sorted, n * sizeof(Item)) == 0;
}

static uint32_t
draw(Keys keys)
{
	uint32_t count = sample_range(1, MAX_ITEMS);

	for (uint32_t i = 0; i < count; i++)
		items[i] = (Item) {i, draw_key(keys, i)};
	memcpy(sorted, items, count * sizeof(Item));
	qsort(sorted, count, sizeof(Item), nearer_first);
	return count;
}

static void
test_keys(Keys keys)
{
	uint32_t wrong_quick = 0;
	uint32_t wrong_select = 0;
	uint32_t wrong_thin = 0;
	uint64_t kept = 0;
	uint64_t wanted = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		uint32_t count = draw(keys);
		uint32_t n = sample_range(1, count);
		uint32_t left = item_thin(items, count, n);

		wrong_thin += left > count || !hold_best(left, n);
		kept += left;
		wanted += n;

		count = draw(keys);
		n = sample_range(1, count);
		item_select(items, count, n, scratch);
		wrong_select += !hold_best(n, n);

		count = draw(keys);
		n = sample_range(1, count);
		item_quickselect(items, count, n);
		wrong_quick += !hold_best(n, n);
	}
	tap_ok(wrong_quick == 0, "%s: quickselect finds the best", names[keys]);
	tap_ok(wrong_select == 0, "%s: select finds the best", names[keys]);
	tap_ok(wrong_thin == 0, "%s: thin keeps the best", names[keys]);
	if (keys == SPREAD)
		tap_ok(kept < wanted + wanted / 10, "thin drops most of the others");
}

int
main(void)
{
	for (Keys keys = 0; keys < NKEYS; keys++)
		test_keys(keys);
	return tap_done();
}
