"""Frozen weights beside tsvectors: bytes per passage, time of a row and of a statement, and the effect of rounding."""
import statistics
import clock, measures, texts
from progress import Step

ROUNDS, SECONDS = 8, .2
SETTINGS = "bm25_query('medquad_titled_tsv_bm25', '')"
VECTOR = texts.VECTORS['titled']
STATEMENT = 'SELECT id, {score} AS score FROM {table} WHERE {vector} @@ bm25_candidates($1::bm25_query) ORDER BY score DESC LIMIT 20'
BYTES = """SELECT avg(pg_column_size({column})), (SELECT sum(pg_relation_size(oid)) FROM (SELECT unnest(ARRAY[oid, nullif(reltoastrelid, 0)])
    FROM pg_class WHERE oid = '{table}'::regclass) AS parts (oid)) / count(*) FROM {table}"""
# Table: label, columns and their values, the tsvector of its index, score
TSV, FROZEN = 'bm25f(tsv, $1::bm25_query)', 'bm25f_frozen(frozen, $1::bm25_query)'
TABLES = {
    'main': ('tsvector, STORAGE MAIN', 'id int, tsv tsvector', 'id, tsv', 'tsv', TSV),
    'narrow': ('frozen, beside it', 'id int, tsv tsvector, frozen bm25_frozen', 'id, tsv, bm25f_freeze(tsv, q)', 'tsv', FROZEN),
    'default': ('tsvector beside the body, default storage', 'id int, title text, body text, tsv tsvector', 'id, title, body, tsv', 'tsv', TSV),
    'beside': ('frozen, beside both', 'id int, title text, body text, tsv tsvector, frozen bm25_frozen', 'id, title, body, tsv, bm25f_freeze(tsv, q)', 'tsv', FROZEN),
    'alone': ('frozen beside the body, index on an expression', 'id int, title text, body text, frozen bm25_frozen', 'id, title, body, bm25f_freeze(tsv, q)', VECTOR, FROZEN),
}


def column_of(score):
    return 'frozen' if 'frozen' in score else 'tsv'


def make_tables(conn):
    with Step('tables with frozen weights') as step:
        for table, (label, columns, values, vector, _) in TABLES.items():
            step.detail = label
            conn.execute(f'CREATE TABLE frozen_{table} ({columns})')
            if table in ('main', 'narrow'):
                conn.execute(f'ALTER TABLE frozen_{table} ALTER tsv SET STORAGE MAIN')
            conn.execute(f'INSERT INTO frozen_{table} SELECT {values} FROM medquad_titled JOIN medquad_texts USING (id), {SETTINGS} AS q ORDER BY id')
            conn.execute(f'CREATE INDEX ON frozen_{table} USING gin (({vector}))')
            conn.execute(f'VACUUM ANALYZE frozen_{table}')


def per_statement(conn, statement, rows):
    """Return milliseconds of CPU per run of a statement."""
    start = clock.cpu_seconds(conn)
    for values in rows:
        statement.milliseconds(values)
    return (clock.cpu_seconds(conn) - start) / len(rows) * 1000


def costs(conn):
    """Print bytes and times by the table. A time is the least of several rounds, because other load on the machine only adds to it."""
    rows = [[query] for query, in conn.execute("SELECT bm25_query('medquad_titled_tsv_bm25', question)::text FROM questions ORDER BY id").fetchall()[::5]]
    found = {table: [] for table in TABLES}
    with Step('times') as step:
        for n in range(ROUNDS):
            for table, (_, _, _, vector, score) in TABLES.items():
                step.detail = f'round {n + 1} of {ROUNDS}'
                statement = clock.Statement(conn, STATEMENT.format(table=f'frozen_{table}', vector=vector, score=score))
                row = [clock.per_row(conn, f'frozen_{table}', e, SECONDS) for e in ('id', score.replace('$1::bm25_query', 'q'))]
                found[table].append((*row, per_statement(conn, statement, rows)))
    print('\n| MedQuAD | bytes of the column | bytes of a row, with TOAST | CPU of a row, us: scan | and score | CPU of the best 20, ms |\n|---|---|---|---|---|---|')
    for table, (label, _, _, _, score) in TABLES.items():
        column, row = conn.execute(BYTES.format(table=f'frozen_{table}', column=column_of(score))).fetchone()
        scan, scored, best = map(min, zip(*found[table]))
        print(f'| {label} | {column:.0f} | {row:.0f} | {scan:.2f} | {scored:.2f} | {best:.2f} |')


def rounding(conn, n):
    """Print how many of the best ten stay the same, and nDCG@10."""
    sources = {source: id for id, source in conn.execute('SELECT id, source FROM passages').fetchall()}
    grades = {query: {sources[d]: g for d, g in documents.items()} for query, documents in texts.judgements('medquad').items()}
    same, exact, rounded = [], [], []
    scores = f"""SELECT id, bm25f(tsv, q), bm25f_frozen(frozen, q) FROM frozen_beside, bm25_query('medquad_titled_tsv_bm25', %s, budget => {texts.BUDGET}) AS q
        WHERE tsv @@ bm25_candidates(q)"""
    questions = conn.execute('SELECT source, question FROM questions ORDER BY id').fetchall()
    with Step('rankings by frozen weights') as step:
        for i in range(n):
            source, question = questions[i * len(questions) // n]
            rows = conn.execute(scores, (question,)).fetchall()
            first, second = (measures.by_score({row[0]: row[column] for row in rows}) for column in (1, 2))
            same.append(len(set(first[:10]) & set(second[:10])) / max(len(first[:10]), 1))
            exact.append(measures.ndcg(first, grades[source]))
            rounded.append(measures.ndcg(second, grades[source]))
            step.detail = f'{i + 1} of {n}'
    difference = measures.interval([a - b for a, b in zip(rounded, exact)])
    print(f'\nOf the best ten by bm25f, {statistics.mean(same):.4f} are among the best ten by frozen weights; nDCG@10 is {statistics.mean(exact):.4f} and '
          f'{statistics.mean(rounded):.4f}, a difference of {difference[0]:+.4f} to {difference[1]:+.4f}.')


def measure(conn, n):
    make_tables(conn)
    rounding(conn, n)
    costs(conn)
