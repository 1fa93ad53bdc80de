"""UPDATE of another column than the document: seconds without an index, with a btree on the updated column, and with each access method.

Tables of MedQuAD passages with a counter, and the same tables without documents (NULL), whose UPDATE of all rows is timed twice in each round: after
VACUUM, and again without one between. The tables take turns. A colbert index is to take at most three times as long as the btree (the ratio of the
medians).
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


def prepare(conn, rows, document):
    """A table for each kind of index; returns their names by kind."""
    tables = {kind: f'updated_{kind}_{document}'.lower() for kind in INDEXES}
    for kind, table in tables.items():
        with Step(f'{rows} rows, {document}, index: {kind}'):
            conn.execute(f'CREATE TABLE {table} (id int PRIMARY KEY, views int, doc multivector(128, float2))')
            conn.execute(f'INSERT INTO {table} SELECT id, 0, {document} FROM passages ORDER BY id LIMIT {rows}')
            if INDEXES[kind]:
                conn.execute(INDEXES[kind].format(table))
    return tables


def measure(conn, tables, rounds):
    """Medians of the seconds of both updates, by kind."""
    times = {kind: ([], []) for kind in INDEXES}
    for _ in range(rounds):
        for kind, table in tables.items():
            conn.execute(f'VACUUM {table}')
            conn.execute('CHECKPOINT')
            for update in times[kind]:
                update.append(timed(conn, f'UPDATE {table} SET views = views + 1'))
    return {kind: [statistics.median(update) for update in times[kind]] for kind in INDEXES}


def report(title, medians):
    """Print them, and return the largest ratio to the btree."""
    print(f"{title:24}{'after VACUUM':>14}{'of btree':>10}{'once more':>14}{'of btree':>10}")
    ratios = {kind: [value / btree for value, btree in zip(values, medians['btree'])] for kind, values in medians.items()}
    for kind, values in medians.items():
        print(f'{kind:24}' + ''.join(f'{value:14.3f}{ratio:10.2f}' for value, ratio in zip(values, ratios[kind])))
    return max(ratio for values in ratios.values() for ratio in values)


def main(arguments):
    parser = argparse.ArgumentParser(prog='users update', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, default=5000)
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args(arguments)
    worst = []
    with db.connect() as conn:
        with Step('passages') as step:
            db.load(conn, step)
        print(f'{db.machine(conn)}\nUPDATE of {options.rows} rows, seconds: medians of {options.rounds}\n')
        for title, document in (('documents of passages', 'doc'), ('documents that are NULL', 'NULL')):
            worst.append(report(title, measure(conn, prepare(conn, options.rows, document), options.rounds)))
    print(f'\nat most {max(worst):.2f} times the btree; wanted: {MOST}')
    return 0 if max(worst) <= MOST else 1
