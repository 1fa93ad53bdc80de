-- Thresholds of a score: what "maxsim(doc, query) > bound" is to an index.
--
-- People write the comparison; the planner says it to an index by these.

CREATE TYPE multivector_threshold AS (query multivector, comparison text, bound float8);
COMMENT ON TYPE multivector_threshold IS 'the documents whose score for a query is beyond a bound';

CREATE FUNCTION multivector_threshold(query multivector, comparison text, bound float8) RETURNS multivector_threshold
	AS 'MODULE_PATHNAME', 'multivector_threshold' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_threshold(multivector, text, float8)
	IS 'documents whose score is > or >= a bound, or whose distance is < or <= one';

CREATE FUNCTION multivector_bound(bound float8, operation text, operand float8, above boolean) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_bound' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_bound(float8, text, float8, boolean)
	IS 'internal: bound of a score that follows from the bound of an operation of it; used by the planner';

CREATE FUNCTION maxsim_within(doc multivector, threshold multivector_threshold) RETURNS boolean
	AS 'MODULE_PATHNAME', 'multivector_maxsim_within' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_within(multivector, multivector_threshold) IS 'implementation of <#~@ operator';

CREATE FUNCTION maxsim_cosine_within(doc multivector, threshold multivector_threshold) RETURNS boolean
	AS 'MODULE_PATHNAME', 'multivector_maxsim_cosine_within' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_cosine_within(multivector, multivector_threshold) IS 'implementation of <=~@ operator';

CREATE FUNCTION maxsim_l2_within(doc multivector, threshold multivector_threshold) RETURNS boolean
	AS 'MODULE_PATHNAME', 'multivector_maxsim_l2_within' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000
	SUPPORT multivector_score_support;
COMMENT ON FUNCTION maxsim_l2_within(multivector, multivector_threshold) IS 'implementation of <-~@ operator';

CREATE OPERATOR <#~@ (LEFTARG = multivector, RIGHTARG = multivector_threshold, FUNCTION = maxsim_within, RESTRICT = matchingsel);
COMMENT ON OPERATOR <#~@ (multivector, multivector_threshold) IS 'is maxsim, or <#>, within the threshold; used by the planner';

CREATE OPERATOR <=~@ (LEFTARG = multivector, RIGHTARG = multivector_threshold, FUNCTION = maxsim_cosine_within, RESTRICT = matchingsel);
COMMENT ON OPERATOR <=~@ (multivector, multivector_threshold) IS 'is maxsim_cosine, or <=>, within the threshold; used by the planner';

CREATE OPERATOR <-~@ (LEFTARG = multivector, RIGHTARG = multivector_threshold, FUNCTION = maxsim_l2_within, RESTRICT = matchingsel);
COMMENT ON OPERATOR <-~@ (multivector, multivector_threshold) IS 'is maxsim_l2 within the threshold; used by the planner';
