"""One index and hash partitions of the same passages: their tables, and the recall of searches."""
from typing import Any, NamedTuple

import medquad_db as db
from users import METHODS, answers, exact, run
from users import load as load_passages

KINDS = ('short', 'long')
NUMBERS = (1, 4, 16)        # of partitions; 1: a table of its own
RECALL_OF = 200             # questions
HEAD = f"{'thousand instructions per search':44}{'in all':>10}{'of one index':>16}{'recall@10':>12}"
SETTINGS = ('SET jit = off', 'SET max_parallel_workers_per_gather = 0', "SET maintenance_work_mem = '512MB'")


class Case(NamedTuple):
    """Searches of a table by one kind of question."""
    label: str
    table: str
    method: str
    kind: str
    recall: float


def load(conn: Any, queries: int) -> list[Case]:
    """Load and index all tables, keep a number of questions in the table asked, and return the cases with their recall."""
    run(conn, 'CREATE EXTENSION IF NOT EXISTS colbert_pg', *SETTINGS)
    load_passages(conn, 'whole')
    run(conn, 'CREATE TABLE asked AS SELECT short, long FROM (SELECT *, row_number() OVER (ORDER BY id) AS n, count(*) OVER () AS of FROM questions) AS q '
        f'WHERE n % greatest(of / {queries}, 1) = 0 ORDER BY n LIMIT {queries}')
    asked = {kind: db.queries(conn, kind, RECALL_OF) for kind in KINDS}
    tenths = {kind: exact(conn, 'whole', asked[kind]) for kind in KINDS}
    cases = []
    for method in METHODS:
        for number in NUMBERS:
            table = make_table(conn, method, number)
            run(conn, 'SET enable_seqscan = off')
            cases += [Case(f"{method}, {kind}, {'one index' if number == 1 else f'{number} partitions'}", table, method, kind,
                           db.recall(answers(conn, table, asked[kind]), tenths[kind])) for kind in KINDS]
            run(conn, 'RESET enable_seqscan')
    return cases


def make_table(conn: Any, method: str, number: int) -> str:
    """Make a table of all passages, in this number of partitions, with an index, and return its name."""
    table = f'{method}_{number}'
    run(conn, f'CREATE TABLE {table} (id int, doc multivector(128, float2))' + (' PARTITION BY HASH (id)' if number > 1 else ''))
    if number > 1:
        run(conn, *[f'CREATE TABLE {table}_{i} PARTITION OF {table} FOR VALUES WITH (MODULUS {number}, REMAINDER {i})' for i in range(number)])
    run(conn, f'INSERT INTO {table} SELECT id, doc FROM whole', f'CREATE INDEX ON {table} USING {method} (doc)', f'VACUUM ANALYZE {table}')
    return table
