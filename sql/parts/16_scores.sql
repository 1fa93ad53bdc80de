-- Scores, and the operators that order by them.
--
-- COST is in simple operators: with 65 tokens of 128 dimensions and a query of
-- 16 tokens a score takes 14 us, 12 of them to fetch the document out of line,
-- and i + 1 takes 4.3 ns.

CREATE FUNCTION multivector_score_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_score_support(internal) IS 'internal: what a score costs';

CREATE FUNCTION maxsim(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim(multivector, multivector)
	IS 'sum over the query''s tokens of their largest inner product with a token of the document';

CREATE FUNCTION maxsim_cosine(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim_cosine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_cosine(multivector, multivector)
	IS 'sum over the query''s tokens of their largest cosine with a token of the document';

CREATE FUNCTION maxsim_l2(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim_l2' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_l2(multivector, multivector)
	IS 'sum over the query''s tokens of their distance to the nearest token of the document';

CREATE FUNCTION maxsim_distance(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_distance(multivector, multivector)
	IS 'implementation of <#> operator';

CREATE FUNCTION maxsim_cosine_distance(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_cosine_distance(multivector, multivector)
	IS 'implementation of <=> operator';

CREATE FUNCTION maxsim_tokens(doc multivector, query multivector,
	OUT query_token integer, OUT doc_token integer, OUT similarity float8) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'multivector_maxsim_tokens' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000 ROWS 32;
COMMENT ON FUNCTION maxsim_tokens(multivector, multivector)
	IS 'the document token that each query token matches, and their inner product: the terms of maxsim';

CREATE OPERATOR <#> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_distance);
COMMENT ON OPERATOR <#> (multivector, multivector) IS 'negated maxsim';

CREATE OPERATOR <=> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_cosine_distance);
COMMENT ON OPERATOR <=> (multivector, multivector) IS 'sum over the query''s tokens of 1 - largest cosine';

CREATE OPERATOR <-> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_l2);
COMMENT ON OPERATOR <-> (multivector, multivector) IS 'sum over the query''s tokens of the distance to the nearest token';

-- The same orders with NULL documents first. A plain DESC on a score means
-- that, and the planner has to say so to an index in terms of operators.

CREATE OPERATOR <~#> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_distance);
COMMENT ON OPERATOR <~#> (multivector, multivector) IS 'as <#>, NULL documents first; used by the planner';

CREATE OPERATOR <~=> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_cosine_distance);
COMMENT ON OPERATOR <~=> (multivector, multivector) IS 'as <=>, NULL documents first; used by the planner';

CREATE OPERATOR <~-> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_l2);
COMMENT ON OPERATOR <~-> (multivector, multivector) IS 'as <->, NULL documents first; used by the planner';
