-- Thresholds of a score: the form in which an index receives the condition
-- "maxsim(doc, query) > bound".
--
-- Users write the comparison; the planner converts it to these operators.

CREATE TYPE multivector_threshold AS (query multivector, comparison text, bound float8);
COMMENT ON TYPE multivector_threshold IS 'condition that the score of a document for a query is beyond a bound';

CREATE FUNCTION multivector_threshold(query multivector, comparison text, bound float8) RETURNS multivector_threshold
	AS 'MODULE_PATHNAME', 'multivector_threshold' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_threshold(multivector, text, float8)
	IS 'condition that a score is > or >= a bound, or a distance < or <= a bound';

CREATE FUNCTION multivector_bound(bound float8, operation text, operand float8, above boolean) RETURNS float8
	AS 'MODULE_PATHNAME', 'multivector_bound' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_bound(float8, text, float8, boolean)
	IS 'internal: derive the bound of a score from the bound of an operation on it; used by the planner';

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
COMMENT ON OPERATOR <#~@ (multivector, multivector_threshold) IS 'maxsim, or <#>, is within the threshold; used by the planner';

CREATE OPERATOR <=~@ (LEFTARG = multivector, RIGHTARG = multivector_threshold, FUNCTION = maxsim_cosine_within, RESTRICT = matchingsel);
COMMENT ON OPERATOR <=~@ (multivector, multivector_threshold) IS 'maxsim_cosine, or <=>, is within the threshold; used by the planner';

CREATE OPERATOR <-~@ (LEFTARG = multivector, RIGHTARG = multivector_threshold, FUNCTION = maxsim_l2_within, RESTRICT = matchingsel);
COMMENT ON OPERATOR <-~@ (multivector, multivector_threshold) IS 'maxsim_l2, or <->, is within the threshold; used by the planner';
