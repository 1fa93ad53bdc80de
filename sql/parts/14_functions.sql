-- Functions that inspect or transform a multivector.

CREATE FUNCTION num_tokens(doc multivector) RETURNS integer
	AS 'MODULE_PATHNAME', 'multivector_num_tokens' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION num_tokens(multivector) IS 'number of tokens';

CREATE FUNCTION dims(doc multivector) RETURNS integer
	AS 'MODULE_PATHNAME', 'multivector_dims' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION dims(multivector) IS 'number of dimensions per token';

CREATE FUNCTION token(doc multivector, i integer) RETURNS real[]
	AS 'MODULE_PATHNAME', 'multivector_token' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000;
COMMENT ON FUNCTION token(multivector, integer) IS 'the i-th token, counted from 1';

CREATE FUNCTION unnest(doc multivector, OUT ordinal integer, OUT embedding real[]) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'multivector_unnest' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000 ROWS 64;
COMMENT ON FUNCTION unnest(multivector) IS 'expand to one row per token, with ordinals counted from 1';

CREATE FUNCTION l2_normalize(doc multivector) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_l2_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 8000;
COMMENT ON FUNCTION l2_normalize(multivector) IS 'divide each token by its norm; a zero token stays zero';

CREATE FUNCTION mean_pool(doc multivector) RETURNS real[]
	AS 'MODULE_PATHNAME', 'multivector_mean_pool' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4000;
COMMENT ON FUNCTION mean_pool(multivector) IS 'mean of the tokens';

CREATE FUNCTION pool_tokens(doc multivector, factor integer) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_pool_tokens' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 40000;
COMMENT ON FUNCTION pool_tokens(multivector, integer)
	IS 'replace groups of similar tokens by their mean, which divides the number of tokens by factor';

CREATE FUNCTION multivector_concat(multivector, multivector) RETURNS multivector
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION multivector_concat(multivector, multivector) IS 'implementation of || operator';

CREATE OPERATOR || (LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = multivector_concat);
COMMENT ON OPERATOR || (multivector, multivector) IS 'concatenate the tokens of both';

-- The aggregate.

CREATE FUNCTION multivector_agg_transfn(internal, real[]) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION multivector_agg_transfn(internal, real[]) IS 'aggregate transition function';

CREATE FUNCTION multivector_agg_finalfn(internal) RETURNS multivector
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION multivector_agg_finalfn(internal) IS 'aggregate final function';

CREATE FUNCTION multivector_agg_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION multivector_agg_combinefn(internal, internal) IS 'aggregate combine function';

CREATE FUNCTION multivector_agg_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_agg_serialfn(internal) IS 'aggregate serial function';

CREATE FUNCTION multivector_agg_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_agg_deserialfn(bytea, internal) IS 'aggregate deserial function';

CREATE AGGREGATE multivector_agg(token real[]) (
	SFUNC = multivector_agg_transfn,
	STYPE = internal,
	FINALFUNC = multivector_agg_finalfn,
	COMBINEFUNC = multivector_agg_combinefn,
	SERIALFUNC = multivector_agg_serialfn,
	DESERIALFUNC = multivector_agg_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE multivector_agg(real[])
	IS 'collect tokens into a multivector; use ORDER BY inside the call if their order matters';
