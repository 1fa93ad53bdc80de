-- Hostile input. Errors are of the classes 22, 42 and 54, never internal ones.
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.fails(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN CASE WHEN sqlstate !~ '^(22|42|54)' THEN 'WRONG CLASS ' ELSE '' END ||
		sqlstate || ' ' || sqlerrm || CASE WHEN detail <> '' THEN ' -- ' || detail ELSE '' END;
END $$;

-- Text.
SELECT coalesce(quote_literal(left(t, 40)), 'NULL') || ': ' || pg_temp.fails(format('SELECT %L::multivector', t))
FROM unnest(ARRAY['', ' ', '[', '[[', '[[1', '[[1,', '[[1]', '[[1]]]', '[[1],]', '[[1,]]', '[[,1]]', '[,[1]]', '[]', '[[]]', '[[1],[]]',
	'[ ]', '[[1][2]]', '[[1 2]]', '[1]', '[1,2]', '1', '{{1}}', '[[1]],[[2]]', '[[[1]]]', '[[1],2]', '[[1],[2,3]]', '[[1,2],[3]]',
	'[[NaN]]', '[[nan]]', '[[-Infinity]]', '[[+inf]]', '[NaN]', '[[1e39]]', '[[-3.5e38]]', '[[1e999999999999999999999]]', '[[1e30]]', '[[1e18,1e18]]',
	'[[null]]', '[["1"]]', '[[0x1]]', '[[1_0]]', '[[.]]', '[[-]]', '[[+]]', '[[e1]]', '[[1e]]', '[[1e+]]', '[[--1]]', '[[1.2.3]]', '[[1;2]]', '[[1,'
	|| repeat(' ', 30) || 'x]]', '[[äöü]]', '[[1]]' || repeat('ä', 30), E'[[1\u00a0]]', '[[1]' || repeat('[', 100000), repeat('[', 1000), repeat(',', 1000)]) AS t;

-- Casts, functions and scores.
SELECT s || ': ' || pg_temp.fails('SELECT ' || s)
FROM unnest(ARRAY[
	$$'[[1]]'::multivector(16001)$$, $$'[[1]]'::multivector(1, text)$$, $$'[[1]]'::multivector(2147483647)$$, $$'[[1]]'::multivector(NULL)$$,
	$$array_fill(1::real, ARRAY[1, 16001])::multivector$$, $$'{{1},{NULL}}'::real[]::multivector$$, $$'{{{1}}}'::int[]::multivector$$,
	$$'{{1e30}}'::real[]::multivector$$, $$'{{1e-60}}'::float8[]::multivector::text::int$$,
	$$multivector('\x00'::bytea, 1)$$, $$multivector(''::bytea, 1)$$, $$multivector('\x00000000'::bytea, -1)$$, $$multivector('\x00000000'::bytea, 1, '')$$,
	$$multivector('\xffffffff'::bytea, 1)$$, $$multivector('\x0000807f'::bytea, 1)$$,
	$$'[[1e5]]'::multivector(1, float2)$$, $$token('[[1]]', -2147483648)$$, $$token('[[1]]', 2147483647)$$,
	$$pool_tokens('[[1]]', -2147483648)$$, $$maxsim('[[1]]', '[[1,2]]')$$, $$'[[1]]'::multivector || '[[1,2]]'$$,
	$$multivector_in('[[1]]', 0, 5)$$, $$multivector_in('[[1]]', 0, 2147483647)$$, $$multivector_in('[[1]]', 0, 0)$$, $$multivector_typmod_out(2147483647)$$, $$multivector('[[1]]'::multivector, 16711680, true)$$,
	$$multivector('[[1]]'::multivector, 255 << 16 | 1, true)$$, $$multivector_typmod_in('{}')$$, $$multivector_typmod_in('{1,NULL}')$$, $$multivector_typmod_in('{{1},{float2}}')$$
]) AS s;

-- Functions of type internal cannot be called in SQL; the error depends on the minor version.
SELECT s, pg_temp.fails('SELECT ' || s) ~ '(42883|0A000)'
FROM unnest(ARRAY[
	$$multivector_agg_finalfn(NULL)$$, $$multivector_agg_transfn(NULL, '{1}')$$, $$multivector_agg_deserialfn('\x00', NULL)$$,
	$$multivector_recv(NULL, 0, -1)$$
]) AS s;

-- Binary: each value is sent by COPY, as a client would send it.
CREATE TABLE hostile_target (doc multivector);
\set VERBOSITY terse
-- First valid ones: float4, float2, int8.
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01000200010000000000003f0000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 010002000100000000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100020001000000000000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0101020002000000003c004000c00000' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01020200020000000000003f000000007f810000' (FORMAT binary)
SELECT doc FROM hostile_target;
-- Empty, and truncated in the header.
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary ' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01000200010000' (FORMAT binary)
-- Only the header, too few bytes, too many bytes.
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100020001000000' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100020001000000000000000000803f00' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 010002000100000000000000' (FORMAT binary)
-- Version, element, dim, tokens.
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0000020001000000000000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0200020001000000000000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0103020001000000000000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01000000010000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100ffff010000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100813e010000000000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 010001000000000000000000' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100803effffffff0000803f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100803e000000800000803f' (FORMAT binary)
-- Not finite, in every format; too long.
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01000100010000000000c07f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100010001000000000080ff' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0101010001000000007c' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0101010001000000ff7f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100010001000000ffff7f7f' (FORMAT binary)
-- int8: scale NaN, infinite, negative, subnormal, zero with codes; largest code not 127; code -128.
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01020100010000000000c07f7f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01020100010000000000807f7f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0102010001000000000080bf7f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0102010001000000010000007f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0102010001000000000000007f' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01020100010000000000008000' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01020100010000000000803f7e' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01020100010000000000803f80' (FORMAT binary)
\copy hostile_target FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0102010001000000ffff7f7f7f' (FORMAT binary)
\set VERBOSITY default
SELECT doc FROM hostile_target;
DROP TABLE hostile_target;

-- The permitted extremes: 1 and 16,000 dims, a million tokens.
CREATE TABLE hostile_large (doc multivector);
INSERT INTO hostile_large VALUES (('[[' || repeat('0.5,', 15999) || '1]]')::multivector);
INSERT INTO hostile_large VALUES (('[' || repeat('[0.5],', 999999) || '[1]]')::multivector);
INSERT INTO hostile_large SELECT doc::multivector(16000, float2) FROM hostile_large WHERE dims(doc) = 16000;
INSERT INTO hostile_large SELECT doc::multivector(1, int8) FROM hostile_large WHERE dims(doc) = 1;
SELECT dims(doc), num_tokens(doc), length(doc::text), maxsim(doc, doc) FROM hostile_large WHERE dims(doc) = 16000;
SELECT dims(doc), num_tokens(doc), length(doc::text), maxsim(doc, '[[1],[-1]]'), maxsim_cosine(doc, '[[1],[-1]]'), maxsim_l2('[[1],[-1]]', doc), token(doc, 1000000)
FROM hostile_large WHERE dims(doc) = 1;
SELECT num_tokens(doc || doc), mean_pool(doc) FROM hostile_large WHERE dims(doc) = 1;
SELECT count(*) FROM hostile_large a JOIN hostile_large b ON a.doc = b.doc;
SELECT pg_temp.fails($$SELECT ('[[' || repeat('0.5,', 16000) || '1]]')::multivector$$);
-- Larger than a value can be: rejected before memory is allocated.
SELECT pg_temp.fails($$SELECT multivector(textsend(repeat(repeat(chr(1), 10000), 36000)), 1, 'float2')$$);
DROP TABLE hostile_large;

-- Values that are damaged on disk, or were never valid: detected before anything is read beyond their end.
-- The extension's own cast checks its input, hence another one, until the ROLLBACK.
BEGIN;
ALTER EXTENSION colbert_pg DROP CAST (bytea AS multivector);
DROP CAST (bytea AS multivector);
CREATE CAST (bytea AS multivector) WITHOUT FUNCTION;
CREATE FUNCTION pg_temp.damaged(value bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	states text[] := '{}';
	expression text;
BEGIN
	FOREACH expression IN ARRAY ARRAY['num_tokens(@)', 'dims(@)', '@::text', 'multivector_send(@)', '@::real[]', 'token(@, 1)', 'count(*) FROM unnest(@)',
		'l2_normalize(@)', 'mean_pool(@)', 'pool_tokens(@, 2)', '@ || @', $q$@ || '[[1]]'$q$, '@ = @', $q$@ = '[[1]]'$q$, 'multivector_hash(@)',
		'@::multivector(1)', '@::multivector(1, int8)', $q$maxsim(@, '[[1]]')$q$, $q$maxsim('[[1]]', @)$q$, $q$maxsim_cosine(@, '[[1]]')$q$,
		$q$maxsim_l2('[[1]]', @)$q$, 'maxsim(@, @)', 'maxsim_l2(@, @)', 'count(*) FROM maxsim_tokens(@, @)'] LOOP
		BEGIN
			EXECUTE replace('SELECT ' || expression, '@', '$1::multivector') USING value;
			states := states || 'fine'::text;
		EXCEPTION WHEN others THEN
			states := states || sqlstate::text;
		END;
	END LOOP;
	RETURN (SELECT string_agg(DISTINCT s, ' ') FROM unnest(states) s);
END $$;
-- The first is valid. Functions that read only the header accept some of the others.
SELECT v, pg_temp.damaged(v::bytea) FROM unnest(ARRAY['\x01000000010000010000803f0000803f', '', '\x01', '\x0100000001000001', '\x0100000001000001000080', '\x01000000010000010000803f', '\x01000000010000010000803f0000803f00',
	'\x00000000010000010000803f0000803f', '\x01000000000000010000803f0000803f', '\xffffffffff3e00010000803f0000803f', '\x0100000001000301', '\x01000000010000020000803f0000803f',
	'\xffffffff010000010000803f0000803f', '\x000000400100000100', '\x0000008000800001', '\x01000000010000010000c07f0000c07f']) AS v;
ROLLBACK;
