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
