-- Text and binary input and output.
\pset format unaligned
\pset tuples_only on

-- White space, signs, forms of numbers.
SELECT E' [\t[ 1 , +2.5 ,-3. ,.5]\n,\r[1e2,1E-2,1.5e+1,-0] ] '::multivector;
SELECT '[[1]]'::multivector, '[[0.1,0.2],[0.3,0.4]]'::multivector;

-- The shortest text that reads back as the same float4.
SELECT '[[0.1,0.10000000149011612,16777217,1e-45,1.17549435e-38,1e17,3.1415927410125732]]'::multivector;

-- Rounding is that of float4: correct in the last bit, ties to even, whatever the number of digits.
SELECT count(*), bool_and(('[[' || t || ']]')::multivector::real[] = ARRAY[ARRAY[t::real]])
FROM (
	SELECT CASE i % 6
		WHEN 0 THEN (sin(i) * 10::float8 ^ (i % 30 - 20))::text
		WHEN 1 THEN ((sin(i) * 1000)::real)::text
		WHEN 2 THEN ((16777216 + i)::numeric * 2 + 1)::text
		WHEN 3 THEN (1 + (2 * i + 1) * 0.000000059604644775390625)::text
		WHEN 4 THEN (1 + (2 * i + 1) * 0.000000059604644775390625 + 1e-60)::text
		ELSE (1 + (2 * i + 1) * 0.000000059604644775390625 - 1e-60)::text
	END AS t FROM generate_series(1, 3000) i) AS s;
SELECT '[[1.00000005960464477539062500000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001,1.000000059604644775390625,1.000000178813934326171875]]'::multivector;
SELECT '[[00000000000000000000000000000000000000000001.5,0.000000000000000000000000000000000000000000001e45,123456789012345678901234567890e-29,0e99999999999999999999,1e-99999999999999999999]]'::multivector;

-- The output of Python's json.dumps() is accepted; other types print numbers like float4.
SELECT '[[0.10000000149011612, -0.5], [1e-05, 3.0]]'::json::multivector, '[[0.1, 1e5]]'::jsonb::multivector;

-- The text of an array, as node-postgres and PostgreSQL write nested arrays.
SELECT '{{"0.1","0.2"},{"-3e-1","4"}}'::multivector, '{{0.1,0.2},{-3e-1,4}}'::multivector(2), E' {\t{ 1 , "2" } , {"3", 4 }\n} '::multivector(2, int8);
SELECT ('{{"' || replace(trim('[]' FROM d::text), ',', '","') || '"}}')::multivector = d AS same FROM (SELECT '[[0.1,1e-45,3.4028235e17,-0]]'::multivector(4) AS d) AS s;
SELECT '{{1,2},{3}}'::multivector;
SELECT '{{1,NULL}}'::multivector;
SELECT '{{"NaN"}}'::multivector;
SELECT '{{"1}}'::multivector;
SELECT '{{"1" "2"}}'::multivector;
SELECT '{{}}'::multivector;
SELECT '{1,2}'::multivector;
SELECT '{}'::multivector;
SELECT '[{1}]'::multivector;
SELECT '{[1]}'::multivector;
SELECT '{{1}]'::multivector;
SELECT '[["1"]]'::multivector;
SELECT '{{1}}x'::multivector;

-- Text and back, for each element format.
SELECT count(*), bool_and(d::text::multivector = d),
	bool_and(d::multivector(5, float2)::text::multivector(5, float2) = d::multivector(5, float2))
FROM (SELECT ARRAY[ARRAY[sin(i), cos(i * i), sin(i) ^ 9, 1.0 / i, exp(-i / 100.0)], ARRAY[i, -i, 0, i / 3.0, 1]]::multivector AS d
	  FROM generate_series(1, 1000) i) AS s;

-- The binary format, byte by byte: version, element, dims, tokens, scales of int8, elements; little endian.
SELECT multivector_send('[[1,2],[-3,0.5]]');
SELECT multivector_send('[[1,2],[-3,0.5]]'::multivector(2, float2));
SELECT multivector_send('[[1,2],[-3,0.5]]'::multivector(2, int8));

-- The binary format as a bytea, which needs no dims: by call, by cast, and on assignment.
SELECT multivector('\x01000200010000000000803f00000040'::bytea);
SELECT d, b, multivector_send(multivector(b)) = b AS same, multivector_send(b::multivector(2, float4)) = multivector_send(d) AS cast
FROM (SELECT d, multivector_send(d) AS b FROM unnest(ARRAY['[[1,2],[-3,0.5]]'::multivector,
	'[[1,2],[-3,0.5]]'::multivector(2, float2)]) AS d) AS s;
SELECT multivector_send(multivector(multivector_send(d))) = multivector_send(d) FROM (SELECT '[[1,2],[-3,0.5],[0,0]]'::multivector(2, int8) AS d) AS s;
CREATE TABLE io_bytea (doc multivector(2, float2));
INSERT INTO io_bytea VALUES (multivector_send('[[1,2],[-3,0.5]]'));
INSERT INTO io_bytea VALUES (multivector_send('[[1,2,3]]'));
SELECT doc, pg_column_size(doc) FROM io_bytea;
DROP TABLE io_bytea;
SELECT maxsim('[[1,2]]', multivector(multivector_send('[[3,4]]')));
-- Raw numbers, another length, another element, no number, and NULL.
SELECT multivector('\x0000803f00000040'::bytea);
SELECT multivector('\x0100'::bytea);
SELECT multivector('\x'::bytea);
SELECT multivector('\x01000200010000000000803f'::bytea);
SELECT multivector('\x0107020001000000'::bytea);
SELECT multivector('\x01000100010000000000c07f'::bytea);
SELECT multivector('\x01020100010000000000803f01'::bytea);
SELECT multivector('[[1,2]]'::bytea);
SELECT multivector(NULL::bytea);
-- A literal is text, as before.
SELECT multivector('[[1,2]]');

-- The hex form: the binary format in hexadecimal digits, of either case. Elements survive.
SET colbert.multivector_output = hex;
SELECT '[[1,2],[-3,0.5]]'::multivector, '[[1,2],[-3,0.5]]'::multivector(2, float2), '[[1,2],[-3,0.5]]'::multivector(2, int8);
SELECT ARRAY['[[1]]'::multivector, NULL], ROW('[[1]]'::multivector, 2), '[[1]]'::multivector::text;
-- JSON stays JSON.
SELECT '[[1,2]]'::multivector::json, '[[1,2]]'::multivector::jsonb, to_json('[[1,2]]'::multivector), '[[1,2]]'::multivector::real[];
SET colbert.multivector_output = json;
SELECT '\x01010200010000000040003C'::multivector, pg_column_size('\x01010200010000000040003C'::multivector), '\x01010200010000000040003c'::multivector(2);
CREATE FUNCTION io_as(doc multivector, form text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM set_config('colbert.multivector_output', form, true);
	RETURN doc::text;
END $$;
SELECT e, count(*), bool_and(multivector_send(io_as(d, 'hex')::multivector) = multivector_send(d)), bool_and(io_as(d, 'hex') = '\x' || encode(multivector_send(d), 'hex'))
FROM (SELECT e, CASE e WHEN 'float4' THEN d WHEN 'float2' THEN d::multivector(13, float2) ELSE d::multivector(13, int8) END AS d
	  FROM (SELECT (SELECT array_agg(ARRAY(SELECT sin(n * 31 + t * 7 + k * k) FROM generate_series(1, 13) k)) FROM generate_series(1, n) t)::real[]::multivector AS d
			FROM generate_series(1, 50) n) AS s, unnest('{float4,float2,int8}'::text[]) AS e) AS s GROUP BY e ORDER BY e;
DROP FUNCTION io_as;
SET colbert.multivector_output = hexadecimal;
RESET colbert.multivector_output;
-- The form depends on a setting, so no index and no generated column may contain it.
CREATE TABLE io_generated (doc multivector(2), form text GENERATED ALWAYS AS (doc::text) STORED);

-- Hostile hex: no digits, an odd digit, bad digits (also after many good ones), truncated, too long, white space, raw numbers.
SELECT '\x'::multivector;
SELECT '\x0'::multivector;
SELECT '\x01000100010000000000803'::multivector;
SELECT '\xz'::multivector;
SELECT '\x010001000100000000008g3f'::multivector;
SELECT '\x01000100010000000000803é'::multivector;
SELECT ('\x' || repeat('00', 100) || '0x' || repeat('00', 100))::multivector;
SELECT ('\x' || repeat('00', 63) || ' 0')::multivector;
-- One character among good digits, each once: the digits are those of encode(), and no error is another one.
CREATE FUNCTION io_state(value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (value::multivector IS NULL)::text;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT io_state(overlay('\x' || repeat('3e', n) PLACING chr(c) FROM at)) AS state, count(*), string_agg(chr(c), '') FILTER (WHERE n = 12 AND chr(c) ~ '[0-9A-Za-z]')
FROM (SELECT 12 AS n, 14 AS at UNION ALL SELECT 200, 100) AS s, generate_series(1, 255) c GROUP BY 1 ORDER BY 1;
-- Each value cut at each character.
SELECT io_state(left('\x' || encode(multivector_send(d), 'hex'), n)) AS state, count(*)
FROM (VALUES ('[[1,2],[-3,0.5]]'::multivector), ('[[1,2],[-3,0.5]]'::multivector(2, float2)), ('[[1,2],[-3,0.5]]'::multivector(2, int8))) AS v(d), generate_series(2, length(encode(multivector_send(d), 'hex')) + 2) n
GROUP BY 1 ORDER BY 1;
DROP FUNCTION io_state;
SELECT '\x01000100010000000000'::multivector;
SELECT '\x01000100010000000000803f00'::multivector;
SELECT '\x01000100010000000000803f '::multivector;
SELECT ' \x01000100010000000000803f'::multivector;
SELECT '\X01000100010000000000803f'::multivector;
SELECT '\x0100ffffffffffff'::multivector;
SELECT '\x0100000001000000'::multivector;
SELECT '\x0100020000000000'::multivector;
SELECT '\x01000100010000000000c07f'::multivector;
SELECT '\x01020100010000000000803f01'::multivector;
SELECT '\x5b5b315d5d20202020'::multivector;
SELECT '\x01000100010000000000803f'::multivector(2);
SELECT '"\\x01000100010000000000803f"'::json::multivector;

-- COPY BINARY out and in.
CREATE TABLE io_test (id int, doc multivector, half multivector(2, float2), byte multivector(2, int8));
INSERT INTO io_test
SELECT i, d, d, d FROM (
	SELECT i, (SELECT array_agg(ARRAY[sin(i * j), cos(i + j)]) FROM generate_series(1, i % 5 + 1) j)::multivector AS d
	FROM generate_series(1, 100) i) AS s;
\copy io_test TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
CREATE TABLE io_copy (LIKE io_test);
\copy io_copy FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
SELECT count(*), bool_and(a.doc = b.doc AND a.half = b.half AND a.byte = b.byte),
	bool_and(multivector_send(a.byte) = multivector_send(b.byte))
FROM io_test a JOIN io_copy b USING (id);

-- Receiving enforces the column's type.
CREATE TABLE io_column (id int, a multivector(2, int8), b multivector(2), c multivector(2, float2));
\copy io_column FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
SELECT count(*), bool_and(a = doc::multivector(2, int8) AND b = half AND c = byte::multivector(2, float2))
FROM io_column JOIN io_test USING (id);
CREATE TABLE io_other (id int, a multivector(3), b multivector, c multivector);
\copy io_other FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\! rm -f "$PG_ABS_BUILDDIR/io_test.bin"

-- A value in the wrong format.
\copy (SELECT 1, '[[1,2]]'::text) TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
CREATE TABLE io_text (id int, doc multivector);
\copy io_text FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy (SELECT 1, '{{1,2}}'::text) TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy io_text FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy (SELECT 1, '[[1,2]]'::jsonb) TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy io_text FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy (SELECT 1, '{{1,2},{3,4}}'::real[]) TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy io_text FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy (SELECT 1, '\x5b00803f00000040'::bytea) TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\copy io_text FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.bin"' (FORMAT binary)
\! rm -f "$PG_ABS_BUILDDIR/io_test.bin"
SELECT '\x0000803f'::multivector;
-- A single token, as the text of an array.
SELECT '{0.1,0.2}'::multivector;
SELECT '{"0.1","0.2"}'::multivector;
SELECT '{}'::multivector;
SELECT '{"a": 1}'::jsonb::multivector;
DROP TABLE io_text;

-- COPY as text, with quotes and without.
\copy io_test (id, doc) TO PROGRAM 'sed -n 1,2p' (FORMAT csv)
\copy (SELECT doc FROM io_test ORDER BY id LIMIT 2) TO PROGRAM 'cat'
-- COPY of the hex form, as text and as CSV, and back.
SET colbert.multivector_output = hex;
\copy (SELECT id, doc FROM io_test ORDER BY id LIMIT 1) TO PROGRAM 'cat'
\copy io_test TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.txt"'
\copy io_test TO PROGRAM 'cat >"$PG_ABS_BUILDDIR/io_test.csv"' (FORMAT csv, HEADER)
TRUNCATE io_copy;
\copy io_copy FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.txt"'
\copy io_copy FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/io_test.csv"' (FORMAT csv, HEADER)
\! rm -f "$PG_ABS_BUILDDIR/io_test.txt" "$PG_ABS_BUILDDIR/io_test.csv"
SELECT count(*), bool_and(multivector_send(a.doc) = multivector_send(b.doc) AND multivector_send(a.half) = multivector_send(b.half) AND multivector_send(a.byte) = multivector_send(b.byte))
FROM io_test a JOIN io_copy b USING (id);
RESET colbert.multivector_output;
DROP TABLE io_test, io_copy, io_column, io_other;
