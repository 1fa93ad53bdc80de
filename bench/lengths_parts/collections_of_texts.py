"""The collections of bench/lengths: documents, questions, and queries of n tokens of one topic.

A collection is encoded once and kept under build/lengths.
"""
import json, lzma, os, subprocess, sys
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(ROOT, 'build', 'lengths')
NEURAL = os.path.join(ROOT, 'build', 'neural', 'bin', 'python')
LENGTHS = (1, 2, 3, 4, 5, 8, 16, 32)
NOISE, SEED = .06, 20190000
LONG_DOCUMENTS = 3600       # of the collection of long documents
RANDOM_SHAPE = 10000, 32, 128   # documents, tokens of each, dims
CHUNK_BYTES = 2**27         # similarities at a time


class Tokens:
    """Texts as tokens: text i owns rows offsets[i] to offsets[i + 1]."""

    def __init__(self, rows, offsets):
        self.rows, self.offsets = rows, np.asarray(offsets, np.int64)

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, i):
        return self.rows[self.offsets[i]:self.offsets[i + 1]]


class Collection:
    def __init__(self, name, passages, questions):
        self.name, self.passages, self.questions = name, passages, questions


def read_texts(dataset, name):
    with lzma.open(os.path.join(ROOT, 'data', dataset, f'{name}.jsonl.xz'), 'rt') as f:
        records = [json.loads(line) for line in f]
    return [' '.join(filter(None, (r.get('title'), r['text']))) for r in records]


def evenly(items, n):
    """n items, or all where there are fewer, evenly over all of them."""
    n = min(n, len(items))
    return [items[i * len(items) // n] for i in range(n)]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ---- where tokens come from ----

def load_medquad():
    """By the demo's encoder: data/medquad/encode.py writes arrays."""
    folder = os.path.join(CACHE, 'medquad')
    if not os.path.exists(os.path.join(folder, 'query_ids.json')):
        for kind in 'docs', 'queries':
            subprocess.run([sys.executable, os.path.join(ROOT, 'data', 'medquad', 'encode.py'), kind, folder], check=True, stdout=subprocess.DEVNULL)
    array = lambda name: np.load(os.path.join(folder, name + '.npy'))
    return (Tokens(array('docs.f16'), array('doc_offsets')), Tokens(array('queries.f32'), array('query_offsets')))


def load_neural(dataset, npassages):
    """By a neural encoder (neural.py), which takes .05 s per passage."""
    passages, questions = (evenly(read_texts(dataset, name), n) for name, n in (('corpus', npassages), ('queries', 1000)))
    passages = [text for text in passages if text.strip()]
    stem = os.path.join(CACHE, f'{dataset}-neural-{len(passages)}')
    if not os.path.exists(stem + '.npz'):
        with open(stem + '.json', 'w') as f:
            json.dump({'passages': passages, 'questions': questions}, f)
        subprocess.run([NEURAL, os.path.join(ROOT, 'bench', 'lengths_parts', 'neural.py'), stem + '.json', stem + '.npz'], check=True, stdout=subprocess.DEVNULL)
    arrays = np.load(stem + '.npz')
    return Tokens(arrays['passages'], arrays['passage_offsets']), Tokens(arrays['questions'], arrays['question_offsets'])


# ---- collections ----

def medquad(options):
    return load_medquad()


def long_documents(options):
    """Neighbouring passages of MedQuAD joined: long documents in which a word has nearly one vector."""
    passages, questions = load_medquad()
    cuts = [i * len(passages) // LONG_DOCUMENTS for i in range(LONG_DOCUMENTS + 1)]
    return Tokens(passages.rows, passages.offsets[cuts]), questions


def medquad_neural(options):
    return load_neural('medquad', options.neural)


def cranfield_neural(options):
    return load_neural('cranfield', options.neural)


def random_vectors(options):
    """Nothing to find by: neither lists nor questions say anything. Every query token is a noisy one of its best passage."""
    n, length, dim = RANDOM_SHAPE
    rows = unit(np.random.RandomState(SEED).normal(size=(n * length, dim)).astype(np.float32)).astype(np.float16)
    return Tokens(rows, np.arange(n + 1) * length), Tokens(np.zeros((0, dim), np.float32), np.zeros(options.queries + 1))


COLLECTIONS = {     # name: (how to load it, needs the neural encoder)
    'medquad': (medquad, False),
    'long': (long_documents, False),
    'medquad-neural': (medquad_neural, True),
    'cranfield-neural': (cranfield_neural, True),
    'random': (random_vectors, False),
}


def load(name, options):
    os.makedirs(CACHE, exist_ok=True)
    return Collection(name, *COLLECTIONS[name][0](options))


# ---- queries and their exact answers ----

def best_similarities(passages, queries):
    """Exact, by numpy in float4: for each query (tokens x dims) an array of documents x tokens, the best similarity of each."""
    cuts, all_tokens = np.cumsum([len(q) for q in queries])[:-1], np.concatenate(queries).astype(np.float32).T
    per_chunk, out = max(1, int(CHUNK_BYTES / 4 / all_tokens.shape[1] * len(passages) / len(passages.rows))), []
    for first in range(0, len(passages), per_chunk):
        offsets = passages.offsets[first:first + per_chunk + 1]
        similarities = passages.rows[offsets[0]:offsets[-1]].astype(np.float32) @ all_tokens
        out.append(np.maximum.reduceat(similarities, offsets[:-1] - offsets[0], axis=0))
    return np.split(np.concatenate(out), cuts, axis=1)


def noisy(tokens, n, random):
    """n noisy tokens of a passage, none twice where it has enough."""
    picked = tokens[random.choice(len(tokens), n, replace=len(tokens) < n)].astype(np.float32)
    return unit(picked + random.normal(0, NOISE, picked.shape)).astype(np.float32)


def fill_up(question, passage, random):
    """A question's tokens, filled up to the greatest length with noisy ones of its best passage."""
    wanted = max(LENGTHS)
    if len(question) >= wanted:
        return question[:wanted]
    return np.concatenate([question, noisy(passage, wanted - len(question), random)])


def best_passages(collection, questions):
    """The passage that answers each question best; any one where questions have no tokens."""
    if len(questions[0]) == 0:
        return np.random.RandomState(SEED).randint(len(collection.passages), size=len(questions))
    return [int(similarities.sum(axis=1).argmax()) for similarities in best_similarities(collection.passages, questions)]


def queries(collection, n):
    """[(tokens, {length: least score of the exact ten})]: a query of some length is the first of its tokens."""
    chosen = evenly(range(len(collection.questions)), n)
    questions = [collection.questions[i].astype(np.float32) for i in chosen]
    made = [fill_up(question, collection.passages[best], np.random.RandomState(SEED + i))
            for i, question, best in zip(chosen, questions, best_passages(collection, questions))]
    out = []
    for query, similarities in zip(made, best_similarities(collection.passages, made)):
        scores = similarities.astype(np.float64).cumsum(axis=1)
        out.append((query, {length: float(np.partition(scores[:, length - 1], -10)[-10]) for length in LENGTHS}))
    return out
