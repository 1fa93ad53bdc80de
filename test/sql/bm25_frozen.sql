-- Frozen weights: the score of a frozen document beside bm25f, refused values, stale documents, generated columns and triggers, hostile values.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

CREATE TABLE frozen_docs (id int PRIMARY KEY, tsv tsvector);
INSERT INTO frozen_docs
SELECT i, (SELECT string_agg(format('w%s:%s%s', 1 + abs(hashint4(i * 1000 + j)) % (1 + abs(hashint4(j * 777 + i)) % 60), j, substr('AABCDDDDDD', 1 + abs(hashint4(i + j * 31)) % 10, 1)), ' ')
           FROM generate_series(1, 3 + i % 40) j)::tsvector
FROM generate_series(1, 400) i;
INSERT INTO frozen_docs VALUES (401, ''), (402, NULL);
SELECT bm25_analyze('frozen_docs', 'tsv', config => 'simple');

-- A weight is rounded by half a 255th of the word's idf at most. The words of the settings do not matter, and the score is below the bound.
SELECT count(*), count(frozen), bool_and(abs(score - bm25f(tsv, q)) <= bm25_bound(q) / 510 + 1e-12), bool_and(score <= bm25_bound(q)), bool_and((score > 0) = (bm25f(tsv, q) > 0))
FROM frozen_docs, bm25_query('frozen_docs_tsv_bm25', 'w1 w2 w3 w50 none') AS q, LATERAL (SELECT bm25f_freeze(tsv, bm25_query('frozen_docs_tsv_bm25', 'w7 w8')) AS frozen) AS f, bm25f_frozen(frozen, q) AS score;
SELECT count(*), bool_and(abs(bm25f_frozen(bm25f_freeze(tsv, q), q) - bm25f(tsv, q)) <= bm25_bound(q) / 510 + 1e-12)
FROM frozen_docs, unnest('{0,.3,1}'::float8[]) AS b, unnest('{.1,1,3}'::float8[]) AS k1, bm25_query('frozen_docs_tsv_bm25', 'w1 w2 w3 w50', '{0.5,0,10,1}', b, k1) AS q WHERE tsv IS NOT NULL;
-- Without saturation every word has the whole weight; the score is exact.
SELECT bool_and(bm25f_frozen(bm25f_freeze(tsv, q), q) = bm25f(tsv, q)) FROM frozen_docs, bm25_query('frozen_docs_tsv_bm25', 'w1 w2 w3 w50', k1 => 0) AS q;
-- The smallest weight is 1, that of a word in sections without weight is none, and an empty document is one.
SELECT bm25f_frozen(bm25f_freeze('w1:1', q), q) = bm25_bound(q) * (1 / 255.0), bm25f('w1:1', q) < bm25_bound(q) / 510 FROM bm25_query('frozen_docs_tsv_bm25', 'w1', '{0.0001,1,1,1}') AS q;
SELECT bm25f_freeze('w1:1', q)::text = bm25f_freeze('', q)::text, bm25f_frozen(bm25f_freeze('w1:1', q), q), bm25f_frozen(bm25f_freeze('w1:1,2A w2:2', q), q) > 0 FROM bm25_query('frozen_docs_tsv_bm25', 'w1', '{0,1,1,1}') AS q;
SELECT bm25f_frozen(bm25f_freeze('w1:1', q), q) FROM bm25_query('frozen_docs_tsv_bm25', '') AS q;
-- The bytes: version, fingerprints, CRC-32C of the words, weights. '123456789' has the check value e3069283.
SELECT bm25f_freeze('123456789:1 x:2', '{"k1": 0, "b": 0, "weights": [1, 1, 1, 1], "lengths": [1, 1, 1, 1], "words": []}');
SELECT bm25f_freeze('', '{"k1": 0, "b": -0, "weights": [1, 1, -0, 1], "lengths": [1, 1, 1, -0], "words": []}')::text = bm25f_freeze('', '{"k1": 0, "b": 0, "weights": [1, 1, 0, 1], "lengths": [1, 1, 1, 0], "words": []}')::text;
-- Two words of one hash are one, with the larger weight.
SELECT length(bm25_frozen_send(f)), bm25f_frozen(f, q) = bm25_bound(q) * (254 / 255.0) FROM bm25_query('frozen_docs_tsv_bm25', 'ccaoacux', b => 0, k1 => .02) AS q, bm25f_freeze('ccaoacux:1 wcjifoae:2A', q) AS f;
-- A long document, out of line; and NULLs.
CREATE TABLE frozen_long (frozen bm25_frozen);
INSERT INTO frozen_long SELECT bm25f_freeze((SELECT string_agg(format('w%s:%s', i, i), ' ')::tsvector FROM generate_series(1, 16000) i), bm25_query('frozen_docs_tsv_bm25', ''));
SELECT pg_column_size(frozen) > 50000, length(bm25_frozen_send(frozen)), bm25f_frozen(frozen, q) > 0, bm25f_is_stale(frozen, q) FROM frozen_long, bm25_query('frozen_docs_tsv_bm25', 'w15999 x') AS q;
SELECT bm25f_freeze(NULL, q) IS NULL, bm25f_freeze('', NULL) IS NULL, bm25f_frozen(NULL, q) IS NULL, bm25f_frozen(bm25f_freeze('', q), NULL) IS NULL, bm25f_is_stale(NULL, q) IS NULL FROM bm25_query('frozen_docs_tsv_bm25', '') AS q;

-- Refused: a stripped tsvector, a label, another weight, b or k1.
SELECT bm25f_freeze(strip('w1:1 w2:2'), bm25_query('frozen_docs_tsv_bm25', ''));
SELECT bm25f_freeze('w1:1 w2', bm25_query('frozen_docs_tsv_bm25', ''));
CREATE TABLE frozen_one AS SELECT bm25f_freeze('w1:1A,2 w2:3', bm25_query('frozen_docs_tsv_bm25', '')) AS frozen;
SELECT bm25f_frozen(frozen, bm25_query('frozen_docs_tsv_bm25', 'w2 & w1:A'::tsquery)) FROM frozen_one;
SELECT bm25f_frozen(frozen, bm25_query('frozen_docs_tsv_bm25', 'w1', '{1,2,3,4}')) FROM frozen_one;
SELECT bm25f_frozen(frozen, bm25_query('frozen_docs_tsv_bm25', 'w1', b => .7)) FROM frozen_one;
SELECT bm25f_frozen(frozen, bm25_query('frozen_docs_tsv_bm25', 'w1', k1 => 1)) FROM frozen_one;
SELECT bm25f_is_stale(frozen, bm25_query('frozen_docs_tsv_bm25', '')), bm25f_is_stale(frozen, bm25_query('frozen_docs_tsv_bm25', '', k1 => 1)), bm25f_is_stale(frozen, bm25_query('frozen_docs_tsv_bm25', 'w1', '{1,2,3,4}')) FROM frozen_one;

-- A trigger keeps frozen weights. After a refresh of the statistics they are stale, still score, and are frozen again in batches.
ALTER TABLE frozen_docs ADD frozen bm25_frozen;
CREATE FUNCTION frozen_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.frozen := bm25f_freeze(NEW.tsv, bm25_query('frozen_docs_tsv_bm25', ''));
	RETURN NEW;
END $$;
CREATE TRIGGER keep_frozen BEFORE INSERT OR UPDATE OF tsv ON frozen_docs FOR EACH ROW EXECUTE FUNCTION frozen_trigger();
UPDATE frozen_docs SET tsv = tsv;
INSERT INTO frozen_docs VALUES (500, 'w1:1A w99:2');
SELECT count(*), count(frozen), count(*) FILTER (WHERE bm25f_is_stale(frozen, q)), count(*) FILTER (WHERE bm25f_frozen(frozen, q) > 0) FROM frozen_docs, bm25_query('frozen_docs_tsv_bm25', 'w99') AS q;
INSERT INTO frozen_docs SELECT i, 'w1:1,2,3,4A w2:5' FROM generate_series(501, 600) i;
SELECT bm25_analyze('frozen_docs', 'tsv');
SELECT count(*) FILTER (WHERE bm25f_is_stale(frozen, q)), max(abs(bm25f(tsv, q) - bm25f_frozen(frozen, q))) < .1 * bm25_bound(q) FROM frozen_docs, bm25_query('frozen_docs_tsv_bm25', 'w1 w50') AS q GROUP BY bm25_bound(q);
WITH s AS MATERIALIZED (SELECT bm25_query('frozen_docs_tsv_bm25', '') AS s), batch AS (SELECT id FROM frozen_docs, s WHERE bm25f_is_stale(frozen, s) LIMIT 450)
UPDATE frozen_docs SET frozen = bm25f_freeze(tsv, s) FROM s WHERE id IN (SELECT id FROM batch);
SELECT count(*) FILTER (WHERE bm25f_is_stale(frozen, q)) FROM frozen_docs, bm25_query('frozen_docs_tsv_bm25', '') AS q;
-- A generated column, by constant settings, and its statement.
SELECT format('ALTER TABLE frozen_docs ADD constant bm25_frozen GENERATED ALWAYS AS (bm25f_freeze(tsv, %L::bm25_query)) STORED', bm25_query('frozen_docs_tsv_bm25', '')) \gexec
SELECT count(*) FILTER (WHERE constant::text = frozen::text), count(*) FILTER (WHERE bm25f_is_stale(constant, q)) FROM frozen_docs, bm25_query('frozen_docs_tsv_bm25', '') AS q WHERE NOT bm25f_is_stale(frozen, q);
CREATE INDEX ON frozen_docs USING gin (tsv);
SELECT count(*) FROM (SELECT id FROM frozen_docs, bm25_query('frozen_docs_tsv_bm25', 'w50 w1') AS q WHERE tsv @@ bm25_candidates(q) ORDER BY bm25f_frozen(constant, q) DESC LIMIT 10) AS best;
SELECT attstorage FROM pg_attribute WHERE attrelid = 'frozen_docs'::regclass AND attname = 'constant';

-- Values: text and binary forms keep every bit, hostile ones are refused.
SELECT count(*), bool_and(bm25_frozen_send(constant::text::bm25_frozen) = bm25_frozen_send(constant)) FROM frozen_docs WHERE constant IS NOT NULL;
CREATE TABLE frozen_copies (frozen bm25_frozen);
\copy (SELECT constant FROM frozen_docs ORDER BY id) TO PROGRAM 'cat >"$PG_ABS_BUILDDIR"/bm25_frozen.bin' (FORMAT binary)
\copy frozen_copies FROM PROGRAM 'cat "$PG_ABS_BUILDDIR"/bm25_frozen.bin' (FORMAT binary)
SELECT count(*), (SELECT string_agg(constant::text, ' ' ORDER BY constant::text) FROM frozen_docs) = string_agg(frozen::text, ' ' ORDER BY frozen::text) FROM frozen_copies;
CREATE FUNCTION frozen_outcome(value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN value::bm25_frozen;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(': ', sqlstate, sqlerrm, detail);
END $$;
SELECT frozen_outcome(v) FROM unnest(ARRAY['', '\x', '\x01', 'gout', '\x0100000000000000', '\x010000000000000000', '\x000000000000000000', '\x020000000000000000', '\x01000000000000000000', '\x010000000000000000000000', '\x01000000000000000000000000ff',
	'\x0100000000000000000000000000', '\x01000000000000000000000001000000020102', '\x01000000000000000000000001000000010102', '\x01000000000000000000000002000000010102', '\x01000000000000000080000000000000010101',
	'\x0100000000000000000000000180000000010f', '\x01ffffffffffffffff00000000ffffffffff01']) AS v;
\copy frozen_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01' (FORMAT binary)
\copy frozen_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 0100000000000000000000000002000000010102' (FORMAT binary)
\copy frozen_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01000000000000000000000001000000020100' (FORMAT binary)
\copy frozen_copies FROM PROGRAM '"$PG_ABS_SRCDIR"/copy-binary 01000000000000000000000001000000020102' (FORMAT binary)

DROP TABLE frozen_docs, frozen_docs_tsv_bm25, frozen_long, frozen_one, frozen_copies;
DROP FUNCTION frozen_trigger, frozen_outcome;
