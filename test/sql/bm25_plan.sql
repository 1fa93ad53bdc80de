-- The planner reads candidates from the GIN index, at the size of MedQuAD, with its statistics and those of bm25_analyze missing, stale or fresh; and the query is prepared once.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET default_text_search_config = 'pg_catalog.simple';
SET max_parallel_workers_per_gather = 0;
SET jit = off;

-- 16,373 documents of about 30 of 3,000 words, with skewed frequencies, in a table as narrow as that of documents out of line.
CREATE TABLE bm25_plan (id int PRIMARY KEY, tsv tsvector);
CREATE FUNCTION bm25_plan_fill(first int, last int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO bm25_plan SELECT i, (SELECT string_agg(format('w%s:%s', (power(1 + abs(hashint4(i * 64 + j)) % 1000, 3) / 333333)::int, j), ' ') FROM generate_series(1, 30) j)::tsvector
	FROM generate_series(first, last) i;
$$;
SELECT bm25_plan_fill(1, 500);
ANALYZE bm25_plan;
SELECT bm25_analyze('bm25_plan', 'tsv');
CREATE TABLE bm25_plan_early (LIKE bm25_plan_tsv_bm25 INCLUDING ALL);
INSERT INTO bm25_plan_early TABLE bm25_plan_tsv_bm25;
SELECT bm25_plan_fill(501, 16373);
CREATE INDEX bm25_plan_tsv ON bm25_plan USING gin (tsv);
SELECT bm25_analyze('bm25_plan', 'tsv');
SELECT count(*) > 500, count(*) FILTER (WHERE documents > 3000) > 1 FROM bm25_plan_tsv_bm25;

CREATE FUNCTION bm25_plan_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN concat_ws(', ', CASE WHEN lines ~ 'Bitmap Index Scan on bm25_plan_tsv' THEN 'index' ELSE lines END, (SELECT count(*) || ' plans of the query' FROM regexp_matches(lines, '^ *InitPlan|Function Scan on bm25_query|CTE Scan', 'gn')));
END $$;
CREATE VIEW bm25_plan_forms AS SELECT n, form, words, made FROM unnest(ARRAY[
	$$SELECT id FROM bm25_plan, bm25_query('%2$s', '%1$s') AS q WHERE tsv @@ bm25_candidates(q) ORDER BY bm25f(tsv, q) DESC LIMIT 20$$,
	$$WITH v AS MATERIALIZED (SELECT bm25_query('%2$s', '%1$s') AS q) SELECT id FROM bm25_plan, v WHERE tsv @@ bm25_candidates(q) ORDER BY bm25f(tsv, q) DESC LIMIT 20$$,
	$$SELECT id FROM bm25_plan WHERE tsv @@ bm25_candidates((SELECT bm25_query('%2$s', '%1$s'))) ORDER BY bm25f(tsv, (SELECT bm25_query('%2$s', '%1$s'))) DESC LIMIT 20$$]) WITH ORDINALITY AS f(form, n),
	unnest(ARRAY['w1 w2 w3', 'w0 w1 w375 w648 w1536', 'w3000 w5 w7 w11 w14 w17', 'none', 'w0']) AS words, unnest('{bm25_plan_tsv_bm25,bm25_plan_early}'::text[]) AS made;
SELECT n, made, bm25_plan_of(format(form, words, made)), count(*) FROM bm25_plan_forms GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ANALYZE bm25_plan;
SELECT n, made, bm25_plan_of(format(form, words, made)), count(*) FROM bm25_plan_forms GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
DELETE FROM pg_statistic WHERE starelid = 'bm25_plan'::regclass;
SELECT n, made, bm25_plan_of(format(form, words, made)), count(*) FROM bm25_plan_forms GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ANALYZE bm25_plan;

-- Parameters, with a custom and with a generic plan. bm25_candidates is not folded into a constant, because its cost must count.
PREPARE bm25_plan_prepared(bm25_query) AS SELECT id FROM bm25_plan WHERE tsv @@ bm25_candidates($1) ORDER BY bm25f(tsv, $1) DESC LIMIT 20;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE bm25_plan_prepared('{"k1": 1.2, "b": 0.75, "weights": [1, 2, 3, 5], "lengths": [30, 0, 0, 0], "words": [{"word": "w9", "idf": 3, "sections": "ABCD", "candidate": true}]}');
SET plan_cache_mode = force_custom_plan;
SELECT bm25_plan_of($$EXECUTE bm25_plan_prepared('{"k1": 1.2, "b": 0.75, "weights": [1, 2, 3, 5], "lengths": [30, 0, 0, 0], "words": [{"word": "w9", "idf": 3, "sections": "ABCD", "candidate": true}]}')$$);
RESET plan_cache_mode;

-- The answers are those of all rows, if the candidates contain them; the budget limits what is read.
WITH q AS MATERIALIZED (SELECT bm25_query('bm25_plan_tsv_bm25', 'w3000 w375 w5', budget => 1000000) AS q),
	top AS (SELECT id FROM bm25_plan, q WHERE tsv @@ bm25_candidates(q) ORDER BY bm25f(tsv, q) DESC, id LIMIT 20),
	exact AS (SELECT id FROM bm25_plan, q ORDER BY bm25f(tsv, q) DESC, id LIMIT 20)
SELECT count(*) FROM top JOIN exact USING (id);
SELECT count(*) BETWEEN 1 AND 1000 FROM bm25_plan, bm25_query('bm25_plan_tsv_bm25', 'w3000 w375 w5 w0 w1') AS q WHERE tsv @@ bm25_candidates(q);

DROP VIEW bm25_plan_forms;
DROP TABLE bm25_plan, bm25_plan_tsv_bm25, bm25_plan_early;
DROP FUNCTION bm25_plan_fill, bm25_plan_of;
DEALLOCATE bm25_plan_prepared;
