"""Measure colbert_pg: builds, latency, stages, recall, queries per second, inserts. All figures of a method are taken while only its index is visible."""
import os, re, statistics, subprocess
import psycopg
import medquad_db as db
from progress import Step
from shard import data
from shard.clients import Client, Inserter, ask, rate, write_queries
from shard.load import connect, fact, set_fact, thinned
from shard.visible import show_only
from trade_off.clock import Clock
from trade_off.watch import create_index

KINDS = ('short', 'long')
METHODS = {     # name: (label, index, scan settings)
    'ivf': ('colbert_ivf', 'USING colbert_ivf (doc)', {}),
    'hnsw': ('colbert_hnsw', 'USING colbert_hnsw (doc)', {}),
    'tokens': ('tokens_per_node = 1', 'USING colbert_hnsw (doc) WITH (tokens_per_node = 1)', {'colbert.ef_search': 100}),
}
STAGED = 200        # queries whose stages are averaged
NUMBERS = (20, 21, 23, 701)     # OIDs of int8, int2, int4, float8
SEQUENTIAL_TOKENS = 2 * 10 ** 7         # maximum tokens read by the sequential scans of all queries
KERNELS = os.path.join(data.ROOT, 'build', 'bench', 'kernels_timing')


def index_name(method):
    return f'passages_{method}'


def latency(times):
    return {'avg': statistics.mean(times), 'p50': statistics.median(times), 'p95': db.percentile(times, .95), 'p99': db.percentile(times, .99)}


class Ours:
    def __init__(self, conn, source, folder, options):
        self.conn, self.source, self.folder, self.options = conn, source, folder, options
        self.loaded = fact(conn, 'load')
        self.rows = {}
        self.plain_inserts = None       # documents per second into the table without an index
        self.paths = {kind: os.path.join(folder, kind + '.queries') for kind in KINDS}
        self.queries = {}
        for kind, path in self.paths.items():
            rows = conn.execute('SELECT query FROM queries WHERE kind = %s ORDER BY id', (kind,), binary=True).fetchall()
            self.queries[kind] = thinned([query for query, in rows], options.queries)
            write_queries(path, self.queries[kind])
        self.mend()

    def mend(self):
        """Clean up after an interrupted run: documents of the insert test, and hidden indexes."""
        if self.conn.execute('SELECT max(id) FROM passages').fetchone()[0] > self.source.documents:
            self.remove_inserted()
        self.show_only(None)

    # Visibility of indexes to the planner and to inserts

    def show_only(self, method, others_are_kept=True):
        show_only(self.conn, method and index_name(method), others_are_kept)

    # Build

    def usable(self, name):
        """Return whether the index was built completely and has the format of the installed library."""
        if not self.conn.execute('SELECT to_regclass(%s) IS NOT NULL', (name,)).fetchone()[0] or not fact(self.conn, name):
            return False
        try:
            self.conn.execute('SELECT colbert_index_info(%s::regclass)', (name,))
        except psycopg.Error as e:
            print(f'{e.diag.message_primary}: rebuilding it', flush=True)
            return False
        return True

    def build(self, method):
        label, definition, _ = METHODS[method]
        name = index_name(method)
        if not self.usable(name) or self.options.rebuild:
            self.conn.execute(f'DROP INDEX IF EXISTS {name}')
            with Step(f'{label}: build') as step:
                seconds, phases, peak = create_index(self.conn, f'CREATE INDEX {name} ON passages {definition}', step)
            size = self.conn.execute(f"SELECT pg_relation_size('{name}')").fetchone()[0]
            nodes = self.conn.execute(f"SELECT nodes FROM colbert_index_info('{name}')").fetchone()[0]
            set_fact(self.conn, name, {'seconds': seconds, 'phases': phases, 'peak': peak, 'bytes': size, 'nodes': nodes, 'inserted': 0})
            self.conn.execute('CHECKPOINT')
        self.rows[method] = {'label': label, 'build': fact(self.conn, name)}

    # Searches

    def settle(self, method):
        """Make the method's index visible, load it into memory, and apply its settings to all new sessions."""
        self.show_only(method)
        self.conn.execute(f"SELECT pg_prewarm('{index_name(method)}')")
        for name, value in METHODS[method][2].items():
            self.conn.execute(f'ALTER DATABASE postgres SET {name} = {value}')
        with connect() as conn:
            db.Asker(conn).ask(self.sample('short')[0][0])
            used = conn.execute('SELECT index::text FROM colbert_last_scan()').fetchone()[0]
        if used != index_name(method):
            raise SystemExit(f'the planner takes {used or "no index"}, not {index_name(method)}: are there too few documents?')

    def unsettle(self, method):
        for name in METHODS[method][2]:
            self.conn.execute(f'ALTER DATABASE postgres RESET {name}')
        self.show_only(None)

    def sample(self, kind):
        """Return [(query, exact tenth score)]."""
        return self.conn.execute('SELECT query, tenth FROM bench_exact JOIN queries USING (kind, id) WHERE kind = %s ORDER BY id', (kind,), binary=True).fetchall()

    def recall(self, kind):
        with connect() as conn:
            asker, sample = db.Asker(conn), self.sample(kind)
            return db.recall([asker.ask(query) for query, _ in sample], [tenth for _, tenth in sample])

    def stages(self, kind):
        """Return the means of all numbers of colbert_last_scan()."""
        with connect() as conn:
            asker, scans = db.Asker(conn), []
            for query, _ in thinned(self.sample(kind), STAGED):
                asker.ask(query)
                cursor = conn.execute('SELECT * FROM colbert_last_scan()')
                scans.append(cursor.fetchone())
        return {column.name: statistics.mean(values) for column, values in zip(cursor.description, zip(*scans)) if column.type_code in NUMBERS}

    def times(self, kind):
        """Return the milliseconds of each query, warm: of the client's wall time, or of the backend's CPU time."""
        if not self.options.processor:
            return ask(self.paths[kind], self.options.queries)
        with connect() as conn:
            asker, queries = db.Asker(conn), [(None, query) for query in self.queries[kind]]
            asker.timed(queries)
            return Clock(conn.info.backend_pid).ask(asker, queries)[0]

    def measure(self, method):
        label, figures = METHODS[method][0], self.rows[method]
        with Step(f'{label}: latency') as step:
            for kind in KINDS:
                step.detail = kind
                times = self.times(kind)
                figures[kind] = {**latency(times), 'recall': self.recall(kind), 'stages': self.stages(kind)}
            step.result = ', '.join(f"{kind} {figures[kind]['avg']:.2f} ms {figures[kind]['recall']:.3f}" for kind in KINDS)

    def rates(self, method):
        figures = self.rows[method]
        with Step(f'{METHODS[method][0]}: 1 and 2 clients'):
            for kind in KINDS:
                figures.setdefault(kind, {})['rates'] = [rate(self.paths[kind], clients, self.options.seconds) for clients in (1, 2)]

    def sequential(self):
        self.conn.execute('ALTER DATABASE postgres SET enable_indexscan = off')
        figures = {'label': 'sequential scan'}
        queries = max(3, min(50, SEQUENTIAL_TOKENS // self.loaded['tokens']))
        with Step('sequential scan'):
            for kind in KINDS:
                path = os.path.join(self.folder, 'sequential.queries')
                write_queries(path, [query for query, _ in thinned(self.sample(kind), queries)])
                figures[kind] = {**latency(ask(path, queries)), 'recall': 1.}
        self.conn.execute('ALTER DATABASE postgres RESET enable_indexscan')
        self.rows['sequential'] = figures

    # Inserts

    def more_documents(self, first, count):
        """Return count documents that the table does not contain, starting with number first."""
        per, found = self.source.per_chunk, []
        for chunk in range(first // per, (first + count - 1) // per + 1):
            found += data.documents_of(*self.source.chunk(data.EXTRA_CHUNKS + chunk))
        return found[first % per:][:count]

    def remove_inserted(self):
        with Step('inserted documents: removed'):
            self.conn.execute(f'DELETE FROM passages WHERE id > {self.source.documents}')
            self.conn.execute('VACUUM passages')

    def insert_while_searching(self, kind, first, alone):
        """Return the latency at rest, the latency during inserts, and the inserted documents per second."""
        documents = self.more_documents(first, self.options.inserts)
        seconds = .7 * len(documents) / alone
        client = Client(self.paths[kind], seconds=seconds)
        client.begin()
        resting = client.times()
        client = Client(self.paths[kind], first=71, seconds=seconds)
        inserter = Inserter(documents, self.source.documents + 1 + first)
        client.begin()
        meanwhile = client.times()
        count, taken = inserter.finish(now=True)
        return {'resting': latency(resting), 'meanwhile': latency(meanwhile), 'rate': count / taken}

    def inserts_without_index(self):
        """Measure inserts into the table while it has no valid index, and remove the inserted documents again."""
        show_only(self.conn, '', others_are_kept=False)
        with Step('no index: inserts') as step:
            inserted, taken = Inserter(self.more_documents(0, self.options.inserts), self.source.documents + 1).finish()
            self.plain_inserts = inserted / taken
            step.result = f'{self.plain_inserts:,.0f} per s'
        self.remove_inserted()
        self.show_only(None)

    def inserts(self, method):
        """Measure inserts into this index alone, and remove the inserted documents again."""
        label, count = METHODS[method][0], self.options.inserts
        self.show_only(method, others_are_kept=False)
        with Step(f'{label}: inserts') as step:
            inserted, taken = Inserter(self.more_documents(0, count), self.source.documents + 1).finish()
            self.conn.execute(f"SELECT colbert_merge('{index_name(method)}')")
            figures = {'documents': inserted, 'rate': inserted / taken}
            for number, kind in enumerate(KINDS, 1):
                step.detail = f'while searching, {kind}'
                figures[kind] = self.insert_while_searching(kind, number * count, figures['rate'])
                self.conn.execute(f"SELECT colbert_merge('{index_name(method)}')")
        self.remove_inserted()
        self.show_only(method)
        self.rows[method]['insert'] = figures
        built = fact(self.conn, index_name(method))
        built['inserted'] += count * (1 + len(KINDS))
        set_fact(self.conn, index_name(method), built)

    def method(self, method):
        self.build(method)
        self.settle(method)
        parts = self.options.parts
        for part, work in (('latency', self.measure), ('clients', self.rates), ('inserts', self.inserts)):
            if part in parts:
                work(method)
        self.unsettle(method)

    def one_token_a_node(self):
        """Measure one node per token, the classical recipe. The index is dropped afterwards because of its size."""
        self.build('tokens')
        self.settle('tokens')
        self.measure('tokens')
        self.unsettle('tokens')
        self.conn.execute(f"DROP INDEX {index_name('tokens')}")


def kernel_times(copies):
    """Run this many copies of bench/kernels at once. Return {line and column: microseconds per document} for each."""
    those = [subprocess.Popen([KERNELS], stdout=subprocess.PIPE, text=True) for _ in range(copies)]
    tables = [process.communicate()[0].partition('random documents')[2] for process in those]
    return [{shape: float(time) for shape, time in re.findall(r'(\d+x\d+ +(?:sq8|sketch|float4)) +[\d.]+ +([\d.]+)\n', table)} for table in tables]


def kernel_scaling():
    """Return (scaling, kernel_times of one copy). The scaling is that of two concurrent bench/kernels over one, on documents outside the
    cache; it bounds the scaling of two clients."""
    with Step('bench/kernels, alone and two at once') as step:
        alone, both = kernel_times(1)[0], kernel_times(2)
        scaling = statistics.mean(sum(alone[line] / times[line] for times in both) for line in alone)
        step.result = f'{scaling:.2f} times'
    return scaling, alone
