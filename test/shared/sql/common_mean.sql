-- Tokens that have most of their length in common, as those of some encoders. Their sketches tell little about them, and a few documents score far
-- above the line of code scores over sketch scores. Searches find them nevertheless.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit = off;
SET enable_seqscan = off;
SET enable_sort = off;

-- common_noise(i): about normal, and always the same.
CREATE FUNCTION common_uniform(i int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT hashint4(i) / 4294967296.0::float8 + .5 $$;
CREATE FUNCTION common_noise(i int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT sqrt(-2 * ln(1 - common_uniform(2 * i) * .999999)) * cos(2 * pi() * common_uniform(2 * i + 1)) $$;
-- Words of length 1, and noises of length .5.
CREATE TABLE common_words AS SELECT word, array_agg(common_noise(word * 64 + d) / 8 ORDER BY d) AS v FROM generate_series(0, 1499) word, generate_series(1, 64) d GROUP BY word;
CREATE TABLE common_noises AS SELECT noise, array_agg(common_noise(1000000 + noise * 64 + d) / 16 ORDER BY d) AS v FROM generate_series(0, 1499) noise, generate_series(1, 64) d GROUP BY noise;
-- A topic has 300 words, some of which are frequent.
CREATE FUNCTION common_word(topic int, i int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT (hashint4(topic * 300 + floor(300 * power(common_uniform(i), 3))::int) & 65535) % 1500 $$;
-- A word, a noise, and a vector of length 3 that all tokens have in common.
CREATE FUNCTION common_item(id int, n int) RETURNS multivector LANGUAGE sql STABLE AS $$
	SELECT l2_normalize(array_agg(token ORDER BY t)::real[]::multivector) FROM (SELECT t, array(SELECT (word + noise + .375)::real FROM unnest(w.v, e.v) AS u (word, noise)) AS token
		FROM generate_series(1, n) t JOIN common_words w ON w.word = common_word(abs(id) % 30, id * 50 + t) JOIN common_noises e ON e.noise = (hashint4(id * 50 + t + 7) & 65535) % 1500) AS tokens $$;
CREATE TABLE common_queries AS SELECT id, common_item(-id, 1) AS q FROM generate_series(1, 40) id;
CREATE TABLE common (id int, doc multivector(64));
SET enable_seqscan = on;
SET enable_sort = on;
INSERT INTO common SELECT id, common_item(id, 14) FROM generate_series(1, 2000) id;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT set_config('common.method', :'method', false) \g /dev/null
DO $$ BEGIN EXECUTE format('CREATE INDEX common_index ON common USING %I (doc)', current_setting('common.method')); END $$;
-- Recall@10. Without the skewness of the errors of sketch scores, it is .89.
CREATE FUNCTION common_recall() RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	query record;
	tenth float8;
	n int;
	found int := 0;
BEGIN
	FOR query IN SELECT q FROM common_queries ORDER BY id LOOP
		WITH a AS MATERIALIZED (SELECT maxsim(doc, query.q) AS score FROM common) SELECT score INTO tenth FROM a ORDER BY score DESC OFFSET 9 LIMIT 1;
		SELECT count(*) FILTER (WHERE score >= tenth) INTO n FROM (SELECT maxsim(doc, query.q) AS score FROM common ORDER BY maxsim(doc, query.q) DESC NULLS LAST LIMIT 10) AS s;
		IF (SELECT index FROM colbert_last_scan()) IS DISTINCT FROM 'common_index'::regclass THEN
			RAISE EXCEPTION 'the index was not used';
		END IF;
		found := found + n;
	END LOOP;
	RETURN found / 400.0;
END $$;
SELECT CASE WHEN recall >= .97 THEN 'found' ELSE recall::text END FROM common_recall() AS recall;
-- The quantizer bit has sketches alone. Without the line of exact scores over them, it is .63.
DROP INDEX common_index;
DO $$ BEGIN EXECUTE format('CREATE INDEX common_index ON common USING %I (doc) WITH (quantizer = bit)', current_setting('common.method')); END $$;
SELECT CASE WHEN recall >= .86 THEN 'found' ELSE recall::text END FROM common_recall() AS recall;
-- The same for the tenth score as a threshold.
WITH bounds AS MATERIALIZED (SELECT q, (SELECT score FROM (SELECT maxsim(doc, q) AS score FROM common OFFSET 0) AS t ORDER BY score DESC OFFSET 9 LIMIT 1) AS bound FROM common_queries)
SELECT CASE WHEN count(*) >= 310 THEN 'found' ELSE count(*)::text END FROM bounds, LATERAL (SELECT FROM common WHERE maxsim(doc, q) >= bound) AS found;
DROP TABLE common, common_words, common_noises, common_queries;
DROP FUNCTION common_recall, common_item, common_word, common_noise, common_uniform;
