"""Python bindings of score.c."""
import ctypes, os
import numpy as np
from shard.data import DIMS, ROOT

LIBRARY = os.path.join(ROOT, 'build', 'bench', 'libshard_score.so')
library = ctypes.CDLL(LIBRARY)
library.score_query.restype = library.score_flat.restype = library.score_flat_rows.restype = ctypes.c_void_p
library.score_slots.restype = ctypes.c_uint32
library.score_union.restype = ctypes.c_int64


def address(array):
    return ctypes.c_void_p(array.ctypes.data)


class Union(ctypes.Structure):
    """The struct of the same name in score.c."""
    _fields_ = [('query', ctypes.c_void_p), ('tokens', ctypes.c_void_p), ('scores', ctypes.c_void_p), ('docs', ctypes.c_void_p),
                ('ntokens', ctypes.c_int64), ('nquery', ctypes.c_uint32), ('k', ctypes.c_int32)]


class Sample:
    """Many queries, scored together."""

    def __init__(self, queries):
        """queries: [(kind, id, tokens)]"""
        self.names = [(kind, id) for kind, id, _ in queries]
        tokens = np.ascontiguousarray(np.concatenate([tokens for _, _, tokens in queries]), np.float32)
        self.tokens = len(tokens)
        self.starts = np.concatenate([[0], np.cumsum([len(tokens) for _, _, tokens in queries])[:-1]])
        self.query = ctypes.c_void_p(library.score_query(address(tokens), ctypes.c_uint32(len(tokens))))
        self.slots = library.score_slots(self.query)

    def scores(self, halves, lengths):
        """Return scores with one row per document and one column per query."""
        keys, lengths = np.empty((len(lengths), self.slots), np.float32), lengths.astype(np.int64)
        library.score_documents(self.query, address(halves), address(lengths), ctypes.c_int64(len(lengths)), ctypes.c_int64(int(lengths.max())), address(keys))
        return np.add.reduceat(keys[:, :self.tokens], self.starts, axis=1)


class Flat:
    """All documents as floats in memory, as the recipes score them."""

    def __init__(self, halves, lengths):
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.flat = ctypes.c_void_p(library.score_flat(address(halves), address(starts), ctypes.c_int64(len(lengths))))
        self.rows = np.ctypeslib.as_array(ctypes.cast(library.score_flat_rows(self.flat), ctypes.POINTER(ctypes.c_float)), (int(starts[-1]), DIMS))

    def best(self, query, tokens, k=10):
        """Return the k best documents among those of the given tokens: (scores, documents counted from 0, number of scored documents)."""
        scores, docs = np.empty(k, np.float64), np.empty(k, np.int32)
        request = Union(address(query), address(tokens), address(scores), address(docs), tokens.size, len(query), k)
        count = library.score_union(self.flat, ctypes.byref(request))
        return scores, docs, count
