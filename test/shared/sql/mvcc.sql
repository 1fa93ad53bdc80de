-- Visibility in one session: a search sees its own changes, savepoints, cursors, and versions of a row. test/isolation has other sessions.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

CREATE TABLE mvcc_docs (id int PRIMARY KEY, note text, doc multivector(2)) WITH (fillfactor = 50);
INSERT INTO mvcc_docs SELECT i, '', format('[[%s,1]]', i)::multivector FROM generate_series(1, 50) i;
CREATE INDEX mvcc_index ON mvcc_docs USING :method (doc);
SET enable_seqscan = off;
SET enable_sort = off;
CREATE VIEW best AS SELECT id FROM mvcc_docs ORDER BY maxsim(doc, '[[1,0]]') DESC NULLS LAST LIMIT 4;
CREATE VIEW above AS SELECT id FROM mvcc_docs WHERE maxsim(doc, '[[1,0]]') > 47.5;
EXPLAIN (COSTS OFF) SELECT * FROM best;
EXPLAIN (COSTS OFF) SELECT * FROM above;
CREATE VIEW seen AS SELECT (SELECT array_agg(id) FROM best) AS best, (SELECT array_agg(id ORDER BY id) FROM above) AS above;

-- A transaction sees its own changes, and nobody sees them once it is rolled back.
BEGIN;
INSERT INTO mvcc_docs VALUES (100, '', '[[100,1]]');
TABLE seen;
UPDATE mvcc_docs SET doc = '[[0,1]]' WHERE id = 50;
DELETE FROM mvcc_docs WHERE id = 49;
TABLE seen;
ROLLBACK;
TABLE seen;

-- Savepoints, and failing blocks of PL/pgSQL.
BEGIN;
INSERT INTO mvcc_docs VALUES (101, '', '[[101,1]]');
SAVEPOINT one;
INSERT INTO mvcc_docs VALUES (102, '', '[[102,1]]');
SAVEPOINT two;
DELETE FROM mvcc_docs WHERE id IN (50, 101);
TABLE seen;
ROLLBACK TO two;
TABLE seen;
ROLLBACK TO one;
TABLE seen;
DO $$
BEGIN
	BEGIN
		INSERT INTO mvcc_docs VALUES (103, '', '[[103,1]]');
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO mvcc_docs VALUES (104, '', '[[104,1]]');
	END;
END $$;
TABLE seen;
ROLLBACK;
TABLE seen;

-- A statement does not see its own changes; a cursor does not see changes made after it was opened.
WITH gone AS (DELETE FROM mvcc_docs WHERE id IN (SELECT id FROM best) RETURNING id) SELECT array_agg(g.id ORDER BY g.id), (SELECT array_agg(id) FROM best) FROM gone g;
TABLE seen;
INSERT INTO mvcc_docs SELECT i, '', format('[[%s,1]]', i)::multivector FROM generate_series(47, 50) i;
BEGIN;
DECLARE c NO SCROLL CURSOR FOR SELECT id FROM mvcc_docs ORDER BY doc <#> '[[1,0]]' LIMIT 5;
DECLARE d NO SCROLL CURSOR FOR SELECT id FROM mvcc_docs WHERE maxsim(doc, '[[1,0]]') > 46.5;
FETCH 1 FROM c;
FETCH 1 FROM d;
DELETE FROM mvcc_docs WHERE id IN (48, 50);
INSERT INTO mvcc_docs VALUES (105, '', '[[105,1]]');
UPDATE mvcc_docs SET doc = '[[106,1]]' WHERE id = 1;
SELECT colbert_merge('mvcc_index') >= 0;
FETCH ALL FROM c;
MOVE ALL FROM d;
TABLE seen;
ROLLBACK;

-- Versions of a row: a HOT update does not touch the index, and the row is returned once, in its current version.
SELECT colbert_merge('mvcc_index') >= 0;
UPDATE mvcc_docs SET note = 'one' WHERE id = 50;
UPDATE mvcc_docs SET note = note || ', two' WHERE id = 50;
SELECT pending_documents FROM colbert_index_info('mvcc_index');
SELECT id, note FROM mvcc_docs ORDER BY doc <#> '[[1,0]]' LIMIT 2;
SELECT id, note FROM mvcc_docs WHERE maxsim(doc, '[[1,0]]') > 49;
UPDATE mvcc_docs SET doc = '[[200,1]]', note = 'three' WHERE id = 50;
UPDATE mvcc_docs SET doc = '[[2.5,1]]', note = 'four' WHERE id = 50;
UPDATE mvcc_docs SET doc = '[[48.5,1]]', note = 'five' WHERE id = 50;
SELECT id, note FROM mvcc_docs ORDER BY doc <#> '[[1,0]]' LIMIT 3;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM mvcc_docs ORDER BY doc <#> '[[1,0]]') AS t;
INSERT INTO mvcc_docs VALUES (50, 'new', '[[300,1]]') ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, note = 'six';
SELECT id, note FROM mvcc_docs ORDER BY doc <#> '[[1,0]]' LIMIT 2;
VACUUM mvcc_docs;
SELECT id, note FROM mvcc_docs ORDER BY doc <#> '[[1,0]]' LIMIT 2;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM mvcc_docs ORDER BY doc <#> '[[1,0]]') AS t;

-- TRUNCATE, and its rollback.
BEGIN;
TRUNCATE mvcc_docs;
TABLE seen;
INSERT INTO mvcc_docs VALUES (1, '', '[[1,1]]');
TABLE seen;
ROLLBACK;
TABLE seen;

DROP VIEW seen, best, above;
DROP TABLE mvcc_docs;
