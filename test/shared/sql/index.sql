-- Indexes of an access method: supported columns, the order of the rows, and rejected definitions.
-- Document i of most tables below is [[i,0]], so that maxsim with [[1,0]] is i.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 300' ELSE 'tokens_per_node = 4' END AS few_tokens \gset
\set QUIET on
\pset null NULL
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;

-- The plan of a query, without differences between versions of PostgreSQL.
CREATE FUNCTION index_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ '^ *Disabled:';
		RETURN NEXT line;
	END LOOP;
END $$;

-- An empty table: no rows until some are inserted.
CREATE TABLE index_empty (id int, doc multivector(2));
CREATE INDEX index_empty_doc ON index_empty USING :method (doc);
SELECT index_plan($$ SELECT id FROM index_empty ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3 $$);
SELECT id FROM index_empty ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3;
SELECT documents, tokens, null_documents, nodes, pending_documents FROM colbert_index_info('index_empty_doc');
INSERT INTO index_empty VALUES (1, '[[1,0]]'), (3, '[[3,0],[-1,-1]]'), (NULL, NULL), (2, '[[2,0]]');
SELECT id, maxsim(doc, '[[1,0]]') FROM index_empty ORDER BY 2 DESC;
SELECT documents, tokens, null_documents, nodes, pending_documents FROM colbert_index_info('index_empty_doc');
TRUNCATE index_empty;
SELECT id FROM index_empty ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3;
SELECT documents, null_documents FROM colbert_index_info('index_empty_doc');
INSERT INTO index_empty VALUES (4, '[[4,0]]');
SELECT id FROM index_empty ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3;

-- A tiny table: one document with one token of one dim.
CREATE TABLE index_tiny (doc multivector(1));
INSERT INTO index_tiny VALUES ('[[-2]]');
CREATE INDEX ON index_tiny USING :method (doc);
SELECT doc, maxsim(doc, '[[3]]') FROM index_tiny ORDER BY 2 DESC LIMIT 10;
SELECT doc FROM index_tiny ORDER BY maxsim(doc, '[[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0],[0]]') DESC;

-- NULL documents come first with DESC, last if requested, and not at all with WHERE doc IS NOT NULL; before the index exists and after.
CREATE TABLE index_nulls (id int PRIMARY KEY, doc multivector(2));
INSERT INTO index_nulls SELECT i, CASE WHEN i % 4 > 0 THEN format('[[%s,0]]', i)::multivector END FROM generate_series(1, 8) i;
CREATE INDEX index_nulls_doc ON index_nulls USING :method (doc);
INSERT INTO index_nulls SELECT i, CASE WHEN i % 4 > 0 THEN format('[[%s,0]]', i)::multivector END FROM generate_series(9, 12) i;
SELECT id, maxsim(doc, '[[1,0]]') FROM index_nulls ORDER BY 2 DESC, id;
SELECT id, maxsim(doc, '[[1,0]]') FROM index_nulls ORDER BY 2 DESC NULLS LAST, id;
SELECT id, doc <#> '[[1,0]]' AS distance FROM index_nulls ORDER BY 2, id LIMIT 3;
SELECT id FROM index_nulls WHERE doc IS NOT NULL ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5;
SELECT index_plan($$ SELECT id FROM index_nulls WHERE doc IS NULL $$);
SELECT id FROM index_nulls WHERE doc IS NULL;
SELECT index_plan($$ SELECT count(*) FROM index_nulls WHERE doc IS NOT NULL $$);
SELECT count(*), count(doc) FROM index_nulls WHERE doc IS NOT NULL;
SELECT id FROM index_nulls WHERE doc IS NULL ORDER BY maxsim(doc, '[[1,0]]') DESC, id;
SELECT id FROM index_nulls WHERE doc IS NULL AND doc IS NOT NULL ORDER BY maxsim(doc, '[[1,0]]') DESC;
UPDATE index_nulls SET doc = CASE id WHEN 4 THEN '[[4,0]]'::multivector END WHERE id IN (4, 11);
DELETE FROM index_nulls WHERE id = 8;
SELECT id, maxsim(doc, '[[1,0]]') FROM index_nulls ORDER BY 2 DESC, id LIMIT 8;
VACUUM index_nulls;
INSERT INTO index_nulls VALUES (13, NULL), (14, '[[14,0]]');
SELECT id FROM index_nulls ORDER BY maxsim(doc, '[[1,0]]') DESC, id LIMIT 8;
SELECT documents, null_documents FROM colbert_index_info('index_nulls_doc');

CREATE TABLE index_all_null (id int, doc multivector(2));
INSERT INTO index_all_null SELECT i FROM generate_series(1, 3) i;
CREATE INDEX index_all_null_doc ON index_all_null USING :method (doc);
SELECT count(*) FROM (SELECT id FROM index_all_null ORDER BY maxsim(doc, '[[1,0]]') DESC) t;
SELECT count(*) FROM (SELECT id FROM index_all_null ORDER BY maxsim(doc, '[[1,0]]') DESC NULLS LAST LIMIT 2) t;
SELECT count(*) FROM (SELECT id FROM index_all_null WHERE doc IS NOT NULL ORDER BY maxsim(doc, '[[1,0]]') DESC) t;
INSERT INTO index_all_null VALUES (4, '[[4,0]]');
SELECT id FROM index_all_null ORDER BY maxsim(doc, '[[1,0]]') DESC NULLS LAST LIMIT 1;

-- Equal documents: each is returned once.
CREATE TABLE index_equal (id int, doc multivector(2));
INSERT INTO index_equal SELECT i, '[[1,2],[3,4]]' FROM generate_series(1, 2000) i;
CREATE INDEX index_equal_doc ON index_equal USING :method (doc);
INSERT INTO index_equal SELECT i, '[[1,2],[3,4]]' FROM generate_series(2001, 2100) i;
SELECT count(*), count(DISTINCT id), min(score), max(score)
FROM (SELECT id, maxsim(doc, '[[1,0],[0,1]]') AS score FROM index_equal ORDER BY score DESC) t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM index_equal WHERE id % 100 = 0 ORDER BY maxsim(doc, '[[1,0],[0,1]]') DESC LIMIT 15) t;

-- Every document is returned in order, whatever the LIMIT; a filter does not make a LIMIT return too few rows.
CREATE TABLE index_docs (id int PRIMARY KEY, doc multivector(2));
INSERT INTO index_docs SELECT i, format('[[%s,0],[-1,1]]', i)::multivector FROM generate_series(1, 1000) i;
CREATE INDEX index_docs_doc ON index_docs USING :method (doc) WITH (quantizer = flat, rerank = 10000);
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5;
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC OFFSET 995 LIMIT 100;
SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE id = 1001 - place)
FROM (SELECT id, row_number() OVER () AS place FROM (SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5000) t) t;
SELECT id FROM index_docs WHERE id % 300 = 1 ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5;
SELECT id FROM index_docs WHERE id < 0 ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5;
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 0;
SELECT index, query_tokens, tested, passed, emitted, late FROM colbert_last_scan();

-- Uncommitted rows are seen only by their own transaction, and rolled back rows by none.
BEGIN;
INSERT INTO index_docs VALUES (2000, '[[2000,0]]');
DELETE FROM index_docs WHERE id = 1000;
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3;
ROLLBACK;
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3;
UPDATE index_docs SET id = 1001, doc = '[[1001,0]]' WHERE id = 1;
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3;

-- Cursors move forward, and also backward with SCROLL.
BEGIN;
DECLARE forward CURSOR FOR SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC;
FETCH 2 FROM forward;
FETCH FROM forward;
MOVE 100 FROM forward;
FETCH FROM forward;
DECLARE scroll SCROLL CURSOR WITH HOLD FOR SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 4;
FETCH 3 FROM scroll;
FETCH BACKWARD 2 FROM scroll;
FETCH BACKWARD FROM forward;
ROLLBACK;
BEGIN;
DECLARE hold CURSOR WITH HOLD FOR SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 4;
FETCH 1 FROM hold;
COMMIT;
DELETE FROM index_docs WHERE id = 999;
FETCH ALL FROM hold;
CLOSE hold;
BEGIN;
DECLARE target CURSOR FOR SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC FOR UPDATE;
FETCH 2 FROM target;
DELETE FROM index_docs WHERE CURRENT OF target;
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 3;
ROLLBACK;

-- Rescans with a different query each, one of them NULL.
SET enable_memoize = off;
CREATE TABLE index_queries (id int, q multivector);
INSERT INTO index_queries VALUES (1, '[[1,0]]'), (2, '[[-1,0]]'), (3, NULL), (4, '[[1,0],[-1,0]]');
SELECT index_plan($$ SELECT q.id, d.id FROM index_queries q, LATERAL (SELECT id FROM index_docs ORDER BY maxsim(doc, q.q) DESC LIMIT 2) d $$);
-- Many documents have the best score of the second query.
SELECT q.id, CASE q.id WHEN 1 THEN d.id END AS id, d.score FROM index_queries q, LATERAL (SELECT id, maxsim(doc, q.q) AS score FROM index_docs ORDER BY maxsim(doc, q.q) DESC LIMIT 2) d WHERE q.id IN (1, 2);
SELECT q.id, count(d.id) FROM index_queries q, LATERAL (SELECT id FROM index_docs ORDER BY maxsim(doc, q.q) DESC LIMIT 2) d GROUP BY q.id ORDER BY q.id;
RESET enable_memoize;

-- A NULL query returns every row, in any order.
PREPARE index_prepared(multivector) AS SELECT id FROM index_nulls ORDER BY maxsim(doc, $1) DESC;
SET plan_cache_mode = force_generic_plan;
SELECT index_plan($$ EXECUTE index_prepared(NULL) $$);
CREATE TEMP TABLE index_result AS EXECUTE index_prepared(NULL);
SELECT count(*), count(DISTINCT id) FROM index_result;
SELECT count(*) FROM (SELECT id FROM index_nulls ORDER BY maxsim(doc, NULL) DESC) t;

-- If no column is needed, rows are counted in the table.
SELECT index_plan($$ SELECT count(*) FROM index_all_null $$);
SELECT count(*) FROM index_all_null;
DROP TABLE index_result;

-- A query with other dims is an error, with or without the index; in an empty table there is nothing to compare it with.
EXECUTE index_prepared('[[1,2,3]]');
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1]]') DESC LIMIT 1;
SET enable_indexscan = off;
SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1]]') DESC LIMIT 1;
RESET enable_indexscan;
RESET plan_cache_mode;
INSERT INTO index_docs VALUES (3000, '[[1,2,3]]');

-- Element formats, of documents and of queries.
CREATE TABLE index_elements (id int, half multivector(2, float2), byte multivector(2, int8));
INSERT INTO index_elements SELECT i, format('[[%s,0]]', i)::multivector, format('[[%s,0]]', i)::multivector FROM generate_series(1, 100) i;
CREATE INDEX ON index_elements USING :method (half);
CREATE INDEX ON index_elements USING :method (byte multivector_l2_ops) WITH (quantizer = bit);
SELECT id, maxsim(half, '[[1,0]]'::multivector(2, int8)) FROM index_elements ORDER BY 2 DESC LIMIT 3;
SELECT id FROM index_elements ORDER BY byte <-> '[[50,0]]'::multivector(2, float2), id LIMIT 3;

-- Operator classes, one for each score.
CREATE TABLE index_scores (id int, doc multivector(2));
INSERT INTO index_scores VALUES (1, '[[1,0]]'), (2, '[[2,2]]'), (3, '[[0,9]]'), (4, '[[-3,1]]');
CREATE INDEX index_scores_maxsim ON index_scores USING :method (doc multivector_maxsim_ops);
CREATE INDEX index_scores_cosine ON index_scores USING :method (doc multivector_cosine_ops);
CREATE INDEX index_scores_l2 ON index_scores USING :method (doc multivector_l2_ops);
SELECT id, maxsim(doc, '[[1,0]]') FROM index_scores ORDER BY 2 DESC;
SELECT id, maxsim_cosine(doc, '[[1,0]]') FROM index_scores ORDER BY 2 DESC;
SELECT id, maxsim_l2(doc, '[[1,0]]') FROM index_scores ORDER BY 2;
SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = :'method') ORDER BY 1;
SELECT property, pg_indexam_has_property((SELECT oid FROM pg_am WHERE amname = :'method'), property) AS method,
	pg_index_has_property('index_docs_doc', property) AS index, pg_index_column_has_property('index_docs_doc', 1, property) AS column
FROM unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include', 'clusterable', 'index_scan', 'bitmap_scan',
	'backward_scan', 'orderable', 'distance_orderable', 'returnable', 'search_array', 'search_nulls']) property;

-- Invalid operator classes: amvalidate gives the reason, and an index using one is rejected.
CREATE OPERATOR CLASS index_half_ops FOR TYPE multivector USING :method AS
	OPERATOR 1 <#> (multivector, multivector) FOR ORDER BY float_ops;
CREATE FUNCTION index_score(multivector, multivector) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1.0::float8';
CREATE OPERATOR CLASS index_own_ops FOR TYPE multivector USING :method AS
	OPERATOR 1 <#> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 2 <~#> (multivector, multivector) FOR ORDER BY float_ops,
	FUNCTION 1 index_score(multivector, multivector);
SET client_min_messages = info;
SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcname IN ('index_half_ops', 'index_own_ops') ORDER BY 1;
SET client_min_messages = warning;
CREATE INDEX ON index_scores USING :method (doc index_half_ops);
CREATE INDEX ON index_scores USING :method (doc index_own_ops);
DROP OPERATOR FAMILY index_half_ops USING :method;
DROP OPERATOR FAMILY index_own_ops USING :method;

-- Columns that cannot be indexed. The method's name is removed from the messages.
CREATE FUNCTION index_refused(statement text, method text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format(statement, method);
	RETURN 'not refused';
EXCEPTION WHEN others THEN
	RETURN replace(sqlerrm, method, 'METHOD');
END $$;
SELECT index_refused(statement, :'method') FROM unnest(ARRAY[
	'CREATE INDEX ON index_docs USING %s (id)', 'CREATE INDEX ON index_docs USING %s (doc, doc)', 'CREATE UNIQUE INDEX ON index_docs USING %s (doc)',
	'CREATE INDEX ON index_docs USING %s (doc) INCLUDE (id)', 'CREATE INDEX ON index_docs USING %s (doc DESC)',
	'CREATE INDEX ON index_docs USING %s (doc NULLS LAST)', 'CREATE INDEX ON index_docs USING %s (doc vector_ops)']) statement;
CLUSTER index_docs USING index_docs_doc;
CREATE TABLE index_dims (id int, any_dims multivector, many multivector(16000), wide multivector(4096, float2));
CREATE INDEX ON index_dims USING :method (any_dims);
\set VERBOSITY default
CREATE INDEX ON index_dims USING :method ((any_dims::multivector(2)));
INSERT INTO index_dims (id, any_dims) VALUES (1, '[[1,0]]');
INSERT INTO index_dims (id, any_dims) VALUES (2, '[[1,0,0]]');
SELECT id FROM index_dims ORDER BY maxsim(any_dims::multivector(2), '[[1,0]]') DESC;

-- Computed values have no dims; the hint names the cast, with the dims of the documents.
CREATE TABLE "index lost" AS SELECT id, l2_normalize(doc) AS "Doc" FROM index_docs;
CREATE MATERIALIZED VIEW index_view AS SELECT id, pool_tokens(doc, 2) AS doc FROM index_docs;
CREATE INDEX ON "index lost" USING :method ("Doc");
CREATE INDEX ON index_view USING :method (doc);
-- Since PostgreSQL 17, messages of CREATE INDEX name the schemas of functions, because its search_path is pg_catalog.
CREATE FUNCTION index_without_dims(expression text, method text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	detail text;
BEGIN
	EXECUTE format('CREATE INDEX ON index_docs USING %s (%s)', method, expression);
	RETURN 'not refused';
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN regexp_replace(concat_ws(E'\n', sqlerrm, detail, hint), 'OPERATOR\(public\.([^)]+)\)|public\.', '\1', 'g');
END $$;
SELECT index_without_dims(expression, :'method') FROM unnest(ARRAY['(doc || doc)', 'l2_normalize(doc)', '(CASE WHEN id > 3 THEN doc END)']) AS expression;
CREATE INDEX ON "index lost" USING :method (("Doc"::multivector(2)));
CREATE INDEX ON index_view USING :method ((doc::multivector(2)));
CREATE INDEX index_pairs ON index_docs USING :method (((doc || doc)::multivector(2)));
CREATE INDEX index_cases ON index_docs USING :method ((CASE WHEN id > 3 THEN doc END::multivector(2)));
DROP INDEX index_pairs, index_cases;
DROP MATERIALIZED VIEW index_view;
DROP TABLE "index lost";

-- The dims of an indexed column: removed, which is rejected; changed; with another element format.
ALTER TABLE index_tiny ALTER doc TYPE multivector;
ALTER TABLE index_tiny ALTER doc TYPE multivector USING doc || doc;
CREATE DOMAIN index_dimless AS multivector;
ALTER TABLE index_tiny ALTER doc TYPE index_dimless;
CREATE DOMAIN index_dims_domain AS multivector(1);
ALTER TABLE index_tiny ALTER doc TYPE index_dims_domain;
ALTER TABLE index_tiny ALTER doc TYPE multivector(1);
DROP DOMAIN index_dimless, index_dims_domain;
REINDEX TABLE index_tiny;
REINDEX TABLE CONCURRENTLY index_tiny;
CREATE TABLE index_parts (id int, doc multivector(2)) PARTITION BY RANGE (id);
CREATE TABLE index_part PARTITION OF index_parts FOR VALUES FROM (0) TO (10);
CREATE INDEX ON index_parts USING :method (doc);
ALTER TABLE index_parts ALTER doc TYPE multivector;
DROP INDEX index_parts_doc_idx;
ALTER TABLE index_parts ALTER doc TYPE multivector;
CREATE INDEX ON index_parts USING :method (doc);
DROP TABLE index_parts;
-- Without partitions there is nothing to build, but it is rejected nevertheless.
CREATE TABLE index_parts (id int, doc multivector) PARTITION BY RANGE (id);
CREATE INDEX ON index_parts USING :method (doc);
CREATE INDEX ON index_parts USING :method ((doc || doc));
CREATE INDEX ON index_parts USING :method ((doc::multivector(2)));
CREATE TABLE index_part PARTITION OF index_parts FOR VALUES FROM (0) TO (10);
DROP TABLE index_parts;
INSERT INTO index_tiny VALUES ('[[1,2]]');
REINDEX TABLE index_tiny;
ALTER TABLE index_tiny ALTER doc TYPE multivector(2);
ALTER TABLE index_tiny ALTER doc TYPE multivector(1, float2);
SELECT doc, maxsim(doc, '[[3]]') FROM index_tiny ORDER BY 2 DESC;
ALTER TABLE index_tiny ALTER doc TYPE multivector(2) USING '[[1,2]]';
SELECT doc, maxsim(doc, '[[3,1]]') FROM index_tiny ORDER BY 2 DESC;
SELECT dims, documents FROM colbert_index_info('index_tiny_doc_idx');

-- Options that all methods have, and their ranges.
CREATE INDEX index_options ON index_scores USING :method (doc) WITH (quantizer = bit, probes = 4, candidates = 50, rerank = 10);
SELECT unnest(reloptions) FROM pg_class WHERE relname = 'index_options';
SELECT access_method = :'method' AS method, quantizer FROM colbert_index_info('index_options');
SELECT id FROM index_scores ORDER BY maxsim(doc, '[[1,0]]') DESC;
CREATE INDEX ON index_scores USING :method (doc) WITH (quantizer = float4);
CREATE INDEX ON index_scores USING :method (doc) WITH (probes = -1);
CREATE INDEX ON index_scores USING :method (doc) WITH (candidates = many);
CREATE INDEX ON index_scores USING :method (doc) WITH (rerank = -1);
CREATE INDEX ON index_scores USING :method (doc) WITH (no_such_option = 10);
-- Scan options can be changed at any time; the codec changes with the next REINDEX.
ALTER INDEX index_options SET (rerank = 20, quantizer = sq8);
SELECT quantizer FROM colbert_index_info('index_options');
SELECT id FROM index_scores ORDER BY maxsim(doc, '[[1,0]]') DESC;
INSERT INTO index_scores VALUES (5, '[[5,5]]');
REINDEX INDEX index_options;
SELECT quantizer, documents FROM colbert_index_info('index_options');
SELECT id FROM index_scores ORDER BY maxsim(doc, '[[1,0]]') DESC;
ALTER INDEX index_options RESET (rerank, quantizer);
ALTER INDEX index_options SET (probes = 2000000);

-- The settings of a session.
SET colbert.probes = -1;
SET colbert.ef_search = 10001;
SET colbert.rerank = 'x';
SET colbert.simd = 'mmx';
SET colbert.no_such_setting = 1;
SET colbert.probes = 1;
SET colbert.ef_search = 1;
SET colbert.candidates = 1;
SET colbert.rerank = 1;
SELECT id FROM index_scores ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 10;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM index_docs ORDER BY maxsim(doc, '[[1,0]]') DESC) t;
RESET colbert.probes;
RESET colbert.ef_search;
RESET colbert.candidates;
RESET colbert.rerank;

-- Unlogged and temporary tables, materialized views.
CREATE UNLOGGED TABLE index_unlogged (id int, doc multivector(2));
CREATE INDEX ON index_unlogged USING :method (doc);
INSERT INTO index_unlogged SELECT id, doc FROM index_scores;
SELECT id FROM index_unlogged ORDER BY maxsim(doc, '[[1,0]]') DESC;
ALTER TABLE index_unlogged SET LOGGED;
SELECT id FROM index_unlogged ORDER BY maxsim(doc, '[[1,0]]') DESC;
ALTER TABLE index_unlogged SET UNLOGGED;
CREATE TEMP TABLE index_temp AS SELECT id, doc FROM index_unlogged;
ALTER TABLE index_temp ALTER doc TYPE multivector(2);
CREATE INDEX ON index_temp USING :method (doc);
INSERT INTO index_temp VALUES (6, '[[6,6]]');
SELECT id FROM index_temp ORDER BY maxsim(doc, '[[1,0]]') DESC;
CREATE MATERIALIZED VIEW index_view AS SELECT id, doc::multivector(2) FROM index_scores;
CREATE INDEX ON index_view USING :method (doc);
INSERT INTO index_scores VALUES (6, '[[6,6]]');
SELECT id FROM index_view ORDER BY maxsim(doc, '[[1,0]]') DESC;
REFRESH MATERIALIZED VIEW index_view;
SELECT id FROM index_view ORDER BY maxsim(doc, '[[1,0]]') DESC;

-- Partial and expression indexes follow updates.
CREATE TABLE index_partial (id int, lang text, tokens real[]);
INSERT INTO index_partial SELECT i, CASE WHEN i <= 5 THEN 'en' ELSE 'de' END, ARRAY[[i, 0]] FROM generate_series(1, 10) i;
CREATE INDEX ON index_partial USING :method ((tokens::multivector::multivector(2))) WHERE lang = 'en';
SELECT index_plan($$ SELECT count(*) FROM index_partial WHERE lang = 'en' $$);
SELECT index_plan($$ SELECT id FROM index_partial WHERE lang = 'en' ORDER BY maxsim(tokens::multivector::multivector(2), '[[1,0]]') DESC $$);
UPDATE index_partial SET lang = 'en' WHERE id = 8;
UPDATE index_partial SET lang = 'de' WHERE id = 4;
UPDATE index_partial SET tokens = '{{9,0}}' WHERE id = 1;
UPDATE index_partial SET tokens = NULL WHERE id = 2;
SELECT id, maxsim(tokens::multivector::multivector(2), '[[1,0]]') FROM index_partial WHERE lang = 'en' ORDER BY 2 DESC;
INSERT INTO index_partial VALUES (11, 'de', '{{1,2,3}}');
INSERT INTO index_partial VALUES (12, 'en', '{{1,2,3}}');

-- Rows come and go, with VACUUM in between: the right ones are returned, once each.
CREATE TABLE index_churn (id int, doc multivector(2));
INSERT INTO index_churn SELECT i, format('[[%s,1],[-1,%s],[-2,%s],[-3,5],[-4,%s]]', i, i, i % 7, i % 11)::multivector FROM generate_series(1, 500) i;
CREATE INDEX index_churn_doc ON index_churn USING :method (doc) WITH (quantizer = flat, rerank = 10000, :few_tokens);
SELECT nodes > 0, pending_documents FROM colbert_index_info('index_churn_doc');
DELETE FROM index_churn WHERE id % 2 = 0;
VACUUM index_churn;
INSERT INTO index_churn SELECT i, format('[[%s,1]]', i)::multivector FROM generate_series(501, 700) i;
SELECT pending_documents FROM colbert_index_info('index_churn_doc');
SELECT colbert_merge('index_churn_doc'), colbert_merge('index_churn_doc');
UPDATE index_churn SET id = id + 1000, doc = format('[[%s,1]]', id + 1000)::multivector WHERE id > 650;
VACUUM index_churn;
INSERT INTO index_churn SELECT i, format('[[%s,1]]', i)::multivector FROM generate_series(2, 100, 2) i;
SELECT id FROM index_churn ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5;
SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE id > before) AS out_of_order
FROM (SELECT id, lag(id) OVER () AS before FROM (SELECT id FROM index_churn ORDER BY maxsim(doc, '[[1,0]]') DESC) t) t;
SELECT count(*), sum(id) FROM index_churn;
SELECT documents FROM colbert_index_info('index_churn_doc');
REINDEX TABLE index_churn;
SELECT id FROM index_churn ORDER BY maxsim(doc, '[[1,0]]') DESC LIMIT 5;

-- Functions about an index reject other relations.
SELECT colbert_index_info('index_docs');
SELECT colbert_index_info('index_docs_pkey');
SELECT colbert_merge('index_docs_pkey');
SELECT colbert_merge('index_docs');
SELECT colbert_index_info(0);

DROP MATERIALIZED VIEW index_view;
DROP TABLE index_empty, index_tiny, index_nulls, index_all_null, index_equal, index_docs, index_queries, index_elements, index_scores, index_dims,
	index_unlogged, index_temp, index_partial, index_churn;
DROP FUNCTION index_score, index_plan, index_refused, index_without_dims;
