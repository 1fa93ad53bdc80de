-- Real ColBERTv2 output: 35 passages and 5 questions, compared with numpy's results in double precision.
SET extra_float_digits = 1;
\getenv srcdir PG_ABS_SRCDIR
\set file :srcdir '/../data/colbertv2-nanofiqa/docs.f32.npy'
\lo_import :file
\set docs :LASTOID
\set file :srcdir '/../data/colbertv2-nanofiqa/doc_offsets.npy'
\lo_import :file
\set doc_offsets :LASTOID
\set file :srcdir '/../data/colbertv2-nanofiqa/queries.f32.npy'
\lo_import :file
\set queries :LASTOID

-- After a header of 128 bytes, the .npy files hold the output of tobytes().
CREATE TABLE colbertv2_docs (id int, doc multivector(128));
INSERT INTO colbertv2_docs
SELECT i, multivector(lo_get(:docs, 128 + 512 * first, (512 * (next - first))::int), 128)
FROM (SELECT i, get_byte(o, 8 * i - 8) + 256 * get_byte(o, 8 * i - 7)::bigint AS first, get_byte(o, 8 * i) + 256 * get_byte(o, 8 * i + 1) AS next
	  FROM lo_get(:doc_offsets, 128, 288) AS o, generate_series(1, 35) i) AS s;
CREATE TABLE colbertv2_queries (id int, query multivector(128));
INSERT INTO colbertv2_queries
SELECT i, multivector(lo_get(:queries, 128 + (i - 1) * 32 * 512, 32 * 512), 128) FROM generate_series(1, 5) i;
SELECT lo_unlink(:docs), lo_unlink(:doc_offsets), lo_unlink(:queries);
SELECT count(*), sum(num_tokens(doc)), min(dims(doc)) FROM colbertv2_docs;

CREATE TABLE colbertv2_truth (query int, rank int, doc int, ip float8, l2 float8);
INSERT INTO colbertv2_truth VALUES
	(1, 1, 21, 16.84285, 29.68141), (1, 2, 4, 14.23064, 33.02757), (1, 3, 15, 11.54453, 35.7223),
	(2, 1, 35, 20.80926, 25.92268), (2, 2, 33, 19.81431, 26.84316), (2, 3, 18, 19.04569, 27.68532),
	(3, 1, 31, 23.18164, 23.37486), (3, 2, 24, 18.27301, 29.13062), (3, 3, 14, 17.04094, 30.66342),
	(4, 1, 25, 22.19536, 23.96489), (4, 2, 22, 20.38956, 26.35211), (4, 3, 13, 17.20004, 30.29888),
	(5, 1, 28, 20.70222, 26.02154), (5, 2, 8, 19.22615, 27.9184), (5, 3, 12, 19.0753, 28.00755);

-- The three best passages of each question, and their scores. The embeddings are normalised, so maxsim is the cosine.
WITH best AS (
	SELECT q.id AS query, b.* FROM colbertv2_queries q, LATERAL (
		SELECT id AS doc, doc AS tokens, row_number() OVER () AS rank
		FROM (SELECT * FROM colbertv2_docs d ORDER BY maxsim(doc, q.query) DESC LIMIT 3) AS d) AS b)
SELECT count(*), bool_and(doc = t.doc) AS same, bool_and(abs(maxsim(tokens, q.query) - ip) < 2e-5) AS ip,
	bool_and(abs(maxsim_cosine(tokens, q.query) - ip) < 2e-5) AS cosine, bool_and(abs(maxsim_l2(tokens, q.query) - l2) < 2e-5) AS l2
FROM best JOIN colbertv2_truth t USING (query, rank, doc) JOIN colbertv2_queries q ON q.id = t.query;

-- To the last bit: the same on every machine.
SELECT id, maxsim(doc, query), maxsim_cosine(doc, query), maxsim_l2(doc, query)
FROM colbertv2_docs d JOIN colbertv2_queries q USING (id) ORDER BY id;
-- How much the smaller formats, and pooling half of the tokens away, change the best score of a question.
SELECT t.query AS question, round((maxsim(d.doc::multivector(128, float2), q.query) - ip)::numeric, 3) AS float2,
	round((maxsim(d.doc::multivector(128, int8), q.query) - ip)::numeric, 3) AS int8,
	round((maxsim(pool_tokens(d.doc, 2), q.query) - ip)::numeric, 2) AS pooled
FROM colbertv2_truth t JOIN colbertv2_docs d ON d.id = t.doc JOIN colbertv2_queries q ON q.id = t.query WHERE rank = 1 ORDER BY 1;
-- Which tokens matched.
SELECT * FROM maxsim_tokens((SELECT doc FROM colbertv2_docs WHERE id = 21), (SELECT query FROM colbertv2_queries WHERE id = 1)) LIMIT 5;
DROP TABLE colbertv2_docs, colbertv2_queries, colbertv2_truth;
