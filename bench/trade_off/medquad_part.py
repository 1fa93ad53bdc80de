"""The table of a first course on vector search, on MedQuAD: cost and recall of each index type and codec."""
import os, statistics
import medquad_db as db
from progress import Step
from trade_off.watch import create_index

KINDS = ('short', 'long')
SEQUENTIAL = 10      # number of queries by sequential scan
PROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
NEAREST = {'short': 200, 'long': 50}    # tokens that FAISS finds per query token: enough for a recall of .95
ITERATIONS, POINTS_PER_LIST = 5, 32     # of our k-means; also used for FAISS
PQ_ITERATIONS = 12                      # of our codebooks; both sides train them on 65,536 points
DRAWN_OF_FAISS = ('flat', 'pq 32')
SELECT = 'SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT {}'
IVF = 'USING colbert_ivf (doc) WITH (lists = {lists}, quantizer = %s)'
CONFIGURATIONS = (  # label, name in the picture, index, arguments of FAISS's build
    ('IVF-Flat', 'flat', IVF % 'flat', {'codec': 'flat'}),
    ('IVF-SQ8', 'sq8', IVF % 'sq8', {'codec': 'sq8'}),
    ('IVF-SQ4', 'sq4', IVF % 'sq4', {'codec': 'sq4'}),
    ('IVF-PQ m=64', 'pq 64', IVF % 'pq, pq_m = 64', {'codec': 'pq', 'pq_m': 64, 'pq_iterations': PQ_ITERATIONS}),
    ('IVF-PQ m=32', 'pq 32', IVF % 'pq, pq_m = 32', {'codec': 'pq', 'pq_m': 32, 'pq_iterations': PQ_ITERATIONS}),
    ('IVF-PQ m=16', 'pq 16', IVF % 'pq, pq_m = 16', {'codec': 'pq', 'pq_m': 16, 'pq_iterations': PQ_ITERATIONS}),
    ('IVF, bit', 'bit', IVF % 'bit', {'codec': 'bit'}),
    ('colbert_hnsw, sq8', 'hnsw', 'USING colbert_hnsw (doc)', None),
)


class MedquadPart:
    def __init__(self, conn, options):
        self.conn, self.options = conn, options
        self.clock = options.clock
        self.queries = {kind: db.queries(conn, kind, n) for kind, n in (('short', options.short), ('long', options.long))}
        self.tokens = conn.execute('SELECT sum(num_tokens(doc)) FROM passages').fetchone()[0]
        self.lists, self.probes = options.lists, {}
        self.ours, self.theirs, self.coarse = [], [], None

    def set(self, **values):
        for name, value in values.items():
            self.conn.execute(f'SET {name.replace("__", ".")} = {value}')

    def exact(self):
        """
        Get the exact answers: the ids of the best ten, and the exact tenth and hundredth scores. For short queries over all passages they are
        part of the data set; otherwise a parallel sequential scan computes them.
        """
        self.set(enable_indexscan='off', max_parallel_workers_per_gather=os.cpu_count())
        self.truth, asker = {}, db.Asker(self.conn, SELECT.format(100))
        for kind in KINDS:
            if kind == 'short' and not self.options.quick:
                self.truth[kind] = self.known()
                continue
            with Step(f'exact answers, {kind} queries'):
                answers = asker.timed(self.queries[kind])[1]
            self.truth[kind] = {'ids': [[id for id, _ in answer[:10]] for answer in answers],
                                10: [answer[9][1] for answer in answers], 100: [answer[99][1] for answer in answers]}
        self.set(enable_indexscan='on', max_parallel_workers_per_gather=0)

    def known(self):
        best = {}
        for question, passage in self.conn.execute('SELECT question, passage FROM exact WHERE rank <= 10'):
            best.setdefault(question, []).append(passage)
        queries = self.queries['short']
        return {'ids': [best[id] for id, _ in queries], **{rank: db.scores_at(self.conn, 'short', queries, rank) for rank in (10, 100)}}

    def ask(self, kind, limit, n=None):
        """Return the median milliseconds and the recall of n queries, evenly spaced."""
        queries, exact = (thinned(values, n) for values in (self.queries[kind], self.truth[kind][limit]))
        asker = db.Asker(self.conn, SELECT.format(limit))
        asker.timed(queries[:len(queries) // 2][:50])
        times, answers = self.clock.ask(asker, queries)
        return {'ms': statistics.median(times), 'recall': db.recall(answers, exact, limit)}

    def sequential(self):
        self.set(enable_indexscan='off')
        with Step('Flat: sequential scan'):
            figures = {kind: {limit: self.ask(kind, limit, SEQUENTIAL) for limit in (10, 100)} for kind in KINDS}
        self.set(enable_indexscan='on')
        size = self.conn.execute("SELECT pg_table_size('passages')").fetchone()[0]
        self.ours.append({'label': 'Flat: no index', 'bytes': size / self.tokens, **figures})

    def sweep(self, kind):
        points = []
        for probes in PROBES:
            self.set(colbert__probes=probes)
            points.append({'probes': probes, **self.ask(kind, 10, self.options.swept)})
        self.set(colbert__probes=0)
        return points

    def configuration(self, label, name, index):
        with Step(f'{label}: build') as step:
            seconds, phases, peak = create_index(self.conn, f'CREATE INDEX passages_index ON passages {index.format(lists=self.lists)}', step, self.clock)
        size, nodes = self.conn.execute("SELECT pg_relation_size('passages_index'), nodes FROM colbert_index_info('passages_index')").fetchone()
        row = {'label': label, 'name': name, 'build': seconds, 'phases': phases, 'peak': peak, 'bytes': size / self.tokens, 'nodes': nodes}
        with Step(f'{label}: queries') as step:
            for kind in KINDS:
                step.detail = kind
                row[kind] = {limit: self.ask(kind, limit) for limit in (10, 100)}
                self.probes.setdefault(kind, self.conn.execute('SELECT probes FROM colbert_last_scan()').fetchone()[0])
            step.result = ', '.join(f"{kind} {row[kind][10]['ms']:.2f} ms {row[kind][10]['recall']:.3f}" for kind in KINDS)
        with Step(f'{label}: probes swept'):
            row['sweep'] = {kind: self.sweep(kind) for kind in KINDS}
        self.conn.execute('DROP INDEX passages_index')
        self.ours.append(row)
        if not self.lists and 'colbert_ivf' in index:
            self.lists = nodes

    def measure_ours(self):
        self.sequential()
        for label, name, index, _ in CONFIGURATIONS:
            if self.options.only in label:
                self.configuration(label, name, index)

    def measure_faiss(self, faiss):
        """Measure FAISS with the same tokens, lists, codecs, and k-means points and iterations. Recall is that of the documents before exact scoring."""
        with Step('FAISS: load'):
            faiss.do('load', documents='SELECT id, doc FROM passages ORDER BY id', metric='ip')
            for kind in KINDS:
                truth = dict(zip((id for id, _ in self.queries[kind]), self.truth[kind]['ids']))
                faiss.do('ask', name=kind, queries=f'SELECT id, {kind} FROM questions ORDER BY id', truth=truth)
        self.faiss_codec(faiss, 'Flat', None, {'codec': 'exact'})
        lists = self.lists or self.tokens // 64
        with Step(f'FAISS: train, {lists:,} lists') as step:
            self.coarse = faiss.do('coarse', lists=lists, sample=lists * POINTS_PER_LIST, iterations=ITERATIONS)
            step.result = f"train {self.coarse['train']:.1f} s, assign {self.coarse['assign']:.1f} s"
        for label, name, _, arguments in CONFIGURATIONS:
            if arguments and self.options.only in label:
                self.faiss_codec(faiss, label, name, arguments)

    def faiss_codec(self, faiss, label, name, arguments):
        with Step(f'FAISS, {label}'):
            row = {'label': label, 'name': name, **faiss.do('build', **arguments)}
            for kind in KINDS:
                asked = {'name': kind, 'k': NEAREST[kind]}
                row[kind] = faiss.do('search', nprobe=self.probes.get(kind, 16), n=None if name else SEQUENTIAL, **asked)
                if name in DRAWN_OF_FAISS:
                    row.setdefault('sweep', {})[kind] = [{'probes': probes, **faiss.do('search', nprobe=probes, n=self.options.swept, **asked)}
                                                         for probes in PROBES]
        self.theirs.append(row)

    def curves(self):
        """Return the curves of the picture: {kind: (ours, FAISS's)}."""
        swept = lambda rows: [row for row in rows if 'sweep' in row]
        return {kind: ([(row['name'], row['sweep'][kind], row[kind][10]) for row in swept(self.ours)],
                       [(row['name'], row['sweep'][kind]) for row in swept(self.theirs)]) for kind in KINDS}


def thinned(values, n):
    n = min(n or len(values), len(values))
    return [values[i * len(values) // n] for i in range(n)]
