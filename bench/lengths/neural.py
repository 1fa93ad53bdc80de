#!/usr/bin/python3
"""Encode passages and questions with all-MiniLM-L6-v2 (int8), one unit vector of 384 dims per token. Run by collections_of_texts.py.

    neural.py TEXTS OUT

TEXTS is a JSON file: {"window": tokens, "passages": [text, ...], "questions": [text, ...]}. OUT.npz receives the arrays passages and
questions, which hold the float16 tokens of all texts, and passage_offsets and question_offsets: text i owns rows offsets[i] to
offsets[i + 1]. [CLS], [SEP] and padding are left out, and texts are cut at the window.

The encoder is OnnxEncoder.minilm() of clients/python, whose packages must be installed: in the environment of `tools/bench-env neural`, or
of the tests of clients/python. It takes about .05 s per passage on one core.
"""
import json, multiprocessing, os, sys
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'clients', 'python', 'src'))
from colbert_pg.encoders import OnnxEncoder

CHUNK = 8   # texts per task


def start_worker(window):
    """Load the encoder. It runs text by text: on a CPU, batches take no less time."""
    global encoder
    encoder = OnnxEncoder.minilm(window=window, too_long='truncate', threads=1, batch_size=1)


def encode(texts):
    return [np.asarray(doc, np.float16) for doc in encoder.encode_document(texts)]


def main(argv):
    if len(argv) != 3:
        sys.exit(__doc__)
    with open(argv[1]) as f:
        texts = json.load(f)
    arrays = {}
    with multiprocessing.Pool(os.cpu_count(), start_worker, (texts['window'],)) as pool:
        for kind in ('passages', 'questions'):
            tokens = []
            for encoded in pool.imap(encode, (texts[kind][i:i + CHUNK] for i in range(0, len(texts[kind]), CHUNK))):
                tokens += encoded
                print(f'{len(tokens):,} of {len(texts[kind]):,} {kind}', flush=True)
            arrays[kind] = np.concatenate(tokens)
            arrays[kind[:-1] + '_offsets'] = np.cumsum([0] + [len(t) for t in tokens])
    with open(argv[2] + '.part', 'wb') as f:
        np.savez(f, **arrays)
    os.replace(argv[2] + '.part', argv[2])


if __name__ == '__main__':
    main(sys.argv)
