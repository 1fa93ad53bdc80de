-- Scores: maxsim, maxsim_cosine, maxsim_l2, their operators, maxsim_tokens.
SET extra_float_digits = 1;
SET jit = off;

-- Computed by hand. Query (1,0) and (0,2); document (1,1), (3,-1), (0,0).
SELECT maxsim('[[1,1],[3,-1],[0,0]]', '[[1,0],[0,2]]'), maxsim_cosine('[[1,1],[3,-1],[0,0]]', '[[1,0],[0,2]]'),
	maxsim_l2('[[1,1],[3,-1],[0,0]]', '[[1,0],[0,2]]');
SELECT '[[1,1],[3,-1],[0,0]]'::multivector <#> '[[1,0],[0,2]]', '[[1,1],[3,-1],[0,0]]'::multivector <=> '[[1,0],[0,2]]',
	'[[1,1],[3,-1],[0,0]]'::multivector <-> '[[1,0],[0,2]]';
SELECT '[[1,1],[3,-1],[0,0]]'::multivector <~#> '[[1,0],[0,2]]', '[[1,1],[3,-1],[0,0]]'::multivector <~=> '[[1,0],[0,2]]',
	'[[1,1],[3,-1],[0,0]]'::multivector <~-> '[[1,0],[0,2]]';
SELECT * FROM maxsim_tokens('[[1,1],[3,-1],[0,0]]', '[[1,0],[0,2],[-1,-1]]');
-- Among equal document tokens, the first is returned.
SELECT * FROM maxsim_tokens('[[0,1],[1,0],[1,0]]', '[[1,0],[0,0]]');

-- NULL, and different dims.
SELECT maxsim(NULL, '[[1]]'), maxsim('[[1]]', NULL), '[[1]]'::multivector <=> NULL;
SELECT maxsim('[[1,2]]', '[[1]]');
SELECT '[[1]]'::multivector <-> '[[1,2]]';
SELECT * FROM maxsim_tokens('[[1,2]]', '[[1]]');

-- A zero vector has cosine 0 with everything; equal tokens have distance 0.
SELECT maxsim_cosine('[[0,0]]', '[[1,2]]'), maxsim_cosine('[[-1,-2],[0,0]]', '[[1,2]]'), maxsim_cosine('[[1,2]]', '[[0,0],[1,2]]');
SELECT maxsim_l2('[[0.1,12345.678],[1,1]]', '[[1,1],[0.1,12345.678]]'), maxsim_l2('[[1e15,1]]', '[[1e15,1]]'), maxsim_l2('[[0,0]]', '[[0,0]]');

-- The longest possible tokens do not overflow, and the shortest do not divide by zero.
-- Tokens with a common offset: the nearest one is found from differences, in each element format, and a document has distance 0 from itself.
CREATE FUNCTION scores_offset(n int, o float8) RETURNS multivector LANGUAGE sql VOLATILE AS $$
	SELECT array_agg(t)::multivector FROM (SELECT array_agg((o + random())::real) AS t FROM generate_series(1, n) AS i, generate_series(1, 16) AS k GROUP BY i) AS s
$$;
CREATE FUNCTION scores_nearest(d multivector, q multivector) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
	SELECT sum(best) FROM (SELECT min(sqrt((SELECT sum((x::float8 - y::float8) ^ 2) FROM unnest(dt.embedding, qt.embedding) AS u(x, y)))) AS best
		FROM unnest(d) AS dt, unnest(q) AS qt GROUP BY qt.ordinal) AS b
$$;
DO $$ BEGIN PERFORM setseed(.7); END $$;
SELECT o, element, count(*) AS docs, count(*) FILTER (WHERE maxsim_l2(d, d) > 0) AS not_0, max(abs(maxsim_l2(d, q) / scores_nearest(d, q) - 1)) < 1e-5 AS exact,
	bool_and((SELECT sum(similarity) FROM maxsim_tokens(d, q)) IS NOT NULL) AS matched
FROM (VALUES (1.0), (30), (300), (1000), (30000)) AS v(o), LATERAL (SELECT scores_offset(20, o) AS d4, scores_offset(4, o) AS q FROM generate_series(1, 20 + o::int * 0)) AS m,
	LATERAL (VALUES ('float4', d4), ('float2', d4::multivector(16, float2)), ('int8', d4::multivector(16, int8))) AS e(element, d) GROUP BY o, element ORDER BY o, element;
-- A document of several runs, in which later tokens are longer.
WITH m AS (SELECT array_agg(ARRAY[500 + i % 7, 500.001 + i, 499]::real[])::multivector AS d FROM generate_series(1, 3000) AS i)
SELECT maxsim_l2(d, d), abs(maxsim_l2(d, '[[503,503.001,499],[500,3000,500]]') / scores_nearest(d, '[[503,503.001,499],[500,3000,500]]') - 1) < 1e-6 AS exact FROM m;
SELECT maxsim('[[1e18]]', '[[1e18],[-1e18]]'), maxsim_cosine('[[1e18]]', '[[1e18],[-1e18]]'), maxsim_l2('[[1e18]]', '[[1e18],[-1e18]]');
SELECT maxsim('[[1e-45]]', '[[1e-45]]'), maxsim_cosine('[[1e-45]]', '[[1e-45]]'), maxsim_l2('[[1e-45]]', '[[-1e-45]]'),
	maxsim_cosine('[[1e-15,0]]', '[[1e18,0]]');

-- Random sets of many shapes, compared with the definitions in SQL, in double precision.
CREATE FUNCTION scores_random(n int, dim int, seed int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY i)::multivector
	FROM (SELECT i, array_agg(sin(i * 12.9898 + k * 78.233 + seed * 37.719 + (i * k % 31)) ORDER BY k) AS token
		  FROM generate_series(1, n) i, generate_series(1, dim) k GROUP BY i) AS t
$$;
CREATE FUNCTION scores_defined(doc multivector, query multivector, OUT ip float8, OUT cosine float8, OUT l2 float8) LANGUAGE sql IMMUTABLE AS $$
	WITH q AS (SELECT ordinal, embedding::float8[] FROM unnest(query)),
		d AS (SELECT ordinal, embedding::float8[] FROM unnest(doc)),
		pairs AS (
			SELECT q.ordinal, sum(x * y) AS xy, sum(x * x) AS xx, sum(y * y) AS yy, sum((x - y) ^ 2) AS d2
			FROM q, d, unnest(q.embedding, d.embedding) AS u(x, y) GROUP BY q.ordinal, d.ordinal),
		best AS (SELECT ordinal, max(xy) AS ip, max(xy / sqrt(xx * yy)) AS cosine, min(sqrt(d2)) AS l2 FROM pairs GROUP BY ordinal)
	SELECT sum(ip), sum(cosine), sum(l2) FROM best
$$;
CREATE TABLE scores_test AS
	SELECT n, dim, m, scores_random(n, dim, n + m) AS doc, scores_random(m, dim, 1000 + m) AS query
	FROM unnest(ARRAY[1, 2, 7, 65]) n, unnest(ARRAY[1, 3, 8, 17, 33]) dim, unnest(ARRAY[1, 2, 4, 5, 8, 9, 16, 17, 33]) m;
SELECT count(*), bool_and(abs(maxsim(doc, query) - ip) < 1e-5 * m * dim) AS ip,
	bool_and(abs(maxsim_cosine(doc, query) - cosine) < 1e-5 * m) AS cosine, bool_and(abs(maxsim_l2(doc, query) - l2) < 1e-3 * m) AS l2
FROM scores_test, scores_defined(doc, query) WHERE m IN (1, 5, 16) OR n = 7;

-- Formats: the score of a document equals, bit for bit, the score of its values as float4; likewise for the query.
CREATE FUNCTION scores_bits(doc multivector, query multivector) RETURNS bytea[] LANGUAGE sql IMMUTABLE AS $$
	SELECT ARRAY[float8send(maxsim(doc, query)), float8send(maxsim_cosine(doc, query)), float8send(maxsim_l2(doc, query))]
$$;
CREATE FUNCTION scores_as(mv multivector, element text) RETURNS multivector LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	result multivector;
BEGIN
	EXECUTE format('SELECT $1::multivector(%s, %s)', dims(mv), element) INTO result USING mv;
	RETURN result;
END $$;
SELECT d, q, count(*), bool_and(scores_bits(doc, query) = scores_bits(scores_as(doc, 'float4'), scores_as(query, 'float4'))) AS same
FROM unnest(ARRAY['float4', 'float2', 'int8']) d, unnest(ARRAY['float4', 'float2', 'int8']) q,
	LATERAL (SELECT scores_as(t.doc, d) AS doc, scores_as(t.query, q) AS query FROM scores_test t WHERE dim IN (3, 33)) AS s
GROUP BY d, q ORDER BY d, q;

-- All instruction sets of this machine give the same bits.
CREATE FUNCTION scores_simd(simd text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('colbert.simd', simd, true);
	RETURN (SELECT md5(string_agg(scores_bits(scores_as(doc, e), query)::text, ',' ORDER BY n, dim, m, e))
			FROM scores_test, unnest(ARRAY['float4', 'float2', 'int8']) e);
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN NULL;
END $$;
SELECT count(DISTINCT bits) FROM unnest(ARRAY['auto', 'scalar', 'avx2', 'avx512', 'avx512vnni', 'amx', 'neon']) simd, scores_simd(simd) AS bits;
SELECT set_config('colbert.simd', 'auto', false);

-- maxsim_tokens are the terms of maxsim.
SELECT bool_and(total = maxsim(doc, query)), bool_and(n_rows = m), bool_and(lowest >= 1 AND highest <= n)
FROM scores_test, LATERAL (
	SELECT sum(similarity ORDER BY query_token) AS total, count(*) AS n_rows, min(doc_token) AS lowest, max(doc_token) AS highest
	FROM maxsim_tokens(doc, query)) AS t;

-- The query is prepared once, and again when it changes: constant, joined, toasted.
CREATE TABLE scores_queries (id int, query multivector);
INSERT INTO scores_queries SELECT i, scores_random(i, 33, i) FROM generate_series(1, 40) i;
SELECT count(*), bool_and(maxsim(doc, q.query) = maxsim(doc, (q.query::text)::multivector))
FROM scores_test t, scores_queries q WHERE dim = 33 AND n < 60 AND m = 1;
SELECT sum(maxsim(t.doc, '[[1,2,3]]')) = sum((SELECT maxsim(t.doc, q) FROM (SELECT '[[1,2,3]]'::multivector(3, float2) AS q OFFSET 0) s))
FROM scores_test t WHERE dim = 3;
DO $$
DECLARE
	total float8 := 0;
	q record;
BEGIN
	FOR q IN SELECT query FROM scores_queries ORDER BY id LOOP
		total := total + maxsim(q.query, q.query) - maxsim(q.query || q.query, q.query);
	END LOOP;
	RAISE NOTICE 'differences: %', total;
END $$;

-- ORDER BY, by function and by operator.
SELECT n FROM scores_test t WHERE dim = 3 AND m = 2 ORDER BY maxsim(doc, '[[1,2,3]]') DESC;
SELECT n FROM scores_test t WHERE dim = 3 AND m = 2 ORDER BY doc <#> '[[1,2,3]]';
SELECT n FROM scores_test t WHERE dim = 3 AND m = 2 ORDER BY doc <-> '[[1,2,3]]', maxsim_l2(doc, '[[1,2,3]]') DESC;
SELECT bool_and(doc <=> query = m - maxsim_cosine(doc, query)) FROM scores_test;

-- A parallel sequential scan gives the same scores.
CREATE TABLE scores_many AS SELECT i, scores_random(5, 16, i) AS doc FROM generate_series(1, 2000) i;
CREATE TEMP TABLE scores_serial AS SELECT i, maxsim(doc, scores_random(4, 16, 0)) AS score FROM scores_many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT i FROM scores_many ORDER BY maxsim(doc, '[[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]') DESC LIMIT 5;
SELECT count(*) FROM (SELECT i, maxsim(doc, scores_random(4, 16, 0)) FROM scores_many EXCEPT SELECT * FROM scores_serial) AS d;
DROP TABLE scores_test, scores_queries, scores_many, scores_serial;
DROP FUNCTION scores_random, scores_defined, scores_bits, scores_as, scores_simd;
