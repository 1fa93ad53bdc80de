-- Scores in the target list of an index scan: the scores that the scan remembers for out-of-line documents must be the requested ones.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

-- 40 tokens with 64 dims take 10 kB per document, stored out of line. Odd rows also have a document in line, which must not be confused
-- with the other. No two documents have nearly equal scores, and the index reranks all of them with exact codes, so the best ten are those
-- of a sort.
CREATE TABLE projection_docs (id int PRIMARY KEY, doc multivector(64));
INSERT INTO projection_docs
	SELECT i, (SELECT multivector_agg(token ORDER BY t) FROM (SELECT t, (SELECT array_agg((x * x % 1000003 / 500001.5 - 1)::real ORDER BY k)
			FROM generate_series(1, 64) k, LATERAL (SELECT (i * 15485863::bigint + t * 7919 + k * 104729) % 1000003 AS x) AS mixed) AS token
		FROM generate_series(1, CASE WHEN i % 2 = 0 THEN 40 ELSE 2 END) t) tokens)
	FROM generate_series(1, 300) i;
CREATE TABLE projection_queries AS
	SELECT i AS id, (SELECT multivector_agg(token ORDER BY t) FROM (SELECT t, (SELECT array_agg(cos(i * 5 + t * 3 + k)::real ORDER BY k) FROM generate_series(1, 64) k) AS token
		FROM generate_series(1, 1 + i % 3) t) tokens) AS v
	FROM generate_series(1, 9) i;
CREATE INDEX projection_index ON projection_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
VACUUM ANALYZE projection_docs;
SELECT count(*) > 0 FROM pg_class WHERE oid = (SELECT reltoastrelid FROM pg_class WHERE relname = 'projection_docs') AND pg_relation_size(oid) > 0;

-- Every score that a statement can request, for the query of the order and for another one; with a new query in each rescan.
PREPARE scores AS
	SELECT q.id AS query, d.* FROM projection_queries q, LATERAL
		(SELECT id, maxsim(doc, q.v) AS score, doc <#> q.v AS distance, maxsim_cosine(doc, q.v) AS cosine, doc <=> q.v AS cosine_distance, maxsim_l2(doc, q.v) AS l2,
			maxsim(doc, (SELECT v FROM projection_queries WHERE id = 1)) AS of_another
		 FROM projection_docs ORDER BY doc <#> q.v LIMIT 10) AS d;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE TEMP TABLE by_index AS EXECUTE scores;
SELECT index, emitted FROM colbert_last_scan();
RESET enable_seqscan;
RESET enable_sort;
SET enable_indexscan = off;
SET plan_cache_mode = force_custom_plan;
CREATE TEMP TABLE by_sort AS EXECUTE scores;
RESET enable_indexscan;
SELECT count(*), count(DISTINCT score) > 80 FROM by_index;
(TABLE by_index EXCEPT TABLE by_sort) UNION ALL (TABLE by_sort EXCEPT TABLE by_index);

-- Nothing is read twice: a score in the target list reads no page of documents that the scan has scored.
CREATE FUNCTION projection_pages(query text, OUT pages bigint) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF, FORMAT json) ' || query INTO plan;
	pages := (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT projection_pages($$ SELECT id, maxsim(doc, (SELECT v FROM projection_queries WHERE id = 2)) FROM projection_docs
		ORDER BY doc <#> (SELECT v FROM projection_queries WHERE id = 2) LIMIT 10 $$) AS pages \gset scored_
SELECT projection_pages($$ SELECT id, maxsim(doc, (SELECT v FROM projection_queries WHERE id = 2)) FROM projection_docs
		ORDER BY doc <#> (SELECT v FROM projection_queries WHERE id = 2) LIMIT 10 $$) AS pages \gset scored_
SELECT projection_pages($$ SELECT id, (SELECT v FROM projection_queries WHERE id = 2) IS NULL FROM projection_docs
		ORDER BY doc <#> (SELECT v FROM projection_queries WHERE id = 2) LIMIT 10 $$) AS pages \gset plain_
SELECT projection_pages($$ SELECT id, maxsim(doc, (SELECT v FROM projection_queries WHERE id = 3)) FROM projection_docs
		ORDER BY doc <#> (SELECT v FROM projection_queries WHERE id = 2) LIMIT 10 $$) AS pages \gset other_
SELECT :scored_pages <= :plain_pages AS reads_no_more, :other_pages > :plain_pages + 10 AS another_query_reads;
-- Nor does testing a threshold with the same query.
SELECT projection_pages($$ SELECT id FROM projection_docs WHERE maxsim(doc, (SELECT v FROM projection_queries WHERE id = 2)) > -1000000
		ORDER BY doc <#> (SELECT v FROM projection_queries WHERE id = 2) LIMIT 10 $$) AS pages \gset bounded_
SELECT :bounded_pages <= :plain_pages + 10 AS threshold_reads_no_more;
-- The same with a query that is out of line or compressed, as a scalar sub-select and as a column of an outer row.
CREATE TABLE projection_long (LIKE projection_queries);
ALTER TABLE projection_long ALTER v SET STORAGE EXTERNAL;
INSERT INTO projection_long SELECT id, doc FROM projection_docs WHERE id IN (20, 40);
CREATE TABLE projection_compressed (LIKE projection_queries);
ALTER TABLE projection_compressed ALTER v SET STORAGE MAIN;
INSERT INTO projection_compressed SELECT 20, multivector_agg(ARRAY(SELECT (t + k) % 2 FROM generate_series(1, 64) AS k)::real[]) FROM generate_series(1, 40) AS t;
SELECT pg_column_size(v) BETWEEN 10001 AND 11000 AS external FROM projection_long LIMIT 1;
SELECT pg_column_size(v) < 1000 AS compressed FROM projection_compressed;
CREATE FUNCTION projection_reads(queries text, OUT no_more boolean, OUT no_more_lateral boolean) LANGUAGE plpgsql AS $$
DECLARE
	sub text := format('(SELECT v FROM %s WHERE id = 20)', queries);
	score text := format('SELECT id, maxsim(doc, %s) FROM projection_docs ORDER BY doc <#> %1$s LIMIT 10', sub);
	plain text := format('SELECT id, %s IS NULL FROM projection_docs ORDER BY doc <#> %1$s LIMIT 10', sub);
	joined text := format('SELECT d.* FROM %s AS q, LATERAL (SELECT id, %%s FROM projection_docs ORDER BY doc <#> q.v LIMIT 10) AS d', queries);
BEGIN
	PERFORM projection_pages(score);
	no_more := projection_pages(score) <= projection_pages(plain) + 10;
	no_more_lateral := projection_pages(format(joined, 'maxsim(doc, q.v)')) <= projection_pages(format(joined, 'q.v IS NULL')) + 20;
END $$;
SELECT * FROM projection_reads('projection_long');
SELECT * FROM projection_reads('projection_compressed');
DROP FUNCTION projection_pages;
RESET enable_seqscan;
RESET enable_sort;

-- A row that changes while a cursor is open: the cursor shows the score of the version it sees; other statements, that of the new document.
SET enable_seqscan = off;
BEGIN;
DECLARE projection_cursor NO SCROLL CURSOR FOR SELECT id, maxsim(doc, (SELECT v FROM projection_queries WHERE id = 2)) AS score FROM projection_docs
	ORDER BY doc <#> (SELECT v FROM projection_queries WHERE id = 2) LIMIT 5;
FETCH 1 FROM projection_cursor \gset seen_
UPDATE projection_docs SET doc = doc || doc WHERE id = :seen_id;
UPDATE projection_docs SET doc = (SELECT v || v FROM projection_queries WHERE id = 3) WHERE id = :seen_id;
SELECT :seen_score = maxsim(doc, (SELECT v FROM projection_queries WHERE id = 2)) FROM projection_docs WHERE id = :seen_id;
FETCH 1 FROM projection_cursor \gset next_
SELECT :next_score = (SELECT score FROM by_sort WHERE query = 2 ORDER BY score DESC OFFSET 1 LIMIT 1);
-- An error ends the scan and discards the remembered scores.
SAVEPOINT before;
SELECT id, maxsim(doc, (SELECT v FROM projection_queries WHERE id = 2)) / (id - id) FROM projection_docs ORDER BY doc <#> (SELECT v FROM projection_queries WHERE id = 2) LIMIT 5;
ROLLBACK TO before;
SELECT count(*) FROM (SELECT maxsim(doc, (SELECT v FROM projection_queries WHERE id = 2)) FROM projection_docs) AS t;
FETCH 1 FROM projection_cursor \gset third_
SELECT :third_score = (SELECT score FROM by_sort WHERE query = 2 ORDER BY score DESC OFFSET 2 LIMIT 1);
ROLLBACK;
DROP TABLE projection_docs, projection_queries, projection_long, projection_compressed;
DROP FUNCTION projection_reads;
