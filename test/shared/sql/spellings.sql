-- Orders and thresholds in which a score is part of an expression: those that become an Index Scan, with the rows of a sort.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

-- Every 50th document is NULL; the indexes examine every document.
CREATE FUNCTION spelling_tokens(n int, seed int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY i)::multivector(4)
	FROM (SELECT i, array_agg((x * x % 1000003 / 500001.5 - 1)::real ORDER BY k) AS token
		  FROM generate_series(1, n) i, generate_series(1, 4) k, LATERAL (SELECT (i * 7919 + k * 104729 + seed * 15485863::bigint) % 1000003 AS x) AS t
		  GROUP BY i) AS t
$$;
CREATE TABLE spelling_docs (id int PRIMARY KEY, lang text, doc multivector(4));
INSERT INTO spelling_docs
	SELECT i, (ARRAY['de', 'en', 'fr'])[1 + i % 3], CASE WHEN i % 50 > 0 THEN spelling_tokens(1 + i % 4, i) END FROM generate_series(1, 400) i;
CREATE INDEX spelling_maxsim ON spelling_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX spelling_cosine ON spelling_docs USING :method (doc multivector_cosine_ops) WITH (quantizer = flat, rerank = 10000);
CREATE INDEX spelling_l2 ON spelling_docs USING :method (doc multivector_l2_ops) WITH (quantizer = flat, rerank = 10000);
CREATE TABLE spelling_queries (id int PRIMARY KEY, q multivector(4), bias float8);
INSERT INTO spelling_queries SELECT i, spelling_tokens(3, 1000 + i), i FROM generate_series(1, 5) i;
INSERT INTO spelling_queries VALUES (6, NULL);
ALTER TABLE spelling_docs ALTER doc SET STATISTICS 0;
VACUUM ANALYZE spelling_docs, spelling_queries;

-- The first lines of a plan, which show how rows are found and sorted.
CREATE FUNCTION spelling_plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text[];
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line !~ 'Scan|Sort$|Nested|Join|Order By|Index Cond|WindowAgg|Append' OR line ~ 'Scan.* (on|using) spelling_queries|_pkey|Subquery Scan|CTE Scan|Function Scan';
		line := regexp_replace(line, '^[ >-]+| using \w+| on \w+( \w+)?$|::double precision|::text', '', 'g');
		lines := lines || regexp_replace(line, '\(InitPlan \w+\)\.col1|\$\d+', '$n', 'g');
	END LOOP;
	RETURN coalesce(array_to_string(lines, '; '), 'another index');
END $$;

-- Whether the scores of a query, which returns id and score, are the same with the index as with a sort. Equal scores may come in any
-- order, and a LIMIT may cut off any of the last ones, so only scores are compared. -0 counts as 0.
CREATE FUNCTION spelling_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE 'SELECT concat_ws('' '', count(*), ''rows,'', count(*) - count(score), ''without score:'',
		string_agg((score + 0)::text, '', '' ORDER BY n), count(DISTINCT id), ''ids'') FROM (SELECT id, score, row_number() OVER () AS n FROM (' || query || ') AS t) AS t' INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN 'ERROR: ' || SQLERRM || ':';
END $$;
CREATE FUNCTION spelling_same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	by_index text;
	by_sort text;
BEGIN
	PERFORM set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true);
	by_index := spelling_rows(query);
	PERFORM set_config('enable_sort', 'on', true), set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
	by_sort := spelling_rows(query);
	PERFORM set_config('enable_indexscan', 'on', true);
	RETURN CASE WHEN by_index = by_sort THEN 'same: ' || regexp_replace(by_index, '(?<!ERROR):.*', '') ELSE concat_ws(E'\n', 'DIFFERENT', by_index, by_sort) END;
END $$;
CREATE FUNCTION spelling_check(query text) RETURNS SETOF text LANGUAGE sql AS 'SELECT query UNION ALL SELECT spelling_plan(query) UNION ALL SELECT spelling_same(query)';

-- An expression of a score as the sort key, in both directions, with NULL documents on either side and without.
CREATE FUNCTION spelling_key(key text) RETURNS TABLE (written text, plan text, rows text) LANGUAGE plpgsql AS $$
DECLARE
	direction text;
	query text;
BEGIN
	FOREACH direction IN ARRAY ARRAY['', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST'] LOOP
		query := format('SELECT id, %s AS score FROM spelling_docs ORDER BY score%s LIMIT 30', key, direction);
		written := key || direction;
		plan := spelling_plan(query);
		rows := spelling_same(query);
		RETURN NEXT;
	END LOOP;
	query := format('SELECT id, %s AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY %1$s%s LIMIT 500', key,
		CASE WHEN spelling_plan(format('SELECT id FROM spelling_docs ORDER BY %s DESC LIMIT 5', key)) ~ 'Order By' THEN ' DESC' ELSE '' END);
	written := 'all';
	plan := NULL;
	rows := spelling_same(query);
	RETURN NEXT;
END $$;

-- Arithmetic with constants.
SELECT * FROM spelling_key($$ maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') / 32 $$);
SELECT * FROM spelling_key($$ 1 - maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') $$);
SELECT * FROM spelling_key($$ - maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') $$);
SELECT * FROM spelling_key($$ maxsim(doc, '[[1,2,3,4]]') * -0.5 + 3 $$);
SELECT * FROM spelling_key($$ 2 * (maxsim(doc, '[[1,2,3,4]]') - 1) / -3 $$);
SELECT * FROM spelling_key($$ + (100 + maxsim(doc, '[[1,2,3,4]]')) $$);
SELECT * FROM spelling_key($$ -1 * (doc <#> '[[1,2,3,4]]') $$);
SELECT * FROM spelling_key($$ 1 - (doc <=> '[[1,2,3,4],[4,-3,2,1]]') / 2 $$);
SELECT * FROM spelling_key($$ maxsim_cosine(doc, '[[1,2,3,4],[4,-3,2,1]]') / 2 $$);
SELECT * FROM spelling_key($$ 1 / (1 + maxsim_l2(doc, '[[1,2,3,4],[4,-3,2,1]]')) $$);
SELECT * FROM spelling_key($$ -2 / (doc <-> '[[1,2,3,4]]') $$);
SELECT * FROM spelling_key($$ sqrt(doc <-> '[[1,2,3,4]]') $$);
SELECT * FROM spelling_key($$ 1 / ((doc <-> '[[1,2,3,4]]')::real / 4::real + 1::real) $$);

-- Casts and functions that round: many equal values.
SELECT * FROM spelling_key($$ maxsim(doc, '[[1,2,3,4]]')::real $$);
SELECT * FROM spelling_key($$ maxsim(doc, '[[1,2,3,4]]')::numeric $$);
SELECT * FROM spelling_key($$ maxsim(doc, '[[1,2,3,4]]')::numeric(6,1) $$);
SELECT * FROM spelling_key($$ maxsim(doc, '[[1,2,3,4]]')::int $$);
SELECT * FROM spelling_key($$ maxsim(doc, '[[1,2,3,4]]')::bigint $$);
SELECT * FROM spelling_key($$ round(maxsim(doc, '[[1,2,3,4]]')) $$);
SELECT * FROM spelling_key($$ round(maxsim(doc, '[[1,2,3,4]]')::numeric, 1) $$);
SELECT * FROM spelling_key($$ round(100 * (1 - maxsim(doc, '[[1,2,3,4]]')::numeric / 7)) $$);
SELECT * FROM spelling_key($$ - trunc(maxsim(doc, '[[1,2,3,4]]')::numeric * 1.5, 1) $$);
SELECT * FROM spelling_key($$ floor(maxsim(doc, '[[1,2,3,4]]') * 2) $$);
SELECT * FROM spelling_key($$ ceil(maxsim(doc, '[[1,2,3,4]]')::real::numeric) $$);
SELECT * FROM spelling_key($$ (maxsim(doc, '[[1,2,3,4]]')::numeric / 32)::float8 $$);
SELECT spelling_check($$ SELECT id, round(maxsim(doc, '[[1,2,3,4]]')) AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC, id LIMIT 30 $$);
SELECT spelling_check($$ SELECT id, round(maxsim(doc, '[[1,2,3,4]]')) AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC FETCH FIRST 10 ROWS WITH TIES $$);
SELECT spelling_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') / 4 AS score FROM spelling_docs WHERE lang = 'de' AND doc IS NOT NULL ORDER BY maxsim(doc, '[[1,2,3,4]]')::numeric DESC LIMIT 30 $$);

-- The mean over the query's tokens, and other operands that are known when the scan starts.
PREPARE spelling_mean(multivector, float8) AS SELECT id, maxsim(doc, $1) / num_tokens($1) + $2 AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 5;
PREPARE spelling_weight(multivector, float8) AS SELECT id, maxsim(doc, $1) / $2 AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 5;
SET plan_cache_mode = force_generic_plan;
SELECT spelling_plan($$ EXECUTE spelling_mean('[[1,2,3,4],[4,-3,2,1]]', 1) $$);
SELECT spelling_plan($$ EXECUTE spelling_weight('[[1,2,3,4],[4,-3,2,1]]', 2) $$);
EXECUTE spelling_mean('[[1,2,3,4],[4,-3,2,1]]', 1);
EXECUTE spelling_mean('[[1,2,3,4],[4,-3,2,1]]', 'infinity');
SET plan_cache_mode = force_custom_plan;
SELECT spelling_plan($$ EXECUTE spelling_weight('[[1,2,3,4],[4,-3,2,1]]', 2) $$);
SELECT spelling_plan($$ EXECUTE spelling_weight('[[1,2,3,4],[4,-3,2,1]]', -2) $$);
EXECUTE spelling_weight('[[1,2,3,4],[4,-3,2,1]]', 2);
EXECUTE spelling_weight('[[1,2,3,4],[4,-3,2,1]]', 0);
RESET plan_cache_mode;
DEALLOCATE ALL;
SELECT spelling_check($$ SELECT id, maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 1)) / num_tokens((SELECT q FROM spelling_queries WHERE id = 1)) AS score
	FROM spelling_docs ORDER BY score DESC NULLS LAST LIMIT 30 $$);
-- Guards against a division by zero that cannot happen.
SELECT divisor, spelling_check(format($$ SELECT id, maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 1)) / %s AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$,
	replace(divisor, '#', 'num_tokens((SELECT q FROM spelling_queries WHERE id = 1))')))
FROM unnest(ARRAY['nullif(#, 0)', 'greatest(#, 1)', 'coalesce(#, 1)', 'coalesce(nullif(#, 2), 1)', 'least(#, 8)', 'greatest(#, 0.5)']) AS t (divisor);
SELECT divisor, spelling_plan(format($$ SELECT id FROM spelling_docs ORDER BY maxsim(doc, '[[1,2,3,4]]') / %s DESC LIMIT 5 $$, divisor))
FROM unnest(ARRAY['greatest(id, 0)', 'least(num_tokens(''[[1,2,3,4]]''), (SELECT 0))', 'coalesce((SELECT 1), 1)']) AS t (divisor);
SELECT spelling_check($$ SELECT d.id, d.score FROM spelling_queries q, LATERAL (SELECT id, maxsim(doc, q.q) / 3 + q.bias AS score
	FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 7) AS d WHERE q.id = 2 $$);

-- Partitions and unions merge the orders of their parts, whatever the key's type.
CREATE TABLE spelling_parts (id int, lang text, doc multivector(4)) PARTITION BY LIST (lang);
CREATE TABLE spelling_parts_de PARTITION OF spelling_parts FOR VALUES IN ('de');
CREATE TABLE spelling_parts_rest PARTITION OF spelling_parts DEFAULT;
CREATE INDEX ON spelling_parts USING :method (doc) WITH (quantizer = flat, rerank = 10000);
INSERT INTO spelling_parts SELECT id, lang, doc FROM spelling_docs;
ALTER TABLE spelling_parts ALTER doc SET STATISTICS 0;
ANALYZE spelling_parts;
SELECT spelling_check($$ SELECT id, 1 - maxsim(doc, '[[1,2,3,4]]') / 32 AS score FROM spelling_parts ORDER BY score LIMIT 30 $$);
SELECT spelling_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]')::numeric(6,1) AS score FROM spelling_parts ORDER BY score DESC NULLS LAST LIMIT 30 $$);
SELECT spelling_check($$ SELECT id, rank() OVER (ORDER BY maxsim(doc, '[[1,2,3,4]]')::numeric DESC) AS score FROM spelling_docs LIMIT 10 $$);

-- Errors that a sort would raise are raised only for the rows that are wanted.
SELECT spelling_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') * 1e300 * 1e10 AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 5 $$);
SELECT spelling_check($$ SELECT id, 1 AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, '[[1,2,3,4]]')::numeric(2,2) DESC LIMIT 5 $$);
SELECT spelling_check($$ SELECT id, 1 AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY (1e6 * maxsim(doc, '[[1,2,3,4]]'))::smallint DESC LIMIT 5 $$);
SELECT spelling_check($$ SELECT id, 1 AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY sqrt((doc <-> '[[1,2,3,4]]') - 100) LIMIT 5 $$);
INSERT INTO spelling_docs VALUES (501, 'de', '[[1,2,3,4]]');
SELECT spelling_check($$ SELECT id, 1 / (doc <-> '[[1,2,3,4]]') AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY score DESC LIMIT 5 $$);
DELETE FROM spelling_docs WHERE id = 501;

-- Expressions that no index serves: the sign is unknown, or the order is different or uncertain.
CREATE FUNCTION spelling_volatile() RETURNS float8 LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN 2; END $$;
SELECT key, bool_or(spelling_plan(format('SELECT id FROM spelling_docs ORDER BY %s %s LIMIT 5', key, direction)) ~ 'Order By') AS served
FROM unnest(ARRAY[
	$$ maxsim(doc, '[[1,2,3,4]]') / 0 $$,
	$$ maxsim(doc, '[[1,2,3,4]]') * 0 $$,
	$$ maxsim(doc, '[[1,2,3,4]]')::numeric * 0.00 $$,
	$$ maxsim(doc, '[[1,2,3,4]]') * 'nan'::float8 $$,
	$$ maxsim(doc, '[[1,2,3,4]]')::numeric / 'nan' $$,
	$$ maxsim(doc, '[[1,2,3,4]]') * 'infinity'::float8 $$,
	$$ maxsim(doc, '[[1,2,3,4]]')::numeric * '-infinity' $$,
	$$ maxsim(doc, '[[1,2,3,4]]') / NULL $$,
	$$ maxsim(doc, '[[1,2,3,4]]') * spelling_volatile() $$,
	$$ maxsim(doc, '[[1,2,3,4]]') + spelling_volatile() $$,
	$$ maxsim(doc, '[[1,2,3,4]]') * id $$,
	$$ maxsim(doc, '[[1,2,3,4]]') / num_tokens(doc) $$,
	$$ maxsim(doc, '[[1,2,3,4]]') + maxsim(doc, '[[4,3,2,1]]') $$,
	$$ maxsim(doc, '[[1,2,3,4]]')::int / 2 $$,
	$$ 1 / maxsim(doc, '[[1,2,3,4]]') $$,
	$$ 1 / (1 + (doc <=> '[[1,2,3,4]]')) $$,
	$$ 1 / (1 - maxsim_l2(doc, '[[1,2,3,4]]')) $$,
	$$ 1 / maxsim_l2(doc, '[[1,2,3,4]]')::numeric $$,
	$$ maxsim(doc, '[[1,2,3,4]]')::numeric * 1.00000001 / 3 $$,
	$$ abs(maxsim(doc, '[[1,2,3,4]]')) $$,
	$$ maxsim(doc, '[[1,2,3,4]]') ^ 2 $$,
	$$ exp(maxsim(doc, '[[1,2,3,4]]')) $$,
	$$ round(2.5, maxsim(doc, '[[1,2,3,4]]')::int) $$,
	$$ round(maxsim(doc, '[[1,2,3,4]]')::numeric, id) $$,
	$$ coalesce(maxsim(doc, '[[1,2,3,4]]'), 0) $$,
	$$ maxsim(doc, '[[1,2,3,4]]')::text $$]) AS key, unnest(ARRAY['', 'DESC', 'NULLS FIRST', 'DESC NULLS LAST']) AS direction
GROUP BY key ORDER BY key COLLATE "C";
SELECT spelling_check($$ SELECT id, 1 AS score FROM spelling_docs WHERE doc IS NOT NULL ORDER BY maxsim(doc, '[[1,2,3,4]]') / 0 DESC LIMIT 5 $$);
SELECT spelling_check($$ SELECT id, max(maxsim(doc, '[[1,2,3,4]]') / 2) AS score FROM spelling_docs WHERE doc IS NOT NULL GROUP BY id ORDER BY score DESC LIMIT 5 $$);
SELECT spelling_plan($$ SELECT max(maxsim(doc, '[[1,2,3,4]]')::numeric) FROM spelling_docs $$);

-- Thresholds of an expression around a score: a looser threshold, with the comparison as a filter. Rows are compared by id, for bounds that
-- are values of rows, slightly above and slightly below.
CREATE FUNCTION spelling_bounds(expression text) RETURNS TABLE (written text, plan text, cases bigint, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
	comparison text;
	bound float8;
	by_index bigint;
	by_filter bigint;
	query text;
BEGIN
	FOREACH comparison IN ARRAY ARRAY['>', '<='] LOOP
		written := comparison;
		query := format('SELECT id FROM spelling_docs WHERE %s %s ', expression, comparison);
		PERFORM set_config('enable_seqscan', 'off', true);
		plan := spelling_plan(query || 0.5);
		cases := 0;
		wrong := 0;
		FOR bound IN EXECUTE format('SELECT v + d FROM (SELECT %s AS v FROM spelling_docs WHERE doc IS NOT NULL ORDER BY id LIMIT 3) AS t,
				unnest(ARRAY[0, 1e-9, -1e-9]) AS d UNION SELECT v FROM unnest(ARRAY[0, 1e-320, -1e308, ''infinity'', ''nan'']::float8[]) AS v', expression) LOOP
			PERFORM set_config('enable_seqscan', 'off', true);
			EXECUTE format('SELECT sum(id) FROM (%s %L::float8) AS t', query, bound) INTO by_index;
			PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
			EXECUTE format('SELECT sum(id) FROM (%s %L::float8) AS t', query, bound) INTO by_filter;
			PERFORM set_config('enable_indexscan', 'on', true);
			cases := cases + 1;
			wrong := wrong + (by_index IS DISTINCT FROM by_filter)::int;
		END LOOP;
		RETURN NEXT;
	END LOOP;
END $$;
SELECT * FROM spelling_bounds($$ maxsim(doc, '[[1,2,3,4],[4,-3,2,1]]') / 32 $$);
SELECT * FROM spelling_bounds($$ 1 - (doc <=> '[[1,2,3,4],[4,-3,2,1]]') / 2 $$);
SELECT * FROM spelling_bounds($$ maxsim(doc, '[[1,2,3,4]]')::real $$);
SELECT * FROM spelling_bounds($$ -0.3::real * (maxsim(doc, '[[1,2,3,4]]')::real / 7::real - 1e3::real) $$);
SELECT * FROM spelling_bounds($$ (1e6 + maxsim(doc, '[[1,2,3,4]]') * -3.7) / -11 $$);
SELECT * FROM spelling_bounds($$ - (doc <-> '[[1,2,3,4]]') * 1e-300 $$);
SELECT spelling_check($$ SELECT id, 1 - (doc <=> '[[1,2,3,4],[4,-3,2,1]]') / 2 AS score FROM spelling_docs WHERE 1 - (doc <=> '[[1,2,3,4],[4,-3,2,1]]') / 2 > 0.3 ORDER BY doc <=> '[[1,2,3,4],[4,-3,2,1]]' LIMIT 10 $$);
SELECT spelling_check($$ SELECT id, maxsim(doc, '[[1,2,3,4]]') / 32 AS score FROM spelling_docs WHERE 0.1 < maxsim(doc, '[[1,2,3,4]]') / 32 ORDER BY score DESC LIMIT 10 $$);
SELECT spelling_check($$ SELECT q.id * 1000 + d.id AS id, maxsim(d.doc, q.q) AS score FROM spelling_queries q JOIN spelling_docs d ON maxsim(d.doc, q.q) / num_tokens(q.q) > 1 + q.bias / 10 ORDER BY q.id, d.id $$);
PREPARE spelling_match(multivector, float8, int) AS SELECT id FROM spelling_docs WHERE 1 - (doc <=> $1) / num_tokens($1) > $2 ORDER BY doc <=> $1 LIMIT $3;
SET plan_cache_mode = force_generic_plan;
SELECT spelling_plan($$ EXECUTE spelling_match('[[1,2,3,4]]', 0.8, 5) $$);
EXECUTE spelling_match('[[1,2,3,4]]', 0.8, 5);
EXECUTE spelling_match('[[1,2,3,4]]', NULL, 5);
RESET plan_cache_mode;
DEALLOCATE spelling_match;
-- Not inverted: rounding, reciprocals, numbers of other types.
SELECT bound, spelling_plan('SELECT id FROM spelling_docs WHERE ' || bound) AS plan FROM unnest(ARRAY[
	$$ round(maxsim(doc, '[[1,2,3,4]]')) > 5 $$, $$ maxsim(doc, '[[1,2,3,4]]')::numeric > 5 $$, $$ 1 / (1 + maxsim_l2(doc, '[[1,2,3,4]]')) > 0.5 $$,
	$$ maxsim(doc, '[[1,2,3,4]]') * 0 > 5 $$, $$ 1 - maxsim(doc, '[[1,2,3,4]]') > -5 $$, $$ maxsim(doc, '[[1,2,3,4]]') / 2 = 5 $$]) AS bound;
-- The function that the planner calls.
SELECT multivector_bound(1, 'score - operand', 2, true) BETWEEN 3 - 1e-12 AND 3, multivector_bound(1, 'operand - score', 2, true) BETWEEN 1 AND 1 + 1e-12,
	multivector_bound(1, 'score / operand', -2, false) BETWEEN -2 - 1e-12 AND -2, multivector_bound(1, 'score * operand', 0, true), multivector_bound('nan', 'score + operand', 0, false),
	multivector_bound(1e308, 'score / operand', 1e308, true), multivector_bound(NULL, 'score::real', 0, true);
SELECT multivector_bound(1, 'score % operand', 2, true);

-- A threshold and an order whose sub-selects are written alike form one search: the sub-selects of a LATERAL alias.
SELECT spelling_check($$ SELECT id, score FROM spelling_docs, LATERAL (SELECT maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 1)) AS score) AS s
	WHERE score > 1 ORDER BY score DESC LIMIT 10 $$);
SELECT spelling_check($$ SELECT id, score FROM spelling_docs, LATERAL (SELECT doc <-> (SELECT q FROM spelling_queries WHERE id = 1 LIMIT 1)::multivector AS score) AS s
	WHERE score < 3 ORDER BY score LIMIT 10 $$);
SELECT spelling_check($$ WITH v AS (SELECT q FROM spelling_queries WHERE id = 1) SELECT id, maxsim(doc, (SELECT q FROM v)) AS score FROM spelling_docs
	WHERE maxsim(doc, (SELECT q FROM v)) > 1 ORDER BY score DESC LIMIT 10 $$);
SELECT spelling_check($$ SELECT id, maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 1)) AS score FROM spelling_docs
	WHERE maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 2)) > 1 ORDER BY score DESC LIMIT 10 $$);
-- Written alike, but different at run time: the threshold is tested nevertheless.
CREATE SEQUENCE spelling_sequence;
CREATE FUNCTION spelling_next() RETURNS multivector LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	n int := nextval('spelling_sequence');
BEGIN
	RETURN (SELECT q FROM spelling_queries WHERE id = 1 + n % 2);
END $$;
SELECT spelling_plan($$ SELECT id FROM spelling_docs WHERE maxsim(doc, (SELECT spelling_next())) > 1 ORDER BY maxsim(doc, (SELECT spelling_next())) DESC LIMIT 10 $$);
SELECT count(*) FROM (SELECT id, (SELECT last_value FROM spelling_sequence) FROM spelling_docs
	WHERE maxsim(doc, (SELECT spelling_next())) > 1 ORDER BY maxsim(doc, (SELECT spelling_next())) DESC LIMIT 400) AS t;
SELECT count(*) FILTER (WHERE maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 1)) > 1), count(*) FILTER (WHERE maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 2)) > 1)
	FROM spelling_docs;

-- A query from a join with one row, guaranteed by a unique key, LIMIT 1, an aggregate, VALUES or a function.
SELECT spelling_check($$ WITH v AS (SELECT q FROM spelling_queries WHERE id = 1) SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, v ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ WITH v AS MATERIALIZED (SELECT q FROM spelling_queries WHERE id = 1) SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, v ORDER BY score DESC NULLS LAST LIMIT 30 $$);
SELECT spelling_check($$ WITH v AS MATERIALIZED (SELECT q FROM spelling_queries WHERE id = 1) SELECT d.id, maxsim(d.doc, v.q) AS score
	FROM (SELECT * FROM spelling_docs CROSS JOIN v) AS d, v ORDER BY score DESC NULLS LAST LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d JOIN spelling_queries v ON v.id = 1 WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 500 $$);
SELECT spelling_check($$ SELECT d.id, 1 - maxsim(d.doc, v.q) / num_tokens(v.q) AS score FROM spelling_queries v CROSS JOIN spelling_docs d WHERE v.id = 1 AND d.lang = 'de' AND d.doc IS NOT NULL ORDER BY score LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, d.doc <-> v.q AS score FROM spelling_docs d, (SELECT q FROM spelling_queries ORDER BY id LIMIT 1) AS v ORDER BY score LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim_cosine(d.doc, v.q) AS score FROM spelling_docs d, (SELECT (array_agg(q))[1] AS q FROM spelling_queries WHERE id = 1) AS v ORDER BY score DESC LIMIT 30 $$);
CREATE FUNCTION spelling_embed(text) RETURNS multivector LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1; END $$;
CREATE FUNCTION spelling_embed_many(text) RETURNS SETOF multivector LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NEXT $1; RETURN NEXT '[[4,3,2,1]]'; END $$;
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v) AS score FROM spelling_docs d, spelling_embed('[[1,2,3,4]]') AS v WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) + w.bias AS score FROM spelling_docs d, spelling_queries v, spelling_queries w WHERE v.id = 1 AND w.id = 2 AND d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_queries v LEFT JOIN spelling_docs d ON d.id > 100 AND d.doc IS NOT NULL WHERE v.id = 1 ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_queries v LEFT JOIN spelling_docs d ON d.id > 1000 WHERE v.id = 1 ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, w.q) AS score FROM spelling_queries v LEFT JOIN spelling_queries w ON w.id = 2 LEFT JOIN spelling_docs d ON d.doc IS NOT NULL WHERE v.id = 1 ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, spelling_queries v WHERE v.id = 1 AND maxsim(d.doc, v.q) > 1 ORDER BY score DESC LIMIT 30 $$);
SET enable_hashjoin = off;
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d JOIN spelling_docs w ON w.id = d.id + 5, spelling_queries v WHERE v.id = 1 AND d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
RESET enable_hashjoin;
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, spelling_queries v WHERE v.id = 6 AND d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, spelling_queries v WHERE v.id = 7 ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT q.id, (SELECT sum(s) FROM (SELECT maxsim(d.doc, v.q) AS s FROM spelling_docs d, spelling_queries v WHERE v.id = q.id AND d.doc IS NOT NULL ORDER BY s DESC LIMIT 3) AS t) AS score
	FROM spelling_queries q ORDER BY 1 $$);
SELECT spelling_check($$ SELECT t.id, t.score FROM spelling_queries q, LATERAL (SELECT d.id, maxsim(d.doc, v.q) + q.bias AS score FROM spelling_docs d, spelling_queries v
	WHERE v.id = q.id AND d.doc IS NOT NULL ORDER BY score DESC LIMIT 3) AS t WHERE q.id < 4 ORDER BY t.score, t.id $$);
-- Not one row, or not certainly.
SELECT spelling_check($$ SELECT d.id * 10 + v.id AS id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, spelling_queries v WHERE v.id < 3 AND d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, spelling_queries v WHERE v.bias = 1 AND d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v) AS score FROM spelling_docs d, spelling_embed_many('[[1,2,3,4]]') AS v WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 20 $$);
SELECT spelling_check($$ WITH RECURSIVE v AS (SELECT 1 AS n, q FROM spelling_queries WHERE id = 1 UNION ALL SELECT n + 1, q FROM v WHERE n < 2)
	SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, v WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, (SELECT q FROM spelling_queries ORDER BY id FETCH FIRST 1 ROW WITH TIES) AS v WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, (SELECT (SELECT q FROM spelling_queries WHERE id = n) AS q FROM generate_series(1, 2) AS n OFFSET 0) AS v WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, (SELECT q, count(*) FROM spelling_queries GROUP BY q HAVING max(id) < 4) AS v WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d, (SELECT unnest(ARRAY['[[1,2,3,4]]'::multivector, '[[4,3,2,1]]']) AS q) AS v WHERE d.doc IS NOT NULL ORDER BY score DESC LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM spelling_docs d LEFT JOIN spelling_queries v ON v.id = d.id AND v.id = 1 WHERE d.doc IS NOT NULL ORDER BY score DESC NULLS LAST LIMIT 30 $$);
SELECT spelling_check($$ SELECT d.id, maxsim(d.doc, v.q) AS score FROM (SELECT a.q FROM (SELECT * FROM spelling_queries WHERE id = 1) AS a FULL JOIN (SELECT * FROM spelling_queries WHERE id = 2) AS b ON a.id = b.id) AS v, spelling_docs d
	WHERE d.doc IS NOT NULL ORDER BY score DESC NULLS LAST LIMIT 30 $$);

-- A LIMIT parameter is costed as a small number of rows, not as a tenth of the table, so that a search is not JIT-compiled.
CREATE TABLE spelling_many (id int PRIMARY KEY, doc multivector(4));
INSERT INTO spelling_many SELECT i, array[[sin(i), cos(i), sin(2 * i), cos(3 * i)]]::real[]::multivector FROM generate_series(1, 2500) AS i;
CREATE INDEX ON spelling_many USING :method (doc);
ALTER TABLE spelling_many ALTER doc SET STATISTICS 0;
VACUUM ANALYZE spelling_many;
CREATE FUNCTION spelling_cost(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Total Cost';
END $$;
SET plan_cache_mode = force_generic_plan;
PREPARE spelling_limit(multivector, bigint) AS SELECT id, maxsim(doc, $1) AS score FROM spelling_many ORDER BY score DESC LIMIT $2;
PREPARE spelling_limit_100(multivector) AS SELECT id, maxsim(doc, $1) AS score FROM spelling_many ORDER BY score DESC LIMIT 100;
PREPARE spelling_page(multivector, bigint, bigint) AS SELECT id, maxsim(doc, $1) AS score FROM spelling_many WHERE maxsim(doc, $1) > 0 ORDER BY score DESC LIMIT $2 OFFSET $3;
PREPARE spelling_page_100(multivector) AS SELECT id, maxsim(doc, $1) AS score FROM spelling_many WHERE maxsim(doc, $1) > 0 ORDER BY score DESC LIMIT 100;
PREPARE spelling_join(multivector, bigint) AS SELECT s.id, d.lang, maxsim(s.doc, $1) AS score FROM spelling_many s JOIN spelling_docs d USING (id) ORDER BY score DESC LIMIT $2;
PREPARE spelling_join_100(multivector) AS SELECT s.id, d.lang, maxsim(s.doc, $1) AS score FROM spelling_many s JOIN spelling_docs d USING (id) ORDER BY score DESC LIMIT 100;
PREPARE spelling_one_row(bigint) AS SELECT s.id, maxsim(doc, v.q) AS score FROM spelling_many s, spelling_queries v WHERE v.id = 1 ORDER BY score DESC LIMIT $1;
PREPARE spelling_one_row_100 AS SELECT s.id, maxsim(doc, v.q) AS score FROM spelling_many s, spelling_queries v WHERE v.id = 1 ORDER BY score DESC LIMIT 100;
SELECT spelling_plan($$ EXECUTE spelling_limit('[[1,2,3,4]]', 10) $$), spelling_cost($$ EXECUTE spelling_limit('[[1,2,3,4]]', 10) $$) <= 1.1 * spelling_cost($$ EXECUTE spelling_limit_100('[[1,2,3,4]]') $$);
SELECT spelling_plan($$ EXECUTE spelling_page('[[1,2,3,4]]', 10, 0) $$), spelling_cost($$ EXECUTE spelling_page('[[1,2,3,4]]', 10, 0) $$) <= 2.1 * spelling_cost($$ EXECUTE spelling_page_100('[[1,2,3,4]]') $$);
SELECT spelling_plan($$ EXECUTE spelling_join('[[1,2,3,4]]', 10) $$), spelling_cost($$ EXECUTE spelling_join('[[1,2,3,4]]', 10) $$) <= 1.1 * spelling_cost($$ EXECUTE spelling_join_100('[[1,2,3,4]]') $$);
SELECT spelling_plan($$ EXECUTE spelling_one_row(10) $$), spelling_cost($$ EXECUTE spelling_one_row(10) $$) <= 1.1 * spelling_cost($$ EXECUTE spelling_one_row_100 $$);
-- Windows, groups and statements without a LIMIT read all rows and are costed accordingly.
PREPARE spelling_window(multivector, bigint) AS SELECT id, maxsim(doc, $1) AS score, count(*) OVER () FROM spelling_many ORDER BY score DESC LIMIT $2;
PREPARE spelling_all(multivector) AS SELECT id, maxsim(doc, $1) AS score FROM spelling_many ORDER BY score DESC LIMIT ALL;
SELECT spelling_cost($$ EXECUTE spelling_window('[[1,2,3,4]]', 10) $$) > 2 * spelling_cost($$ EXECUTE spelling_limit_100('[[1,2,3,4]]') $$),
	spelling_cost($$ EXECUTE spelling_all('[[1,2,3,4]]') $$) > 2 * spelling_cost($$ EXECUTE spelling_limit_100('[[1,2,3,4]]') $$);
RESET plan_cache_mode;
DEALLOCATE ALL;

-- A sample estimates how many rows pass a threshold, if query and bound are known. Walking along another order is chosen for thresholds
-- that many rows pass.
CREATE FUNCTION spelling_estimate(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT bound, greatest(passing, 1) BETWEEN estimated / 2 - 10 AND estimated * 2 + 10 AS near
FROM unnest(ARRAY[-9, 0, 1, 2, 3, 4, 9]) AS bound,
	LATERAL (SELECT count(*) AS passing, spelling_estimate(format('SELECT id FROM spelling_many WHERE maxsim(doc, ''[[1,2,3,4]]'') > %s', bound)) AS estimated
		FROM spelling_many WHERE maxsim(doc, '[[1,2,3,4]]') > bound) AS t;
SELECT spelling_check($$ SELECT id, 1 AS score FROM spelling_many WHERE maxsim(doc, '[[1,2,3,4]]') > 6.5 ORDER BY id LIMIT 10 $$);
SELECT spelling_check($$ SELECT id, 1 AS score FROM spelling_many WHERE maxsim(doc, '[[1,2,3,4]]') > -5 ORDER BY id LIMIT 10 $$);
SELECT spelling_check($$ SELECT id, 1 AS score FROM spelling_many WHERE maxsim(doc, '[[1,2,3,4]]') > 6.5 AND id % 2 = 0 ORDER BY id LIMIT 10 $$);
-- A custom plan knows its parameters; a generic plan and a sub-select do not, so a hundredth of the rows is assumed.
PREPARE spelling_threshold(multivector, float8) AS SELECT id FROM spelling_many WHERE maxsim(doc, $1) > $2;
SET plan_cache_mode = force_custom_plan;
SELECT spelling_estimate($$ EXECUTE spelling_threshold('[[1,2,3,4]]', -9) $$) > 2000;
SET plan_cache_mode = force_generic_plan;
SELECT spelling_estimate($$ EXECUTE spelling_threshold('[[1,2,3,4]]', -9) $$);
RESET plan_cache_mode;
DEALLOCATE spelling_threshold;
SELECT spelling_estimate($$ SELECT id FROM spelling_many WHERE maxsim(doc, (SELECT q FROM spelling_queries WHERE id = 1)) > -9 $$);
-- NULL, NaN and infinite numbers, other dims: no error until a row is scored.
SELECT bound, spelling_estimate(format('SELECT id FROM spelling_many WHERE maxsim(doc, ''[[1,2,3,4]]'') > %L', bound)) BETWEEN 1 AND 25 AS few
FROM unnest(ARRAY['nan', 'infinity', '1e308']) AS bound;
SELECT spelling_estimate($$ SELECT id FROM spelling_many WHERE maxsim(doc, '[[1,2,3,4]]') > '-infinity' $$) > 2400;
SELECT spelling_estimate($$ SELECT id FROM spelling_many WHERE maxsim(doc, '[[1,2,3]]') > 1 $$);
SELECT id FROM spelling_many WHERE maxsim(doc, '[[1,2,3]]') > 1;
-- Statistics that ANALYZE has for the expression take precedence.
CREATE STATISTICS spelling_statistics ON (maxsim(doc, '[[4,3,2,1]]')) FROM spelling_many;
ANALYZE spelling_many;
SELECT spelling_estimate($$ SELECT id FROM spelling_many WHERE maxsim(doc, '[[4,3,2,1]]') > -3 $$) > 1500 AS by_statistics;
DROP STATISTICS spelling_statistics;
-- A sample reveals something about all rows, so it is only for those who may read them. The counters of the last search are kept.
SELECT count(*) FROM (SELECT id FROM spelling_many ORDER BY maxsim(doc, '[[1,2,3,4]]') DESC LIMIT 3) AS t;
SELECT emitted, spelling_estimate($$ SELECT id FROM spelling_many WHERE maxsim(doc, '[[1,2,3,4]]') > -9 $$) > 2000 FROM colbert_last_scan();
SELECT emitted, narrowed > 0 FROM colbert_last_scan();
CREATE ROLE regress_spelling_reader;
GRANT SELECT ON spelling_docs TO regress_spelling_reader;
GRANT SELECT (id, doc) ON spelling_many TO regress_spelling_reader;
SET ROLE regress_spelling_reader;
SELECT spelling_estimate($$ SELECT id FROM spelling_docs WHERE maxsim(doc, '[[1,2,3,4]]') > -99 $$), spelling_estimate($$ SELECT id FROM spelling_many WHERE maxsim(doc, '[[1,2,3,4]]') > -9 $$);
RESET ROLE;
ALTER TABLE spelling_docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY spelling_policy ON spelling_docs USING (id > 0);
SET ROLE regress_spelling_reader;
SELECT spelling_estimate($$ SELECT id FROM spelling_docs WHERE maxsim(doc, '[[1,2,3,4]]') > -99 $$) < 100;
RESET ROLE;
DROP POLICY spelling_policy ON spelling_docs;
ALTER TABLE spelling_docs DISABLE ROW LEVEL SECURITY;

DROP TABLE spelling_docs, spelling_queries, spelling_parts, spelling_many;
DROP SEQUENCE spelling_sequence;
DROP FUNCTION spelling_tokens, spelling_plan, spelling_rows, spelling_same, spelling_check, spelling_key, spelling_volatile, spelling_next, spelling_embed,
	spelling_embed_many, spelling_bounds, spelling_cost, spelling_estimate;
DROP ROLE regress_spelling_reader;
