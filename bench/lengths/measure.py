"""Load a collection of bench/lengths into the server, index it, and measure its queries by each index, target and filter."""

import math
import os
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import collections_of_texts as texts
import copybinary as cb
import query_kinds as kinds
import medquad_db as db
from progress import Step

FILE = os.path.join(texts.CACHE, 'documents.bin')
TOLERANCE = 1e-5  # per query token; numpy and the server round differently
WARMING = 20  # queries of each kind that are asked before

Samples = dict[str, dict[str, list[kinds.Query]]]  # by the name of a sample of questions, and by kind


class Cell(NamedTuple):
    """What the queries of one measurement have in common."""

    sample: str
    share: float  # of the documents, that passes the filter; 1 is no filter
    target: str  # colbert.recall; '' is the session's
    method: str
    kind: str


class Figures(NamedTuple):
    """Means per query, but for ms, which is the median."""

    recall: float
    ms: float
    cpu: float  # milliseconds of the backend's processor time
    narrowed: float
    reranked: float
    expected: float  # misses that the searches expected

    @property
    def missed(self) -> float:
        return kinds.WANTED * (1 - self.recall)


Measured = dict[Cell, Figures]


def load_table(conn: Any, passages: texts.Tokens, numbers: kinds.Array) -> None:
    dim = passages.rows.shape[1]
    with cb.Writer(FILE) as out:
        for i in range(len(passages)):
            out.row(cb.int4(i), cb.float8(numbers[i]), cb.multivector(passages[i], 'float2'))
    conn.execute('DROP TABLE IF EXISTS documents')
    conn.execute(f'CREATE TABLE documents (id int PRIMARY KEY, number float8, doc multivector({dim}, float2))')
    subprocess.run(['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-c', f"\\copy documents from '{FILE}' (format binary)"], check=True)
    os.remove(FILE)
    conn.execute('VACUUM ANALYZE documents')


def processor_ms(conn: Any) -> float:
    """Return the processor time that the backend has used, in milliseconds; NaN where the system does not tell."""
    try:
        with open(f'/proc/{conn.info.backend_pid}/schedstat') as f:
            return int(f.read().split()[0]) / 1e6
    except OSError:
        return math.nan


def statement(share: float) -> str:
    where = '' if share == 1 else f'WHERE number < {share!r}'
    return f'SELECT id, maxsim(doc, $1) AS score FROM documents {where} ORDER BY score DESC LIMIT {kinds.WANTED}'


def counts(conn: Any) -> tuple[float, float, float]:
    """Return the documents that the last search narrowed and reranked, and the misses that it expected."""
    found = conn.execute("SELECT narrowed, reranked, expected_misses FROM colbert_last_scan() WHERE index = 'documents_index'::regclass").fetchone()
    if found is None:
        raise RuntimeError('the last search did not use the index')
    narrowed, reranked, expected = found
    return narrowed, reranked, expected


def measure(conn: Any, asker: db.Asker, share: float, queries: Sequence[kinds.Query]) -> Figures:
    asked = [cb.multivector(query.tokens) for query in queries]
    least = [query.tenth[share] - TOLERANCE * len(query.tokens) for query in queries]
    times, processor, answers, counted = [], [], [], []
    for query in asked:
        before = processor_ms(conn)
        (ms,), (answer,) = asker.timed([(None, query)])
        processor.append(processor_ms(conn) - before)
        times.append(ms)
        answers.append(answer)
        counted.append(counts(conn))
    means = [statistics.fmean(column) for column in zip(*counted, strict=True)]
    return Figures(db.recall(answers, least, kinds.WANTED), statistics.median(times), statistics.fmean(processor), *means)


def measure_index(conn: Any, method: str, samples: Samples, shares: Sequence[float], targets: Sequence[str]) -> Iterator[tuple[Cell, Figures]]:
    """Measure every kind of queries of every sample by the present index."""
    conn.execute('SET enable_seqscan = off')
    for share in shares:
        for target in targets or ['']:
            if target:
                conn.execute("SELECT set_config('colbert.recall', %s, false)", [target])
            asker = db.Asker(conn, statement(share))
            for sample, by_kind in samples.items():
                for kind, queries in by_kind.items():
                    if (share, target) == (shares[0], (targets or [''])[0]):
                        asker.timed([(None, cb.multivector(query.tokens)) for query in queries[:WARMING]])
                    yield Cell(sample, share, target, method, kind), measure(conn, asker, share, queries)
    conn.execute('RESET enable_seqscan')


def choose_samples(collection: texts.Collection, options: Any) -> dict[str, list[int]]:
    """Return the questions of each sample."""
    questions = len(collection.questions)
    chosen = {'': kinds.choose(questions, options.queries, ())}
    if options.held_out:
        chosen['held out'] = kinds.choose(questions, options.queries, options.held_out)
        if not chosen['held out']:
            raise SystemExit(f'{collection.name} has {questions:,} questions, none of which is held out')
    return chosen


def measure_collection(conn: Any, name: str, options: Any) -> Measured:
    with Step(f'{name}: encode') as step:
        collection = texts.load(name)
        step.result = f'{len(collection.passages):,} documents, {len(collection.passages.rows):,} tokens'
    with Step(f'{name}: exact answers') as step:
        numbers, filters = kinds.make_filters(len(collection.passages), options.filter)
        chosen = choose_samples(collection, options)
        samples = {sample: kinds.make_queries(collection, some, filters, options.lengths, options.joined) for sample, some in chosen.items()}
        step.result = ', '.join(f'{len(some)} questions {sample}'.rstrip() for sample, some in chosen.items())
    with Step(f'{name}: load'):
        load_table(conn, collection.passages, numbers)
    measured: Measured = {}
    for method in options.methods:
        with Step(f'{name}: {method}') as step:
            db.build_index(f'CREATE INDEX documents_index ON documents USING {method} (doc)', step)
        with Step(f'{name}: {method}, queries') as step:
            for cell, figures in measure_index(conn, method, samples, options.filter, options.targets):
                measured[cell] = figures
                step.detail = ' '.join(map(str, cell))
        conn.execute('DROP INDEX documents_index')
    return measured
