-- Rows whose document is NULL, over several null pages: inserts, VACUUM that leaves pages with room, and rows that fill them again.
-- It runs once per access method: COLBERT_METHOD names it (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
SET client_min_messages = warning;
SET colbert.background_merge = off;
SET enable_seqscan = off;

CREATE TABLE nulls_docs (id int, doc multivector(4));
CREATE INDEX nulls_docs_doc ON nulls_docs USING :method (doc);

-- The rows that the table has, those that the index counts, those that a scan by the index finds, and damage.
CREATE VIEW nulls_state AS SELECT
	(SELECT count(*) FROM nulls_docs WHERE coalesce(doc::text, '') = '') AS rows,
	(SELECT null_documents FROM colbert_index_info('nulls_docs_doc')) AS counted,
	(SELECT count(DISTINCT id) FROM nulls_docs WHERE doc IS NULL) AS found,
	(SELECT count(*) FROM colbert_index_check('nulls_docs_doc', true, true)) AS findings;

EXPLAIN (COSTS OFF) SELECT id FROM nulls_docs WHERE doc IS NULL;
INSERT INTO nulls_docs SELECT i FROM generate_series(1, 5000) i;
SELECT * FROM nulls_state;

-- A NULL row changes a null page alone: the meta page stays as it is.
CREATE FUNCTION nulls_meta_page() RETURNS text LANGUAGE sql AS $$
	SELECT md5(pg_read_binary_file(pg_relation_filepath('nulls_docs_doc'), 0, current_setting('block_size')::int))
$$;
CHECKPOINT;
SELECT nulls_meta_page() AS meta_page \gset
INSERT INTO nulls_docs SELECT i FROM generate_series(5001, 5100) i;
CHECKPOINT;
SELECT nulls_meta_page() = :'meta_page' AS same;
SELECT * FROM nulls_state;

-- All rows of some pages, part of those of others.
DELETE FROM nulls_docs WHERE id <= 1400 OR id % 3 = 0;
VACUUM nulls_docs;
SELECT * FROM nulls_state;
SELECT pg_relation_size('nulls_docs_doc') AS size \gset
INSERT INTO nulls_docs SELECT i FROM generate_series(6001, 8500) i;
SELECT * FROM nulls_state;
SELECT pg_relation_size('nulls_docs_doc') = :size AS reused;
UPDATE nulls_docs SET doc = '[[1,2,3,4]]' WHERE id % 2 = 0;
VACUUM nulls_docs;
SELECT * FROM nulls_state;

-- Built over rows that are there, and emptied.
REINDEX INDEX nulls_docs_doc;
SELECT * FROM nulls_state;
DELETE FROM nulls_docs;
VACUUM nulls_docs;
SELECT * FROM nulls_state;
INSERT INTO nulls_docs SELECT i FROM generate_series(1, 3000) i;
SELECT * FROM nulls_state;
DROP TABLE nulls_docs CASCADE;
DROP FUNCTION nulls_meta_page;
