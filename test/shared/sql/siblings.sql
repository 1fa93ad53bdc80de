-- Index scans whose rows are merged into one order, as those of partitions: they look for the wanted rows together.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
\pset null -
SET colbert.background_merge = off;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'colbert_hnsw' ELSE 'colbert_ivf' END AS other \gset

-- item(i): three tokens near those of topic i / 4 % 40, as far from each as the noise says.
CREATE FUNCTION uniform(i int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT (hashint4(i)::float8 / 4294967296) $$;
CREATE FUNCTION item(i int, noise float8 DEFAULT .7) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT l2_normalize(multivector_agg(ARRAY(SELECT uniform(abs(i) / 4 % 40 * 100 + t * 20 + d) + noise * uniform(i * 1000 + t * 20 + d) FROM generate_series(1, 16) d)::real[])) FROM generate_series(1, 3) t $$;
CREATE TABLE asked AS SELECT q, item(-4 * q) AS query FROM generate_series(1, 10) q;
CREATE FUNCTION query(number int) RETURNS multivector LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT query FROM asked WHERE q = number); END $$;
CREATE TABLE items (id int, kind int, doc multivector(16)) PARTITION BY LIST (kind);
CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1);
CREATE TABLE items_2 PARTITION OF items FOR VALUES IN (2);
CREATE TABLE items_3 PARTITION OF items FOR VALUES IN (3);
CREATE TABLE items_4 PARTITION OF items FOR VALUES IN (4, 5) PARTITION BY LIST (kind);
CREATE TABLE items_4_4 PARTITION OF items_4 FOR VALUES IN (4);
CREATE TABLE items_4_5 PARTITION OF items_4 FOR VALUES IN (5);
INSERT INTO items SELECT i, 1 + i % 4, item(i) FROM generate_series(1, 1200) i;
CREATE INDEX items_doc ON items USING :method (doc);
ANALYZE items;

-- best(k, condition, query): ids in exact order, by a scan of all rows. found(...): by the indexes.
CREATE FUNCTION best(k int, condition text DEFAULT 'true', query multivector DEFAULT query(1)) RETURNS int[] LANGUAGE plpgsql SET enable_indexscan = off SET enable_sort = on SET enable_seqscan = on AS $$
DECLARE ids int[];
BEGIN
	EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM items WHERE %s ORDER BY doc <#> $1, id LIMIT $2) AS s', condition) INTO ids USING query, k;
	RETURN ids;
END $$;
CREATE FUNCTION found(k int, condition text DEFAULT 'true', query multivector DEFAULT query(1)) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE ids int[];
BEGIN
	EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM items WHERE %s ORDER BY doc <#> $1 LIMIT $2) AS s', condition) INTO ids USING query, k;
	RETURN ids;
END $$;
-- good(k, ...): at least eight of ten of the best rows are found, in order. (A search aims at a mean over queries.)
CREATE FUNCTION in_order(ids int[], query multivector DEFAULT query(1)) RETURNS boolean LANGUAGE sql SET enable_seqscan = on SET enable_indexscan = off AS $$
	SELECT bool_and(d >= before) IS NOT FALSE FROM (SELECT d, lag(d) OVER (ORDER BY n) AS before FROM (SELECT n, items.doc <#> query AS d FROM unnest(ids) WITH ORDINALITY AS u(id, n) JOIN items USING (id)) AS s) AS s $$;
CREATE FUNCTION is_good(found int[], best int[], query multivector DEFAULT query(1)) RETURNS boolean LANGUAGE sql SET enable_seqscan = on AS $$
	SELECT cardinality(found) = cardinality(best) AND cardinality(ARRAY(SELECT unnest(found) INTERSECT SELECT unnest(best))) >= .8 * cardinality(best) AND in_order(found, query) $$;
CREATE FUNCTION good(k int, condition text DEFAULT 'true', query multivector DEFAULT query(1)) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
	RETURN is_good(found(k, condition, query), best(k, condition, query), query);
END $$;
-- shares(): those of the last statement's searches, in order.
CREATE FUNCTION shares() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(index || ' ' || round(share::numeric, 2), ', ') FROM colbert_last_scans() $$;

EXPLAIN (COSTS OFF) SELECT id FROM items ORDER BY doc <#> '[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]]' LIMIT 10;
-- Each search knows its share, and one without documents has nearly none.
SELECT good(10);
SELECT shares();
SELECT bool_and(expected_misses >= 0), sum(expected_misses) < .5 FROM colbert_last_scans();
-- EXPLAIN (ANALYZE) shows the share of each, on servers that let extensions add to it (PostgreSQL 18).
CREATE FUNCTION explained() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM items ORDER BY doc <#> query(1) LIMIT 10';
END $$;
SELECT current_setting('server_version_num')::int < 180000 OR count(*) FILTER (WHERE line ~ 'Search Target: recall=0.97 expected_misses=[0-9.]+ share=0\.25$') = 4 FROM explained() AS line;
DROP FUNCTION explained;
-- All rows come, in order.
SELECT count(*), count(DISTINCT id) FROM unnest(found(3000)) AS id;
SELECT sum(late) < 120 AS few_late FROM colbert_last_scans();
SELECT good(100), good(1), found(0) IS NULL;

-- Unequal shares: nearly all documents are in one partition.
INSERT INTO items SELECT i, 5, item(i) FROM generate_series(1201, 4200) i;
REINDEX TABLE items_4_5;
SELECT count(*) FILTER (WHERE good(10, query => query(q))) FROM generate_series(1, 10) q;
SELECT string_agg(DISTINCT index || ' ' || round(share::numeric, 2), ', ' ORDER BY index || ' ' || round(share::numeric, 2)) FROM colbert_last_scans();
-- All of the best rows are in one small partition.
INSERT INTO items SELECT 10000 + i, 2, item(-4 - 160 * i, .3) FROM generate_series(1, 40) i;
SELECT good(10), good(40);
SELECT index, emitted FROM colbert_last_scans() WHERE emitted > 3;

-- Filters, and a threshold.
SELECT good(10, 'id % 3 = 0'), good(10, 'id % 100 = 7'), found(5, 'id = 78') = '{78}';
SELECT good(10, 'maxsim(doc, $1) > 1');

-- Pruned partitions do not count: when the plan is made, and when it runs.
SELECT good(10, 'kind IN (1, 3)');
SELECT shares();
SET plan_cache_mode = force_generic_plan;
PREPARE of_kinds(int, int, multivector) AS SELECT id FROM items WHERE kind IN ($1, $2) ORDER BY doc <#> $3 LIMIT 10;
CREATE FUNCTION of_kinds(int, int) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE ids int[] := '{}'; i int;
BEGIN
	FOR i IN EXECUTE format('EXECUTE of_kinds(%s, %s, %L)', $1, $2, query(1)) LOOP ids := ids || i; END LOOP;
	RETURN ids;
END $$;
SELECT is_good(of_kinds(1, 3), best(10, 'kind IN (1, 3)'));
SELECT shares();
SELECT is_good(of_kinds(3, 3), best(10, 'kind = 3'));
SELECT shares();
RESET plan_cache_mode;

-- A rescan begins a new round, with another query and with other partitions.
CREATE TABLE wanted (q int, kinds int[], query multivector);
INSERT INTO wanted VALUES (1, '{1,5}'), (2, '{3,5}'), (2, '{1,4}'), (1, '{1,3}'), (1, '{2,2}');
UPDATE wanted SET query = query(q);
SELECT q, kinds, is_good(found, best(10, format('kind = ANY (%L)', kinds), query), query) FROM wanted,
	LATERAL (SELECT array_agg(id) AS found FROM (SELECT id FROM items WHERE kind IN (kinds[1], kinds[2]) ORDER BY doc <#> query LIMIT 10) AS s) AS t;
SELECT shares();

-- A cursor, which reads on.
BEGIN;
DECLARE items_cursor CURSOR FOR SELECT id FROM items ORDER BY doc <#> query(1);
CREATE FUNCTION read_on(n int) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'items_cursor'; ids int[]; id int;
BEGIN
	FOR i IN 1 .. n LOOP FETCH c INTO id; ids := ids || id; END LOOP;
	RETURN ids;
END $$;
SELECT is_good(read_on(10), best(10));
SELECT in_order(read_on(40));
COMMIT;

-- Rows whose order a node relies on come in order.
SELECT is_good(array_agg(id ORDER BY n), best(12)) FROM (SELECT id, row_number() OVER (ORDER BY doc <#> query(1)) AS n FROM items LIMIT 12) AS s;
SELECT shares();
SELECT count(*) FROM (SELECT id FROM items ORDER BY doc <#> query(1) FETCH FIRST 10 ROWS WITH TIES) AS s;

-- Branches of UNION ALL with queries of their own do not share what they know.
SELECT count(*) FROM (SELECT id, doc <#> query(1) AS d FROM items_1 UNION ALL SELECT id, doc <#> query(2) FROM items_3 ORDER BY d LIMIT 3) AS s;
SELECT shares();
-- A NULL query has no order.
SELECT count(*) FROM (SELECT id FROM items ORDER BY doc <#> NULL LIMIT 10) AS s;

-- Other access methods and quantizers among the partitions, and a partition without an index, which is sorted.
DROP INDEX items_doc;
CREATE INDEX ON items_1 USING :other (doc);
CREATE INDEX ON items_2 USING :method (doc) WITH (quantizer = bit);
CREATE INDEX ON items_4_5 USING :method (doc) WITH (quantizer = sq4);
CREATE INDEX ON items_3 USING :method (doc);
SELECT count(*) FILTER (WHERE good(10, query => query(q))) FROM generate_series(1, 10) q;
SELECT string_agg(DISTINCT index || ' ' || round(share::numeric, 2), ', ' ORDER BY index || ' ' || round(share::numeric, 2)) FROM colbert_last_scans();

-- Documents divided among servers: colbert.shards, or the option.
SET colbert.shards = 4;
SELECT cardinality(found(10, 'kind = 5')), good(1, 'kind = 5');
SELECT shares();
SELECT good(10);
SELECT round(sum(share)::numeric, 2) FROM colbert_last_scans();
SELECT count(DISTINCT id) = (SELECT count(*) FROM items) AS is_whole FROM unnest(found(9000)) AS id;
RESET colbert.shards;
ALTER INDEX items_4_5_doc_idx SET (shards = 10);
SELECT cardinality(found(10, 'kind = 5')), good(1, 'kind = 5');
SELECT shares();
SET colbert.shards = 1;
SELECT good(1, 'kind = 5');
SELECT shares();
SET colbert.shards = -1;

-- L2: directions are shared, tables of sketches are not; pq has tables of its own.
CREATE INDEX ON items_1 USING :method (doc multivector_l2_ops);
CREATE INDEX ON items_2 USING :method (doc multivector_l2_ops) WITH (quantizer = pq);
CREATE INDEX ON items_3 USING :method (doc multivector_l2_ops);
CREATE INDEX ON items_4_5 USING :method (doc multivector_l2_ops) WITH (quantizer = pq);
CREATE FUNCTION near(query multivector) RETURNS int[] LANGUAGE plpgsql AS $$ BEGIN RETURN ARRAY(SELECT id FROM items ORDER BY doc <-> query LIMIT 10); END $$;
CREATE FUNCTION nearest(query multivector) RETURNS int[] LANGUAGE plpgsql SET enable_indexscan = off SET enable_sort = on SET enable_seqscan = on AS $$
BEGIN RETURN ARRAY(SELECT id FROM items ORDER BY doc <-> query LIMIT 10); END $$;
SELECT count(*) FILTER (WHERE cardinality(ARRAY(SELECT unnest(near(query(q))) INTERSECT SELECT unnest(nearest(query(q))))) >= 8) FROM generate_series(1, 10) q;
DROP TABLE items, wanted, asked;
DROP FUNCTION near, nearest, item, uniform, query, best, found, in_order, is_good, good, shares, of_kinds, read_on;

-- Partitions with different codecs: those of a coarse one do not raise the score that others must beat.
SELECT setseed(.5);
CREATE TABLE sibling_codecs (id int, part int, doc multivector(16)) PARTITION BY LIST (part);
CREATE TABLE sibling_bit PARTITION OF sibling_codecs FOR VALUES IN (0);
CREATE TABLE sibling_sq8 PARTITION OF sibling_codecs FOR VALUES IN (1);
CREATE FUNCTION random_tokens(n int, unused int) RETURNS multivector LANGUAGE sql VOLATILE AS $$
	SELECT format('[%s]', string_agg(format('[%s]', token), ','))::multivector
	FROM (SELECT string_agg((random() - .5)::text, ',') AS token FROM generate_series(1, n) AS t, generate_series(1, 16) GROUP BY t) AS tokens
$$;
INSERT INTO sibling_codecs SELECT i, i % 2, random_tokens(6, i) FROM generate_series(1, 3000) AS i;
CREATE TABLE sibling_queries AS SELECT i AS id, random_tokens(5, i) AS query FROM generate_series(1, 20) AS i;
CREATE INDEX ON sibling_bit USING :method (doc) WITH (quantizer = bit);
CREATE INDEX ON sibling_sq8 USING :method (doc) WITH (quantizer = sq8);
CREATE VIEW sibling_best AS SELECT q.id AS query, best.id, part
	FROM sibling_queries AS q, LATERAL (SELECT id, part FROM sibling_codecs ORDER BY doc <#> query LIMIT 10) AS best;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE TEMP TABLE sibling_found AS SELECT * FROM sibling_best;
SET enable_indexscan = off;
SET enable_seqscan = on;
SET enable_sort = on;
SELECT part, count(*) > 60 AS many, count(*) FILTER (WHERE (query, id) IN (SELECT query, id FROM sibling_found)) > .85 * count(*) AS found
FROM sibling_best GROUP BY part ORDER BY part;
DROP TABLE sibling_codecs, sibling_queries CASCADE;
DROP FUNCTION random_tokens;
