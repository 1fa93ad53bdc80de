-- The planner's cost of a score: by the place where documents are stored, and in foreign tables.
\set QUIET on
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
-- cost_documents(n, every): a table of n rows whose documents are out of line, and one of "every" is in line; one in 37 is NULL.
CREATE FUNCTION cost_documents(n int, every int) RETURNS TABLE (id int, doc multivector(16)) LANGUAGE sql AS $$
	SELECT i, CASE WHEN i % 37 > 0 THEN (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 16) d)::real[] ORDER BY t)
		FROM generate_series(1, CASE WHEN i % every = 0 THEN 8 ELSE 40 END) t)::multivector(16) END
	FROM generate_series(1, n) i
$$;
CREATE FUNCTION cost_plan(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('EXPLAIN (COSTS OFF) SELECT id FROM %I ORDER BY maxsim(doc, %L) DESC NULLS LAST LIMIT 5', name, '[[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]');
END $$;

-- Long documents with a few short ones, which lift the average width in the row far above that of a pointer: the index is cheaper.
CREATE TABLE cost_long (id int, doc multivector(16));
INSERT INTO cost_long SELECT * FROM cost_documents(300, 10);
CREATE INDEX cost_long_doc ON cost_long USING colbert_hnsw (doc);
ANALYZE cost_long;
SELECT avg_width FROM pg_stats WHERE tablename = 'cost_long' AND attname = 'doc';
SELECT stakind1, round(stanumbers1[1]::numeric, 2) AS external_share FROM pg_statistic WHERE starelid = 'cost_long'::regclass AND staattnum = 2;
SELECT cost_plan('cost_long');
-- All long, and all short.
CREATE TABLE cost_all_long (id int, doc multivector(16));
INSERT INTO cost_all_long SELECT * FROM cost_documents(300, 1000);
CREATE INDEX cost_all_long_doc ON cost_all_long USING colbert_hnsw (doc);
CREATE TABLE cost_short (id int, doc multivector(16));
INSERT INTO cost_short SELECT * FROM cost_documents(300, 1);
CREATE INDEX cost_short_doc ON cost_short USING colbert_hnsw (doc);
ANALYZE cost_all_long, cost_short;
SELECT cost_plan('cost_all_long');
SELECT cost_plan('cost_short');
-- Short ones with a long one here and there.
UPDATE cost_short SET doc = doc || doc || doc || doc || doc WHERE id % 150 = 0;
ANALYZE cost_short;
SELECT round(stanumbers1[1]::numeric, 2) AS external_share FROM pg_statistic WHERE starelid = 'cost_short'::regclass AND staattnum = 2;
SELECT cost_plan('cost_short');
-- Statistics that pg_upgrade carried over have a width, and no share: the size of the TOAST relation decides.
UPDATE pg_statistic SET stakind1 = 0, stanumbers1 = NULL WHERE starelid IN ('cost_long'::regclass, 'cost_short'::regclass, 'cost_all_long'::regclass) AND staattnum = 2;
SELECT cost_plan('cost_long');
SELECT cost_plan('cost_short');
SELECT cost_plan('cost_all_long');
-- The partitions of a table, each by itself.
CREATE TABLE cost_parts (id int, doc multivector(16)) PARTITION BY RANGE (id);
CREATE TABLE cost_parts_1 PARTITION OF cost_parts FOR VALUES FROM (1) TO (301);
CREATE TABLE cost_parts_2 PARTITION OF cost_parts FOR VALUES FROM (301) TO (401);
CREATE INDEX ON cost_parts USING colbert_hnsw (doc);
INSERT INTO cost_parts SELECT * FROM cost_documents(300, 10);
INSERT INTO cost_parts SELECT id + 300, doc FROM cost_documents(100, 1);
ANALYZE cost_parts;
SELECT cost_plan('cost_parts');

-- A foreign table: the remote sorts and limits, and NULLs are where the query wants them.
CREATE EXTENSION postgres_fdw;
DO $$
BEGIN
	EXECUTE format('CREATE SERVER cost_loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname %L, host %L, port %L, extensions ''colbert_pg'')',
		current_database(), split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'));
END $$;
CREATE USER MAPPING FOR CURRENT_USER SERVER cost_loop;
CREATE FOREIGN TABLE cost_far (id int, doc multivector(16)) SERVER cost_loop OPTIONS (table_name 'cost_long');
\set query '''[[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]'''
CREATE FUNCTION cost_remote(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		IF line LIKE '%Remote SQL%' THEN
			RETURN replace(trim(line), '[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]', '..');
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION cost_same(columns text, ending text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	far text;
	near text;
BEGIN
	EXECUTE format('SELECT string_agg(r::text, %L) FROM (SELECT %s FROM cost_far %s) AS r', chr(10), columns, ending) INTO far;
	EXECUTE format('SELECT string_agg(r::text, %L) FROM (SELECT %s FROM cost_long %s) AS r', chr(10), columns, ending) INTO near;
	RETURN far = near;
END $$;
-- Before ANALYZE of the foreign table and after.
SELECT cost_remote('SELECT id FROM cost_far ORDER BY maxsim(doc, ' || quote_literal(:query) || ') DESC NULLS LAST LIMIT 5');
ANALYZE cost_far;
SELECT cost_remote(format('SELECT id FROM cost_far ORDER BY %s LIMIT 5', key)), cost_same('id, ' || score, format('ORDER BY %s LIMIT 5', key))
FROM (SELECT s, format(s, quote_literal(:query)) AS score, format(s, quote_literal(:query)) || o AS key
	  FROM unnest(ARRAY['maxsim(doc, %s)', 'maxsim_cosine(doc, %s)', 'maxsim_l2(doc, %s)', 'doc <#> %s', 'doc <=> %s', 'doc <-> %s']) AS s, unnest(ARRAY['', ' DESC', ' DESC NULLS LAST', ' NULLS FIRST']) AS o) AS q
ORDER BY q;
-- Conditions, an offset, further scores in the select list, and NULL documents before all others.
SELECT cost_remote('SELECT id FROM cost_far WHERE id > 100 AND maxsim(doc, ' || quote_literal(:query) || ') > 0.5 ORDER BY maxsim(doc, ' || quote_literal(:query) || ') DESC LIMIT 5 OFFSET 10');
SELECT cost_remote('SELECT id, maxsim(doc, ' || quote_literal(:query) || '), maxsim_cosine(doc, ' || quote_literal(:query) || '), num_tokens(doc) FROM cost_far ORDER BY doc <=> ' || quote_literal(:query) || ' LIMIT 5');
SELECT id, doc IS NULL AS no_doc FROM cost_far ORDER BY maxsim(doc, :query) DESC, id LIMIT 10;
-- Documents in the hex form.
ALTER SERVER cost_loop OPTIONS (ADD options '-c colbert.multivector_output=hex');
SELECT cost_same('id, doc, maxsim(doc, ' || quote_literal(:query) || ')', 'ORDER BY maxsim(doc, ' || quote_literal(:query) || ') DESC LIMIT 30');
DROP EXTENSION postgres_fdw CASCADE;
DROP TABLE cost_long, cost_all_long, cost_short, cost_parts;
DROP FUNCTION cost_documents, cost_plan, cost_remote, cost_same;
