-- The option centroids: nodes from a table, and every table that cannot be one.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit = off;

-- 500 documents of 6 tokens with 8 dims, and 40 centroids, the first of which are the upper level of the others.
CREATE FUNCTION given_token(i int, t int) RETURNS real[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(hashint8(i * 1000 + t * 50 + k) / 2147483648.0 ORDER BY k)::real[] FROM generate_series(1, 8) k
$$;
CREATE TABLE given_docs AS
	SELECT i AS id, (SELECT multivector_agg(given_token(i, t) ORDER BY t) FROM generate_series(1, 6) t)::multivector(8) AS doc FROM generate_series(1, 500) i;
CREATE TABLE given_flat AS SELECT i::bigint AS id, NULL::bigint AS parent, given_token(-i, 1) AS embedding FROM generate_series(1, 40) i;
CREATE TABLE given_levels (embedding real[], filler text, parent smallint, id int);
INSERT INTO given_levels SELECT embedding, repeat('x', 10), CASE WHEN id > 5 THEN id % 5 + 1 END, id FROM given_flat ORDER BY id DESC;
CREATE FUNCTION given_info(OUT nodes bigint, OUT centroids regclass, OUT pending bigint, OUT findings bigint) LANGUAGE plpgsql AS $$ BEGIN
	SELECT i.nodes, i.centroids, i.pending_documents, (SELECT count(*) FROM colbert_index_check('given_index', heapallindexed => true, rescore => true))
	INTO nodes, centroids, pending, findings FROM colbert_index_info('given_index') i;
END $$;
-- The documents that a search does not find among the best ten, of 20 searches.
CREATE FUNCTION given_missed() RETURNS bigint LANGUAGE sql SET enable_seqscan = off SET enable_sort = off SET colbert.probes = 1000 SET colbert.candidates = 100000 AS $$
	SELECT count(*) FROM generate_series(1, 20) q, LATERAL (SELECT doc FROM given_docs WHERE id = q OFFSET 0) AS query
	WHERE q NOT IN (SELECT id FROM given_docs ORDER BY maxsim(given_docs.doc, query.doc) DESC LIMIT 10)
$$;

-- One level, and two.
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'public.given_flat');
SELECT * FROM given_info();
SELECT given_missed();
SELECT centroids FROM colbert_indexes WHERE index = 'given_index'::regclass;
DROP INDEX given_index;
CREATE INDEX given_index ON given_docs USING :method (doc multivector_cosine_ops) WITH (centroids = '"public".given_levels', quantizer = pq, pq_m = 4);
SELECT * FROM given_info();
-- Growth, VACUUM and merges leave the centroids of colbert_ivf alone; a graph grows.
INSERT INTO given_docs SELECT id + 500, doc FROM given_docs;
VACUUM given_docs;
SELECT nodes = 35 OR :'method' = 'colbert_hnsw', centroids, pending, findings FROM given_info();
DELETE FROM given_docs WHERE id > 500;
DROP INDEX given_index;
VACUUM given_docs;
-- The order of rows in the table does not matter.
CREATE FUNCTION given_lists() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
	RETURN (SELECT (postings, round(trained_distance::numeric, 9)) FROM colbert_index_info('given_index'));
END $$;
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'public.given_levels');
SELECT given_lists() AS lists \gset
CREATE TABLE given_sorted AS SELECT * FROM given_levels ORDER BY id;
ALTER INDEX given_index SET (centroids = 'public.given_sorted');
SELECT centroids FROM given_info();
REINDEX INDEX given_index;
SELECT centroids, given_lists() = :'lists' FROM given_info();
-- Workers share the centroids.
SET max_parallel_maintenance_workers = 2;
SET min_parallel_table_scan_size = 0;
ALTER TABLE given_docs SET (parallel_workers = 2);
REINDEX INDEX given_index;
SELECT centroids, given_lists() = :'lists' FROM given_info();
RESET max_parallel_maintenance_workers;
RESET min_parallel_table_scan_size;
ALTER TABLE given_docs RESET (parallel_workers);
DROP TABLE given_sorted;

-- A table that is gone, or does not fit, does not stop a rebuild.
REINDEX INDEX given_index;
SELECT nodes, centroids FROM given_info();
\set VERBOSITY terse
REINDEX INDEX CONCURRENTLY given_index;
VACUUM FULL given_docs;
\set VERBOSITY default
SELECT centroids FROM given_info();
ALTER INDEX given_index SET (centroids = 'public.given_flat');
VACUUM FULL given_docs;
SELECT nodes, centroids FROM given_info();
-- TRUNCATE reads nothing, since there is no row; the nodes of rows that come later are trained.
BEGIN;
TRUNCATE given_docs;
SELECT * FROM given_info();
ROLLBACK;
SELECT nodes, centroids FROM given_info();
-- With few tokens there are no nodes.
CREATE TABLE given_few AS SELECT * FROM given_docs WHERE id <= 10;
CREATE INDEX given_few_index ON given_few USING :method (doc) WITH (centroids = 'public.given_flat');
SELECT nodes, pending_documents, centroids FROM colbert_index_info('given_few_index');
DROP TABLE given_few;
DROP INDEX given_index;
-- CREATE INDEX CONCURRENTLY takes centroids too.
CREATE INDEX CONCURRENTLY given_index ON given_docs USING :method (doc) WITH (centroids = 'public.given_levels');
SELECT * FROM given_info();
DROP INDEX given_index;

-- The name has a schema.
CREATE INDEX ON given_docs USING :method (doc) WITH (centroids = 'given_flat');
CREATE INDEX ON given_docs USING :method (doc) WITH (centroids = 'a.b.c');
CREATE INDEX ON given_docs USING :method (doc) WITH (centroids = '');
CREATE INDEX ON given_docs USING :method (doc) WITH (centroids = 'public."');
-- Tables that are refused. CREATE INDEX fails, except in a restore, which turns check_function_bodies off.
CREATE PROCEDURE given_refused(make text, name text = 'public.given_bad', options text = '') LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE make;
	EXECUTE format('CREATE INDEX given_index ON given_docs USING %s (doc) WITH (centroids = %L%s)', current_setting('given.method'), name, options);
	RAISE 'it was not refused: %', make;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, message = MESSAGE_TEXT;
	-- PostgreSQL 17 builds with a search_path without public, and names the schema.
	RAISE WARNING '%: % %', SQLSTATE, message, replace(detail, 'type public.', 'type ');
END $$;
SELECT set_config('given.method', :'method', false) \g /dev/null
\set VERBOSITY terse
CALL given_refused('', 'public.nowhere');
CALL given_refused('', 'nowhere.given_flat');
CALL given_refused('CREATE TABLE given_bad (id int, parent int)');
CALL given_refused('CREATE TABLE given_bad (id int, parent int, embedding real[])');
CALL given_refused('CREATE TABLE given_bad (id text, parent int, embedding real[])');
CALL given_refused('CREATE TABLE given_bad (id int, parent numeric, embedding real[])');
CALL given_refused('CREATE TABLE given_bad (id int, parent int, embedding float8[])');
CALL given_refused('CREATE TABLE given_bad (id int, parent int, embedding multivector)');
CALL given_refused('CREATE TABLE given_bad (id int, parent int, embedding text)');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, embedding[1:7] FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, ARRAY[embedding] AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, ''{}''::real[] AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, CASE WHEN id <> 7 THEN embedding END AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, embedding[1:7] || CASE WHEN id = 7 THEN NULL ELSE 1::real END AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, embedding[1:7] || CASE WHEN id = 7 THEN ''NaN'' ELSE 1::real END AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, embedding[1:7] || CASE WHEN id = 7 THEN ''-Infinity'' ELSE 1::real END AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, embedding[1:7] || CASE WHEN id = 7 THEN 2e18 ELSE 1::real END AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT nullif(id, 7) AS id, parent, embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id % 30 AS id, parent, embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, CASE WHEN id = 9 THEN ''{0,0,0,0,0,0,0,1}'' WHEN id = 12 THEN ''{-0,0,0,0,0,0,0,1}'' ELSE embedding END AS embedding FROM given_flat');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, parent, CASE WHEN id = 1 THEN given_token(-2, 1) ELSE embedding END AS embedding FROM given_levels');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, nullif(parent, 3) AS parent, embedding FROM given_levels');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, CASE WHEN id = 20 THEN 6 ELSE parent END AS parent, embedding FROM given_levels');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, CASE WHEN id = 20 THEN 99 ELSE parent END AS parent, embedding FROM given_levels');
CALL given_refused('CREATE TABLE given_bad AS SELECT id, id AS parent, embedding FROM given_levels');
-- A view would run code of others. Nothing of it runs.
CREATE FUNCTION given_evil(real[]) RETURNS real[] LANGUAGE plpgsql VOLATILE AS $$ BEGIN RAISE WARNING 'evil code runs as %', current_user; RETURN $1; END $$;
CALL given_refused('CREATE VIEW given_bad AS SELECT id, parent, given_evil(embedding) AS embedding FROM given_flat');
CALL given_refused('CREATE SEQUENCE given_bad');
CALL given_refused('', 'public.given_docs');
CALL given_refused('', 'pg_catalog.pg_class');
SET maintenance_work_mem = '1MB';
CALL given_refused('CREATE TABLE given_bad AS SELECT i AS id, NULL::int AS parent, given_token(-i, 1) AS embedding FROM generate_series(1, 13000) i');
RESET maintenance_work_mem;
\set VERBOSITY default
SET check_function_bodies = off;
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'public.nowhere');
SELECT centroids IS NULL FROM given_info();
DROP INDEX given_index;
RESET check_function_bodies;

-- A materialized view, a partitioned table, a table with children, and a column that was dropped.
CREATE MATERIALIZED VIEW given_view AS SELECT id, parent, embedding FROM given_levels;
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'public.given_view');
SELECT centroids, given_lists() = :'lists' FROM given_info();
CREATE TABLE given_parts (gone int, id int, parent int, embedding real[]) PARTITION BY RANGE (id);
CREATE TABLE given_part1 PARTITION OF given_parts FOR VALUES FROM (MINVALUE) TO (20);
CREATE TABLE given_part2 (embedding real[], gone int, parent int, id int);
ALTER TABLE given_parts ATTACH PARTITION given_part2 FOR VALUES FROM (20) TO (MAXVALUE);
ALTER TABLE given_parts DROP gone;
INSERT INTO given_parts (id, parent, embedding) SELECT id, parent, embedding FROM given_levels;
ALTER INDEX given_index SET (centroids = 'public.given_parts');
REINDEX INDEX given_index;
SELECT centroids, given_lists() = :'lists' FROM given_info();
DROP TABLE given_parts;
CREATE TABLE given_parent (id int, parent int, embedding real[]);
CREATE TABLE given_child (more int) INHERITS (given_parent);
INSERT INTO given_parent SELECT id, parent, embedding FROM given_levels WHERE id < 20;
INSERT INTO given_child SELECT id, parent, embedding FROM given_levels WHERE id >= 20;
ALTER INDEX given_index SET (centroids = 'public.given_parent');
REINDEX INDEX given_index;
SELECT centroids, given_lists() = :'lists' FROM given_info();
DROP TABLE given_child, given_parent;
SELECT centroids::text ~ '^\d+$' FROM given_info();
DROP INDEX given_index;

-- An index of a partitioned table, and a partition that is attached after the table of centroids is gone.
CREATE TABLE given_whole (id int, doc multivector(8)) PARTITION BY RANGE (id);
CREATE TABLE given_whole1 PARTITION OF given_whole FOR VALUES FROM (0) TO (1000);
INSERT INTO given_whole SELECT * FROM given_docs;
CREATE INDEX given_whole_index ON given_whole USING :method (doc) WITH (centroids = 'public.given_view');
SELECT nodes, centroids FROM colbert_index_info('given_whole_index');
DROP MATERIALIZED VIEW given_view;
CREATE TABLE given_whole2 AS SELECT id + 1000 AS id, doc FROM given_docs;
ALTER TABLE given_whole ATTACH PARTITION given_whole2 FOR VALUES FROM (1000) TO (2000);
SELECT count(*), count(centroids) FROM colbert_partition_info('given_whole_index');
DROP TABLE given_whole;

-- The rights and the policies of the owner of the indexed table apply, whoever builds.
CREATE ROLE regress_given_owner;
CREATE ROLE regress_given_keeper;
CREATE SCHEMA given_schema;
GRANT CREATE ON SCHEMA public TO regress_given_owner;
CREATE TABLE given_schema.kept AS SELECT * FROM given_levels;
ALTER TABLE given_schema.kept OWNER TO regress_given_keeper;
ALTER TABLE given_docs OWNER TO regress_given_owner;
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'given_schema.kept');
GRANT USAGE ON SCHEMA given_schema TO regress_given_owner, regress_given_keeper;
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'given_schema.kept');
GRANT SELECT (id, parent) ON given_schema.kept TO regress_given_owner;
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'given_schema.kept');
GRANT SELECT (embedding) ON given_schema.kept TO regress_given_owner;
SET ROLE regress_given_owner;
CREATE INDEX given_index ON given_docs USING :method (doc) WITH (centroids = 'given_schema.kept');
RESET ROLE;
SELECT centroids, given_lists() = :'lists' FROM given_info();
-- A superuser's REINDEX has no more rights than the owner.
REVOKE ALL ON given_schema.kept FROM regress_given_owner;
REINDEX INDEX given_index;
SELECT centroids FROM given_info();
GRANT SELECT ON given_schema.kept TO regress_given_owner;
ALTER TABLE given_schema.kept ENABLE ROW LEVEL SECURITY;
CREATE POLICY given_policy ON given_schema.kept USING (given_evil(embedding) IS NOT NULL);
REINDEX INDEX given_index;
ALTER TABLE given_schema.kept DISABLE ROW LEVEL SECURITY;
REINDEX INDEX given_index;
SELECT centroids, given_lists() = :'lists' FROM given_info();
REVOKE CREATE ON SCHEMA public FROM regress_given_owner;
DROP SCHEMA given_schema CASCADE;
DROP TABLE given_docs, given_flat, given_levels CASCADE;
DROP ROLE regress_given_owner, regress_given_keeper;
