-- Check the objects that the extension creates: each has a comment and the right declarations.
--
-- The first half queries the catalogs for every member of the extension, so it also covers objects that are added later.
BEGIN;
SELECT no_plan();

CREATE TEMP VIEW members AS
	SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS description
	FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'colbert_pg' AND d.deptype = 'e';

CREATE TEMP VIEW member_functions AS
	SELECT p.*, p.oid::regprocedure::text AS signature,
		-- Support functions of aggregates receive NULL states.
		EXISTS (SELECT FROM pg_aggregate a WHERE p.oid IN (a.aggtransfn, a.aggcombinefn, a.aggfinalfn)) AS is_aggregate_support,
		-- Access method handlers and functions about indexes and sessions are named colbert_; all other functions compute values.
		p.proname LIKE 'colbert\_%' OR p.proname = 'bm25_analyze' AS is_administrative,
		-- bm25_query reads statistics; bm25_candidates must not be folded into a constant, because the planner is to see its cost; a setting decides the form of multivector_out.
		p.proname IN ('bm25_query', 'bm25_candidates', 'multivector_out') AS is_stable
	FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;

SELECT has_extension('colbert_pg');
SELECT cmp_ok(count(*), '>=', 60::bigint, 'the extension has members') FROM members;

-- Every object has a comment, except the automatic types of arrays and of rows of views, which are members since PostgreSQL 17.
SELECT isnt(coalesce(obj_description(objid, classid::regclass::name), ''), '', description || ' has a comment')
FROM members WHERE NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t WHERE t.typarray = objid
	OR t.oid = objid AND (SELECT relkind = 'v' FROM pg_class c WHERE c.oid = t.typrelid))) ORDER BY description;

-- Functions that compute values are immutable, strict and parallel safe.
SELECT is(provolatile, CASE WHEN is_stable THEN 's' ELSE 'i' END::"char", signature || CASE WHEN is_stable THEN ' is stable' ELSE ' is immutable' END)
FROM member_functions WHERE NOT is_administrative ORDER BY signature;
SELECT is(proparallel, 's', signature || ' is parallel safe') FROM member_functions WHERE NOT is_administrative ORDER BY signature;
SELECT ok(proisstrict, signature || ' is strict')
FROM member_functions WHERE NOT is_administrative AND NOT is_aggregate_support AND prokind = 'f' ORDER BY signature;
-- Functions that read or change indexes and sessions are not immutable.
SELECT isnt(provolatile, 'i', signature || ' is not immutable') FROM member_functions WHERE is_administrative ORDER BY signature;
-- No function runs with its owner's rights, and none is leakproof.
SELECT ok(NOT prosecdef AND NOT proleakproof, signature || ' is neither SECURITY DEFINER nor LEAKPROOF')
FROM member_functions ORDER BY signature;
SELECT is(coalesce(proconfig::text, ''), '', signature || ' sets no parameter') FROM member_functions ORDER BY signature;
-- A score costs thousands of simple operators.
SELECT cmp_ok(procost, '>=', 500::real, signature || ' has a cost of its own')
FROM member_functions
WHERE (proname LIKE 'maxsim%' AND proargtypes::oid[] = '{multivector,multivector}'::regtype[]::oid[]) OR proname IN ('pool_tokens', 'l2_normalize', 'mean_pool')
ORDER BY signature;
-- Operators use member functions, and equality supports hashing.
SELECT ok(EXISTS (SELECT FROM member_functions p WHERE p.oid = o.oprcode), o.oid::regoperator || ' calls a function of the extension')
FROM members m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid ORDER BY o.oid::regoperator::text;

-- The type.
SELECT has_type('multivector');
SELECT is((SELECT typanalyze::regproc::text FROM pg_type WHERE oid = 'multivector'::regtype), 'multivector_typanalyze', 'ANALYZE has a function for multivector');
SELECT results_eq($$SELECT typlen::int, typstorage::text, typalign::text, typcategory::text FROM pg_type WHERE oid = 'multivector'::regtype$$,
	$$VALUES (-1, 'e', 'i', 'U')$$, 'multivector is stored out of line, uncompressed, and aligned to 4 bytes');

-- Operators: name, function, result.
SELECT ok(EXISTS (SELECT FROM pg_operator o WHERE o.oprname = name AND o.oprleft = 'multivector'::regtype AND o.oprright = 'multivector'::regtype
	AND o.oprresult = result::regtype AND o.oprcode::regproc::text = function), format('multivector %s multivector is %s', name, function))
FROM (VALUES ('<#>', 'maxsim_distance', 'float8'), ('<=>', 'maxsim_cosine_distance', 'float8'), ('<->', 'maxsim_l2', 'float8'),
	('<~#>', 'maxsim_distance', 'float8'), ('<~=>', 'maxsim_cosine_distance', 'float8'), ('<~->', 'maxsim_l2', 'float8'),
	('=', 'multivector_eq', 'boolean'), ('<>', 'multivector_ne', 'boolean'), ('||', 'multivector_concat', 'multivector')) AS v(name, function, result);
SELECT ok(oprcanhash AND oprnegate = '<>(multivector,multivector)'::regoperator AND oprcom = oid, '= can be hashed, is symmetric, and is negated by <>')
FROM pg_operator WHERE oid = '=(multivector,multivector)'::regoperator;

-- Functions that users call: argument names and result types.
SELECT is(pg_get_function_arguments(f::regprocedure) || ' -> ' || pg_get_function_result(f::regprocedure), expected, f)
FROM (VALUES
	('maxsim(multivector,multivector)', 'doc multivector, query multivector -> double precision'),
	('maxsim_cosine(multivector,multivector)', 'doc multivector, query multivector -> double precision'),
	('maxsim_l2(multivector,multivector)', 'doc multivector, query multivector -> double precision'),
	('maxsim_tokens(multivector,multivector)', 'doc multivector, query multivector, OUT query_token integer, OUT doc_token integer, OUT similarity double precision -> SETOF record'),
	('num_tokens(multivector)', 'doc multivector -> integer'),
	('dims(multivector)', 'doc multivector -> integer'),
	('token(multivector,integer)', 'doc multivector, i integer -> real[]'),
	('unnest(multivector)', 'doc multivector, OUT ordinal integer, OUT embedding real[] -> SETOF record'),
	('l2_normalize(multivector)', 'doc multivector -> multivector'),
	('mean_pool(multivector)', 'doc multivector -> real[]'),
	('pool_tokens(multivector,integer)', 'doc multivector, factor integer -> multivector'),
	('multivector(bytea,integer,text)', 'bytes bytea, dims integer, element text DEFAULT ''float4''::text -> multivector'),
	('multivector(bytea)', 'bytes bytea -> multivector'),
	('multivector(anyarray)', 'tokens anyarray -> multivector'),
	('colbert_tune(regclass,multivector[],double precision,integer,boolean,regclass)', 'index regclass, queries multivector[], target_recall double precision DEFAULT 0.95, k integer DEFAULT 10, apply boolean DEFAULT false, exact regclass DEFAULT NULL::regclass, OUT target double precision, OUT probes integer, OUT ef_search integer, OUT candidates integer, OUT rerank integer, OUT recall double precision, OUT ms double precision, OUT chosen boolean, OUT partition regclass -> SETOF record'),
	('colbert_stat_info()', 'OUT indexes integer, OUT max_indexes integer, OUT evicted bigint, OUT since timestamp with time zone -> record'),
	('colbert_stat_reset()', ' -> void'),
	('colbert_stat_reset(regclass)', 'index regclass -> void'),
	('bm25_analyze(regclass,name,bigint,regconfig)', 'source regclass, source_column name, sample bigint DEFAULT NULL::bigint, config regconfig DEFAULT NULL::regconfig -> regclass'),
	('bm25_query(regclass,text,real[],double precision,double precision,integer)', 'statistics regclass, query text, weights real[] DEFAULT ''{1,2,3,5}''::real[], b double precision DEFAULT 0.75, k1 double precision DEFAULT 1.2, budget integer DEFAULT 1000 -> bm25_query'),
	('bm25_query(regclass,tsquery,real[],double precision,double precision,integer)', 'statistics regclass, query tsquery, weights real[] DEFAULT ''{1,2,3,5}''::real[], b double precision DEFAULT 0.75, k1 double precision DEFAULT 1.2, budget integer DEFAULT 1000 -> bm25_query'),
	('bm25f(tsvector,bm25_query)', 'doc tsvector, query bm25_query -> double precision'),
	('bm25f_terms(tsvector,bm25_query)', 'doc tsvector, query bm25_query, OUT term text, OUT section text, OUT frequency integer, OUT contribution double precision -> SETOF record'),
	('bm25f_features(tsvector,bm25_query)', 'doc tsvector, query bm25_query -> real[]'),
	('bm25_bound(bm25_query)', 'query bm25_query -> double precision'),
	('bm25_candidates(bm25_query)', 'query bm25_query -> tsquery'),
	('bm25f_freeze(tsvector,bm25_query)', 'doc tsvector, settings bm25_query -> bm25_frozen'),
	('bm25f_frozen(bm25_frozen,bm25_query)', 'doc bm25_frozen, query bm25_query -> double precision'),
	('bm25f_is_stale(bm25_frozen,bm25_query)', 'doc bm25_frozen, settings bm25_query -> boolean'),
	('maxsim_features(multivector,multivector,real)', 'doc multivector, query multivector, bound real DEFAULT 0.5 -> real[]'),
	('rank_score(rank_model,real[])', 'model rank_model, features real[] -> double precision'),
	('rank_score(rank_model,real[],text[])', 'model rank_model, features real[], names text[] -> double precision'),
	('rank_model_features(rank_model)', 'model rank_model -> text[]'),
	('rank_model_info(rank_model)', 'model rank_model, OUT kind text, OUT features integer, OUT trees bigint, OUT leaves bigint -> record'),
	('multivector_agg(real[])', 'token real[] -> multivector')) AS v(f, expected);

-- Views, which everyone may read, and functions that only superusers may call.
SELECT has_view(name) FROM unnest(ARRAY['colbert_indexes', 'colbert_stat_indexes']::name[]) AS name;
SELECT columns_are('colbert_indexes', ARRAY['index', 'relation', 'access_method', 'status', 'problem', 'advice', 'quantizer', 'dims', 'documents', 'tokens', 'null_documents',
	'nodes', 'tokens_per_node', 'pending_documents', 'pending_tokens', 'dead_documents', 'free_documents', 'total_bytes', 'imbalance', 'trained_distance', 'merged_distance', 'centroids']);
SELECT col_type_is('colbert_stat_indexes', 'index'::name, 'regclass');
SELECT ok(has_table_privilege('pg_monitor', c.oid, 'SELECT') AND NOT has_table_privilege('pg_monitor', c.oid, 'UPDATE'), c.oid::regclass || ' may be read, not changed')
FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind = 'v';
SELECT is(count(*), 2::bigint, 'the extension has two views') FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind = 'v';
SELECT results_eq($$SELECT signature FROM member_functions WHERE NOT has_function_privilege('pg_monitor', oid, 'EXECUTE') ORDER BY signature COLLATE "C"$$,
	ARRAY['colbert_index_check(regclass,boolean,boolean)', 'colbert_stat_reset()', 'colbert_stat_reset(regclass)'], 'functions that must be granted');

-- Full-text ranking.
SELECT has_type('bm25_query');
SELECT has_type('bm25_frozen');
SELECT has_type('rank_model');
SELECT cmp_ok(procost, '>=', 500::real, signature || ' has a cost of its own') FROM member_functions WHERE proname IN ('bm25f', 'bm25f_terms', 'bm25f_features', 'bm25_candidates', 'bm25_query', 'bm25f_freeze') ORDER BY signature;
SELECT ok(NOT EXISTS (SELECT FROM members m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid WHERE o.oprname = '@@'), 'no operator is named @@');

-- Casts.
SELECT cast_context_is('multivector', 'multivector', 'implicit');
SELECT cast_context_is(source, 'multivector', 'assignment')
FROM unnest(ARRAY['real[]', 'double precision[]', 'numeric[]', 'integer[]', 'json', 'jsonb', 'bytea']) AS source;
SELECT cast_context_is('multivector', target, 'assignment') FROM unnest(ARRAY['real[]', 'double precision[]', 'json', 'jsonb']) AS target;

-- Equality for DISTINCT and joins.
SELECT ok(opcdefault AND amname = 'hash', 'multivector_hash_ops is the default operator class of hash indexes')
FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod WHERE opcname = 'multivector_hash_ops';
SELECT ok(amvalidate(oid), opcname || ' is valid')
FROM pg_opclass WHERE opcintype = 'multivector'::regtype ORDER BY opcname;

-- The extension can be moved to another schema and works there.
CREATE SCHEMA elsewhere;
SELECT lives_ok('ALTER EXTENSION colbert_pg SET SCHEMA elsewhere', 'the extension is relocatable');
SELECT is(count(*), 0::bigint, 'and its views work there') FROM elsewhere.colbert_indexes FULL JOIN elsewhere.colbert_stat_indexes USING (index);
SELECT is(elsewhere.maxsim('[[1,2]]', '[[3,4]]'), 11::float8, 'and works in another schema');

SELECT * FROM finish();
ROLLBACK;
