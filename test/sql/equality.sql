-- = and its matching hash.

SELECT '[[1,2]]'::multivector = '[[1,2]]', '[[1,2]]'::multivector <> '[[1,2]]', '[[1,2]]'::multivector = '[[1,3]]';
-- The shape matters; the element format and the sign of zero do not.
SELECT '[[1,2]]'::multivector = '[[1],[2]]', '[[1,2]]'::multivector = '[[1,2],[1,2]]',
	'[[1,2]]'::multivector = '[[1,2]]'::multivector(2, float2), '[[1,0]]'::multivector = '[[1,-0]]',
	'[[127,5]]'::multivector = '[[127,5]]'::multivector(2, int8), '[[0.1]]'::multivector = '[[0.1]]'::multivector(1, float2);
SELECT '[[1]]'::multivector = NULL, NULL::multivector <> '[[1]]';

-- Equal values have equal hashes, whatever their format.
SELECT count(*), bool_and(multivector_hash(a) = multivector_hash(b)), bool_and(multivector_hash_extended(a, 7) = multivector_hash_extended(b, 7)),
	bool_and(multivector_hash_extended(a, 0)::bit(32) = multivector_hash(a)::bit(32))
FROM (VALUES ('[[1,2]]'::multivector, '[[1,2]]'::multivector(2, float2)), ('[[1,0]]', '[[1,-0]]'), ('[[127,5]]', '[[127,5]]'::multivector(2, int8))) AS v(a, b)
WHERE a = b;
SELECT count(DISTINCT multivector_hash(ARRAY[[i, j]]::multivector)) > 9990 FROM generate_series(1, 100) i, generate_series(1, 100) j;
SELECT multivector_hash('[[1,2]]') = multivector_hash('[[1],[2]]'), multivector_hash_extended('[[1]]', 1) = multivector_hash_extended('[[1]]', 2);

-- Uses of equality.
CREATE TABLE equality_test (id int, doc multivector);
INSERT INTO equality_test SELECT i, ARRAY[[i % 5, 1], [0, i % 2]]::multivector FROM generate_series(1, 100) i;
INSERT INTO equality_test SELECT id + 100, doc::multivector(2, float2) FROM equality_test;
INSERT INTO equality_test SELECT 300, array_agg(ARRAY[i, sin(i)])::multivector FROM generate_series(1, 2000) i;
INSERT INTO equality_test SELECT 301, doc FROM equality_test WHERE id = 300;
SELECT count(*) FROM (SELECT DISTINCT doc FROM equality_test) d;
SELECT count(*), min(id) FROM equality_test GROUP BY doc ORDER BY 2;
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM equality_test a JOIN equality_test b USING (doc);
SELECT count(*) FROM equality_test a JOIN equality_test b USING (doc);
RESET enable_nestloop;
RESET enable_mergejoin;
SELECT count(*) FROM equality_test WHERE doc = '[[1,1],[0,1]]';
SELECT count(*) FROM equality_test a WHERE doc IN (SELECT doc FROM equality_test b WHERE b.id < 3);
CREATE INDEX ON equality_test USING hash (doc);
SET enable_seqscan = off;
SELECT count(*) FROM equality_test WHERE doc = '[[1,1],[0,1]]';
RESET enable_seqscan;
CREATE TABLE equality_parts (doc multivector) PARTITION BY HASH (doc);
CREATE TABLE equality_part0 PARTITION OF equality_parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE equality_part1 PARTITION OF equality_parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO equality_parts SELECT doc FROM equality_test;
SELECT count(*) FROM equality_parts WHERE doc = '[[1,1],[0,1]]';
SELECT count(*) FROM (SELECT DISTINCT tableoid, doc FROM equality_parts) d;
ANALYZE equality_test;
DROP TABLE equality_test, equality_parts;
\set VERBOSITY terse
SELECT '[[1]]'::multivector < '[[2]]';
