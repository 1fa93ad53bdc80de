#!/usr/bin/python3
"""Write the exported files of the migration pages.

    make.py [FOLDER]

Without a folder: the text files beside this script. With one: the arrays of numpy and the PLAID index, which are not text.
All hold the same six documents, whose numbers only look random.
"""
import json, math, os, sys

DIMS = 8
TEXTS = ['Gout is treated with rest and ice.', 'Measles spreads through the air.', 'A violin has four strings.',
         'The Amazon carries more water than any other river.', 'A pump has a filter of steel.', 'Bread is baked in an oven.']
NBITS = 4


def token(*numbers):
    """Return a token of length 1, in four digits."""
    values = [math.sin(sum(7.1 * place * number for place, number in enumerate(numbers, 1)) + 1.7 * n * n * numbers[0] + n) for n in range(1, DIMS + 1)]
    length = math.sqrt(sum(value * value for value in values))
    return [round(value / length, 4) for value in values]


def documents():
    return [(number, text, [token(number, t) for t in range(1, 4 + number % 3)]) for number, text in enumerate(TEXTS, 1)]


def vector(numbers):
    """Return the text of pgvector's type."""
    return json.dumps(numbers, separators=(',', ':'))


def type_of_vespa():
    return f'tensor<float>(token{{}},x[{DIMS}])'


def vespa(number, text, tensor):
    return {'put': f'id:wiki:passage::{number}', 'fields': {'text': text, 'colbert': {'type': type_of_vespa(), **tensor}}}


def cells(tokens):
    return [{'address': {'token': str(t), 'x': str(x)}, 'value': value} for t, numbers in enumerate(tokens) for x, value in enumerate(numbers)]


def text_files():
    """Return the lines of each file by its name."""
    found = documents()
    tokens = [(number, numbers) for number, _, rows in found for numbers in rows]
    points = [{'id': number, 'payload': {'text': text}, 'vector': {'colbert': rows}} for number, text, rows in found]
    pages = [{'result': {'points': points[:4], 'next_page_offset': 5}, 'status': 'ok', 'time': 0.001},
             {'result': {'points': points[4:], 'next_page_offset': None}, 'status': 'ok', 'time': 0.001}]
    return {
        'query.json': [json.dumps([token(number, 2) for number in (1, 3, 4)])],
        'documents.copy': [f'{number}\t{text}' for number, text, _ in found],
        'tokens.copy': [f'{n}\t{number}\t{vector(numbers)}' for n, (number, numbers) in enumerate(tokens, 1)],
        'arrays.copy': [f'{number}\t{text}\t{{{",".join(chr(34) + vector(numbers) + chr(34) for numbers in rows)}}}' for number, text, rows in found],
        'qdrant.jsonl': map(json.dumps, pages),
        'vespa.jsonl': [json.dumps(vespa(number, text, {'blocks': dict(enumerate(rows))})) for number, text, rows in found],
        'vespa-long.jsonl': [json.dumps(vespa(number, text, {'cells': cells(rows)})) for number, text, rows in found],
    }


def packed(buckets):
    """Return the bytes of a token's buckets: the bits of one after the other, each with its lowest bit first, in bytes from the highest bit on."""
    bits = ''.join(str(bucket >> bit & 1) for bucket in buckets for bit in range(NBITS))
    return [int(bits[start:start + 8], 2) for start in range(0, len(bits), 8)]


def write_plaid(folder):
    """Write the files of a PLAID index that are needed to decompress its documents, in two chunks, as next-plaid names them."""
    import numpy as np
    found = [rows for _, _, rows in documents()]
    centroids = np.array([rows[0] for rows in found[:4]], np.float32)
    weights = np.linspace(-1.5, 1.5, 1 << NBITS).astype(np.float32)
    os.makedirs(folder, exist_ok=True)
    np.save(f'{folder}/centroids.npy', centroids)
    np.save(f'{folder}/bucket_weights.npy', weights)
    for chunk, part in enumerate([found[:4], found[4:]]):
        tokens = np.array([numbers for rows in part for numbers in rows], np.float32)
        codes = np.argmax(tokens @ centroids.T, axis=1)
        buckets = np.abs((tokens - centroids[codes])[..., None] - weights).argmin(axis=2)
        np.save(f'{folder}/{chunk}.codes.npy', codes)
        np.save(f'{folder}/{chunk}.residuals.npy', np.array([packed(row) for row in buckets.tolist()], np.uint8))
        with open(f'{folder}/doclens.{chunk}.json', 'w') as f:
            json.dump([len(rows) for rows in part], f)


def write_arrays(folder):
    """Write all tokens as an array, and the number of tokens of each document."""
    import numpy as np
    found = documents()
    os.makedirs(folder, exist_ok=True)
    np.save(f'{folder}/tokens.npy', np.array([numbers for _, _, rows in found for numbers in rows], np.float16))
    with open(f'{folder}/documents.json', 'w') as f:
        json.dump([{'id': number, 'text': text, 'tokens': len(rows)} for number, text, rows in found], f)


def main(folder=None):
    if folder:
        write_arrays(folder)
        write_plaid(os.path.join(folder, 'plaid'))
        return
    for name, lines in text_files().items():
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), 'w') as f:
            f.writelines(line + '\n' for line in lines)


if __name__ == '__main__':
    main(*sys.argv[1:])
