"""Fill the table chunk by chunk in several processes, and compute the exact answers of a sample of the queries.

One transaction inserts a chunk's documents, its candidates for the exact answers and the record that it is complete, so an interrupted load
can continue. A matrix product computes the exact scores while the documents are in memory. When all chunks are loaded, the database's own
maxsim computes the best of them again.
"""
import multiprocessing, time
import numpy as np
import psycopg
import copybinary as cb
from progress import Step
from shard import data
from shard.data import COPY_END, COPY_START
from shard.scorer import Sample

KEPT = 12       # candidates kept per chunk
TABLES = '''
CREATE EXTENSION IF NOT EXISTS colbert_pg;
CREATE EXTENSION IF NOT EXISTS pg_prewarm;
CREATE TABLE passages (id int PRIMARY KEY, doc multivector(128, float2));
CREATE TABLE queries (kind text, id int, query multivector(128), PRIMARY KEY (kind, id));
CREATE TABLE bench_chunks (chunk int PRIMARY KEY, tokens bigint);
CREATE TABLE bench_candidates (kind text, id int, passage int, score float4);
CREATE TABLE bench_exact (kind text, id int, tenth float8, best int[], PRIMARY KEY (kind, id));
CREATE TABLE bench_facts (name text PRIMARY KEY, value jsonb)
'''
EXACT = f'''
INSERT INTO bench_exact
SELECT kind, id, (array_agg(score ORDER BY score DESC))[10], (array_agg(passage ORDER BY score DESC))[1:10]
FROM (SELECT c.kind, c.id, c.passage, maxsim(p.doc, q.query) AS score
      FROM (SELECT *, row_number() OVER (PARTITION BY kind, id ORDER BY score DESC) AS rank FROM bench_candidates) AS c
      JOIN passages AS p ON p.id = c.passage JOIN queries AS q ON q.kind = c.kind AND q.id = c.id
      WHERE c.rank <= {KEPT}) AS best
GROUP BY kind, id
'''


def connect():
    return psycopg.connect(autocommit=True, prepare_threshold=None)


def thinned(values, n):
    """Return n of the values, evenly spaced."""
    n = min(n, len(values))
    return [values[i * len(values) // n] for i in range(n)]


def copy_in(conn, statement, block):
    """COPY a block of bytes directly through libpq."""
    conn.pgconn.exec_(statement.encode())
    conn.pgconn.put_copy_data(block)
    conn.pgconn.put_copy_end()
    while result := conn.pgconn.get_result():
        if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
            raise RuntimeError(result.error_message.decode())


def candidates(sample, first, halves, lengths):
    """Return lines (kind, id, passage, score) for COPY with the best documents of a chunk."""
    scores = sample.scores(halves, lengths)
    kept = min(KEPT, len(scores))
    best = np.argpartition(-scores, kept - 1, axis=0)[:kept]
    lines = (f'{kind}\t{id}\t{first + doc}\t{scores[doc, column]}\n' for column, (kind, id) in enumerate(sample.names) for doc in best[:, column])
    return ''.join(lines).encode()


class Loader:
    """State for loading chunks. Create it before the processes start, so that they share its memory."""

    def __init__(self, source, sample):
        self.source, self.sample, self.conn = source, sample, None

    def load(self, chunk):
        self.conn = self.conn or connect()
        tokens, lengths = self.source.chunk(chunk)
        first = self.source.first(chunk)
        found = candidates(self.sample, first, tokens, lengths)
        block = COPY_START + data.copy_rows(first, data.documents_of(tokens, lengths)) + COPY_END
        with self.conn.transaction():
            copy_in(self.conn, 'COPY passages FROM STDIN (FORMAT binary)', block)
            copy_in(self.conn, 'COPY bench_candidates FROM STDIN', found)
            self.conn.execute('INSERT INTO bench_chunks VALUES (%s, %s)', (chunk, len(tokens)))
        return len(lengths)


def load_chunk(chunk):
    return loader.load(chunk)


def bar(done, total, since):
    left = f', {since * (total - done) / done:.0f} s left' if done else ''
    filled = 24 * done // total
    return f"[{'#' * filled}{'.' * (24 - filled)}] {done:,} of {total:,}{left}"


def create(conn, queries, facts):
    conn.execute(TABLES)
    block = [COPY_START]
    for kind, those in queries.items():
        for id, tokens in those:
            fields = (cb.text(kind), cb.int4(id), cb.multivector(tokens))
            block.append(b'\0\3' + b''.join(len(field).to_bytes(4, 'big') + field for field in fields))
    copy_in(conn, 'COPY queries FROM STDIN (FORMAT binary)', b''.join(block) + COPY_END)
    for name, value in facts.items():
        conn.execute('INSERT INTO bench_facts VALUES (%s, %s)', (name, psycopg.types.json.Json(value)))


def fill(source, queries, exact, processes):
    """Load the missing chunks and return the seconds taken."""
    global loader
    with connect() as conn:
        present = {chunk for chunk, in conn.execute('SELECT chunk FROM bench_chunks')}
    missing = [chunk for chunk in range(source.chunks) if chunk not in present]
    loader = Loader(source, Sample([(kind, *query) for kind, those in queries.items() for query in thinned(those, exact)]))
    label = 'load' + (f', from {len(present):,} of {source.chunks:,} chunks on' if present else '')
    with multiprocessing.get_context('fork').Pool(processes) as pool, Step(label) as step:
        start, done, total = time.time(), 0, sum(source.count(chunk) for chunk in missing)
        for count in pool.imap_unordered(load_chunk, missing):
            done += count
            step.detail = bar(done, total, time.time() - start)
    return step.seconds_taken


def finish(conn):
    with Step('load: VACUUM, exact answers of the sample'):
        conn.execute('VACUUM ANALYZE passages')
        conn.execute(EXACT)
        conn.execute('DROP TABLE bench_candidates')
        conn.execute('CHECKPOINT')


def fact(conn, name):
    row = conn.execute('SELECT value FROM bench_facts WHERE name = %s', (name,)).fetchone()
    return row and row[0]


def set_fact(conn, name, value):
    conn.execute('INSERT INTO bench_facts VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value', (name, psycopg.types.json.Json(value)))


def load(conn, source, queries, exact, processes):
    """Load the table passages, unless an earlier run did. Afterwards the fact 'load' has its size and the time taken."""
    facts = {'shape': source.shape, 'documents': source.documents, 'exact': exact}
    if not conn.execute("SELECT to_regclass('bench_facts')").fetchone()[0]:
        with conn.transaction():
            create(conn, queries, facts)
    for name, value in facts.items():
        if fact(conn, name) != value:
            raise SystemExit(f'the data folder was created with {name} = {fact(conn, name)}, not {value}: use another --data, or --fresh')
    if fact(conn, 'load'):
        return
    resumed = conn.execute('SELECT count(*) FROM bench_chunks').fetchone()[0]
    seconds = fill(source, queries, exact, processes)
    finish(conn)
    tokens = conn.execute('SELECT sum(tokens)::bigint FROM bench_chunks').fetchone()[0]
    size = conn.execute("SELECT pg_table_size('passages')").fetchone()[0]
    set_fact(conn, 'load', {'seconds': seconds, 'tokens': tokens, 'bytes': size, 'processes': processes, 'resumed': resumed > 0})
