-- Thresholds in statements that modify rows or negate must not miss a row. Others may miss some.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
LOAD 'colbert_pg';

-- One document in twenty is ten times as long as the others, so its sketch has ten times the error.
CREATE FUNCTION exact_token(seed int, size float8) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT multivector_agg(ARRAY(SELECT size * (hashint8(seed * 100 + k) / 4294967296.0 + hashint8(-seed * 100 - k) / 4294967296.0) FROM generate_series(1, 16) k)::real[])::multivector(16)
$$;
CREATE TABLE exact_docs (id int PRIMARY KEY, lang text, doc multivector(16));
INSERT INTO exact_docs SELECT i, (ARRAY['de', 'en', 'fr'])[1 + i % 3], exact_token(i, CASE WHEN i % 20 = 0 THEN 10 ELSE 1 END) FROM generate_series(1, 2000) i;
CREATE INDEX exact_doc ON exact_docs USING :method (doc) WITH (quantizer = bit);
ALTER TABLE exact_docs ALTER doc SET STATISTICS 0;
VACUUM ANALYZE exact_docs;
CREATE TABLE exact_q (id int, q multivector(16), bound float8);
INSERT INTO exact_q SELECT i, exact_token(100000 + i, 1), NULL FROM generate_series(1, 4) i;
SET enable_indexscan = off;
UPDATE exact_q SET bound = (SELECT maxsim(doc, q) FROM exact_docs ORDER BY 1 DESC OFFSET 200 LIMIT 1);
RESET enable_indexscan;
ANALYZE exact_q;

-- For how many of the four queries a statement about q and bound returns the same numbers with the index.
CREATE FUNCTION exact_same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	by_index text;
	by_scan text;
	same int := 0;
BEGIN
	query := 'SELECT string_agg(t::text, '' '' ORDER BY t) FROM (' || query || ') AS t';
	FOR r IN SELECT q, bound FROM exact_q ORDER BY id LOOP
		PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
		EXECUTE query INTO by_index USING r.q, r.bound;
		PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true);
		EXECUTE query INTO by_scan USING r.q, r.bound;
		same := same + (by_index = by_scan)::int;
	END LOOP;
	PERFORM set_config('enable_indexscan', 'on', true);
	RETURN same || ' of 4 are the same';
END $$;
CREATE FUNCTION exact_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ '^ *(Disabled|Merge Cond|Hash Cond|Join Filter|Filter|Sort Key|Group Key):';
		RETURN NEXT regexp_replace(regexp_replace(line, '(InitPlan|SubPlan) \w+( \(returns \$\d\))?', '\1 n'), 'multivector_threshold.*', '...');
	END LOOP;
END $$;

-- A plain search above a threshold may miss rows, which the statements below must not.
SELECT exact_same('SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2');
SET colbert.exact_thresholds = on;
SELECT exact_same('SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2');
SELECT exact_same('SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2 ORDER BY maxsim(doc, $1) DESC OFFSET 0');
SELECT exact_plan($$ SELECT id FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2 $$);
RESET colbert.exact_thresholds;

-- DELETE, UPDATE and MERGE, also inside WITH; on the table itself, and on others that read it.
CREATE TABLE exact_log (id int);
INSERT INTO exact_log SELECT id FROM exact_docs;
-- The rows that a statement changes; the change itself is rolled back.
CREATE FUNCTION exact_changed(statement text, q multivector, bound float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	ids text;
BEGIN
	EXECUTE 'WITH changed AS (' || statement || ') SELECT string_agg(id::text, '' '' ORDER BY id) FROM changed' INTO ids USING q, bound;
	RAISE EXCEPTION USING errcode = 'ZZ001', message = ids;
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
	RETURN sqlerrm;
END $$;
CREATE FUNCTION exact_changes(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	by_index text;
	same int := 0;
BEGIN
	FOR r IN SELECT q, bound FROM exact_q ORDER BY id LOOP
		PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
		by_index := exact_changed(statement, r.q, r.bound);
		PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true);
		same := same + (by_index = exact_changed(statement, r.q, r.bound))::int;
	END LOOP;
	PERFORM set_config('enable_indexscan', 'on', true);
	RETURN same || ' of 4 change the same rows';
END $$;
SELECT exact_changes('DELETE FROM exact_docs WHERE maxsim(doc, $1) > $2 RETURNING id');
SELECT exact_changes('UPDATE exact_docs SET lang = ''xx'' WHERE maxsim(doc, $1) > $2 RETURNING id');
SELECT exact_changes('UPDATE exact_docs SET lang = ''xx'' WHERE doc <#~@ multivector_threshold($1, ''>'', $2) RETURNING id');
SELECT exact_changes('DELETE FROM exact_log USING exact_docs d WHERE d.id = exact_log.id AND maxsim(d.doc, $1) > $2 RETURNING exact_log.id');
SELECT exact_changes('DELETE FROM exact_log WHERE id IN (SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2) RETURNING id');
SELECT exact_changes('DELETE FROM exact_log WHERE NOT EXISTS (SELECT FROM exact_docs d WHERE d.id = exact_log.id AND maxsim(doc, $1) > $2) RETURNING id');
SELECT exact_changes('UPDATE exact_log SET id = -id WHERE id IN (SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2 ORDER BY maxsim(doc, $1) DESC LIMIT 200) RETURNING id');
CREATE FUNCTION exact_merged(q multivector, bound float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	ids text;
BEGIN
	MERGE INTO exact_log l USING (SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2) AS d ON l.id = d.id WHEN MATCHED THEN UPDATE SET id = -l.id;
	SELECT string_agg(id::text, ' ' ORDER BY id) INTO ids FROM exact_log WHERE id < 0;
	RAISE EXCEPTION USING errcode = 'ZZ001', message = ids;
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
	RETURN sqlerrm;
END $$;
SELECT exact_same('SELECT exact_merged($1, $2)');
-- The same with partitions, whose index scans are those of the parts.
CREATE TABLE exact_parts (id int, lang text, doc multivector(16)) PARTITION BY LIST (lang);
CREATE TABLE exact_parts_de PARTITION OF exact_parts FOR VALUES IN ('de');
CREATE TABLE exact_parts_rest PARTITION OF exact_parts DEFAULT;
INSERT INTO exact_parts SELECT * FROM exact_docs;
CREATE INDEX ON exact_parts USING :method (doc) WITH (quantizer = bit);
ALTER TABLE exact_parts ALTER doc SET STATISTICS 0;
ANALYZE exact_parts;
SELECT exact_changes('DELETE FROM exact_parts WHERE maxsim(doc, $1) > $2 RETURNING id');

-- Negation.
SELECT exact_same('SELECT id FROM exact_log l WHERE NOT EXISTS (SELECT FROM exact_docs d WHERE d.id = l.id AND maxsim(doc, $1) > $2)');
SELECT exact_same('SELECT id FROM exact_log l WHERE NOT EXISTS (SELECT FROM exact_docs d WHERE d.id = l.id AND maxsim(doc, $1) > $2) OR id < 0');
SELECT exact_same('SELECT id FROM exact_log l WHERE id NOT IN (SELECT id FROM exact_docs d WHERE maxsim(doc, $1) > $2)');
SELECT exact_same('SELECT id FROM exact_log l WHERE id <> ALL (SELECT id FROM exact_docs d WHERE maxsim(doc, $1) > $2)');
SELECT exact_same('SELECT id FROM exact_log EXCEPT SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2');
SELECT exact_same('SELECT id FROM exact_log EXCEPT ALL SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2');
SELECT exact_same('SELECT l.id FROM exact_log l LEFT JOIN exact_docs d ON d.id = l.id AND maxsim(d.doc, $1) > $2 WHERE d.id IS NULL');
SELECT exact_same('SELECT CASE WHEN d.id IS NULL THEN -l.id ELSE l.id END FROM exact_log l LEFT JOIN exact_docs d ON d.id = l.id AND maxsim(d.doc, $1) > $2');
SELECT exact_same('SELECT CASE WHEN d.id IS NULL THEN -l.id ELSE l.id END FROM (SELECT * FROM exact_docs WHERE maxsim(doc, $1) > $2) AS d RIGHT JOIN exact_log l ON d.id = l.id');
SELECT exact_same('SELECT CASE WHEN d.id IS NULL THEN -l.id ELSE l.id END FROM (SELECT * FROM exact_docs WHERE maxsim(doc, $1) > $2) AS d FULL JOIN exact_log l ON d.id = l.id');
SELECT exact_same('WITH near AS MATERIALIZED (SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2) SELECT id FROM exact_log WHERE id NOT IN (SELECT id FROM near)');
SELECT exact_same('WITH near AS MATERIALIZED (SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2), far AS MATERIALIZED (SELECT id FROM exact_log EXCEPT SELECT id FROM near) SELECT id FROM far');
SELECT exact_same('SELECT id FROM exact_log l WHERE NOT EXISTS (SELECT FROM (SELECT id FROM exact_docs WHERE maxsim(doc, $1) > $2 ORDER BY maxsim(doc, $1) DESC LIMIT 3000) AS d WHERE d.id = l.id)');

-- The scan returns all rows even if the planner did not expect that.
SET enable_seqscan = off;
SELECT exact_plan($$ SELECT id FROM exact_log WHERE id NOT IN (SELECT id FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2) $$);
RESET enable_seqscan;

-- Other statements keep their plans.
SELECT exact_plan($$ SELECT id FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2 FOR UPDATE $$);
SELECT trim(line) FROM exact_plan($$ SELECT id FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2 INTERSECT SELECT id FROM exact_log $$) AS line WHERE line ~ 'SetOp|Index';
SELECT exact_plan($$ INSERT INTO exact_log SELECT id FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2 $$);
SELECT exact_plan($$ SELECT count(*) FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2 $$);
SELECT exact_plan($$ DELETE FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2 $$);
SELECT exact_plan($$ DELETE FROM exact_log WHERE id IN (SELECT id FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2) $$);

-- A sub-select with an order and a LIMIT wants the best few rows, whether NULLs may replace them or not.
SELECT exact_plan($$ SELECT q.id, d.id FROM exact_q q LEFT JOIN LATERAL (SELECT id FROM exact_docs WHERE maxsim(doc, q.q) > 2 ORDER BY maxsim(doc, q.q) DESC LIMIT 3) AS d ON true $$);
SET enable_seqscan = off;
SELECT count(*) FROM exact_q q LEFT JOIN LATERAL (SELECT id FROM exact_docs WHERE maxsim(doc, q.q) > q.bound ORDER BY maxsim(doc, q.q) DESC LIMIT 3) AS d ON true;
SELECT fetched < 1500 AS searched FROM colbert_last_scan();
RESET enable_seqscan;

-- The setting also affects existing plans.
SET colbert.exact_thresholds = off;
SELECT exact_plan($$ DELETE FROM exact_docs WHERE maxsim(doc, (SELECT q FROM exact_q WHERE id = 1)) > 2 $$);
SELECT exact_changes('DELETE FROM exact_docs WHERE maxsim(doc, $1) > $2 RETURNING id') = '4 of 4 change the same rows' AS exact;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
PREPARE exact_generic(multivector, float8) AS SELECT count(*) FROM exact_docs WHERE maxsim(doc, $1) > $2;
SELECT exact_plan($$ EXECUTE exact_generic('[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]]', 1) $$);
CREATE FUNCTION exact_counts() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	r record;
	n bigint;
	right_ones int := 0;
BEGIN
	FOR r IN SELECT q, bound FROM exact_q LOOP
		EXECUTE format('EXECUTE exact_generic(%L, %L)', r.q, r.bound) INTO n;
		right_ones := right_ones + (n = 200)::int;
	END LOOP;
	RETURN right_ones;
END $$;
SELECT exact_counts() < 4 AS some_missed;
SET colbert.exact_thresholds = on;
SELECT exact_counts();
RESET enable_seqscan;
RESET plan_cache_mode;
SET colbert.exact_thresholds = maybe;
RESET colbert.exact_thresholds;
SHOW colbert.exact_thresholds;

DROP TABLE exact_docs, exact_q, exact_log, exact_parts;
DROP FUNCTION exact_token, exact_same, exact_plan, exact_changed, exact_changes, exact_merged, exact_counts;
