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
