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
