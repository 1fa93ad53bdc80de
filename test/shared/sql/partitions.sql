-- Functions about the indexes of partitioned tables: in sum, and row by row.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
\pset null -
SET colbert.background_merge = off;

-- partition_docs(first, last): rows, one in eleven without a document.
CREATE FUNCTION partition_docs(first int, last int) RETURNS TABLE (id int, doc multivector(4)) LANGUAGE sql AS $$
	SELECT i, CASE WHEN i % 11 > 0 THEN format('[[%s,%s,1,0],[0,%s,0,1]]', i % 17, i % 191, i % 233)::multivector END FROM generate_series(first, last) i
$$;
CREATE FUNCTION repeat_token(n int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$ SELECT multivector_agg(ARRAY[1, 2, 3, t]::real[]) FROM generate_series(1, n) t $$;
CREATE TABLE parts (id int, doc multivector(4)) PARTITION BY RANGE (id);
CREATE INDEX parts_doc ON parts USING :method (doc);
-- Without partitions.
SELECT access_method = :'method', quantizer, dims, documents, tokens, tokens_per_node, total_bytes, postings_per_node, imbalance, advice FROM colbert_index_info('parts_doc');
SELECT count(*) FROM colbert_partition_info('parts_doc');
SELECT colbert_merge('parts_doc');
SELECT count(*) FROM colbert_index_check('parts_doc');

CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (300);
CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (300) TO (900) PARTITION BY RANGE (id);
CREATE TABLE parts_b_1 PARTITION OF parts_b FOR VALUES FROM (300) TO (600);
CREATE TABLE parts_b_2 PARTITION OF parts_b FOR VALUES FROM (600) TO (900);
INSERT INTO parts SELECT * FROM partition_docs(1, 800);
REINDEX TABLE parts;
INSERT INTO parts SELECT * FROM partition_docs(801, 850);
VACUUM parts_a;
-- A partition and the sum; the parent is not among the rows.
SELECT partition, access_method = :'method', quantizer, dims, documents, tokens, null_documents, pending_documents FROM colbert_partition_info('parts_doc') ORDER BY partition::text;
SELECT partition FROM colbert_partition_info('parts_b_doc_idx') ORDER BY partition::text;
SELECT partition, documents FROM colbert_partition_info('parts_a_doc_idx');
SELECT access_method = :'method', quantizer, dims, documents, tokens, null_documents, pending_documents, pending_tokens, imbalance, trained_distance, merged_distance FROM colbert_index_info('parts_doc');
-- Each count and size is the sum, and each row that of the partition.
SELECT key, sum = whole AS is_sum
FROM (SELECT key, sum(value::text::numeric) FROM colbert_partition_info('parts_doc') p, json_each(row_to_json(p)) WHERE key ~ '_?(documents|tokens|nodes|postings|bytes)$' GROUP BY key) AS s
JOIN (SELECT key, value::text::numeric AS whole FROM colbert_index_info('parts_doc') i, json_each(row_to_json(i))) AS w USING (key) ORDER BY key;
SELECT bool_and(to_jsonb(p) - 'partition' = to_jsonb(i)) FROM colbert_partition_info('parts_doc') p, colbert_index_info(p.partition) i;
SELECT round((i.postings_per_node * nodes - postings)::numeric, 3) FROM colbert_index_info('parts_doc') i;
-- What differs between partitions has no value in the sum.
DROP INDEX parts_doc;
CREATE INDEX parts_a_doc_idx ON parts_a USING :method (doc) WITH (quantizer = sq4);
CREATE INDEX parts_doc ON parts USING :method (doc);
SELECT string_agg(DISTINCT quantizer, ' ') FROM colbert_partition_info('parts_doc');
SELECT quantizer, dims FROM colbert_index_info('parts_doc');

-- Merge all partitions: the pending documents of large ones; those of small ones stay.
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 20' ELSE 'tokens_per_node = 4' END AS few_tokens \gset
DROP INDEX parts_doc;
CREATE INDEX parts_doc ON parts USING :method (doc) WITH (:few_tokens);
CREATE TABLE parts_c PARTITION OF parts FOR VALUES FROM (1000) TO (10000);
CREATE TABLE parts_d PARTITION OF parts FOR VALUES FROM (10000) TO (20000);
INSERT INTO parts SELECT f.id + start, f.doc FROM unnest('{1000,10000}'::int[]) AS start, partition_docs(1, 4000) AS f;
REINDEX TABLE parts_c;
REINDEX TABLE parts_d;
INSERT INTO parts SELECT f.id + start, f.doc FROM unnest('{1000,10000}'::int[]) AS start, partition_docs(4001, 4100) AS f;
SELECT partition, pending_documents FROM colbert_partition_info('parts_doc') WHERE nodes > 0 ORDER BY partition::text;
SELECT colbert_merge('parts_doc') >= 180 AS merged;
SELECT count(*) FILTER (WHERE nodes > 0) > 1 AS merged, bool_and(nodes = 0 OR pending_documents = 0) AS nothing_left FROM colbert_partition_info('parts_doc');
SELECT i.documents, i.nodes > 0 AS nodes, i.pending_documents = sum(p.pending_documents) AS is_sum FROM colbert_index_info('parts_doc') AS i, colbert_partition_info('parts_doc') AS p GROUP BY i.documents, i.nodes, i.pending_documents;
DROP TABLE parts_c, parts_d;

-- Check all partitions. A finding names its partition.
SELECT count(*) FROM colbert_index_check('parts_doc', heapallindexed => true, rescore => true);
UPDATE pg_index SET indisready = false WHERE indexrelid = 'parts_b_1_doc_idx'::regclass;
INSERT INTO parts_b_1 VALUES (333, '[[5,6,7,8]]');
UPDATE pg_index SET indisready = true WHERE indexrelid = 'parts_b_1_doc_idx'::regclass;
SELECT severity, part, message FROM colbert_index_check('parts_doc', heapallindexed => true);
SELECT severity, part, message ~ '^parts' AS named FROM colbert_index_check('parts_b_1_doc_idx', heapallindexed => true);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'parts_b_1_doc_idx'::regclass;
SELECT count(*) FROM colbert_index_check('parts_doc');
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'parts_b_1_doc_idx'::regclass;
DELETE FROM parts_b_1 WHERE doc = '[[5,6,7,8]]';

-- Tune the index of each partition, or all of them together.
SELECT count(*) FILTER (WHERE chosen), array_agg(partition ORDER BY partition::text) FILTER (WHERE partition IS NOT NULL) FROM colbert_tune('parts_doc', ARRAY['[[1,2,3,4]]'::multivector]);
SELECT p.partition, count(*) > 0 AS trials, max(t.recall) FROM colbert_partition_info('parts_doc') AS p, colbert_tune(p.partition, (SELECT array_agg(doc) FROM parts_a WHERE id < 9), k => 3, apply => true) AS t
WHERE chosen GROUP BY p.partition ORDER BY p.partition::text;
SELECT count(*) > 0 AS options FROM pg_class WHERE oid IN (SELECT partition FROM colbert_partition_info('parts_doc')) AND reloptions IS NOT NULL;

-- The searches of a statement: one per partition, then one per rescan; a statement without searches leaves them.
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM parts ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST LIMIT 10) AS t;
SELECT index, query_tokens, emitted > 0 AS emitted, scored >= emitted AS scored FROM colbert_last_scans() ORDER BY index::text;
SELECT count(*), sum(query_tokens) FROM colbert_last_scans();
SELECT bool_or(to_jsonb(s) = to_jsonb(l)) AS has_the_last FROM colbert_last_scans() AS s, colbert_last_scan() AS l;
SELECT sum(emitted) BETWEEN 10 AND 13 AS emitted FROM colbert_last_scans();
SELECT count(*) FROM generate_series(1, 3) AS n, LATERAL (SELECT id FROM parts_a ORDER BY maxsim(doc, format('[[1,2,3,%s],[1,1,1,%s]]', n, n)::multivector) DESC NULLS LAST LIMIT 2) AS t;
SELECT index, query_tokens, emitted FROM colbert_last_scans();
-- The last 1,024 searches of a statement are kept.
SELECT count(*) FROM generate_series(1, 1100) AS n, LATERAL (SELECT id FROM parts_a ORDER BY maxsim(doc, (repeat_token(1 + (n = 76)::int + 2 * (n = 77)::int))) DESC NULLS LAST LIMIT 1 + n / 1100) AS t;
SELECT count(*), string_agg(DISTINCT query_tokens::text, ' '), string_agg(emitted::text, ' ') FILTER (WHERE emitted <> 1) FROM colbert_last_scans();
-- Cursors: each statement shows its own searches.
BEGIN;
DECLARE parts_cursor NO SCROLL CURSOR FOR SELECT id FROM parts ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST;
MOVE 5 FROM parts_cursor;
SELECT count(*) FROM colbert_last_scans();
MOVE 1 FROM parts_cursor;
SELECT count(*) FROM colbert_last_scans();
COMMIT;
RESET enable_seqscan;
RESET enable_sort;

-- Privileges: whoever may read the partitioned table sees the facts about all partitions.
CREATE ROLE regress_parts_reader;
CREATE ROLE regress_parts_owner;
SET ROLE regress_parts_reader;
SELECT documents FROM colbert_index_info('parts_doc');
SELECT count(*) FROM colbert_partition_info('parts_doc');
RESET ROLE;
GRANT SELECT ON parts TO regress_parts_reader;
SET ROLE regress_parts_reader;
SELECT documents FROM colbert_index_info('parts_doc');
SELECT count(*) FROM colbert_partition_info('parts_doc');
SELECT documents FROM colbert_index_info('parts_a_doc_idx');
SELECT colbert_merge('parts_doc');
SELECT count(*) FROM colbert_index_check('parts_doc');
SELECT count(*) AS "another's searches" FROM colbert_last_scans();
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM parts ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC NULLS LAST LIMIT 10) AS t;
SELECT count(*) AS "own searches" FROM colbert_last_scans();
RESET ROLE;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
SET ROLE regress_parts_reader;
SELECT documents FROM colbert_index_info('parts_doc');
SELECT count(*) AS "searches under policies" FROM colbert_last_scans();
RESET enable_seqscan;
RESET enable_sort;
SELECT count(*) FROM colbert_partition_info('parts_doc');
RESET ROLE;
-- A merge needs the ownership of each index.
GRANT USAGE, CREATE ON SCHEMA public TO regress_parts_owner;
ALTER TABLE parts OWNER TO regress_parts_owner;
ALTER TABLE parts_a OWNER TO regress_parts_owner;
SET ROLE regress_parts_owner;
SELECT colbert_merge('parts_doc');
RESET ROLE;

-- Other relations.
CREATE INDEX parts_id ON parts (id);
SELECT colbert_index_info('parts_id');
SELECT colbert_merge('parts_id');
SELECT * FROM colbert_partition_info('parts');
SELECT * FROM colbert_index_check('parts_id');
SELECT * FROM colbert_partition_info(0);
SELECT * FROM colbert_partition_info(NULL);
-- A partition that is detached or dropped is no longer counted.
ALTER TABLE parts DETACH PARTITION parts_a;
DROP TABLE parts_b_2;
SELECT partition FROM colbert_partition_info('parts_doc');
DROP TABLE parts, parts_a;
REVOKE ALL ON SCHEMA public FROM regress_parts_owner;
DROP ROLE regress_parts_reader, regress_parts_owner;
DROP FUNCTION partition_docs, repeat_token;
