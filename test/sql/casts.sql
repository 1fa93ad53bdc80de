-- From and to other types.
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

-- Raw bytes, as of numpy's tobytes().
SELECT multivector('\x0000803f000000400000404000008040'::bytea, 2), multivector('\x0000803f000000400000404000008040'::bytea, 4);
SELECT multivector('\x003c00c0'::bytea, 1, 'float2'), multivector(bytes => '\x003c00c0', dims => 2, element => 'FLOAT2');
SELECT pg_column_size(multivector('\x003c00c0'::bytea, 2, 'float2'));
SELECT multivector('\x0000803f'::bytea, 2);
SELECT multivector('\x0000803f00'::bytea, 1);
SELECT multivector(''::bytea, 2);
SELECT multivector('\x0000803f'::bytea, 0);
SELECT multivector('\x0000803f'::bytea, 16001);
SELECT multivector('\x0000803f'::bytea, 1, 'float8');
SELECT multivector('\x0000803f'::bytea, 1, 'int8');
SELECT multivector('\x0000c07f'::bytea, 1);
SELECT multivector('\x007c'::bytea, 1, 'float2');
SELECT multivector(NULL::bytea, 1), multivector('\x0000803f'::bytea, NULL);

-- JSON.
SELECT '[[1, 2], [3.5, -4e1]]'::json::multivector, '[[1, 2], [3.5, -4e1]]'::jsonb::multivector(2, float2);
SELECT '[[1, null]]'::json::multivector;
SELECT '{"a": 1}'::json::multivector;
SELECT '[["1"]]'::jsonb::multivector;
SELECT '[1, 2]'::jsonb::multivector;

-- pgvector's arrays, whether or not that extension is there: types with its names and its layout stand in for it.
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
-- The name alone will not do.
SELECT multivector(ARRAY['\x020000000000803f00000040']::vector[]);
-- Membership in the extension, in a transaction that is undone.
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
