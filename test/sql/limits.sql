-- Maximum sizes: larger values are rejected before memory is allocated; and long operations can be cancelled.
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.doubled(doc multivector, times int) RETURNS multivector LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. times LOOP
		doc := doc || doc;
	END LOOP;
	RETURN doc;
END $$;

-- 270 MB of int8 are more than 1 GB as float4.
CREATE FUNCTION pg_temp.refused() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	one multivector := ('[[' || repeat('0.5,', 15999) || '1]]')::multivector;
	large multivector := one::multivector(16000, int8);
	expression text;
BEGIN
	large := pg_temp.doubled(large, 14) || pg_temp.doubled(large, 9);
	RETURN NEXT num_tokens(large);
	FOREACH expression IN ARRAY ARRAY['num_tokens($1::multivector(16000, float4))', 'cardinality($1::real[])', 'num_tokens($1 || $2)', 'num_tokens($2 || $1)'] LOOP
		BEGIN
			EXECUTE 'SELECT ' || expression USING large, one;
			RETURN NEXT 'no error: ' || expression;
		EXCEPTION WHEN program_limit_exceeded THEN
			RETURN NEXT expression || ': ' || sqlerrm;
		END;
	END LOOP;
END $$;
SELECT pg_temp.refused();
SELECT num_tokens(multivector_agg(token)) FROM (SELECT array_fill(0.5::real, ARRAY[16000]) AS token) AS t, generate_series(1, 17000);

-- A million tokens.
CREATE TABLE limits_docs (doc multivector(1));
CREATE INDEX limits_hnsw ON limits_docs USING colbert_hnsw (doc);
INSERT INTO limits_docs VALUES ('[[1]]');
CREATE TABLE limits_million AS SELECT pg_temp.doubled('[[1]]', 20) AS doc;
SELECT num_tokens(doc) FROM limits_million;
SELECT clock_timestamp() AS start \gset
SET statement_timeout = '100ms';
SELECT maxsim(doc, doc) FROM limits_million;
SELECT maxsim_l2(doc, doc) FROM limits_million;
SELECT count(*) FROM limits_million, maxsim_tokens(doc, doc);
SELECT num_tokens(pool_tokens(doc, 2)) FROM limits_million;
RESET statement_timeout;
SELECT clock_timestamp() - :'start' < '20 s' AS soon;
SET enable_seqscan = off;
SELECT num_tokens(doc) FROM limits_docs ORDER BY doc <#> (SELECT doc FROM limits_million) LIMIT 1;
SELECT num_tokens(doc), doc <#> pg_temp.doubled('[[1]]', 16) FROM limits_docs ORDER BY doc <#> pg_temp.doubled('[[1]]', 16) LIMIT 1;
RESET enable_seqscan;
SELECT num_tokens(doc), doc <#> (SELECT doc FROM limits_million) FROM limits_docs ORDER BY maxsim(doc, (SELECT doc FROM limits_million)) LIMIT 1;
DROP TABLE limits_docs, limits_million;

-- A text of 120 MB, which is wrong at its end: the error would show that the parser was not cancelled.
CREATE TABLE limits_text (text text);
ALTER TABLE limits_text ALTER text SET STORAGE EXTERNAL;
INSERT INTO limits_text SELECT '[' || repeat('[' || repeat('0.1234567,', 999) || '1],', 12000) || '[1]]';
SET statement_timeout = '200ms';
SELECT num_tokens(text::multivector) FROM limits_text;
RESET statement_timeout;
SELECT num_tokens(text::multivector) FROM limits_text;
DROP TABLE limits_text;

-- Long runs in a text, of digits and of blanks, and long lines of a LightGBM model. All are wrong at their end, which two
-- fifths of the time to get there do not reach.
CREATE FUNCTION limits_part(statement text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	shortest interval;
	start timestamptz;
BEGIN
	FOR attempt IN 1 .. 2 LOOP
		start := clock_timestamp();
		BEGIN
			EXECUTE statement;
			RAISE 'it is not wrong';
		EXCEPTION WHEN invalid_text_representation THEN
			shortest := least(shortest, clock_timestamp() - start);
		END;
	END LOOP;
	RETURN greatest(1, 400 * extract(epoch FROM shortest));
END $$;
SELECT $$SELECT num_tokens(('[[1,' || repeat(repeat('0', 10000), 2000) || '1,x]]')::multivector)$$ AS statement \gset
SELECT limits_part(:'statement') AS part \gset
SET statement_timeout = :part;
:statement;
RESET statement_timeout;
SELECT $$SELECT num_tokens(('[[1' || repeat(repeat(' ', 10000), 5000) || ',x]]')::multivector)$$ AS statement \gset
SELECT limits_part(:'statement') AS part \gset
SET statement_timeout = :part;
:statement;
RESET statement_timeout;
SELECT $$SELECT rank_model_info((E'tree\nversion=v4\nmax_feature_idx=0\nfeature_names=a\nTree=0\nnum_leaves=2000000\nleaf_value=' || repeat(repeat('1 ', 1000), 2000) || E'x\n')::rank_model)$$ AS statement \gset
SELECT limits_part(:'statement') AS part \gset
SET statement_timeout = :part;
:statement;
RESET statement_timeout;
SELECT $$SELECT rank_model_info((E'tree\nversion=v4\nmax_feature_idx=0\nfeature_names=' || repeat(repeat('a ', 1000), 5000) || E'\n')::rank_model)$$ AS statement \gset
SELECT limits_part(:'statement') AS part \gset
SET statement_timeout = :part;
:statement;
RESET statement_timeout;
DROP FUNCTION limits_part;

-- Rankers: many names for many features; and many trees that share one long way through the nodes.
CREATE TABLE limits_names AS SELECT ('{"weights": [' || repeat('1,', 59999) || '1]}')::rank_model AS model,
	array_fill(1::real, ARRAY[100000]) AS features, array_fill('x'::text, ARRAY[100000]) AS names;
CREATE TABLE limits_way AS SELECT ('\x01010000' || '01000000' || 'fc030000' || '20a10700' || '02000000' || '00000000' || '02000000' || repeat('00', 8)
	|| string_agg('000000000000f03f' || repeat('00', 8) || CASE WHEN i < 500000 THEN lpad(to_hex(((i & 255) << 24) | ((i & 65280) << 8) | ((i >> 8) & 65280)), 8, '0') ELSE repeat('ff', 4) END || 'feffffff', '' ORDER BY i)
	|| '000000000000f03f' || '0000000000000040' || repeat('00', 4 * 1020) || '00' || '6100')::rank_model AS model FROM generate_series(1, 500000) AS i;
SELECT rank_model_info(model) FROM limits_way;
SELECT clock_timestamp() AS start \gset
SET statement_timeout = '100ms';
SELECT rank_score(model, features, names) FROM limits_names;
SELECT rank_score(model, '{0}') FROM limits_way;
RESET statement_timeout;
SELECT clock_timestamp() - :'start' < '3 s' AS soon;
SELECT rank_score(model, '{1}', names) FROM limits_names;
DROP TABLE limits_names, limits_way;
