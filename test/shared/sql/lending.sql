-- Pushed-down conditions, which a search tests before it scores a row: the same rows are returned, no row that a policy hides is seen, each
-- volatile expression is evaluated once per row, and each search has its own counters.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset null -
SET client_min_messages = warning;
SET jit = off;
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_bitmapscan = off;

-- A document's score for [[1,0,0,0]] is its id / 1000.
CREATE TABLE lending_docs (id int PRIMARY KEY, lang text, body text, doc multivector(4));
INSERT INTO lending_docs SELECT i, (ARRAY['de', 'en'])[1 + i % 2], 'body ' || i, format('[[%s,0,0,0],[%s,.%s,0,0]]', i / 1000.0, i / 2000.0, i % 7)::multivector FROM generate_series(1, 1000) i;
CREATE INDEX lending_doc ON lending_docs USING :method (doc);
ALTER TABLE lending_docs ALTER doc SET STATISTICS 0;
VACUUM ANALYZE lending_docs;
CREATE TABLE lending_notes (id int, note int);
INSERT INTO lending_notes SELECT i, i % 5 FROM generate_series(1, 1000) i;
CREATE INDEX lending_notes_id ON lending_notes (id);
VACUUM ANALYZE lending_notes;

-- A function that reports what it sees. It is STABLE and cheap, so that it is pushed down; VOLATILE functions never are.
CREATE FUNCTION lending_spy(id int, lowest int) RETURNS bool LANGUAGE plpgsql STABLE PARALLEL SAFE COST 0.0001 AS $$
BEGIN
	IF id < lowest THEN
		RAISE EXCEPTION 'row % is seen', id;
	END IF;
	RETURN id % 10 = 0;
END $$;
CREATE FUNCTION lending_spy(id int) RETURNS bool LANGUAGE sql STABLE PARALLEL SAFE COST 0.0001 AS 'SELECT lending_spy(id, 901)';
CREATE FUNCTION lending_spy_operator(id int, lowest int) RETURNS bool LANGUAGE plpgsql STABLE PARALLEL SAFE COST 0.0001 AS 'BEGIN RETURN lending_spy(id, lowest); END';
CREATE OPERATOR <~?~> (LEFTARG = int, RIGHTARG = int, FUNCTION = lending_spy_operator);

-- The ids of a statement, or its error.
CREATE FUNCTION lending_try(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE 'SELECT count(*) || '' rows: '' || string_agg(id::text, '' '') FROM (' || query || ') AS t' INTO result;
	RETURN result;
EXCEPTION WHEN raise_exception THEN
	RETURN sqlerrm;
END $$;
CREATE FUNCTION lending_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;

-- Without a policy such a function is pushed down: it sees rows that are not returned.
SELECT lending_try($$ SELECT id FROM lending_docs WHERE lending_spy(id, 1) ORDER BY maxsim(doc, '[[1,0,0,0]]') DESC LIMIT 3 $$);
SELECT tested > emitted, emitted FROM colbert_last_scan();

CREATE ROLE regress_lending_reader;
GRANT SELECT ON lending_docs, lending_notes TO regress_lending_reader;
CREATE VIEW lending_barrier WITH (security_barrier) AS SELECT * FROM lending_docs WHERE maxsim(doc, '[[1,0,0,0]]') > .9;
GRANT SELECT, UPDATE ON lending_barrier TO regress_lending_reader;

-- Policies that become index conditions: a threshold, also written with the operator, together with other conditions, on the table or on
-- its parent.
CREATE FUNCTION lending_statements(name text, lowest int) RETURNS TABLE (what text, result text) LANGUAGE sql AS $$
	SELECT what, lending_try(format(query, name, lowest))
	FROM (VALUES
		(1, 'function', 'SELECT id FROM %1$s WHERE lending_spy(id, %2$s) ORDER BY maxsim(doc, ''[[1,0,0,0]]'') DESC LIMIT 3'),
		(2, 'inlined function', 'SELECT id FROM %1$s WHERE lending_spy(id) ORDER BY doc <#> ''[[1,0,0,0]]'' LIMIT 3'),
		(3, 'operator', 'SELECT id FROM %1$s WHERE id <~?~> %2$s ORDER BY maxsim(doc, ''[[1,0,0,0]]'') DESC LIMIT 3'),
		(4, 'another order', 'SELECT id FROM %1$s WHERE lending_spy(id, %2$s) ORDER BY maxsim(doc, ''[[1,0,0,0]]'') DESC, id LIMIT 3'),
		(5, 'another threshold', 'SELECT id FROM %1$s WHERE lending_spy(id, %2$s) AND maxsim(doc, ''[[1,0,0,0]]'') > .1 ORDER BY maxsim(doc, ''[[1,0,0,0]]'') DESC LIMIT 3'),
		(6, 'sub-select', 'SELECT id FROM %1$s d WHERE EXISTS (SELECT FROM lending_notes n WHERE n.id = d.id AND lending_spy(d.id, %2$s)) ORDER BY maxsim(doc, ''[[1,0,0,0]]'') DESC LIMIT 3'),
		(7, 'lateral', 'SELECT u.id FROM (VALUES (%2$s)) AS v (lowest), LATERAL (SELECT id FROM %1$s WHERE lending_spy(id, v.lowest) ORDER BY maxsim(doc, ''[[1,0,0,0]]'') DESC LIMIT 3) AS u'),
		(8, 'leakproof', 'SELECT id FROM %1$s WHERE lang = ''en'' ORDER BY maxsim(doc, ''[[1,0,0,0]]'') DESC LIMIT 3')
	) AS s (n, what, query) ORDER BY n
$$;
ALTER TABLE lending_docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY lending_policy ON lending_docs USING (maxsim(doc, '[[1,0,0,0]]') > .9);
SET ROLE regress_lending_reader;
SELECT lending_plan($$ SELECT id FROM lending_docs WHERE lending_spy(id, 901) ORDER BY maxsim(doc, '[[1,0,0,0]]') DESC LIMIT 3 $$);
SELECT * FROM lending_statements('lending_docs', 901);
PREPARE lending_prepared (int) AS SELECT id FROM lending_docs WHERE lending_spy(id, $1) ORDER BY maxsim(doc, '[[1,0,0,0]]') DESC LIMIT 3;
SET plan_cache_mode = force_generic_plan;
EXECUTE lending_prepared(901);
RESET plan_cache_mode;
CREATE TEMP TABLE lending_kept (id int);
INSERT INTO lending_kept SELECT id FROM lending_docs WHERE lending_spy(id, 901) ORDER BY maxsim(doc, '[[1,0,0,0]]') DESC LIMIT 3;
-- In a worker of a parallel plan, which does not know the current role.
SELECT count(set_config(name, 'on', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT id FROM lending_docs WHERE lending_spy(id, 901) ORDER BY maxsim(doc, '[[1,0,0,0]]') DESC LIMIT 3;
SELECT count(set_config(name, 'off', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
RESET ROLE;
DROP POLICY lending_policy ON lending_docs;
CREATE POLICY lending_policy ON lending_docs USING (doc <#~@ multivector_threshold('[[1,0,0,0]]', '>', .9));
CREATE POLICY lending_nulls ON lending_docs AS RESTRICTIVE USING (doc IS NOT NULL);
SET ROLE regress_lending_reader;
SELECT * FROM lending_statements('lending_docs', 901);
RESET ROLE;
DROP POLICY lending_policy ON lending_docs;
DROP POLICY lending_nulls ON lending_docs;
-- A policy that is not an index condition is pushed down itself, before the conditions that it guards.
CREATE POLICY lending_policy ON lending_docs USING (id > 900 AND doc IS NOT NULL);
SET ROLE regress_lending_reader;
SELECT * FROM lending_statements('lending_docs', 901);
RESET ROLE;
DROP POLICY lending_policy ON lending_docs;
ALTER TABLE lending_docs DISABLE ROW LEVEL SECURITY;

CREATE TABLE lending_parts (LIKE lending_docs) PARTITION BY LIST (lang);
CREATE TABLE lending_parts_de PARTITION OF lending_parts FOR VALUES IN ('de');
CREATE TABLE lending_parts_en PARTITION OF lending_parts FOR VALUES IN ('en');
CREATE INDEX ON lending_parts USING :method (doc);
INSERT INTO lending_parts SELECT * FROM lending_docs;
ALTER TABLE lending_parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY lending_policy ON lending_parts USING (maxsim(doc, '[[1,0,0,0]]') > .9);
GRANT SELECT ON lending_parts TO regress_lending_reader;
SET ROLE regress_lending_reader;
SELECT * FROM lending_statements('lending_parts', 901);
RESET ROLE;

-- Views: with security_barrier, read and written through; with the invoker's rights, over a table with a policy.
SET ROLE regress_lending_reader;
SELECT * FROM lending_statements('lending_barrier', 901);
SELECT lending_try($$ SELECT id FROM (SELECT * FROM lending_barrier ORDER BY maxsim(doc, '[[1,0,0,0]]') DESC LIMIT 30) AS t WHERE lending_spy(id, 901) $$);
UPDATE lending_barrier SET body = body WHERE lending_spy(id, 901) AND id > 970;
RESET ROLE;
CREATE VIEW lending_invoker WITH (security_invoker) AS SELECT * FROM lending_docs;
GRANT SELECT ON lending_invoker TO regress_lending_reader;
ALTER TABLE lending_docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY lending_policy ON lending_docs USING (maxsim(doc, '[[1,0,0,0]]') > .9);
SET ROLE regress_lending_reader;
SELECT * FROM lending_statements('lending_invoker', 901);
-- Counters would reveal hidden rows, so they are not shown: neither those of a search, nor of an index, nor of tuning it.
SELECT colbert_last_scan() IS NULL;
SELECT documents, tokens FROM colbert_index_info('lending_doc');
SELECT count(*) FROM colbert_tune('lending_doc', ARRAY['[[1,0,0,0]]'::multivector]);
RESET ROLE;
GRANT pg_stat_scan_tables TO regress_lending_reader;
SET ROLE regress_lending_reader;
SELECT documents FROM colbert_index_info('lending_doc');
RESET ROLE;
SELECT documents FROM colbert_index_info('lending_doc');
DROP VIEW lending_invoker, lending_barrier;
ALTER TABLE lending_docs DISABLE ROW LEVEL SECURITY;
DROP POLICY lending_policy ON lending_docs;

-- Sub-selects that are cheap compared with a score, whatever they do.
SET cpu_operator_cost = 1;
-- Volatile sub-selects are left to the executor, wherever their plan is volatile: it runs them once for each row that it examines.
CREATE SEQUENCE lending_calls;
CREATE FUNCTION lending_volatile(condition text, OUT rows_found int, OUT calls int, OUT tested bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setval('lending_calls', 1, false);
	EXECUTE format('SELECT count(*) FROM (SELECT id FROM lending_docs d WHERE %s ORDER BY doc <#> ''[[1,0,0,0]]'' LIMIT 10) AS t', condition) INTO rows_found;
	SELECT s.tested INTO tested FROM colbert_last_scan() AS s;
	calls := nextval('lending_calls') - 1;
END $$;
CREATE FUNCTION lending_next(i int) RETURNS SETOF bigint LANGUAGE sql ROWS 1 AS $$ SELECT nextval('lending_calls') + i * 0 $$;
SELECT what, v.* FROM (VALUES
	(1, 'scalar', $$ (SELECT nextval('lending_calls') + d.id * 0) > 0 $$),
	(2, 'from a table', $$ (SELECT nextval('lending_calls') FROM lending_notes n WHERE n.id = d.id) > 0 $$),
	(3, 'a condition', $$ EXISTS (SELECT FROM lending_notes n WHERE n.id = d.id AND nextval('lending_calls') + d.id > 0 OFFSET 0) $$),
	(4, 'in a list', $$ d.id IN (SELECT d.id + 0 * nextval('lending_calls') FROM (VALUES (1)) AS v) $$),
	(5, 'not in', $$ d.id NOT IN (SELECT nextval('lending_calls') - 100000 - d.id FROM (VALUES (1)) AS v) $$),
	(6, 'two levels down', $$ (SELECT (SELECT nextval('lending_calls') + d.id * n.id) FROM lending_notes n WHERE n.id = d.id) > 0 $$),
	(7, 'a CTE', $$ (WITH c AS MATERIALIZED (SELECT nextval('lending_calls') + d.id AS x) SELECT x FROM c) > 0 $$),
	(8, 'a function', $$ (SELECT max(x) FROM lending_next(d.id) AS x) > 0 $$),
	(9, 'values', $$ (SELECT max(x) FROM (VALUES (nextval('lending_calls')), (d.id)) AS v (x)) > 0 $$),
	(10, 'an argument', $$ (SELECT max(x) FROM unnest(ARRAY[1, nextval('lending_calls') + d.id]) AS x) > 0 $$),
	(11, 'a limit', $$ (SELECT max(id) FROM (SELECT n.id FROM lending_notes n WHERE n.id = d.id LIMIT nextval('lending_calls')) AS t) > 0 $$),
	(12, 'an array', $$ array_length(ARRAY(SELECT nextval('lending_calls') FROM lending_notes n WHERE n.id = d.id), 1) = 1 $$),
	(13, 'a join', $$ (SELECT count(*) FROM lending_notes n LEFT JOIN lending_notes m ON m.id = n.id AND nextval('lending_calls') > 0 WHERE n.id = d.id) > 0 $$),
	(14, 'a union', $$ (SELECT max(x) FROM (SELECT d.id AS x UNION ALL SELECT nextval('lending_calls') + d.id) AS u) > 0 $$),
	(15, 'a table expression', $$ (SELECT max(x) FROM xmltable('/a' PASSING xmlelement(name a, nextval('lending_calls') + d.id) COLUMNS x bigint PATH '.') AS t) > 0 $$)
) AS s (n, what, condition), lending_volatile(condition) AS v ORDER BY n;
SELECT setseed(.5);
SELECT count(*) BETWEEN 430 AND 570 AS half FROM (SELECT id FROM lending_docs d WHERE (SELECT random() + d.id * 0) < .5 ORDER BY doc <#> '[[1,0,0,0]]') AS t;
-- Row locks and samples.
BEGIN;
SELECT count(*) FROM (SELECT id FROM lending_docs d WHERE (SELECT note FROM lending_notes n WHERE n.id = d.id FOR UPDATE) = 0 ORDER BY doc <#> '[[1,0,0,0]]' LIMIT 4) AS t;
SELECT count(*) FROM lending_notes WHERE xmax::text <> '0';
ROLLBACK;
SELECT * FROM lending_volatile($$ (SELECT count(*) FROM lending_notes n TABLESAMPLE system (50) WHERE n.id = d.id) >= 0 $$);

-- Expressions that yield the same result twice are pushed down, whatever their plan.
CREATE FUNCTION lending_stable(condition text, OUT rows_found int, OUT lent bool) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT id FROM lending_docs d WHERE %s ORDER BY doc <#> ''[[1,0,0,0]]'' LIMIT 10) AS t', condition) INTO rows_found;
	SELECT s.tested > 0 INTO lent FROM colbert_last_scan() AS s;
END $$;
SELECT what, v.* FROM (VALUES
	(1, 'a column', $$ d.id % 3 = 0 $$),
	(2, 'correlated', $$ (SELECT note FROM lending_notes n WHERE n.id = d.id) = 1 $$),
	(3, 'hashed', $$ d.id NOT IN (SELECT n.id FROM lending_notes n WHERE note > 1) $$),
	(4, 'aggregate', $$ (SELECT count(*) FROM lending_notes n WHERE n.id BETWEEN d.id AND d.id + 3 AND note = 1) = 1 $$),
	(5, 'join and union', $$ (SELECT count(*) FROM (SELECT n.id FROM lending_notes n JOIN lending_notes m USING (id) WHERE m.note < 3 UNION SELECT -1) AS u WHERE u.id = d.id) = 1 $$),
	(6, 'window', $$ (SELECT max(r) FROM (SELECT count(*) OVER (ROWS 1 PRECEDING) AS r FROM lending_notes n WHERE n.id BETWEEN d.id AND d.id + 2) AS w) = 2 $$),
	(7, 'recursive', $$ (WITH RECURSIVE c AS (SELECT d.id % 7 AS x UNION ALL SELECT x - 1 FROM c WHERE x > 0) SELECT count(*) FROM c) = 3 $$),
	(8, 'a function', $$ (SELECT max(x) FROM unnest(ARRAY[1, 2, d.id % 5]) AS x) = 4 $$),
	(9, 'values', $$ (SELECT max(x) FROM (VALUES (d.id), (500)) AS v (x)) = d.id $$),
	(10, 'an uncorrelated one', $$ (SELECT random() * 0) + d.id % 5 = 1 $$)
) AS s (n, what, condition), lending_stable(condition) AS v ORDER BY n;
WITH c AS MATERIALIZED (SELECT note, random() AS r FROM lending_notes)
SELECT count(*) FROM (SELECT id FROM lending_docs d WHERE EXISTS (SELECT FROM c WHERE c.note = d.id % 11 OFFSET 0) ORDER BY doc <#> '[[1,0,0,0]]' LIMIT 10) AS t;
SELECT tested > 0 AS lent FROM colbert_last_scan();

RESET cpu_operator_cost;

-- A search inside a condition of another search: each has its own counters.
CREATE FUNCTION lending_nearest(id int) RETURNS int LANGUAGE plpgsql STABLE COST 1 AS $$
BEGIN
	RETURN (SELECT p.id FROM lending_parts p WHERE p.lang = 'de' ORDER BY p.doc <#> '[[1,0,0,0],[0,1,0,0]]' LIMIT 1) + id * 0;
END $$;
SELECT count(*) FROM (SELECT id FROM lending_docs d WHERE lending_nearest(id) > 0 AND id % 50 = 0 ORDER BY doc <#> '[[1,0,0,0]]' LIMIT 5) AS t;
SELECT index, query_tokens, emitted, tested > passed, passed >= emitted, fetched >= tested FROM colbert_last_scan();

DROP TABLE lending_docs, lending_parts, lending_notes, lending_kept;
DROP SEQUENCE lending_calls;
DROP OPERATOR <~?~> (int, int);
DROP FUNCTION lending_spy(int, int), lending_spy(int), lending_spy_operator, lending_try, lending_plan, lending_statements, lending_volatile, lending_next, lending_stable, lending_nearest;
DROP ROLE regress_lending_reader;
