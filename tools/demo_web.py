"""Serve the search page of the Python package on MedQuAD: load, index, and go on until Ctrl-C.

    demo_web.py [PORT]              8080 by default, 0 for any that is free
    demo_web.py --pages [PORT]      page images with their patches (page_images.py), in place of texts

Runs in build/demo-web, where tools/demo installs what it needs.
"""
import os, re, socket, sys
import medquad_db as db
from colbert_pg import MultiVector
from colbert_pg.collection import Columns
from colbert_pg.encoders import TextEncoder
from colbert_pg.psycopg import register_multivector
from colbert_pg.web import Grid, PageImages, Settings, create_app, serve
from progress import Step

DATA = os.path.join(db.ROOT, 'data', 'medquad')
sys.path.insert(0, DATA)
import encode
import page_images

RANKER = os.path.join(db.ROOT, 'data', 'medquad-ranker', 'ranker.json')
FIRST = ('what causes childhood brain stem glioma ?', 'how to diagnose chronic myelogenous leukemia ?', 'what are the symptoms of anal cancer ?')
SAMPLE = 57    # questions that measure an index
WORD = re.compile(r'\w+')


class Medquad(TextEncoder):
    """The encoder of data/medquad, which knows a text by the stems of its words."""

    dims = 128
    words = encode.DOC_TOKENS   # of a text that is encoded to its end

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


def texts():
    """Return the settings of a page on texts."""
    with db.connect() as conn:
        prepare(conn)
        asked = [text for text, in conn.execute('SELECT question FROM questions ORDER BY hashint4(id) LIMIT %s', (SAMPLE,)).fetchall()]
    with open(RANKER) as f:
        ranker = f.read()
    return Settings('passages', 'user=reader', Columns('id', 'body', 'doc', None), ranker=ranker, queries=(*FIRST, *asked), tune_timeout=600)


def pages(encoder):
    """Return the settings of a page on page images."""
    with Step(f'{page_images.PAGES} page images'):
        rows, asked = page_images.make(DATA, encoder, FIRST)
    with db.connect() as conn, Step('their patches into a table, and CREATE INDEX') as step:
        conn.execute('CREATE EXTENSION IF NOT EXISTS colbert_pg')
        register_multivector(conn)
        conn.execute('CREATE TABLE pages (id int PRIMARY KEY, title text, image bytea, doc multivector(128, float2))')
        with conn.cursor() as cursor:
            cursor.executemany('INSERT INTO pages VALUES (%s, %s, %s, %s::multivector)',
                               [(number, title, image, MultiVector(tokens)) for number, (title, image, tokens) in enumerate(rows, 1)])
        db.build_index('CREATE INDEX ON pages USING colbert_hnsw (doc)', step)
        conn.execute('VACUUM ANALYZE pages')
        conn.execute('CREATE ROLE page_reader LOGIN; GRANT SELECT ON pages TO page_reader')
    note = ('The pages were drawn from MedQuAD, and the embedding of a patch is that of the words that it shows: no vision model made it. '
            'A table from ColPali is shown in the same way.')
    images = PageImages('image', Grid(page_images.ROWS, page_images.COLUMNS))
    return Settings('pages', 'user=page_reader', Columns('id', 'title', 'doc', None), images=images, queries=(*FIRST, *asked), limit=5,
                    tune_timeout=600, note=note)


def main(argv):
    of_pages = argv[1:2] == ['--pages']
    word = ' '.join(argv[1 + of_pages:]) or '8080'
    if not (word.isascii() and word.isdigit() and int(word) <= 65535):
        sys.exit(f'port {word}: expected a number from 0 to 65535')
    port = int(word)
    try:
        socket.create_server(('127.0.0.1', port)).close()
    except OSError as e:
        sys.exit(f'port {port}: {e.strerror}; make demo-{"pages" if of_pages else "web"} PORT=0 takes any that is free')
    encoder = Medquad()
    serve(create_app(encoder, pages(encoder) if of_pages else texts()), port=port)


if __name__ == '__main__':
    try:
        main(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
