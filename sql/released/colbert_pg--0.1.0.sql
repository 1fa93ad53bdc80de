-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION colbert_pg" to load this file. \quit

-- The type: a set of token embeddings.

CREATE TYPE multivector;

CREATE FUNCTION multivector_in(cstring, oid, integer) RETURNS multivector
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 30000;
COMMENT ON FUNCTION multivector_in(cstring, oid, integer) IS 'I/O';

-- STABLE, because colbert.multivector_output decides the form.
CREATE FUNCTION multivector_out(multivector) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 45000;
COMMENT ON FUNCTION multivector_out(multivector) IS 'I/O';

CREATE FUNCTION multivector_recv(internal, oid, integer) RETURNS multivector
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 6000;
COMMENT ON FUNCTION multivector_recv(internal, oid, integer) IS 'I/O';

CREATE FUNCTION multivector_send(multivector) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000;
COMMENT ON FUNCTION multivector_send(multivector) IS 'I/O';

CREATE FUNCTION multivector_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_typmod_in(cstring[]) IS 'I/O typmod';

CREATE FUNCTION multivector_typmod_out(integer) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_typmod_out(integer) IS 'I/O typmod';

CREATE FUNCTION multivector_typanalyze(internal) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION multivector_typanalyze(internal) IS 'statistics for ANALYZE: fraction of NULLs and average width';

CREATE TYPE multivector (
	INPUT = multivector_in,
	OUTPUT = multivector_out,
	RECEIVE = multivector_recv,
	SEND = multivector_send,
	TYPMOD_IN = multivector_typmod_in,
	TYPMOD_OUT = multivector_typmod_out,
	ANALYZE = multivector_typanalyze,
	ALIGNMENT = int4,
	STORAGE = external
);
COMMENT ON TYPE multivector IS 'set of token embeddings: multivector(dims [, float4 | float2 | int8])';

CREATE FUNCTION multivector(multivector, integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_enforce_typmod' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION multivector(multivector, integer, boolean)
	IS 'enforce the dimensions and element format of a column';

CREATE CAST (multivector AS multivector)
	WITH FUNCTION multivector(multivector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (multivector AS multivector) IS 'enforce the dimensions and element format of a column';
-- Casts from and to other types, and constructors.

CREATE FUNCTION multivector(real[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 8000;
COMMENT ON FUNCTION multivector(real[], integer, boolean) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE CAST (real[] AS multivector)
	WITH FUNCTION multivector(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS multivector) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE FUNCTION multivector(double precision[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 15000;
COMMENT ON FUNCTION multivector(double precision[], integer, boolean) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE CAST (double precision[] AS multivector)
	WITH FUNCTION multivector(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS multivector) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE FUNCTION multivector(numeric[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION multivector(numeric[], integer, boolean) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE CAST (numeric[] AS multivector)
	WITH FUNCTION multivector(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS multivector) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE FUNCTION multivector(integer[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 15000;
COMMENT ON FUNCTION multivector(integer[], integer, boolean) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE CAST (integer[] AS multivector)
	WITH FUNCTION multivector(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS multivector) IS 'convert a two-dimensional array, tokens by dimensions, to multivector';

CREATE FUNCTION multivector(json, integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_json' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 30000;
COMMENT ON FUNCTION multivector(json, integer, boolean) IS 'convert an array of arrays of numbers to multivector';

CREATE CAST (json AS multivector)
	WITH FUNCTION multivector(json, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (json AS multivector) IS 'convert an array of arrays of numbers to multivector';

CREATE FUNCTION multivector(jsonb, integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 200000;
COMMENT ON FUNCTION multivector(jsonb, integer, boolean) IS 'convert an array of arrays of numbers to multivector';

CREATE CAST (jsonb AS multivector)
	WITH FUNCTION multivector(jsonb, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (jsonb AS multivector) IS 'convert an array of arrays of numbers to multivector';

CREATE FUNCTION multivector_to_array(doc multivector) RETURNS real[]
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000;
COMMENT ON FUNCTION multivector_to_array(multivector) IS 'convert to a two-dimensional array, tokens by dimensions';

CREATE CAST (multivector AS real[])
	WITH FUNCTION multivector_to_array(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS real[]) IS 'convert to a two-dimensional array, tokens by dimensions';

CREATE FUNCTION multivector_to_float8_array(doc multivector) RETURNS double precision[]
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 6000;
COMMENT ON FUNCTION multivector_to_float8_array(multivector) IS 'convert to a two-dimensional array, tokens by dimensions';

CREATE CAST (multivector AS double precision[])
	WITH FUNCTION multivector_to_float8_array(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS double precision[]) IS 'convert to a two-dimensional array, tokens by dimensions';

CREATE FUNCTION multivector_to_json(doc multivector) RETURNS json
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 45000;
COMMENT ON FUNCTION multivector_to_json(multivector) IS 'convert to an array of arrays of numbers';

CREATE CAST (multivector AS json)
	WITH FUNCTION multivector_to_json(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS json) IS 'convert to an array of arrays of numbers';

CREATE FUNCTION multivector_to_jsonb(doc multivector) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 300000;
COMMENT ON FUNCTION multivector_to_jsonb(multivector) IS 'convert to an array of arrays of numbers';

CREATE CAST (multivector AS jsonb)
	WITH FUNCTION multivector_to_jsonb(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS jsonb) IS 'convert to an array of arrays of numbers';

CREATE FUNCTION multivector(bytes bytea, dims integer, element text DEFAULT 'float4') RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 6000;
COMMENT ON FUNCTION multivector(bytea, integer, text)
	IS 'convert raw little-endian float4, float2 or int8 numbers to multivector';

CREATE FUNCTION multivector(bytes bytea) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_binary_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 6000;
COMMENT ON FUNCTION multivector(bytea) IS 'multivector from its binary format, as multivector_send gives it';

CREATE CAST (bytea AS multivector)
	WITH FUNCTION multivector(bytea) AS ASSIGNMENT;
COMMENT ON CAST (bytea AS multivector) IS 'multivector from its binary format, as multivector_send gives it';

CREATE FUNCTION multivector(tokens anyarray) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_anyarray' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 8000;
COMMENT ON FUNCTION multivector(anyarray)
	IS 'convert a two-dimensional array of numbers, or vector[] or halfvec[] of extension "vector", to multivector';
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
-- Equality, for DISTINCT, GROUP BY, hash joins and hash partitions.

CREATE FUNCTION multivector_eq(multivector, multivector) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION multivector_eq(multivector, multivector) IS 'implementation of = operator';

CREATE FUNCTION multivector_ne(multivector, multivector) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION multivector_ne(multivector, multivector) IS 'implementation of <> operator';

CREATE FUNCTION multivector_hash(multivector) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION multivector_hash(multivector) IS 'hash';

CREATE FUNCTION multivector_hash_extended(multivector, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION multivector_hash_extended(multivector, bigint) IS 'hash';

CREATE OPERATOR = (
	LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = multivector_eq,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
COMMENT ON OPERATOR = (multivector, multivector) IS 'same number of tokens and dimensions, and equal elements';

CREATE OPERATOR <> (
	LEFTARG = multivector, RIGHTARG = multivector, FUNCTION = multivector_ne,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (multivector, multivector) IS 'not equal';

CREATE OPERATOR CLASS multivector_hash_ops DEFAULT FOR TYPE multivector USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 multivector_hash(multivector),
	FUNCTION 2 multivector_hash_extended(multivector, bigint);
COMMENT ON OPERATOR CLASS multivector_hash_ops USING hash IS 'equality of multivectors';
COMMENT ON OPERATOR FAMILY multivector_hash_ops USING hash IS 'equality of multivectors';
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
-- Full-text ranking: BM25F over tsvector.

CREATE TYPE bm25_query;

CREATE FUNCTION bm25_query_in(cstring) RETURNS bm25_query
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION bm25_query_in(cstring) IS 'I/O';

CREATE FUNCTION bm25_query_out(bm25_query) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bm25_query_out(bm25_query) IS 'I/O';

CREATE FUNCTION bm25_query_recv(internal) RETURNS bm25_query
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION bm25_query_recv(internal) IS 'I/O';

CREATE FUNCTION bm25_query_send(bm25_query) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION bm25_query_send(bm25_query) IS 'I/O';

CREATE TYPE bm25_query (
	INPUT = bm25_query_in,
	OUTPUT = bm25_query_out,
	RECEIVE = bm25_query_recv,
	SEND = bm25_query_send,
	ALIGNMENT = double,
	STORAGE = extended
);
COMMENT ON TYPE bm25_query IS 'words of a full-text query, with the statistics that bm25f needs';

-- Statistics. The function writes with the rights of the table's owner, who alone may call it.

CREATE FUNCTION bm25_analyze(source regclass, source_column name, sample bigint DEFAULT NULL, config regconfig DEFAULT NULL) RETURNS regclass
	AS 'MODULE_PATHNAME', 'bm25_analyze' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION bm25_analyze(regclass, name, bigint, regconfig)
	IS 'make or refresh the full-text statistics of a tsvector column, from all rows or a sample; returns their table';

CREATE FUNCTION bm25_query(statistics regclass, query text, weights real[] DEFAULT '{1,2,3,5}', b float8 DEFAULT 0.75, k1 float8 DEFAULT 1.2,
	budget integer DEFAULT 1000) RETURNS bm25_query
	AS 'MODULE_PATHNAME', 'bm25_query_from_text' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION bm25_query(regclass, text, real[], float8, float8, integer)
	IS 'prepare a full-text query from the words of a text; weights are those of sections D, C, B, A';

CREATE FUNCTION bm25_query(statistics regclass, query tsquery, weights real[] DEFAULT '{1,2,3,5}', b float8 DEFAULT 0.75, k1 float8 DEFAULT 1.2,
	budget integer DEFAULT 1000) RETURNS bm25_query
	AS 'MODULE_PATHNAME', 'bm25_query_from_tsquery' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION bm25_query(regclass, tsquery, real[], float8, float8, integer)
	IS 'prepare a full-text query from the words of a tsquery that are not negated; weights are those of sections D, C, B, A';

-- COST is in simple operators of 4.3 ns. A score takes about 2 us, more if the
-- tsvector is compressed and less if it is not (doc/ranking.md, bench/ranking).

CREATE FUNCTION bm25f(doc tsvector, query bm25_query) RETURNS float8
	AS 'MODULE_PATHNAME', 'bm25f' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION bm25f(tsvector, bm25_query) IS 'BM25F score: weighted frequencies by section, normalised by length, saturated once per word';

CREATE FUNCTION bm25f_terms(doc tsvector, query bm25_query,
	OUT term text, OUT section text, OUT frequency integer, OUT contribution float8) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'bm25f_terms' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION bm25f_terms(tsvector, bm25_query) IS 'the terms of bm25f: frequency of each word in each section, and its part of the score';

CREATE FUNCTION bm25f_features(doc tsvector, query bm25_query) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bm25f_features' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 600;
COMMENT ON FUNCTION bm25f_features(tsvector, bm25_query)
	IS 'features for a learned ranker: score, share of the bound, score by section, share of words by section, lengths';

CREATE FUNCTION bm25_bound(query bm25_query) RETURNS float8
	AS 'MODULE_PATHNAME', 'bm25_bound' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bm25_bound(bm25_query) IS 'upper bound of bm25f: the sum of the idf of the words; 1 if there are none';

-- STABLE, and with the cost of detoasting a tsvector: so the planner does not
-- replace the call by its value, and its cost counts for each row that @@
-- would read without the GIN index. An index scan calls it once.

CREATE FUNCTION bm25_candidates(query bm25_query) RETURNS tsquery
	AS 'MODULE_PATHNAME', 'bm25_candidates' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION bm25_candidates(bm25_query) IS 'the rarest words of a query, within its budget, for @@';

-- Frozen weights: a document whose words are weighted already.

CREATE TYPE bm25_frozen;

CREATE FUNCTION bm25_frozen_in(cstring) RETURNS bm25_frozen
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION bm25_frozen_in(cstring) IS 'I/O';

CREATE FUNCTION bm25_frozen_out(bm25_frozen) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bm25_frozen_out(bm25_frozen) IS 'I/O';

CREATE FUNCTION bm25_frozen_recv(internal) RETURNS bm25_frozen
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION bm25_frozen_recv(internal) IS 'I/O';

CREATE FUNCTION bm25_frozen_send(bm25_frozen) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION bm25_frozen_send(bm25_frozen) IS 'I/O';

-- MAIN keeps a value in its row, where a score reads it without detoasting.

CREATE TYPE bm25_frozen (
	INPUT = bm25_frozen_in,
	OUTPUT = bm25_frozen_out,
	RECEIVE = bm25_frozen_recv,
	SEND = bm25_frozen_send,
	ALIGNMENT = int4,
	STORAGE = main
);
COMMENT ON TYPE bm25_frozen IS 'words of a document, each with its share of its idf in one byte';

CREATE FUNCTION bm25f_freeze(doc tsvector, settings bm25_query) RETURNS bm25_frozen
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bm25f_freeze(tsvector, bm25_query) IS 'weigh the words of a document by the weights, b, k1 and mean lengths of a query';

CREATE FUNCTION bm25f_frozen(doc bm25_frozen, query bm25_query) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION bm25f_frozen(bm25_frozen, bm25_query) IS 'BM25F score of a frozen document, rounded: that of bm25f with the weights in one byte each';

CREATE FUNCTION bm25f_is_stale(doc bm25_frozen, settings bm25_query) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION bm25f_is_stale(bm25_frozen, bm25_query) IS 'true if a document was frozen by other weights, b, k1 or mean lengths than those of a query';
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
-- The access method colbert_ivf and its operator classes.

CREATE FUNCTION colbert_ivf_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'colbert_ivf_handler' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION colbert_ivf_handler(internal) IS 'handler of access method colbert_ivf';

CREATE ACCESS METHOD colbert_ivf TYPE INDEX HANDLER colbert_ivf_handler;
COMMENT ON ACCESS METHOD colbert_ivf IS 'late-interaction search: inverted lists of documents under two levels of trained centroids';

CREATE OPERATOR CLASS multivector_maxsim_ops DEFAULT FOR TYPE multivector USING colbert_ivf AS
	OPERATOR 1 <#> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 2 <~#> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 3 <#~@ (multivector, multivector_threshold),
	FUNCTION 1 maxsim(multivector, multivector),
	FUNCTION 2 multivector_threshold(multivector, text, float8),
	FUNCTION 3 (multivector, multivector) multivector_bound(float8, text, float8, boolean);
COMMENT ON OPERATOR CLASS multivector_maxsim_ops USING colbert_ivf IS 'order by maxsim';
COMMENT ON OPERATOR FAMILY multivector_maxsim_ops USING colbert_ivf IS 'order by maxsim';

CREATE OPERATOR CLASS multivector_cosine_ops FOR TYPE multivector USING colbert_ivf AS
	OPERATOR 1 <=> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 2 <~=> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 3 <=~@ (multivector, multivector_threshold),
	FUNCTION 1 maxsim_cosine(multivector, multivector),
	FUNCTION 2 multivector_threshold(multivector, text, float8),
	FUNCTION 3 (multivector, multivector) multivector_bound(float8, text, float8, boolean);
COMMENT ON OPERATOR CLASS multivector_cosine_ops USING colbert_ivf IS 'order by maxsim_cosine';
COMMENT ON OPERATOR FAMILY multivector_cosine_ops USING colbert_ivf IS 'order by maxsim_cosine';

CREATE OPERATOR CLASS multivector_l2_ops FOR TYPE multivector USING colbert_ivf AS
	OPERATOR 1 <-> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 2 <~-> (multivector, multivector) FOR ORDER BY float_ops,
	OPERATOR 3 <-~@ (multivector, multivector_threshold),
	FUNCTION 1 maxsim_l2(multivector, multivector),
	FUNCTION 2 multivector_threshold(multivector, text, float8),
	FUNCTION 3 (multivector, multivector) multivector_bound(float8, text, float8, boolean);
COMMENT ON OPERATOR CLASS multivector_l2_ops USING colbert_ivf IS 'order by maxsim_l2';
COMMENT ON OPERATOR FAMILY multivector_l2_ops USING colbert_ivf IS 'order by maxsim_l2';
-- Monitoring and maintenance of an index.

CREATE FUNCTION colbert_index_info(index regclass,
	OUT access_method text, OUT quantizer text, OUT dims integer,
	OUT documents bigint, OUT tokens bigint, OUT null_documents bigint,
	OUT nodes bigint, OUT tokens_per_node integer,
	OUT pending_documents bigint, OUT pending_tokens bigint,
	OUT dead_documents bigint, OUT free_documents bigint,
	OUT postings bigint, OUT postings_per_node float8,
	OUT directory_bytes bigint, OUT sketch_bytes bigint, OUT code_bytes bigint,
	OUT node_bytes bigint, OUT posting_bytes bigint, OUT total_bytes bigint,
	OUT imbalance float8, OUT trained_distance float8, OUT merged_distance float8, OUT advice text, OUT centroids regclass)
	AS 'MODULE_PATHNAME', 'colbert_index_info' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION colbert_index_info(regclass) IS 'contents of a colbert_pg index, sizes of its parts, and fit of its nodes; of a partitioned table, the sum over its partitions';

CREATE FUNCTION colbert_partition_info(index regclass,
	OUT partition regclass,
	OUT access_method text, OUT quantizer text, OUT dims integer,
	OUT documents bigint, OUT tokens bigint, OUT null_documents bigint,
	OUT nodes bigint, OUT tokens_per_node integer,
	OUT pending_documents bigint, OUT pending_tokens bigint,
	OUT dead_documents bigint, OUT free_documents bigint,
	OUT postings bigint, OUT postings_per_node float8,
	OUT directory_bytes bigint, OUT sketch_bytes bigint, OUT code_bytes bigint,
	OUT node_bytes bigint, OUT posting_bytes bigint, OUT total_bytes bigint,
	OUT imbalance float8, OUT trained_distance float8, OUT merged_distance float8, OUT advice text, OUT centroids regclass) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_partition_info' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION colbert_partition_info(regclass) IS 'colbert_index_info of the index of each partition';

CREATE FUNCTION colbert_merge(index regclass) RETURNS bigint
	AS 'MODULE_PATHNAME', 'colbert_merge' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION colbert_merge(regclass) IS 'merge the pending documents of an index, or of the indexes of all partitions; returns the number of merged documents';

CREATE FUNCTION colbert_last_scan(
	OUT index regclass, OUT query_tokens integer,
	OUT probes integer, OUT ef_search integer, OUT candidates integer, OUT rerank integer,
	OUT hops bigint, OUT nodes bigint, OUT postings bigint, OUT gathered bigint, OUT pending bigint,
	OUT narrowed bigint, OUT reranked bigint, OUT fetched bigint, OUT scored bigint,
	OUT emitted bigint, OUT late bigint, OUT widenings integer, OUT exhaustive boolean,
	OUT find_ms float8, OUT gather_ms float8, OUT narrow_ms float8, OUT rerank_ms float8, OUT exact_ms float8,
	OUT tested bigint, OUT passed bigint, OUT passes integer, OUT batches bigint, OUT automatic text[],
	OUT find_hit bigint, OUT gather_hit bigint, OUT narrow_hit bigint, OUT rerank_hit bigint, OUT exact_hit bigint,
	OUT find_read bigint, OUT gather_read bigint, OUT narrow_read bigint, OUT rerank_read bigint, OUT exact_read bigint,
	OUT find_ahead bigint, OUT gather_ahead bigint, OUT narrow_ahead bigint, OUT rerank_ahead bigint, OUT exact_ahead bigint,
	OUT recall float8, OUT expected_misses float8, OUT share float8)
	AS 'MODULE_PATHNAME', 'colbert_last_scan' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION colbert_last_scan() IS 'statistics of the last index scan in this session, per stage';

CREATE FUNCTION colbert_last_scans(
	OUT index regclass, OUT query_tokens integer,
	OUT probes integer, OUT ef_search integer, OUT candidates integer, OUT rerank integer,
	OUT hops bigint, OUT nodes bigint, OUT postings bigint, OUT gathered bigint, OUT pending bigint,
	OUT narrowed bigint, OUT reranked bigint, OUT fetched bigint, OUT scored bigint,
	OUT emitted bigint, OUT late bigint, OUT widenings integer, OUT exhaustive boolean,
	OUT find_ms float8, OUT gather_ms float8, OUT narrow_ms float8, OUT rerank_ms float8, OUT exact_ms float8,
	OUT tested bigint, OUT passed bigint, OUT passes integer, OUT batches bigint, OUT automatic text[],
	OUT find_hit bigint, OUT gather_hit bigint, OUT narrow_hit bigint, OUT rerank_hit bigint, OUT exact_hit bigint,
	OUT find_read bigint, OUT gather_read bigint, OUT narrow_read bigint, OUT rerank_read bigint, OUT exact_read bigint,
	OUT find_ahead bigint, OUT gather_ahead bigint, OUT narrow_ahead bigint, OUT rerank_ahead bigint, OUT exact_ahead bigint,
	OUT recall float8, OUT expected_misses float8, OUT share float8) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_last_scans' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION colbert_last_scans() IS 'statistics of each index scan of the last statement in this session that had any, per stage';
-- Monitoring of all indexes of a database.

CREATE FUNCTION colbert_index_status(index oid,
	OUT status text, OUT problem text,
	OUT access_method text, OUT quantizer text, OUT dims integer,
	OUT documents bigint, OUT tokens bigint, OUT null_documents bigint,
	OUT nodes bigint, OUT tokens_per_node integer,
	OUT pending_documents bigint, OUT pending_tokens bigint,
	OUT dead_documents bigint, OUT free_documents bigint,
	OUT postings bigint, OUT postings_per_node float8,
	OUT directory_bytes bigint, OUT sketch_bytes bigint, OUT code_bytes bigint,
	OUT node_bytes bigint, OUT posting_bytes bigint, OUT total_bytes bigint,
	OUT imbalance float8, OUT trained_distance float8, OUT merged_distance float8, OUT advice text, OUT centroids regclass)
	AS 'MODULE_PATHNAME', 'colbert_index_status' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION colbert_index_status(oid) IS 'internal: for colbert_indexes, colbert_index_info that raises no error; NULL for other relations';

CREATE VIEW colbert_indexes AS
	SELECT c.oid::pg_catalog.regclass AS index, i.indrelid::pg_catalog.regclass AS relation, am.amname AS access_method,
		s.status, s.problem, s.advice, s.quantizer, s.dims, s.documents, s.tokens, s.null_documents, s.nodes, s.tokens_per_node,
		s.pending_documents, s.pending_tokens, s.dead_documents, s.free_documents, s.total_bytes,
		s.imbalance, s.trained_distance, s.merged_distance, s.centroids
	FROM pg_catalog.pg_am am
	JOIN pg_catalog.pg_class c ON c.relam OPERATOR(pg_catalog.=) am.oid
	JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
	CROSS JOIN LATERAL colbert_index_status(c.oid) AS s
	WHERE am.amname OPERATOR(pg_catalog.=) ANY (ARRAY['colbert_hnsw', 'colbert_ivf']::pg_catalog.name[]) AND c.relkind OPERATOR(pg_catalog.=) 'i' AND s.status IS NOT NULL;
COMMENT ON VIEW colbert_indexes IS 'state, contents and advice of each colbert_pg index of the database, those of partitions included';
GRANT SELECT ON colbert_indexes TO PUBLIC;

CREATE FUNCTION colbert_stat_get_indexes(OUT index oid,
	OUT searches bigint, OUT aborted bigint, OUT exhaustive bigint, OUT query_tokens bigint,
	OUT emitted bigint, OUT late bigint, OUT expected_misses float8,
	OUT nodes bigint, OUT hops bigint, OUT postings bigint, OUT gathered bigint,
	OUT narrowed bigint, OUT pending bigint, OUT widenings bigint, OUT passes bigint,
	OUT reranked bigint, OUT batches bigint,
	OUT fetched bigint, OUT tested bigint, OUT passed bigint, OUT scored bigint,
	OUT find_ms float8, OUT gather_ms float8, OUT narrow_ms float8, OUT rerank_ms float8, OUT exact_ms float8,
	OUT find_hit bigint, OUT gather_hit bigint, OUT narrow_hit bigint, OUT rerank_hit bigint, OUT exact_hit bigint,
	OUT find_read bigint, OUT gather_read bigint, OUT narrow_read bigint, OUT rerank_read bigint, OUT exact_read bigint,
	OUT find_ahead bigint, OUT gather_ahead bigint, OUT narrow_ahead bigint, OUT rerank_ahead bigint, OUT exact_ahead bigint,
	OUT last_search timestamptz, OUT since timestamptz) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_stat_get_indexes' LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION colbert_stat_get_indexes() IS 'internal: for colbert_stat_indexes';

CREATE VIEW colbert_stat_indexes AS
	SELECT i.indexrelid::pg_catalog.regclass AS index, i.indrelid::pg_catalog.regclass AS relation,
		s.searches, s.aborted, s.exhaustive, s.query_tokens, s.emitted, s.late, s.expected_misses,
		s.nodes, s.hops, s.postings, s.gathered, s.narrowed, s.pending, s.widenings, s.passes, s.reranked, s.batches,
		s.fetched, s.tested, s.passed, s.scored,
		s.find_ms, s.gather_ms, s.narrow_ms, s.rerank_ms, s.exact_ms,
		s.find_hit, s.gather_hit, s.narrow_hit, s.rerank_hit, s.exact_hit,
		s.find_read, s.gather_read, s.narrow_read, s.rerank_read, s.exact_read,
		s.find_ahead, s.gather_ahead, s.narrow_ahead, s.rerank_ahead, s.exact_ahead,
		s.last_search, s.since
	FROM colbert_stat_get_indexes() AS s JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) s.index;
COMMENT ON VIEW colbert_stat_indexes IS 'counters of the searches of all sessions, per index; no rows unless colbert_pg is in shared_preload_libraries';
GRANT SELECT ON colbert_stat_indexes TO PUBLIC;

CREATE FUNCTION colbert_stat_info(OUT indexes integer, OUT max_indexes integer, OUT evicted bigint, OUT since timestamptz)
	AS 'MODULE_PATHNAME', 'colbert_stat_info' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION colbert_stat_info() IS 'indexes of all databases with cumulative counters, their maximum, and those that lost theirs to others; NULL without shared_preload_libraries';

CREATE FUNCTION colbert_stat_reset() RETURNS void
	AS 'MODULE_PATHNAME', 'colbert_stat_reset' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION colbert_stat_reset() IS 'set the cumulative counters of all indexes of this database to zero';
REVOKE EXECUTE ON FUNCTION colbert_stat_reset() FROM PUBLIC;

CREATE FUNCTION colbert_stat_reset(index regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'colbert_stat_reset_index' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION colbert_stat_reset(regclass) IS 'set the cumulative counters of an index, or of those of all partitions, to zero';
REVOKE EXECUTE ON FUNCTION colbert_stat_reset(regclass) FROM PUBLIC;
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
-- Index check. Like amcheck's functions, only superusers may run it, and roles they grant it to.

CREATE FUNCTION colbert_index_check(index regclass, heapallindexed boolean DEFAULT false, rescore boolean DEFAULT false,
	OUT severity text, OUT part text, OUT item bigint, OUT message text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_index_check' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION colbert_index_check(regclass, boolean, boolean) IS
	'check a colbert_pg index, or those of all partitions; an intact index returns no rows. heapallindexed: also check that every table row is indexed; rescore: also compare sketches and code rows with the documents';
REVOKE EXECUTE ON FUNCTION colbert_index_check(regclass, boolean, boolean) FROM PUBLIC;
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
