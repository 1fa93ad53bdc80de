-- Builds with or without workers, with much or little memory: the same answers.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 500' ELSE 'tokens_per_node = 8' END AS few_tokens \gset
SET client_min_messages = notice;
SELECT setseed(.42);
CREATE TABLE built (id int PRIMARY KEY, doc multivector(128));
INSERT INTO built
SELECT d, (SELECT array_agg(token) FROM
	(SELECT (SELECT array_agg((random() - .5 + CASE WHEN k % 40 = (d + t) % 40 THEN 2 ELSE 0 END)::real) FROM generate_series(1, 128) k) AS token
	 FROM generate_series(1, 20) t) tokens)::real[]::multivector
FROM generate_series(1, 200) d;
ALTER TABLE built SET (parallel_workers = 2);
ANALYZE built;
CREATE TABLE asked AS SELECT id, multivector(ARRAY[token(doc, 1), token(doc, 7), token(doc, 15)]) AS query FROM built WHERE id % 20 = 0;

CREATE FUNCTION answers() RETURNS SETOF text LANGUAGE sql SET enable_seqscan = off SET enable_sort = off AS $$
	SELECT format('%s: %s', a.id, (SELECT string_agg(id::text, ' ') FROM (SELECT id FROM built ORDER BY doc <#> a.query LIMIT 10) best))
	FROM asked a ORDER BY a.id $$;

-- Without workers.
SET max_parallel_maintenance_workers = 0;
CREATE INDEX ON built USING :method (doc) WITH (:few_tokens);
CREATE FUNCTION shape() RETURNS TABLE (documents bigint, tokens bigint, nodes bigint, postings bigint, pending bigint) LANGUAGE sql AS $$
	SELECT documents, tokens, nodes, postings, pending_documents FROM colbert_index_info('built_doc_idx') $$;
CREATE TABLE alone AS SELECT answers() AS answer;
CREATE TABLE alone_shape AS SELECT * FROM shape();
SELECT documents, tokens, nodes, pending, postings BETWEEN 500 AND 4000 AS some_postings FROM alone_shape;

-- Again, with the same result.
REINDEX INDEX built_doc_idx;
SELECT count(*) FROM (SELECT answers() EXCEPT SELECT answer FROM alone) differing;
SELECT * FROM shape() EXCEPT SELECT * FROM alone_shape;

-- With workers: documents arrive in a different order, but nodes and answers are the same.
SET max_parallel_maintenance_workers = 2;
SET min_parallel_table_scan_size = 0;
REINDEX INDEX built_doc_idx;
SELECT count(*) FROM (SELECT answers() EXCEPT SELECT answer FROM alone) differing;
SELECT * FROM shape() EXCEPT SELECT * FROM alone_shape;

-- With too little memory to train well: a notice reports it, and the index works.
SET maintenance_work_mem = '1MB';
REINDEX INDEX built_doc_idx;
SELECT documents, tokens, nodes > 100 AS nodes, pending FROM shape();
SELECT count(*) FROM answers();
RESET maintenance_work_mem;

-- Every row is returned exactly once, in exact order.
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*), count(DISTINCT id), bool_and(score <= before) AS in_order
FROM (SELECT id, score, lag(score, 1, 'infinity') OVER () AS before
	  FROM (SELECT id, maxsim(doc, (SELECT query FROM asked WHERE id = 20)) AS score FROM built ORDER BY 2 DESC LIMIT 50) best) x;

-- An expression that is not as immutable as it claims has no document left when documents are written.
CREATE TABLE faded AS SELECT (SELECT multivector_agg(ARRAY[sin(i * t), cos(i * t), sin(i + t), t]::real[]) FROM generate_series(1, 4) t)::multivector(4) AS doc
FROM generate_series(1, 6000) i;
CREATE SEQUENCE calls;
CREATE FUNCTION fading(doc multivector) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN nextval('public.calls') <= 6000 THEN doc END $$;
CREATE INDEX faded_index ON faded USING :method ((fading(doc)::multivector(4))) WITH (:few_tokens);
SELECT documents, null_documents, free_documents > 3000 AS freed, nodes > 0 AS nodes FROM colbert_index_info('faded_index');
SELECT * FROM colbert_index_check('faded_index');
DROP TABLE faded;
DROP FUNCTION fading(multivector);
DROP SEQUENCE calls;

DROP TABLE built, asked, alone, alone_shape;
DROP FUNCTION answers();
DROP FUNCTION shape();
