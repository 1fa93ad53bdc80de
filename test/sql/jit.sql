-- Searches and changes in which every expression is compiled, by servers with a JIT provider: the rows are those without.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;

CREATE TABLE jit_docs (id int, doc multivector(2));
INSERT INTO jit_docs SELECT i, format('[[%s,%s]]', cos(i), sin(i))::multivector FROM generate_series(1, 100) AS i;
CREATE INDEX jit_docs_doc ON jit_docs USING colbert_hnsw (doc);

CREATE TABLE jit_rows (jit bool, form text, rows text);
CREATE PROCEDURE jit_run() LANGUAGE plpgsql AS $$
DECLARE
	query text;
	rows text;
BEGIN
	FOREACH query IN ARRAY ARRAY[
		'SELECT id, maxsim(doc, ''[[1,0]]'') FROM jit_docs ORDER BY 2 DESC LIMIT 5',
		'SELECT id FROM jit_docs WHERE maxsim(doc, ''[[1,0]]'') > 0.9 AND id % 2 = 0',
		'SELECT id, 1 - (doc <=> ''[[1,0],[0,1]]'') / 2, dims(doc), (doc || doc)::text FROM jit_docs WHERE id < 3',
		'SELECT id % 2, sum(maxsim(doc, ''[[0,1]]'')) FROM jit_docs GROUP BY 1'] LOOP
		EXECUTE format('SELECT string_agg(r::text, '' '' ORDER BY r::text) FROM (%s) AS r', query) INTO rows;
		INSERT INTO jit_rows VALUES (current_setting('jit')::bool, query, rows);
	END LOOP;
END $$;
SET enable_seqscan = off;
SET jit = on;
CALL jit_run();
SET jit = off;
CALL jit_run();
SELECT count(DISTINCT form), count(DISTINCT (form, rows)), count(*), bool_and(rows <> '') FROM jit_rows;
DROP TABLE jit_docs, jit_rows;
DROP PROCEDURE jit_run;
