-- Scores, and the operators that order by them.
--
-- COST is in simple operators. A score of a document of 65 tokens and a query
-- of 16 tokens, with 128 dimensions, takes 14 us, of which fetching the
-- document from TOAST takes 12 us; i + 1 takes 4.3 ns.

CREATE FUNCTION multivector_score_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_score_support(internal) IS 'internal: planner support for the cost of a score';

CREATE FUNCTION maxsim(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim(multivector, multivector)
	IS 'sum over the query tokens of the largest inner product with a document token';

CREATE FUNCTION maxsim_cosine(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim_cosine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_cosine(multivector, multivector)
	IS 'sum over the query tokens of the largest cosine similarity with a document token';

CREATE FUNCTION maxsim_l2(doc multivector, query multivector) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_maxsim_l2' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_l2(multivector, multivector)
	IS 'sum over the query tokens of the distance to the nearest document token';

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
	IS 'best matching document token of each query token and their inner product: the terms of maxsim';

CREATE FUNCTION maxsim_features(doc multivector, query multivector, bound real DEFAULT 0.5) RETURNS real[]
	AS 'MODULE_PATHNAME', 'multivector_maxsim_features' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_features(multivector, multivector, real)
	IS 'features for a learned ranker: maxsim; mean, minimum, maximum, standard deviation and median over the query tokens; share of them below the bound; tokens of both';

CREATE OPERATOR <#> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_distance);
COMMENT ON OPERATOR <#> (multivector, multivector) IS 'negated maxsim';

CREATE OPERATOR <=> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_cosine_distance);
COMMENT ON OPERATOR <=> (multivector, multivector) IS 'sum over the query tokens of 1 - largest cosine similarity';

CREATE OPERATOR <-> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_l2);
COMMENT ON OPERATOR <-> (multivector, multivector) IS 'sum over the query tokens of the distance to the nearest document token';

-- The same orders with NULL documents first, which is what a plain DESC on a
-- score means. The planner can express that to an index only by an operator.

CREATE OPERATOR <~#> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_distance);
COMMENT ON OPERATOR <~#> (multivector, multivector) IS 'same as <#>, but with NULL documents first; used by the planner';

CREATE OPERATOR <~=> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_cosine_distance);
COMMENT ON OPERATOR <~=> (multivector, multivector) IS 'same as <=>, but with NULL documents first; used by the planner';

CREATE OPERATOR <~-> (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = maxsim_l2);
COMMENT ON OPERATOR <~-> (multivector, multivector) IS 'same as <->, but with NULL documents first; used by the planner';
