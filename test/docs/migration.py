#!/usr/bin/python3
"""Run the blocks of doc/migration/pgvector.md that need pgvector, on a server that has it: its export, and loads within the database. TAP output.

The exported files must be those of doc/migration/data, and the scores of pgvector's recipe those of maxsim_cosine.
"""
import filecmp, os, re, subprocess, tempfile
import psycopg
from readme import ROOT, check, database, finish, read

DATA = os.path.join(ROOT, 'doc', 'migration', 'data')
TABLES = f"""
CREATE EXTENSION vector;
CREATE EXTENSION colbert_pg;
CREATE TABLE documents (id bigint PRIMARY KEY, content text, embeddings vector(8)[]);
CREATE TABLE document_embeddings (id bigint PRIMARY KEY, document_id bigint, embedding vector(8));
CREATE TABLE passages (id bigint, content text, doc multivector(8));
\\copy documents FROM '{DATA}/arrays.copy'
\\copy document_embeddings FROM '{DATA}/tokens.copy'
"""
LOADED = 'SELECT count(*), count(DISTINCT doc::text), count(DISTINCT id) FROM passages'
DIFFERENCE = f"""
CREATE FUNCTION max_sim(document vector[], query vector[]) RETURNS float8 LANGUAGE sql AS $$
	SELECT sum(best) FROM (SELECT max(1 - (d <=> q)) AS best FROM unnest(query) WITH ORDINALITY AS of_query(q, n), unnest(document) AS d GROUP BY n) AS bests
$$;
\\set query `cat {DATA}/query.json`
SELECT max(abs(maxsim_cosine(doc, :'query') - max_sim(embeddings, ARRAY(SELECT embedding::vector FROM unnest(:'query'::multivector)))))
FROM passages JOIN documents USING (id)
"""


def is_installed():
    with psycopg.connect(dbname='postgres') as conn:
        return conn.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'").fetchone() is not None


def psql(script, folder, env):
    """Run SQL in a folder, where \\copy writes its files."""
    return subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1'], input=script, capture_output=True, text=True, cwd=folder, env=env)


def page_is_true(folder):
    env = database('docs_pgvector')
    blocks = re.findall(r'```sql external=pgvector\n(.*?)```', read('doc/migration/pgvector.md'), re.S)
    for n, script in enumerate([TABLES, *blocks]):
        run = psql(script, folder, env)
        check(run.returncode == 0 and not run.stderr, f'block {n} for pgvector runs' if n else 'tables of pgvector are filled', run.stderr)
    for name in sorted(os.listdir(folder)):
        check(filecmp.cmp(os.path.join(folder, name), os.path.join(DATA, name), shallow=False), f'the export writes {name}')
    check(len(os.listdir(folder)) == 3, 'the export writes three files', *os.listdir(folder))
    run = psql(LOADED, folder, env)
    check(run.stdout == '12|6|6\n', 'arrays and tokens give equal documents', run.stdout, run.stderr)
    run = psql(DIFFERENCE, folder, env)
    check(run.returncode == 0 and float(run.stdout) < 1e-6, "scores of pgvector's recipe are those of maxsim_cosine", run.stdout, run.stderr)


def main():
    if not is_installed():
        return print('ok 1 - the page on pgvector # skip pgvector is not installed\n1..1')
    with tempfile.TemporaryDirectory() as folder:
        page_is_true(folder)
    finish()


if __name__ == '__main__':
    main()
