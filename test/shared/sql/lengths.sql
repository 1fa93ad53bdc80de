-- Lengths of tokens: an index finds the same rows with the same work, whatever the unit of length.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 100' ELSE 'tokens_per_node = 8' END AS nodes \gset
SET jit = off;
\set QUIET on
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;
SET colbert.candidates = 300;
SET colbert.rerank = 15;

-- Tokens of about length 1, multiplied by a power of two: products and differences have the same bits except for the exponent.
CREATE TABLE lengths_base AS
	SELECT id, t, k, sin(id * 7919.0 + t * 104.729 + k * k * 1.37) / 2.8 AS x
	FROM generate_series(1, 700) id, generate_series(1, 4) t, generate_series(1, 16) k;
CREATE FUNCTION lengths_docs(power int) RETURNS TABLE (id int, doc multivector) LANGUAGE sql AS $$
	SELECT id, array_agg(token ORDER BY t)::multivector
	FROM (SELECT id, t, array_agg((x::real * 2 ^ power)::real ORDER BY k) AS token FROM lengths_base GROUP BY id, t) s GROUP BY id ORDER BY id
$$;

-- The ten best documents of some queries according to the index, their recall, and the work of the scans.
CREATE FUNCTION lengths_search(op text, OUT ids text, OUT work text, OUT recall float8) LANGUAGE plpgsql AS $$
DECLARE
	q record;
	found int[];
	best int[];
	hits int := 0;
	done bigint[] := '{0,0,0,0,0}';
BEGIN
	ids := '';
	FOR q IN SELECT doc FROM lengths_table WHERE id > 0 AND id % 60 = 0 ORDER BY id LOOP
		EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM lengths_table ORDER BY doc %s $1 LIMIT 10) s', op) INTO found USING q.doc;
		done := (SELECT ARRAY[done[1] + nodes, done[2] + gathered, done[3] + narrowed, done[4] + reranked, done[5] + fetched] FROM colbert_last_scan());
		EXECUTE format('WITH a AS MATERIALIZED (SELECT id, doc %s $1 AS score FROM lengths_table) SELECT array_agg(id) FROM (SELECT id FROM a ORDER BY score LIMIT 10) s', op)
			INTO best USING q.doc;
		hits := hits + (SELECT count(*) FROM unnest(found) id WHERE id = ANY (best));
		ids := ids || found::text;
	END LOOP;
	work := done::text;
	recall := hits / 110.0;
END $$;

CREATE TABLE lengths_found (op text, codec text, began text, power int, ids text, work text, recall float8, distance float8, findings bigint);
CREATE FUNCTION lengths_run(method text, nodes text, powers int[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
	p int;
	make text;
BEGIN
	FOREACH p IN ARRAY powers LOOP
		CREATE TEMP TABLE lengths_docs_now AS SELECT * FROM lengths_docs(p);
		FOR r IN SELECT * FROM unnest('{l2,maxsim}'::text[], '{<->,<#>}'::text[]) o (score, op),
				unnest('{sq8,sq4,pq,flat,bit}'::text[]) codec, unnest('{full,empty}'::text[]) began
			WHERE (codec IN ('sq8', 'bit') OR began = 'empty') AND (abs(p) < 15 OR began = 'full') LOOP
			CREATE TABLE lengths_table (id int, doc multivector(16));
			make := format('CREATE INDEX lengths_index ON lengths_table USING %I (doc multivector_%s_ops) WITH (quantizer = %L, pq_m = 8, %s)',
				method, r.score, r.codec, nodes);
			IF r.began = 'empty' THEN EXECUTE make; END IF;
			INSERT INTO lengths_table SELECT * FROM lengths_docs_now;
			IF r.began = 'full' THEN EXECUTE make; END IF;
			PERFORM colbert_merge('lengths_index');
			INSERT INTO lengths_found
				SELECT r.op, r.codec, r.began, p, s.*, i.trained_distance, (SELECT count(*) FROM colbert_index_check('lengths_index', true, true))
				FROM lengths_search(r.op) s, colbert_index_info('lengths_index') i;
			DROP TABLE lengths_table;
		END LOOP;
		DROP TABLE lengths_docs_now;
	END LOOP;
END $$;
SELECT lengths_run(:'method', :'nodes', '{-40,0,13}');

-- Each index returns the same answers with the same steps, whatever the power is; distances to nodes are in the unit of the column.
SELECT op, codec, began, count(DISTINCT ids) AS answers, count(DISTINCT work) AS works, min(recall) > .85 AS recall,
	count(DISTINCT distance / 2::float8 ^ power) AS distances, sum(findings) AS findings
FROM lengths_found GROUP BY op, codec, began ORDER BY op, codec, began;

-- The first document with a nonzero length sets the scale, as far as tokens of length 1 permit. Tokens that are much longer or shorter are
-- found by later stages.
CREATE TABLE lengths_table (id int, doc multivector(16));
CREATE INDEX lengths_index ON lengths_table USING :method (doc multivector_l2_ops) WITH (:nodes);
INSERT INTO lengths_table SELECT 0, array_fill(0::real, ARRAY[2, 16])::multivector;
INSERT INTO lengths_table SELECT 0, array_fill(1e-6::real, ARRAY[1, 16])::multivector;
INSERT INTO lengths_table SELECT * FROM lengths_docs(0);
SELECT colbert_merge('lengths_index') > 0 AS merged;
SELECT recall > .85 AS recall FROM lengths_search('<->');
SELECT count(*) FILTER (WHERE served) AS served, count(*) FILTER (WHERE NOT served) AS missed FROM (
	SELECT id IN (SELECT id FROM lengths_table WHERE maxsim_l2(doc, q.doc) < 2::float8) AS served
	FROM (SELECT doc FROM lengths_docs(0) WHERE id = 7) q, LATERAL (WITH a AS MATERIALIZED (SELECT id, maxsim_l2(doc, q.doc) AS score FROM lengths_table)
		SELECT id FROM a WHERE score < 2) t) s;
SELECT substr(advice, 1, 49) AS advice FROM colbert_index_info('lengths_index');
INSERT INTO lengths_table SELECT 2000, array_fill(2.4e17::real, ARRAY[1, 16])::multivector;
SELECT id FROM lengths_table ORDER BY doc <-> array_fill(2.4e17::real, ARRAY[1, 16])::multivector LIMIT 1;
SELECT id FROM lengths_table ORDER BY doc <-> array_fill(1e-6::real, ARRAY[1, 16])::multivector LIMIT 1;
SELECT * FROM colbert_index_check('lengths_index', true, true);
REINDEX INDEX lengths_index;
SELECT recall > .85 AS recall FROM lengths_search('<->');
SELECT advice FROM colbert_index_info('lengths_index');
SELECT * FROM colbert_index_check('lengths_index', true, true);

-- A table whose first blocks have no documents.
DROP TABLE lengths_table;
CREATE TABLE lengths_table (id int, doc multivector(16), filler text);
INSERT INTO lengths_table SELECT -i, NULL, repeat('x', 1000) FROM generate_series(1, 300) i;
INSERT INTO lengths_table SELECT id, doc FROM lengths_docs(20);
CREATE INDEX lengths_index ON lengths_table USING :method (doc multivector_l2_ops) WITH (:nodes);
SELECT (work::int[])[4] + (work::int[])[5] < 1.3 * (SELECT (f.work::int[])[4] + (f.work::int[])[5] FROM lengths_found f
	WHERE f.op = '<->' AND codec = 'sq8' AND f.began = 'full' AND power = 0) AS no_more_work, recall > .9 AS recall
FROM lengths_search('<->');
SELECT * FROM colbert_index_check('lengths_index', true, true);

DROP TABLE lengths_base, lengths_table, lengths_found;
DROP FUNCTION lengths_docs, lengths_search, lengths_run;
