-- WHERE maxsim(doc, query) > bound, and similar conditions, become index conditions; the rows are those of a sequential scan.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
-- Ordered searches are compared with sequential scans.
SET colbert.recall = .9999;

CREATE FUNCTION threshold_tokens(n int, seed int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY i)::multivector(4)
	FROM (SELECT i, array_agg((x * x % 1000003 / 500001.5 - 1)::real ORDER BY k) AS token
		  FROM generate_series(1, n) i, generate_series(1, 4) k, LATERAL (SELECT (i * 7919 + k * 104729 + seed * 15485863::bigint) % 1000003 AS x) AS t
		  GROUP BY i) AS t
$$;
CREATE TABLE threshold_docs (id int PRIMARY KEY, lang text, doc multivector(4));
INSERT INTO threshold_docs
	SELECT i, (ARRAY['de', 'en', 'fr'])[1 + i % 3], CASE WHEN i % 50 > 0 THEN threshold_tokens(1 + i % 4, i) END FROM generate_series(1, 2000) i;
CREATE INDEX threshold_maxsim ON threshold_docs USING :method (doc);
CREATE INDEX threshold_cosine ON threshold_docs USING :method (doc multivector_cosine_ops);
CREATE INDEX threshold_l2 ON threshold_docs USING :method (doc multivector_l2_ops);
CREATE TABLE threshold_queries (id int PRIMARY KEY, q multivector(4), bound float8);
INSERT INTO threshold_queries SELECT i, threshold_tokens(3, 10000 + i), 3.5 FROM generate_series(1, 5) i;
INSERT INTO threshold_queries VALUES (6, NULL, 1), (7, '[[1,2,3,4]]', NULL);
-- Without statistics of the documents. With them, documents as small as these, stored in line, would be scanned.
ALTER TABLE threshold_docs ALTER doc SET STATISTICS 0;
VACUUM ANALYZE threshold_docs, threshold_queries;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE FUNCTION threshold_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ '^ *(Window|Disabled):';
		RETURN NEXT regexp_replace(regexp_replace(line, '\(InitPlan \w+\)\.col1|\$\d', '$n', 'g'), 'InitPlan \w+( \(returns \$n\))?', 'InitPlan n');
	END LOOP;
END $$;

-- Whether the ids (and scores) of a query with the index are those of a sequential scan, in any order or in that of the scores.
CREATE FUNCTION threshold_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found record;
	n int := 0;
	result text := '';
BEGIN
	FOR found IN EXECUTE query LOOP
		n := n + 1;
		result := result || ' ' || found::text;
	END LOOP;
	RETURN n || ' rows:' || result;
END $$;
CREATE FUNCTION threshold_same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	by_index text;
	by_scan text;
BEGIN
	IF query NOT LIKE '%ORDER BY%' THEN
		query := 'SELECT * FROM (' || query || ') AS t ORDER BY id';
	END IF;
	PERFORM set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true);
	by_index := threshold_rows(query);
	PERFORM set_config('enable_sort', 'on', true), set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true),
		set_config('enable_bitmapscan', 'off', true);
	by_scan := threshold_rows(query);
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
	RETURN CASE WHEN by_index = by_scan THEN 'same: ' || split_part(by_index, ':', 1) ELSE concat_ws(E'\n', 'DIFFERENT', by_index, by_scan) END;
END $$;
CREATE FUNCTION threshold_check(query text) RETURNS SETOF text LANGUAGE sql AS 'SELECT threshold_plan(query) UNION ALL SELECT threshold_same(query)';

-- Each score, each comparison that selects near documents, with the bound on either side.
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') AS score FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') > 9 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') >= 9 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE 9 < maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE 9 <= maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE doc <#> '[[1,2,3,4],[4,-3,2,1]]' < -9 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE -9 >= doc <#> '[[1,2,3,4],[4,-3,2,1]]' $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') > 9.5::real $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim_cosine(doc, '[[1,2,3,4],[4,-3,2,1]]') > 1.6 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE doc <=> '[[1,2,3,4],[4,-3,2,1]]' <= 0.4 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim_l2(doc, '[[1,.5,1,0],[.4,-.3,.2,1]]') < 1.2 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE 1.2 >= doc <-> '[[1,.5,1,0],[.4,-.3,.2,1]]' $$);

-- Bounds that equal a document's score, and bounds that nothing or everything reaches.
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') >= (SELECT max(maxsim(doc, '[[1,2,3,4]]')) FROM threshold_docs) $$);
SELECT threshold_same($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') >= (SELECT max(maxsim(doc, '[[1,2,3,4]]')) FROM threshold_docs) ORDER BY score DESC LIMIT 3 $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > (SELECT max(maxsim(doc, '[[1,2,3,4]]')) FROM threshold_docs) $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <=> '[[1,2,3,4],[3,1,2,5]]' <= (SELECT doc <=> '[[1,2,3,4],[3,1,2,5]]' FROM threshold_docs WHERE id = 77) $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim_l2(doc, (SELECT doc FROM threshold_docs WHERE id = 77)) <= 0 $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 1e300 $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > -1e300 $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 'infinity' $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > '-infinity' $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 'nan' $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <#> '[[1,2,3,4]]' < 'nan' $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim_l2(doc, '[[1,2,3,4]]') <= 'infinity' $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim_l2(doc, '[[1,2,3,4]]') < -1 $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, (SELECT q FROM threshold_queries WHERE id = 6)) > 1 $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > (SELECT bound FROM threshold_queries WHERE id = 7) $$);
SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3]]') > 1;

-- With an order, with further conditions, with each other, and below nodes that need no order.
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 5 ORDER BY score DESC $$);
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 5 ORDER BY score DESC LIMIT 3 $$);
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_docs WHERE doc <#> '[[1,2,3,4]]' < -5 ORDER BY score DESC, id LIMIT 60 $$);
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 5 ORDER BY score DESC LIMIT 200 $$);
SELECT threshold_check($$ SELECT id, doc <-> '[[1,2,3,4]]' AS score FROM threshold_docs WHERE maxsim_l2(doc, '[[1,2,3,4]]') < 4.5 ORDER BY score LIMIT 10 $$);
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_docs WHERE maxsim(doc, '[[4,3,2,1]]') > 5 ORDER BY score DESC LIMIT 10 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 4 AND lang = 'en' AND doc IS NOT NULL $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 4 AND maxsim(doc, '[[4,3,2,1]]') > 4 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') BETWEEN 4 AND 5 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 4 AND doc IS NULL $$);
SELECT threshold_plan($$ SELECT count(*) FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 4 $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 6 OR maxsim(doc, '[[4,3,2,1]]') > 6 $$);
SELECT threshold_check($$ SELECT q.id, d.n FROM threshold_queries q, LATERAL (SELECT count(*) AS n FROM threshold_docs WHERE maxsim(doc, q.q) > q.bound) AS d $$);

-- Thresholds from joined tables: one search for each row.
SELECT threshold_check($$ SELECT q.id * 10000 + d.id AS id FROM threshold_queries q JOIN threshold_docs d ON maxsim(d.doc, q.q) > q.bound $$);
-- If NULLs would replace missed rows, thresholds are exact.
SELECT threshold_check($$ SELECT q.id * 10000 + d.id AS id FROM threshold_queries q LEFT JOIN threshold_docs d ON maxsim(d.doc, q.q) > q.bound + 1 AND d.lang = 'en' WHERE q.id < 4 $$);
SELECT threshold_check($$ SELECT id FROM threshold_queries q WHERE EXISTS (SELECT FROM threshold_docs d WHERE q.bound <= maxsim(d.doc, q.q)) $$);
SELECT threshold_check($$ SELECT a.id * 10000 + b.id AS id FROM threshold_docs a JOIN threshold_docs b ON maxsim_l2(b.doc, a.doc) <= .2 WHERE a.id < 20 $$);
SELECT threshold_check($$ SELECT q.id * 10000 + d.id AS id FROM threshold_queries q, LATERAL (SELECT id FROM threshold_docs WHERE doc <=> q.q < .2) AS d $$);
SELECT threshold_plan($$ SELECT q.id FROM threshold_queries q JOIN threshold_docs d ON maxsim(d.doc, q.q) > d.id $$);

-- Conditions for far documents are not searches, nor is a bound that is unknown before the scan.
SELECT threshold_plan($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') < 4 $$);
SELECT threshold_plan($$ SELECT id FROM threshold_docs WHERE maxsim_l2(doc, '[[1,2,3,4]]') > 4 $$);
SELECT threshold_plan($$ SELECT id FROM threshold_docs WHERE doc <#> '[[1,2,3,4]]' > 4 $$);
SELECT threshold_plan($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > id $$);
SELECT threshold_plan($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > random() $$);
SELECT threshold_plan($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') <> 4 $$);

-- Parameters, custom and generic plans; data changes.
PREPARE threshold_prepared(multivector, float8) AS SELECT count(*), sum(id) FROM threshold_docs WHERE maxsim(doc, $1) > $2;
EXECUTE threshold_prepared('[[1,2,3,4]]', 6.5);
SET plan_cache_mode = force_generic_plan;
SELECT threshold_plan($$ EXECUTE threshold_prepared('[[1,2,3,4]]', 6.5) $$);
EXECUTE threshold_prepared('[[1,2,3,4]]', 6.5);
EXECUTE threshold_prepared('[[1,2,3,4]]', NULL);
EXECUTE threshold_prepared(NULL, 6.5);
INSERT INTO threshold_docs VALUES (3000, 'en', '[[1,1,1,1]]');
UPDATE threshold_docs SET doc = '[[0,0,0,2]]' WHERE id = 7;
EXECUTE threshold_prepared('[[1,2,3,4]]', 6.5);
DELETE FROM threshold_docs WHERE id = 3000;
UPDATE threshold_docs SET doc = NULL WHERE id = 7;
EXECUTE threshold_prepared('[[1,2,3,4]]', 6.5);
RESET plan_cache_mode;

-- The operators themselves, with the index and without, and hand-made thresholds.
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE doc <#~@ multivector_threshold('[[1,2,3,4]]', '>', 6) $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE doc <=~@ ROW('[[1,2,3,4]]', '<=', .4)::multivector_threshold $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <-~@ multivector_threshold('[[1,2,3,4]]', '>=', 6) $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <#~@ multivector_threshold('[[1,2,3,4]]', '<', -6) $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <#~@ ROW(NULL, '>', 6)::multivector_threshold $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <#~@ ROW('[[1,2,3,4]]', NULL, 6)::multivector_threshold $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <#~@ ROW('[[1,2,3,4]]', '>', NULL)::multivector_threshold $$);
SELECT threshold_same($$ SELECT id FROM threshold_docs WHERE doc <#~@ NULL $$);
SELECT multivector_threshold('[[1,2,3,4]]', '<>', 6);
SELECT multivector_threshold('[[1,2,3,4]]', '', 6);
SELECT multivector_threshold('[[1,2,3,4]]', '>=x', 6);
SELECT '[[1,2,3,4]]' <#~@ ROW('[[1,2,3,4]]', '=', 1)::multivector_threshold;
SELECT '[[1,2,3,4]]' <#~@ multivector_threshold('[[1,2,3]]', '>', 1);
SELECT '[[1,2,3,4]]' <#~@ multivector_threshold('[[1,2,3,4]]', '>=', 30), '[[1,2,3,4]]' <#~@ multivector_threshold('[[1,2,3,4]]', '>', 30);
SET enable_seqscan = off;
SELECT id FROM threshold_docs WHERE doc <#~@ ROW('[[1,2,3,4]]', '!', 1)::multivector_threshold;
SELECT id FROM threshold_docs WHERE doc <#~@ ROW('[[1,2,3]]', '>', 1)::multivector_threshold;
SELECT id FROM threshold_docs WHERE doc <#~@ ROW('[[1,2,3]]', '>', 1)::multivector_threshold ORDER BY doc <#> '[[1,2,3,4]]';
RESET enable_seqscan;

-- Row security: conditions that guard a bound are tested before it. A policy that bounds a score is an index condition, too.
CREATE ROLE regress_threshold_reader;
GRANT SELECT ON threshold_docs TO regress_threshold_reader;
ALTER TABLE threshold_docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY threshold_policy ON threshold_docs USING (lang = 'en');
SET ROLE regress_threshold_reader;
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 4 $$);
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 4 ORDER BY score DESC LIMIT 30 $$);
RESET ROLE;
DROP POLICY threshold_policy ON threshold_docs;
CREATE POLICY threshold_policy ON threshold_docs USING (maxsim(doc, '[[1,2,3,4]]') > 6);
SET ROLE regress_threshold_reader;
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE lang = 'en' $$);
RESET ROLE;
ALTER TABLE threshold_docs DISABLE ROW LEVEL SECURITY;
DROP POLICY threshold_policy ON threshold_docs;
SELECT count(*) AS leakproof FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'colbert_pg' WHERE p.proleakproof;

-- Partial indexes, expressions, partitions; a view; invalid comparisons.
CREATE TABLE threshold_parts (id int, lang text, doc multivector(4)) PARTITION BY LIST (lang);
CREATE TABLE threshold_parts_de PARTITION OF threshold_parts FOR VALUES IN ('de');
CREATE TABLE threshold_parts_rest PARTITION OF threshold_parts DEFAULT;
CREATE INDEX threshold_parts_doc ON threshold_parts USING :method (doc) WITH (quantizer = bit);
INSERT INTO threshold_parts SELECT * FROM threshold_docs;
ALTER TABLE threshold_parts ALTER doc SET STATISTICS 0;
ANALYZE threshold_parts;
SELECT threshold_check($$ SELECT id FROM threshold_parts WHERE maxsim(doc, '[[1,2,3,4]]') > 6 $$);
SELECT threshold_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') AS score FROM threshold_parts WHERE maxsim(doc, '[[1,2,3,4]]') > 6 ORDER BY score DESC LIMIT 5 $$);
DROP INDEX threshold_maxsim;
CREATE INDEX threshold_partial ON threshold_docs USING :method (doc) WHERE lang = 'en';
CREATE INDEX threshold_normalized ON threshold_docs USING :method ((l2_normalize(doc)::multivector(4)));
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 5 AND lang = 'en' $$);
SELECT threshold_plan($$ SELECT id FROM threshold_docs WHERE maxsim(doc, '[[1,2,3,4]]') > 5 AND lang = 'de' $$);
SELECT threshold_check($$ SELECT id FROM threshold_docs WHERE maxsim(l2_normalize(doc)::multivector(4), '[[1,2,3,4]]') > 4 $$);
CREATE VIEW threshold_view WITH (security_barrier) AS SELECT id, doc FROM threshold_docs WHERE lang = 'en';
SELECT threshold_check($$ SELECT id FROM threshold_view WHERE maxsim(doc, '[[1,2,3,4]]') > 6 $$);

-- Random vectors: postings say so little that a search narrows more documents than at first, while those it has are below the bound.
CREATE FUNCTION threshold_random(n int) RETURNS multivector LANGUAGE sql AS $$
	SELECT array_agg(token ORDER BY i)::multivector(32)
	FROM (SELECT i, array_agg((random() + random() + random() - 1.5)::real) AS token FROM generate_series(1, n) i, generate_series(1, 32) k GROUP BY i) AS t
$$;
SELECT FROM setseed(.5);
CREATE TABLE threshold_noise AS SELECT i AS id, threshold_random(4)::multivector(32) AS doc FROM generate_series(1, 6000) i;
CREATE INDEX threshold_noise_doc ON threshold_noise USING :method (doc);
ALTER TABLE threshold_noise ALTER doc SET STATISTICS 0;
VACUUM ANALYZE threshold_noise;
-- The number of the n best documents that a search finds if the score of the next one is the bound.
CREATE FUNCTION threshold_found(query multivector, n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	bound float8;
	found bigint;
BEGIN
	PERFORM set_config('enable_indexscan', 'off', true);
	SELECT maxsim(doc, query) INTO bound FROM threshold_noise ORDER BY 1 DESC LIMIT 1 OFFSET n;
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
	SELECT count(*) INTO found FROM (SELECT FROM threshold_noise WHERE maxsim(doc, query) > bound ORDER BY maxsim(doc, query) DESC LIMIT 100) AS t;
	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true);
	RETURN found;
END $$;
SELECT n, sum(threshold_found(q, n)) > .95 * 10 * n AS found
	FROM (SELECT threshold_random(8) AS q FROM generate_series(1, 10)) AS queries, (VALUES (20), (60)) AS t (n) GROUP BY n ORDER BY n;

-- The threshold is built again for each tested row. Nothing refers to the previous one, so that the scan's scores are recognized and
-- out-of-line documents are fetched once.
CREATE TABLE threshold_long AS SELECT i AS id, threshold_random(20 + i % 10)::multivector(32) AS doc FROM generate_series(1, 1500) i;
CREATE INDEX threshold_long_doc ON threshold_long USING :method (doc);
SET enable_seqscan = off;
SET enable_sort = off;
DO $$
DECLARE
	query multivector;
	before bigint;
	more bigint;
	toast oid := (SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.reltoastrelid = i.indrelid WHERE c.oid = 'threshold_long'::regclass);
BEGIN
	FOR i IN 1 .. 12 LOOP
		query := threshold_random(i * 8);
		before := pg_stat_get_xact_numscans(toast);
		EXECUTE format('SELECT FROM threshold_long WHERE maxsim(doc, %1$L) > 0 AND id %% 7 > 0 ORDER BY maxsim(doc, %1$L) DESC LIMIT 100', query);
		SELECT pg_stat_get_xact_numscans(toast) - before - scored INTO more FROM colbert_last_scan();
		IF more > 10 THEN
			RAISE 'scored % documents again for a query of % tokens', more, i * 8;
		END IF;
	END LOOP;
END $$;
RESET enable_seqscan;
RESET enable_sort;

SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = :'method') ORDER BY 1;

DROP VIEW threshold_view;
DROP TABLE threshold_docs, threshold_queries, threshold_parts, threshold_noise, threshold_long;
DROP FUNCTION threshold_tokens, threshold_plan, threshold_rows, threshold_same, threshold_check, threshold_random, threshold_found;
DROP ROLE regress_threshold_reader;
