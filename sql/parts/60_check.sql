-- Is an index what it should be? For those who may run amcheck: superusers, and whom they grant it to.

CREATE FUNCTION colbert_index_check(index regclass, heapallindexed boolean DEFAULT false, rescore boolean DEFAULT false,
	OUT severity text, OUT part text, OUT item bigint, OUT message text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'colbert_index_check' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION colbert_index_check(regclass, boolean, boolean) IS
	'what is wrong with a colbert_pg index: no row if nothing is. heapallindexed: is every row of the table in it? rescore: are sketches and rows those of the documents?';
REVOKE EXECUTE ON FUNCTION colbert_index_check(regclass, boolean, boolean) FROM PUBLIC;
