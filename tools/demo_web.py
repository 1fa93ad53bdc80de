"""Serve the search page of the Python package on MedQuAD: load, index, and go on until Ctrl-C.

    demo_web.py [PORT]      8080 by default, 0 for any that is free

Runs in build/demo-web, where tools/demo installs what it needs.
"""
import os, re, socket, sys
import medquad_db as db
from colbert_pg import MultiVector
from colbert_pg.collection import Columns
from colbert_pg.encoders import TextEncoder
from colbert_pg.web import Settings, create_app, serve
from progress import Step

DATA = os.path.join(db.ROOT, 'data', 'medquad')
sys.path.insert(0, DATA)
import encode

RANKER = os.path.join(db.ROOT, 'data', 'medquad-ranker', 'ranker.json')
FIRST = ('what causes childhood brain stem glioma ?', 'how to diagnose chronic myelogenous leukemia ?', 'what are the symptoms of anal cancer ?')
SAMPLE = 57    # questions that measure an index
WORD = re.compile(r'\w+')


class Medquad(TextEncoder):
    """The encoder of data/medquad, which knows a text by the stems of its words."""

    dims = 128

    def __init__(self):
        self._encoder = encode.Encoder()

    def encode(self, texts, *, query):
        return [MultiVector(self._encoder.encode(text, 'query' if query else 'doc')) for text in texts]

    def spans(self, text, *, query=False):
        spans = [found.span() for found in WORD.finditer(text) for _ in encode.tokens(found.group())]
        return spans[:encode.QUERY_TOKENS if query else encode.DOC_TOKENS] or [(0, 0)]


def prepare(conn):
    with Step('16,373 passages into a table') as step:
        db.load(conn, step)
    with Step('full text, for BM25F'):
        conn.execute("ALTER TABLE passages ADD tsv tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED")
        conn.execute('CREATE INDEX ON passages USING gin (tsv)')
        conn.execute("SELECT bm25_analyze('passages', 'tsv')")
        conn.execute('VACUUM ANALYZE passages')
    with Step('CREATE INDEX') as step:
        db.build_index('CREATE INDEX ON passages USING colbert_hnsw (doc)', step)
    conn.execute('CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader')


def main(argv):
    word = argv[1] if argv[1:] else '8080'
    if not (word.isascii() and word.isdigit() and int(word) <= 65535):
        sys.exit(f'port {word}: expected a number from 0 to 65535')
    port = int(word)
    try:
        socket.create_server(('127.0.0.1', port)).close()
    except OSError as e:
        sys.exit(f'port {port}: {e.strerror}; make demo-web PORT=0 takes any that is free')
    with db.connect() as conn:
        prepare(conn)
        asked = [text for text, in conn.execute('SELECT question FROM questions ORDER BY hashint4(id) LIMIT %s', (SAMPLE,)).fetchall()]
    with open(RANKER) as f:
        ranker = f.read()
    settings = Settings('passages', 'user=reader', Columns('id', 'body', 'doc', None), ranker=ranker, queries=(*FIRST, *asked),
                        tune_timeout=600)
    serve(create_app(Medquad(), settings), port=port)


if __name__ == '__main__':
    try:
        main(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
