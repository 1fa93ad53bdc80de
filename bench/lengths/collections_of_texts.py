"""The collections of bench/lengths: encoded documents and questions, and the exact similarities of both.

A collection is encoded once and kept under build/lengths.
"""
import hashlib, json, lzma, os, subprocess, sys
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(ROOT, 'build', 'lengths')
NEURAL = os.path.join(ROOT, 'bench', 'lengths', 'neural.py')
WEIGHTS = os.path.join(ROOT, 'clients', 'python', 'requirements-minilm.txt')
ENCODING = '1'              # counts changes of neural.py or of its encoder that change tokens: texts are then encoded again
LENGTHS = (1, 2, 3, 4, 5, 8, 16, 32)
NEURAL_DIMS, NEURAL_WINDOW = 128, 102   # of medquad-neural: dims, of 384, and tokens per text, of which 100 are its own
WINDOW = 256                # tokens per text of the neural encoder, as in the model's own settings
NOISE, SEED = .06, 20190000
LONG_DOCUMENTS = 3600       # in the collection of long documents
RANDOM_SHAPE = 10000, 32, 128   # documents, tokens per document, dims
RANDOM_QUESTIONS = 1000
CHUNK_BYTES = 2**27         # of similarities at a time


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
    """Return {id: text}."""
    with lzma.open(os.path.join(ROOT, 'data', dataset, f'{name}.jsonl.xz'), 'rt') as f:
        records = [json.loads(line) for line in f]
    return {r['id']: ' '.join(filter(None, (r.get('title'), r['text']))) for r in records}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ---- encoded texts ----

def load_medquad():
    """Load MedQuAD as encoded by the demo's encoder, data/medquad/encode.py, which writes arrays."""
    folder = os.path.join(CACHE, 'medquad')
    if not os.path.exists(os.path.join(folder, 'query_ids.json')):
        for kind in 'docs', 'queries':
            subprocess.run([sys.executable, os.path.join(ROOT, 'data', 'medquad', 'encode.py'), kind, folder], check=True, stdout=subprocess.DEVNULL)
    array = lambda name: np.load(os.path.join(folder, name + '.npy'))
    return (Tokens(array('docs.f16'), array('doc_offsets')), Tokens(array('queries.f32'), array('query_offsets')))


def neural_file(name, passages, questions, window=WINDOW, dims=None):
    """Return the file of these texts, cut at this many tokens, as encoded by neural.py in this Python or by an earlier call. dims: those to keep, by SVD."""
    texts = json.dumps({'window': window, 'dims': dims, 'passages': passages, 'questions': questions})
    digest = hashlib.sha256(texts.encode() + ENCODING.encode())
    with open(WEIGHTS, 'rb') as f:
        digest.update(f.read())
    os.makedirs(CACHE, exist_ok=True)
    stem = os.path.join(CACHE, f'{name}-neural-{len(passages)}-{digest.hexdigest()[:12]}')
    if not os.path.exists(stem + '.npz'):
        with open(stem + '.json', 'w') as f:
            f.write(texts)
        subprocess.run([sys.executable, NEURAL, stem + '.json', stem + '.npz'], check=True, stdout=subprocess.DEVNULL)
    return stem + '.npz'


def read_encoded(path):
    """Return the passages and the questions of a file of neural_file."""
    arrays = np.load(path)
    return Tokens(arrays['passages'], arrays['passage_offsets']), Tokens(arrays['questions'], arrays['question_offsets'])


def encode_neural(*arguments, **options):
    """Return the passages and the questions of neural_file of these arguments."""
    return read_encoded(neural_file(*arguments, **options))


def medquad_neural_file():
    """Return the file of all of MedQuAD by the neural encoder, the collection medquad-neural."""
    passages, questions = (list(read_texts('medquad', name).values()) for name in ('corpus', 'queries'))
    return neural_file('medquad', passages, questions, window=NEURAL_WINDOW, dims=NEURAL_DIMS)


# ---- collections ----

def medquad():
    return load_medquad()


def long_documents():
    """Join neighbouring passages of MedQuAD into long documents. Within one, the vectors of a word are nearly equal."""
    passages, questions = load_medquad()
    cuts = [i * len(passages) // LONG_DOCUMENTS for i in range(LONG_DOCUMENTS + 1)]
    return Tokens(passages.rows, passages.offsets[cuts]), questions


def medquad_neural():
    return read_encoded(medquad_neural_file())


def cranfield_neural():
    passages, questions = (list(read_texts('cranfield', name).values()) for name in ('corpus', 'queries'))
    return encode_neural('cranfield', [text for text in passages if text.strip()], questions)


def random_vectors():
    """Random vectors, the worst case for an index: lists have no meaning. Every query token is a noisy token of its best passage."""
    n, length, dim = RANDOM_SHAPE
    rows = unit(np.random.RandomState(SEED).normal(size=(n * length, dim)).astype(np.float32)).astype(np.float16)
    return Tokens(rows, np.arange(n + 1) * length), Tokens(np.zeros((0, dim), np.float32), np.zeros(RANDOM_QUESTIONS + 1))


COLLECTIONS = {     # name: (loader, needs the neural encoder)
    'medquad': (medquad, False),
    'long': (long_documents, False),
    'medquad-neural': (medquad_neural, True),
    'cranfield-neural': (cranfield_neural, True),
    'random': (random_vectors, False),
}


def load(name):
    os.makedirs(CACHE, exist_ok=True)
    return Collection(name, *COLLECTIONS[name][0]())


# ---- queries ----

def best_similarities(passages, queries):
    """Return, for each query (tokens x dims), the best similarity of each document to each token (documents x tokens); exact, float4."""
    cuts, all_tokens = np.cumsum([len(q) for q in queries])[:-1], np.concatenate(queries).astype(np.float32).T
    per_chunk, out = max(1, int(CHUNK_BYTES / 4 / all_tokens.shape[1] * len(passages) / len(passages.rows))), []
    for first in range(0, len(passages), per_chunk):
        offsets = passages.offsets[first:first + per_chunk + 1]
        similarities = passages.rows[offsets[0]:offsets[-1]].astype(np.float32) @ all_tokens
        rows = offsets - offsets[0]
        out.append(np.stack([similarities[first:end].max(axis=0) for first, end in zip(rows, rows[1:])]))    # reduceat takes ten times as long
    return np.split(np.concatenate(out), cuts, axis=1)


def noisy(tokens, n, random):
    """Return n noisy tokens of a passage, without repetition if it has enough tokens."""
    picked = tokens[random.choice(len(tokens), n, replace=len(tokens) < n)].astype(np.float32)
    return unit(picked + random.normal(0, NOISE, picked.shape)).astype(np.float32)


def fill_up(question, passage, random):
    """Fill a question up to the maximum length with noisy tokens of its best passage."""
    wanted = max(LENGTHS)
    if len(question) >= wanted:
        return question[:wanted]
    return np.concatenate([question, noisy(passage, wanted - len(question), random)])
