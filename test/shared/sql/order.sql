-- Plans that rely on the order of an index: groups, windows, merges, further keys. Other plans may have late rows.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
LOAD 'colbert_pg';

-- Few distinct scores, so that groups are large, and very inaccurate estimates, so that scans find rows late.
CREATE FUNCTION order_tokens(n int, seed int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT multivector_agg(ARRAY(SELECT (abs(hashint8(seed * 1000 + t * 50 + k)) % 3 - 1) * (ARRAY[1, 1, 1, 1, 5])[1 + seed % 5] FROM generate_series(1, 16) k)::real[] ORDER BY t)::multivector(16)
	FROM generate_series(1, n) t
$$;
CREATE TABLE order_docs (id int PRIMARY KEY, lang text, doc multivector(16));
INSERT INTO order_docs SELECT i, (ARRAY['de', 'en', 'fr'])[1 + i % 3], CASE WHEN i % 100 > 0 THEN order_tokens((ARRAY[1, 12, 3])[1 + i % 3], i) END FROM generate_series(1, 4000) i;
CREATE INDEX order_doc ON order_docs USING :method (doc) WITH (quantizer = bit);
CREATE TABLE order_meta AS SELECT i AS id, i % 7 AS kind FROM generate_series(1, 4000, 2) i;
CREATE INDEX ON order_meta (id);
CREATE TABLE order_q AS SELECT 1 AS id, order_tokens(2, 100000) AS q;
ALTER TABLE order_docs ALTER doc SET STATISTICS 0;
VACUUM ANALYZE order_docs, order_meta, order_q;

CREATE FUNCTION order_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := '';
	n int := 0;
	found record;
BEGIN
	FOR found IN EXECUTE query LOOP
		n := n + 1;
		result := result || found::text;
	END LOOP;
	RETURN n || ' rows: ' || result;
END $$;
CREATE FUNCTION order_plan(query text, forced boolean DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	planner_method text;
BEGIN
	FOREACH planner_method IN ARRAY ARRAY['enable_sort', 'enable_seqscan', 'enable_hashagg', 'enable_hashjoin'] LOOP
		PERFORM set_config(planner_method, (NOT forced)::text, true);
	END LOOP;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ '^ *(Window|Disabled|Group Key|Sort Key|Presorted Key|Order By|Index Cond|Filter|Merge Cond|Output|Join Filter|Cache Key|Cache Mode|Run Condition|Storage):';
		RETURN NEXT regexp_replace(line, '(InitPlan|SubPlan) \w+( \(returns \$\d\))?', '\1 n');
	END LOOP;
	FOREACH planner_method IN ARRAY ARRAY['enable_sort', 'enable_seqscan', 'enable_hashagg', 'enable_hashjoin'] LOOP
		PERFORM set_config(planner_method, 'on', true);
	END LOOP;
END $$;
CREATE FUNCTION order_same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	by_index text;
	by_sort text;
BEGIN
	PERFORM set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true), set_config('enable_hashagg', 'off', true), set_config('enable_hashjoin', 'off', true);
	by_index := order_rows(query);
	PERFORM set_config('enable_sort', 'on', true), set_config('enable_seqscan', 'on', true), set_config('enable_hashagg', 'on', true), set_config('enable_hashjoin', 'on', true), set_config('enable_indexscan', 'off', true);
	by_sort := order_rows(query);
	PERFORM set_config('enable_indexscan', 'on', true);
	RETURN CASE WHEN by_index = by_sort THEN 'same: ' || split_part(by_index, ':', 1) ELSE 'DIFFERENT' END;
END $$;
CREATE FUNCTION order_check(query text) RETURNS SETOF text LANGUAGE sql AS 'SELECT order_plan(query) UNION ALL SELECT order_same(query)';

-- Checks the first rows of a query that returns id, score and rank: they are in exact order, none is late, and the rank is correct among
-- them. Every document is narrowed, so that nothing depends on the gathering.
CREATE FUNCTION order_held(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found record;
	last float8;
	n int := 0;
	same int := 0;
	late bigint;
BEGIN
	PERFORM set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true), set_config('colbert.candidates', '4000', true);
	FOR found IN EXECUTE query LOOP
		n := n + 1;
		same := CASE WHEN n > 1 AND found.score IS NOT DISTINCT FROM last THEN same ELSE n END;
		IF found.score > last OR found.rank NOT IN (same, n) THEN
			RETURN 'row ' || n || ' is out of order';
		END IF;
		last := found.score;
	END LOOP;
	PERFORM set_config('enable_sort', 'on', true), set_config('enable_seqscan', 'on', true);
	SELECT s.late INTO late FROM colbert_last_scan() AS s;
	RETURN n || ' rows, ' || CASE WHEN late = 0 THEN 'none' ELSE late::text END || ' late';
END $$;
CREATE FUNCTION order_check_held(query text) RETURNS SETOF text LANGUAGE sql AS 'SELECT order_plan(query) UNION ALL SELECT order_held(query)';

-- A client receives rows as they are found: all, each once, some of them late.
BEGIN;
SET LOCAL enable_sort = off;
DECLARE order_cursor CURSOR FOR SELECT id FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST;
MOVE ALL order_cursor;
SELECT late > 0 AS late, emitted FROM colbert_last_scan();
COMMIT;
-- Those that are late come last, in order: one row scores above the row before it.
CREATE FUNCTION order_rises(query text) RETURNS int LANGUAGE plpgsql SET enable_sort = off SET enable_seqscan = off AS $$
DECLARE
	found record;
	last float8;
	n int := 0;
BEGIN
	FOR found IN EXECUTE query LOOP
		n := n + coalesce((found.score > last)::int, 0);
		last := found.score;
	END LOOP;
	RETURN n;
END $$;
SELECT order_rises($$ SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC NULLS LAST $$);
SELECT late > 0 AS late FROM colbert_last_scan();
SELECT order_plan($$ SELECT id FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC LIMIT 50 $$);
SELECT order_plan($$ SELECT id FROM order_docs d JOIN order_meta m USING (id) ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC LIMIT 50 $$);
SELECT order_plan($$ SELECT array_agg(id) FROM (SELECT id FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC LIMIT 50) AS t $$);

-- Groups and distinct rows of the table itself use another plan.
SELECT order_check($$ SELECT maxsim(doc, (SELECT q FROM order_q)) AS score, count(*) FROM order_docs GROUP BY score ORDER BY score DESC $$);
SELECT order_check($$ SELECT maxsim(doc, (SELECT q FROM order_q)) AS score, count(*) FROM order_docs GROUP BY score ORDER BY score DESC LIMIT 15 $$);
SELECT order_same($$ SELECT maxsim(doc, (SELECT q FROM order_q)) AS score, lang, count(*) FROM order_docs WHERE doc IS NOT NULL GROUP BY ROLLUP (score, lang) ORDER BY score DESC, lang $$);
SELECT order_check($$ SELECT DISTINCT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC $$);
SELECT order_check($$ SELECT DISTINCT ON (maxsim(doc, (SELECT q FROM order_q))) maxsim(doc, (SELECT q FROM order_q)) FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC LIMIT 20 $$);
SELECT order_check($$ SELECT doc <#> (SELECT q FROM order_q) AS score, count(*) FROM order_docs GROUP BY score ORDER BY score $$);

-- In a sub-select with an order, the scan returns every row in order.
SELECT order_check($$ SELECT score, count(*) FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC OFFSET 0) AS t GROUP BY score ORDER BY score DESC $$);
SELECT order_check($$ SELECT DISTINCT score FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC OFFSET 0) AS t ORDER BY score DESC LIMIT 10 $$);
SELECT order_check($$ SELECT a.score, count(*) FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC OFFSET 0) AS a
	JOIN (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs WHERE id < 1000 ORDER BY score DESC OFFSET 0) AS b USING (score) GROUP BY score ORDER BY score DESC $$);
SELECT order_same($$ SELECT score, count(*) FROM (SELECT score, n FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score, id % 3 AS n FROM order_docs ORDER BY score DESC OFFSET 0) AS t WHERE n < 2) AS t
	GROUP BY score ORDER BY score DESC $$);
SELECT order_same($$ SELECT score, count(*) FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score, generate_series(1, id % 3) FROM order_docs ORDER BY score DESC OFFSET 0) AS t GROUP BY score ORDER BY score DESC $$);
SELECT order_same($$ WITH t AS MATERIALIZED (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC) SELECT score, count(*) FROM t GROUP BY score ORDER BY score DESC $$);
SELECT order_same($$ SELECT score, n FROM (SELECT score, row_number() OVER () AS n FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC OFFSET 0) AS t) AS t $$);

-- A join with one row has the order of its inner side.
SELECT order_check($$ SELECT score, count(*) FROM (SELECT maxsim(doc, q) AS score FROM order_docs, (SELECT q FROM order_q LIMIT 1) AS v ORDER BY score DESC OFFSET 0) AS t GROUP BY score ORDER BY score DESC $$);
SELECT order_same($$ SELECT score, row_number() OVER () AS n FROM (SELECT maxsim(doc, q) AS score FROM order_docs, (SELECT q FROM order_q LIMIT 1) AS v ORDER BY score DESC OFFSET 0) AS t $$);
SELECT order_same($$ SELECT score, count(*) FROM (SELECT maxsim(doc, q) AS score FROM (SELECT * FROM order_q LIMIT 1) AS v LEFT JOIN order_docs AS d ON d.id % 2 = v.id ORDER BY score DESC OFFSET 0) AS t GROUP BY score ORDER BY score DESC $$);
SELECT order_check_held($$ SELECT id, score, row_number() OVER () AS rank FROM (SELECT d.id, maxsim(doc, q) AS score FROM order_docs AS d, (SELECT q FROM order_q LIMIT 1) AS v ORDER BY score DESC NULLS LAST LIMIT 100) AS t $$);

-- Rows that a lower LIMIT counts are held back until all of them are known.
SELECT order_plan($$ SELECT score, count(*) FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 100) AS t GROUP BY score ORDER BY score DESC $$);
SELECT order_held($$ SELECT score, count(*), row_number() OVER (ORDER BY score DESC) AS rank FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 100) AS t GROUP BY score ORDER BY score DESC $$)
	~ '^\d+ rows, none late';
SELECT order_check_held($$ SELECT id, score, row_number() OVER () AS rank FROM (SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC NULLS LAST LIMIT 100) AS t $$);

-- Windows limited by LIMIT, limited by a run condition, or unlimited.
SELECT order_check_held($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST)
	FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST LIMIT 50 $$);
SELECT order_check_held($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER w, row_number() OVER w, lag(id) OVER w
	FROM order_docs WHERE lang <> 'en' WINDOW w AS (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) LIMIT 50 $$);
SELECT order_check_held($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER w, count(*) OVER w
	FROM order_docs WINDOW w AS (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) ORDER BY score DESC NULLS LAST, id LIMIT 50 $$);
SELECT order_check_held($$ SELECT * FROM (SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, row_number() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank
	FROM order_docs) AS t WHERE rank <= 50 $$);
SELECT order_held($$ SELECT * FROM (SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank
	FROM order_docs) AS t WHERE 40 > rank $$) ~ '^\d+ rows, none late';
SELECT order_plan($$ SELECT * FROM (SELECT id, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank FROM order_docs) AS t WHERE rank <= 20 $$, false);
SELECT order_plan($$ SELECT id, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) FROM order_docs
	ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST LIMIT 20 $$, false);
SELECT order_plan($$ SELECT id FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST, id LIMIT 20 $$, false);
SELECT order_check($$ SELECT id, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC) AS rank FROM order_docs ORDER BY rank, id $$);

-- The rank itself is the sort key: the order of the window is that of its ranks.
SELECT order_plan($$ SELECT id, row_number() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank FROM order_docs ORDER BY rank LIMIT 20 $$, false);
SELECT order_plan($$ SELECT id, (rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST))::int AS rank FROM order_docs ORDER BY rank LIMIT 20 $$, false);
SELECT order_check_held($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank
	FROM order_docs ORDER BY rank LIMIT 50 $$);
SELECT order_check_held($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank
	FROM order_docs WHERE lang <> 'en' ORDER BY rank, id LIMIT 50 $$);
-- The LIMIT is in an outer query, with ORDER BY the rank, the score or nothing.
SELECT order_plan($$ SELECT * FROM (SELECT id, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank FROM order_docs) AS t ORDER BY rank LIMIT 20 $$, false);
SELECT order_plan($$ WITH t AS (SELECT id, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank FROM order_docs) SELECT * FROM t LIMIT 20 $$, false);
SELECT order_check_held($$ SELECT * FROM (SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank
	FROM order_docs WHERE lang <> 'en') AS t ORDER BY rank LIMIT 30 $$);
SELECT order_check_held($$ SELECT * FROM (SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, row_number() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank
	FROM order_docs) AS t ORDER BY score DESC NULLS LAST LIMIT 50 $$);
-- Not if rows are filtered, grouped or re-sorted before the LIMIT counts them.
SELECT order_same(format($$ SELECT * FROM (SELECT id, lang, row_number() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST, id) AS rank FROM order_docs) AS t %s LIMIT 20 $$, tail))
FROM unnest(ARRAY['WHERE id % 2 = 0 ORDER BY rank', 'ORDER BY id, rank', 'ORDER BY rank DESC', 'ORDER BY lang, rank', 'WHERE rank > 100 ORDER BY rank']) AS tails (tail);
SELECT order_same($$ SELECT lang, count(*), max(rank) FROM (SELECT id, lang, row_number() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST, id) AS rank FROM order_docs) AS t GROUP BY lang ORDER BY lang LIMIT 2 $$);
-- Not if the rows are sorted again after the rank was computed, in reverse order, or with several partitions.
SELECT order_same($$ SELECT id, row_number() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id) AS rank, count(*) OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id DESC)
	FROM order_docs ORDER BY rank LIMIT 50 $$);
SELECT order_same($$ SELECT id, row_number() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id) AS rank FROM order_docs ORDER BY rank DESC LIMIT 50 $$);
SELECT order_same($$ SELECT id, row_number() OVER (PARTITION BY lang ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id) AS rank FROM order_docs ORDER BY rank, id LIMIT 50 $$);

-- A query that comes from a join with one row: LIMIT counts the rows of the search.
SELECT order_plan($$ WITH v AS (SELECT q FROM order_q LIMIT 1) SELECT d.id FROM order_docs d, v ORDER BY maxsim(doc, q) DESC NULLS LAST, d.id LIMIT 20 $$, false);
SELECT order_plan($$ WITH v AS (SELECT q FROM order_q LIMIT 1) SELECT d.id, rank() OVER (ORDER BY maxsim(doc, q) DESC NULLS LAST) AS rank FROM order_docs d, v ORDER BY rank LIMIT 20 $$, false);
SELECT order_plan($$ WITH v AS (SELECT q FROM order_q LIMIT 1) SELECT * FROM (SELECT d.id, rank() OVER (ORDER BY maxsim(doc, q) DESC NULLS LAST) AS rank FROM order_docs d, v) AS t WHERE rank <= 20 $$, false);
SELECT order_check_held($$ WITH v AS (SELECT q FROM order_q LIMIT 1) SELECT d.id, maxsim(doc, q) AS score, rank() OVER (ORDER BY maxsim(doc, q) DESC NULLS LAST) AS rank
	FROM order_docs d, v WHERE lang <> 'en' ORDER BY rank LIMIT 50 $$);
SELECT order_check_held($$ SELECT id, maxsim(doc, q) AS score, row_number() OVER () AS rank FROM
	(SELECT d.id, doc, q FROM order_docs d JOIN (SELECT * FROM order_q LIMIT 1) AS v ON d.id % 2 = v.id WHERE doc IS NOT NULL ORDER BY maxsim(doc, q) DESC, d.id LIMIT 70) AS t $$);
SELECT order_check($$ SELECT id, ntile(10) OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id) AS tile FROM order_docs LIMIT 50 $$);
SELECT order_check($$ SELECT id, row_number() OVER (PARTITION BY maxsim(doc, (SELECT q FROM order_q)) ORDER BY id DESC) AS n FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, n LIMIT 50 $$);
SELECT order_same($$ SELECT * FROM (SELECT id, dense_rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC) AS rank FROM order_docs) AS t WHERE rank <= 5 ORDER BY id $$);
SELECT order_same($$ SELECT id, last_value(id) OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS last FROM order_docs ORDER BY id LIMIT 5 $$);

-- Further keys, ties, parameters.
SELECT order_check_held($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, row_number() OVER () AS rank FROM
	(SELECT * FROM order_docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id LIMIT 70) AS t $$);
SELECT order_check($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC NULLS LAST, id $$);
SELECT order_plan($$ SELECT id FROM order_docs ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST FETCH FIRST 30 ROWS WITH TIES $$);
SELECT order_check($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs JOIN order_meta USING (id) WHERE kind = 3 ORDER BY score DESC NULLS LAST, id LIMIT 30 $$);
SELECT order_plan($$ SELECT d.id, kind FROM order_docs d LEFT JOIN order_meta m USING (id) ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC, id LIMIT 30 $$);
PREPARE order_prepared(int, int) AS SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST)
	FROM order_docs ORDER BY score DESC NULLS LAST LIMIT $1 OFFSET $2;
SET plan_cache_mode = force_generic_plan;
SELECT order_plan('EXECUTE order_prepared(40, 0)');
SELECT order_held(format('EXECUTE order_prepared(%s, 0)', n)) FROM (VALUES (0), (1), (9), (60)) AS t (n);
SELECT order_held('EXECUTE order_prepared(NULL, 0)') ~ 'none late';
RESET plan_cache_mode;
CREATE FUNCTION order_loop(n int) RETURNS TABLE (id int, score float8, rank bigint) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT d.id, maxsim(d.doc, (SELECT q FROM order_q)), rank() OVER (ORDER BY maxsim(d.doc, (SELECT q FROM order_q)) DESC NULLS LAST)
		FROM order_docs d ORDER BY maxsim(d.doc, (SELECT q FROM order_q)) DESC NULLS LAST LIMIT n;
END $$;
SELECT order_held('SELECT * FROM order_loop(35)');
SELECT order_held($$ SELECT * FROM (VALUES (10), (30)) AS v (n), LATERAL (SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, n * 0 + rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC NULLS LAST) AS rank
	FROM order_docs ORDER BY score DESC NULLS LAST LIMIT n) AS t WHERE n = 30 $$);

-- Held-back rows that exceed work_mem are sorted on disk.
SET work_mem = '64kB';
SELECT order_same($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs ORDER BY score DESC NULLS LAST, id LIMIT 3000 $$);
RESET work_mem;

-- A condition that a search cannot test makes the number of rows below the LIMIT unknown.
CREATE FUNCTION order_volatile(int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN $1 % 5 = 0; END $$;
SELECT order_check($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs WHERE order_volatile(id) ORDER BY score DESC NULLS LAST, id LIMIT 30 $$);
SELECT order_same($$ SELECT score, count(*) FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs WHERE order_volatile(id) ORDER BY score DESC OFFSET 0) AS t GROUP BY score ORDER BY score DESC $$);
SELECT order_same($$ SELECT score, count(*) FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs WHERE maxsim(doc, (SELECT q FROM order_q)) > -20 ORDER BY score DESC OFFSET 0) AS t
	GROUP BY score ORDER BY score DESC $$);

-- Partitions: a MergeAppend of orders, each of which may have late rows.
CREATE TABLE order_parts (id int, lang text, doc multivector(16)) PARTITION BY LIST (lang);
CREATE TABLE order_parts_de PARTITION OF order_parts FOR VALUES IN ('de');
CREATE TABLE order_parts_rest PARTITION OF order_parts DEFAULT;
INSERT INTO order_parts SELECT * FROM order_docs WHERE doc IS NOT NULL;
CREATE INDEX ON order_parts USING :method (doc) WITH (quantizer = bit);
ALTER TABLE order_parts ALTER doc SET STATISTICS 0;
ANALYZE order_parts;
SELECT order_check_held($$ SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score, rank() OVER (ORDER BY maxsim(doc, (SELECT q FROM order_q)) DESC) FROM order_parts ORDER BY score DESC LIMIT 50 $$);
SELECT order_check($$ SELECT score, count(*) FROM (SELECT maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_parts ORDER BY score DESC OFFSET 0) AS t GROUP BY score ORDER BY score DESC $$);

-- Rows that are written in their order.
CREATE TABLE order_written (n serial, id int, score float8);
SET enable_sort = off; SET enable_seqscan = off;
INSERT INTO order_written (id, score) SELECT id, maxsim(doc, (SELECT q FROM order_q)) AS score FROM order_docs WHERE doc IS NOT NULL ORDER BY score DESC;
RESET enable_sort; RESET enable_seqscan;
SELECT count(*), bool_and(worse) FROM (SELECT score <= lag(score) OVER (ORDER BY n) AS worse FROM order_written) AS t;

DROP TABLE order_docs, order_meta, order_q, order_parts, order_written;
DROP FUNCTION order_tokens, order_rows, order_plan, order_same, order_check, order_held, order_check_held, order_rises, order_loop, order_volatile;
