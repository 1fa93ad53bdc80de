"""Documents and queries: MedQuAD itself, or any number of documents resampled from it.

A resampled passage takes half of the tokens of each of two real ones; a page joins whole passages until it has PAGE_TOKENS. Each token gets
normal noise of NOISE per dim, is normalised again, and is rounded to half precision. Documents are generated in chunks, each with its own
seed, so that a document's number determines it, whatever the table size and the number of processes.
"""
import os, struct
import numpy as np
import copybinary as cb
import medquad_db as db
from medquad_db import FILES, ROOT

DIMS, REAL = 128, 16373
NOISE, QUERY_NOISE, SEED = .05, .06, 820000
PAGE_TOKENS = 1030
CHUNK = {'passages': 1000, 'pages': 100}        # documents per chunk
LONG = {'passages': 0, 'pages': 20}             # minimum tokens per long query
EXTRA_CHUNKS = 10 ** 6      # chunks from this number on belong to the insert test
COPY_START, COPY_END = b'PGCOPY\n\xff\r\n\0' + struct.pack('!ii', 0, 0), struct.pack('!h', -1)


def rows_of(path):
    """Yield the fields of each row of a file for COPY (FORMAT binary)."""
    with open(path, 'rb') as f:
        data = memoryview(f.read())
    at = len(COPY_START)
    while (nfields := struct.unpack_from('!h', data, at)[0]) >= 0:
        at, fields = at + 2, []
        for _ in range(nfields):
            size = struct.unpack_from('!i', data, at)[0]
            fields.append(data[at + 4:at + 4 + size])
            at += 4 + size
        yield fields


def normalised(x):
    x /= np.sqrt(np.einsum('ij,ij->i', x, x))[:, None]
    return x


class Medquad:
    """The tokens of all real passages in one array, and the real questions with their tokens and best passages."""

    def __init__(self):
        docs = [cb.tokens_of(fields[3]) for fields in rows_of(os.path.join(FILES, 'passages.bin'))]
        self.lengths = np.array([len(doc) for doc in docs])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.halves = np.concatenate(docs)
        self.floats = self.halves.astype(np.float32)
        self.best = {int.from_bytes(q, 'big'): int.from_bytes(p, 'big') - 1
                     for q, rank, p in rows_of(os.path.join(FILES, 'exact.bin')) if int.from_bytes(rank, 'big') == 1}
        self.questions = [(int.from_bytes(f[0], 'big'), cb.tokens_of(f[3]), cb.tokens_of(f[4])) for f in rows_of(os.path.join(FILES, 'questions.bin'))]

    def queries(self, shape):
        """
        Return {kind: [(id, tokens)]}. Long queries are those of the collection, which are filled up with noisy tokens of the question's best
        real passage; for pages, some more of these are added to short ones.
        """
        rng, long = np.random.default_rng(SEED), []
        for id, _, tokens in self.questions:
            more = max(LONG[shape] - len(tokens), 0)
            passage = self.floats[self.starts[self.best[id]]:self.starts[self.best[id] + 1]]
            noisy = passage[rng.integers(len(passage), size=more)] + rng.normal(0, QUERY_NOISE, (more, DIMS)).astype(np.float32)
            long.append((id, np.concatenate([tokens, normalised(noisy)])))
        return {'short': [(id, tokens) for id, tokens, _ in self.questions], 'long': long}


class Source:
    """A source of documents in chunks. A chunk is (half-precision tokens of all its documents, number of tokens of each)."""

    def __init__(self, medquad, shape, documents):
        self.medquad, self.shape, self.documents = medquad, shape, documents
        self.real = shape == 'passages' and documents == REAL
        self.per_chunk = CHUNK[shape]
        self.chunks = -(-documents // self.per_chunk)

    def describe(self):
        if self.real:
            return db.TITLE
        return f'{db.TITLE}, resampled: ' + ('two halves of passages' if self.shape == 'passages' else f'passages joined to {PAGE_TOKENS:,} tokens') + f', noise {NOISE}'

    def first(self, chunk):
        """Return the id of the chunk's first document."""
        return chunk * self.per_chunk + 1

    def count(self, chunk):
        return self.per_chunk if chunk >= self.chunks else min(self.per_chunk, self.documents - chunk * self.per_chunk)

    def chunk(self, chunk):
        medquad, count = self.medquad, self.count(chunk)
        if self.real and chunk < self.chunks:
            first = chunk * self.per_chunk
            return medquad.halves[medquad.starts[first]:medquad.starts[first + count]], medquad.lengths[first:first + count]
        rng = np.random.Generator(np.random.SFC64([SEED, self.per_chunk, chunk]))
        picked = [self.passage(rng) if self.shape == 'passages' else self.page(rng) for _ in range(count)]
        x = medquad.floats[np.concatenate(picked)]
        noise = rng.standard_normal(x.shape, dtype=np.float32)
        noise *= NOISE
        x += noise
        return normalised(x).astype(np.float16), np.array([len(tokens) for tokens in picked])

    def passage(self, rng):
        """Choose the tokens of a new passage: half of the tokens of each of two real ones."""
        first = rng.integers(REAL)
        pair = (first, (first + 1 + rng.integers(REAL - 1)) % REAL)
        lengths = [self.medquad.lengths[doc] for doc in pair]
        halves = ((lengths[0] + 1) // 2, max(lengths[1] // 2, 1))
        return np.concatenate([self.medquad.starts[doc] + np.sort(rng.permutation(length)[:half]) for doc, length, half in zip(pair, lengths, halves)])

    def page(self, rng):
        tokens, total = [], 0
        while total < PAGE_TOKENS:
            doc = rng.integers(REAL)
            tokens.append(np.arange(self.medquad.starts[doc], self.medquad.starts[doc + 1]))
            total += len(tokens[-1])
        return np.concatenate(tokens)[:PAGE_TOKENS]


def documents_of(tokens, lengths):
    ends = np.cumsum(lengths)
    return [tokens[end - length:end] for end, length in zip(ends, lengths)]


def copy_rows(first, documents):
    """Return rows (id int, doc multivector) for COPY BINARY, with documents numbered from first."""
    parts = []
    for id, doc in enumerate(documents, first):
        value = cb.multivector(doc, 'float2')
        parts += [struct.pack('!hiii', 2, 4, id, len(value)), value]
    return b''.join(parts)
