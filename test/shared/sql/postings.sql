-- Posting lists that are longer than a segment, name a document twice, or are rewritten. The checker agrees with the counters at all times.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 200' ELSE 'tokens_per_node = 20' END AS few_tokens \gset
SET jit = off;
\set QUIET on
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;

-- Each document has one token that all have (twice), and one of a thousand others. All lengths are 1, so that maxsim is the cosine.
CREATE FUNCTION postings_doc(i int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT l2_normalize('[[1,0,0,0],[1,0,0,0]]' || ARRAY[array_agg(sin((i % 1000) * 7919.0 + k * k * 1.37)::real ORDER BY k)]::multivector)
	FROM generate_series(1, 4) k
$$;
CREATE TABLE postings_docs (id int PRIMARY KEY, doc multivector(4));
INSERT INTO postings_docs SELECT i, postings_doc(i) FROM generate_series(1, 4000) i;
CREATE INDEX postings_index ON postings_docs USING :method (doc) WITH (:few_tokens);

-- The documents of one list, and all postings: each document once per list, whatever the number of its tokens there.
CREATE FUNCTION postings_state(OUT documents bigint, OUT pending bigint, OUT few_each bool, OUT listed bigint, OUT findings bigint) LANGUAGE plpgsql AS $$
DECLARE
	postings bigint;
BEGIN
	SELECT i.documents, i.pending_documents, i.postings INTO documents, pending, postings FROM colbert_index_info('postings_index') i;
	-- two, and a third where a node that was added lists what is near to it
	few_each := postings BETWEEN 1.95 * documents AND 3.1 * documents;
	-- one probe: the list that all documents are in; a search that wants more, because of equal scores, goes to all documents without lists
	PERFORM set_config('colbert.probes', '1', true), set_config('colbert.ef_search', '100', true), set_config('colbert.candidates', (documents * 2 / 5)::text, true);
	PERFORM id FROM postings_docs ORDER BY doc <#> '[[1,0,0,0]]' LIMIT 1;
	listed := s.postings FROM colbert_last_scan() s;
	SELECT count(*) INTO findings FROM colbert_index_check('postings_index', heapallindexed => true, rescore => true);
END $$;

-- A list of eight segments.
SELECT * FROM postings_state();
-- The same number of documents again, merged into it.
INSERT INTO postings_docs SELECT i, postings_doc(i) FROM generate_series(4001, 8000) i;
SELECT colbert_merge('postings_index');
SELECT * FROM postings_state();
-- Half of them deleted, throughout the list; then all but the last ones, so that whole segments are freed.
DELETE FROM postings_docs WHERE id % 2 = 0;
VACUUM postings_docs;
SELECT * FROM postings_state();
DELETE FROM postings_docs WHERE id <= 7000;
VACUUM postings_docs;
SELECT * FROM postings_state();
-- The same ordinals are reused, below and between the remaining ones.
INSERT INTO postings_docs SELECT i, postings_doc(i) FROM generate_series(1, 4000) i;
VACUUM postings_docs;
SELECT * FROM postings_state();
-- All are deleted, and the list starts again.
DELETE FROM postings_docs;
VACUUM postings_docs;
SELECT * FROM postings_state();
INSERT INTO postings_docs SELECT i, postings_doc(i) FROM generate_series(1, 2000) i;
VACUUM postings_docs;
SELECT * FROM postings_state();
-- A pending document is found although no list has it.
INSERT INTO postings_docs VALUES (0, '[[-1,0,0,0]]');
SELECT id FROM postings_docs ORDER BY doc <#> '[[-1,0,0,0]]' LIMIT 1;
SELECT pending, exhaustive FROM colbert_last_scan();

DROP TABLE postings_docs;
DROP FUNCTION postings_doc, postings_state;
