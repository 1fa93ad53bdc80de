-- Casts from and to other types, and constructors.

CREATE FUNCTION multivector(real[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 8000;
COMMENT ON FUNCTION multivector(real[], integer, boolean) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE CAST (real[] AS multivector)
	WITH FUNCTION multivector(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS multivector) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE FUNCTION multivector(double precision[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 15000;
COMMENT ON FUNCTION multivector(double precision[], integer, boolean) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE CAST (double precision[] AS multivector)
	WITH FUNCTION multivector(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS multivector) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE FUNCTION multivector(numeric[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION multivector(numeric[], integer, boolean) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE CAST (numeric[] AS multivector)
	WITH FUNCTION multivector(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS multivector) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE FUNCTION multivector(integer[], integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 15000;
COMMENT ON FUNCTION multivector(integer[], integer, boolean) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE CAST (integer[] AS multivector)
	WITH FUNCTION multivector(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS multivector) IS 'multivector from an array of two dimensions, tokens by dimensions';

CREATE FUNCTION multivector(json, integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_json' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 30000;
COMMENT ON FUNCTION multivector(json, integer, boolean) IS 'multivector from an array of arrays of numbers';

CREATE CAST (json AS multivector)
	WITH FUNCTION multivector(json, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (json AS multivector) IS 'multivector from an array of arrays of numbers';

CREATE FUNCTION multivector(jsonb, integer, boolean) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_jsonb' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 200000;
COMMENT ON FUNCTION multivector(jsonb, integer, boolean) IS 'multivector from an array of arrays of numbers';

CREATE CAST (jsonb AS multivector)
	WITH FUNCTION multivector(jsonb, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (jsonb AS multivector) IS 'multivector from an array of arrays of numbers';

CREATE FUNCTION multivector_to_array(doc multivector) RETURNS real[]
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3000;
COMMENT ON FUNCTION multivector_to_array(multivector) IS 'array of two dimensions, tokens by dimensions';

CREATE CAST (multivector AS real[])
	WITH FUNCTION multivector_to_array(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS real[]) IS 'array of two dimensions, tokens by dimensions';

CREATE FUNCTION multivector_to_float8_array(doc multivector) RETURNS double precision[]
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 6000;
COMMENT ON FUNCTION multivector_to_float8_array(multivector) IS 'array of two dimensions, tokens by dimensions';

CREATE CAST (multivector AS double precision[])
	WITH FUNCTION multivector_to_float8_array(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS double precision[]) IS 'array of two dimensions, tokens by dimensions';

CREATE FUNCTION multivector_to_json(doc multivector) RETURNS json
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 45000;
COMMENT ON FUNCTION multivector_to_json(multivector) IS 'array of arrays of numbers';

CREATE CAST (multivector AS json)
	WITH FUNCTION multivector_to_json(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS json) IS 'array of arrays of numbers';

CREATE FUNCTION multivector_to_jsonb(doc multivector) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 300000;
COMMENT ON FUNCTION multivector_to_jsonb(multivector) IS 'array of arrays of numbers';

CREATE CAST (multivector AS jsonb)
	WITH FUNCTION multivector_to_jsonb(multivector) AS ASSIGNMENT;
COMMENT ON CAST (multivector AS jsonb) IS 'array of arrays of numbers';

CREATE FUNCTION multivector(bytes bytea, dims integer, element text DEFAULT 'float4') RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 6000;
COMMENT ON FUNCTION multivector(bytea, integer, text)
	IS 'multivector from raw little-endian numbers of type float4, float2 or int8';

CREATE FUNCTION multivector(bytes bytea) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_binary_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 6000;
COMMENT ON FUNCTION multivector(bytea) IS 'multivector from its binary format, as multivector_send gives it';

CREATE CAST (bytea AS multivector)
	WITH FUNCTION multivector(bytea) AS ASSIGNMENT;
COMMENT ON CAST (bytea AS multivector) IS 'multivector from its binary format, as multivector_send gives it';

CREATE FUNCTION multivector(tokens anyarray) RETURNS multivector
	AS 'MODULE_PATHNAME', 'multivector_from_anyarray' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 8000;
COMMENT ON FUNCTION multivector(anyarray)
	IS 'multivector from an array of numbers of two dimensions, or from vector[] or halfvec[] of extension "vector"';
