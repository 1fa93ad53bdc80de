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
