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
