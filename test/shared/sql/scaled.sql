-- Documents of different length, by which maxsim prefers long ones: an index finds them, though its nodes are of different length, too.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit = off;
SET enable_seqscan = off;
SET enable_sort = off;

-- scaled_noise(i): about normal, and always the same. scaled_item(i, n, scale): n tokens, each near that of one of 60 topics.
CREATE FUNCTION scaled_uniform(i int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT hashint4(i) / 4294967296.0::float8 + .5 $$;
CREATE FUNCTION scaled_noise(i int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT sqrt(-2 * ln(1 - scaled_uniform(2 * i) * .999999)) * cos(2 * pi() * scaled_uniform(2 * i + 1)) $$;
CREATE FUNCTION scaled_item(i int, n int, scale float8) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY t)::real[]::multivector FROM (SELECT t, array_agg((scale * (scaled_noise(topic * 100 + d) + .5 * scaled_noise((i * 20 + t) * 40 + d + 1000000)))::real ORDER BY d) AS token
		FROM (SELECT t, floor(60 * scaled_uniform(i * 50 + t + 7))::int AS topic FROM generate_series(1, n) t) AS s, generate_series(1, 32) d GROUP BY t) AS tokens $$;
CREATE TABLE scaled_queries AS SELECT id, scaled_item(-id, 1 + id % 8, 1) AS q FROM generate_series(1, 20) id;
-- Recall@10 of searches by the index.
CREATE FUNCTION scaled_recall() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	query record;
	tenth float8;
	found int;
	total int := 0;
BEGIN
	FOR query IN SELECT q FROM scaled_queries LOOP
		EXECUTE 'WITH a AS MATERIALIZED (SELECT maxsim(doc, $1) AS score FROM scaled) SELECT score FROM a ORDER BY score DESC OFFSET 9 LIMIT 1' INTO tenth USING query.q;
		EXECUTE 'SELECT count(*) FILTER (WHERE score >= $2) FROM (SELECT maxsim(doc, $1) AS score FROM scaled ORDER BY maxsim(doc, $1) DESC NULLS LAST LIMIT 10) AS s'
			INTO found USING query.q, tenth;
		IF (SELECT index FROM colbert_last_scan()) IS DISTINCT FROM 'scaled_index'::regclass THEN
			RAISE EXCEPTION 'the index was not used';
		END IF;
		total := total + found;
	END LOOP;
	RETURN round(total / 200.0, 3);
END $$;

-- Lengths from 1 / range to range, by a power that is as likely everywhere.
CREATE TABLE scaled_recall (range float8, recall numeric);
CREATE TABLE scaled (id int, doc multivector(32));
SELECT set_config('scaled.method', :'method', false) \g /dev/null
DO $$
DECLARE
	range float8;
BEGIN
	FOREACH range IN ARRAY ARRAY[10] LOOP
		TRUNCATE scaled;
		INSERT INTO scaled SELECT id, scaled_item(id, 6, range ^ (2 * scaled_uniform(id) - 1)) FROM generate_series(1, 4000) id;
		EXECUTE format('CREATE INDEX scaled_index ON scaled USING %I (doc)', current_setting('scaled.method'));
		INSERT INTO scaled_recall SELECT range, scaled_recall();
		DROP INDEX scaled_index;
	END LOOP;
END $$;
SELECT range, CASE WHEN recall >= .95 THEN 'found' ELSE recall::text END FROM scaled_recall ORDER BY range;
DROP TABLE scaled, scaled_queries, scaled_recall;
