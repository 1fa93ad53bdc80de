-- Edge cases of an access method: counters after merges and VACUUM, and indexes that are not ready.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 300' ELSE 'tokens_per_node = 4' END AS few_tokens \gset
-- enable_seqscan = off raises costs so much that every statement would be JIT-compiled.
SET jit = off;
\set QUIET on
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;

-- Document i: n tokens with this many dims, all different.
CREATE FUNCTION edge_doc(i int, n int, dims int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY t)::real[]::multivector
	FROM (SELECT t, array_agg(sin(i * 7919.0 + t * 104.729 + k * k * 1.37)::real ORDER BY k) AS token
		  FROM generate_series(1, n) t, generate_series(1, dims) k GROUP BY t) s
$$;

-- Without nodes: VACUUM removes dead documents from the queue, and their tokens from the count.
CREATE TABLE edge_pending (id int, doc multivector(4));
CREATE INDEX edge_pending_doc ON edge_pending USING :method (doc);
-- A query of other dims is refused, even if there is nothing to score.
SELECT id FROM edge_pending ORDER BY doc <#> '[[1,2,3,4,5]]' LIMIT 1;
INSERT INTO edge_pending SELECT i, edge_doc(i, 3, 4) FROM generate_series(1, 10) i;
DELETE FROM edge_pending WHERE id <= 4;
VACUUM edge_pending;
SELECT documents, tokens, pending_documents, pending_tokens FROM colbert_index_info('edge_pending_doc');
-- Larger documents do not get the places of those that are gone.
INSERT INTO edge_pending SELECT i, edge_doc(i, 10, 4) FROM generate_series(11, 14) i;
SELECT * FROM colbert_index_check('edge_pending_doc', heapallindexed => true, rescore => true);

-- Each quantizer and score, through insert, merge, delete, VACUUM and insert: every row once, in exact order unless a row was late.
CREATE FUNCTION edge_rows(name text, op text, OUT n bigint, OUT ids bigint, OUT in_order bool) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(*), count(DISTINCT ctid), coalesce(bool_and(o), true)
		FROM (SELECT ctid, s >= lag(s) OVER () AS o FROM
			(SELECT ctid, doc %s edge_doc(5, 3, 31) AS s FROM %I WHERE doc IS NOT NULL ORDER BY doc %s edge_doc(5, 3, 31)) r) r', op, name, op)
	INTO n, ids, in_order;
	in_order := in_order OR (SELECT late > 0 FROM colbert_last_scan());
END $$;
SET colbert.pending_limit = 0;
SET colbert.background_merge = off;
CREATE TABLE edge_codecs AS
	SELECT format('edge_%s_%s', codec, score) AS name, codec, score, op, :'method' AS method, :'few_tokens' AS few_tokens
	FROM unnest('{sq8,sq4,pq,flat,bit}'::text[]) codec, unnest('{maxsim,cosine,l2}'::text[], '{<#>,<=>,<->}'::text[]) s (score, op);
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM edge_codecs LOOP
		EXECUTE format('CREATE TABLE %I (id int, doc multivector(31))', r.name);
		EXECUTE format('CREATE INDEX %I ON %I USING %I (doc multivector_%s_ops) WITH (quantizer = %L, %s)',
			r.name || '_doc', r.name, r.method, r.score, r.codec, r.few_tokens);
		EXECUTE format('INSERT INTO %I SELECT i, CASE WHEN i %% 40 <> 0 THEN edge_doc(i, 10 + i %% 7, 31) END FROM generate_series(1, 190) i', r.name);
		PERFORM colbert_merge((r.name || '_doc')::regclass);
		EXECUTE format('DELETE FROM %I WHERE id %% 2 = 0', r.name);
	END LOOP;
END $$;
VACUUM edge_sq8_maxsim, edge_sq8_cosine, edge_sq8_l2, edge_sq4_maxsim, edge_sq4_cosine, edge_sq4_l2, edge_pq_maxsim, edge_pq_cosine, edge_pq_l2, edge_flat_maxsim, edge_flat_cosine, edge_flat_l2, edge_bit_maxsim, edge_bit_cosine, edge_bit_l2;
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM edge_codecs LOOP
		EXECUTE format('INSERT INTO %I SELECT i, edge_doc(i, 3 + i %% 7, 31) FROM generate_series(1, 60) i', r.name);
	END LOOP;
END $$;
RESET colbert.pending_limit;
RESET colbert.background_merge;
-- inserts merge in steps, and may leave some
SELECT count(colbert_merge((name || '_doc')::regclass)) FROM edge_codecs;
SELECT name, documents, null_documents, nodes > 0 AS nodes, pending_documents, free_documents, r.*
FROM edge_codecs, colbert_index_info((name || '_doc')::regclass), edge_rows(name, op) r ORDER BY name;

-- Tokens that are all equal, or zero, share one node. A document's copies of a token are indexed once, and zeros only if it has no other
-- tokens.
CREATE TABLE edge_alike (id int, doc multivector(4));
INSERT INTO edge_alike SELECT i, '[[0,0,0,0],[0,0,0,0]]' FROM generate_series(1, 2400) i;
CREATE INDEX edge_alike_doc ON edge_alike USING :method (doc multivector_cosine_ops) WITH (:few_tokens);
INSERT INTO edge_alike SELECT i, '[[0,0,0,0],[0,0,0,0]]' FROM generate_series(1, 100) i;
VACUUM edge_alike;
SELECT documents, tokens, nodes, pending_documents FROM colbert_index_info('edge_alike_doc');
SELECT count(*), count(DISTINCT score) FROM (SELECT doc <=> '[[1,2,3,4]]' AS score FROM edge_alike ORDER BY 1) s;

-- An index whose concurrent build failed is not merged, because nobody may change its pages.
CREATE TABLE edge_failed (doc multivector);
INSERT INTO edge_failed VALUES ('[[1,2]]'), ('[[1,2,3]]');
CREATE INDEX CONCURRENTLY edge_failed_doc ON edge_failed USING :method ((doc::multivector(2)));
SELECT colbert_merge('edge_failed_doc');
DELETE FROM edge_failed WHERE dims(doc) = 3;
REINDEX INDEX CONCURRENTLY edge_failed_doc;
SELECT colbert_merge('edge_failed_doc');
SELECT doc FROM edge_failed ORDER BY doc::multivector(2) <#> '[[1,0]]' LIMIT 1;

DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM edge_codecs LOOP
		EXECUTE format('DROP TABLE %I', r.name);
	END LOOP;
END $$;
DROP TABLE edge_pending, edge_alike, edge_failed, edge_codecs;
DROP FUNCTION edge_doc, edge_rows;
