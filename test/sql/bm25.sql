-- BM25F over tsvector: statistics, queries, scores, their terms and features, and the limits of each.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET default_text_search_config = 'pg_catalog.simple';

-- 400 documents of words w1, w2, ... with skewed frequencies, in all four sections, of different lengths; two empty, one NULL.
CREATE TABLE bm25_docs (id int PRIMARY KEY, tsv tsvector);
INSERT INTO bm25_docs
SELECT i, (SELECT string_agg(format('w%s:%s%s', 1 + abs(hashint4(i * 1000 + j)) % (1 + abs(hashint4(j * 777 + i)) % 60), j, substr('AABCDDDDDD', 1 + abs(hashint4(i + j * 31)) % 10, 1)), ' ')
           FROM generate_series(1, 3 + i % 40) j)::tsvector
FROM generate_series(1, 400) i;
INSERT INTO bm25_docs VALUES (401, ''), (402, ''), (403, NULL);
SELECT bm25_analyze('bm25_docs', 'tsv');

-- The statistics are those of ts_stat, and of the positions of each section.
SELECT count(*), count(*) FILTER (WHERE s.documents IS DISTINCT FROM t.ndoc) FROM (SELECT * FROM bm25_docs_tsv_bm25 WHERE lexeme <> '') s FULL JOIN ts_stat('SELECT tsv FROM bm25_docs') t ON t.word = s.lexeme;
CREATE VIEW bm25_positions AS SELECT id, lexeme, p AS position, w AS section FROM bm25_docs, unnest(tsv) AS u(lexeme, positions, weights), unnest(positions, weights) AS v(p, w);
SELECT documents, table_documents, source, source_column, config, lengths = ARRAY(SELECT count(*) FILTER (WHERE section = s) / 402.0 FROM bm25_positions, unnest('{D,C,B,A}'::text[]) WITH ORDINALITY AS t(s, n) GROUP BY s, n ORDER BY n)::float8[] FROM bm25_docs_tsv_bm25 WHERE lexeme = '';

-- The formula, in SQL.
CREATE FUNCTION bm25_reference(docid int, words text[], weights float8[], b float8, k1 float8) RETURNS float8 LANGUAGE sql AS $$
	WITH whole AS (SELECT * FROM bm25_docs_tsv_bm25 WHERE lexeme = ''),
	sections AS (SELECT s, weights[n] AS weight, (SELECT lengths[n] FROM whole) AS mean, (SELECT count(*) FROM bm25_positions p WHERE p.id = docid AND p.section = s) AS length
		FROM unnest('{D,C,B,A}'::text[]) WITH ORDINALITY AS t(s, n)),
	frequencies AS (SELECT lexeme, section, count(*) AS frequency FROM bm25_positions WHERE id = docid AND lexeme = ANY (words) GROUP BY 1, 2),
	sums AS (SELECT lexeme, sum(weight * frequency / (1 - b + b * length / mean)) AS x FROM frequencies JOIN sections ON s = section GROUP BY 1)
	SELECT coalesce(sum(ln(1 + (whole.documents - s.documents + 0.5) / (s.documents + 0.5)::float8) * x / (k1 + x)), 0) FROM sums JOIN bm25_docs_tsv_bm25 s USING (lexeme), whole
$$;
SELECT count(*), count(*) FILTER (WHERE bm25f(tsv, q) > 0), max(abs(bm25f(tsv, q) - bm25_reference(id, words, weights, b, k1))) < 1e-12
FROM (VALUES ('{w1,w7,w30}'::text[], '{1,2,3,5}'::float8[], .75, 1.2), ('{w2,w3,w59,w11}', '{0.5,0,10,1}', .3, 2), ('{w1}', '{1,1,1,1}', 0, 0), ('{w5,w6}', '{1,2,3,5}', 1, .5)) AS v(words, weights, b, k1),
	bm25_query('bm25_docs_tsv_bm25', array_to_string(words, ' '), weights::real[], b, k1) AS q, bm25_docs WHERE tsv IS NOT NULL AND id % 4 = 1;
-- Terms add up to the score, which the bound limits; NULL documents have no score.
SELECT count(*), max(abs(bm25f(tsv, q) - (SELECT coalesce(sum(contribution), 0) FROM bm25f_terms(tsv, q)))) < 1e-12, bool_and(bm25f(tsv, q) < bm25_bound(q)), count(bm25f(tsv, q)) FROM bm25_docs, bm25_query('bm25_docs_tsv_bm25', 'w1 w2 w3 w4') AS q;
SELECT t.term, t.section, t.frequency, round(contribution::numeric, 6) FROM bm25_query('bm25_docs_tsv_bm25', 'w1 w3') AS q, bm25f_terms('w1:1A,2,3C w2:4 w3:5,6', q) AS t;
SELECT abs(bm25_bound(q) - (SELECT sum(ln(1 + (402 - documents + 0.5) / (documents + 0.5))) FROM bm25_docs_tsv_bm25 WHERE lexeme IN ('w1', 'w3'))::float8) < 1e-12 FROM bm25_query('bm25_docs_tsv_bm25', 'w1 w3') AS q;

-- Features: score, share of the bound, the score of each section alone (A to D), share of the words in any section and in each, lengths.
SELECT f[1] = bm25f(tsv, q)::real, f[2] = (bm25f(tsv, q) / bm25_bound(q))::real, f[3] = bm25f(ts_filter(tsv, '{a}'), q)::real, f[4] = bm25f(ts_filter(tsv, '{b}'), q)::real,
	f[5] = bm25f(ts_filter(tsv, '{c}'), q)::real, f[6] = bm25f(ts_filter(tsv, '{d}'), q)::real, f[7:15]
FROM (VALUES ('w1:1A,2,3C w2:4,9B w3:5,6 w4:7'::tsvector)) AS d(tsv), bm25_query('bm25_docs_tsv_bm25', 'w1 w2 w3 none') AS q, bm25f_features(tsv, q) AS f;
SELECT bm25f_features('', q) = array_fill(0::real, '{15}') FROM bm25_query('bm25_docs_tsv_bm25', 'w1') AS q;

-- The lengths count every position of documents of 1 to 700 lexemes, each with 1 to 9 or 255 positions, in all sections or in A alone.
WITH d AS (SELECT i, letters, (SELECT string_agg(format('w%s:%s', j, (SELECT string_agg(p || substr(letters, 1 + abs(hashint4(i * j + p)) % 4, 1), ',') FROM generate_series(1, CASE WHEN j % 17 = 0 OR letters = 'AAAA' THEN 255 ELSE 1 + abs(hashint4(i * j)) % 9 END) p)), ' ')
	FROM generate_series(1, i) j)::tsvector AS tsv FROM unnest('{1,2,3,4,17,127,128,129,256,257,700}'::int[]) AS i, unnest('{ABCD,AAAA}'::text[]) AS letters),
sections AS (SELECT i, letters, ARRAY(SELECT count(w) FROM unnest('{A,B,C,D}'::text[]) WITH ORDINALITY AS s(letter, n) LEFT JOIN (SELECT w FROM unnest(tsv) AS u(l, p, weights), unnest(weights) AS w) AS v ON w = letter GROUP BY n ORDER BY n)::real[] AS lengths FROM d)
SELECT count(*), count(*) FILTER (WHERE (bm25f_features(tsv, bm25_query('bm25_docs_tsv_bm25', 'w1')))[12:15] = lengths), max(lengths[1]) FROM d JOIN sections USING (i, letters);

-- Candidates: the rarest words whose documents sum up to the budget, and never none. Words that no document has cost nothing.
SELECT lexeme, documents FROM bm25_docs_tsv_bm25 WHERE lexeme IN ('w1', 'w20', 'w50', 'w58') ORDER BY documents;
SELECT budget, bm25_candidates(bm25_query('bm25_docs_tsv_bm25', 'w1 w20 w50 w58', budget => budget)) FROM unnest('{1,8,30,120,100000}'::int[]) AS budget;
SELECT bm25_candidates(bm25_query('bm25_docs_tsv_bm25', 'w1 none', budget => 1)), bm25_candidates(bm25_query('bm25_docs_tsv_bm25', 'none')), bm25_candidates(bm25_query('bm25_docs_tsv_bm25', ''));
-- If the rarest word exceeds the budget alone, its documents must have another word too, unless hardly any has both by chance.
SELECT budget, bm25_candidates(q), matching, matching = (SELECT count(*) FROM bm25_docs WHERE tsv @@ bm25_candidates(q)::text::tsquery), bm25_query_send(q::text::bm25_query) = bm25_query_send(q)
FROM unnest('{1,10,60,100,200,1000}'::int[]) AS budget, bm25_query('bm25_docs_tsv_bm25', 'w1 w2 w3 w5 none', budget => budget) AS q, LATERAL (SELECT count(*) AS matching FROM bm25_docs WHERE tsv @@ bm25_candidates(q)) AS m;
SELECT bm25_candidates(bm25_query('bm25_docs_tsv_bm25', 'w20 w1', budget => 1)), bm25_candidates(bm25_query('bm25_docs_tsv_bm25', 'w1', budget => 1));
-- Each use of each of four words, against each subset of the words.
SELECT count(*), count(DISTINCT c), count(*) FILTER (WHERE (tsv @@ c) IS DISTINCT FROM (alone && has OR CASE WHEN required <> '{}' AND beside <> '{}' THEN required && has AND beside && has ELSE required || beside && has END))
FROM unnest('{false,true,"\"required\"","\"beside\""}'::text[]) AS a, unnest('{false,true,"\"required\"","\"beside\""}'::text[]) AS b, unnest('{false,true,"\"required\"","\"beside\""}'::text[]) AS d, unnest('{false,true,"\"required\"","\"beside\""}'::text[]) AS e,
	LATERAL (SELECT ARRAY(SELECT n FROM unnest(ARRAY[a, b, d, e]) WITH ORDINALITY AS u(v, n) WHERE v = 'true') AS alone, ARRAY(SELECT n FROM unnest(ARRAY[a, b, d, e]) WITH ORDINALITY AS u(v, n) WHERE v LIKE '%required%') AS required,
		ARRAY(SELECT n FROM unnest(ARRAY[a, b, d, e]) WITH ORDINALITY AS u(v, n) WHERE v LIKE '%beside%') AS beside) AS uses,
	LATERAL (SELECT bm25_candidates(format('{"k1": 1, "b": 1, "weights": [1,1,1,1], "lengths": [1,1,1,1], "words": [%s]}', (SELECT string_agg(format('{"word": "w%s", "idf": 1, "sections": "ABCD", "candidate": %s}', n, v), ',') FROM unnest(ARRAY[a, b, d, e]) WITH ORDINALITY AS u(v, n)))::bm25_query) AS c) AS q,
	generate_series(0, 15) AS present, LATERAL (SELECT ARRAY(SELECT n FROM generate_series(1, 4) AS n WHERE present & (1 << n - 1) <> 0)::bigint[] AS has, (SELECT coalesce(string_agg('w' || n, ' '), '') FROM generate_series(1, 4) AS n WHERE present & (1 << n - 1) <> 0)::tsvector AS tsv) AS t;
-- A tree of many words is one that @@ understands.
SELECT n, numnode(c), (SELECT count(*) FROM bm25_docs WHERE tsv @@ c) = (SELECT count(*) FROM bm25_docs WHERE tsv @@ parsed)
FROM unnest('{1,2,3,4,5,6,7,8,9,100,5000}'::int[]) AS n, bm25_query('bm25_docs_tsv_bm25', (SELECT string_agg('w' || i, ' ') FROM generate_series(1, n) i), budget => 1000000) AS q, bm25_candidates(q) AS c, LATERAL (SELECT c::text::tsquery AS parsed OFFSET 0) AS p;

-- A query: a word twice, a phrase, negation (of negation), labels, a prefix, an unknown word, another configuration, nothing.
CREATE FUNCTION bm25_words(q bm25_query) RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(format('%s %s %s', w->>'word', w->>'sections', round((w->>'idf')::numeric, 3)), ', ' ORDER BY w->>'word') FROM json_array_elements(q::text::json->'words') AS w $$;
SELECT query, bm25_words(bm25_query('bm25_docs_tsv_bm25', query::tsquery)), bm25_candidates(bm25_query('bm25_docs_tsv_bm25', query::tsquery))
FROM unnest(ARRAY['w1 & w1', 'w1 <-> w2 <3> w3', 'w1 & !w2', '!(w1 & !w2)', '!w1', 'w1:A', 'w1:AB | w1:D', 'w1:C & w1', 'none', '']) AS query;
SELECT bm25_words(bm25_query('bm25_docs_tsv_bm25', 'w2 w1, w2! W1'));
-- A lexeme that the statistics do not know is the rarest: a newer document with it scores above one with any other word.
SELECT bm25f('none:1', q) > bm25f(format('%s:1', lexeme)::tsvector, q), count(*) FROM bm25_docs_tsv_bm25, bm25_query('bm25_docs_tsv_bm25', (SELECT string_agg(lexeme, ' ') || ' none' FROM bm25_docs_tsv_bm25)) AS q WHERE lexeme <> '' GROUP BY 1;
SELECT bm25_query('bm25_docs_tsv_bm25', 'w:*'::tsquery);
SELECT bm25f('w1:1,2A', bm25_query('bm25_docs_tsv_bm25', 'w1:A'::tsquery)) = bm25f('w1:2A x:1', bm25_query('bm25_docs_tsv_bm25', 'w1:A'::tsquery)), bm25f('w1:1B', bm25_query('bm25_docs_tsv_bm25', 'w1:A'::tsquery));
SELECT bm25_bound(q), bm25f('w1:1', q), q FROM bm25_query('bm25_docs_tsv_bm25', ' . ') AS q;
SELECT bm25_query(NULL, 'w1') IS NULL, bm25_query('bm25_docs_tsv_bm25', NULL::text) IS NULL, bm25f(NULL, bm25_query('bm25_docs_tsv_bm25', 'w1')) IS NULL, bm25f('w1', NULL) IS NULL;
-- The configuration of the statistics counts, not that of the session. A refresh keeps it.
CREATE TABLE bm25_english (body text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED);
INSERT INTO bm25_english VALUES ('The cats were running'), ('A dog ran');
SELECT bm25_analyze('bm25_english', 'tsv', config => 'english');
SELECT bm25_analyze('bm25_english', 'tsv');
SELECT config, bm25_words(bm25_query('bm25_english_tsv_bm25', 'the running of cats')) FROM bm25_english_tsv_bm25 WHERE lexeme = '';

-- A document: 255 positions per lexeme, positions from 16,383 on, lexemes without positions, empty sections.
SELECT length(tsv), (SELECT cardinality(positions) FROM unnest(tsv)), t.* FROM to_tsvector('simple', repeat('w1 ', 1000)) AS tsv, bm25_query('bm25_docs_tsv_bm25', 'w1', b => 0) AS q, LATERAL (SELECT frequency FROM bm25f_terms(tsv, q)) AS t;
SELECT (SELECT positions FROM unnest(tsv) WHERE lexeme = 'w2'), frequency FROM to_tsvector('simple', repeat('w1 ', 20000) || 'w2 w2 w2') AS tsv, bm25_query('bm25_docs_tsv_bm25', 'w2') AS q, bm25f_terms(tsv, q);
SELECT bm25f(strip('w1:1A,2 w2:3'), q) = bm25f('w1:1 w2:2', q) FROM bm25_query('bm25_docs_tsv_bm25', 'w1') AS q;
-- A section that no analyzed document has is not normalised, and a weight of 0 turns a section off.
CREATE TABLE bm25_plain (tsv tsvector);
INSERT INTO bm25_plain VALUES ('x:1 y:2'), ('y:1');
-- The first call advises on the storage.
SET client_min_messages = notice;
SELECT bm25_analyze('bm25_plain', 'tsv');
SET client_min_messages = warning;
ALTER TABLE bm25_docs ADD plain tsvector, ALTER plain SET STORAGE MAIN;
SET client_min_messages = notice;
SELECT bm25_analyze('bm25_docs', 'plain');
SET client_min_messages = warning;
SELECT bm25f('x:1A', q) = bm25_bound(q) * 5 / 6.2, bm25f('x:1A y:2A z:3A', q) = bm25_bound(q) * 5 / 6.2, bm25f('x:1', bm25_query('bm25_plain_tsv_bm25', 'x', '{0,1,1,1}')) FROM bm25_query('bm25_plain_tsv_bm25', 'x') AS q;
-- A stripped vector is reported when it is analyzed. Refreshed statistics replace the old ones.
SET client_min_messages = notice;
INSERT INTO bm25_plain VALUES (strip('x:1 z:2')), ('z:3');
SELECT bm25_analyze('bm25_plain', 'tsv');
SET client_min_messages = warning;
SELECT lexeme, documents, lengths FROM bm25_plain_tsv_bm25 ORDER BY lexeme;
-- Statistics of an empty table.
TRUNCATE bm25_plain;
SELECT bm25_analyze('bm25_plain', 'tsv');
SELECT bm25f('x:1A,2', q) = bm25_bound(q) * 6 / 7.2, bm25_bound(q) = ln(2::float8), bm25_candidates(q) FROM bm25_query('bm25_plain_tsv_bm25', 'x') AS q;

-- A sample. Its frequencies stand for the whole table when candidates are chosen.
INSERT INTO bm25_plain SELECT format('common:1 w%s:2', i % 10)::tsvector FROM generate_series(1, 4000) i;
SELECT bm25_analyze('bm25_plain', 'tsv', sample => 1000);
SELECT documents BETWEEN 800 AND 1200, table_documents = documents * 4 FROM bm25_plain_tsv_bm25 WHERE lexeme = '';
SELECT numnode(bm25_candidates(bm25_query('bm25_plain_tsv_bm25', 'common w1 w2 w3', budget => 1000))), numnode(bm25_candidates(bm25_query('bm25_plain_tsv_bm25', 'common w1 w2 w3', budget => 10000)));
SELECT bm25_analyze('bm25_plain', 'tsv', sample => 99);
-- Little memory: counts go to disk and are added up again.
SET maintenance_work_mem = '1MB';
CREATE TABLE bm25_many AS SELECT format('a%s:1 b%s:2 c%s:3 common:4', i, i % 5000, i % 3)::tsvector AS tsv FROM generate_series(1, 15000) i;
SELECT bm25_analyze('bm25_many', 'tsv');
RESET maintenance_work_mem;
SELECT count(*), count(DISTINCT lexeme), sum(documents) FROM bm25_many_tsv_bm25 WHERE lexeme <> '';
SELECT lexeme, documents FROM bm25_many_tsv_bm25 WHERE lexeme IN ('a7', 'b7', 'c1', 'common') ORDER BY 1;
-- Partitions, materialized views, names that need quotes or are long.
CREATE SCHEMA "BM 25";
CREATE TABLE "BM 25"."A table" (id int, "a ""column" tsvector, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE "BM 25".p0 PARTITION OF "BM 25"."A table" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "BM 25".p1 PARTITION OF "BM 25"."A table" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "BM 25"."A table" SELECT id, tsv FROM bm25_docs;
SELECT bm25_analyze('"BM 25"."A table"', 'a "column');
SELECT documents FROM "BM 25"."A table_a ""column_bm25" WHERE lexeme = '';
CREATE MATERIALIZED VIEW bm25_a_name_of_sixty_characters_that_must_be_cut_to_fit_the_rest AS SELECT tsv AS a_long_name_of_the_column_too FROM bm25_docs;
SELECT length(bm25_analyze('bm25_a_name_of_sixty_characters_that_must_be_cut_to_fit_the_rest', 'a_long_name_of_the_column_too')::text);

-- Invalid calls.
SELECT bm25_analyze(NULL, 'tsv');
SELECT bm25_analyze('bm25_docs', 'id');
SELECT bm25_analyze('bm25_docs', 'nothing');
SELECT bm25_analyze('bm25_positions', 'tsv');
SELECT bm25_analyze(0, 'tsv');
CREATE TEMP TABLE bm25_temporary (tsv tsvector);
SELECT bm25_analyze('bm25_temporary', 'tsv');
CREATE TABLE bm25_docs_other_bm25 (i int);
ALTER TABLE bm25_docs ADD other tsvector;
SELECT bm25_analyze('bm25_docs', 'other');
SELECT bm25_query('bm25_docs', 'w1');
SELECT bm25_query(0, 'w1');
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1', '{1,2,3}');
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1', '{1,2,3,NULL}');
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1', '{1,2,3,-1}');
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1', '{1,2,3,NaN}');
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1', b => 1.5);
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1', k1 => -1);
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1', budget => 0);
SELECT length(bm25_query('bm25_docs_tsv_bm25', (SELECT string_agg('x' || i, ' ') FROM generate_series(1, 20001) i))::text);
DROP TABLE bm25_docs_other_bm25;
BEGIN;
UPDATE bm25_docs_tsv_bm25 SET lengths = '{1,2,NaN,4}' WHERE lexeme = '';
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1');
ROLLBACK;
BEGIN;
DELETE FROM bm25_docs_tsv_bm25 WHERE lexeme = '';
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1');
ROLLBACK;
BEGIN;
UPDATE bm25_docs_tsv_bm25 SET documents = -5 WHERE lexeme = 'w1';
UPDATE bm25_docs_tsv_bm25 SET documents = 9e18 WHERE lexeme = 'w2';
SELECT bm25_words(bm25_query('bm25_docs_tsv_bm25', 'w1 w2'));
ROLLBACK;
BEGIN;
ALTER TABLE bm25_docs_tsv_bm25 DROP CONSTRAINT bm25_docs_tsv_bm25_pkey;
SELECT bm25_query('bm25_docs_tsv_bm25', 'w1');
ROLLBACK;

-- Values: text and binary forms keep every bit, hostile ones are refused.
CREATE TABLE bm25_values AS SELECT bm25_query('bm25_docs_tsv_bm25', words, '{0.1,2,3,5}', .7) AS q FROM unnest(ARRAY['w1 w2 w9', 'none "quoted" \back', 'ünïcödé', '']) AS words;
SELECT count(*), bool_and(bm25_query_send(q::text::bm25_query) = bm25_query_send(q)) FROM bm25_values;
CREATE TABLE bm25_copies (q bm25_query);
\copy bm25_values TO PROGRAM 'cat >"$PG_ABS_BUILDDIR"/bm25_values.bin' (FORMAT binary)
\copy bm25_copies FROM PROGRAM 'cat "$PG_ABS_BUILDDIR"/bm25_values.bin' (FORMAT binary)
SELECT count(*), bool_and(a = b) FROM (SELECT bm25_query_send(q) AS a FROM bm25_values ORDER BY 1) AS x, (SELECT bm25_query_send(q) AS b FROM bm25_copies ORDER BY 1) AS y WHERE a = b;
SELECT q, length(q::bm25_query::text) FROM (VALUES ('{"k1": 0, "b": 1, "weights": [0, 1e5, 0, 0], "lengths": [0, 0, 0, 0], "words": [{"word": "a", "idf": 1, "sections": "A", "candidate": false}]}')) AS v(q);
CREATE FUNCTION bm25_outcome(value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN value::bm25_query;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(': ', sqlstate, sqlerrm, detail);
END $$;
SELECT bm25_outcome(v) FROM unnest(ARRAY['', '[]', '1', '{}', '{"k1": "1"}', '{"k1": 1, "b": 2, "weights": [1], "lengths": [], "words": []}', '{"k1": 1, "b": 2, "weights": [1,1,1,1], "lengths": [1,1,1,1], "words": []}',
	'{"k1": 1e400, "b": 1, "weights": [1,1,1,1], "lengths": [1,1,1,1], "words": []}', '{"k1": 1, "b": 1, "weights": [1,1,1,"1"], "lengths": [1,1,1,1], "words": []}', '{"k1": 1, "b": 1, "weights": 1, "lengths": [1,1,1,1], "words": []}',
	'{"k1": 1, "b": 1, "weights": {"a": 1}, "lengths": [1,1,1,1], "words": []}', '{"k1": 1, "b": 1, "weights": [1,1,1,1], "lengths": [1,1,1,-1], "words": []}', '{"k1": 1, "b": 1, "weights": [1,1,1,1], "lengths": [1,1,1,1], "words": [1]}']) AS v;
SELECT bm25_outcome(format('{"k1": 1, "b": 1, "weights": [1,1,1,1], "lengths": [1,1,1,1], "words": [%s]}', v)) FROM unnest(ARRAY['{"word": "a"}', '{"word": "", "idf": 1, "sections": "A", "candidate": true}', '{"word": "a", "idf": -1, "sections": "A", "candidate": true}',
	'{"word": "a", "idf": 1, "sections": "", "candidate": true}', '{"word": "a", "idf": 1, "sections": "AE", "candidate": true}', '{"word": "a", "idf": 1, "sections": "A", "candidate": 1}', '{"word": "a", "idf": 1, "sections": "A", "candidate": "alone"}',
	'{"word": "a", "idf": 1, "sections": "A", "candidate": true}, {"word": "a", "idf": 1, "sections": "A", "candidate": true}', format('{"word": "%s", "idf": 1, "sections": "A", "candidate": true}', repeat('x', 3000)), '{"word": "b", "idf": 100.5, "sections": "A", "candidate": true}',
	'{"word": "b", "idf": 1, "sections": "DA", "candidate": true}, {"word": "a\tü", "idf": 2e-5, "sections": "A", "candidate": false}']) AS v;

TRUNCATE bm25_copies;
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f04000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0002000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001ffffffff3ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000023ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff0000000000000' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000100' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f010001ff' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000001f01000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000061' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f010fff61' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000017ff80000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff000000000000040000000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f01000161' (FORMAT binary)
\copy bm25_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0001000000013ff00000000000003fe80000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000003ff00000000000000f0100016161' (FORMAT binary)
SELECT q FROM bm25_copies;

-- No operator @@ is ours, which would make these ambiguous.
SELECT count(*) FROM bm25_docs WHERE tsv @@ 'w1';
SELECT count(*) FROM bm25_english WHERE body @@ 'cats';
PREPARE bm25_untyped AS SELECT count(*) FROM bm25_docs WHERE tsv @@ $1;
EXECUTE bm25_untyped('w1');
SELECT count(*) FROM bm25_docs WHERE tsv @@ NULL;

DROP SCHEMA "BM 25" CASCADE;
DROP MATERIALIZED VIEW bm25_a_name_of_sixty_characters_that_must_be_cut_to_fit_the_rest;
DROP VIEW bm25_positions;
DROP TABLE bm25_docs, bm25_docs_tsv_bm25, bm25_docs_plain_bm25, bm25_english, bm25_english_tsv_bm25, bm25_plain_tsv_bm25, bm25_many_tsv_bm25, bm25_plain, bm25_many, bm25_values, bm25_copies;
DROP FUNCTION bm25_reference, bm25_words, bm25_outcome;
