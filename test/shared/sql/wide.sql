-- Tokens with more dims than fit on a page: the index projects them to fewer dims; scores are those of the column.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 20' ELSE 'tokens_per_node = 8' END AS few_tokens \gset
SET jit = off;
\set QUIET on
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE SCHEMA wide;
SET search_path = wide, public;

-- A document of two tokens of normal random numbers, multiplied by a scale.
CREATE FUNCTION wide_doc(seed float8, dims int, scale float8 = 1) RETURNS multivector LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	RETURN (SELECT array_agg(token)::real[] FROM (SELECT array_agg(sqrt(-2 * ln(1 - random())) * cos(6.2831853 * random()) * scale) AS token
	                                               FROM generate_series(1, 2 * dims) i GROUP BY i % 2) AS s)::multivector;
END $$;

CREATE FUNCTION wide_noisy(doc multivector, seed float8) RETURNS multivector LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	RETURN (SELECT array_agg(noisy ORDER BY ordinal)::real[] FROM (SELECT ordinal, array_agg(x + random() - .5) AS noisy FROM unnest(doc) AS u(ordinal, token), unnest(token) AS x GROUP BY ordinal) AS s)::multivector;
END $$;

/*
 * For each operator class: how many of 20 documents the index returns first for a noisy copy of themselves; whether all rows are
 * returned, in the order of the scores except late ones; and the checker's findings.
 */
CREATE FUNCTION wide_test(tab text, method text, options text) RETURNS TABLE (opclass text, dims int, first bigint, rows bigint, ordered bool, findings bigint)
LANGUAGE plpgsql AS $$
DECLARE
	op text;
BEGIN
	FOREACH opclass IN ARRAY '{maxsim,cosine,l2}'::text[] LOOP
		op := CASE opclass WHEN 'maxsim' THEN '<#>' WHEN 'cosine' THEN '<=>' ELSE '<->' END;
		EXECUTE format('CREATE INDEX wide_index ON %s USING %s (doc multivector_%s_ops) WITH (%s)', tab, method, opclass, options);
		EXECUTE format('INSERT INTO %s SELECT id + 1000, doc FROM %1$s WHERE id BETWEEN 21 AND 30', tab);
		SELECT i.dims INTO dims FROM colbert_index_info('wide_index') AS i;
		EXECUTE format('SELECT count(*) FROM (SELECT id, wide_noisy(doc, .5) AS query FROM %s WHERE id <= 20 OFFSET 0) AS q
			WHERE q.id = (SELECT d.id FROM %1$s d ORDER BY d.doc %s q.query LIMIT 1)', tab, op) INTO first;
		EXECUTE format('SELECT count(*), bool_and(score >= before) FROM (SELECT score, lag(score) OVER () AS before
			FROM (SELECT doc %s (SELECT doc FROM %s WHERE id = 1) AS score FROM %2$s ORDER BY score) AS s) AS o', op, tab) INTO rows, ordered;
		SELECT ordered OR late > 0 INTO ordered FROM colbert_last_scan();
		PERFORM colbert_merge('wide_index');
		SELECT count(*) INTO findings FROM colbert_index_check('wide_index', heapallindexed => true, rescore => true) AS f WHERE severity = 'error';
		RETURN NEXT;
		EXECUTE format('DELETE FROM %s WHERE id > 1000', tab);
		DROP INDEX wide_index;
	END LOOP;
END $$;

CREATE TABLE wide_docs (id int, doc multivector(4096, float2));
INSERT INTO wide_docs SELECT i, wide_doc(i / 1000.0, 4096) FROM generate_series(1, 60) AS i;
SELECT * FROM wide_test('wide_docs', :'method', :'few_tokens');
SELECT * FROM wide_test('wide_docs', :'method', :'few_tokens' || ', quantizer = flat');
SELECT * FROM wide_test('wide_docs', :'method', :'few_tokens' || ', quantizer = bit');
SELECT * FROM wide_test('wide_docs', :'method', :'few_tokens' || ', quantizer = pq, pq_m = 64');

-- The maximum number of dims.
CREATE TABLE wide_most (id int, doc multivector(16000));
INSERT INTO wide_most SELECT i, wide_doc(i / 1000.0, 16000) FROM generate_series(1, 30) AS i;
SELECT * FROM wide_test('wide_most', :'method', :'few_tokens');
\set VERBOSITY sqlstate
CREATE INDEX wide_most_index ON wide_most USING :method (doc) WITH (quantizer = pq, pq_m = 16000);
\set VERBOSITY default
CREATE INDEX wide_most_index ON wide_most USING :method (doc);
SELECT id FROM wide_most ORDER BY doc <#> '[[1,2,3]]' LIMIT 1;

-- Numbers near the limits of float4; zeros.
CREATE TABLE wide_extreme (id int, doc multivector(4096));
INSERT INTO wide_extreme SELECT i, wide_doc(i / 1000.0, 4096, 1e16) FROM generate_series(1, 30) AS i;
INSERT INTO wide_extreme SELECT 100, array_fill(0, '{1,4096}')::multivector;
SELECT * FROM wide_test('wide_extreme', :'method', :'few_tokens');
INSERT INTO wide_extreme SELECT 101, array_fill(1e16::real, '{1,4096}')::multivector;
CREATE INDEX wide_index ON wide_extreme USING :method (doc) WITH (:few_tokens);
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM wide_extreme ORDER BY doc <#> (SELECT doc FROM wide_extreme WHERE id = 1)) AS s;
SELECT count(*) FROM colbert_index_check('wide_index', heapallindexed => true, rescore => true) AS f WHERE severity = 'error';
DROP SCHEMA wide CASCADE;
