-- Orders that become a plain Index Scan; the rows are those of a sort.
-- Nothing is preloaded: every \c begins a session that has not used the extension.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

-- Documents of 1 to 4 tokens; every 50th is NULL; no two have the same score. The tests compare plans and orders, not recall, so the
-- indexes examine every document.
CREATE FUNCTION planner_tokens(n int, seed int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY i)::multivector(4)
	FROM (SELECT i, array_agg((x * x % 1000003 / 500001.5 - 1)::real ORDER BY k) AS token
		  FROM generate_series(1, n) i, generate_series(1, 4) k, LATERAL (SELECT (i * 7919 + k * 104729 + seed * 15485863::bigint) % 1000003 AS x) AS t
		  GROUP BY i) AS t
$$;
CREATE TABLE planner_docs (id int PRIMARY KEY, lang text, doc multivector(4));
INSERT INTO planner_docs
	SELECT i, (ARRAY['de', 'en', 'fr'])[1 + i % 3], CASE WHEN i % 50 > 0 THEN planner_tokens(1 + i % 4, i) END FROM generate_series(1, 500) i;
CREATE INDEX planner_maxsim ON planner_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_cosine ON planner_docs USING :method (doc multivector_cosine_ops) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_l2 ON planner_docs USING :method (doc multivector_l2_ops) WITH (quantizer = flat, rerank = 10000);
CREATE TABLE planner_queries (id int PRIMARY KEY, q multivector(4));
INSERT INTO planner_queries SELECT i, planner_tokens(3, 1000 + i) FROM generate_series(1, 5) i;
INSERT INTO planner_queries VALUES (6, NULL);
-- Without statistics of the documents. With them, documents as small as these, stored in line, would be sorted.
ALTER TABLE planner_docs ALTER doc SET STATISTICS 0;
VACUUM ANALYZE planner_docs, planner_queries;

-- The plan of a query, without differences between versions of PostgreSQL.
CREATE FUNCTION planner_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ '^ *(Window|Disabled|Replaces):';
		line := regexp_replace(regexp_replace(line, '\(InitPlan \w+\)\.col1', '$0'), '(InitPlan|SubPlan) \w+( \(returns \$0\))?', '\1 n');
		RETURN NEXT regexp_replace(line, 'OVER (w1|\(\?\))', 'OVER (...)');
	END LOOP;
END $$;

-- Whether the rows of a query, which returns id and score, are the same with the index as with a sort. Rows with a NULL score may come in
-- any order, so they are only counted.
CREATE FUNCTION planner_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found record;
	n int := 0;
	scored text[];
	others text[];
BEGIN
	FOR found IN EXECUTE query LOOP
		n := n + 1;
		IF found.score IS NOT NULL THEN
			scored := scored || (found.id || ' ' || found.score);
		ELSE
			others := others || n::text;
		END IF;
	END LOOP;
	RETURN concat_ws(' ', n, 'rows,', coalesce(cardinality(others), 0), 'without score:', array_to_string(scored, ', '), array_to_string(others, ' '));
END $$;
CREATE FUNCTION planner_same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	by_index text;
	by_sort text;
BEGIN
	PERFORM set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true);
	by_index := planner_rows(query);
	PERFORM set_config('enable_sort', 'on', true), set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
	by_sort := planner_rows(query);
	PERFORM set_config('enable_indexscan', 'on', true);
	RETURN CASE WHEN by_index = by_sort THEN 'same: ' || split_part(by_index, ':', 1) ELSE concat_ws(E'\n', 'DIFFERENT', by_index, by_sort) END;
END $$;
CREATE FUNCTION planner_check(query text) RETURNS SETOF text LANGUAGE sql AS 'SELECT planner_plan(query) UNION ALL SELECT planner_same(query)';

-- The first statement of a session, which names no type and no function of the extension except the score.
\c
SELECT count(*) FROM pg_settings WHERE name LIKE 'colbert.%';
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, (SELECT q FROM planner_queries WHERE id = 1)) DESC LIMIT 5 $$);
\c
SELECT id FROM planner_docs ORDER BY maxsim(doc, (SELECT q FROM planner_queries WHERE id = 1)) DESC NULLS LAST LIMIT 5;
\c
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);

-- Each score with its operator class, with NULL documents where SQL puts them.
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score DESC NULLS FIRST LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score DESC NULLS LAST LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim_cosine(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim_cosine(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score DESC NULLS LAST LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim_l2(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim_l2(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score NULLS FIRST LIMIT 30 $$);

-- The operators, of which core knows only the plain form.
SELECT planner_check($$ SELECT id, doc <#> '[[1,2,3,4]]' AS score FROM planner_docs ORDER BY score LIMIT 30 $$);
SELECT planner_check($$ SELECT id, doc <=> '[[1,2,3,4]]' AS score FROM planner_docs ORDER BY score LIMIT 30 $$);
SELECT planner_check($$ SELECT id, doc <-> '[[1,2,3,4]]' AS score FROM planner_docs ORDER BY score LIMIT 30 $$);
SELECT planner_check($$ SELECT id, doc <#> '[[1,2,3,4]]' AS score FROM planner_docs ORDER BY score NULLS FIRST LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim_distance(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score LIMIT 30 $$);

-- All rows.
SET enable_sort = off;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score DESC $$);
SELECT planner_check($$ SELECT id, maxsim_cosine(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score DESC NULLS LAST $$);
SELECT planner_check($$ SELECT id, maxsim_l2(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM planner_docs ORDER BY score $$);
RESET enable_sort;

-- Conditions: NULL tests go to the index, others are filters.
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE doc IS NULL ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE lang = 'en' AND id > 100 ORDER BY score DESC LIMIT 10 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE lang = 'en' AND doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, NULL::float8 AS score FROM planner_docs WHERE doc IS NULL $$);

-- Further keys sort each run of equal scores.
INSERT INTO planner_docs SELECT 1000 - i, 'en', planner_tokens(2, 10000) FROM generate_series(1, 9) i;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score DESC NULLS LAST, id LIMIT 200 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE doc IS NOT NULL ORDER BY score DESC, id DESC LIMIT 200 $$);
SELECT planner_check($$ SELECT id, doc <#> '[[1,2,3,4]]' AS score FROM planner_docs ORDER BY score, id LIMIT 200 $$);
DELETE FROM planner_docs WHERE id > 500;

-- Without enable_indexscan the same rows come from a sort.
SET enable_indexscan = off;
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
RESET enable_indexscan;

-- Sources of the query: parameters, expressions of them, and the outer row.
PREPARE planner_prepared(multivector) AS SELECT id FROM planner_docs ORDER BY maxsim(doc, $1) DESC NULLS LAST LIMIT 3;
SET plan_cache_mode = force_custom_plan;
SELECT planner_plan($$ EXECUTE planner_prepared('[[1,2,3,4]]') $$);
EXECUTE planner_prepared('[[1,2,3,4]]');
SELECT planner_plan($$ EXECUTE planner_prepared(NULL) $$);
SET plan_cache_mode = force_generic_plan;
SELECT planner_plan($$ EXECUTE planner_prepared('[[1,2,3,4]]') $$);
EXECUTE planner_prepared('[[1,2,3,4]]');
EXECUTE planner_prepared('[[-1,2,-3,4],[1,1,1,1]]');
SELECT id FROM planner_docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, '[[-1,2,-3,4],[1,1,1,1]]') DESC LIMIT 3 OFFSET 0;
CREATE TEMP TABLE planner_null AS EXECUTE planner_prepared(NULL);
SELECT count(*) FROM planner_null;
EXECUTE planner_prepared('[[1,2,3]]');
RESET plan_cache_mode;
PREPARE planner_cast(text) AS SELECT id FROM planner_docs ORDER BY maxsim(doc, $1::multivector(4, float2)) DESC NULLS LAST LIMIT 3;
SET plan_cache_mode = force_generic_plan;
SELECT planner_plan($$ EXECUTE planner_cast('[[1,2,3,4]]') $$);
EXECUTE planner_cast('[[1,2,3,4]]');
RESET plan_cache_mode;
SELECT planner_check($$ SELECT id, maxsim(doc, (SELECT q FROM planner_queries WHERE id = 2)) AS score FROM planner_docs ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT d.id, maxsim(doc, v) AS score FROM planner_docs d, (VALUES ('[[1,2,3,4]]'::multivector)) AS q(v) ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ WITH q AS (SELECT '[[1,2,3,4]]'::multivector AS v) SELECT d.id, maxsim(doc, v) AS score FROM planner_docs d, q ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT d.id, d.score FROM planner_queries q,
	LATERAL (SELECT id, maxsim(doc, q.q) AS score FROM planner_docs ORDER BY maxsim(doc, q.q) DESC NULLS LAST LIMIT 7) AS d WHERE q.id < 6 $$);
SELECT planner_check($$ SELECT q.id, (SELECT d.score FROM (SELECT maxsim(doc, q.q) AS score FROM planner_docs ORDER BY 1 DESC NULLS LAST LIMIT 1) AS d) AS score
	FROM planner_queries q $$);

-- Views, sub-selects, common table expressions, windows, row locks, joins.
CREATE VIEW planner_view AS SELECT id, doc FROM planner_docs WHERE lang <> 'fr';
CREATE VIEW planner_barrier WITH (security_barrier) AS SELECT id, doc FROM planner_docs WHERE lang <> 'fr';
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_view ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_barrier ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, score FROM (SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs) AS t WHERE id <> 7 ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ WITH t AS MATERIALIZED (SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score DESC LIMIT 30) SELECT * FROM t $$);
SELECT planner_check($$ SELECT id, score FROM (SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score,
	row_number() OVER (ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST) AS place FROM planner_docs) AS t WHERE place <= 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 3 FOR UPDATE $$);
SELECT id FROM planner_docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 3 FOR UPDATE;
SELECT planner_check($$ SELECT d.id, maxsim(d.doc, '[[1,2,3,4]]') AS score FROM planner_docs d JOIN planner_docs e ON e.id = d.id + 1 ORDER BY score DESC LIMIT 30 $$);

-- Other forms: by position, with ties, in a branch of a set operation, below an aggregate, an update of the best rows.
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY 2 DESC NULLS LAST LIMIT 30 $$);
SELECT planner_plan($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') FROM planner_docs WHERE doc IS NOT NULL ORDER BY maxsim DESC OFFSET 5 LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score DESC NULLS LAST FETCH FIRST 30 ROWS WITH TIES $$);
SELECT planner_check($$ SELECT t.id, t.score FROM (SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 9) AS t
	JOIN planner_docs d USING (id) ORDER BY score DESC $$);
SELECT planner_check($$ (SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 5)
	UNION ALL (SELECT id, maxsim(doc, '[[-4,3,2,1]]') FROM planner_docs WHERE doc IS NOT NULL ORDER BY 2 DESC LIMIT 5) ORDER BY score DESC $$);
SELECT planner_plan($$ SELECT array_agg(id) FROM (SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST LIMIT 4) AS t $$);
SELECT array_agg(id) FROM (SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST LIMIT 4) AS t;
BEGIN;
WITH best AS (SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST LIMIT 4 FOR UPDATE SKIP LOCKED),
	changed AS (UPDATE planner_docs d SET lang = lang FROM best WHERE d.id = best.id RETURNING d.id)
SELECT array_agg(id ORDER BY id) FROM changed;
ROLLBACK;

-- Functions: static and dynamic statements, loops, parameters and variables; a cursor that is read in both directions.
CREATE FUNCTION planner_static(q multivector, n int) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT id FROM planner_docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, q) DESC LIMIT n;
END $$;
CREATE FUNCTION planner_loop(q multivector, n int) RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE
	found record;
BEGIN
	FOR found IN SELECT id, maxsim(doc, q) AS score FROM planner_docs ORDER BY score DESC NULLS LAST LOOP
		RETURN NEXT found.id;
		n := n - 1;
		EXIT WHEN n = 0;
	END LOOP;
END $$;
CREATE FUNCTION planner_dynamic(q multivector, n int) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'SELECT id FROM planner_docs WHERE doc IS NOT NULL ORDER BY doc <#> $1 LIMIT $2' USING q, n;
END $$;
CREATE FUNCTION planner_inlined(q multivector) RETURNS TABLE (id int, score float8) LANGUAGE sql STABLE
	AS 'SELECT id, maxsim(doc, q) FROM planner_docs WHERE doc IS NOT NULL';
SELECT n, array(SELECT planner_static('[[1,2,3,4]]', n)), array(SELECT planner_loop('[[1,2,3,4]]', n)), array(SELECT planner_dynamic('[[1,2,3,4]]', n))
	FROM generate_series(1, 7) AS n;
SELECT planner_check($$ SELECT id, score FROM planner_inlined('[[1,2,3,4]]') ORDER BY score DESC LIMIT 30 $$);
BEGIN;
DECLARE planner_cursor SCROLL CURSOR FOR SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST;
FETCH 3 FROM planner_cursor;
FETCH BACKWARD 2 FROM planner_cursor;
FETCH ABSOLUTE 5 FROM planner_cursor;
CLOSE planner_cursor;
DECLARE planner_cursor NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM planner_docs WHERE doc IS NOT NULL ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 6;
FETCH 2 FROM planner_cursor;
COMMIT;
FETCH 2 FROM planner_cursor;
CLOSE planner_cursor;
DROP FUNCTION planner_static, planner_loop, planner_dynamic, planner_inlined;

-- Row security: its conditions are filters above the index.
CREATE ROLE regress_planner_reader;
GRANT SELECT ON planner_docs TO regress_planner_reader;
ALTER TABLE planner_docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY planner_policy ON planner_docs USING (lang = 'en');
SET ROLE regress_planner_reader;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
RESET ROLE;
ALTER TABLE planner_docs DISABLE ROW LEVEL SECURITY;
DROP POLICY planner_policy ON planner_docs;

-- Orders that none of our indexes provides.
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim_l2(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY doc <#> '[[1,2,3,4]]' DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim('[[1,2,3,4]]', doc) DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, doc) DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY id, maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
CREATE FUNCTION planner_smaller(float8, float8) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) < abs($2)';
CREATE FUNCTION planner_larger(float8, float8) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) > abs($2)';
CREATE FUNCTION planner_same_size(float8, float8) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT abs($1) = abs($2)';
CREATE FUNCTION planner_compare(float8, float8) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btfloat8cmp(abs($1), abs($2))';
CREATE OPERATOR |< (LEFTARG = float8, RIGHTARG = float8, FUNCTION = planner_smaller);
CREATE OPERATOR |> (LEFTARG = float8, RIGHTARG = float8, FUNCTION = planner_larger);
CREATE OPERATOR |= (LEFTARG = float8, RIGHTARG = float8, FUNCTION = planner_same_size);
CREATE OPERATOR CLASS planner_size FOR TYPE float8 USING btree AS OPERATOR 1 |<, OPERATOR 3 |=, OPERATOR 5 |>, FUNCTION 1 planner_compare(float8, float8);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') USING |> LIMIT 5 $$);
CREATE FUNCTION planner_volatile() RETURNS multivector LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN '[[1,2,3,4]]'; END $$;
CREATE FUNCTION planner_stable() RETURNS multivector LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN '[[1,2,3,4]]'; END $$;
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, planner_volatile()) DESC LIMIT 5 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, planner_stable()) AS score FROM planner_docs ORDER BY score DESC LIMIT 30 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, first_value('[[1,2,3,4]]'::multivector) OVER ()) DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT lang FROM planner_docs GROUP BY lang, doc ORDER BY maxsim(doc, (array_agg('[[1,2,3,4]]'::multivector))[1]) DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs TABLESAMPLE bernoulli (50) REPEATABLE (1) ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs WHERE false ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);

-- Plans for which an order that may miss a row is not sufficient: groups, merges, the maximum of all rows.
-- Windows under a LIMIT may use it.
SELECT planner_plan($$ SELECT max(maxsim(doc, '[[1,2,3,4]]')) FROM planner_docs $$);
SELECT planner_plan($$ SELECT min(doc <#> '[[1,2,3,4]]') FROM planner_docs $$);
SELECT planner_plan($$ SELECT maxsim(doc, '[[1,2,3,4]]') AS score, count(*) FROM planner_docs GROUP BY score LIMIT 5 $$);
SELECT planner_plan($$ SELECT DISTINCT ON (doc <#> '[[1,2,3,4]]') id FROM planner_docs LIMIT 5 $$);
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT planner_plan($$ SELECT d.id FROM planner_docs d JOIN planner_queries q ON maxsim(d.doc, '[[1,2,3,4]]') = q.id ORDER BY maxsim(d.doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT d.id FROM planner_docs d LEFT JOIN planner_queries q ON maxsim(d.doc, '[[1,2,3,4]]') = q.id ORDER BY maxsim(d.doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score, rank() OVER (ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC)
	FROM planner_docs ORDER BY score DESC LIMIT 30 $$);
SELECT planner_same($$ SELECT DISTINCT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score DESC LIMIT 30 $$);

-- A score is recognized by its function, not by its name.
CREATE SCHEMA planner_other;
CREATE FUNCTION planner_other.maxsim(multivector, multivector) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 1; END $$;
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY planner_other.maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
ALTER FUNCTION maxsim(multivector, multivector) RENAME TO planner_renamed;
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY planner_renamed(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
ALTER FUNCTION planner_renamed(multivector, multivector) RENAME TO maxsim;

-- An index with another operator class is not used.
DROP INDEX planner_maxsim;
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
DROP INDEX planner_cosine, planner_l2;
CREATE INDEX planner_maxsim ON planner_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim_cosine(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim_l2(doc, '[[1,2,3,4]]') LIMIT 5 $$);

-- Partial indexes are used if the query implies their predicate.
DROP INDEX planner_maxsim;
CREATE INDEX planner_partial ON planner_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000) WHERE lang = 'en';
CREATE INDEX planner_not_null ON planner_docs USING :method (doc multivector_cosine_ops) WITH (quantizer = flat, rerank = 10000) WHERE doc IS NOT NULL;
ANALYZE planner_docs;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE lang = 'en' ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE lang = 'en' AND doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim_cosine(doc, '[[1,2,3,4]]') AS score FROM planner_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs WHERE lang = 'de' ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim_cosine(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
DROP INDEX planner_partial, planner_not_null;

-- Indexes on expressions, and on a domain.
CREATE DOMAIN planner_domain AS multivector(4) CHECK (num_tokens(VALUE) < 100);
CREATE TABLE planner_kinds (id int, raw multivector, dom planner_domain);
INSERT INTO planner_kinds SELECT id, doc, doc FROM planner_docs;
CREATE INDEX planner_expression ON planner_kinds USING :method ((raw::multivector(4))) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_normalized ON planner_kinds USING :method ((l2_normalize(raw)::multivector(4))) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_on_domain ON planner_kinds USING :method (dom) WITH (quantizer = flat, rerank = 10000);
ALTER TABLE planner_kinds ALTER raw SET STATISTICS 0, ALTER dom SET STATISTICS 0;
ANALYZE planner_kinds;
SELECT planner_check($$ SELECT id, maxsim(raw::multivector(4), '[[1,2,3,4]]') AS score FROM planner_kinds ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(l2_normalize(raw)::multivector(4), '[[1,2,3,4]]') AS score FROM planner_kinds ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(dom, '[[1,2,3,4]]') AS score FROM planner_kinds ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(dom, '[[1,2,3,4]]'::planner_domain) AS score FROM planner_kinds WHERE dom IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
-- An index on a cast that changes no score serves the expression without the cast, and an index on a column serves a cast to its dims.
SELECT planner_check($$ SELECT id, maxsim(raw, '[[1,2,3,4]]') AS score FROM planner_kinds ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, raw <#> '[[1,2,3,4]]' AS score FROM planner_kinds WHERE raw IS NOT NULL ORDER BY score LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(raw, '[[1,2,3,4]]') AS score FROM planner_kinds WHERE raw IS NULL ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(l2_normalize(raw), '[[1,2,3,4]]') AS score FROM planner_kinds ORDER BY score DESC LIMIT 30 $$);
SELECT planner_plan($$ SELECT id FROM planner_kinds WHERE maxsim(raw, '[[1,2,3,4]]') > 4 ORDER BY maxsim(raw, '[[1,2,3,4]]') DESC LIMIT 5 $$);
CREATE TABLE planner_widened (id int, doc multivector(4, float2), free multivector);
INSERT INTO planner_widened SELECT id, doc, doc::multivector(4, int8) FROM planner_docs;
CREATE INDEX planner_of_float2 ON planner_widened USING :method (doc) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_of_cast ON planner_widened USING :method ((free::multivector(4))) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_narrowed ON planner_widened USING :method ((free::multivector(4, float2)) multivector_cosine_ops) WITH (quantizer = flat, rerank = 10000);
ALTER TABLE planner_widened ALTER doc SET STATISTICS 0, ALTER free SET STATISTICS 0;
ANALYZE planner_widened;
SELECT planner_check($$ SELECT id, maxsim(doc::multivector(4, float4), '[[1,2,3,4]]') AS score FROM planner_widened ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim(free, '[[1,2,3,4]]') AS score FROM planner_widened ORDER BY score DESC LIMIT 30 $$);
SELECT planner_check($$ SELECT id, maxsim_cosine(free::multivector(4, float2), '[[1,2,3,4]]') AS score FROM planner_widened ORDER BY score DESC LIMIT 30 $$);
-- Not if the score would be different, or an error.
SELECT planner_plan($$ SELECT id FROM planner_widened ORDER BY maxsim_cosine(free, '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_widened ORDER BY maxsim(doc::multivector(4, int8), '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_widened ORDER BY maxsim(doc::multivector(5, float4), '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_kinds ORDER BY maxsim(l2_normalize(raw || raw), '[[1,2,3,4]]') DESC LIMIT 5 $$);
DROP TABLE planner_widened;

-- Query and document exchanged: a different score, which no index serves. A notice reports it once per session and index.
SET client_min_messages = notice;
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim('[[1,2,3,4]]', doc) DESC $$);
CREATE INDEX planner_swapped ON planner_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_swapped_l2 ON planner_docs USING :method (doc multivector_l2_ops) WITH (quantizer = flat, rerank = 10000);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim('[[1,2,3,4]]', doc) DESC $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim('[[1,2,3,4]]', doc) LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim(doc, doc) DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT d.id FROM planner_docs d, planner_queries q ORDER BY maxsim(q.q, d.doc) DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY maxsim('[[1,2,3,4]]', doc) DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY '[[1,2,3,4]]' <#> doc LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY '[[1,2,3,4]]' <-> doc LIMIT 5 $$);
-- Also inside arithmetic.
DROP INDEX planner_swapped, planner_swapped_l2;
CREATE INDEX planner_swapped ON planner_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_swapped_l2 ON planner_docs USING :method (doc multivector_l2_ops) WITH (quantizer = flat, rerank = 10000);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY 1 - maxsim('[[1,2,3,4]]', doc) / 4 DESC LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY 1 - maxsim(doc, doc) / 4 LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY 1 - maxsim('[[1,2,3,4]]', doc) / 4 LIMIT 5 $$);
SELECT planner_plan($$ SELECT id FROM planner_docs ORDER BY - ('[[1,2,3,4]]' <-> doc) DESC LIMIT 5 $$);
SET client_min_messages = warning;
DROP INDEX planner_swapped, planner_swapped_l2;

-- Partitions, inheritance and UNION ALL: the orders of the parts are merged.
CREATE TABLE planner_parts (id int, lang text, doc multivector(4)) PARTITION BY LIST (lang);
CREATE TABLE planner_parts_de PARTITION OF planner_parts FOR VALUES IN ('de');
CREATE TABLE planner_parts_en PARTITION OF planner_parts FOR VALUES IN ('en');
CREATE TABLE planner_parts_fr (note text, doc multivector(4), lang text, id int);
ALTER TABLE planner_parts_fr DROP note;
ALTER TABLE planner_parts ATTACH PARTITION planner_parts_fr FOR VALUES IN ('fr');
CREATE INDEX planner_parts_doc ON planner_parts USING :method (doc) WITH (quantizer = flat, rerank = 10000);
SET client_min_messages = notice;
SELECT count(*) FROM (SELECT id FROM planner_parts ORDER BY maxsim('[[1,2,3,4]]', doc) DESC LIMIT 5) AS t;
SELECT count(*) FROM (SELECT id FROM planner_parts ORDER BY maxsim('[[1,2,3,4]]', doc) DESC LIMIT 5) AS t;
SET client_min_messages = warning;
INSERT INTO planner_parts SELECT id, lang, doc FROM planner_docs;
CREATE TABLE planner_heir (extra text) INHERITS (planner_docs);
INSERT INTO planner_heir SELECT id + 1000, lang, planner_tokens(3, id + 1000) FROM planner_docs;
CREATE INDEX planner_maxsim ON planner_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX planner_heir_maxsim ON planner_heir USING :method (doc) WITH (quantizer = flat, rerank = 10000);
ALTER TABLE planner_parts ALTER doc SET STATISTICS 0;
ALTER TABLE planner_heir ALTER doc SET STATISTICS 0;
ANALYZE planner_parts, planner_docs, planner_heir;
SET max_parallel_workers_per_gather = 0;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_parts ORDER BY score DESC LIMIT 50 $$);
SET enable_sort = off;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_parts ORDER BY score DESC NULLS LAST $$);
RESET enable_sort;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_parts WHERE lang <> 'fr' AND doc IS NOT NULL ORDER BY score DESC, id LIMIT 50 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_parts WHERE lang = 'de' ORDER BY score DESC LIMIT 50 $$);
SELECT planner_check($$ SELECT id, doc <#> '[[1,2,3,4]]' AS score FROM planner_parts ORDER BY score LIMIT 50 $$);
SELECT planner_check($$ SELECT d.id, d.score FROM planner_queries q,
	LATERAL (SELECT id, maxsim(doc, q.q) AS score FROM planner_parts WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 7) AS d WHERE q.id < 6 $$);
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score DESC NULLS LAST LIMIT 50 $$);
SELECT planner_check($$ SELECT id, score FROM (SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM ONLY planner_docs
	UNION ALL SELECT id, maxsim(dom, '[[1,2,3,4]]') FROM planner_kinds WHERE id < 300) AS t ORDER BY score DESC NULLS LAST LIMIT 50 $$);

-- Costs: if a table is so small that all rows are wanted, it is sorted, and so is a whole table; nothing else scans the index.
CREATE TABLE planner_few AS SELECT id, doc FROM ONLY planner_docs WHERE id <= 8;
ALTER TABLE planner_few ALTER doc TYPE multivector(4);
CREATE INDEX ON planner_few USING :method (doc) WITH (quantizer = flat, rerank = 10000);
ANALYZE planner_few;
SELECT planner_plan($$ SELECT id FROM planner_few ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 10 $$);
SELECT planner_plan($$ SELECT id FROM ONLY planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC $$);
SELECT planner_plan($$ SELECT count(*) FROM ONLY planner_docs $$);
SELECT planner_plan($$ SELECT count(*) FROM ONLY planner_docs WHERE doc IS NOT NULL $$);

-- Planning for a table without a threshold of ours looks up no privileges in the catalog.
LOAD 'colbert_pg';
BEGIN;
SELECT coalesce(sum(idx_scan), 0) AS lookups FROM pg_stat_xact_sys_tables WHERE relid = 'pg_inherits'::regclass \gset
SELECT planner_plan('SELECT id FROM planner_queries WHERE id > 3');
SELECT planner_plan('SELECT id FROM planner_few WHERE id > 3');
SELECT coalesce(sum(idx_scan), 0) - :lookups FROM pg_stat_xact_sys_tables WHERE relid = 'pg_inherits'::regclass;
SELECT planner_plan($$ SELECT id FROM planner_few WHERE maxsim(doc, '[[1,2,3,4]]') > 1 $$);
SELECT coalesce(sum(idx_scan), 0) - :lookups > 0 FROM pg_stat_xact_sys_tables WHERE relid = 'pg_inherits'::regclass;
COMMIT;

-- A policy with a threshold leaves WHERE CURRENT OF the only path that can be executed.
ALTER TABLE planner_few ENABLE ROW LEVEL SECURITY;
ALTER TABLE planner_few FORCE ROW LEVEL SECURITY;
CREATE POLICY planner_policy ON planner_few USING (maxsim(doc, '[[1,2,3,4]]') > -1000);
GRANT SELECT, UPDATE ON planner_few TO regress_planner_reader;
SET ROLE regress_planner_reader;
BEGIN;
DECLARE planner_cursor CURSOR FOR SELECT id FROM planner_few WHERE id = 3;
MOVE planner_cursor;
SELECT planner_plan('UPDATE planner_few SET id = 3 WHERE CURRENT OF planner_cursor');
UPDATE planner_few SET id = 3 WHERE CURRENT OF planner_cursor RETURNING id;
COMMIT;
RESET ROLE;

-- Parallel workers compute scores if a table is read as a whole.
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SELECT planner_plan($$ SELECT id FROM ONLY planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC $$);
SELECT planner_plan($$ SELECT id FROM ONLY planner_docs WHERE maxsim(doc, '[[1,2,3,4]]') < 1 $$);
SELECT planner_plan($$ SELECT id FROM ONLY planner_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 5 $$);
SELECT count(*) FROM (SELECT id FROM ONLY planner_docs WHERE maxsim(doc, '[[1,2,3,4]]') < 1) AS t;

-- With statistics, documents stored in line are costed as such: a small table is scanned and sorted.
ALTER TABLE planner_docs ALTER doc SET STATISTICS -1;
ANALYZE planner_docs;
SELECT planner_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM planner_docs ORDER BY score DESC LIMIT 30 $$);

DROP VIEW planner_view, planner_barrier;
DROP TABLE planner_few, planner_parts, planner_heir, planner_kinds, planner_docs, planner_queries, planner_null;
DROP DOMAIN planner_domain;
DROP FUNCTION planner_other.maxsim;
DROP SCHEMA planner_other;
DROP FUNCTION planner_tokens, planner_plan, planner_rows, planner_same, planner_check, planner_volatile, planner_stable;
DROP OPERATOR FAMILY planner_size USING btree;
DROP OPERATOR |< (float8, float8), |> (float8, float8), |= (float8, float8);
DROP FUNCTION planner_smaller, planner_larger, planner_same_size, planner_compare;
DROP ROLE regress_planner_reader;
