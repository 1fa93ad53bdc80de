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
