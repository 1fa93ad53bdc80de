"""Time FAISS's k-means on one thread, as build_timing (timing.c) times ours: faiss_kmeans.py FILE DIM LISTS POINTS ITERATIONS

It runs flat Lloyd iterations over the same points and then assigns all tokens by exhaustive search. Times are CPU times.
"""
import json, sys, time
import faiss
import numpy as np

CHUNK = 65536


def main(path, dim, lists, points, iterations):
    faiss.omp_set_num_threads(1)
    tokens = np.fromfile(path, '<f2').reshape(-1, dim)
    points = min(points, len(tokens))
    sample = tokens[np.arange(points) * len(tokens) // points].astype(np.float32)
    clustering = faiss.Clustering(dim, lists)
    clustering.niter, clustering.seed = iterations, 1
    clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, points
    quantizer = faiss.IndexFlatL2(dim)
    start = time.process_time()
    clustering.train(sample, quantizer)
    between, distance = time.process_time(), 0.0
    for i in range(0, len(tokens), CHUNK):
        distance += float(quantizer.search(tokens[i:i + CHUNK].astype(np.float32), 1)[0].sum(dtype=np.float64))
    print(json.dumps({'train': between - start, 'assign': time.process_time() - between, 'distance': distance / len(tokens), 'lists': lists}))


if __name__ == '__main__':
    main(sys.argv[1], *map(int, sys.argv[2:6]))
