"""The parts of bench/users. Each module has measure(conn), which yields figures; its docstring describes them.

A part of queries may also have compare(before, now, rounds), which yields pairs of figures: two builds take turns on two
connections. What several parts need is here.
"""
import json
import os
import statistics
import struct
import subprocess
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import medquad_db as db
import numpy as np

METHODS = ('colbert_hnsw', 'colbert_ivf')
DIMS = 128
ROUNDS = 5


class Figure(NamedTuple):
    """One line of a table. The value is a text if it is not a number."""
    label: str
    value: float | str
    unit: str = ''


class Pairs(NamedTuple):
    """One line of a comparison: the values of each turn of one build and of the next turn of the other."""
    label: str
    before: list[float]
    now: list[float]
    unit: str = ''


class Turn(NamedTuple):
    """Milliseconds per query: the backend's mean CPU time, and the client's median."""
    processor: float
    median: float


def run(conn: Any, *statements: str) -> None:
    """Run statements, each in a separate transaction."""
    for statement in statements:
        conn.execute(statement)


def load(conn: Any, table: str = 'passages', count: int = 2 ** 31 - 1) -> None:
    """Create a table of the first passages, and the questions with their exact answers."""
    server = ['-h', conn.info.host, '-p', str(conn.info.port), '-U', conn.info.user, '-d', conn.info.dbname]
    command = ['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', *server]      # its COPY is five times as fast as psycopg's
    for name in (table, 'questions', 'exact'):
        source, where = ('passages', f' WHERE id <= {count}') if name == table else (name, '')
        run(conn, f'DROP TABLE IF EXISTS {name}', db.TABLES[source].replace(f'TABLE {source} ', f'TABLE {name} '))
        command += ['-c', f"\\copy {name} from '{db.FILES}/{source}.bin' (format binary){where}"]
    subprocess.run(command, check=True)
    conn.execute(f'VACUUM ANALYZE {table}')


def answers(conn: Any, table: str, queries: Iterable[tuple[int, bytes]]) -> list[list[tuple[int, float]]]:
    """Return the ten best documents of each query."""
    return db.Asker(conn, f'SELECT id, maxsim(doc, $1) AS score FROM {table} ORDER BY score DESC LIMIT 10').timed(queries)[1]


def exact(conn: Any, table: str, queries: Iterable[tuple[int, bytes]]) -> list[float]:
    """Return the exact tenth score of each query, from a sequential scan."""
    run(conn, 'SET enable_indexscan = off')
    tenths = [answer[-1][1] for answer in answers(conn, table, queries)]
    run(conn, 'SET enable_indexscan = on')
    return tenths


def median_ms(conn: Any, table: str, queries: list[tuple[int, bytes]]) -> float:
    """Return the median over the queries of the client's milliseconds, each the best of ROUNDS times, warm."""
    asker = db.Asker(conn, f'SELECT id, maxsim(doc, $1) AS score FROM {table} ORDER BY score DESC LIMIT 10')
    asker.timed(queries)
    return statistics.median(min(times) for times in zip(*(asker.timed(queries)[0] for _ in range(ROUNDS)), strict=True))


def processor_ms(pid: int) -> float:
    """Return the CPU milliseconds of a process. The resolution is 10 ms if the kernel has no scheduler statistics."""
    try:
        with open(f'/proc/{pid}/schedstat') as f:
            return int(f.read().split()[0]) / 1e6
    except FileNotFoundError:
        with open(f'/proc/{pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf('SC_CLK_TCK')


def take_turn(asker: db.Asker, queries: list[tuple[int, bytes]]) -> Turn:
    """Run all queries once."""
    start = processor_ms(asker.pgconn.backend_pid)
    times = asker.timed(queries)[0]
    return Turn((processor_ms(asker.pgconn.backend_pid) - start) / len(queries), statistics.median(times))


def turns(askers: list[db.Asker], queries: list[tuple[int, bytes]], size: int, rounds: int) -> list[list[Turn]]:
    """Run all queries in each round, size queries per turn. The askers take turns, and the first one alternates. Return the turns of each asker."""
    taken: list[list[Turn]] = [[] for _ in askers]
    parts = [queries[first:first + size] for first in range(0, len(queries), size)]
    for number, part in enumerate(parts * rounds):
        order = range(len(askers))
        for i in order if number % 2 else reversed(order):
            taken[i].append(take_turn(askers[i], part))
    return taken


def seconds(conn: Any, statement: str) -> float:
    """Return the seconds that a statement takes."""
    start = time.perf_counter()
    conn.execute(statement)
    return time.perf_counter() - start


def info(conn: Any, index: str) -> dict[str, Any]:
    """Return the row of colbert_index_info."""
    return json.loads(conn.execute('SELECT row_to_json(i)::text FROM colbert_index_info(%s::regclass) AS i', (index,)).fetchone()[0])


def copy_in(conn: Any, table: str, rows: Iterable[tuple[int, bytes]]) -> None:
    """Copy ids and binary documents into a table with these two columns."""
    start, end = b'PGCOPY\n\xff\r\n\0' + struct.pack('!ii', 0, 0), struct.pack('!h', -1)
    with conn.cursor().copy(f'COPY {table} (id, doc) FROM STDIN (FORMAT binary)') as copy:
        copy.write(start)
        for id, doc in rows:
            copy.write(struct.pack('!hiii', 2, 4, id, len(doc)) + doc)
        copy.write(end)
