#!/usr/bin/python3
"""Write MedQuAD as encoded by all-MiniLM-L6-v2, the collection medquad-neural, into files for COPY ... (FORMAT binary).

    medquad_files.py OUT

The files and their columns are those of tools/medquad: OUT/passages.bin, OUT/questions.bin and OUT/exact.bin. short holds the question's
own tokens (13 on average). long holds the same tokens, filled up to 32, the length of ColBERT's queries, as in bench/lengths. Does nothing
if OUT is up to date. The encoder runs once, .05 s per passage on one core; the exact answers take two minutes of one.
"""
import hashlib, os, shutil, sys
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, 'tools'), os.path.join(ROOT, 'bench', 'lengths')]
import numpy as np
import collections_of_texts as texts
import copybinary as cb

EXACT = 100         # best passages per question
TOGETHER = 50       # questions whose exact answers are computed together


def version(encoded):
    """Return a text that changes with the encoded tokens and with the code that writes them."""
    digest = hashlib.sha256(os.path.basename(encoded).encode())
    for path in __file__, texts.__file__, cb.__file__:
        with open(path, 'rb') as f:
            digest.update(f.read())
    return digest.hexdigest()


def best_passages(passages, questions):
    """Yield, for each question, the numbers of its best passages, the best one first."""
    for first in range(0, len(questions), TOGETHER):
        some = [questions[i] for i in range(first, min(first + TOGETHER, len(questions)))]
        for similarities in texts.best_similarities(passages, some):
            scores = similarities.sum(axis=1, dtype=np.float64)
            yield np.argsort(-scores, kind='stable')[:EXACT]
        print(f'exact answers of {first + len(some):,} questions', flush=True)


def write_passages(path, passages):
    with cb.Writer(path) as out:
        for i, (id, text) in enumerate(texts.read_texts('medquad', 'corpus').items()):
            out.row(cb.int4(i + 1), cb.text(id), cb.text(text), cb.multivector(passages[i], 'float2'))


def write_questions(folder, passages, questions):
    records = texts.read_texts('medquad', 'queries').items()
    with cb.Writer(f'{folder}/questions.bin') as out, cb.Writer(f'{folder}/exact.bin') as truth:
        for i, ((id, text), best) in enumerate(zip(records, best_passages(passages, questions), strict=True)):
            short = questions[i].astype(np.float32)
            long = texts.fill_up(short, passages[best[0]], np.random.RandomState(texts.SEED + i))
            out.row(cb.int4(i + 1), cb.text(id), cb.text(text), cb.multivector(short), cb.multivector(long))
            for rank, passage in enumerate(best, 1):
                truth.row(cb.int4(i + 1), cb.int4(rank), cb.int4(int(passage) + 1))


def main(argv):
    if len(argv) != 2:
        sys.exit(__doc__)
    encoded = texts.medquad_neural_file()
    out, current = argv[1], version(encoded)
    stamp = f'{out}/version'
    if os.path.exists(stamp) and open(stamp).read() == current:
        return
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    passages, questions = texts.read_encoded(encoded)
    write_passages(f'{out}/passages.bin', passages)
    write_questions(out, passages, questions)
    with open(stamp, 'w') as f:
        f.write(current)


if __name__ == '__main__':
    main(sys.argv)
