-- Options specific to colbert_hnsw, and their ranges; shared/sql/index.sql has those of all methods.
\set QUIET on
SET client_min_messages = warning;
CREATE TABLE options_docs (id int, doc multivector(2));
INSERT INTO options_docs VALUES (1, '[[1,0]]'), (2, '[[2,2]]'), (3, '[[0,9]]'), (4, '[[-3,1]]');
CREATE INDEX options_index ON options_docs USING colbert_hnsw (doc) WITH (m = 8, ef_construction = 32, tokens_per_node = 2, ef_search = 20);
SELECT unnest(reloptions) FROM pg_class WHERE relname = 'options_index';
SELECT access_method, quantizer, tokens_per_node FROM colbert_index_info('options_index');
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (m = 1);
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (m = 101);
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (ef_construction = 3);
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (ef_construction = 1001);
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (tokens_per_node = -1);
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (tokens_per_node = 1000001);
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (ef_search = 10001);
CREATE INDEX ON options_docs USING colbert_hnsw (doc) WITH (lists = 10);
-- Structural options take effect with REINDEX.
ALTER INDEX options_index SET (tokens_per_node = 3);
SELECT tokens_per_node FROM colbert_index_info('options_index');
REINDEX INDEX options_index;
SELECT tokens_per_node, documents FROM colbert_index_info('options_index');
ALTER INDEX options_index RESET (tokens_per_node, m);
ALTER INDEX options_index SET (m = 1000);
DROP TABLE options_docs;

-- Walks of the graph that a search keeps take about work_mem, until it returns a row.
CREATE FUNCTION graph_bytes() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts WHERE name = 'colbert_pg graph' $$;
CREATE FUNCTION few_bytes(id int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF graph_bytes() > 800 * 1024 THEN
		RAISE EXCEPTION 'the graph takes more memory than work_mem allows';
	END IF;
	RETURN true;
END $$;
CREATE TABLE walk_docs AS SELECT i AS id, multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[])::multivector(8) AS doc FROM generate_series(1, 1000) i, generate_series(1, 8) t GROUP BY i;
CREATE INDEX ON walk_docs USING colbert_hnsw (doc) WITH (tokens_per_node = 1);
SET enable_seqscan = off;
SET enable_sort = off;
SET work_mem = '256kB';
SET colbert.ef_search = 2000;
SELECT multivector_agg(ARRAY(SELECT cos(t * 13 + d * d * 3) FROM generate_series(1, 8) d)::real[]) AS query FROM generate_series(1, 64) t \gset
SELECT count(*) FROM (SELECT id FROM walk_docs WHERE few_bytes(id) ORDER BY doc <#> :'query' LIMIT 10) s;
BEGIN;
DECLARE walk CURSOR FOR SELECT id FROM walk_docs ORDER BY doc <#> :'query';
MOVE 1 FROM walk;
SELECT graph_bytes() < 400 * 1024 AS few;
COMMIT;
DROP TABLE walk_docs;
