-- Every quantizer with every access method: its options and errors, and the recall of its searches.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
SELECT CASE :'method' WHEN 'colbert_ivf' THEN 'lists = 300' ELSE 'tokens_per_node = 4' END AS few_tokens \gset
SET jit = off;
\set QUIET on
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE SCHEMA codecs;
SET search_path = codecs, public;

-- Document i: n pseudo-random tokens with this many dims.
CREATE FUNCTION codec_doc(i int, n int, dims int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY t)::real[]::multivector
	FROM (SELECT t, array_agg(((sin(i * 12.9898 + t * 78.233 + k * 37.719) * 43758.5453)::numeric % 1)::real ORDER BY k) AS token
		  FROM generate_series(1, n) t, generate_series(1, dims) k GROUP BY t) s
$$;

-- Options.
CREATE TABLE codec_options (doc multivector(40));
CREATE INDEX ON codec_options USING :method (doc) WITH (quantizer = pq, pq_m = 0);
CREATE INDEX ON codec_options USING :method (doc) WITH (quantizer = pq, pq_m = 16001);
CREATE INDEX ON codec_options USING :method (doc) WITH (quantizer = pq, pq_m = 65);
CREATE INDEX ON codec_options USING :method (doc) WITH (quantizer = pq8);
CREATE INDEX codec_of_pq ON codec_options USING :method (doc) WITH (quantizer = pq, pq_m = 64);
CREATE INDEX ON codec_options USING :method (doc) WITH (quantizer = sq4, pq_m = 65);
ALTER INDEX codec_of_pq SET (pq_m = 65);
SELECT quantizer FROM colbert_index_info('codec_of_pq');
REINDEX INDEX codec_of_pq;
ALTER INDEX codec_of_pq SET (pq_m = 7);
REINDEX INDEX codec_of_pq;
DROP TABLE codec_options;

/*
 * The number of the ten nearest documents that an index returns among its first ten: the minimum over all dims and scores. All
 * documents are reranked, so only the codes, and the exact scores of the first few, can miss one.
 */
CREATE FUNCTION codec_found(tab text, op text, dims int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	q multivector := codec_doc(4711, 3, dims);
	found int;
BEGIN
	EXECUTE format('WITH i AS MATERIALIZED (SELECT doc %1$s $1 AS s FROM %2$I ORDER BY doc %1$s $1 LIMIT 10),
		e AS MATERIALIZED (SELECT doc %1$s $1 AS s FROM %2$I)
		SELECT count(*) FROM i WHERE s <= (SELECT s FROM e ORDER BY s OFFSET 9 LIMIT 1)', op, tab) INTO found USING q;
	RETURN found;
END $$;

-- Built on a table; then with pending rows; then merged; then rebuilt.
CREATE TABLE codec_cases AS
	SELECT codec, pq_m, dims, score, op, format('codec_%s_%s', dims, score) AS tab
	FROM (VALUES ('sq8', 32), ('sq4', 32), ('pq', 32), ('pq', 5), ('flat', 32), ('bit', 32)) c (codec, pq_m),
		unnest('{1,3,33,100}'::int[]) dims, unnest('{maxsim,cosine,l2}'::text[], '{<#>,<=>,<->}'::text[]) s (score, op);
CREATE TABLE codec_results (codec text, pq_m int, dims int, score text, built int, inserted int, merged int, complaints bigint);
SELECT format('CREATE TABLE codec_%1$s (id int, doc multivector(%1$s));
	INSERT INTO codec_%1$s SELECT i, codec_doc(i, 8, %1$s) FROM generate_series(1, 320) i', dims)
FROM (SELECT DISTINCT dims FROM codec_cases) d ORDER BY dims \gexec
SET colbert.rerank = 1000;
SET colbert.candidates = 1000;
SELECT set_config('codec.method', :'method', false), set_config('codec.few_tokens', :'few_tokens', false) \g /dev/null
DO $$
DECLARE
	c record;
	built int;
	inserted int;
	merged int;
	complaints bigint;
BEGIN
	FOR c IN SELECT * FROM codec_cases LOOP
		EXECUTE format('CREATE TABLE codec_now (id int, doc multivector(%1$s)); INSERT INTO codec_now SELECT * FROM codec_%1$s WHERE id <= 280', c.dims);
		EXECUTE format('CREATE INDEX codec_now_doc ON codec_now USING %I (doc multivector_%s_ops) WITH (quantizer = %L, pq_m = %s, %s)',
			current_setting('codec.method'), c.score, c.codec, c.pq_m, current_setting('codec.few_tokens'));
		built := codec_found('codec_now', c.op, c.dims);
		EXECUTE format('INSERT INTO codec_now SELECT * FROM codec_%s WHERE id > 280', c.dims);
		inserted := codec_found('codec_now', c.op, c.dims);
		PERFORM colbert_merge('codec_now_doc');
		merged := codec_found('codec_now', c.op, c.dims);
		SELECT count(*) INTO complaints FROM colbert_index_check('codec_now_doc', true, true) WHERE severity <> 'warning';
		INSERT INTO codec_results VALUES (c.codec, c.pq_m, c.dims, c.score, built, inserted, merged, complaints);
		DROP TABLE codec_now;
	END LOOP;
END $$;
SELECT codec, pq_m, count(*) AS cases, min(built) >= 8 AS built, min(inserted) >= 8 AS inserted, min(merged) >= 8 AS merged, sum(complaints) AS complaints
FROM codec_results GROUP BY 1, 2 ORDER BY 1, 2;

-- An index created on an empty table: nothing is trained until a merge has enough tokens, which also encodes the earlier documents.
CREATE TABLE codec_first (id int, doc multivector(33));
CREATE INDEX codec_first_doc ON codec_first USING :method (doc multivector_l2_ops) WITH (quantizer = pq, pq_m = 20, :few_tokens);
INSERT INTO codec_first SELECT * FROM codec_33 WHERE id <= 20;
VACUUM codec_first;
SELECT documents, nodes, pending_documents, codec_found('codec_first', '<->', 33) FROM colbert_index_info('codec_first_doc');
SELECT reranked FROM colbert_last_scan();
INSERT INTO codec_first SELECT * FROM codec_33 WHERE id > 20;
SELECT colbert_merge('codec_first_doc');
SELECT documents, nodes > 0 AS nodes, pending_documents, codec_found('codec_first', '<->', 33) >= 9 AS found FROM colbert_index_info('codec_first_doc');
SELECT * FROM colbert_index_check('codec_first_doc', true, true) WHERE severity <> 'warning';
DELETE FROM codec_first WHERE id % 2 = 0;
VACUUM codec_first;
INSERT INTO codec_first SELECT * FROM codec_33 WHERE id % 2 = 0;
REINDEX INDEX codec_first_doc;
SELECT documents, nodes > 0 AS nodes, pending_documents, codec_found('codec_first', '<->', 33) >= 9 AS found FROM colbert_index_info('codec_first_doc');
SELECT * FROM colbert_index_check('codec_first_doc', true, true) WHERE severity <> 'warning';
DROP SCHEMA codecs CASCADE;
