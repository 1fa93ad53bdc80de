"""Text input and output of documents as JSON and as hex: CPU time of the functions and of COPY, and the length of a text.

Passages of MedQuAD with float4 elements: 64 for the functions, 1,024 for COPY, of which COPY TO writes to /dev/null. The figures are the
backend's CPU microseconds per passage, the least of several rounds. Those of the functions leave out the time of reading a value.
"""
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from users import ROUNDS, Figure, load, processor_ms, run

FORMS = ('json', 'hex')
VALUES, REPEATS, COPIED = 64, 10, 1024


def least_us(conn: Any, statement: str, count: int) -> float:
    """Return the CPU microseconds per document of a statement: the least of its rounds."""
    def once() -> float:
        start = processor_ms(conn.info.backend_pid)
        conn.execute(statement)
        return processor_ms(conn.info.backend_pid) - start
    return min(once() for _ in range(ROUNDS)) * 1000 / count


def function_us(conn: Any, value: str, call: str) -> float:
    """Return the CPU microseconds of a call on a value, less those of reading the value."""
    statement = f'WITH v AS MATERIALIZED (SELECT {value} AS v FROM passages WHERE id <= {VALUES}) SELECT count({{}}) FROM v, generate_series(1, {REPEATS})'
    used, read = (least_us(conn, statement.format(expression), VALUES * REPEATS) for expression in (call, 'v.v'))
    return used - read


def measured(conn: Any) -> Iterator[tuple[str, float]]:
    """Yield the times of one form."""
    yield 'multivector_out', function_us(conn, 'l2_normalize(doc)', 'multivector_out(v.v)')
    yield 'multivector_in', function_us(conn, 'textout(doc::text)', 'multivector_in(v.v, 0, -1)')
    yield 'COPY TO', least_us(conn, "COPY (SELECT doc FROM passages) TO '/dev/null'", COPIED)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)     # the server may run as another user
        run(conn, f"COPY (SELECT doc FROM passages) TO '{folder}/docs'", 'CREATE TEMP TABLE copied (doc multivector(128))')
        yield 'COPY FROM', least_us(conn, f"COPY copied FROM '{folder}/docs'", COPIED)
        run(conn, 'DROP TABLE copied')


def measure(conn: Any) -> Iterator[Figure]:
    load(conn, count=COPIED)
    run(conn, 'ALTER TABLE passages ALTER doc TYPE multivector(128, float4)', 'VACUUM ANALYZE passages', "SET work_mem = '64MB'")
    times: dict[str, list[float]] = {}
    for form in FORMS:
        run(conn, f'SET colbert.multivector_output = {form}')
        length = conn.execute('SELECT avg(length(doc::text)) FROM passages').fetchone()[0]
        yield Figure(f'{form}: characters', float(length))
        for label, time in measured(conn):
            times.setdefault(label, []).append(time)
            yield Figure(f'{form}: {label}', time, 'us')
    for label, (json_us, hex_us) in times.items():
        yield Figure(f'{label}, json / hex', json_us / hex_us)
