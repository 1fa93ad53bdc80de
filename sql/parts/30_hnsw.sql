-- The access method colbert_hnsw and its operator classes.

CREATE FUNCTION colbert_hnsw_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'colbert_hnsw_handler' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION colbert_hnsw_handler(internal) IS 'handler of access method colbert_hnsw';

CREATE ACCESS METHOD colbert_hnsw TYPE INDEX HANDLER colbert_hnsw_handler;
COMMENT ON ACCESS METHOD colbert_hnsw IS 'late-interaction search: an HNSW graph over representative tokens, with posting lists of documents';

CREATE OPERATOR CLASS multivector_maxsim_ops DEFAULT FOR TYPE multivector USING colbert_hnsw AS
	OPERATOR 1 <#> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 2 <~#> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 3 <#~@ (multivector, multivector_threshold),
	FUNCTION 1 maxsim(multivector, multivector),
	FUNCTION 2 multivector_threshold(multivector, text, float8),
	FUNCTION 3 (multivector, multivector) multivector_bound(float8, text, float8, boolean);
COMMENT ON OPERATOR CLASS multivector_maxsim_ops USING colbert_hnsw IS 'order by maxsim';
COMMENT ON OPERATOR FAMILY multivector_maxsim_ops USING colbert_hnsw IS 'order by maxsim';

CREATE OPERATOR CLASS multivector_cosine_ops FOR TYPE multivector USING colbert_hnsw AS
	OPERATOR 1 <=> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 2 <~=> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 3 <=~@ (multivector, multivector_threshold),
	FUNCTION 1 maxsim_cosine(multivector, multivector),
	FUNCTION 2 multivector_threshold(multivector, text, float8),
	FUNCTION 3 (multivector, multivector) multivector_bound(float8, text, float8, boolean);
COMMENT ON OPERATOR CLASS multivector_cosine_ops USING colbert_hnsw IS 'order by maxsim_cosine';
COMMENT ON OPERATOR FAMILY multivector_cosine_ops USING colbert_hnsw IS 'order by maxsim_cosine';

CREATE OPERATOR CLASS multivector_l2_ops FOR TYPE multivector USING colbert_hnsw AS
	OPERATOR 1 <-> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 2 <~-> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 3 <-~@ (multivector, multivector_threshold),
	FUNCTION 1 maxsim_l2(multivector, multivector),
	FUNCTION 2 multivector_threshold(multivector, text, float8),
	FUNCTION 3 (multivector, multivector) multivector_bound(float8, text, float8, boolean);
COMMENT ON OPERATOR CLASS multivector_l2_ops USING colbert_hnsw IS 'order by maxsim_l2';
COMMENT ON OPERATOR FAMILY multivector_l2_ops USING colbert_hnsw IS 'order by maxsim_l2';
