-- Functions that inspect or transform a multivector.
\pset null NULL

CREATE TABLE functions_test (id int, doc multivector);
INSERT INTO functions_test VALUES
	(1, '[[3,4],[0,2],[0,0]]'), (2, '[[3,4],[0,2],[0,0]]'::multivector(2, float2)),
	(3, '[[3,4],[0,2],[0,0]]'::multivector(2, int8)), (4, NULL);
-- A document that is stored out of line: only its header is read.
INSERT INTO functions_test
SELECT 5, array_agg(ARRAY[i, i % 10, 1]) FROM generate_series(1, 1000) i;

SELECT id, num_tokens(doc), dims(doc), token(doc, 2), mean_pool(doc) FROM functions_test ORDER BY id;
SELECT id, l2_normalize(doc), doc || '[[1,1]]', pg_column_size(doc || doc) FROM functions_test WHERE id < 5 ORDER BY id;
SELECT id, u.* FROM functions_test, unnest(doc) AS u WHERE id < 5 ORDER BY id, ordinal;
SELECT count(*), sum(ordinal), sum(embedding[1]), sum(embedding[2]) FROM functions_test, unnest(doc) WHERE id = 5;
SELECT (unnest(doc)).ordinal FROM functions_test WHERE id = 5 LIMIT 2;
SELECT bool_and(token(doc, ordinal) = embedding) FROM functions_test, unnest(doc);
SELECT token(doc, 0) FROM functions_test WHERE id = 1;
SELECT token(doc, 4) FROM functions_test WHERE id = 1;
SELECT '[[1,2]]'::multivector || '[[1]]';
SELECT '[[1,2]]'::multivector || NULL;
-- Both int8: codes and scales are kept.
SELECT multivector_send('[[1,2]]'::multivector(2, int8) || '[[0,0],[-3,1]]'::multivector(2, int8));
SELECT maxsim_cosine(doc || doc, doc) = maxsim_cosine(doc, doc) FROM functions_test WHERE id < 4;

-- Pooling: two tight groups, in any positions, become two means, in the order of their first tokens.
SELECT pool_tokens('[[1,0],[0,1],[0.9,0.1],[0,0.8]]', 2);
SELECT pool_tokens('[[1,0],[0,1],[0.9,0.1],[0,0.8]]', 1), pool_tokens('[[1,0],[0,1],[0.9,0.1],[0,0.8]]', 4),
	pool_tokens('[[1,0],[0,1],[0.9,0.1],[0,0.8]]', 1000000), pool_tokens('[[1,0]]', 3);
SELECT pool_tokens('[[1,0],[1,0],[1,0],[0,0],[0,0]]', 2), pool_tokens('[[2,0],[2,0],[0,1]]'::multivector(2, int8), 2);
SELECT num_tokens(pool_tokens(doc, f)), f FROM functions_test, unnest(ARRAY[1, 2, 3, 7, 999, 1000, 2147483647]) f WHERE id = 5;
-- Rows of a Hadamard matrix and their negatives, in random order: all distances tie, except for rounding.
DO $$
DECLARE
	doc multivector;
BEGIN
	PERFORM setseed(.5);
	FOR i IN 1 .. 10 LOOP
		SELECT array_agg(token)::multivector INTO doc FROM (
			SELECT (SELECT array_agg((CASE WHEN bit_count((r & k)::bit(8)) % 2 = 1 THEN -s ELSE s END)::real ORDER BY k) FROM generate_series(0, 255) k) AS token
			FROM generate_series(0, 255) r, (VALUES (1), (-1)) v(s) ORDER BY random() LIMIT 300 + i) t;
		ASSERT num_tokens(pool_tokens(doc, 10000)) = 1;
		ASSERT num_tokens(pool_tokens(doc, 2)) = (num_tokens(doc) + 1) / 2;
	END LOOP;
END $$;
SELECT pool_tokens('[[1,0]]', 0);
SELECT pool_tokens('[[1,0]]', -1);
SELECT pool_tokens(NULL, 2), pool_tokens('[[1,0]]', NULL);
-- The greedy algorithm in SQL finds the same clusters: 40 tokens on a circle, merged by Ward's distance down to 8.
CREATE FUNCTION functions_ward(tokens float8[], n int) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
	x float8[] := tokens; w float8[]; i int; j int; bi int; bj int; best float8; d float8; m int := array_length(tokens, 1); o float8[] := tokens;
BEGIN
	-- Points are (cos, sin); a cluster is the sum of its points in x and o holds the same, w its size.
	w := array_fill(1.0::float8, ARRAY[m]);
	WHILE (SELECT count(*) FROM unnest(w) s WHERE s > 0) > n LOOP
		best := 'Infinity';
		FOR i IN 1..m LOOP
			CONTINUE WHEN w[i] = 0;
			FOR j IN i + 1..m LOOP
				CONTINUE WHEN w[j] = 0;
				d := w[i] * w[j] / (w[i] + w[j]) * ((x[i][1] / w[i] - x[j][1] / w[j]) ^ 2 + (x[i][2] / w[i] - x[j][2] / w[j]) ^ 2);
				IF d < best THEN best := d; bi := i; bj := j; END IF;
			END LOOP;
		END LOOP;
		x[bi][1] := x[bi][1] + x[bj][1]; x[bi][2] := x[bi][2] + x[bj][2];
		w[bi] := w[bi] + w[bj]; w[bj] := 0;
	END LOOP;
	o := '{}';
	FOR i IN 1..m LOOP
		IF w[i] > 0 THEN o := o || ARRAY[ARRAY[x[i][1] / w[i], x[i][2] / w[i]]]; END IF;
	END LOOP;
	RETURN o;
END $$;
WITH circle AS (
	SELECT array_agg(ARRAY[cos(i * i * 0.7), sin(i * i * 0.7)] ORDER BY i)::float8[] AS tokens FROM generate_series(1, 40) i)
SELECT num_tokens(pooled), maxsim_l2(pooled, expected::multivector) < 1e-5 AS same
FROM circle, pool_tokens(tokens::multivector, 5) AS pooled, functions_ward(tokens, 8) AS expected;
DROP FUNCTION functions_ward;

-- The aggregate.
SELECT multivector_agg(ARRAY[i, i * 10]::real[] ORDER BY i DESC) FROM generate_series(1, 3) i;
SELECT multivector_agg(v) FROM (VALUES (ARRAY[1, 2]::real[]), (NULL), (ARRAY[3, 4]::real[])) AS t(v);
SELECT multivector_agg(v) FROM (SELECT NULL::real[] AS v FROM generate_series(1, 3)) AS t;
SELECT multivector_agg(NULL) FROM generate_series(1, 0);
SELECT id % 2, num_tokens(multivector_agg(embedding)) FROM functions_test, unnest(doc) WHERE id < 4 GROUP BY 1 ORDER BY 1;
SELECT id, (SELECT multivector_agg(embedding ORDER BY ordinal) FROM unnest(doc)) = doc FROM functions_test ORDER BY id;
SELECT multivector_agg(v) FROM (VALUES (ARRAY[1, 2]::real[]), (ARRAY[3]::real[])) AS t(v);
SELECT multivector_agg(v) FROM (VALUES (ARRAY[[1, 2]]::real[])) AS t(v);
SELECT multivector_agg('{}'::real[]);
SELECT multivector_agg('{1,NULL}'::real[]);
SELECT multivector_agg('{1,NaN}'::real[]);
SELECT multivector_agg(array_fill(0.5::real, ARRAY[16001]));
-- As a moving window: the state is read more than once.
SELECT multivector_agg(ARRAY[i]::real[]) OVER (ORDER BY i) FROM generate_series(1, 4) i;
-- In parallel: partial states are serialized and combined.
CREATE TABLE functions_tokens AS SELECT i % 3 AS doc, ARRAY[i, sin(i)]::real[] AS token FROM generate_series(1, 20000) i;
ANALYZE functions_tokens;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT doc, multivector_agg(token) FROM functions_tokens GROUP BY doc;
CREATE TEMP TABLE functions_parallel AS
	SELECT doc, multivector_agg(token) AS tokens FROM functions_tokens GROUP BY doc;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
SELECT doc, num_tokens(tokens), (SELECT array_agg(embedding ORDER BY embedding) FROM unnest(tokens)) =
	(SELECT array_agg(token ORDER BY token) FROM functions_tokens t WHERE t.doc = p.doc) AS same
FROM functions_parallel p ORDER BY doc;
DROP TABLE functions_parallel, functions_tokens, functions_test;
