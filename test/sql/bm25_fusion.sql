-- Fusion of MaxSim and BM25F in one statement, as doc/ranking.md has it: by both indexes, with filters, row-level security and parameters.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE TABLE fused (id int PRIMARY KEY, grp int, doc multivector(8), tsv tsvector);
INSERT INTO fused SELECT i, i % 2, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[]) FROM generate_series(1, 3) t),
	(SELECT string_agg(format('w%s:%s%s', abs(hashint4(i * 100 + j)) % 500, j, CASE j WHEN 1 THEN 'A' END), ' ') FROM generate_series(1, 20) j)::tsvector
FROM generate_series(1, 3000) i;
CREATE INDEX fused_doc ON fused USING colbert_hnsw (doc) WITH (probes = 1000, candidates = 3000, rerank = 3000);
CREATE INDEX fused_tsv ON fused USING gin (tsv);
SELECT bm25_analyze('fused', 'tsv', config => 'simple');
ANALYZE fused;

\set vector '''[[1,0,0,.5,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]'''
PREPARE fuse(multivector, bm25_query) AS
WITH c AS ((SELECT id FROM fused ORDER BY doc <#> $1 LIMIT 20) UNION
           (SELECT id FROM fused WHERE tsv @@ bm25_candidates($2) ORDER BY bm25f(tsv, $2) DESC, id LIMIT 20))
SELECT id, maxsim(doc, $1) AS m, bm25f(tsv, $2) AS t,
       .8 * maxsim(doc, $1) / num_tokens($1) + .2 * bm25f(tsv, $2) / bm25_bound($2) AS score
FROM c JOIN fused USING (id) ORDER BY score DESC LIMIT 10;
SELECT bm25_query('fused_tsv_bm25', 'w7 w77 w177') AS words \gset

-- Both indexes serve a generic and a custom plan.
CREATE FUNCTION fused_indexes(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN (SELECT string_agg(m[1], ', ') FROM regexp_matches(lines, 'Index Scan using fused_doc|Bitmap Index Scan on fused_tsv|CTE q', 'g') AS m);
END $$;
SET plan_cache_mode = force_generic_plan;
SELECT fused_indexes(format('EXECUTE fuse(%L, %L)', :vector, :'words'));
CREATE TABLE fused_answers AS EXECUTE fuse(:vector, :'words');
SET plan_cache_mode = force_custom_plan;
SELECT fused_indexes(format('EXECUTE fuse(%L, %L)', :vector, :'words'));
RESET plan_cache_mode;

-- The answers are those without any index.
CREATE FUNCTION fused_expected(q multivector, w bm25_query, side int) RETURNS TABLE (id int, m float8, t float8, score float8) LANGUAGE sql AS $$
	WITH s AS MATERIALIZED (SELECT f.id, maxsim(doc, q) AS m, bm25f(tsv, w) AS t FROM fused f OFFSET 0),
	c AS ((SELECT s.id FROM s ORDER BY s.m DESC LIMIT side) UNION (SELECT s.id FROM s ORDER BY s.t DESC, s.id LIMIT side))
	SELECT s.id, s.m, s.t, .8 * s.m / num_tokens(q) + .2 * s.t / bm25_bound(w) AS score FROM c JOIN s USING (id) ORDER BY score DESC LIMIT 10
$$;
SELECT count(*), count(*) FILTER (WHERE a = e) FROM fused_answers a FULL JOIN fused_expected(:vector, :'words', 20) e USING (id);

-- From a text: the query is prepared once, in a CTE that is not inlined.
SELECT fused_indexes($$
WITH q AS MATERIALIZED (SELECT bm25_query('fused_tsv_bm25', 'w7 w77 w177') AS q),
     c AS ((SELECT id FROM fused ORDER BY doc <#> '[[1,0,0,0,0,0,0,0]]' LIMIT 20) UNION
           (SELECT id FROM fused, q WHERE tsv @@ bm25_candidates(q) ORDER BY bm25f(tsv, q) DESC LIMIT 20))
SELECT id, maxsim(doc, '[[1,0,0,0,0,0,0,0]]') + .2 * bm25f(tsv, q) / bm25_bound(q) AS score
FROM c JOIN fused USING (id), q ORDER BY score DESC LIMIT 10$$);
-- The query and the candidates are made once; both sides score their own rows, and then those of the union, once each.
BEGIN;
SET LOCAL track_functions = 'all';
CREATE TEMP TABLE fused_union ON COMMIT DROP AS
WITH q AS MATERIALIZED (SELECT bm25_query('fused_tsv_bm25', 'w7 w77 w177') AS q),
     c AS ((SELECT id FROM fused ORDER BY doc <#> '[[1,0,0,0,0,0,0,0]]' LIMIT 20) UNION
           (SELECT id FROM fused, q WHERE tsv @@ bm25_candidates(q) ORDER BY bm25f(tsv, q) DESC LIMIT 20))
SELECT id, maxsim(doc, '[[1,0,0,0,0,0,0,0]]') + .2 * bm25f(tsv, q) / bm25_bound(q) AS score
FROM c JOIN fused USING (id), q ORDER BY score DESC;
SELECT funcname, calls, calls = (SELECT count(*) FROM fused_union) + CASE funcname WHEN 'bm25f' THEN (SELECT count(*) FROM fused WHERE tsv @@ 'w7|w77|w177') ELSE 0 END AS rows
FROM pg_stat_xact_user_functions WHERE funcname IN ('bm25_query', 'bm25_candidates', 'bm25f', 'maxsim') ORDER BY 1;
ROLLBACK;
-- Two stages: a learned ranker orders the union, by both indexes. It agrees with its weights, of the scores alone.
CREATE TABLE rankers (name text PRIMARY KEY, model rank_model);
INSERT INTO rankers SELECT 'first', format('{"weights": [%s], "intercept": 0.25}', string_agg(w::text, ',' ORDER BY i))::rank_model
FROM (SELECT i, CASE i WHEN 1 THEN .5 WHEN 10 THEN .125 ELSE 0 END AS w FROM generate_series(1, 24) i) AS weights;
PREPARE two_stages(multivector, bm25_query) AS
WITH c AS ((SELECT id FROM fused ORDER BY doc <#> $1 LIMIT 20) UNION
           (SELECT id FROM fused WHERE tsv @@ bm25_candidates($2) ORDER BY bm25f(tsv, $2) DESC, id LIMIT 20))
SELECT id, rank_score((SELECT model FROM rankers WHERE name = 'first'), maxsim_features(doc, $1) || bm25f_features(tsv, $2)) AS score
FROM c JOIN fused USING (id) ORDER BY score DESC LIMIT 10;
SET plan_cache_mode = force_generic_plan;
SELECT fused_indexes(format('EXECUTE two_stages(%L, %L)', :vector, :'words'));
SET plan_cache_mode = force_custom_plan;
SELECT fused_indexes(format('EXECUTE two_stages(%L, %L)', :vector, :'words'));
RESET plan_cache_mode;
CREATE TABLE ranked AS EXECUTE two_stages(:vector, :'words');
SELECT count(*), count(*) FILTER (WHERE abs(score - (.25 + .5 * maxsim(doc, :vector) + .125 * bm25f(tsv, :'words'))) < 1e-5) FROM ranked JOIN fused USING (id);
-- A query of stop words alone leaves the order of MaxSim.
SELECT bm25_query('fused_tsv_bm25', '') AS none \gset
CREATE TABLE fused_by_maxsim AS EXECUTE fuse(:vector, :'none');
SELECT count(*), count(*) FILTER (WHERE t = 0 AND score = .8 * m / 2) FROM fused_by_maxsim;

-- Row-level security applies to both sides, and the statistics of the table are then closed: the query comes as a parameter.
CREATE ROLE regress_fused;
GRANT SELECT ON fused TO regress_fused;
ALTER TABLE fused ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON fused USING (grp = 0);
SET ROLE regress_fused;
PREPARE fuse_hidden(multivector, bm25_query) AS
WITH c AS ((SELECT id FROM fused ORDER BY doc <#> $1 LIMIT 20) UNION
           (SELECT id FROM fused WHERE tsv @@ bm25_candidates($2) ORDER BY bm25f(tsv, $2) DESC, id LIMIT 20))
SELECT id FROM c JOIN fused USING (id) ORDER BY .8 * maxsim(doc, $1) / num_tokens($1) + .2 * bm25f(tsv, $2) / bm25_bound($2) DESC LIMIT 10;
CREATE TEMP TABLE fused_hidden AS EXECUTE fuse_hidden(:vector, :'words');
SELECT count(*), count(*) FILTER (WHERE id % 2 = 0) FROM fused_hidden;
SELECT bm25_query('fused_tsv_bm25', 'w7');
-- Under a policy, PostgreSQL uses the GIN index only if @@ is declared leakproof.
SELECT fused_indexes(format('EXECUTE fuse_hidden(%L, %L)', :vector, :'words'));
RESET ROLE;
BEGIN;
ALTER FUNCTION ts_match_vq(tsvector, tsquery) LEAKPROOF;
SET LOCAL ROLE regress_fused;
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT fused_indexes(format('EXECUTE fuse_hidden(%L, %L)', :vector, :'words'));
SET LOCAL plan_cache_mode = force_custom_plan;
SELECT fused_indexes(format('EXECUTE fuse_hidden(%L, %L)', :vector, :'words'));
CREATE TEMP TABLE fused_leakproof AS EXECUTE fuse_hidden(:vector, :'words');
SELECT count(*) FROM fused_hidden JOIN fused_leakproof USING (id);
ROLLBACK;
RESET ROLE;
ALTER TABLE fused DISABLE ROW LEVEL SECURITY;
-- A filter in both sides.
PREPARE fuse_where(multivector, bm25_query, int) AS
WITH c AS ((SELECT id FROM fused WHERE grp = $3 ORDER BY doc <#> $1 LIMIT 20) UNION
           (SELECT id FROM fused WHERE grp = $3 AND tsv @@ bm25_candidates($2) ORDER BY bm25f(tsv, $2) DESC, id LIMIT 20))
SELECT id FROM c JOIN fused USING (id) ORDER BY .8 * maxsim(doc, $1) / num_tokens($1) + .2 * bm25f(tsv, $2) / bm25_bound($2) DESC LIMIT 10;
SET plan_cache_mode = force_generic_plan;
SELECT fused_indexes(format('EXECUTE fuse_where(%L, %L, 0)', :vector, :'words'));
SET plan_cache_mode = force_custom_plan;
SELECT fused_indexes(format('EXECUTE fuse_where(%L, %L, 0)', :vector, :'words'));
RESET plan_cache_mode;
CREATE TEMP TABLE fused_where AS EXECUTE fuse_where(:vector, :'words', 0);
SELECT count(*) FROM fused_hidden JOIN fused_where USING (id);
DELETE FROM fused WHERE grp = 1;
SELECT count(*) FROM fused_hidden JOIN fused_expected(:vector, :'words', 20) USING (id);

DEALLOCATE fuse;
DEALLOCATE two_stages;
DEALLOCATE fuse_hidden;
DEALLOCATE fuse_where;
DROP FUNCTION fused_expected, fused_indexes;
DROP TABLE ranked, rankers, fused, fused_tsv_bm25, fused_answers, fused_by_maxsim, fused_hidden, fused_where;
DROP ROLE regress_fused;
