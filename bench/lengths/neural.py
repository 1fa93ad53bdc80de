#!/usr/bin/python3
"""Encode passages and questions with all-MiniLM-L6-v2 (int8), one unit vector per token. Run by collections_of_texts.py.

    neural.py TEXTS OUT

TEXTS is a JSON file: {"window": tokens, "dims": number or null, "passages": [text, ...], "questions": [text, ...]}. OUT.npz receives the
arrays passages and questions, which hold the float16 tokens of all texts, and passage_offsets and question_offsets: text i owns rows
offsets[i] to offsets[i + 1]. [CLS], [SEP] and padding are left out, and texts are cut at the window. If dims is a number, the 384 dims of
the encoder are projected on the first right singular vectors of the passages' tokens, and normalised again.

Texts are encoded in parts, which are kept in the folder OUT.parts until OUT is complete: a run that was interrupted continues there.

The encoder is OnnxEncoder.minilm() of clients/python, whose packages must be installed: in the environment of `tools/bench-env neural`, or
of the tests of clients/python. It takes about .05 s per passage on one core.
"""
import json, multiprocessing, os, shutil, sys
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'clients', 'python', 'src'))
from colbert_pg.encoders import OnnxEncoder

KINDS = 'passages', 'questions'
PART = 64       # texts per part
ROWS = 2**16    # tokens per matrix product


def start_worker(window):
    """Load the encoder. It runs text by text: on a CPU, batches take no less time."""
    global encoder
    encoder = OnnxEncoder.minilm(window=window, too_long='truncate', threads=1, batch_size=1)


def write(path, **arrays):
    """Write arrays to a file that is complete as soon as it exists."""
    with open(path + '.unfinished', 'wb') as f:
        np.savez(f, **arrays)
    os.replace(path + '.unfinished', path)


def encode(part):
    """Encode the texts of a part, a pair of its file and its texts, unless its file exists. Return the file."""
    path, texts = part
    if not os.path.exists(path):
        docs = [np.asarray(doc, np.float16) for doc in encoder.encode_document(texts)]
        write(path, tokens=np.concatenate(docs), lengths=np.array([len(doc) for doc in docs]))
    return path


def encode_parts(pool, folder, kind, texts):
    """Return the float16 tokens of all texts, and their offsets."""
    parts = [(os.path.join(folder, f'{kind}-{i:06}.npz'), texts[i:i + PART]) for i in range(0, len(texts), PART)]
    arrays = []
    for path in pool.imap(encode, parts):
        arrays.append(np.load(path))
        print(f'{min(len(arrays) * PART, len(texts)):,} of {len(texts):,} {kind}', flush=True)
    lengths = np.concatenate([a['lengths'] for a in arrays])
    return np.concatenate([a['tokens'] for a in arrays]), np.concatenate([[0], np.cumsum(lengths)])


def singular_vectors(tokens, dims):
    """Return the first right singular vectors of the tokens, as columns."""
    moments = sum(rows.T @ rows for rows in (tokens[i:i + ROWS].astype(np.float64) for i in range(0, len(tokens), ROWS)))
    return np.linalg.eigh(moments)[1][:, ::-1][:, :dims]


def project(tokens, axes):
    """Return float16 unit vectors: the tokens' coordinates on these axes."""
    out = np.empty((len(tokens), axes.shape[1]), np.float16)
    for i in range(0, len(tokens), ROWS):
        rows = tokens[i:i + ROWS].astype(np.float64) @ axes
        out[i:i + ROWS] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return out


def main(argv):
    if len(argv) != 3:
        sys.exit(__doc__)
    with open(argv[1]) as f:
        texts = json.load(f)
    folder = argv[2] + '.parts'
    os.makedirs(folder, exist_ok=True)
    parts = max(-(-len(texts[kind]) // PART) for kind in KINDS)     # each process loads the model
    with multiprocessing.Pool(min(os.cpu_count() or 1, parts), start_worker, (texts['window'],)) as pool:
        encoded = {kind: encode_parts(pool, folder, kind, texts[kind]) for kind in KINDS}
    tokens = {kind: made[0] for kind, made in encoded.items()}
    if texts['dims']:
        axes = singular_vectors(tokens['passages'], texts['dims'])
        tokens = {kind: project(rows, axes) for kind, rows in tokens.items()}
    write(argv[2], **tokens, **{kind[:-1] + '_offsets': made[1] for kind, made in encoded.items()})
    shutil.rmtree(folder)


if __name__ == '__main__':
    main(sys.argv)
