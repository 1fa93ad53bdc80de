"""Single-row INSERTs: rate, longest time, number above 20 ms; and searches while documents are pending.

MedQuAD, colbert_hnsw, default settings, autovacuum off. Inserts: 4,000 documents into an index of 4,000, one transaction each, by one client
and by four. A build without a background worker is compared without one. Searches: an index of 12,000 documents, with this fraction of
colbert.pending_limit pending; the figure is the time divided by that of the same search after colbert_merge. On a busy machine an INSERT
waits for a CPU; its CPU time shows its own work.
"""
import itertools
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

import copybinary as cb
import medquad_db as db

from users import Figure, info, load, median_ms, run

BUILT, INSERTED = 4000, 4000
SLOW_MS = 20
SEARCHED = 12000        # documents of the index that searches use
SHARES = (.375, .5, .625, .75, .95)
QUERIES = 100
LIMIT = 40960


def settings(conn: Any, worker: bool) -> None:
    conn.execute("LOAD 'colbert_pg'")
    if conn.execute("SELECT count(*) FROM pg_settings WHERE name = 'colbert.background_merge'").fetchone()[0]:
        conn.execute(f"SET colbert.background_merge = {'on' if worker else 'off'}")


def cpu_ms(process: tuple[BinaryIO, BinaryIO]) -> float:
    """Milliseconds that a server process has run, from Linux's files of it. They are exact when it sleeps, so wait until it does."""
    schedstat, stat = process
    while True:
        stat.seek(0)
        if stat.read().rpartition(b')')[2].split()[0] == b'S':
            schedstat.seek(0)
            return int(schedstat.read().split()[0]) / 1e6


def insert(job: tuple[list[tuple[int, bytes]], bool]) -> tuple[float, float, list[float], list[float]]:
    """Insert documents. Return the start and end times, and each insert's milliseconds: wall time, and CPU time of the server process."""
    documents, worker = job
    with db.connect() as conn, ExitStack() as stack:
        folder = f'/proc/{conn.info.backend_pid}'
        cpu = (stack.enter_context(open(f'{folder}/schedstat', 'rb')), stack.enter_context(open(f'{folder}/stat', 'rb')))
        settings(conn, worker)
        conn.pgconn.prepare(b'ins', b'INSERT INTO passages (id, doc) VALUES ($1, $2)')
        times, marks = [], [cpu_ms(cpu)]
        begin = time.perf_counter()
        for id, doc in documents:
            start = time.perf_counter()
            result = conn.pgconn.exec_prepared(b'ins', [cb.int4(id), doc], [1, 1])
            times.append((time.perf_counter() - start) * 1000)
            marks.append(cpu_ms(cpu))
            if result.error_message:
                raise RuntimeError(result.error_message.decode())
        return begin, time.perf_counter(), times, [after - before for before, after in itertools.pairwise(marks)]


def watch(most: Any, done: Any) -> None:
    """Record the maximum number of pending tokens."""
    with db.connect() as conn:
        while not done.wait(.05):
            most.value = max(most.value, info(conn, 'passages_index')['pending_tokens'])


def inserts(conn: Any, documents: list[tuple[int, bytes]], clients: int, worker: bool) -> Iterator[Figure]:
    run(conn, 'DROP INDEX IF EXISTS passages_index', f'DELETE FROM passages WHERE id > {BUILT}', 'VACUUM passages',
        'CREATE INDEX passages_index ON passages USING colbert_hnsw (doc)')
    context = multiprocessing.get_context('fork')
    most, done = context.Value('q', 0), context.Event()
    watcher = context.Process(target=watch, args=(most, done))
    watcher.start()
    with context.Pool(clients) as pool:
        results = pool.map(insert, [(documents[i::clients], worker) for i in range(clients)], chunksize=1)
    done.set()
    watcher.join()
    times = [ms for _, _, client, _ in results for ms in client]
    cpu = [ms for _, _, _, client in results for ms in client]
    wall = max(end for _, end, _, _ in results) - min(begin for begin, _, _, _ in results)
    label = f"{clients} client{'s' * (clients > 1)}, {'a' if worker else 'no'} worker: "
    yield Figure(label + 'inserts per second', len(times) / wall)
    yield Figure(label + 'median', db.percentile(times, .5), 'ms')
    yield Figure(label + 'the longest', max(times), 'ms')
    yield Figure(label + 'the longest, of CPU time', max(cpu), 'ms')
    yield Figure(label + f'above {SLOW_MS} ms', 100 * sum(ms > SLOW_MS for ms in times) / len(times), '%')
    yield Figure(label + 'most pending', 100 * most.value / LIMIT, '% of limit')


def fill(conn: Any, share: float) -> None:
    """Copy further documents until a fraction of the limit is pending, without merging."""
    conn.execute('SET colbert.pending_limit = 1000000000')
    while info(conn, 'searched_index')['pending_tokens'] < share * LIMIT:
        conn.execute('INSERT INTO searched SELECT * FROM passages WHERE id > (SELECT max(id) FROM searched) ORDER BY id LIMIT 20')
    conn.execute('RESET colbert.pending_limit')


def searches(conn: Any) -> Iterator[Figure]:
    load(conn)
    run(conn, f'CREATE TABLE searched AS SELECT * FROM passages WHERE id <= {SEARCHED}',
        'CREATE INDEX searched_index ON searched USING colbert_hnsw (doc)', 'ANALYZE searched')
    for share in SHARES:
        fill(conn, share)
        kinds = {kind: db.queries(conn, kind, QUERIES) for kind in ('short', 'long')}
        pending = {kind: median_ms(conn, 'searched', queries) for kind, queries in kinds.items()}
        conn.execute("SELECT colbert_merge('searched_index')")
        for kind, queries in kinds.items():
            yield Figure(f'{kind} queries, {100 * share:g} % of the limit pending, over merged', pending[kind] / median_ms(conn, 'searched', queries))


def measure(conn: Any) -> Iterator[Figure]:
    settings(conn, False)
    load(conn, count=BUILT + INSERTED)
    documents = db.all_of(conn, f'SELECT id, doc FROM passages WHERE id > {BUILT} ORDER BY id')
    has_worker = conn.execute("SELECT count(*) FROM pg_settings WHERE name = 'colbert.background_merge'").fetchone()[0]
    for clients in (1, 4):
        for worker in (True, False) if has_worker else (False,):
            yield from inserts(conn, documents, clients, worker)
    yield from searches(conn)
