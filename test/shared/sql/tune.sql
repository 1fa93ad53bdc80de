-- colbert_tune: its measurements are correct, its choice is applied, and invalid requests are rejected.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 400' ELSE 'tokens_per_node = 8' END AS nodes \gset
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset null -
-- On a slow machine, colbert_tune reports its progress as notices.
SET client_min_messages = warning;

CREATE FUNCTION tune_doc(seed int, tokens int) RETURNS multivector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT multivector_agg(ARRAY(SELECT sin(seed * 31 + t * 7 + d * d * (1 + seed % 5)) FROM generate_series(1, 8) AS d)::real[] ORDER BY t) FROM generate_series(1, tokens) AS t
$$;
CREATE TABLE tune_docs (id int PRIMARY KEY, lang text, doc multivector(8));
INSERT INTO tune_docs SELECT i, (ARRAY['de', 'en', 'fr'])[1 + i % 3], CASE WHEN i % 50 > 0 THEN tune_doc(i, 1 + i % 7) END FROM generate_series(1, 1000) AS i;
CREATE TABLE tune_queries AS SELECT i AS id, tune_doc(i * 5 + 10000, 1 + i % 4) AS query FROM generate_series(1, 15) AS i;
CREATE VIEW tune_sample AS SELECT array_agg(query ORDER BY id) AS queries FROM tune_queries;
CREATE INDEX tune_index ON tune_docs USING :method (doc) WITH (:nodes);
VACUUM ANALYZE tune_docs;

-- Recall measured in SQL: with the index, compared with a sort.
CREATE FUNCTION tune_recall(source text, function text, direction text, k int, settings text[] DEFAULT '{}') RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	q multivector;
	least float8;
	hits int;
	result bigint := 0;
	sign int := CASE direction WHEN 'DESC' THEN 1 ELSE -1 END;
BEGIN
	FOR i IN 1 .. cardinality(settings) / 2 LOOP
		PERFORM set_config(settings[2 * i - 1], settings[2 * i], true);
	END LOOP;
	FOR q IN SELECT query FROM tune_queries LOOP
		SET LOCAL enable_indexscan = off;
		SET LOCAL enable_seqscan = on;
		SET LOCAL enable_sort = on;
		EXECUTE format('SELECT min(score) FROM (SELECT %s * %s AS score FROM %s AND doc IS NOT NULL ORDER BY score DESC LIMIT $2) AS t', sign, function, source)
			INTO least USING q, k;
		SET LOCAL enable_indexscan = on;
		SET LOCAL enable_seqscan = off;
		SET LOCAL enable_sort = off;
		EXECUTE format('SELECT count(*) FROM (SELECT %s * %s AS score FROM %s AND doc IS NOT NULL ORDER BY %s %s LIMIT $2) AS t WHERE score >= $3',
			sign, function, source, function, direction) INTO hits USING q, k, least;
		result := result + hits;
	END LOOP;
	RETURN round(result / (15.0 * k), 6);
END $$;

-- The frontier: first the automatic settings, then increasingly expensive and better ones. One is chosen, and no cheaper one reaches the
-- target.
CREATE TEMP TABLE found AS SELECT row_number() OVER () AS n, t.* FROM tune_sample, colbert_tune('tune_index', queries, 0.9, 10) AS t;
SELECT target = 0 AND probes = 0 AND coalesce(ef_search, 0) = 0 AND candidates = 0 AND rerank = 0, (ef_search IS NULL) = (:'method' = 'colbert_ivf') FROM found WHERE n = 1;
SELECT count(*) > 0, count(*) FILTER (WHERE chosen), min(recall) FILTER (WHERE chosen) >= 0.9, min(ms) > 0, max(recall) <= 1 FROM found;
SELECT count(*) FROM (SELECT recall <= lag(recall) OVER (ORDER BY n) OR ms < lag(ms) OVER (ORDER BY n) AS worse FROM found WHERE n > 1 AND NOT chosen) AS t WHERE worse;
SELECT count(*) FROM found AS other, found WHERE found.chosen AND other.n > 1 AND found.n > 1 AND other.recall >= 0.9 AND other.ms < .95 * found.ms;
SELECT bool_and(round(recall::numeric, 6) = tune_recall('tune_docs WHERE true', 'maxsim(doc, $1)', 'DESC', 10, ARRAY['colbert.recall', target::text, 'colbert.probes', probes::text,
	'colbert.ef_search', coalesce(ef_search, 0)::text, 'colbert.candidates', candidates::text, 'colbert.rerank', rerank::text])) FROM found;
SELECT cardinality(reloptions) FROM pg_class WHERE relname = 'tune_index';

-- Session settings and index options do not affect the measurements, and are not changed.
ALTER INDEX tune_index SET (candidates = 11);
SET colbert.rerank = 12;
SELECT t.recall = found.recall FROM tune_sample, colbert_tune('tune_index', queries, 0.9, 10) WITH ORDINALITY AS t, found WHERE ordinality = 1 AND n = 1;
SHOW colbert.rerank;
RESET colbert.rerank;

-- Applied: the options are those of the chosen row, scans use them, and a session setting takes precedence.
CREATE TEMP TABLE applied AS SELECT t.* FROM tune_sample, colbert_tune('tune_index', queries, target_recall => 0.9, k => 10, apply => true) AS t;
CREATE VIEW pg_temp.options AS SELECT coalesce(jsonb_object_agg(option_name, option_value::numeric) - '{tokens_per_node,lists}'::text[], '{}') AS set
	FROM pg_class, pg_options_to_table(reloptions) WHERE relname = 'tune_index';
SELECT jsonb_strip_nulls(jsonb_build_object('recall', nullif(target, 0), 'probes', nullif(probes, 0), 'ef_search', nullif(ef_search, 0), 'candidates', nullif(candidates, 0),
	'rerank', nullif(rerank, 0))) = set FROM applied, pg_temp.options WHERE chosen;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM tune_docs ORDER BY doc <#> '[[1,2,3,4,5,6,7,8]]' LIMIT 10) AS t;
SELECT coalesce(nullif(a.target, 0), s.recall) = s.recall, coalesce(nullif(a.probes, 0), s.probes) = s.probes, coalesce(nullif(a.ef_search, 0), s.ef_search) = s.ef_search,
	coalesce(nullif(a.candidates, 0), s.candidates) = s.candidates, coalesce(nullif(a.rerank, 0), s.rerank) = s.rerank,
	cardinality(s.automatic) = (a.probes = 0)::int + (coalesce(a.ef_search, 0) = 0)::int + (a.candidates = 0)::int + (a.rerank = 0)::int
	FROM colbert_last_scan() AS s, applied AS a WHERE a.chosen;
SET colbert.rerank = 77;
SELECT count(*) FROM (SELECT id FROM tune_docs ORDER BY doc <#> '[[1,2,3,4,5,6,7,8]]' LIMIT 10) AS t;
SELECT rerank FROM colbert_last_scan();
RESET colbert.rerank;
SELECT tune_recall('tune_docs WHERE true', 'maxsim(doc, $1)', 'DESC', 10) = round(recall::numeric, 6) FROM applied WHERE chosen;

-- Other sessions keep searching while the options are changed.
BEGIN;
ALTER INDEX tune_index RESET (recall, probes, candidates, rerank);
SELECT mode FROM pg_locks WHERE relation = 'tune_index'::regclass AND pid = pg_backend_pid() AND mode LIKE '%Exclusive%';
ROLLBACK;

-- Every metric, partial indexes, expressions, pending and deleted rows: the recall of the first row is the one measured in SQL.
CREATE FUNCTION tune_auto(index regclass, k int) RETURNS numeric LANGUAGE sql AS $$
	SELECT round(recall::numeric, 6) FROM tune_sample, colbert_tune(index, queries, 0.5, k) LIMIT 1
$$;
DROP INDEX tune_index;
CREATE INDEX tune_cosine ON tune_docs USING :method (doc multivector_cosine_ops) WITH (:nodes, quantizer = bit);
SELECT tune_auto('tune_cosine', 7) = tune_recall('tune_docs WHERE true', 'maxsim_cosine(doc, $1)', 'DESC', 7);
DROP INDEX tune_cosine;
CREATE INDEX tune_l2 ON tune_docs USING :method (doc multivector_l2_ops) WITH (:nodes);
SELECT tune_auto('tune_l2', 10) = tune_recall('tune_docs WHERE true', 'maxsim_l2(doc, $1)', 'ASC', 10);
DROP INDEX tune_l2;
CREATE INDEX tune_partial ON tune_docs USING :method (doc) WITH (:nodes) WHERE lang = 'de';
SELECT tune_auto('tune_partial', 10) = tune_recall($$tune_docs WHERE lang = 'de'$$, 'maxsim(doc, $1)', 'DESC', 10);
DROP INDEX tune_partial;
CREATE INDEX "Tune expression" ON tune_docs USING :method (((doc || doc)::multivector(8))) WITH (:nodes);
SELECT tune_auto('"Tune expression"', 10) = tune_recall('tune_docs WHERE true', 'maxsim((doc || doc)::multivector(8), $1)', 'DESC', 10);
INSERT INTO tune_docs SELECT id + 2000, lang, doc FROM tune_docs WHERE id <= 100;
DELETE FROM tune_docs WHERE id BETWEEN 200 AND 500;
SELECT tune_auto('"Tune expression"', 10) = tune_recall('tune_docs WHERE true', 'maxsim((doc || doc)::multivector(8), $1)', 'DESC', 10);
SELECT count(*) FROM tune_sample, colbert_tune('"Tune expression"', queries, 0.6, 10, true) WHERE chosen;
DROP INDEX "Tune expression";
-- Names that need quotes, and a temporary table.
CREATE SCHEMA "tune Schema";
CREATE TABLE "tune Schema"."order" AS SELECT id AS "limit", doc AS "select" FROM tune_docs;
CREATE INDEX "where" ON "tune Schema"."order" USING :method ("select") WITH (:nodes) WHERE "limit" > 100;
SELECT tune_auto('"tune Schema"."where"', 10) = tune_recall('(SELECT "select" AS doc FROM "tune Schema"."order" WHERE "limit" > 100) AS t WHERE true', 'maxsim(doc, $1)', 'DESC', 10);
SELECT count(*) FROM tune_sample, colbert_tune('"tune Schema"."where"', queries, 0.6, 10, true) WHERE chosen;
DROP SCHEMA "tune Schema" CASCADE;
CREATE TEMP TABLE tune_temp AS SELECT * FROM tune_docs;
CREATE INDEX tune_temp_doc ON tune_temp USING :method (doc) WITH (:nodes);
SELECT tune_auto('tune_temp_doc', 10) = tune_recall('tune_temp WHERE true', 'maxsim(doc, $1)', 'DESC', 10);
SELECT count(*) FROM tune_sample, colbert_tune('tune_temp_doc', queries, 0.6, 10, true) WHERE chosen;
-- The table's own rows as queries, from a search that is still running when the options would be changed.
SELECT count(*) FROM colbert_tune('tune_temp_doc', (SELECT array_agg(doc) FROM (SELECT doc FROM tune_temp ORDER BY doc <#> '[[1,2,3,4,5,6,7,8]]' LIMIT 20) AS s), 0.6) WHERE chosen;
SELECT * FROM colbert_tune('tune_temp_doc', (SELECT array_agg(doc) FROM (SELECT doc FROM tune_temp ORDER BY doc <#> '[[1,2,3,4,5,6,7,8]]' LIMIT 20) AS s), apply => true);
DROP TABLE tune_temp;
-- Fewer rows than requested; one row; only NULL rows.
CREATE INDEX tune_few ON tune_docs USING :method (doc) WHERE id < 5;
SELECT min(recall), max(recall), count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_few', queries, 1, 10);
CREATE INDEX tune_one ON tune_docs USING :method (doc) WHERE id = 1;
SELECT min(recall), max(recall), count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_one', queries, 1, 10);
CREATE INDEX tune_null ON tune_docs USING :method (doc) WHERE id = 50;
SELECT * FROM tune_sample, colbert_tune('tune_null', queries);
CREATE TABLE tune_empty (doc multivector(8));
CREATE INDEX tune_empty_doc ON tune_empty USING :method (doc);
SELECT * FROM tune_sample, colbert_tune('tune_empty_doc', queries);
DROP INDEX tune_one, tune_null;

-- An unreachable target: half of the rows are not in the index, because its predicate has changed. Nothing is chosen or changed.
CREATE FUNCTION tune_holds(id int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT id % 2 = 0';
CREATE INDEX tune_half ON tune_docs USING :method (doc) WITH (rerank = 55) WHERE tune_holds(id);
CREATE OR REPLACE FUNCTION tune_holds(id int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
SET client_min_messages = notice;
SELECT count(*) > 0, count(*) FILTER (WHERE chosen), max(recall) BETWEEN 0.3 AND 0.7 FROM tune_sample, colbert_tune('tune_half', queries, 0.9);
SELECT count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_half', queries, 0.9, apply => true);
SET client_min_messages = warning;
SELECT reloptions FROM pg_class WHERE relname = 'tune_half';
DROP INDEX tune_half;

-- Invalid arguments.
SELECT * FROM colbert_tune('tune_few', NULL);
SELECT * FROM colbert_tune('tune_few', (SELECT array_agg(query) FROM tune_queries WHERE false));
SELECT * FROM colbert_tune(NULL, '{}');
SELECT * FROM colbert_tune('tune_few', '{}');
SELECT * FROM colbert_tune('tune_few', ARRAY['[[1,2,3,4,5,6,7,8]]', NULL]::multivector[]);
SELECT * FROM colbert_tune('tune_few', ARRAY['[[1,2,3,4,5,6,7,8]]', '[[1,2,3]]']::multivector[]);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 0);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, -0.5);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 1.0001);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 'NaN');
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, NULL);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 0.9, 0);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 0.9, 10001);
SET maintenance_work_mem = '1MB';
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 0.9, 10000);
RESET maintenance_work_mem;
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 0.9, NULL);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, 0.9, 10, NULL);
SELECT * FROM tune_sample, colbert_tune('tune_docs', queries);
SELECT * FROM tune_sample, colbert_tune('tune_docs_pkey', queries);
SELECT * FROM tune_sample, colbert_tune(0, queries);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tune_few'::regclass;
SELECT * FROM tune_sample, colbert_tune('tune_few', queries);
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'tune_few'::regclass;
BEGIN READ ONLY;
SELECT count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_few', queries);
SELECT * FROM tune_sample, colbert_tune('tune_few', queries, apply => true);
ROLLBACK;

-- A partitioned table is tuned as a whole: the recall of each row is that of its searches. Then each partition has a row with its part of them.
CREATE TABLE tune_parts (id int, lang text, doc multivector(8)) PARTITION BY LIST (lang);
CREATE INDEX tune_parts_doc ON tune_parts USING :method (doc);
SELECT * FROM tune_sample, colbert_tune('tune_parts_doc', queries);
CREATE TABLE tune_part_de PARTITION OF tune_parts FOR VALUES IN ('de');
SELECT * FROM tune_sample, colbert_tune('tune_parts_doc', queries);
CREATE TABLE tune_part_en PARTITION OF tune_parts FOR VALUES IN ('en') PARTITION BY RANGE (id);
CREATE TABLE tune_part_en_1 PARTITION OF tune_part_en FOR VALUES FROM (0) TO (500);
CREATE TABLE tune_part_en_2 PARTITION OF tune_part_en FOR VALUES FROM (500) TO (MAXVALUE);
CREATE TABLE tune_part_fr (doc multivector(8), lang text, id int);
ALTER TABLE tune_parts ATTACH PARTITION tune_part_fr FOR VALUES IN ('fr');
INSERT INTO tune_parts SELECT id, lang, doc FROM tune_docs;
VACUUM ANALYZE tune_parts;
CREATE TEMP TABLE found_parts AS SELECT row_number() OVER () AS n, t.* FROM tune_sample, colbert_tune('tune_parts_doc', queries, 0.9, 10) AS t;
SELECT count(*) > 1, count(*) FILTER (WHERE chosen), min(recall) FILTER (WHERE chosen) >= 0.9, min(ms) > 0, max(recall) <= 1 FROM found_parts WHERE partition IS NULL;
SELECT bool_and(round(recall::numeric, 6) = tune_recall('tune_parts WHERE true', 'maxsim(doc, $1)', 'DESC', 10, ARRAY['colbert.recall', target::text, 'colbert.probes', probes::text,
	'colbert.ef_search', coalesce(ef_search, 0)::text, 'colbert.candidates', candidates::text, 'colbert.rerank', rerank::text])) FROM found_parts WHERE partition IS NULL;
SELECT p.partition, NOT p.chosen, p.recall BETWEEN 0 AND 1, p.ms > 0, p.n > c.n, (p.target, p.probes, p.candidates, p.rerank) = (c.target, c.probes, c.candidates, c.rerank) AS settings
	FROM found_parts AS p, found_parts AS c WHERE p.partition IS NOT NULL AND c.chosen ORDER BY p.n;
-- With all answers found, each partition has found its own, but for those that tie with answers of other partitions.
SELECT partition, recall > 0.8 AS found FROM tune_sample, colbert_tune('tune_parts_doc', queries, 1) WITH ORDINALITY WHERE partition IS NOT NULL ORDER BY ordinality;
-- A partition can be tuned alone; its index is no part of another one then.
SELECT count(*) FILTER (WHERE chosen), count(partition) FROM tune_sample, colbert_tune('tune_part_de_doc_idx', queries, 0.5);
ALTER INDEX tune_part_de_doc_idx SET (candidates = 11);
CREATE TEMP TABLE applied_parts AS SELECT jsonb_strip_nulls(jsonb_build_object('recall', nullif(target, 0), 'probes', nullif(probes, 0), 'ef_search', nullif(ef_search, 0),
	'candidates', nullif(candidates, 0), 'rerank', nullif(rerank, 0))) AS set FROM tune_sample, colbert_tune('tune_parts_doc', queries, 0.5, apply => true) AS t WHERE chosen;
SELECT relname, set = (SELECT coalesce(jsonb_object_agg(option_name, option_value::numeric), '{}') FROM pg_options_to_table(reloptions)) FROM pg_class, applied_parts
	WHERE relname ~ '^tune_part_.*_doc_idx$' AND relkind = 'i' ORDER BY relname;
-- The rights are those of a query of the partitioned table; changing the options needs the ownership of every index.
CREATE ROLE regress_tune_part;
GRANT SELECT ON tune_sample, tune_parts TO regress_tune_part;
ALTER TABLE tune_part_fr OWNER TO regress_tune_part;
ALTER TABLE tune_part_de ENABLE ROW LEVEL SECURITY;
SET ROLE regress_tune_part;
SELECT count(*) FILTER (WHERE chosen), count(partition) FROM tune_sample, colbert_tune('tune_parts_doc', queries, 0.5);
SELECT * FROM tune_sample, colbert_tune('tune_part_de_doc_idx', queries, 0.5);
SELECT * FROM tune_sample, colbert_tune('tune_parts_doc', queries, 0.5, apply => true);
RESET ROLE;
-- An index that some partition lacks does not serve the table.
CREATE INDEX tune_parts_only ON ONLY tune_parts USING :method (doc);
SELECT * FROM tune_sample, colbert_tune('tune_parts_only', queries);
DROP TABLE tune_parts;
DROP OWNED BY regress_tune_part;
DROP ROLE regress_tune_part;

-- Exact answers from a table, of which the k best of each query count: the recall is that of exact answers from the rows.
CREATE INDEX tune_given ON tune_docs USING :method (doc) WITH (:nodes);
CREATE TABLE tune_exact AS SELECT q.id AS query, rank, score::real FROM tune_queries q,
	LATERAL (SELECT row_number() OVER (ORDER BY score DESC) AS rank, score FROM (SELECT maxsim(doc, query) AS score FROM tune_docs WHERE doc IS NOT NULL) AS s ORDER BY score DESC LIMIT 12) AS best;
SELECT count(*), count(DISTINCT t.recall) FROM tune_sample, LATERAL (SELECT recall FROM (SELECT * FROM colbert_tune('tune_given', queries, 0.9) LIMIT 1) AS a
	UNION ALL SELECT recall FROM (SELECT * FROM colbert_tune('tune_given', queries, 0.9, exact => 'tune_exact') LIMIT 1) AS b) AS t;
SELECT count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_given', queries, 0.6, 12, true, 'public.tune_exact');
-- A table of exact answers does not say which partition has one.
CREATE TABLE tune_halves (id int, doc multivector(8)) PARTITION BY HASH (id);
CREATE TABLE tune_half_0 PARTITION OF tune_halves FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE tune_half_1 PARTITION OF tune_halves FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO tune_halves SELECT id, doc FROM tune_docs WHERE doc IS NOT NULL;
CREATE INDEX tune_halves_doc ON tune_halves USING :method (doc);
SELECT partition, recall, ms > 0 FROM tune_sample, colbert_tune('tune_halves_doc', queries, 0.9, exact => 'tune_exact') WITH ORDINALITY WHERE partition IS NOT NULL ORDER BY ordinality;
DROP TABLE tune_halves;
-- No document has such scores, and all have smaller distances.
UPDATE tune_exact SET score = score + 1000;
SELECT max(recall) FROM tune_sample, colbert_tune('tune_given', queries, 0.9, exact => 'tune_exact');
CREATE INDEX tune_given_l2 ON tune_docs USING :method (doc multivector_l2_ops) WITH (:nodes);
SELECT min(recall) FROM tune_sample, colbert_tune('tune_given_l2', queries, 0.9, exact => 'tune_exact');
DROP INDEX tune_given_l2;
-- Tables that do not fit.
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, k => 13, exact => 'tune_exact');
SELECT * FROM colbert_tune('tune_given', (SELECT queries[:14] FROM tune_sample), exact => 'tune_exact');
SELECT * FROM colbert_tune('tune_given', (SELECT queries || queries FROM tune_sample), exact => 'tune_exact');
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, exact => 'tune_docs');
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, exact => 'tune_nowhere');
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, exact => 0);
CREATE VIEW tune_view AS SELECT query, CASE WHEN query = 3 AND rank = 2 THEN 'NaN' ELSE score END AS score FROM tune_exact;
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, exact => 'tune_view');
CREATE OR REPLACE VIEW tune_view AS SELECT nullif(query, 3) AS query, score FROM tune_exact;
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, exact => 'tune_view');
SET maintenance_work_mem = '1MB';
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, k => 10000, exact => 'tune_exact');
RESET maintenance_work_mem;
-- They are read with the rights of the caller.
CREATE ROLE regress_tune_exact;
GRANT SELECT ON tune_sample, tune_docs TO regress_tune_exact;
SET ROLE regress_tune_exact;
SELECT * FROM tune_sample, colbert_tune('tune_given', queries, exact => 'tune_exact');
RESET ROLE;
CREATE FUNCTION tune_caller() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN current_user = 'regress_tune_exact'; END $$;
CREATE OR REPLACE VIEW tune_view AS SELECT query, CASE WHEN tune_caller() THEN score - 1000 ELSE 'NaN' END::real AS score FROM tune_exact;
GRANT SELECT ON tune_view TO regress_tune_exact;
SET ROLE regress_tune_exact;
SELECT count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_given', queries, 0.5, exact => 'tune_view');
RESET ROLE;
DROP VIEW tune_view;
DROP TABLE tune_exact;
DROP INDEX tune_given;
DROP OWNED BY regress_tune_exact;
DROP ROLE regress_tune_exact;

-- Privileges: SELECT to measure, ownership to apply; rejected if row-level security hides rows. Index expressions run as the table's owner.
CREATE ROLE regress_tune_owner;
CREATE ROLE regress_tune_reader;
GRANT CREATE ON SCHEMA public TO regress_tune_owner;
GRANT SELECT ON tune_sample TO regress_tune_owner, regress_tune_reader;
CREATE FUNCTION tune_who(doc multivector) RETURNS multivector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_user <> 'regress_tune_owner' THEN
		RAISE WARNING 'runs as %', current_user;
	END IF;
	RETURN doc;
END $$;
CREATE TABLE tune_owned AS SELECT id, doc FROM tune_docs WHERE id <= 60;
ALTER TABLE tune_owned OWNER TO regress_tune_owner;
SET ROLE regress_tune_owner;
CREATE INDEX tune_owned_doc ON tune_owned USING :method ((tune_who(doc)::multivector(8)));
SET ROLE regress_tune_reader;
SELECT * FROM tune_sample, colbert_tune('tune_owned_doc', queries);
RESET ROLE;
GRANT SELECT ON tune_owned TO regress_tune_reader;
SET ROLE regress_tune_reader;
SELECT count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_owned_doc', queries, 0.5);
SELECT * FROM tune_sample, colbert_tune('tune_owned_doc', queries, apply => true);
SET ROLE regress_tune_owner;
SELECT count(*) FILTER (WHERE chosen) FROM tune_sample, colbert_tune('tune_owned_doc', queries, 0.5, apply => true);
SELECT current_user;
RESET ROLE;
ALTER TABLE tune_owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY tune_policy ON tune_owned USING (id > 50);
SET ROLE regress_tune_reader;
SELECT * FROM tune_sample, colbert_tune('tune_owned_doc', queries);
RESET ROLE;
-- Policies now apply to the owner, but not to the caller: all rows count.
ALTER TABLE tune_owned FORCE ROW LEVEL SECURITY;
ALTER POLICY tune_policy ON tune_owned USING (false);
SELECT max(recall) FROM tune_sample, colbert_tune('tune_owned_doc', queries, 0.5);
SET ROLE regress_tune_owner;
SELECT * FROM tune_sample, colbert_tune('tune_owned_doc', queries);
RESET ROLE;

-- It can be cancelled while it computes the exact answers, and leaves settings unchanged.
CREATE FUNCTION tune_slow(doc multivector) RETURNS multivector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM pg_sleep(0.1);
	RETURN doc;
END $$;
CREATE TABLE tune_slow AS SELECT doc FROM tune_docs WHERE id <= 8;
CREATE INDEX tune_slow_doc ON tune_slow USING :method ((tune_slow(doc)::multivector(8)));
SET statement_timeout = '300ms';
\set VERBOSITY terse
SELECT * FROM tune_sample, colbert_tune('tune_slow_doc', queries);
\set VERBOSITY default
RESET statement_timeout;
SELECT current_setting('min_parallel_table_scan_size'), current_setting('enable_indexscan'), current_user = session_user;

-- The scores for the exact answers equal those of a single query, to the last bit.
SELECT count(*), count(*) FILTER (WHERE s <> ARRAY(SELECT CASE metric WHEN 0 THEN maxsim(doc, query) WHEN 1 THEN maxsim_cosine(doc, query) ELSE maxsim_l2(doc, query) END
	FROM tune_queries ORDER BY id)) FROM generate_series(0, 2) AS metric, tune_sample, tune_docs, multivector_scores(doc, queries, metric) AS s WHERE doc IS NOT NULL;
SELECT multivector_scores('[[1,2]]', '{}', 0);
SELECT multivector_scores('[[1,2]]', ARRAY['[[1,2]]', NULL]::multivector[], 0);
SELECT multivector_scores('[[1,2]]', ARRAY['[[1,2]]', '[[1,2,3]]']::multivector[], 0);
SELECT multivector_scores('[[1,2]]', ARRAY['[[1,2,3]]']::multivector[], 0);
SELECT multivector_scores('[[1,2]]', ARRAY['[[1,2]]']::multivector[], 3);

DROP VIEW tune_sample;
DROP TABLE tune_docs, tune_queries, tune_empty, tune_owned, tune_slow;
DROP FUNCTION tune_doc, tune_recall, tune_auto, tune_holds, tune_who, tune_slow;
REVOKE CREATE ON SCHEMA public FROM regress_tune_owner;
DROP ROLE regress_tune_owner, regress_tune_reader;
