-- Every function of the extension, called with invalid arguments by a role without privileges: it returns a value, or an error of the
-- classes 0A, 22, 42, 54 or 55, and never an internal one. Nothing about an index is revealed.
--
-- The functions are read from the catalog, so that those of later versions are called too.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

CREATE TABLE rights_docs (id int PRIMARY KEY, doc multivector(3));
INSERT INTO rights_docs SELECT i, format('[[%s,2,3],[1,0,%s]]', i, i)::multivector FROM generate_series(1, 50) AS i;
CREATE INDEX rights_hnsw ON rights_docs USING colbert_hnsw (doc);
CREATE INDEX rights_ivf ON rights_docs USING colbert_ivf (doc);
CREATE ROLE regress_rights_nobody;

-- Sample arguments.
CREATE FUNCTION rights_samples(type regtype) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE type::text
		WHEN 'regclass' THEN ARRAY['''rights_hnsw''', '''rights_ivf''', '''rights_docs''', '''rights_docs_pkey''', '''pg_class''', '0', 'NULL']
		WHEN 'multivector' THEN ARRAY['''[[1,2,3]]''', '''[[0,0,0],[-1,5,1e-30]]''', '''[[1]]''', '''[[1,2,3],[4,5,6]]''::multivector(3, int8)', '''[[1e5,-1e5,0]]''', 'NULL']
		WHEN 'multivector[]' THEN ARRAY['ARRAY[''[[1,2,3]]''::multivector]', '''{}''', 'ARRAY[NULL::multivector]', 'ARRAY[ARRAY[''[[1]]''::multivector]]', 'NULL']
		WHEN 'multivector_threshold' THEN ARRAY['ROW(''[[1,2,3]]''::multivector, ''>'', 1)::multivector_threshold', 'ROW(''[[1]]''::multivector, ''<='', ''NaN'')::multivector_threshold',
			'ROW(''[[1,2,3]]''::multivector, ''no'', 1)::multivector_threshold', 'ROW(NULL, NULL, NULL)::multivector_threshold', 'NULL']
		WHEN 'integer' THEN ARRAY['1', '0', '-1', '3', '2147483647', '-2147483648', 'NULL']
		WHEN 'bigint' THEN ARRAY['1', '0', '-1', '9223372036854775807', 'NULL']
		WHEN 'oid' THEN ARRAY['0', '''rights_hnsw''::regclass', '4294967295']
		WHEN 'boolean' THEN ARRAY['true', 'false', 'NULL']
		WHEN 'double precision' THEN ARRAY['0.5', '0', '-1', '''NaN''', '''Infinity''', '-1e308', 'NULL']
		WHEN 'text' THEN ARRAY['''float4''', '''float2''', '''int8''', '''>''', '''''', 'repeat(''x'', 10000)', 'NULL']
		WHEN 'bytea' THEN ARRAY['''\x0000803f''', '''\x''', '''\x00''', '''\x0000c07f''', '''\x01000200010000000000003f0000803f''', 'NULL']
		WHEN 'bm25_query' THEN ARRAY['''{"k1": 1, "b": 1, "weights": [1,2,3,5], "lengths": [1,1,0,1], "words": [{"word": "a", "idf": 1, "sections": "AD", "candidate": true}]}''', '''{"k1": 0, "b": 0, "weights": [0,0,0,0], "lengths": [0,0,0,0], "words": []}''', 'NULL']
		WHEN 'bm25_frozen' THEN ARRAY['''\x01ffffffffffffffff00000000ffffffffff01''', '''\x010000000000000000''', 'NULL']
		WHEN 'tsvector' THEN ARRAY['''a:1A,2 b:3''', '''''', '''a''', 'NULL']
		WHEN 'tsquery' THEN ARRAY['''a & b:A''', '''''', '''a:*''', '''!a''', 'NULL']
		WHEN 'rank_model' THEN ARRAY['''{"weights": [0.5, 2], "intercept": 1, "features": ["a", "b"]}''', '''{"weights": [1]}''', 'NULL']
		WHEN 'real' THEN ARRAY['0.5', '-1', '''NaN''', '''Infinity''', 'NULL']
		WHEN 'text[]' THEN ARRAY['''{a,b}''', '''{}''', '''{NULL}''', '''{{a},{b}}''', 'NULL']
		WHEN 'name' THEN ARRAY['''tsv''', '''doc''', '''''', 'NULL']
		WHEN 'regconfig' THEN ARRAY['''simple''', '0', 'NULL']
		WHEN 'cstring' THEN ARRAY['''[[1,2,3]]''', '''''', '''[[''', '''(,,)''']
		WHEN 'cstring[]' THEN ARRAY['''{3}''', '''{3,int8}''', '''{}''', '''{NULL}''', '''{-1,-1,-1}''', '''{{1},{2}}''']
		WHEN 'json' THEN ARRAY['''[[1,2,3]]''', '''null''', '''[[1],[2,3]]''', '''{"a":[[]]}''', '''[[[1]]]''', 'NULL']
		WHEN 'jsonb' THEN ARRAY['''[[1,2,3]]''', '''null''', '''[[1],[2,3]]''', '''{"a":[[]]}''', '''[[1e400]]''', 'NULL']
		WHEN 'anyarray' THEN ARRAY['''{{1,2,3}}''::real[]', '''{}''::text[]', '''{x}''::name[]', '''{rights_hnsw}''::regclass[]', '''{{1},{NULL}}''::int8[]', '''{"(1,2)"}''::point[]', 'NULL::real[]']
		ELSE CASE WHEN type::text ~ '^(real|double precision|integer|numeric)\[\]$' THEN ARRAY['''{{1,2,3}}''', '''{1,2,3}''', '''{}''', '''{NULL}''', '''{{{1}}}''', '''{{0}}''', '''[5:5]={7}''', 'NULL'] END
	END
$$;

CREATE VIEW rights_functions AS
	SELECT p.oid, p.proname, p.proargtypes::regtype[] AS types, p.prokind, quote_ident(n.nspname) || '.' || quote_ident(p.proname) AS name
	FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'colbert_pg') AND d.deptype = 'e';
-- Functions with an argument of type internal are only for the server, which enforces that; for all other types there are samples.
SELECT oid::regprocedure, t FROM rights_functions, unnest(types) AS t
WHERE rights_samples(t) IS NULL AND NOT 'internal'::regtype = ANY (types) ORDER BY 1, 2;

-- All combinations of a function's arguments, or the first 3,000: call i, in mixed radix.
CREATE FUNCTION rights_call(f rights_functions, i int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	arguments text[] := '{}';
	samples text[];
	t regtype;
BEGIN
	FOREACH t IN ARRAY f.types LOOP
		samples := rights_samples(t);
		arguments := arguments || format('(%s)%s', samples[1 + i % cardinality(samples)], CASE WHEN t <> 'anyarray'::regtype THEN '::' || t END);
		i := i / cardinality(samples);
	END LOOP;
	RETURN CASE WHEN i = 0 THEN format('SELECT count(r::text) FROM (SELECT %s(%s) AS r) AS t', f.name, array_to_string(arguments, ', ')) END;
END $$;
CREATE FUNCTION rights_outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN '00000';
EXCEPTION WHEN others THEN
	RETURN sqlstate || ' ' || sqlerrm;
END $$;
CREATE TABLE rights_seen AS
	SELECT f.oid, f.types, i, rights_call(f, i) AS statement, NULL::text AS outcome
	FROM rights_functions f, generate_series(0, 2999) AS i WHERE NOT 'internal'::regtype = ANY (types) AND rights_call(f, i) IS NOT NULL;
GRANT SELECT, UPDATE ON rights_seen TO regress_rights_nobody;

SET ROLE regress_rights_nobody;
UPDATE rights_seen SET outcome = rights_outcome(statement);
RESET ROLE;

-- Each function was called, and returned a value or was rejected, as expected.
SELECT count(*) FROM rights_functions f WHERE NOT 'internal'::regtype = ANY (types) AND NOT EXISTS (SELECT FROM rights_seen s WHERE s.oid = f.oid AND outcome IS NOT NULL);
SELECT count(*) > 3000, count(*) FILTER (WHERE outcome = '00000') > 1000, count(*) FILTER (WHERE outcome <> '00000') > 1000 FROM rights_seen;
SELECT statement, outcome FROM rights_seen WHERE outcome !~ '^(00000|0A|22|42|54|55)' ORDER BY 1 LIMIT 20;
-- No message reveals anything about the index except the lack of privileges, even if arguments are invalid for any index, or NULL.
SELECT DISTINCT outcome FROM rights_seen
WHERE statement ~ 'SELECT [^( ]+\(\(''rights_(hnsw|ivf)''\)::regclass' AND 'regclass'::regtype = ANY (types) AND statement !~ 'NULL' AND outcome !~ '^42501 (permission denied|must be owner)|^22023 expected a (k|target_recall) ' ORDER BY 1;
SELECT count(DISTINCT oid) >= 4 FROM rights_seen WHERE outcome ~ '^42501 (permission denied|must be owner)';
SET ROLE regress_rights_nobody;
SELECT colbert_last_scan() IS NULL;
SELECT status, problem, documents FROM colbert_index_status('rights_hnsw'::regclass);
SELECT id FROM rights_docs ORDER BY maxsim(doc, '[[1,2,3]]') DESC LIMIT 1;
EXPLAIN SELECT id FROM rights_docs ORDER BY doc <#> '[[1,2,3]]' LIMIT 1;
RESET ROLE;

-- SELECT on the table permits seeing what an index holds; only its owner may change it.
GRANT SELECT ON rights_docs TO regress_rights_nobody;
SET ROLE regress_rights_nobody;
SELECT documents FROM colbert_index_info('rights_hnsw');
SELECT rights_outcome('SELECT colbert_merge(''rights_hnsw'')'), rights_outcome('SELECT colbert_index_check(''rights_ivf'')');
RESET ROLE;

DROP TABLE rights_docs, rights_seen;
DROP FUNCTION rights_call, rights_outcome;
DROP VIEW rights_functions;
DROP FUNCTION rights_samples;
DROP ROLE regress_rights_nobody;
