-- colbert_index_check reports nothing for sound indexes, whatever was done to them; who may call it, and on which relations.
-- (test/t/040_damage.pl damages files and checks that the damage is found.)
\set QUIET on
SET client_min_messages = warning;

-- All checks of an index.
CREATE FUNCTION findings(index regclass) RETURNS TABLE (severity text, part text, item bigint, message text)
	LANGUAGE sql AS 'SELECT * FROM colbert_index_check(index, heapallindexed => true, rescore => true)';

-- Empty; one row; NULLs; a rollback; deletes before VACUUM and after it.
CREATE TABLE check_small (id int PRIMARY KEY, doc multivector(3));
CREATE INDEX check_small_doc ON check_small USING colbert_hnsw (doc);
SELECT * FROM findings('check_small_doc');
INSERT INTO check_small VALUES (1, '[[1,2,3]]');
SELECT * FROM findings('check_small_doc');
INSERT INTO check_small SELECT i, CASE WHEN i % 3 > 0 THEN format('[[%s,1,0],[0,%s,-1]]', i, i)::multivector END FROM generate_series(2, 100) i;
BEGIN;
INSERT INTO check_small SELECT i, '[[0,0,1]]' FROM generate_series(101, 120) i;
SELECT * FROM findings('check_small_doc');
ROLLBACK;
SELECT * FROM findings('check_small_doc');
DELETE FROM check_small WHERE id % 2 = 0;
SELECT * FROM findings('check_small_doc');
VACUUM check_small;
SELECT * FROM findings('check_small_doc');
INSERT INTO check_small SELECT i, CASE WHEN i % 3 > 0 THEN '[[1,2,3]]'::multivector END FROM generate_series(200, 250) i;
SELECT * FROM findings('check_small_doc');

-- With nodes, every quantizer, every metric, a predicate; inserts moved by a merge, updates, and a sweep.
CREATE TABLE check_large (id int PRIMARY KEY, doc multivector(8));
INSERT INTO check_large
	SELECT i, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[]) FROM generate_series(1, 1 + i % 40) t)
	FROM generate_series(1, 400) i;
CREATE INDEX check_sq8 ON check_large USING colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4);
CREATE INDEX check_flat ON check_large USING colbert_hnsw (doc multivector_cosine_ops) WITH (tokens_per_node = 8, quantizer = flat);
CREATE INDEX check_bit ON check_large USING colbert_hnsw (doc multivector_l2_ops) WITH (tokens_per_node = 8, quantizer = bit);
CREATE INDEX check_tokens ON check_large USING colbert_hnsw (doc) WITH (tokens_per_node = 1, m = 4) WHERE id % 8 = 0;
CREATE INDEX check_ivf ON check_large USING colbert_ivf (doc) WITH (lists = 100);
CREATE INDEX check_ivf_bit ON check_large USING colbert_ivf (doc multivector_l2_ops) WITH (lists = 20, quantizer = bit);
CREATE INDEX check_sq4 ON check_large USING colbert_hnsw (doc) WITH (tokens_per_node = 8, m = 4, quantizer = sq4);
CREATE INDEX check_pq ON check_large USING colbert_ivf (doc) WITH (lists = 20, quantizer = pq);
CREATE INDEX check_partial ON check_large USING colbert_hnsw (doc) WITH (tokens_per_node = 8) WHERE id % 2 = 0;
CREATE VIEW check_all AS
	SELECT indexrelid::regclass::text AS index, f.* FROM pg_index, findings(indexrelid) AS f
	WHERE indrelid = 'check_large'::regclass AND NOT indisprimary;
SELECT * FROM check_all;
INSERT INTO check_large SELECT id + 1000, doc FROM check_large WHERE id <= 200;
UPDATE check_large SET doc = doc || doc WHERE id % 5 = 0;
SELECT * FROM check_all;
SELECT count(colbert_merge(indexrelid)) FROM pg_index WHERE indrelid = 'check_large'::regclass AND NOT indisprimary;
SELECT * FROM check_all;
DELETE FROM check_large WHERE id % 3 = 0;
VACUUM check_large;
SELECT * FROM check_all;
INSERT INTO check_large SELECT id + 3000, CASE WHEN id % 7 > 0 THEN doc END FROM check_large WHERE id <= 200;
VACUUM check_large;
SELECT * FROM check_all;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM check_all;
COMMIT;

-- An index that was created empty and trained by a merge.
CREATE TABLE check_grown (id int PRIMARY KEY, doc multivector(8));
CREATE INDEX check_grown_hnsw ON check_grown USING colbert_hnsw (doc) WITH (tokens_per_node = 8);
CREATE INDEX check_grown_ivf ON check_grown USING colbert_ivf (doc multivector_cosine_ops) WITH (lists = 50, quantizer = bit);
CREATE VIEW check_all_grown AS
	SELECT indexrelid::regclass::text AS index, f.* FROM pg_index, findings(indexrelid) AS f
	WHERE indrelid = 'check_grown'::regclass AND NOT indisprimary;
INSERT INTO check_grown SELECT * FROM check_large;
SELECT * FROM check_all_grown;
VACUUM check_grown;
SELECT nodes > 0 AS nodes, pending_documents FROM pg_index, colbert_index_info(indexrelid) WHERE indrelid = 'check_grown'::regclass AND NOT indisprimary;
SELECT * FROM check_all_grown;

-- Other kinds of tables.
CREATE TEMP TABLE check_temp AS SELECT * FROM check_large WHERE id <= 50;
CREATE INDEX check_temp_doc ON check_temp USING colbert_hnsw (doc);
INSERT INTO check_temp SELECT * FROM check_large WHERE id BETWEEN 51 AND 60;
SELECT * FROM findings('check_temp_doc');
CREATE UNLOGGED TABLE check_unlogged AS SELECT * FROM check_large WHERE id <= 50;
CREATE INDEX check_unlogged_doc ON check_unlogged USING colbert_hnsw (doc);
SELECT * FROM findings('check_unlogged_doc');
CREATE TABLE check_parts (id int, doc multivector(8)) PARTITION BY RANGE (id);
CREATE TABLE check_part PARTITION OF check_parts FOR VALUES FROM (0) TO (100);
CREATE INDEX check_parts_doc ON check_parts USING colbert_hnsw (doc);
INSERT INTO check_parts SELECT * FROM check_large WHERE id < 100;
SELECT * FROM findings('check_part_doc_idx');
SELECT * FROM findings('check_parts_doc');
CREATE INDEX check_expression ON check_small USING colbert_hnsw (((doc || doc)::multivector(3)));
SELECT * FROM findings('check_expression');

-- Relations that cannot be checked.
SELECT * FROM colbert_index_check('check_small');
SELECT * FROM colbert_index_check('check_small_pkey');
SELECT * FROM colbert_index_check(0);
SELECT * FROM colbert_index_check(NULL);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'check_small_doc'::regclass;
SELECT * FROM colbert_index_check('check_small_doc');
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'check_small_doc'::regclass;

-- Privileges: as with amcheck, superusers and roles they permit. Index expressions run as the table's owner.
CREATE ROLE regress_check_owner;
CREATE ROLE regress_check_other;
ALTER TABLE check_small OWNER TO regress_check_owner;
SET ROLE regress_check_owner;
SELECT * FROM colbert_index_check('check_small_doc');
RESET ROLE;
GRANT EXECUTE ON FUNCTION colbert_index_check TO regress_check_other;
CREATE FUNCTION check_who(doc multivector) RETURNS multivector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RAISE WARNING 'runs as %', current_user;
	RETURN doc;
END $$;
CREATE TABLE check_owned (doc multivector(3));
INSERT INTO check_owned VALUES ('[[1,2,3]]');
ALTER TABLE check_owned OWNER TO regress_check_owner;
CREATE INDEX check_owned_doc ON check_owned USING colbert_hnsw ((check_who(doc)::multivector(3)));
SET ROLE regress_check_other;
SELECT * FROM colbert_index_check('check_owned_doc', true);
RESET ROLE;

REVOKE EXECUTE ON FUNCTION colbert_index_check FROM regress_check_other;
DROP VIEW check_all, check_all_grown;
DROP TABLE check_small, check_large, check_grown, check_temp, check_unlogged, check_parts, check_owned;
DROP FUNCTION findings, check_who;
DROP ROLE regress_check_owner, regress_check_other;
