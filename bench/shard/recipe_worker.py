"""Run the recipes of in-memory libraries: hnswlib or FAISS finds the nearest tokens of each query token; the documents of all these tokens are
scored exactly.

Runs in a separate process and searches on one thread (json_worker.py). --processor: count CPU time. Documents are generated again from their
seeds; a built index is kept in a file.
"""
import ctypes, os, sys
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, 'tools'), os.path.join(ROOT, 'bench')]
import faiss
import numpy as np
from json_worker import serve
from shard import data
from shard.scorer import Flat, address
from trade_off.faiss_worker import seconds

HNSW = os.path.join(ROOT, 'build', 'bench', 'libshard_hnsw.so')
WARM = 30
TOLERANCE = 1e-6    # for sums in a different order


class Worker:
    def load(self, shape, documents, sample):
        """sample: {kind: [[query id, exact tenth score]]}"""
        medquad = data.Medquad()
        source = data.Source(medquad, shape, documents)
        chunks = [source.chunk(chunk) for chunk in range(source.chunks)]
        self.flat = Flat(np.concatenate([tokens for tokens, _ in chunks]), np.concatenate([lengths for _, lengths in chunks]))
        self.queries = {}
        for kind, queries in medquad.queries(shape).items():
            tokens = dict(queries)
            self.queries[kind] = [(np.ascontiguousarray(tokens[id], np.float32), tenth) for id, tenth in sample[kind]]
        return {'tokens': len(self.flat.rows)}

    def hnsw(self, path, m, ef_construction, threads):
        library = ctypes.CDLL(HNSW)
        library.hnsw_build.restype = library.hnsw_load.restype = ctypes.c_void_p
        taken = None
        if os.path.exists(path):
            graph = ctypes.c_void_p(library.hnsw_load(path.encode()))
        else:
            taken, graph = seconds(lambda: ctypes.c_void_p(library.hnsw_build(address(self.flat.rows), ctypes.c_int64(len(self.flat.rows)), m, ef_construction, threads)))
            library.hnsw_save(graph, (path + '.part').encode())
            os.rename(path + '.part', path)

        def nearest(query, k, ef):
            tokens = np.empty(len(query) * k, np.int64)
            library.hnsw_search(graph, address(query), ctypes.c_uint32(len(query)), k, ef, address(tokens))
            return tokens

        self.nearest = nearest
        return {'seconds': taken, 'bytes': os.path.getsize(path) / len(self.flat.rows)}

    def faiss(self, path, description, threads):
        taken = None
        if os.path.exists(path):
            index = faiss.read_index(path)
        else:
            faiss.omp_set_num_threads(threads)
            index = faiss.index_factory(data.DIMS, description, faiss.METRIC_INNER_PRODUCT)
            taken, _ = seconds(lambda: (index.train(self.flat.rows), index.add(self.flat.rows)))
            faiss.write_index(index, path + '.part')
            os.rename(path + '.part', path)
        faiss.omp_set_num_threads(1)

        def nearest(query, k, nprobe):
            index.nprobe = nprobe
            return np.ascontiguousarray(index.search(query, k)[1]).ravel()

        self.nearest = nearest
        return {'seconds': taken, 'bytes': os.path.getsize(path) / len(self.flat.rows)}

    def search(self, kind, k, width):
        """Return the milliseconds of each query, recall@10, and the average number of scored documents. width: ef or nprobe."""
        queries, times, good, united = self.queries[kind], [], 0, 0
        for query, _ in queries[:WARM]:
            self.flat.best(query, self.nearest(query, k, width))
        for query, tenth in queries:
            taken, (scores, _, count) = seconds(lambda: self.flat.best(query, self.nearest(query, k, width)))
            times.append(taken * 1000)
            good += int((scores >= tenth - TOLERANCE).sum())
            united += count
        return {'times': times, 'recall': good / (10 * len(queries)), 'documents': united / len(queries)}


if __name__ == '__main__':
    serve(Worker())
