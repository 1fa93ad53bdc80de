"""CPU time of the server process of a connection."""
import time
import psycopg

QUESTION = 'what are the treatments for childhood brain stem glioma ?'
SECONDS = 2     # of CPU per measurement of a row


def cpu_seconds(conn):
    with open(f'/proc/{conn.info.backend_pid}/schedstat') as f:
        return int(f.read().split()[0]) / 1e9


def per_row(conn, table, expression, seconds=SECONDS):
    """Return microseconds of CPU per row of a sequential scan that computes an expression of the row and the query q."""
    statement = f"SELECT count({expression}) FROM {table}, bm25_query('medquad_titled_tsv_bm25', '{QUESTION}') AS q"
    rows, _ = conn.execute(f'SELECT count(*) FROM {table}').fetchone()[0], conn.execute(statement)
    scans, start = 0, cpu_seconds(conn)
    while cpu_seconds(conn) - start < seconds:
        conn.execute(statement)
        scans += 1
    return (cpu_seconds(conn) - start) / scans / rows * 1e6


class Statement:
    """A prepared statement whose parameters are texts, run directly through libpq."""

    def __init__(self, conn, statement):
        self.pgconn, self.name = conn.pgconn, f'statement_{id(self)}'.encode()
        self.pgconn.prepare(self.name, statement.encode())

    def milliseconds(self, values):
        start = time.perf_counter()
        result = self.pgconn.exec_prepared(self.name, [value.encode() for value in values])
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise RuntimeError(result.error_message.decode())
        return (time.perf_counter() - start) * 1000
