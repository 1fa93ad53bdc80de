-- Copies of documents, copies of tokens in documents and queries, and padding.
-- Runs once per access method, named by COLBERT_METHOD (test/README.md).
\getenv method COLBERT_METHOD
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;

-- Token n: a fixed direction in 32 dims.
CREATE FUNCTION copies_token(n int) RETURNS real[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(((hashint8(n * 100 + k) & 65535) / 32768.0 - 1)::real ORDER BY k) FROM generate_series(1, 32) k
$$;
CREATE FUNCTION copies_tokens(VARIADIC ns int[]) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT l2_normalize(multivector_agg(copies_token(n) ORDER BY i)) FROM unnest(ns) WITH ORDINALITY AS u (n, i)
$$;
-- n zero tokens.
CREATE FUNCTION copies_zeros(n int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$ SELECT array_fill(0::real, ARRAY[n, 32])::multivector $$;
CREATE FUNCTION copies_doc(i int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT copies_tokens(VARIADIC array_agg(abs(hashint4(i * 50 + t)) % 1500)) FROM generate_series(1, 12) t
$$;
-- The work of the last search.
CREATE FUNCTION copies_scan(OUT emitted bigint, OUT few_fetched bool, OUT few_reranked bool, OUT late bigint) LANGUAGE sql AS $$
	SELECT emitted, fetched < 50, reranked <= 200, late FROM colbert_last_scan()
$$;

-- 3,000 documents, and 5,000 copies of one of them: any ten of these are the ten best.
CREATE TABLE copies_docs AS SELECT i AS id, copies_doc(i)::multivector(32) AS doc FROM generate_series(1, 3000) i;
INSERT INTO copies_docs SELECT 10000 + i, copies_doc(1) FROM generate_series(1, 5000) i;
CREATE INDEX copies_docs_doc ON copies_docs USING :method (doc);
VACUUM ANALYZE copies_docs;
SET enable_seqscan = off;
SELECT count(*), count(DISTINCT score) FROM (SELECT maxsim(doc, copies_doc(1)) AS score FROM copies_docs ORDER BY score DESC LIMIT 10) t;
SELECT * FROM copies_scan();
-- A query with one of its tokens, and one for which the copies are second best.
SELECT count(*), count(DISTINCT score) FROM (SELECT maxsim(doc, (SELECT multivector_agg(token(copies_doc(1), 3)))) AS score FROM copies_docs ORDER BY score DESC LIMIT 10) t;
SELECT emitted, few_fetched, late FROM copies_scan();
SELECT count(*), count(DISTINCT score) FROM (SELECT maxsim(doc, copies_doc(2) || copies_doc(1)) AS score FROM copies_docs ORDER BY score DESC LIMIT 30) t;
SELECT emitted, few_fetched, late FROM copies_scan();
-- Near ties are distinguished: the longest copy is the best.
UPDATE copies_docs SET doc = copies_tokens(1, 2, 3, 4) WHERE id BETWEEN 10001 AND 10060;
INSERT INTO copies_docs SELECT 20000 + i, (SELECT multivector_agg(t ORDER BY o) FROM (SELECT o, ARRAY(SELECT e * (1 + i * 1e-6)::real FROM unnest(token) e) AS t FROM unnest(copies_tokens(1, 2, 3, 4)) AS u (o, token)) s) FROM generate_series(1, 60) i;
VACUUM copies_docs;
SELECT array_agg(id) = (SELECT array_agg(i ORDER BY i DESC) FROM generate_series(20051, 20060) i)
FROM (SELECT id FROM copies_docs ORDER BY maxsim(doc, copies_tokens(1, 2, 3, 4)) DESC LIMIT 10) t;
DROP TABLE copies_docs;

-- Padding: the same documents, plain and padded with zeros. The index holds neither zeros nor copies, and the check does not expect them.
CREATE TABLE copies_plain AS SELECT i AS id, copies_doc(i)::multivector(32) AS doc FROM generate_series(1, 4000) i;
CREATE TABLE copies_padded AS SELECT id, (doc || copies_zeros(20) || doc)::multivector(32) AS doc FROM copies_plain;
CREATE INDEX copies_plain_doc ON copies_plain USING :method (doc);
CREATE INDEX copies_padded_doc ON copies_padded USING :method (doc);
INSERT INTO copies_plain SELECT i, copies_doc(i) FROM generate_series(4001, 4100) i;
INSERT INTO copies_padded SELECT i, copies_zeros(9) || copies_doc(i) FROM generate_series(4001, 4100) i;
VACUUM ANALYZE copies_plain;
VACUUM ANALYZE copies_padded;
SELECT p.tokens = q.tokens, p.nodes = q.nodes FROM colbert_index_info('copies_plain_doc') p, colbert_index_info('copies_padded_doc') q;
SELECT * FROM colbert_index_check('copies_padded_doc', heapallindexed => true, rescore => true);
-- A query that is padded with zeros, or repeats its tokens four times (which rounds nothing), is searched like one without them.
CREATE FUNCTION copies_search(query multivector, OUT rows int[], OUT work bigint[]) LANGUAGE plpgsql AS $$
BEGIN
	rows := ARRAY(SELECT id FROM copies_padded ORDER BY maxsim(doc, query) DESC LIMIT 10);
	SELECT ARRAY[hops, nodes, postings, narrowed, reranked] INTO work FROM colbert_last_scan();
END $$;
SET colbert.candidates = 200;
SELECT bool_and(plain = zeros), bool_and(plain = repeated)
FROM generate_series(1, 20) i, LATERAL (SELECT copies_tokens(i, 2 * i, 3 * i) AS q OFFSET 0) AS query,
	LATERAL (SELECT s FROM copies_search(q) s OFFSET 0) AS plain (plain), LATERAL (SELECT s FROM copies_search(q || copies_zeros(29)) s OFFSET 0) AS zeros (zeros),
	LATERAL (SELECT s FROM copies_search(q || q || q || q) s OFFSET 0) AS repeated (repeated);
RESET colbert.candidates;
-- A query of only zeros returns every row, with equal scores. Documents of only zeros are found, too.
SELECT count(*), count(DISTINCT score) FROM (SELECT maxsim(doc, copies_zeros(5)) AS score FROM copies_padded ORDER BY score DESC LIMIT 20) t;
INSERT INTO copies_padded VALUES (0, copies_zeros(3));
SELECT id FROM (SELECT id FROM copies_padded ORDER BY maxsim(doc, copies_tokens(1)) DESC LIMIT 5000) t WHERE id = 0;
-- A zero token scores 0, which is more than tokens that point away from the query. Documents with a zero token come first, in order.
CREATE TABLE copies_away AS
	SELECT i AS id, (CASE WHEN i % 10 = 0 THEN '[[0,0,0,0]]' || t ELSE t END)::multivector(4) AS doc
	FROM generate_series(1, 300) i, LATERAL (SELECT ARRAY[ARRAY[1, sin(i)::real / 2, cos(i)::real / 2, .1]]::multivector) AS d (t);
CREATE INDEX copies_away_index ON copies_away USING :method (doc);
SELECT count(*), count(*) FILTER (WHERE id % 10 = 0) AS zeros FROM (SELECT id FROM copies_away ORDER BY doc <#> '[[-1,0,0,0]]' LIMIT 30) AS t;
SELECT count(*), count(*) FILTER (WHERE id % 10 = 0) AS zeros FROM (SELECT id FROM copies_away WHERE id % 3 = 0 ORDER BY doc <#> '[[-1,0,0,0]]' LIMIT 10) AS t;
INSERT INTO copies_away SELECT 1000 + id, doc FROM copies_away;
SELECT count(*), count(*) FILTER (WHERE id % 10 = 0) AS zeros FROM (SELECT id FROM copies_away ORDER BY doc <#> '[[-1,0,0,0]]' LIMIT 60) AS t;
SELECT count(*) FROM colbert_index_check('copies_away_index', heapallindexed => true, rescore => true);
DROP TABLE copies_away;
-- For L2, the distance to a zero token matters: only copies are left out.
CREATE INDEX copies_padded_l2 ON copies_padded USING :method (doc multivector_l2_ops);
SELECT tokens = (SELECT tokens + 4101 FROM colbert_index_info('copies_plain_doc')) FROM colbert_index_info('copies_padded_l2');
SELECT id FROM copies_padded ORDER BY doc <-> copies_zeros(1), id LIMIT 1;
DROP TABLE copies_padded;

-- A padding vector that is not zero occurs in every document. Its list does not discriminate: a search reads this list, and no other list
-- for that token.
CREATE TABLE copies_constant AS SELECT id, (doc || copies_tokens(7777, 7777))::multivector(32) AS doc FROM copies_plain;
CREATE INDEX copies_constant_doc ON copies_constant USING :method (doc);
VACUUM ANALYZE copies_constant;
CREATE FUNCTION copies_constant_search(query multivector, OUT rows int[], OUT postings bigint, OUT exact int[]) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true), set_config('enable_indexscan', 'on', true);
	rows := ARRAY(SELECT id FROM copies_constant ORDER BY maxsim(doc, query) DESC LIMIT 10);
	SELECT s.postings INTO postings FROM colbert_last_scan() s;
	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'off', true);
	exact := ARRAY(SELECT id FROM copies_constant ORDER BY maxsim(doc, query) DESC LIMIT 10);
END $$;
SELECT sum(cardinality(ARRAY(SELECT unnest(padded.rows) INTERSECT SELECT unnest(padded.exact)))) >= 190 AS found, max(padded.postings - plain.postings) < 4500 AS no_more_read
FROM generate_series(1, 20) i, LATERAL copies_constant_search(copies_tokens(i, 2 * i, 3 * i)) plain,
	LATERAL copies_constant_search(copies_tokens(i, 2 * i, 3 * i, 7777, 7777, 7777, 7777, 7777)) padded;

-- A padding vector that differs a little each time has many nodes, of which a search reads some.
-- A search finds as many of the best documents as without the padding.
CREATE FUNCTION copies_nearly(i int, n int) RETURNS multivector LANGUAGE sql IMMUTABLE AS $$
	SELECT l2_normalize(multivector_agg(ARRAY(SELECT (p + .01 * e)::real FROM unnest(copies_token(7777), copies_token(10000 + i * 10 + t)) AS u (p, e)) ORDER BY t))
	FROM generate_series(1, n) t
$$;
DROP TABLE copies_constant;
CREATE TABLE copies_constant AS SELECT id, (doc || copies_nearly(id, 4))::multivector(32) AS doc FROM copies_plain WHERE id <= 3000;
CREATE INDEX copies_constant_doc ON copies_constant USING :method (doc);
VACUUM ANALYZE copies_constant;
SET colbert.candidates = 200;
SELECT sum(cardinality(ARRAY(SELECT unnest(padded.rows) INTERSECT SELECT unnest(padded.exact)))) >=
	.8 * sum(cardinality(ARRAY(SELECT unnest(plain.rows) INTERSECT SELECT unnest(plain.exact)))) AS found
FROM generate_series(1, 20) i, LATERAL copies_constant_search(copies_tokens(i, 2 * i, 3 * i)) plain,
	LATERAL copies_constant_search(copies_tokens(i, 2 * i, 3 * i) || copies_nearly(-i, 20)) padded;
RESET colbert.candidates;

-- Near copies have nearly equal errors. If the best code scores are those of near copies, their
-- errors tell little about the errors of others.
CREATE TABLE copies_near AS SELECT i AS id, (SELECT multivector_agg(ARRAY(SELECT sin(i * 31 + t * 7 + d * d) FROM generate_series(1, 8) d)::real[] ORDER BY t)
	FROM generate_series(1, 1 + i % 5) t)::multivector(8) AS doc FROM generate_series(1, 3000) i WHERE i % 58 > 0;
CREATE INDEX copies_near_doc ON copies_near USING :method (doc);
VACUUM ANALYZE copies_near;
SET colbert.rerank = 3000;
SET enable_indexscan = off;
CREATE TEMP TABLE copies_exact AS SELECT id FROM copies_near ORDER BY maxsim(doc, '[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]') DESC LIMIT 20;
RESET enable_indexscan;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM copies_near ORDER BY maxsim(doc, '[[1,0,0,0,0,0,0,0],[0,.5,.5,0,0,0,0,.7]]') DESC LIMIT 20) AS found JOIN copies_exact USING (id);
RESET enable_seqscan;
RESET enable_sort;
RESET colbert.rerank;

-- Deleted copies are not rows. 24 rows with the same document, and 55 with nearly the same one, are written again eight times: the best
-- code scores are those of rows that are gone, and the rows that are left are found nevertheless, before any VACUUM.
CREATE TABLE copies_source AS SELECT i AS id, (CASE WHEN i <= 24 THEN copies_doc(1) WHEN i >= 80 THEN copies_doc(i)
	ELSE (SELECT multivector_agg(ARRAY(SELECT e * (1 - i * .001)::real FROM unnest(token) e) ORDER BY o) FROM unnest(copies_doc(1)) AS u (o, token)) END)::multivector(32) AS doc
FROM generate_series(1, 600) i;
CREATE TABLE copies_gone AS SELECT * FROM copies_source;
CREATE INDEX copies_gone_doc ON copies_gone USING :method (doc);
SET colbert.pending_limit = 100000000;
DO $$ BEGIN FOR r IN 1 .. 8 LOOP DELETE FROM copies_gone; INSERT INTO copies_gone SELECT * FROM copies_source; COMMIT; END LOOP; END $$;
SELECT colbert_merge('copies_gone_doc') > 0;
RESET colbert.pending_limit;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*), count(*) FILTER (WHERE id <= 24) AS copies FROM (SELECT id FROM copies_gone ORDER BY maxsim(doc, copies_doc(1)) DESC LIMIT 10) t;
RESET enable_seqscan;
RESET enable_sort;

-- Ten copies of each of 200 documents, whose one-bit sketches are far from exact. The copies of the best sketch do not tell by how much others
-- are off: searches fetch others, and most return the ten best rows.
CREATE TABLE copies_ten AS SELECT i AS id, copies_doc(i % 200)::multivector(32) AS doc FROM generate_series(1, 2000) i;
CREATE INDEX copies_ten_doc ON copies_ten USING :method (doc) WITH (quantizer = bit);
SET enable_seqscan = off;
SET enable_sort = off;
WITH queries AS MATERIALIZED (SELECT copies_tokens(2000 + i, 3000 + i) AS query FROM generate_series(1, 60) i),
	best AS MATERIALIZED (SELECT query, (SELECT max(score) FROM (SELECT maxsim(doc, query) AS score FROM copies_ten OFFSET 0) t) AS score FROM queries)
SELECT count(*), count(*) FILTER (WHERE found.score = best.score) > 450
FROM best, LATERAL (SELECT maxsim(doc, query) AS score FROM copies_ten ORDER BY score DESC LIMIT 10) AS found;
-- Nor do the copies just below a threshold. If their errors count for each copy, 2,520 of the 3,000 rows are found.
WITH queries AS MATERIALIZED (SELECT copies_tokens(2000 + i, 3000 + i) AS query FROM generate_series(1, 60) i),
	bounds AS MATERIALIZED (SELECT query, (SELECT score FROM (SELECT maxsim(doc, query) AS score FROM copies_ten OFFSET 0) t ORDER BY score DESC OFFSET 49 LIMIT 1) AS bound FROM queries)
SELECT CASE WHEN count(*) > 2700 THEN 'found' ELSE count(*)::text END FROM bounds, LATERAL (SELECT FROM copies_ten WHERE maxsim(doc, query) >= bound) AS found;
RESET enable_seqscan;
RESET enable_sort;
DROP TABLE copies_ten;

-- Documents of zeros have equal estimates in L2, but are never known as copies. A search that knows few errors fetches few of them.
CREATE TABLE copies_blank (id int, doc multivector(32));
INSERT INTO copies_blank SELECT i, CASE WHEN i <= 4 THEN copies_doc(i) ELSE copies_zeros(1) END FROM generate_series(1, 3000) i;
CREATE INDEX copies_blank_doc ON copies_blank USING :method (doc multivector_l2_ops) WITH (quantizer = bit);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM copies_blank ORDER BY doc <-> copies_zeros(1) LIMIT 10) AS found;
SELECT emitted, fetched < 100 AS few_fetched FROM colbert_last_scan();
RESET enable_seqscan;
RESET enable_sort;
DROP TABLE copies_blank;

DROP TABLE copies_plain, copies_constant, copies_near, copies_gone, copies_source;
DROP FUNCTION copies_token, copies_tokens, copies_zeros, copies_doc, copies_scan, copies_search, copies_constant_search, copies_nearly;
