-- Nodes that a merge assigns to tokens, one at a time or very many at once: they are as near as those that the build assigned.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 900' ELSE 'tokens_per_node = 20' END AS options \gset
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit = off;

-- Documents of 10 tokens with 32 dims, which have nothing in common.
CREATE FUNCTION assign_token(i int, t int) RETURNS real[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(hashint8(i * 1000 + t * 50 + k) / 2147483648.0 ORDER BY k)::real[] FROM generate_series(1, 32) k
$$;
CREATE FUNCTION assign_doc(i int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT multivector_agg(assign_token(i, t) ORDER BY t) FROM generate_series(1, 10) t
$$;
CREATE TABLE assign_docs AS SELECT i AS id, assign_doc(i)::multivector(32) AS doc FROM generate_series(1, 1800) i;
CREATE INDEX assign_index ON assign_docs USING :method (doc) WITH (:options);
CREATE FUNCTION assign_fit(OUT merged_as_near_as_trained bool, OUT pending bigint, OUT findings bigint) LANGUAGE sql AS $$
	SELECT merged_distance / trained_distance BETWEEN .8 AND 1.2, pending_documents, (SELECT count(*) FROM colbert_index_check('assign_index', heapallindexed => true, rescore => true) WHERE severity <> 'warning')
	FROM colbert_index_info('assign_index')
$$;

-- A few tokens, each searched individually.
INSERT INTO assign_docs SELECT i, assign_doc(i) FROM generate_series(2001, 2002) i;
SELECT colbert_merge('assign_index');
SELECT * FROM assign_fit();
-- Very many tokens, searched together; and with memory for only a part of them at a time.
INSERT INTO assign_docs SELECT i, assign_doc(i) FROM generate_series(3001, 3800) i;
SELECT colbert_merge('assign_index');
SELECT * FROM assign_fit();
SET maintenance_work_mem = '1MB';
INSERT INTO assign_docs SELECT i, assign_doc(i) FROM generate_series(4001, 4400) i;
SELECT colbert_merge('assign_index');
SELECT * FROM assign_fit();
RESET maintenance_work_mem;
-- Merged documents are in the right lists: most are found in the one list nearest to a query.
SET enable_seqscan = off;
SET enable_sort = off;
SET colbert.probes = 1;
SET colbert.candidates = 100;
CREATE FUNCTION assign_found(i int, OUT best int) LANGUAGE plpgsql AS $$
BEGIN
	SELECT id INTO best FROM assign_docs ORDER BY doc <#> (SELECT multivector_agg(assign_token(i, 1))) LIMIT 1;
END $$;
SELECT count(*), sum((best = id)::int) >= 20 AS most_by_one_list FROM assign_docs, assign_found(id) WHERE id > 3000 AND id % 30 = 0;
DROP TABLE assign_docs;
DROP FUNCTION assign_found;
DROP FUNCTION assign_doc, assign_token, assign_fit;
