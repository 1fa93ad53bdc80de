-- ANALYZE: the fraction of NULLs and the in-line width, whatever the statistics target, and nothing that compares documents.
\set QUIET on
SET client_min_messages = warning;
CREATE DOMAIN analyze_domain AS multivector(2);
CREATE TABLE analyze_docs (id int, doc multivector, dom analyze_domain, many multivector[]);
-- One in four is NULL; the others are stored in line.
INSERT INTO analyze_docs SELECT i, CASE WHEN i % 4 > 0 THEN array[[i % 7, 2]]::real[]::multivector END, array[[1, i]]::real[]::multivector,
	array[array[[i, 2]]::real[]::multivector] FROM generate_series(1, 400) AS i;
ANALYZE analyze_docs;
SELECT attname, null_frac, avg_width, n_distinct, most_common_vals IS NULL AS no_common, histogram_bounds IS NULL AS no_histogram, correlation
FROM pg_stats WHERE tablename = 'analyze_docs' AND attname IN ('doc', 'dom') ORDER BY attname;
SELECT avg(pg_column_size(doc))::int AS width FROM analyze_docs;
-- Out of line: the row holds a pointer.
CREATE TABLE analyze_long (doc multivector);
INSERT INTO analyze_long SELECT array_agg(array[i, j, 1, 2] ORDER BY i)::real[]::multivector FROM generate_series(1, 1000) AS i, generate_series(1, 5) AS j GROUP BY j;
ANALYZE analyze_long;
SELECT null_frac, avg_width, n_distinct FROM pg_stats WHERE tablename = 'analyze_long';
-- All NULL, and no rows at all.
CREATE TABLE analyze_null (doc multivector);
ANALYZE analyze_null;
SELECT count(*) FROM pg_stats WHERE tablename = 'analyze_null';
INSERT INTO analyze_null SELECT NULL FROM generate_series(1, 10);
ANALYZE analyze_null;
SELECT null_frac, avg_width, n_distinct FROM pg_stats WHERE tablename = 'analyze_null';
-- An index on an expression has its own statistics.
CREATE INDEX analyze_expression ON analyze_docs USING colbert_ivf ((doc::multivector(2)));
ANALYZE analyze_docs;
SELECT null_frac, avg_width, n_distinct, most_common_vals IS NULL AS no_common FROM pg_stats WHERE tablename = 'analyze_expression';
-- No statistics if the target is 0.
ALTER TABLE analyze_long ALTER doc SET STATISTICS 0;
DELETE FROM pg_statistic WHERE starelid = 'analyze_long'::regclass;
ANALYZE analyze_long;
SELECT count(*) FROM pg_stats WHERE tablename = 'analyze_long';

-- A large target takes as long as a small one. Without the type's own function it would take many times as long.
CREATE TABLE analyze_many AS SELECT array[[sin(i), cos(i)]]::real[]::multivector AS doc FROM generate_series(1, 6000) AS i;
CREATE FUNCTION analyze_seconds() RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz := clock_timestamp();
BEGIN
	ANALYZE analyze_many;
	RETURN extract(epoch FROM clock_timestamp() - start);
END $$;
SET default_statistics_target = 2000;
SELECT analyze_seconds() IS NOT NULL AS warm;
SELECT least(analyze_seconds(), analyze_seconds()) AS own \gset
ALTER TYPE multivector SET (ANALYZE = NONE);
SELECT analyze_seconds() AS standard \gset
ALTER TYPE multivector SET (ANALYZE = multivector_typanalyze);
SELECT :own * 5 < :standard AS faster;
RESET default_statistics_target;

DROP TABLE analyze_docs, analyze_long, analyze_null, analyze_many;
DROP DOMAIN analyze_domain;
DROP FUNCTION analyze_seconds;
