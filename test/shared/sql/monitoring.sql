-- colbert_indexes: one row per index, also if an index cannot be read, and its rights. Counters over all sessions need
-- shared_preload_libraries (test/t/052_monitoring.pl); without, their views are empty.
\getenv method COLBERT_METHOD
\pset null -
SET client_min_messages = warning;

CREATE TABLE monitored (id int PRIMARY KEY, doc multivector(3));
INSERT INTO monitored SELECT i, CASE WHEN i > 10 THEN format('[[%s,2,3],[1,0,%s]]', i, i)::multivector END FROM generate_series(1, 60) AS i;
CREATE INDEX monitored_doc ON monitored USING :method (doc);
CREATE INDEX monitored_expression ON monitored USING :method ((l2_normalize(doc)::multivector(3))) WHERE id > 30;
CREATE VIEW monitored_indexes AS
	SELECT index, relation, status, problem, documents, tokens, null_documents, pending_documents, total_bytes > 0 AS bytes
	FROM colbert_indexes WHERE relation::text ~ '^monitored' ORDER BY index::text;
GRANT SELECT ON monitored_indexes TO PUBLIC;

SELECT * FROM monitored_indexes;
-- The columns are those of colbert_index_info.
SELECT i.access_method = :'method' AS method, to_jsonb(i) - ARRAY['index', 'relation', 'status', 'problem'] <@ to_jsonb(f) AS equal
FROM colbert_indexes i, colbert_index_info(i.index) f WHERE i.index = 'monitored_doc'::regclass;
-- Other relations have no row.
SELECT colbert_index_status('monitored'::regclass) IS NULL AS "table", colbert_index_status('monitored_pkey'::regclass) IS NULL AS btree,
	colbert_index_status(0) IS NULL AS none, colbert_index_status('pg_class'::regclass) IS NULL AS catalog;

-- Indexes of partitions have rows, that of the parent has none.
CREATE TABLE monitored_parts (id int, doc multivector(3)) PARTITION BY RANGE (id);
CREATE TABLE monitored_low PARTITION OF monitored_parts FOR VALUES FROM (0) TO (100);
CREATE TABLE monitored_high PARTITION OF monitored_parts FOR VALUES FROM (100) TO (200);
INSERT INTO monitored_parts SELECT i, format('[[%s,2,3]]', i)::multivector FROM generate_series(90, 120) AS i;
CREATE INDEX monitored_parent ON monitored_parts USING :method (doc);
SELECT index, status, documents FROM monitored_indexes WHERE relation::text ~ 'high|low|parts';

-- An index that is not ready, or not valid.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'monitored_expression'::regclass;
SELECT index, status, problem, documents FROM monitored_indexes WHERE relation = 'monitored'::regclass;
UPDATE pg_index SET indisready = false WHERE indexrelid = 'monitored_expression'::regclass;
SELECT index, status, problem, documents FROM monitored_indexes WHERE relation = 'monitored'::regclass;
SELECT documents FROM colbert_index_info('monitored_expression');
SELECT * FROM colbert_partition_info('monitored_expression');
UPDATE pg_index SET indisready = true, indisvalid = true WHERE indexrelid = 'monitored_expression'::regclass;

-- A parallel worker cannot read a temporary index, nor lock one.
SELECT proname, proparallel FROM pg_proc WHERE proname IN ('colbert_index_info', 'colbert_partition_info', 'colbert_index_status') ORDER BY proname;

-- Rights are those of colbert_index_info.
CREATE ROLE regress_monitor_nobody;
CREATE ROLE regress_monitor_reader;
CREATE ROLE regress_monitor_scans;
CREATE ROLE regress_monitor;
GRANT SELECT ON monitored TO regress_monitor_reader;
GRANT pg_stat_scan_tables TO regress_monitor_scans;
GRANT pg_monitor TO regress_monitor;
SET ROLE regress_monitor_nobody;
SELECT index, status, problem, documents FROM colbert_indexes WHERE relation = 'monitored'::regclass ORDER BY 1;
SELECT * FROM colbert_index_info('monitored_doc');
SET ROLE regress_monitor_reader;
SELECT index, status, documents FROM colbert_indexes WHERE relation::text ~ '^monitored' ORDER BY index::text;
SET ROLE regress_monitor_scans;
SELECT index, status, documents FROM colbert_indexes WHERE relation = 'monitored'::regclass ORDER BY index::text;
SELECT documents FROM colbert_index_info('monitored_doc');
SET ROLE regress_monitor;
SELECT index, status, documents FROM colbert_indexes WHERE relation = 'monitored'::regclass ORDER BY index::text;
RESET ROLE;
-- Policies hide an index from readers.
ALTER TABLE monitored ENABLE ROW LEVEL SECURITY;
SET ROLE regress_monitor_reader;
SELECT index, status, documents FROM colbert_indexes WHERE relation = 'monitored'::regclass ORDER BY index::text;
SET ROLE regress_monitor_scans;
SELECT index, status, documents FROM colbert_indexes WHERE relation = 'monitored'::regclass ORDER BY index::text;
RESET ROLE;

-- Only superusers, and those they grant it to, reset counters.
SET ROLE regress_monitor;
SELECT colbert_stat_reset();
SELECT colbert_stat_reset('monitored_doc');
RESET ROLE;

-- Without shared memory.
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM monitored ORDER BY maxsim(doc, '[[1,2,3]]') DESC NULLS LAST LIMIT 1;
SELECT count(*) FROM colbert_stat_indexes WHERE current_setting('shared_preload_libraries') !~ 'colbert';
SELECT (colbert_stat_info() IS NULL) = (current_setting('shared_preload_libraries') !~ 'colbert' OR current_setting('colbert.stat_indexes') = '0') AS expected;
SELECT colbert_stat_reset(), colbert_stat_reset('monitored_doc'), colbert_stat_reset('monitored_parent'), colbert_stat_reset(NULL::regclass);

DROP VIEW monitored_indexes;
DROP TABLE monitored, monitored_parts;
DROP ROLE regress_monitor_nobody, regress_monitor_reader, regress_monitor_scans, regress_monitor;
