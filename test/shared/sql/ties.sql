-- Many rows of one score: what asks for all of them gets all of them, though their codes cannot tell them apart.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET colbert.background_merge = off;

-- 300 copies of the best document, 200 of another one, and others that are farther away.
CREATE FUNCTION direction(angle float8) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$ SELECT format('[[%s,%s]]', cos(angle), sin(angle))::multivector $$;
CREATE TABLE copies (id int, kind int, doc multivector(2));
INSERT INTO copies SELECT i, i % 2, '[[1,0]]' FROM generate_series(1, 300) i;
INSERT INTO copies SELECT i, i % 2, direction(.05) FROM generate_series(301, 500) i;
INSERT INTO copies SELECT i, i % 2, direction(.1 + i / 2000.) FROM generate_series(1001, 4000) i;
CREATE TABLE halves (LIKE copies) PARTITION BY LIST (kind);
CREATE TABLE halves_0 PARTITION OF halves FOR VALUES IN (0);
CREATE TABLE halves_1 PARTITION OF halves FOR VALUES IN (1);
INSERT INTO halves SELECT * FROM copies;

-- The page of each number by the score and the id.
CREATE FUNCTION page(source regclass, operator text, number int) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT id FROM %s ORDER BY doc %s ''[[1,0]]'', id DESC LIMIT 50 OFFSET %s', source, operator, 50 * number);
END $$;
-- For each way of asking, which must use the index: the number of rows, and the least and greatest id.
CREATE FUNCTION ties(source regclass, operator text) RETURNS TABLE (asked text, rows bigint, ids text) LANGUAGE plpgsql AS $$
DECLARE
	statement text;
	plan      text;
	line      text;
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	FOREACH asked IN ARRAY ARRAY['ORDER BY score FETCH FIRST 2 ROWS WITH TIES', 'ORDER BY score FETCH FIRST 301 ROWS WITH TIES', 'WHERE place <= 2',
		'ORDER BY score, id DESC LIMIT 3', 'WHERE id > 0 ORDER BY score, id DESC LIMIT 3']
	LOOP
		statement := format('SELECT id FROM (SELECT id, doc %s ''[[1,0]]'' AS score%s FROM %s) AS s %s', operator,
			CASE WHEN asked ~ 'place' THEN format(', rank() OVER (ORDER BY doc %s ''[[1,0]]'') AS place', operator) ELSE '' END, source, asked);
		plan := '';
		FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
			plan := plan || line;
		END LOOP;
		IF plan !~ 'Index Scan using' OR plan ~ 'Seq Scan' THEN
			RAISE EXCEPTION 'the plan of % does not use the index', statement;
		END IF;
		RETURN QUERY EXECUTE format('SELECT %L::text, count(*), min(id) || '' to '' || max(id) FROM (%s) AS s', asked, statement);
	END LOOP;
	asked := 'all pages';
	RETURN QUERY SELECT asked, count(DISTINCT id), min(id) || ' to ' || max(id) FROM generate_series(0, 9) AS number, page(source, operator, number) AS id;
END $$;

\echo -- inner product
CREATE INDEX copies_index ON copies USING :method (doc);
CREATE INDEX halves_index ON halves USING :method (doc);
ANALYZE copies, halves;
SELECT * FROM ties('copies', '<#>');
\echo -- partitions
SELECT * FROM ties('halves', '<#>');
\echo -- default plans
SELECT id FROM copies ORDER BY maxsim(doc, '[[1,0]]') DESC, id DESC LIMIT 3;
\echo -- cosine
DROP INDEX copies_index;
CREATE INDEX copies_index ON copies USING :method (doc multivector_cosine_ops);
SELECT * FROM ties('copies', '<=>');
\echo -- L2
DROP INDEX copies_index;
CREATE INDEX copies_index ON copies USING :method (doc multivector_l2_ops);
SELECT * FROM ties('copies', '<->');
\echo -- codes of four bits, and floats
DROP INDEX copies_index;
CREATE INDEX copies_index ON copies USING :method (doc) WITH (quantizer = 'sq4');
SELECT * FROM ties('copies', '<#>');
DROP INDEX copies_index;
CREATE INDEX copies_index ON copies USING :method (doc) WITH (quantizer = 'flat');
SELECT * FROM ties('copies', '<#>');
DROP TABLE copies, halves;

-- Copies of a document and later documents that differ from it by less than the codes tell, some of them nearer to the query:
-- these are found, too.
CREATE FUNCTION near_uniform(i int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT hashint4(i) / 4294967296.0::float8 $$;
CREATE FUNCTION near_item(i int, other int, part float8) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT l2_normalize(multivector_agg(ARRAY(SELECT near_uniform(i * 300 + t * 40 + d) + part * near_uniform(1000000 + other * 300 + t * 40 + d) FROM generate_series(1, 32) d)::real[])) FROM generate_series(1, 3) t $$;
CREATE TABLE near (id int, doc multivector(32));
INSERT INTO near SELECT i, near_item(i, 0, 0) FROM generate_series(1, 1500) i;
INSERT INTO near SELECT 10000 * g + i, near_item(g, CASE WHEN i > 12 THEN i ELSE 0 END, .000003) FROM generate_series(1, 20) g, generate_series(1, 24) i;
CREATE INDEX near_index ON near USING :method (doc) WITH (quantizer = 'pq');
SET enable_seqscan = off;
SET enable_sort = off;
CREATE FUNCTION near_best(g int, number int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	found bigint;
BEGIN
	EXECUTE 'WITH f AS MATERIALIZED (SELECT maxsim(doc, $1) AS score FROM near ORDER BY maxsim(doc, $1) DESC NULLS LAST LIMIT $2),
		a AS MATERIALIZED (SELECT maxsim(doc, $1) AS score FROM near)
		SELECT count(*) FROM f WHERE score >= (SELECT score FROM a ORDER BY score DESC OFFSET $2 - 1 LIMIT 1)' INTO found USING near_item(g, -g, .05), number;
	RETURN found;
END $$;
SELECT CASE WHEN sum(near_best(g, 24)) >= 478 THEN 'found' ELSE sum(near_best(g, 24))::text END, count(*) AS queries FROM generate_series(1, 20) g;
DROP TABLE near;
