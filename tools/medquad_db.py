"""MedQuAD in a database, for the demo and the benchmarks: load it, index it, query it, and compute recall.

Its tokens are those of the demo's encoder (tools/medquad), or of a neural one (bench/lengths/medquad_files.py).
psycopg finds the server through PGHOST etc., which tools/with-server sets.
"""
import os, statistics, struct, subprocess, threading, time
import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLLECTIONS = {     # name: title, mean tokens per passage, of short and long queries. The files of each are in build/NAME.
    'medquad': ('MedQuAD', 66.5, {'short': 4.9, 'long': 16}),
    'medquad-neural': ('MedQuAD by all-MiniLM-L6-v2', 90., {'short': 13, 'long': 32}),
}
COLLECTION = os.environ.get('COLBERT_COLLECTION', 'medquad')     # tools/bench --collection sets it
TITLE, TOKENS, QUERY_TOKENS = COLLECTIONS[COLLECTION]
QUERY_TITLES = {'short': f"questions, {QUERY_TOKENS['short']} tokens", 'long': f"{QUERY_TOKENS['long']} tokens"}
FILES = os.path.join(ROOT, 'build', COLLECTION)
TABLES = {
    'passages': 'CREATE TABLE passages (id int PRIMARY KEY, source text, body text, doc multivector(128, float2))',
    'questions': 'CREATE TABLE questions (id int PRIMARY KEY, source text, question text, short multivector(128), long multivector(128))',
    'exact': 'CREATE TABLE exact (question int, rank int, passage int, PRIMARY KEY (question, rank))',
}
TOP = 'SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT 10'


def connect(**parameters):
    """Parameters that are not given are those of the environment."""
    return psycopg.connect(autocommit=True, prepare_threshold=None, **parameters)


def watch(work, step, progress):
    """Run work() in a thread and meanwhile show the text that the query progress returns as the step's detail."""
    failure = []

    def run():
        try:
            work()
        except Exception as e:
            failure.append(e)

    worker = threading.Thread(target=run)
    worker.start()
    with connect() as conn:
        while worker.is_alive():
            row = conn.execute(progress).fetchone()
            if row:
                step.detail = row[0]
            worker.join(.2)
    if failure:
        raise failure[0]


def load(conn, step):
    """Create the tables and fill them from the files of tools/medquad, with psql, whose COPY is five times as fast as psycopg's."""
    conn.execute('CREATE EXTENSION IF NOT EXISTS colbert_pg')
    command = ['psql', '-Xq', '-v', 'ON_ERROR_STOP=1']
    for name, definition in TABLES.items():
        conn.execute(definition)
        command += ['-c', f"\\copy {name} from '{FILES}/{name}.bin' (format binary)"]
    watch(lambda: subprocess.run(command, check=True), step,
          "SELECT format('%s: %s rows', relid::regclass, tuples_processed) FROM pg_stat_progress_copy")
    conn.execute('VACUUM ANALYZE')


def build_index(statement, step):
    def build():
        with connect() as conn:
            conn.execute(statement)

    watch(build, step, "SELECT phase || CASE WHEN tuples_total > 0 THEN format(', %s of %s', tuples_done, tuples_total) ELSE '' END "
          'FROM pg_stat_progress_create_index')


def all_of(conn, statement):
    """Return the rows of a statement, with multivectors in binary format."""
    return conn.execute(statement, binary=True).fetchall()


def queries(conn, kind, n):
    """Return n questions, evenly spaced over all of them, as (id, binary multivector). kind: short or long."""
    rows = all_of(conn, f'SELECT id, {kind} FROM questions ORDER BY id')
    return [rows[i * len(rows) // n] for i in range(n)]


class Asker:
    """A prepared statement with one parameter, run directly through libpq so that the client's own work hardly counts.

    After a SET that affects plans, create a new Asker: an existing one may keep its plan.
    """

    def __init__(self, conn, statement=TOP):
        self.pgconn, self.name = conn.pgconn, f'ask_{id(self)}'.encode()
        self.check(self.pgconn.prepare(self.name, statement.encode()))

    def __del__(self):
        if self.pgconn.status == psycopg.pq.ConnStatus.OK:
            self.pgconn.exec_(b'DEALLOCATE ' + self.name)

    def check(self, result):
        if result.status not in (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(result.error_message.decode())
        return result

    def ask(self, query):
        """Return [(id, score)]."""
        result = self.check(self.pgconn.exec_prepared(self.name, [query], [1], result_format=1))
        return [(struct.unpack('!i', result.get_value(i, 0))[0], struct.unpack('!d', result.get_value(i, 1))[0])
                for i in range(result.ntuples)]

    def timed(self, queries):
        """Return (milliseconds per query, answers per query)."""
        times, answers = [], []
        for _, query in queries:
            start = time.perf_counter()
            answers.append(self.ask(query))
            times.append((time.perf_counter() - start) * 1000)
        return times, answers


def scores_at(conn, kind, queries, rank):
    """Return, for each query, the exact score at a rank. An answer that reaches it belongs to the best `rank` answers, ties included.

    For short queries the files include the exact top hundred; for long ones the caller computes it with a sequential scan.
    """
    scores = dict(conn.execute(f'SELECT q.id, maxsim(p.doc, q.{kind}) FROM questions q JOIN exact e ON e.question = q.id AND e.rank = {rank} '
                               'JOIN passages p ON p.id = e.passage').fetchall())
    return [scores[id] for id, _ in queries]


def tenth_scores(conn, kind, queries):
    return scores_at(conn, kind, queries, 10)


def recall(answers, last, k=10):
    """Return the mean fraction of the k answers that score at least as high as the exact k-th."""
    return statistics.mean(sum(score >= least - 1e-6 for _, score in answer) / k for answer, least in zip(answers, last))


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def machine(conn):
    """Describe the machine and the server that the figures were measured on."""
    with open('/proc/cpuinfo') as f:
        models = [line.split(':')[1].strip() for line in f if line.startswith('model name')]
    show = lambda name: conn.execute(f'SHOW {name}').fetchone()[0]
    return f"{models[0] if models else os.uname().machine}, {os.cpu_count()} CPUs; PostgreSQL {show('server_version').split()[0]}, shared_buffers {show('shared_buffers')}"
