-- The type itself: modifiers, storage, coercion to a column's type.
\set VERBOSITY default

SELECT typstorage, typalign, typlen, typtype FROM pg_type WHERE oid = 'multivector'::regtype;

CREATE TABLE type_test (
	any_doc multivector,
	float4_doc multivector(3),
	float4_said multivector(3, float4),
	float2_doc multivector(3, float2),
	int8_doc multivector(3, INT8)
);
SELECT attname, format_type(atttypid, atttypmod), attstorage
FROM pg_attribute WHERE attrelid = 'type_test'::regclass AND attnum > 0 ORDER BY attnum;

-- Assignment checks dims and converts the elements.
INSERT INTO type_test
SELECT d, d, d, d, d FROM (VALUES ('[[1,2,3],[-0.25,0.1,1e-3]]'::multivector), ('[[0,0,0]]')) AS v(d);
TABLE type_test;
SELECT pg_column_size(any_doc), pg_column_size(float4_doc), pg_column_size(float2_doc), pg_column_size(int8_doc)
FROM type_test;
INSERT INTO type_test (float4_doc) SELECT float2_doc FROM type_test;
INSERT INTO type_test (float4_doc) VALUES ('[[1,2]]');
INSERT INTO type_test (float2_doc) SELECT '[[1,2,3,4]]'::multivector;
INSERT INTO type_test (float2_doc) VALUES ('[[1,2,70000]]');
INSERT INTO type_test (any_doc) VALUES ('[[1]]'), ('[[1,2],[3,4]]'), (NULL);
UPDATE type_test SET int8_doc = '[[1]]';
DROP TABLE type_test;

-- Casts, with and without a change.
SELECT '[[1,2]]'::multivector(2), '[[1,2]]'::multivector::multivector(2, float2), '[[1,0.3]]'::multivector(2, int8);
SELECT '[[1,0.3]]'::multivector(2, int8)::multivector, '[[1,0.3]]'::multivector(2, int8)::multivector(2, float2);
SELECT '[[1,2]]'::multivector(3);
SELECT '[[1,2]]'::multivector(2)::multivector(1);

-- int8 is symmetric, with one scale per token and the nearest code, ties to even; a token of zeros has scale 0.
SELECT '[[127,-127,63.5,0.5,1.5,-2.5],[0,0,0,0,-0,0],[1e-37,0,0,0,0,0]]'::multivector(6, int8);
-- An int8 value is not changed by conversion to text or arrays and back.
SELECT count(*), bool_and(d::text::multivector(16, int8) = d AND d::real[]::multivector(16, int8) = d)
FROM (SELECT (SELECT ARRAY[array_agg((sin(i * 1.7 + j * j * 0.3) * (1 + i % 7) / 3)::real)] FROM generate_series(1, 16) j)::multivector(16, int8) AS d
	  FROM generate_series(1, 2000) i) AS s;

-- Bad modifiers.
SELECT '[[1]]'::multivector(0);
SELECT '[[1]]'::multivector(-1);
SELECT '[[1]]'::multivector(16001);
SELECT '[[1]]'::multivector(99999999999999999999);
SELECT '[[1]]'::multivector(1.5);
SELECT '[[1]]'::multivector(float4);
SELECT '[[1]]'::multivector(1, float8);
SELECT '[[1]]'::multivector(1, 'float2');
SELECT '[[1]]'::multivector(1, float4, 2);
SELECT '[[1]]'::multivector('');

-- Domains, arrays and composites of it.
CREATE DOMAIN passage AS multivector(2) CHECK (num_tokens(VALUE) <= 2);
SELECT '[[1,2]]'::passage;
SELECT '[[1,2],[3,4],[5,6]]'::passage;
DROP DOMAIN passage;
SELECT ARRAY['[[1,2]]', '[[3]]']::multivector[], ('{"[[1,2]]"}'::multivector(2, float2)[])[1], ROW('[[1]]'::multivector);
