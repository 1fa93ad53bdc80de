-- Edge cases of colbert_ivf: the number of lists, and training on little data.
SET jit = off;
\set QUIET on
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;

-- Document i: n tokens with this many dims, all different.
CREATE FUNCTION ivf_doc(i int, n int, dims int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY t)::real[]::multivector
	FROM (SELECT t, array_agg(sin(i * 7919.0 + t * 104.729 + k * k * 1.37)::real ORDER BY k) AS token
		  FROM generate_series(1, n) t, generate_series(1, dims) k GROUP BY t) s
$$;

-- Every row once, in exact order unless one was late.
CREATE FUNCTION ivf_rows(name text, op text, query multivector, OUT n bigint, OUT ids bigint, OUT in_order bool) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(*), count(DISTINCT ctid), coalesce(bool_and(o), true)
		FROM (SELECT ctid, s >= lag(s) OVER () AS o FROM
			(SELECT ctid, doc %s $1 AS s FROM %I WHERE doc IS NOT NULL ORDER BY doc %s $1) r) r', op, name, op)
	INTO n, ids, in_order USING query;
	in_order := in_order OR (SELECT late > 0 FROM colbert_last_scan());
END $$;

-- lists: the requested number; 0 means one list per 64 tokens; too few tokens to train on are all pending.
CREATE TABLE ivf_lists AS SELECT i AS id, ivf_doc(i, 10, 16)::multivector(16) AS doc FROM generate_series(1, 2000) i;
CREATE INDEX ivf_asked ON ivf_lists USING colbert_ivf (doc) WITH (lists = 50);
SELECT access_method, documents, tokens, nodes, pending_documents FROM colbert_index_info('ivf_asked');
SELECT * FROM ivf_rows('ivf_lists', '<#>', ivf_doc(7, 3, 16));
DROP INDEX ivf_asked;
CREATE INDEX ivf_auto ON ivf_lists USING colbert_ivf (doc);
SELECT nodes, pending_documents FROM colbert_index_info('ivf_auto');
SELECT * FROM ivf_rows('ivf_lists', '<#>', ivf_doc(7, 3, 16));
DROP INDEX ivf_auto;
CREATE INDEX ivf_many ON ivf_lists USING colbert_ivf (doc) WITH (lists = 5000);
SELECT nodes, pending_documents FROM colbert_index_info('ivf_many');
SELECT * FROM ivf_rows('ivf_lists', '<#>', ivf_doc(7, 3, 16));

-- The first merge with enough tokens trains the index, which remains sound afterwards.
SET colbert.pending_limit = 131072;
INSERT INTO ivf_lists SELECT i, ivf_doc(i, 10, 16) FROM generate_series(2001, 4100) i;
RESET colbert.pending_limit;
SELECT colbert_merge('ivf_many');
SELECT nodes > 4000 AS trained, pending_documents FROM colbert_index_info('ivf_many');
SELECT * FROM ivf_rows('ivf_lists', '<#>', ivf_doc(7, 3, 16));
DELETE FROM ivf_lists WHERE id % 3 = 0;
VACUUM ivf_lists;
INSERT INTO ivf_lists SELECT i, ivf_doc(i, 10, 16) FROM generate_series(4101, 4600) i;
SELECT * FROM ivf_rows('ivf_lists', '<#>', ivf_doc(7, 3, 16));
REINDEX INDEX ivf_many;
SELECT * FROM ivf_rows('ivf_lists', '<#>', ivf_doc(7, 3, 16));

-- Tokens that are all equal, and zero vectors with cosine: one list, and every row.
CREATE TABLE ivf_equal AS SELECT i AS id, array_fill(1::real, ARRAY[4, 8])::multivector(8) AS doc FROM generate_series(1, 2500) i;
CREATE INDEX ivf_equal_doc ON ivf_equal USING colbert_ivf (doc multivector_l2_ops) WITH (lists = 20);
SELECT nodes, pending_documents FROM colbert_index_info('ivf_equal_doc');
SELECT * FROM ivf_rows('ivf_equal', '<->', '[[1,1,1,1,1,1,1,0]]');
CREATE TABLE ivf_zero AS SELECT i AS id, array_fill(0::real, ARRAY[4, 8])::multivector(8) AS doc FROM generate_series(1, 2500) i;
CREATE INDEX ivf_zero_doc ON ivf_zero USING colbert_ivf (doc multivector_cosine_ops) WITH (lists = 20);
SELECT nodes, pending_documents FROM colbert_index_info('ivf_zero_doc');
SELECT * FROM ivf_rows('ivf_zero', '<=>', '[[1,1,1,1,1,1,1,0]]');

-- Drift: tokens of another kind are farther from the lists, and concentrate in few; REINDEX solves it.
CREATE FUNCTION ivf_random(i int, shift float8) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(token ORDER BY t)::real[]::multivector
	FROM (SELECT t, array_agg((hashint8(i * 1000 + t * 100 + k) / 2147483648.0 + shift * (k % 3))::real ORDER BY k) AS token
		  FROM generate_series(1, 8) t, generate_series(1, 16) k GROUP BY t) s
$$;
CREATE TABLE ivf_drift AS SELECT i AS id, ivf_random(i, 0)::multivector(16) AS doc FROM generate_series(1, 3000) i;
CREATE INDEX ivf_drift_doc ON ivf_drift USING colbert_ivf (doc);
CREATE FUNCTION ivf_fit(OUT far bool, OUT uneven bool, OUT advice text) LANGUAGE sql AS $$
	SELECT merged_distance > 1.5 * trained_distance, imbalance > 2, regexp_replace(advice, '[0-9.]+', 'N', 'g') FROM colbert_index_info('ivf_drift_doc')
$$;
SELECT * FROM ivf_fit();
INSERT INTO ivf_drift SELECT i, ivf_random(i, 0) FROM generate_series(3001, 3600) i;
VACUUM ivf_drift;
SELECT * FROM ivf_fit();
INSERT INTO ivf_drift SELECT i, ivf_random(i, 5) FROM generate_series(3601, 4800) i;
VACUUM ivf_drift;
SELECT * FROM ivf_fit();
REINDEX INDEX ivf_drift_doc;
SELECT * FROM ivf_fit();
-- An empty index, and one that must be trained: the advice says what to do.
CREATE TABLE ivf_later (id int, doc multivector(16));
CREATE INDEX ivf_later_doc ON ivf_later USING colbert_ivf (doc);
SELECT nodes, imbalance, trained_distance, merged_distance, advice FROM colbert_index_info('ivf_later_doc');
SET colbert.background_merge = off;
INSERT INTO ivf_later SELECT id, doc FROM ivf_drift;
RESET colbert.background_merge;
SELECT nodes, advice FROM colbert_index_info('ivf_later_doc');
VACUUM ivf_later;
SELECT nodes > 0 AS trained, advice FROM colbert_index_info('ivf_later_doc');

-- A search reads more lists until half of them would have found the best documents: eight per token are too few for these.
CREATE TABLE ivf_probes AS SELECT i AS id, ivf_doc(i, 42, 4)::multivector(4) AS doc FROM generate_series(1, 4000) i;
CREATE INDEX ivf_probes_doc ON ivf_probes USING colbert_ivf (doc) WITH (lists = 20000);
SELECT nodes FROM colbert_index_info('ivf_probes_doc');
SELECT count(*) FROM (SELECT id FROM ivf_probes ORDER BY doc <#> ivf_doc(1, 5, 4) LIMIT 10) AS t;
SELECT query_tokens, probes > 8 AS goes_on, probes <= 512 AS ends FROM colbert_last_scan();

-- Vectors that have nothing in common, whose lists and sketches say little: narrowing continues far beyond a question's 1,700 documents.
CREATE FUNCTION ivf_noise(i int, n int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT multivector_agg(ARRAY(SELECT hashint8(i * 1000 + t * 50 + k) / 2147483648.0 FROM generate_series(1, 24) k)::real[] ORDER BY t) FROM generate_series(1, n) t
$$;
CREATE TABLE ivf_noise AS SELECT i AS id, ivf_noise(i, 6)::multivector(24) AS doc FROM generate_series(1, 20000) i;
CREATE INDEX ivf_noise_doc ON ivf_noise USING colbert_ivf (doc);
SELECT count(*) FROM (SELECT id FROM ivf_noise ORDER BY doc <#> ivf_noise(-5, 5) LIMIT 10) AS t;
SELECT narrowed >= 5000 AS goes_on, exhaustive FROM colbert_last_scan();

-- More dims than a graph could hold.
CREATE TABLE ivf_wide AS SELECT i AS id, ivf_doc(i, 2, 3000)::multivector(3000) AS doc FROM generate_series(1, 20) i;
CREATE INDEX ivf_wide_doc ON ivf_wide USING colbert_ivf (doc);
SELECT * FROM ivf_rows('ivf_wide', '<#>', ivf_doc(7, 2, 3000));

-- Options of the other access method are rejected, and so are numbers of lists out of range.
CREATE INDEX ON ivf_lists USING colbert_ivf (doc) WITH (m = 16);
CREATE INDEX ON ivf_lists USING colbert_ivf (doc) WITH (lists = -1);
CREATE INDEX ON ivf_lists USING colbert_ivf (doc) WITH (lists = 1048577);
CREATE INDEX ON ivf_lists USING colbert_hnsw (doc) WITH (lists = 10);

-- An index that was created empty has the lists of its first tokens. When it has doubled, VACUUM trains new ones; the advice says so.
-- An index with the quantizer bit cannot read its tokens back: it keeps its lists, VACUUM and the advice warn, and REINDEX solves it.
CREATE TABLE ivf_outgrown (id int, doc multivector(4));
CREATE INDEX ivf_outgrown_index ON ivf_outgrown USING colbert_ivf (doc);
CREATE INDEX ivf_outgrown_bit ON ivf_outgrown USING colbert_ivf (doc) WITH (quantizer = bit);
CREATE INDEX ivf_outgrown_lists ON ivf_outgrown USING colbert_ivf (doc) WITH (lists = 300);
CREATE FUNCTION ivf_add(first int, last int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO ivf_outgrown SELECT i, (SELECT multivector_agg(ARRAY[sin(i * 31 + t * 7), sin(i * 17 + t * 3), sin(i + t * 11), sin(i * 5 + t)]::real[]) FROM generate_series(1, 500) AS t)
	FROM generate_series(first, last) AS i
$$;
CREATE FUNCTION ivf_merge() RETURNS boolean LANGUAGE sql AS $$
	SELECT bool_and(colbert_merge(i::regclass) >= 0) FROM unnest(ARRAY['ivf_outgrown_index', 'ivf_outgrown_bit', 'ivf_outgrown_lists']) AS i
$$;
SET colbert.background_merge = off;
SET colbert.pending_limit = 1048576;
SELECT ivf_add(1, 40);
SELECT ivf_merge() AS merged;
VACUUM ivf_outgrown;
SELECT i, CASE WHEN i::text = 'ivf_outgrown_lists' THEN nodes = 300 ELSE nodes BETWEEN 250 AND 320 END AS few_lists, advice
FROM unnest(ARRAY['ivf_outgrown_index', 'ivf_outgrown_bit', 'ivf_outgrown_lists']::regclass[]) AS i, colbert_index_info(i);
SELECT ivf_add(41, 180);
SELECT ivf_merge() AS merged;
SELECT i, regexp_replace(advice, '\d+(\.\d+)?', 'N', 'g') AS advice
FROM unnest(ARRAY['ivf_outgrown_index', 'ivf_outgrown_bit', 'ivf_outgrown_lists']::regclass[]) AS i, colbert_index_info(i);
\set VERBOSITY terse
VACUUM ivf_outgrown;
\set VERBOSITY default
SELECT i, nodes > 1200 AS more_lists, regexp_replace(advice, '\d+(\.\d+)?', 'N', 'g') AS advice
FROM unnest(ARRAY['ivf_outgrown_index', 'ivf_outgrown_bit', 'ivf_outgrown_lists']::regclass[]) AS i, colbert_index_info(i);
SELECT i, c.* FROM unnest(ARRAY['ivf_outgrown_index', 'ivf_outgrown_bit', 'ivf_outgrown_lists']::regclass[]) AS i,
	colbert_index_check(i, heapallindexed => true, rescore => true) AS c;
REINDEX INDEX ivf_outgrown_bit;
VACUUM ivf_outgrown;
SELECT nodes > 1200 AS more_lists, advice FROM colbert_index_info('ivf_outgrown_bit');
