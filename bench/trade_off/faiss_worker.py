"""Run the token-level part of a search in FAISS, in a separate process on one thread (json_worker.py). --processor: count CPU time.

Tokens, documents and queries come from the server of PGHOST. The coarse quantizer is trained, and tokens are assigned, only once for all
codecs.
"""
import gc, os, statistics, sys, time
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, 'tools'), os.path.join(ROOT, 'bench')]
import faiss
import numpy as np
import copybinary as cb
import medquad_db as db
from json_worker import serve

METRICS = {'ip': faiss.METRIC_INNER_PRODUCT, 'l2': faiss.METRIC_L2}
ID_BYTES = 8
now = time.process_time if '--processor' in sys.argv else time.perf_counter
ASSIGN_CHUNK = 65536


def tokens_of(value):
    """Return the tokens of a binary multivector as a float32 matrix."""
    return cb.tokens_of(value).astype(np.float32)


def seconds(work):
    start = now()
    result = work()
    return now() - start, result


def peak_bytes():
    with open('/proc/self/status') as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith('VmHWM'))


def reset_peak():
    gc.collect()
    with open('/proc/self/clear_refs', 'w') as f:
        f.write('5')


class Worker:
    def __init__(self):
        faiss.omp_set_num_threads(1)
        self.index = self.quantizer = None

    def probe(self):
        """Time a small search, for the choice of OPENBLAS_CORETYPE."""
        x = np.random.default_rng(1).random((8192, 128), dtype=np.float32)
        flat = faiss.IndexFlatIP(128)
        flat.add(x)
        flat.search(x[:512], 1)
        return {'seconds': min(seconds(lambda: flat.search(x, 1))[0] for _ in range(3))}

    def load(self, documents, metric):
        """Load the documents. documents: a statement that returns (id, multivector)."""
        self.metric = METRICS[metric]
        with db.connect() as conn:
            rows = db.all_of(conn, documents)
        parts = [tokens_of(value) for _, value in rows]
        self.doc = np.repeat([id for id, _ in rows], [len(part) for part in parts])
        self.x = np.concatenate(parts)
        self.queries = {}
        return {'tokens': len(self.x), 'dims': self.x.shape[1]}

    def ask(self, name, queries, truth):
        """Load queries. queries: a statement that returns (id, multivector). truth: {query id: [ids of the documents of the exact answer]}."""
        with db.connect() as conn:
            rows = db.all_of(conn, queries)
        self.queries[name] = [(tokens_of(value), truth[str(id)]) for id, value in rows if str(id) in truth]
        return {'queries': len(self.queries[name])}

    def coarse(self, lists, sample, iterations):
        """Train the coarse quantizer on a random sample, and assign all tokens to its lists."""
        d = self.x.shape[1]
        spherical = self.metric == faiss.METRIC_INNER_PRODUCT
        clustering = faiss.Clustering(d, lists)
        clustering.niter, clustering.spherical, clustering.seed = iterations, spherical, 1
        clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, len(self.x)
        picked = np.sort(np.random.default_rng(1).permutation(len(self.x))[:sample])
        self.quantizer = faiss.IndexFlatIP(d) if spherical else faiss.IndexFlatL2(d)
        reset_peak()
        train, _ = seconds(lambda: clustering.train(self.x[picked], self.quantizer))
        assign, self.lists = seconds(self.assign)
        return {'train': train, 'assign': assign, 'peak': peak_bytes(), 'sample': len(picked)}

    def assign(self):
        chunks = [self.quantizer.search(self.x[i:i + ASSIGN_CHUNK], 1)[1] for i in range(0, len(self.x), ASSIGN_CHUNK)]
        return np.concatenate(chunks).ravel()

    def make(self, codec, pq_m, pq_iterations):
        d, coarse = self.x.shape[1], (self.quantizer, self.x.shape[1], self.quantizer.ntotal if self.quantizer else 0)
        scalar = {'sq8': faiss.ScalarQuantizer.QT_8bit, 'sq4': faiss.ScalarQuantizer.QT_4bit}
        if codec == 'exact':
            return faiss.IndexFlat(d, self.metric)
        if codec == 'flat':
            return faiss.IndexIVFFlat(*coarse, self.metric)
        if codec == 'bit':
            return faiss.IndexIVFRaBitQ(*coarse, self.metric)
        if codec == 'pq':
            index = faiss.IndexIVFPQ(*coarse, pq_m, 8, self.metric)
            index.pq.cp.niter = pq_iterations
            return index
        return faiss.IndexIVFScalarQuantizer(*coarse, scalar[codec], self.metric)

    def build(self, codec, pq_m=0, pq_iterations=25):
        """Build an index: IndexFlat for codec exact, an IndexIVF over the coarse quantizer for any other."""
        self.index = None
        reset_peak()
        self.index = index = self.make(codec, pq_m, pq_iterations)
        if codec == 'exact':
            add, _ = seconds(lambda: index.add(self.x))
            return {'train': 0, 'add': add, 'bytes': self.x.shape[1] * 4, 'peak': peak_bytes()}
        train, _ = seconds(lambda: index.train(self.x))
        add, _ = seconds(self.add)
        return {'train': train, 'add': add, 'bytes': index.code_size + ID_BYTES, 'peak': peak_bytes()}

    def add(self):
        """Encode all tokens into the lists they are assigned to."""
        for i in range(0, len(self.x), ASSIGN_CHUNK):
            x, lists = self.x[i:i + ASSIGN_CHUNK], self.lists[i:i + ASSIGN_CHUNK]
            ids = np.arange(i, i + len(x))
            self.index.add_core(len(x), faiss.swig_ptr(x), faiss.swig_ptr(ids), faiss.swig_ptr(lists))

    def search(self, name, k, nprobe=1, n=None):
        """
        Find the k nearest tokens of each query token, and the set of their documents. Return the median milliseconds, and the fraction of
        the exact answer in the set. The time does not include exact scores of these documents.
        """
        if isinstance(self.index, faiss.IndexIVF):
            self.index.nprobe = nprobe
        times, shares, sizes = [], [], []
        queries = self.queries[name][:n]
        for tokens, _ in queries[:len(queries) // 2][:10]:
            self.index.search(tokens, k)
        for tokens, wanted in queries:
            start = now()
            found = np.unique(self.doc[self.index.search(tokens, k)[1].ravel()])
            times.append((now() - start) * 1000)
            shares.append(np.isin(wanted, found).mean())
            sizes.append(len(found))
        return {'ms': statistics.median(times), 'recall': float(np.mean(shares)), 'documents': float(np.mean(sizes))}


if __name__ == '__main__':
    serve(Worker())
