-- Merges of colbert_hnsw, which create nodes.
-- The estimated costs of set-returning functions would cause JIT compilation of every call.
SET jit = off;
\set QUIET on
SET client_min_messages = warning;

-- Document i: n tokens with this many dims, all different.
CREATE FUNCTION merge_doc(i int, n int, dims int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY t)::real[]::multivector
	FROM (SELECT t, array_agg(sin(i * 7919.0 + t * 104.729 + k * k * 1.37)::real ORDER BY k) AS token
		  FROM generate_series(1, n) t, generate_series(1, dims) k GROUP BY t) s
$$;

-- A merge in several batches, each of which creates nodes: the postings of all of them are counted.
CREATE TABLE merge_batches (id int, doc multivector(128));
CREATE INDEX merge_batches_doc ON merge_batches USING colbert_hnsw (doc) WITH (tokens_per_node = 1);
SET maintenance_work_mem = '1MB';
INSERT INTO merge_batches SELECT i, merge_doc(i, 10, 128) FROM generate_series(1, 110) i;
SELECT colbert_merge('merge_batches_doc');
INSERT INTO merge_batches SELECT i, merge_doc(i, 10, 128) FROM generate_series(111, 360) i;
SELECT colbert_merge('merge_batches_doc');
RESET maintenance_work_mem;
SELECT documents, pending_documents, postings > 3400 AS postings_of_all FROM colbert_index_info('merge_batches_doc');

-- The nodes are grouped in memory when a batch begins, and their groups are freed when new nodes leave no memory for them.
CREATE TABLE merge_outgrown (id int, doc multivector(32));
INSERT INTO merge_outgrown SELECT i, merge_doc(i, 8, 32) FROM generate_series(1, 150) i;
CREATE INDEX merge_outgrown_doc ON merge_outgrown USING colbert_hnsw (doc) WITH (tokens_per_node = 1);
SET maintenance_work_mem = '1MB';
INSERT INTO merge_outgrown SELECT i, merge_doc(i, 8, 32) FROM generate_series(151, 550) i;
SELECT colbert_merge('merge_outgrown_doc');
RESET maintenance_work_mem;
SELECT nodes > 2000 AS more_than_fit FROM colbert_index_info('merge_outgrown_doc');
SELECT * FROM colbert_index_check('merge_outgrown_doc', true, true);

-- Repeated tokens need one node each, and all nodes are found.
CREATE TABLE merge_repeats (id int, doc multivector(32));
CREATE INDEX merge_repeats_doc ON merge_repeats USING colbert_hnsw (doc) WITH (tokens_per_node = 4);
INSERT INTO merge_repeats SELECT i, merge_doc(i % 50, 8, 32) FROM generate_series(1, 200) i;
SELECT colbert_merge('merge_repeats_doc');
INSERT INTO merge_repeats SELECT i, merge_doc(i % 100, 8, 32) FROM generate_series(201, 1000) i;
SELECT colbert_merge('merge_repeats_doc');
SELECT documents, nodes BETWEEN 400 AND 800 AS nodes FROM colbert_index_info('merge_repeats_doc');
SELECT * FROM colbert_index_check('merge_repeats_doc', heapallindexed => true, rescore => true);

-- Inserts that merge while much is pending add no nodes, which would take most of their time; those that merge later do.
CREATE TABLE merge_pressed (id int, doc multivector(32));
CREATE INDEX merge_pressed_doc ON merge_pressed USING colbert_hnsw (doc) WITH (tokens_per_node = 8);
SET colbert.background_merge = off;
SET colbert.pending_limit = 1000000;
INSERT INTO merge_pressed SELECT i, merge_doc(i, 8, 32) FROM generate_series(1, 600) i;
SELECT colbert_merge('merge_pressed_doc');
INSERT INTO merge_pressed SELECT i, merge_doc(i, 8, 32) FROM generate_series(601, 1600) i;
SELECT nodes, pending_documents FROM colbert_index_info('merge_pressed_doc') \gset before_
SET colbert.pending_limit = 1;
INSERT INTO merge_pressed SELECT i, merge_doc(i, 8, 32) FROM generate_series(1601, 1603) i;
SELECT nodes = :before_nodes AS same_nodes, pending_documents < :before_pending_documents + 3 AS merged, pending_tokens = 8 * pending_documents AS counted FROM colbert_index_info('merge_pressed_doc');
SELECT set_config('colbert.pending_limit', (pending_tokens * 2)::text, false) IS NULL AS no_limit FROM colbert_index_info('merge_pressed_doc');
-- A merge adds no nodes at the end of its time, which a busy machine may reach at once: insert until one does.
SELECT set_config('merge.before_nodes', :'before_nodes', false) IS NULL AS no_setting;
DO $$ BEGIN
	FOR i IN 1604 .. 1703 LOOP
		INSERT INTO merge_pressed SELECT i, merge_doc(i, 8, 32);
		EXIT WHEN (SELECT nodes FROM colbert_index_info('merge_pressed_doc')) > current_setting('merge.before_nodes')::int;
	END LOOP;
END $$;
SELECT nodes > :before_nodes AS more_nodes FROM colbert_index_info('merge_pressed_doc');
RESET colbert.pending_limit;
RESET colbert.background_merge;
DROP TABLE merge_batches, merge_outgrown, merge_repeats, merge_pressed;
DROP FUNCTION merge_doc;
-- Every node can be reached, however short the neighbour lists are: a list keeps the edges to the children of its node.
CREATE TABLE hnsw_reach (id int PRIMARY KEY, doc multivector(8));
SELECT setseed(.25);
INSERT INTO hnsw_reach SELECT i, (SELECT multivector_agg(ARRAY(SELECT (i % 7 = d)::int * 4 + random() FROM generate_series(1, 8) d WHERE t > 0)::real[]) FROM generate_series(1, 4) t) FROM generate_series(1, 1500) i;
CREATE INDEX hnsw_reach_doc ON hnsw_reach USING colbert_hnsw (doc) WITH (tokens_per_node = 1, m = 2, ef_construction = 4);
SELECT * FROM colbert_index_check('hnsw_reach_doc', rescore => true);
INSERT INTO hnsw_reach SELECT 1500 + i, (SELECT multivector_agg(ARRAY(SELECT random() FROM generate_series(1, 8) d WHERE i + t > 0)::real[]) FROM generate_series(1, 4) t) FROM generate_series(1, 300) i;
SELECT colbert_merge('hnsw_reach_doc');
SELECT * FROM colbert_index_check('hnsw_reach_doc', rescore => true);
DROP TABLE hnsw_reach;
