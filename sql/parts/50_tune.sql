-- The cheapest settings of an index that find what is asked of it.

CREATE FUNCTION multivector_scores(doc multivector, queries multivector[], metric integer) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'multivector_scores' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION multivector_scores(multivector, multivector[], integer) IS
	'internal: the scores of a document for many queries, by which colbert_tune knows the exact answers';

CREATE FUNCTION colbert_tune(index regclass, queries multivector[], target_recall float8 DEFAULT 0.95, k integer DEFAULT 10,
	apply boolean DEFAULT false,
	OUT probes integer, OUT ef_search integer, OUT candidates integer, OUT rerank integer,
	OUT recall float8, OUT ms float8, OUT chosen boolean) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_tune' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION colbert_tune(regclass, multivector[], float8, integer, boolean) IS
	'recall and time of an index on a sample of queries, and the cheapest settings that reach a recall; apply: make them the options of the index';
