-- Statistics of a search: colbert_last_scan, EXPLAIN (ANALYZE), and the privileges to see them.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
\pset null -

CREATE TABLE seeing_docs (id int PRIMARY KEY, lang text, doc multivector(4));
INSERT INTO seeing_docs SELECT i, (ARRAY['de', 'en'])[1 + i % 2], format('[[%s,%s,1,0],[0,%s,0,1]]', i % 17, i % 19, i % 23)::multivector FROM generate_series(1, 1000) i;
CREATE INDEX seeing_index ON seeing_docs USING :method (doc);
VACUUM ANALYZE seeing_docs;
SET enable_seqscan = off;
SET enable_sort = off;

-- Nothing before the first search.
SELECT colbert_last_scan() IS NULL;

-- Settings: requested values and the index's choices. Each stage's input is the output of the stage before it.
SET colbert.rerank = 70;
SELECT count(*) FROM (SELECT id FROM seeing_docs ORDER BY maxsim(doc, '[[1,2,3,4],[4,3,2,1]]') DESC LIMIT 10) AS t;
SELECT index, query_tokens, rerank, automatic, emitted, late, exhaustive FROM colbert_last_scan();
SELECT probes > 0, ef_search > 0, candidates = 0, pending, narrowed >= reranked, reranked >= fetched, fetched >= scored, scored >= emitted, batches > 0,
	tested, passed FROM colbert_last_scan();
SELECT narrow_hit + narrow_read > 0, rerank_hit + rerank_read > 0, exact_hit + exact_read > 0,
	least(find_ms, gather_ms, narrow_ms, rerank_ms, exact_ms) >= 0 FROM colbert_last_scan();
-- The recall that was asked for by default, by the index and by the session, and the misses that the search expected.
SELECT recall, expected_misses BETWEEN 0 AND .3 FROM colbert_last_scan();
ALTER INDEX seeing_index SET (recall = .9);
SELECT count(*) FROM (SELECT id FROM seeing_docs ORDER BY maxsim(doc, '[[1,2,3,4],[4,3,2,1]]') DESC LIMIT 10) AS t;
SELECT recall, expected_misses BETWEEN 0 AND 1 FROM colbert_last_scan();
SET colbert.recall = .99;
SELECT count(*) FROM (SELECT id FROM seeing_docs ORDER BY maxsim(doc, '[[1,2,3,4],[4,3,2,1]]') DESC LIMIT 10) AS t;
SELECT recall, expected_misses BETWEEN 0 AND .1 FROM colbert_last_scan();
RESET colbert.recall;
ALTER INDEX seeing_index RESET (recall);
-- Every column is set.
SELECT key FROM json_each((SELECT row_to_json(s) FROM colbert_last_scan() AS s)) WHERE json_typeof(value) = 'null';
RESET colbert.rerank;
-- Unit vectors along dims first to last, each with a fraction of the next dim.
CREATE FUNCTION seeing_axes(first int, last int, next real DEFAULT 0) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg((SELECT array_agg(CASE k WHEN d THEN 1 WHEN d + 1 THEN next ELSE 0 END::real ORDER BY k) FROM generate_series(1, 64) k) ORDER BY d)::multivector
	FROM generate_series(first, last) d
$$;
-- Lists that a search reads first, by the number of query tokens, as documented in doc/tuning.md: n tokens with distinct directions.
CREATE TABLE seeing_wide AS SELECT i AS id, seeing_axes(i, i)::multivector(64) AS doc FROM generate_series(1, 64) i;
CREATE INDEX seeing_wide_doc ON seeing_wide USING :method (doc);
CREATE FUNCTION seeing_chosen(n int, OUT query_tokens bigint, OUT probes bigint, OUT ef_search bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM (SELECT id FROM seeing_wide ORDER BY doc <#> seeing_axes(1, n) LIMIT 10) AS t;
	SELECT s.query_tokens, s.probes, s.ef_search INTO query_tokens, probes, ef_search FROM colbert_last_scan() AS s;
END $$;
SELECT c.* FROM unnest(ARRAY[1, 2, 3, 4, 5, 8, 16, 32]) AS n, seeing_chosen(n) AS c;
-- Zeros, copies and near copies do not count as directions.
DO $$ BEGIN PERFORM id FROM seeing_wide ORDER BY doc <#> (seeing_axes(1, 5) || array_fill(0::real, ARRAY[27, 64])::multivector) LIMIT 10; END $$;
SELECT query_tokens, probes FROM colbert_last_scan();
DO $$ BEGIN PERFORM id FROM seeing_wide ORDER BY doc <#> (seeing_axes(1, 4) || seeing_axes(1, 4) || seeing_axes(1, 4, .1)) LIMIT 10; END $$;
SELECT query_tokens, probes FROM colbert_last_scan();
DROP TABLE seeing_wide;
DROP FUNCTION seeing_chosen, seeing_axes;
SELECT count(*) FROM (SELECT id FROM seeing_docs WHERE lang = 'de' ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 10) AS t;
SELECT automatic, emitted, tested > passed, passed >= emitted FROM colbert_last_scan();

-- Scans that run in turns have separate counters.
BEGIN;
DECLARE seeing_one NO SCROLL CURSOR FOR SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]';
DECLARE seeing_two NO SCROLL CURSOR FOR SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4],[4,3,2,1],[0,1,0,1]]';
MOVE 5 FROM seeing_one;
SELECT query_tokens, emitted FROM colbert_last_scan();
MOVE 7 FROM seeing_two;
SELECT query_tokens, emitted FROM colbert_last_scan();
MOVE 5 FROM seeing_one;
SELECT query_tokens, emitted FROM colbert_last_scan();
SAVEPOINT seeing;
SELECT id / 0 FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4],[4,3,2,1]]' LIMIT 3;
ROLLBACK TO seeing;
MOVE 1 FROM seeing_two;
SELECT query_tokens, emitted FROM colbert_last_scan();
CLOSE seeing_one;
MOVE 1 FROM seeing_two;
SELECT query_tokens, emitted FROM colbert_last_scan();
COMMIT;

-- EXPLAIN (ANALYZE), which extensions can extend from PostgreSQL 18 on.
CREATE FUNCTION seeing_explain(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF, SUMMARY OFF, %s) %s', options, query) LOOP
		RETURN NEXT line;
	END LOOP;
END $$;
CREATE FUNCTION seeing_shown(query text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN current_setting('server_version_num')::int < 180000 THEN 'Search Settings, Search Target, Find, Gather, Narrow, Rerank, Exact'
		ELSE string_agg(substring(line FROM '^ +(Search Settings|Search Target|Find|Gather|Narrow|Rerank|Exact): '), ', ' ORDER BY n) END
	FROM seeing_explain('ANALYZE, TIMING OFF, BUFFERS OFF', query) WITH ORDINALITY AS t(line, n)
$$;
SELECT seeing_shown($$ SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10 $$);
SELECT count(*) FROM seeing_explain('COSTS OFF', $$ SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10 $$) AS line WHERE line ~ 'Narrow';
SELECT current_setting('server_version_num')::int < 180000 OR string_agg(line, '' ORDER BY n) ~ '"Exact": {.*"emitted": 10,.*"late": 0'
	FROM seeing_explain('ANALYZE, TIMING OFF, BUFFERS OFF, FORMAT json', $$ SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10 $$) WITH ORDINALITY AS t(line, n);
-- Counters of a node's rescans are added up.
SELECT current_setting('server_version_num')::int < 180000 OR bool_or(line ~ 'Find: searches=3 ')
	FROM seeing_explain('ANALYZE, TIMING OFF, BUFFERS OFF', $$ SELECT q, t.id FROM generate_series(1, 3) AS q,
		LATERAL (SELECT id FROM seeing_docs ORDER BY doc <#> format('[[1,2,3,%s]]', q)::multivector LIMIT 10) AS t $$) AS line;

-- Who may see the statistics: the user who ran the search, may read the table, and is not subject to a policy that hides rows.
CREATE ROLE regress_seeing_reader;
CREATE ROLE regress_seeing_other;
GRANT SELECT ON seeing_docs TO regress_seeing_reader;
CREATE VIEW seeing_view AS SELECT * FROM seeing_docs WHERE lang = 'de';
CREATE FUNCTION seeing_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER
	AS $$ SELECT count(*) FROM (SELECT id FROM seeing_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 10) AS t $$;
GRANT SELECT ON seeing_view TO regress_seeing_other;
SELECT count(*) FROM (SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10) AS t;
SET ROLE regress_seeing_reader;
SELECT colbert_last_scan() IS NULL AS "another's search";
SELECT count(*) FROM (SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10) AS t;
SELECT emitted FROM colbert_last_scan();
SELECT seeing_definer();
SELECT colbert_last_scan() IS NULL AS "a function's search";
SET ROLE regress_seeing_other;
SELECT count(*) FROM (SELECT id FROM seeing_view ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10) AS t;
SELECT colbert_last_scan() IS NULL AS "a search through a view";
RESET ROLE;
ALTER TABLE seeing_docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY seeing_policy ON seeing_docs USING (lang = 'en');
SET ROLE regress_seeing_reader;
SELECT count(*) FROM (SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10) AS t;
SELECT colbert_last_scan() IS NULL AS "a search under a policy";
SELECT count(*) FROM seeing_explain('ANALYZE, TIMING OFF, BUFFERS OFF', $$ SELECT id FROM seeing_docs ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10 $$) AS line
	WHERE line ~ 'Narrow|Exact';
-- No row, score or error that reveals a row is seen, whatever the order and the threshold. The function is not VOLATILE, so it is pushed
-- down.
CREATE FUNCTION pg_temp.tell(id int, doc multivector) RETURNS bool LANGUAGE plpgsql STABLE COST 0.0001 AS $$ BEGIN IF id % 2 = 0 THEN RAISE EXCEPTION 'row %', id; END IF; RETURN true; END $$;
SELECT count(*) FROM (SELECT id FROM seeing_docs WHERE pg_temp.tell(id, doc) AND id < 6 ORDER BY doc <#> '[[1,2,3,4]]') AS t;
SELECT count(*), count(*) FILTER (WHERE id % 2 = 0) AS hidden FROM seeing_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 0;
SELECT count(*), count(*) FILTER (WHERE id % 2 = 0) AS hidden FROM (SELECT id FROM seeing_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC) AS t;
DROP FUNCTION pg_temp.tell;
RESET ROLE;

-- A policy of a partitioned table, or of a parent, applies to the scanned parts.
CREATE TABLE seeing_parts (LIKE seeing_docs) PARTITION BY LIST (lang);
CREATE TABLE seeing_parts_de PARTITION OF seeing_parts FOR VALUES IN ('de');
CREATE TABLE seeing_parts_en PARTITION OF seeing_parts FOR VALUES IN ('en');
CREATE INDEX ON seeing_parts USING :method (doc);
INSERT INTO seeing_parts SELECT * FROM seeing_docs;
GRANT SELECT ON seeing_parts, seeing_parts_de, seeing_parts_en TO regress_seeing_reader;
SET ROLE regress_seeing_reader;
SELECT count(*) FROM (SELECT id FROM seeing_parts ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10) AS t;
SELECT colbert_last_scan() IS NULL;
RESET ROLE;
ALTER TABLE seeing_parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY seeing_policy ON seeing_parts USING (id > 500);
SET ROLE regress_seeing_reader;
SELECT count(*) FROM (SELECT id FROM seeing_parts ORDER BY doc <#> '[[1,2,3,4]]' LIMIT 10) AS t;
SELECT colbert_last_scan() IS NULL;
RESET ROLE;

DROP VIEW seeing_view;
DROP FUNCTION seeing_explain, seeing_shown, seeing_definer;
DROP TABLE seeing_docs, seeing_parts;
DROP ROLE regress_seeing_reader, regress_seeing_other;
