"""Searches of MedQuAD with default settings: CPU time of the backend and median of short and 16-token questions; recall@10 of short ones.

Both methods; 300 questions of each kind. With another build, the two servers take turns of 50 questions.
"""
from collections.abc import Iterator
from typing import Any, NamedTuple

import medquad_db as db

from users import METHODS, Figure, Pairs, load, run, take_turn, turns

TOP = 'SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT 10'
SETTINGS = "SET maintenance_work_mem = '512MB'; SET max_parallel_workers_per_gather = 0; SET jit = off; SET enable_seqscan = off"
QUESTIONS, ROUNDS, TURN = 300, 9, 50


class Case(NamedTuple):
    """Questions of one kind, for one access method."""
    label: str
    askers: list[db.Asker]              # one per server, warm
    questions: list[tuple[int, bytes]]
    tenths: list[float]                 # exact tenth scores; empty if they are not known


def cases(conns: list[Any]) -> Iterator[Case]:
    """Yield a case for every method and kind of question."""
    for conn in conns:
        load(conn)
        run(conn, SETTINGS)
    for method in METHODS:
        for conn in conns:
            run(conn, f'CREATE INDEX passages_index ON passages USING {method} (doc)')
        for kind in 'short', 'long':
            questions = db.queries(conns[0], kind, QUESTIONS)
            askers = [db.Asker(conn, TOP) for conn in conns]
            for asker in askers:
                asker.timed(questions)
            yield Case(f'{method}, {kind}', askers, questions, db.tenth_scores(conns[0], kind, questions) if kind == 'short' else [])
        for conn in conns:
            run(conn, 'DROP INDEX passages_index')


def recalls(case: Case) -> list[float]:
    """Return the recall of each asker, if exact answers are known."""
    return [db.recall(asker.timed(case.questions)[1], case.tenths) for asker in case.askers if case.tenths]


def measure(conn: Any) -> Iterator[Figure]:
    for case in cases([conn]):
        rounds = [take_turn(case.askers[0], case.questions) for _ in range(ROUNDS)]
        yield Figure(f'{case.label}: processor time', min(turn.processor for turn in rounds), 'ms')
        yield Figure(f'{case.label}: median', min(turn.median for turn in rounds), 'ms')
        for recall in recalls(case):
            yield Figure(f'{case.label}: recall@10', recall)


def compare(before: Any, now: Any, rounds: int) -> Iterator[Pairs]:
    for case in cases([before, now]):
        took = turns(case.askers, case.questions, TURN, rounds)
        yield Pairs(f'{case.label}: processor time', *([turn.processor for turn in side] for side in took), 'ms')
        yield Pairs(f'{case.label}: median', *([turn.median for turn in side] for side in took), 'ms')
        if case.tenths:
            yield Pairs(f'{case.label}: recall@10', *([recall] for recall in recalls(case)))
