-- Who may read full-text statistics: who may SELECT the column that they describe, and is not under row-level security there.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE ROLE regress_bm25_owner;
CREATE ROLE regress_bm25_reader;
CREATE ROLE regress_bm25_other;
CREATE SCHEMA bm25_rights;
GRANT ALL ON SCHEMA bm25_rights TO PUBLIC;
SET search_path = bm25_rights, public;

-- Default privileges give no rights on the statistics.
SET ROLE regress_bm25_owner;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO regress_bm25_other, PUBLIC;
CREATE TABLE docs (id int, secret text, tsv tsvector);
REVOKE ALL ON docs FROM regress_bm25_other, PUBLIC;
INSERT INTO docs VALUES (1, 'a', 'gout:1'), (2, 'b', 'measles:1 gout:2');
RESET ROLE;
-- Only the owner makes statistics, which then belong to the owner, whoever called.
SET ROLE regress_bm25_reader;
SELECT bm25_analyze('docs', 'tsv');
RESET ROLE;
SELECT bm25_analyze('docs', 'tsv', config => 'simple');
SELECT relowner::regrole, ARRAY(SELECT DISTINCT grantee::regrole::text FROM aclexplode(relacl)) FROM pg_class WHERE oid = 'docs_tsv_bm25'::regclass;

CREATE FUNCTION bm25_rights_may(role name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	outcome text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	BEGIN
		outcome := bm25_candidates(bm25_query('bm25_rights.docs_tsv_bm25', 'gout'));
	EXCEPTION WHEN others THEN
		outcome := sqlstate || ' ' || sqlerrm;
	END;
	RESET ROLE;
	RETURN outcome;
END $$;
SELECT r, bm25_rights_may(r) FROM unnest('{regress_bm25_owner,regress_bm25_reader,regress_bm25_other}'::name[]) AS r;
-- The table, or its column.
GRANT SELECT ON docs TO regress_bm25_reader;
SELECT bm25_rights_may('regress_bm25_reader');
REVOKE SELECT ON docs FROM regress_bm25_reader;
GRANT SELECT (id) ON docs TO regress_bm25_reader;
SELECT bm25_rights_may('regress_bm25_reader');
GRANT SELECT (tsv) ON docs TO regress_bm25_reader;
SELECT bm25_rights_may('regress_bm25_reader');
-- Row-level security of the table.
GRANT SELECT ON docs TO regress_bm25_other;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON docs USING (id = 1);
SELECT r, bm25_rights_may(r) FROM unnest('{regress_bm25_owner,regress_bm25_reader,regress_bm25_other}'::name[]) AS r;
ALTER ROLE regress_bm25_reader BYPASSRLS;
SELECT bm25_rights_may('regress_bm25_reader');
ALTER ROLE regress_bm25_reader NOBYPASSRLS;
-- The owner analyzes all rows, even under FORCE.
ALTER TABLE docs FORCE ROW LEVEL SECURITY;
SET ROLE regress_bm25_owner;
SELECT bm25_analyze('docs', 'tsv');
RESET ROLE;
SELECT documents FROM docs_tsv_bm25 WHERE lexeme = '';
ALTER TABLE docs NO FORCE ROW LEVEL SECURITY;
-- The owner may open the statistics to others, as any table.
GRANT SELECT ON docs_tsv_bm25 TO regress_bm25_other;
SELECT bm25_rights_may('regress_bm25_other');
-- Row-level security of the statistics themselves, and the right to a column of them, open nothing.
ALTER TABLE docs_tsv_bm25 ENABLE ROW LEVEL SECURITY;
SELECT bm25_rights_may('regress_bm25_other');
ALTER TABLE docs_tsv_bm25 DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON docs_tsv_bm25 FROM regress_bm25_other;
GRANT SELECT (lexeme, documents) ON docs_tsv_bm25 TO regress_bm25_other;
SELECT bm25_rights_may('regress_bm25_other');
REVOKE SELECT (lexeme, documents) ON docs_tsv_bm25 FROM regress_bm25_other;
-- The planner's own statistics of the lexemes are as closed as their table.
ANALYZE docs_tsv_bm25;
SET ROLE regress_bm25_owner;
SELECT count(*) FROM pg_stats WHERE schemaname = 'bm25_rights' AND tablename = 'docs_tsv_bm25' AND attname = 'lexeme';
SET ROLE regress_bm25_other;
SELECT count(*) FROM pg_stats WHERE schemaname = 'bm25_rights' AND tablename = 'docs_tsv_bm25' AND attname = 'lexeme';
RESET ROLE;
ALTER TABLE docs DISABLE ROW LEVEL SECURITY;

-- A prepared statement asks for the rights each time.
SET ROLE regress_bm25_other;
PREPARE ask AS SELECT bm25_candidates(bm25_query('docs_tsv_bm25', 'gout'));
EXECUTE ask;
RESET ROLE;
REVOKE SELECT ON docs FROM regress_bm25_other;
SET ROLE regress_bm25_other;
EXECUTE ask;
RESET ROLE;
-- A view uses the rights of its caller, and a function with SECURITY DEFINER those of its owner. A role that may read all data may read the statistics.
SET ROLE regress_bm25_owner;
CREATE VIEW candidates AS SELECT bm25_candidates(bm25_query('docs_tsv_bm25', 'gout'));
GRANT SELECT ON candidates TO regress_bm25_other;
CREATE FUNCTION candidates() RETURNS tsquery LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, bm25_rights, public BEGIN ATOMIC SELECT bm25_candidates(bm25_query('docs_tsv_bm25', 'gout')); END;
SET ROLE regress_bm25_other;
SELECT * FROM candidates;
SELECT candidates();
RESET ROLE;
GRANT pg_read_all_data TO regress_bm25_other;
SELECT bm25_rights_may('regress_bm25_other');
REVOKE pg_read_all_data FROM regress_bm25_other;
GRANT SELECT ON docs TO regress_bm25_other;

-- Without the table, or with one of another owner under its name, only the owner is left.
ALTER TABLE docs RENAME TO moved;
SELECT r, bm25_rights_may(r) FROM unnest('{regress_bm25_owner,regress_bm25_other}'::name[]) AS r;
SET ROLE regress_bm25_other;
CREATE TABLE docs (tsv tsvector);
RESET ROLE;
SELECT bm25_rights_may('regress_bm25_other');
DROP TABLE docs;
ALTER TABLE moved RENAME TO docs;
-- A table that only looks like statistics opens nothing.
CREATE TABLE lookalike (LIKE docs_tsv_bm25 INCLUDING ALL);
ALTER TABLE lookalike OWNER TO regress_bm25_other;
SET ROLE regress_bm25_other;
INSERT INTO lookalike VALUES ('', 1, 'docs', 'tsv', 'simple', 1, '{1,1,1,1}');
SELECT bm25_candidates(bm25_query('lookalike', 'gout'));
RESET ROLE;
SELECT has_table_privilege('regress_bm25_reader', 'docs', 'SELECT');
SET ROLE regress_bm25_reader;
SELECT bm25_candidates(bm25_query('lookalike', 'gout'));
RESET ROLE;
-- The table's name is taken.
SET ROLE regress_bm25_owner;
CREATE TABLE more (tsv tsvector);
RESET ROLE;
CREATE TABLE more_tsv_bm25 (LIKE docs_tsv_bm25 INCLUDING ALL);
ALTER TABLE more_tsv_bm25 OWNER TO regress_bm25_other;
SELECT bm25_analyze('more', 'tsv');
-- Triggers on the statistics run as the owner, in a restricted operation.
SET ROLE regress_bm25_owner;
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trigger runs as %', current_user; RETURN NULL; END $$;
CREATE TRIGGER who AFTER DELETE ON docs_tsv_bm25 EXECUTE FUNCTION who();
RESET ROLE;
SELECT bm25_analyze('docs', 'tsv');
-- A read-only transaction.
BEGIN READ ONLY;
SELECT bm25_candidates(bm25_query('docs_tsv_bm25', 'gout'));
SELECT bm25_analyze('docs', 'tsv');
ROLLBACK;
-- The refresh is part of its transaction.
BEGIN;
TRUNCATE docs;
SELECT bm25_analyze('docs', 'tsv');
SELECT count(*) FROM docs_tsv_bm25;
ROLLBACK;
SELECT count(*) FROM docs_tsv_bm25;

DEALLOCATE ask;
DROP SCHEMA bm25_rights CASCADE;
DROP OWNED BY regress_bm25_owner, regress_bm25_reader, regress_bm25_other;
DROP ROLE regress_bm25_owner, regress_bm25_reader, regress_bm25_other;
