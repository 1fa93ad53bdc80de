-- UPDATEs that keep the document: the new version of a row shares it, and every row is found once, before and after VACUUM.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 20' ELSE 'tokens_per_node = 8' END AS few_tokens \gset
SET jit = off;
\set QUIET on
SET client_min_messages = warning;
SET colbert.background_merge = off;

-- Document i: n tokens with this many dims, all different. 12 tokens with 64 dims are stored out of line, 2 with 4 dims in line.
CREATE FUNCTION update_doc(i int, n int, dims int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY t)::real[]::multivector
	FROM (SELECT t, array_agg(sin(i * 7919.0 + t * 104.729 + k * k * 1.37)::real ORDER BY k) AS token
		  FROM generate_series(1, n) t, generate_series(1, dims) k GROUP BY t) s
$$;

-- The rows of a query with the index, or with a sequential scan.
CREATE FUNCTION update_rows(query text, by_index bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
	rows text;
BEGIN
	PERFORM set_config('enable_seqscan', (NOT by_index)::text, true), set_config('enable_sort', (NOT by_index)::text, true),
		set_config('enable_indexscan', by_index::text, true), set_config('enable_bitmapscan', 'off', true);
	FOR plan IN EXECUTE 'EXPLAIN ' || query LOOP
		EXIT WHEN plan ~ 'Index Scan using \w+_doc ';
	END LOOP;
	IF (plan ~ 'Index Scan using \w+_doc ') <> by_index THEN
		RAISE 'another plan: %', plan;
	END IF;
	EXECUTE format('SELECT string_agg(r::text, '' '' ORDER BY r::text) FROM (%s) r', query) INTO rows;
	RETURN rows;
END $$;

-- The documents of the index, and whether its searches are correct: in order, filtered, above a threshold, and all.
CREATE FUNCTION update_state(name text, expression text DEFAULT 'doc', condition text DEFAULT 'true',
	OUT documents bigint, OUT nulls bigint, OUT pending bigint, OUT same bool, OUT findings bigint) LANGUAGE plpgsql AS $$
DECLARE
	dims int;
	query text;
BEGIN
	EXECUTE format('SELECT dims(%s) FROM %I WHERE doc IS NOT NULL LIMIT 1', expression, name) INTO dims;
	same := true;
	FOREACH query IN ARRAY ARRAY[
		'SELECT ctid, id FROM %1$I WHERE %4$s AND %2$s IS NOT NULL ORDER BY %2$s <#> update_doc(5, 2, %3$s)',
		'SELECT ctid, id FROM %1$I WHERE %4$s AND %2$s IS NOT NULL AND id %% 9 = 0 ORDER BY %2$s <#> update_doc(5, 2, %3$s)',
		'SELECT ctid, id FROM %1$I WHERE %4$s AND maxsim(%2$s, update_doc(5, 2, %3$s)) > -1000',
		'SELECT ctid, id FROM %1$I WHERE %4$s AND %2$s IS NOT NULL']
	LOOP
		query := format(query, name, expression, dims, condition);
		same := same AND update_rows(query, true) IS NOT DISTINCT FROM update_rows(query, false);
	END LOOP;
	SELECT i.documents, i.null_documents, i.pending_documents INTO documents, nulls, pending FROM colbert_index_info((name || '_doc')::regclass) i;
	SELECT count(*) INTO findings FROM colbert_index_check((name || '_doc')::regclass, true, true);
END $$;

-- The updated column has an index, so that no update is HOT.
CREATE TABLE update_long (id int PRIMARY KEY, views int, doc multivector(64));
INSERT INTO update_long SELECT i, 0, CASE WHEN i % 50 <> 0 THEN update_doc(i, 12, 64) END FROM generate_series(1, 250) i;
CREATE INDEX update_long_doc ON update_long USING :method (doc) WITH (:few_tokens);
CREATE INDEX update_long_views ON update_long (views);
CREATE TABLE update_short (id int PRIMARY KEY, views int, doc multivector(4));
CREATE INDEX update_short_doc ON update_short USING :method (doc) WITH (:few_tokens);
CREATE INDEX update_short_views ON update_short (views);
INSERT INTO update_short SELECT i, 0, CASE WHEN i % 50 <> 0 THEN update_doc(i, 2, 4) END FROM generate_series(1, 250) i;

-- Once, again, and part of them again; then VACUUM, which leaves one version of each row.
UPDATE update_long SET views = views + 1;
UPDATE update_short SET views = views + 1;
SELECT * FROM update_state('update_long');
SELECT * FROM update_state('update_short');
UPDATE update_long SET views = views + 1;
UPDATE update_long SET views = views + 1 WHERE id % 3 = 0;
UPDATE update_short SET views = views + 1;
UPDATE update_short SET views = views + 1 WHERE id % 3 = 0;
SELECT * FROM update_state('update_long');
SELECT * FROM update_state('update_short');
VACUUM update_long, update_short;
SELECT * FROM update_state('update_long');
SELECT * FROM update_state('update_short');
SELECT relname, reltuples FROM pg_class WHERE relname LIKE 'update_%_doc' ORDER BY 1;

-- Rolled back, twice in a transaction, and in subtransactions.
BEGIN;
UPDATE update_long SET views = views + 1;
UPDATE update_long SET views = views + 1;
ROLLBACK;
SELECT * FROM update_state('update_long');
BEGIN;
UPDATE update_long SET views = views + 1;
SAVEPOINT s;
UPDATE update_long SET views = views + 1;
SELECT * FROM update_state('update_long');
ROLLBACK TO s;
UPDATE update_long SET views = views + 1 WHERE id % 2 = 0;
SAVEPOINT t;
UPDATE update_long SET views = views + 1 WHERE id % 4 = 0;
RELEASE t;
SELECT * FROM update_state('update_long');
COMMIT;
SELECT * FROM update_state('update_long');
VACUUM update_long;
SELECT * FROM update_state('update_long');

-- The column is assigned its own value; ON CONFLICT, MERGE; a locked row.
UPDATE update_long SET doc = doc, views = 0;
UPDATE update_short SET doc = doc, views = 0;
SELECT * FROM update_state('update_short');
INSERT INTO update_long VALUES (1, 7, NULL) ON CONFLICT (id) DO UPDATE SET views = excluded.views;
MERGE INTO update_long u USING (VALUES (2, 7), (3, 7)) v (id, views) ON u.id = v.id WHEN MATCHED THEN UPDATE SET views = v.views;
BEGIN;
SELECT id FROM update_long WHERE id = 4 FOR KEY SHARE;
SAVEPOINT s;
UPDATE update_long SET views = 8 WHERE id = 4;
COMMIT;
SELECT * FROM update_state('update_long');

-- A trigger changes the document of every other row. Documents are replaced by NULL, and back.
CREATE FUNCTION update_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id % 2 = 0 AND NEW.doc IS NOT NULL THEN
		NEW.doc := update_doc(NEW.id + 1000, 12, 64);
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER update_change BEFORE UPDATE ON update_long FOR EACH ROW EXECUTE FUNCTION update_change();
UPDATE update_long SET views = 9 WHERE id <= 50;
SELECT * FROM update_state('update_long');
DROP TRIGGER update_change ON update_long;
UPDATE update_long SET doc = NULL WHERE id BETWEEN 11 AND 20;
UPDATE update_long SET views = 10 WHERE id BETWEEN 11 AND 30;
UPDATE update_long SET doc = update_doc(id, 12, 64) WHERE id BETWEEN 11 AND 15;
UPDATE update_long SET views = 11 WHERE id BETWEEN 11 AND 30;
SELECT * FROM update_state('update_long');
DELETE FROM update_long WHERE id % 2 = 0;
VACUUM update_long;
SELECT * FROM update_state('update_long');
SELECT dead_documents, free_documents FROM colbert_index_info('update_long_doc');
INSERT INTO update_long SELECT i, 0, update_doc(i, 12, 64) FROM generate_series(2, 200, 2) i;
UPDATE update_long SET views = 12;
SELECT * FROM update_state('update_long');

-- The same row again and again: a document serves at most 64 versions.
DO $$
BEGIN
	FOR i IN 1..200 LOOP
		UPDATE update_short SET views = views + 1 WHERE id = 7;
	END LOOP;
END $$;
SELECT * FROM update_state('update_short');
VACUUM update_short;
SELECT * FROM update_state('update_short');

-- Builds on tables with several versions of rows.
UPDATE update_long SET views = 13;
REINDEX INDEX CONCURRENTLY update_long_doc;
UPDATE update_long SET views = 14;
SELECT documents, pending, same, findings FROM update_state('update_long');
DROP INDEX update_long_doc;
CREATE INDEX CONCURRENTLY update_long_doc ON update_long USING :method (doc) WITH (:few_tokens);
UPDATE update_long SET views = 15;
VACUUM update_long;
SELECT * FROM update_state('update_long');

-- HOT updates before an index is created, and after: the index refers to the root of a chain.
CREATE TABLE update_hot (id int PRIMARY KEY, views int, name text, doc multivector(64)) WITH (fillfactor = 30);
INSERT INTO update_hot SELECT i, 0, 'a', update_doc(i, 12, 64) FROM generate_series(1, 60) i;
UPDATE update_hot SET views = 1;
CREATE INDEX update_hot_doc ON update_hot USING :method (doc) WITH (:few_tokens);
CREATE INDEX update_hot_name ON update_hot (name);
UPDATE update_hot SET views = 2;
UPDATE update_hot SET name = 'b';
UPDATE update_hot SET views = 3;
UPDATE update_hot SET name = 'c';
SELECT * FROM update_state('update_hot');
VACUUM update_hot;
UPDATE update_hot SET name = 'd', views = 4;
SELECT * FROM update_state('update_hot');

-- An index on an expression that reads two columns; and a partial one.
CREATE FUNCTION update_double(doc multivector, twice bool) RETURNS multivector LANGUAGE sql IMMUTABLE
	RETURN CASE WHEN twice THEN (doc || doc)::multivector(64) ELSE doc::multivector(64) END;
CREATE TABLE update_expression (id int PRIMARY KEY, views int, twice bool, doc multivector);
INSERT INTO update_expression SELECT i, 0, i % 2 = 0, update_doc(i, 12, 64) FROM generate_series(1, 100) i;
CREATE INDEX update_expression_doc ON update_expression USING :method ((update_double(doc, twice)::multivector(64))) WITH (:few_tokens);
CREATE INDEX update_expression_views ON update_expression (views);
UPDATE update_expression SET views = 1;
SELECT * FROM update_state('update_expression', 'update_double(doc, twice)::multivector(64)');
UPDATE update_expression SET twice = NOT twice WHERE id <= 10;
UPDATE update_expression SET views = 2;
VACUUM update_expression;
SELECT * FROM update_state('update_expression', 'update_double(doc, twice)::multivector(64)');
CREATE TABLE update_partial (id int PRIMARY KEY, views int, doc multivector(64));
INSERT INTO update_partial SELECT i, i % 4, update_doc(i, 12, 64) FROM generate_series(1, 100) i;
CREATE INDEX update_partial_doc ON update_partial USING :method (doc) WITH (:few_tokens) WHERE views > 0;
UPDATE update_partial SET views = views + 1;
SELECT * FROM update_state('update_partial', 'doc', 'views > 0');
UPDATE update_partial SET views = views - 2;
UPDATE update_partial SET views = views + 2;
SELECT documents >= 100 AS documents, same, findings FROM update_state('update_partial', 'doc', 'views > 0');
VACUUM update_partial;
SELECT documents, same, findings FROM update_state('update_partial', 'doc', 'views > 0');

-- Many rows with the same document in line: their bucket is full, so most of them are inserted again.
CREATE TABLE update_equal (id int PRIMARY KEY, views int, doc multivector(4));
INSERT INTO update_equal SELECT i, 0, '[[1,2,3,4]]' FROM generate_series(1, 2000) i;
CREATE INDEX update_equal_doc ON update_equal USING :method (doc);
CREATE INDEX update_equal_views ON update_equal (views);
UPDATE update_equal SET views = 1;
SELECT documents > 2000 AS documents, same, findings FROM update_state('update_equal');
VACUUM update_equal;
SELECT documents, same, findings FROM update_state('update_equal');

-- Rows that move to another partition, and within one.
CREATE TABLE update_parts (id int, views int, doc multivector(64)) PARTITION BY RANGE (views);
CREATE TABLE update_part1 PARTITION OF update_parts FOR VALUES FROM (0) TO (10);
CREATE TABLE update_part2 PARTITION OF update_parts FOR VALUES FROM (10) TO (20);
CREATE INDEX ON update_parts (views);
INSERT INTO update_parts SELECT i, 0, update_doc(i, 12, 64) FROM generate_series(1, 20) i;
CREATE INDEX update_part1_doc ON update_part1 USING :method (doc);
CREATE INDEX update_part2_doc ON update_part2 USING :method (doc);
UPDATE update_parts SET views = 1;
UPDATE update_parts SET views = 11 WHERE id <= 5;
UPDATE update_parts SET views = views + 1;
SELECT * FROM update_state('update_part1');
SELECT * FROM update_state('update_part2');

DROP TABLE update_long, update_short, update_hot, update_expression, update_partial, update_equal, update_parts;
DROP FUNCTION update_double, update_change, update_state, update_rows, update_doc;
