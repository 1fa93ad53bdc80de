"""The two collections: their texts as tsvector tables with statistics, their questions and judgements.

Each table holds id and tsv alone, stored plainly in the row. In `titled` the title is section A, in
`joined` title and body are one section, and `body` has no title.
"""
import json, lzma, os
import copybinary as cb
import medquad_db as db
from colbert_pg import MultiVector

BUDGET = 3000
DATA = os.path.join(db.ROOT, 'data')
VECTORS = {
    'titled': "setweight(to_tsvector('english', title), 'A') || to_tsvector('english', body)",
    'joined': "to_tsvector('english', title || ' ' || body)",
    'body': "to_tsvector('english', body)",
}
CRANFIELD = 'CREATE TABLE abstracts (id int PRIMARY KEY, doc multivector(384, float2))'


class Collection:
    """Judged questions on a table of multivectors (id, doc) and the tables of texts with its name.

    questions: [(id, text, multivector)]. judgements: {question: {id of a row: gain}}. exact: {question: ids of the best 100 by MaxSim}.
    sides: {table of texts: candidates per side}. topics: {question: topic}, or None.
    """

    def __init__(self, name, table, sides, questions, judgements, exact, topics=None):
        self.name, self.table, self.sides, self.questions = name, table, sides, questions
        self.judgements, self.exact, self.topics = judgements, exact, topics

    def pages(self, column):
        """Return the name of the view with id, doc and tsv."""
        return f'{self.name}_{column}_pages'


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


def make_pages(conn, collection):
    """Make a view with the multivectors and one of the texts, for each of them."""
    for column in collection.sides:
        conn.execute(f'CREATE VIEW {collection.pages(column)} AS SELECT id, doc, tsv FROM {collection.table} JOIN {collection.name}_{column} USING (id)')


def top(conn, table, text, a=5, n=100):
    """Return {id: BM25F} of the n best documents, with weight a for titles. With this budget the candidates lose none of them."""
    rows = conn.execute(f"SELECT id, bm25f(tsv, q) AS score FROM {table}, bm25_query('{table}_tsv_bm25', %s, ARRAY[1, 2, 3, %s]::real[], budget => {BUDGET}) AS q "
                        'WHERE tsv @@ bm25_candidates(q) ORDER BY score DESC, id LIMIT %s', (text, a, n)).fetchall()
    return dict(rows)


def medquad(conn, n):
    """Return n questions of MedQuAD, evenly spaced, by the demo's encoder. The topic of a question is the title of its passages."""
    known, sources = titles(), {source: id for id, source in conn.execute('SELECT id, source FROM passages').fetchall()}
    judged = judgements('medquad')
    rows = conn.execute('SELECT source, question, short::text FROM questions ORDER BY id').fetchall()
    chosen = [rows[i * len(rows) // n] for i in range(n)]
    exact = conn.execute('SELECT source, array_agg(passage ORDER BY rank) FROM exact e JOIN questions q ON q.id = e.question GROUP BY source').fetchall()
    return Collection(
        'medquad', 'passages', {'titled': 20, 'body': 50}, [(id, text, MultiVector.from_text(doc)) for id, text, doc in chosen],
        {id: {sources[d]: gain for d, gain in judged[id].items()} for id, _, _ in chosen},
        dict(exact), {id: min(known.get(d, d) for d in judged[id]).lower() for id, _, _ in chosen})


def cranfield(conn):
    """Encode the abstracts of Cranfield, with their titles, by the packaged MiniLM, into a table, and return their questions."""
    from collections_of_texts import encode_neural, read_texts
    judged = judgements('cranfield')
    texts, questions = read_texts('cranfield', 'corpus'), read_texts('cranfield', 'queries')
    ids = [id for id, text in texts.items() if text.strip()]
    docs, asked = encode_neural('cranfield', [texts[id] for id in ids], list(questions.values()))
    conn.execute(CRANFIELD)
    with conn.cursor().copy('COPY abstracts FROM STDIN (FORMAT binary)') as copy:
        copy.set_types(['int4', 'bytea'])
        for i, id in enumerate(ids):
            copy.write_row((int(id), cb.multivector(docs[i], 'float2')))
    conn.execute('VACUUM ANALYZE abstracts')
    chosen = [(id, text, MultiVector(asked[i])) for i, (id, text) in enumerate(questions.items()) if id in judged]
    best = 'SELECT array_agg(id) FROM (SELECT id FROM abstracts ORDER BY maxsim(doc, %s::multivector) DESC, id LIMIT 100) AS best'
    exact = {id: conn.execute(best, (doc.to_text(),)).fetchone()[0] for id, _, doc in chosen}
    return Collection('cranfield', 'abstracts', {'titled': 50}, chosen, {q: {int(d): gain for d, gain in documents.items()} for q, documents in judged.items()}, exact)
