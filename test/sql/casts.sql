-- Casts from and to other types.
\pset null NULL

-- Arrays of numbers.
SELECT ARRAY[[1,2],[3,4]]::multivector, ARRAY[[0.1,0.2]]::multivector,
	'{{1,2.5}}'::real[]::multivector, '{{1,2.5}}'::double precision[]::multivector(2, float2);
SELECT '[0:1][5:6]={{1,2},{3,4}}'::real[]::multivector;
SELECT multivector(ARRAY[[1,2]]), multivector(ARRAY[[0.5]]), multivector('{{1,2}}'::real[]), multivector('{{1,2}}'::float8[]);
SELECT '[[1,2],[3,4]]'::multivector::real[], '[[1,2]]'::multivector(2, float2)::real[], '[[1,0]]'::multivector(2, int8)::real[];
SELECT array_dims('[[1,2,3],[3,4,5]]'::multivector::real[]), NULL::real[]::multivector;
CREATE TABLE casts_test (doc multivector(2), tokens real[]);
INSERT INTO casts_test VALUES (ARRAY[[1,2]], '[[1,2],[3,4]]'::multivector);
INSERT INTO casts_test (doc) VALUES (ARRAY[[0.5,2]]), ('[[3,4]]'::json), ('[[5,6]]'::jsonb), ('{{7,8}}'::float8[]);
TABLE casts_test;
INSERT INTO casts_test (doc) VALUES (ARRAY[[1,2,3]]);
INSERT INTO casts_test (doc) VALUES ('[[1,2,3]]'::json);
DROP TABLE casts_test;
SELECT '{1,2}'::real[]::multivector;
SELECT '{{{1,2}}}'::real[]::multivector;
SELECT '{}'::real[]::multivector;
SELECT '{{1,NULL}}'::real[]::multivector;
SELECT '{{1,NaN}}'::real[]::multivector;
SELECT '{{1,2},{3,-Infinity}}'::double precision[]::multivector;
SELECT '{{1,1e300}}'::double precision[]::multivector;
SELECT '{{1,NaN}}'::numeric[]::multivector;
SELECT multivector('{a,b}'::text[]);
SELECT multivector('{}'::int[]);

-- To JSON and to arrays of float8, and back.
SELECT d::json, d::jsonb, d::double precision[], to_json(d), row_to_json(ROW(d)) FROM (SELECT '[[0.1,-1e-7],[3,4]]'::multivector(2) AS d) AS s;
SELECT d::json, d::jsonb, d::double precision[] FROM (SELECT '[[0.5,-1],[3,4]]'::multivector(2, int8) AS d) AS s;
SELECT count(*), bool_and(d::json::multivector = d AND d::jsonb::multivector = d AND d::double precision[]::multivector = d AND d::double precision[] = d::real[]::double precision[])
FROM (SELECT ARRAY[ARRAY[sin(i), exp(-i)], ARRAY[i * 1e15, 1.0 / i]]::multivector AS d FROM generate_series(1, 100) i) AS s;
CREATE TABLE casts_test (a json, b jsonb, c double precision[]);
INSERT INTO casts_test SELECT d, d, d FROM (SELECT '[[1,2]]'::multivector AS d UNION ALL SELECT NULL) AS s;
TABLE casts_test;
DROP TABLE casts_test;

-- Raw bytes, as from numpy's tobytes().
SELECT multivector('\x0000803f000000400000404000008040'::bytea, 2), multivector('\x0000803f000000400000404000008040'::bytea, 4);
SELECT multivector('\x003c00c0'::bytea, 1, 'float2'), multivector(bytes => '\x003c00c0', dims => 2, element => 'FLOAT2');
SELECT pg_column_size(multivector('\x003c00c0'::bytea, 2, 'float2'));
SELECT multivector('\x0000803f'::bytea, 2);
SELECT multivector('\x0000803f00'::bytea, 1);
SELECT multivector(''::bytea, 2);
SELECT multivector('\x0000803f'::bytea, 0);
SELECT multivector('\x0000803f'::bytea, 16001);
SELECT multivector('\x0000803f'::bytea, 1, 'float8');
SELECT d, pg_column_size(d), d::multivector(3, int8) FROM multivector('\x7f80ff005a01'::bytea, 3, 'int8') AS d;
SELECT multivector('\x0000c07f'::bytea, 1);
SELECT multivector('\x007c'::bytea, 1, 'float2');
SELECT multivector(NULL::bytea, 1), multivector('\x0000803f'::bytea, NULL);

-- Bytes of another element format are rejected, and valid bytes never are: random embeddings, normalised and not, rounded, tiny and huge.
CREATE FUNCTION reverse_bytes(bytes bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg(substr(bytes, i, 1), '' ORDER BY i DESC) FROM generate_series(1, length(bytes)) AS i $$;
CREATE FUNCTION raw(n int, how text) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg(CASE how
		WHEN 'float4' THEN reverse_bytes(float4send(x::real)) WHEN 'float8' THEN reverse_bytes(float8send(x)) WHEN 'widened' THEN reverse_bytes(float8send(x::real))
		WHEN 'bfloat16' THEN '\x0000' || substr(reverse_bytes(float4send(x::real)), 3)
		WHEN 'fixed' THEN reverse_bytes(float4send((round(x * 256) / 256)::real)) WHEN 'int8' THEN substr(int4send(round(x * 127)::int), 4)
		WHEN 'integers' THEN reverse_bytes(float4send(round(x * 127)::real))
		WHEN 'tiny' THEN reverse_bytes(float4send((x * 1e-20)::real)) WHEN 'huge' THEN reverse_bytes(float4send((x * 1e15)::real))
		WHEN 'halves' THEN substr(multivector_send(ARRAY[ARRAY[x]]::multivector(1, float2)), 9)
		WHEN 'large halves' THEN substr(multivector_send(ARRAY[ARRAY[x * 5000]]::multivector(1, float2)), 9)
		WHEN 'widened halves' THEN reverse_bytes(float4send((ARRAY[ARRAY[x]]::multivector(1, float2)::real[])[1][1])) END, '' ORDER BY i)
	FROM (SELECT i, sin(n * 1.7 + i * i * 0.37) * CASE WHEN n % 2 = 0 THEN 0.1 ELSE 0.9 END AS x FROM generate_series(1, 256) AS i) AS s $$;
CREATE FUNCTION try_bytes(bytes bytea, element text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM multivector(bytes, 64, element);
	RETURN 'accepted';
EXCEPTION WHEN data_exception OR numeric_value_out_of_range THEN
	RETURN sqlerrm;
END $$;
SELECT how, element, string_agg(DISTINCT try_bytes(raw(n, how), element), '; ')
FROM unnest('{float4,float8,widened,bfloat16,fixed,int8,integers,tiny,huge,halves,large halves,widened halves}'::text[]) WITH ORDINALITY AS kinds (how, k),
	unnest('{float4,float2}'::text[]) AS element, generate_series(1, 20) AS n
GROUP BY how, k, element ORDER BY k, element DESC;
\set VERBOSITY default
SELECT multivector(raw(1, 'halves'), 64);
SELECT multivector(raw(1, 'float4'), 64, 'float2');
SELECT multivector(raw(1, 'float8'), 64);
SELECT multivector(raw(1, 'int8'), 64);
SELECT multivector(substr(raw(1, 'halves'), 1, 128), 64);
DROP FUNCTION raw, reverse_bytes, try_bytes;

-- JSON.
SELECT '[[1, 2], [3.5, -4e1]]'::json::multivector, '[[1, 2], [3.5, -4e1]]'::jsonb::multivector(2, float2);
SELECT '[[1, null]]'::json::multivector;
SELECT '{"a": 1}'::json::multivector;
SELECT '[["1"]]'::jsonb::multivector;
SELECT '[1, 2]'::jsonb::multivector;

-- pgvector's arrays, whether or not that extension is installed: types with its names and its layout replace it.
SET client_min_messages = warning;
CREATE SCHEMA casts_vector;
SET search_path = casts_vector, public;
CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring) RETURNS vector LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION vector_out(vector) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE TYPE vector (INPUT = vector_in, OUTPUT = vector_out, STORAGE = external);
CREATE TYPE halfvec;
CREATE FUNCTION halfvec_in(cstring) RETURNS halfvec LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION halfvec_out(halfvec) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE TYPE halfvec (INPUT = halfvec_in, OUTPUT = halfvec_out, STORAGE = external);
RESET client_min_messages;
-- The type's name alone is not sufficient.
SELECT multivector(ARRAY['\x020000000000803f00000040']::vector[]);
-- Membership in the extension, in a transaction that is rolled back.
BEGIN;
DELETE FROM pg_extension WHERE extname = 'vector';
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
VALUES (4242424, 'vector', 10, 'casts_vector'::regnamespace, true, '0');
INSERT INTO pg_depend
SELECT 'pg_type'::regclass, t, 0, 'pg_extension'::regclass, 4242424, 0, 'e'
FROM unnest('{vector,halfvec}'::regtype[]) AS t;
SELECT multivector(ARRAY['\x020000000000803f00000040', '\x02000000000000bf0000003f']::vector[]);
SELECT multivector(ARRAY['\x02000000003c00c0', '\x020000000000ff7b']::halfvec[]),
	pg_column_size(multivector(ARRAY['\x02000000003c00c0', '\x020000000000ff7b']::halfvec[]));
ROLLBACK;
CREATE FUNCTION as_pgvector(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	DELETE FROM pg_extension WHERE extname = 'vector';
	INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
	VALUES (4242424, 'vector', 10, 'casts_vector'::regnamespace, true, '0');
	INSERT INTO pg_depend
	SELECT 'pg_type'::regclass, t, 0, 'pg_extension'::regclass, 4242424, 0, 'e' FROM unnest('{vector,halfvec}'::regtype[]) AS t;
	EXECUTE statement INTO result;
	RAISE EXCEPTION 'no error, but %', result;
EXCEPTION WHEN others THEN
	RETURN sqlstate || ': ' || sqlerrm;
END $$;
SELECT as_pgvector($$SELECT multivector(ARRAY['\x020000000000803f00000040', '\x010000000000803f']::vector[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY['\x020000000000803f00000040', NULL]::vector[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY['\x030000000000803f00000040']::vector[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY['\xffff00000000803f00000040']::vector[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY['\x0200']::vector[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY['']::vector[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY['\x010000000000c07f']::vector[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY['\x01000000007c']::halfvec[])$$);
SELECT as_pgvector($$SELECT multivector(ARRAY[['\x010000000000803f']]::vector[])$$);
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA casts_vector CASCADE;
