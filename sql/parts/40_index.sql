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
