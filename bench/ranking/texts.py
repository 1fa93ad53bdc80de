"""Texts of MedQuAD and Cranfield as tsvector tables with statistics, and their judgements.

Each table holds id and tsv alone, stored plainly in the row. In `titled` the title is section A, in
`joined` title and body are one section, and `body` has no title.
"""
import json, lzma, os
import medquad_db as db

BUDGET = 3000
DATA = os.path.join(db.ROOT, 'data')
VECTORS = {
    'titled': "setweight(to_tsvector('english', title), 'A') || to_tsvector('english', body)",
    'joined': "to_tsvector('english', title || ' ' || body)",
    'body': "to_tsvector('english', body)",
}


def lines(*path):
    with lzma.open(os.path.join(DATA, *path), 'rt') as f:
        return f.read().splitlines()


def titles():
    """Return {id of a passage of MedQuAD: title}."""
    return dict(line.split('\t') for line in lines('medquad-titles', 'titles.tsv.xz'))


def records(dataset, name):
    return [json.loads(line) for line in lines(dataset, f'{name}.jsonl.xz')]


def judgements(dataset):
    """Return {query: {document: grade}}."""
    found = {}
    with open(os.path.join(DATA, dataset, 'qrels.tsv')) as f:
        for line in f.read().splitlines()[1:]:
            query, document, grade = line.split('\t')
            if float(grade) > 0:
                found.setdefault(query, {})[document] = float(grade)
    return found


def make_vectors(conn, prefix, documents):
    """Make the tables PREFIX_titled, PREFIX_joined and PREFIX_body of [(id, title, body)]."""
    conn.execute(f'CREATE TABLE {prefix}_texts (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL)')
    with conn.cursor().copy(f'COPY {prefix}_texts FROM STDIN') as copy:
        for row in documents:
            copy.write_row(row)
    for name, vector in VECTORS.items():
        table = f'{prefix}_{name}'
        conn.execute(f'CREATE TABLE {table} (id int PRIMARY KEY, tsv tsvector STORAGE MAIN)' if conn.info.server_version >= 160000
                     else f'CREATE TABLE {table} (id int PRIMARY KEY, tsv tsvector); ALTER TABLE {table} ALTER tsv SET STORAGE MAIN')
        conn.execute(f'INSERT INTO {table} SELECT id, {vector} FROM {prefix}_texts')
        conn.execute(f'CREATE INDEX ON {table} USING gin (tsv)')
        conn.execute(f"SELECT bm25_analyze('{table}', 'tsv', config => 'english')")
        conn.execute(f'VACUUM ANALYZE {table}')


def top(conn, table, text, a=5, n=100):
    """Return {id: BM25F} of the n best documents, with weight a for titles. With this budget the candidates lose none of them."""
    rows = conn.execute(f"SELECT id, bm25f(tsv, q) AS score FROM {table}, bm25_query('{table}_tsv_bm25', %s, ARRAY[1, 2, 3, %s]::real[], budget => {BUDGET}) AS q "
                        'WHERE tsv @@ bm25_candidates(q) ORDER BY score DESC, id LIMIT %s', (text, a, n)).fetchall()
    return dict(rows)
