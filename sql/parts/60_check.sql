-- Index check. Like amcheck's functions, only superusers may run it, and roles they grant it to.

CREATE FUNCTION colbert_index_check(index regclass, heapallindexed boolean DEFAULT false, rescore boolean DEFAULT false,
	OUT severity text, OUT part text, OUT item bigint, OUT message text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_index_check' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION colbert_index_check(regclass, boolean, boolean) IS
	'check a colbert_pg index, or those of all partitions; an intact index returns no rows. heapallindexed: also check that every table row is indexed; rescore: also compare sketches and code rows with the documents';
REVOKE EXECUTE ON FUNCTION colbert_index_check(regclass, boolean, boolean) FROM PUBLIC;
