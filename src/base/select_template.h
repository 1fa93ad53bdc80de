/*-------------------------------------------------------------------------
 *
 * select_template.h
 *	  Template: move the best n items of an array to its front, unordered.
 *
 * Hoare's selection algorithm (1961) with a median-of-three pivot. Before
 * including this file, define
 *
 *	SELECT_NAME				name of the static function to generate
 *	SELECT_TYPE				item type
 *	SELECT_NEARER(a, b)		true if item a is better than item b
 *
 * The names are undefined again at the end of this file.
 *
 *-------------------------------------------------------------------------
 */
#define SELECT_MAKE_NAME_(a, b) a##_##b
#define SELECT_MAKE_NAME(a, b)  SELECT_MAKE_NAME_(a, b)
#define SELECT_MEDIAN           SELECT_MAKE_NAME(SELECT_NAME, median)

static inline SELECT_TYPE
SELECT_MEDIAN(SELECT_TYPE a, SELECT_TYPE b, SELECT_TYPE c)
{
	if (SELECT_NEARER(a, b))
		return SELECT_NEARER(b, c) ? b : SELECT_NEARER(a, c) ? c : a;
	return SELECT_NEARER(a, c) ? a : SELECT_NEARER(b, c) ? c : b;
}

static inline void
SELECT_NAME(SELECT_TYPE *items, uint32 count, uint32 n)
{
	int64 low = 0;
	int64 high = (int64) count - 1;

	if (n >= count || n == 0)
		return;
	while (low < high)
	{
		SELECT_TYPE pivot = SELECT_MEDIAN(items[low], items[low + (high - low) / 2], items[high]);
		int64       i = low;
		int64       j = high;

		while (i <= j)
		{
			while (SELECT_NEARER(items[i], pivot))
				i++;
			while (SELECT_NEARER(pivot, items[j]))
				j--;
			if (i <= j)
			{
				SELECT_TYPE swapped = items[i];

				items[i++] = items[j];
				items[j--] = swapped;
			}
		}
		if ((int64) n - 1 <= j)
			high = j;
		else if ((int64) n - 1 >= i)
			low = i;
		else
			return;
	}
}

#undef SELECT_MEDIAN
#undef SELECT_MAKE_NAME
#undef SELECT_MAKE_NAME_
#undef SELECT_NAME
#undef SELECT_TYPE
#undef SELECT_NEARER
