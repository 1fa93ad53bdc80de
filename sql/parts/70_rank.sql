-- Learned rankers: a model of LightGBM or XGBoost, or a linear one, and its prediction.

CREATE TYPE rank_model;

CREATE FUNCTION rank_model_in(cstring) RETURNS rank_model
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 30000;
COMMENT ON FUNCTION rank_model_in(cstring) IS 'I/O';

CREATE FUNCTION rank_model_out(rank_model) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000;
COMMENT ON FUNCTION rank_model_out(rank_model) IS 'I/O';

CREATE FUNCTION rank_model_recv(internal) RETURNS rank_model
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000;
COMMENT ON FUNCTION rank_model_recv(internal) IS 'I/O';

CREATE FUNCTION rank_model_send(rank_model) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000;
COMMENT ON FUNCTION rank_model_send(rank_model) IS 'I/O';

CREATE TYPE rank_model (
	INPUT = rank_model_in,
	OUTPUT = rank_model_out,
	RECEIVE = rank_model_recv,
	SEND = rank_model_send,
	STORAGE = extended,
	ALIGNMENT = double
);
COMMENT ON TYPE rank_model IS 'trained ranker: a model file of LightGBM or XGBoost, or a linear model';

CREATE FUNCTION rank_score(model rank_model, features real[]) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 300;
COMMENT ON FUNCTION rank_score(rank_model, real[]) IS 'raw prediction of a model for features in its order';

CREATE FUNCTION rank_score(model rank_model, features real[], names text[]) RETURNS float8
	AS 'MODULE_PATHNAME', 'rank_score_by_name' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 300;
COMMENT ON FUNCTION rank_score(rank_model, real[], text[])
	IS 'raw prediction of a model, which finds its features by their names';

CREATE FUNCTION rank_model_features(model rank_model) RETURNS text[]
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rank_model_features(rank_model) IS 'names of the features of a model, in order';

CREATE FUNCTION rank_model_info(model rank_model, OUT kind text, OUT features integer, OUT trees bigint, OUT leaves bigint)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rank_model_info(rank_model) IS 'kind and size of a model';
