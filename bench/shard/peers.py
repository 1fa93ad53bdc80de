"""Measure the recipes of hnswlib and FAISS with increasingly expensive settings, and find the cheapest that reach our recall."""
import os
from progress import Step
from shard import data
from shard.ours import KINDS, latency
from shard.server import GB, memory
from trade_off import faiss_side

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'recipe_worker.py')
M, EF_CONSTRUCTION = 16, 200
FLAT_BYTES = 6 * data.DIMS      # per token: the floats, and the halves they are converted from
HNSW_BYTES = 4 * data.DIMS + 150
HNSW_SETTINGS = ((25, 25), (50, 50), (50, 100), (100, 100), (100, 200), (200, 200), (200, 400), (400, 400), (800, 800))     # K, ef
FAISS = {'PQ32': 40, 'SQ8': 136}    # bytes per token
FAISS_SETTINGS = tuple((k, nprobe) for k in (25, 50, 100, 200, 400) for nprobe in (2, 4, 8, 16, 32, 64))     # K, nprobe
ROOM = .85      # fraction of the memory that may be used


class Peers:
    """A process that generates the documents again as floats in memory. rows: [{label, build, bytes, kind: [figures per setting]}]."""

    def __init__(self, conn, source, options):
        self.source, self.folder, self.processor = source, options.data, options.processor
        self.tokens = conn.execute('SELECT sum(tokens)::bigint FROM bench_chunks').fetchone()[0]
        rows = conn.execute('SELECT kind, id, tenth FROM bench_exact ORDER BY kind, id').fetchall()
        self.sample = {kind: [[id, tenth] for name, id, tenth in rows if name == kind] for kind in KINDS}
        self.rows, self.skipped, self.worker = [], [], None

    def fits(self, label, bytes_a_token):
        wanted = self.tokens * (FLAT_BYTES + bytes_a_token)
        if wanted > ROOM * memory():
            self.skipped.append((label, f'skipped: it needs {wanted / GB:.0f} GB of memory; this machine has {memory() / GB:.0f}'))
        return wanted <= ROOM * memory()

    def start(self):
        if self.worker:
            return
        with Step('OPENBLAS_CORETYPE for FAISS') as step:
            core_type, times = faiss_side.fastest_core_type()
            step.result = ', '.join(f"{name or 'unset'} {seconds:.3f} s" for name, seconds in times.items())
        self.worker = faiss_side.Faiss(core_type, self.processor, WORKER)
        with Step('recipes: documents in memory'):
            self.worker.do('load', shape=self.source.shape, documents=self.source.documents, sample=self.sample)

    def stop(self):
        if self.worker:
            self.worker.__exit__()

    def path(self, name):
        return os.path.join(self.folder, name)

    def sweep(self, label, widths, settings, built):
        row = {'label': label, 'build': built['seconds'], 'bytes': built['bytes']}
        with Step(f'{label}: queries') as step:
            for kind in KINDS:
                row[kind] = []
                for k, width in settings:
                    step.detail = f'{kind}, K = {k}, {widths} = {width}'
                    found = self.worker.do('search', kind=kind, k=k, width=width)
                    row[kind].append({'setting': f'K={k} {widths}={width}', **latency(found.pop('times')), **found})
        self.rows.append(row)

    def hnswlib(self):
        label = f'hnswlib M={M} efc={EF_CONSTRUCTION}'
        if not self.fits(label, HNSW_BYTES):
            return
        self.start()
        with Step(f'{label}: build'):
            built = self.worker.do('hnsw', path=self.path('hnswlib.index'), m=M, ef_construction=EF_CONSTRUCTION, threads=os.cpu_count())
        self.sweep(label, 'ef', HNSW_SETTINGS, built)

    def faiss(self):
        for codec, size in FAISS.items():
            label = f'FAISS IVF4096,{codec}'
            if not self.fits(label, size):
                continue
            self.start()
            with Step(f'{label}: build'):
                built = self.worker.do('faiss', path=self.path(f'faiss-{codec}.index'), description=f'IVF4096,{codec}', threads=os.cpu_count())
            self.sweep(label, 'nprobe', FAISS_SETTINGS, built)


def at_recall(points, recall):
    """Return the cheapest setting that reaches a recall, or else the one with the highest recall."""
    reaching = [point for point in points if point['recall'] >= recall - 1e-9]
    return min(reaching, key=lambda point: point['avg']) if reaching else max(points, key=lambda point: point['recall'])
