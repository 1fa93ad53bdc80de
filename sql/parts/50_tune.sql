-- Search for the cheapest settings of an index that reach a target recall.

CREATE FUNCTION multivector_scores(doc multivector, queries multivector[], metric integer) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'multivector_scores' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION multivector_scores(multivector, multivector[], integer) IS
	'internal: scores of a document for many queries, from which colbert_tune gets the exact answers';

CREATE FUNCTION colbert_tune(index regclass, queries multivector[], target_recall float8 DEFAULT 0.95, k integer DEFAULT 10,
	apply boolean DEFAULT false, exact regclass DEFAULT NULL,
	OUT target float8, OUT probes integer, OUT ef_search integer, OUT candidates integer, OUT rerank integer,
	OUT recall float8, OUT ms float8, OUT chosen boolean, OUT partition regclass) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_tune' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION colbert_tune(regclass, multivector[], float8, integer, boolean, regclass) IS
	'measure recall and time of index settings on sample queries and choose the cheapest that reach target_recall; apply stores them as options of the index; exact is a table of the exact answers (query, rank, score); an index of a partitioned table is searched as a whole, with a row per partition';
