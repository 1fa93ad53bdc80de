"""UPDATE of another column than the document: seconds without an index, with a btree on the updated column, and with each access method.

Tables of MedQuAD passages with a counter, whose UPDATE of all rows is timed twice in each round: after VACUUM, and again without one between. The
tables take turns. A colbert index is to take at most three times as long as the btree (the ratio of the medians).
"""
import argparse, statistics, time
import medquad_db as db
from progress import Step

INDEXES = {
    'none': None,
    'btree': 'CREATE INDEX ON {} (views)',
    'colbert_hnsw': 'CREATE INDEX ON {} USING colbert_hnsw (doc)',
    'colbert_ivf': 'CREATE INDEX ON {} USING colbert_ivf (doc)',
}
MOST = 3.0


def timed(conn, statement):
    start = time.perf_counter()
    conn.execute(statement)
    return time.perf_counter() - start


def prepare(conn, rows):
    """A table for each kind of index; returns their names by kind."""
    tables = {kind: f'updated_{kind}' for kind in INDEXES}
    with Step('passages') as step:
        db.load(conn, step)
    for kind, table in tables.items():
        with Step(f'{rows} rows, index: {kind}'):
            conn.execute(f'CREATE TABLE {table} (id int PRIMARY KEY, views int, doc multivector(128, float2))')
            conn.execute(f'INSERT INTO {table} SELECT id, 0, doc FROM passages ORDER BY id LIMIT {rows}')
            if INDEXES[kind]:
                conn.execute(INDEXES[kind].format(table))
    return tables


def main(arguments):
    parser = argparse.ArgumentParser(prog='users update', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, default=5000)
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args(arguments)
    times = {kind: ([], []) for kind in INDEXES}
    with db.connect() as conn:
        tables = prepare(conn, options.rows)
        for _ in range(options.rounds):
            for kind, table in tables.items():
                conn.execute(f'VACUUM {table}')
                conn.execute('CHECKPOINT')
                for update in times[kind]:
                    update.append(timed(conn, f'UPDATE {table} SET views = views + 1'))
        print(f'{db.machine(conn)}\nUPDATE of {options.rows} rows, seconds: medians of {options.rounds}\n')
    print(f"{'index':14}{'after VACUUM':>14}{'of btree':>10}{'once more':>14}{'of btree':>10}")
    medians = {kind: [statistics.median(update) for update in times[kind]] for kind in INDEXES}
    for kind, values in medians.items():
        print(f'{kind:14}' + ''.join(f'{value:14.3f}{value / btree:10.2f}' for value, btree in zip(values, medians['btree'])))
    worst = max(value / btree for kind in INDEXES for value, btree in zip(medians[kind], medians['btree']))
    print(f'\nat most {worst:.2f} times the btree; wanted: {MOST}')
    return 0 if worst <= MOST else 1
