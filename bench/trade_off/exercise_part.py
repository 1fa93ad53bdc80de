"""The first exercise of a course on vector search, in SQL and in FAISS: nearest neighbours among random vectors by L2, with three indexes.

A vector is a document of one token. Random vectors have no structure that lists or codes could use: this is the hardest case, not a typical
one.
"""
import os, statistics
import numpy as np
import copybinary as cb
import medquad_db as db
from progress import Step
from trade_off.watch import create_index

DIMS, NEAREST, LISTS, PQ_M = 64, 4, 100, 8
NPROBES = (1, 10, 30)
WARM = 20
WIDE_RERANK = 1024
SELECT = f'SELECT id, doc <-> $1 FROM vectors ORDER BY doc <-> $1 LIMIT {NEAREST}'
INDEXES = (     # FAISS's name, our options, arguments of FAISS's build
    ('IndexIVFFlat nlist=100', f'lists = {LISTS}, quantizer = flat', {'codec': 'flat'}),
    ('IndexIVFPQ nlist=100 m=8', f'lists = {LISTS}, quantizer = pq, pq_m = {PQ_M}', {'codec': 'pq', 'pq_m': PQ_M}),
)


def write(path, vectors):
    with cb.Writer(path) as out:
        for id, vector in enumerate(vectors, 1):
            out.row(cb.int4(id), cb.multivector(vector.reshape(1, -1)))


class ExercisePart:
    def __init__(self, conn, options):
        self.conn, self.clock = conn, options.clock
        random = np.random.default_rng(1234)
        self.tables = {'vectors': random.random((options.vectors, DIMS), dtype=np.float32),
                       'vector_queries': random.random((options.vector_queries, DIMS), dtype=np.float32)}
        self.rows = []

    def load(self):
        folder = os.path.join(db.ROOT, 'build', 'trade-off')
        os.makedirs(folder, exist_ok=True)
        with Step(f"{len(self.tables['vectors']):,} random vectors: load"):
            for table, vectors in self.tables.items():
                path = os.path.join(folder, table + '.bin')
                write(path, vectors)
                self.conn.execute(f'CREATE TABLE {table} (id int PRIMARY KEY, doc multivector({DIMS}))')
                with open(path, 'rb') as file, self.conn.cursor().copy(f'COPY {table} FROM STDIN (FORMAT binary)') as copy:
                    while block := file.read(1 << 20):
                        copy.write(block)
                os.remove(path)
            self.conn.execute('VACUUM ANALYZE vectors')
        self.queries = db.all_of(self.conn, 'SELECT id, doc FROM vector_queries ORDER BY id')

    def ask(self):
        """Return the median milliseconds and the ids that each query finds."""
        asker = db.Asker(self.conn, SELECT)
        asker.timed(self.queries[:WARM])
        times, answers = self.clock.ask(asker, self.queries)
        return statistics.median(times), [[id for id, _ in answer] for answer in answers]

    def recall(self, found):
        return statistics.mean(len(set(ids) & set(exact)) / NEAREST for ids, exact in zip(found, self.exact))

    def flat(self, faiss):
        with Step('no index, and IndexFlatL2'):
            ms, self.exact = self.ask()
            self.rows.append({'index': 'IndexFlatL2', 'nprobe': None, 'ours': {'build': None, 'ms': ms, 'recall': 1.0},
                              'faiss': self.faiss_flat(faiss) if faiss else None})

    def faiss_flat(self, faiss):
        faiss.do('load', documents='SELECT id, doc FROM vectors ORDER BY id', metric='l2')
        truth = {id: exact for (id, _), exact in zip(self.queries, self.exact)}
        faiss.do('ask', name='vectors', queries='SELECT id, doc FROM vector_queries ORDER BY id', truth=truth)
        build = faiss.do('build', codec='exact')
        return {'build': build['add'], **faiss.do('search', name='vectors', k=NEAREST)}

    def search(self, probes, candidates=0, rerank=0):
        self.conn.execute(f'SET colbert.probes = {probes}; SET colbert.candidates = {candidates}; SET colbert.rerank = {rerank}')
        ms, found = self.ask()
        scan = self.conn.execute('SELECT narrowed, reranked, fetched FROM colbert_last_scan()').fetchone()
        return {'ms': ms, 'recall': self.recall(found), 'scan': scan}

    def inverted(self, faiss, label, options, arguments):
        with Step(label) as step:
            seconds, phases, _ = create_index(self.conn, f'CREATE INDEX vectors_index ON vectors USING colbert_ivf (doc multivector_l2_ops) WITH ({options})', step, self.clock)
            build = faiss.do('build', **arguments) if faiss else None
            for nprobe in NPROBES:
                # All documents of the probed lists, and half as many again because some lists are
                # longer
                wide = {'candidates': nprobe * len(self.tables['vectors']) * 3 // (2 * LISTS), 'rerank': WIDE_RERANK}
                row = {'index': label, 'nprobe': nprobe, 'ours': {'build': seconds, 'phases': phases, **self.search(nprobe)},
                       'wide': {**wide, **self.search(nprobe, **wide)}}
                row['faiss'] = {'build': self.coarse['train'] + self.coarse['assign'] + build['train'] + build['add'],
                                **faiss.do('search', name='vectors', k=NEAREST, nprobe=nprobe)} if faiss else None
                self.rows.append(row)
            self.conn.execute('DROP INDEX vectors_index')

    def measure(self, faiss):
        self.flat(faiss)
        if faiss:
            with Step(f'FAISS: train, {LISTS} lists'):
                # FAISS's own defaults: 25 iterations, and all points if there are fewer than 256
                # per list
                self.coarse = faiss.do('coarse', lists=LISTS, sample=256 * LISTS, iterations=25)
        for index in INDEXES:
            self.inverted(faiss, *index)
