"""CPU time of each stage of a ranked search: the statements of doc/ranking.md on MedQuAD, and on a table of ten times its documents.

The other documents have the title of a passage, and half of the body and of the tokens of each of two, with noise.
"""
import random, statistics, struct
import numpy as np
import psycopg
import medquad_db as db
from clock import cpu_seconds
from progress import Step

COPIES = 10
ID_STEP = 100_000    # between the ids of two copies
SHIFT = 1637         # between the rows that a copy joins
DIMS, NOISE = 128, .05   # noise per dim
HEADER = 8           # bytes of the binary format before the tokens; the last four are their number
QUESTIONS, ROUNDS, FIRST = 100, 4, 10
MODELS = (41, 222)  # numbers of trees
LEAVES = 32
TABLES = ((1, 'colbert_hnsw'), (1, 'colbert_ivf'), (COPIES, 'colbert_ivf'))
PARAMETERS = {':doc': 'multivector', ':text': 'text', ':words': 'bm25_query'}
CANDIDATES = """WITH q AS MATERIALIZED (SELECT bm25_query('{table}_tsv_bm25', :text) AS q),
    c AS ((SELECT id FROM {table} ORDER BY doc <#> :doc LIMIT 20) UNION
          (SELECT id FROM {table}, q WHERE tsv @@ bm25_candidates(q) ORDER BY bm25f(tsv, q) DESC LIMIT 20))"""
FUSION = CANDIDATES + """
    SELECT id, .8 * maxsim(doc, :doc) / num_tokens(:doc) + .2 * bm25f(tsv, q) / bm25_bound(q) AS score
    FROM c JOIN {table} USING (id), q ORDER BY score DESC LIMIT 10"""
STAGES = {
    '`bm25_query`': "SELECT bm25_query('{table}_tsv_bm25', :text) IS NULL",
    'full text, best 100': 'SELECT id, bm25f(tsv, :words) AS score FROM {table} WHERE tsv @@ bm25_candidates(:words) ORDER BY score DESC LIMIT 100',
    'MaxSim, best 20': 'SELECT id FROM {table} ORDER BY doc <#> :doc LIMIT 20',
    'fusion, `bm25_query` as a parameter': """WITH c AS ((SELECT id FROM {table} ORDER BY doc <#> :doc LIMIT 20) UNION
          (SELECT id FROM {table} WHERE tsv @@ bm25_candidates(:words) ORDER BY bm25f(tsv, :words) DESC LIMIT 20))
    SELECT id, maxsim(doc, :doc) AS m, bm25f(tsv, :words) AS t, .8 * maxsim(doc, :doc) / num_tokens(:doc) + .2 * bm25f(tsv, :words) / bm25_bound(:words) AS score
    FROM c JOIN {table} USING (id) ORDER BY score DESC LIMIT 10""",
    'fusion, from a text': FUSION,
    **{f'two stages, {trees} trees': CANDIDATES + """
    SELECT id, rank_score((SELECT model FROM rankers WHERE trees = %d), maxsim_features(doc, :doc) || bm25f_features(tsv, q)) AS score
    FROM c JOIN {table} USING (id), q ORDER BY score DESC LIMIT 10""" % trees for trees in MODELS},
}


# ---- documents ----

def joined(one, other, generator):
    """Return a binary float2 multivector of half of the tokens of each of two, with noise, again of length 1."""
    tokens = [np.frombuffer(doc, '<f2', offset=HEADER).reshape(-1, DIMS).astype(np.float32) for doc in (one, other)]
    tokens = np.concatenate((tokens[0][:(len(tokens[0]) + 1) // 2], tokens[1][(len(tokens[1]) + 1) // 2:]))
    tokens += generator.standard_normal(tokens.shape, np.float32) * NOISE
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return one[:HEADER - 4] + struct.pack('<I', len(tokens)) + tokens.astype('<f2').tobytes()


def joined_texts(one, other):
    """Return the first half of the words of a text and the second half of another."""
    one, other = one.split(), other.split()
    return ' '.join(one[:(len(one) + 1) // 2] + other[(len(other) + 1) // 2:])


def copies_of(rows, copies):
    """Yield (id, title, body, multivector): the rows themselves, and then rows of two halves."""
    generator = np.random.default_rng(19)
    for k in range(copies):
        for i, (id, title, body, doc) in enumerate(rows):
            _, _, other, other_doc = rows[(i + k * SHIFT) % len(rows)]
            yield (id + k * ID_STEP, title, joined_texts(body, other), joined(doc, other_doc, generator)) if k else (id, title, body, doc)


def fill(conn, table, copies, step):
    """Fill a table of the documentation's form."""
    conn.execute(f"""CREATE TABLE {table} (id int PRIMARY KEY, title text, body text, doc multivector(128, float2),
        tsv tsvector GENERATED ALWAYS AS (setweight(to_tsvector('english', title), 'A') || to_tsvector('english', body)) STORED)""")
    conn.execute(f'ALTER TABLE {table} ALTER tsv SET STORAGE MAIN')
    rows = db.all_of(conn, 'SELECT id, title, t.body, multivector_send(doc) FROM passages JOIN medquad_texts AS t USING (id) ORDER BY id')
    with conn.cursor().copy(f'COPY {table} (id, title, body, doc) FROM STDIN (FORMAT binary)') as copy:
        copy.set_types(('int4', 'text', 'text', 'bytea'))
        for n, row in enumerate(copies_of(rows, copies)):
            copy.write_row(row)
            step.detail = f'{n} of {len(rows) * copies}'


def make_documents(conn, copies, method):
    """Return the name of a table with statistics and both indexes."""
    table = f'documents_{copies}_{method}'
    with Step(f'{copies} times 16,373 documents') as step:
        fill(conn, table, copies, step)
        conn.execute(f'CREATE INDEX ON {table} USING gin (tsv)')
        conn.execute(f"SELECT bm25_analyze('{table}', 'tsv', config => 'english')")
        conn.execute(f'VACUUM ANALYZE {table}')
    with Step(f'CREATE INDEX ... {method}') as step:
        db.build_index(f'CREATE INDEX ON {table} USING {method} (doc)', step)
    return table


# ---- models ----

def forest(trees, thresholds, generator):
    """Return LightGBM's text of complete trees, which compare random features with values that occur."""
    splits, join = LEAVES - 1, lambda values: ' '.join(map(str, values))
    child = lambda i: i if i < splits else splits - 1 - i   # of a heap; leaf number j is -1 - j
    text = f"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx={len(thresholds) - 1}\nfeature_names={join(f'f{i}' for i in range(len(thresholds)))}\n\n"
    for tree in range(trees):
        features = [generator.randrange(len(thresholds)) for _ in range(splits)]
        text += '\n'.join((f'Tree={tree}', f'num_leaves={LEAVES}', 'num_cat=0', f'split_feature={join(features)}',
                           f'threshold={join(repr(generator.choice(thresholds[f])) for f in features)}', f'decision_type={join([2] * splits)}',
                           f'left_child={join(child(2 * i + 1) for i in range(splits))}', f'right_child={join(child(2 * i + 2) for i in range(splits))}',
                           f'leaf_value={join(repr(generator.gauss(0, 1)) for _ in range(LEAVES))}', '\n'))
    return text + 'end of trees\n'


def make_rankers(conn, table):
    """Store models of random trees: their time depends on the number of trees and leaves alone."""
    features = conn.execute(f"""SELECT maxsim_features(doc, short) || bm25f_features(tsv, bm25_query('{table}_tsv_bm25', q.question))
        FROM questions q JOIN exact e ON e.question = q.id JOIN {table} d ON d.id = e.passage WHERE q.id % 50 = 0 AND rank % 5 = 0""").fetchall()
    thresholds, generator = list(zip(*(row for row, in features))), random.Random(19)
    conn.execute('CREATE TABLE rankers (trees int PRIMARY KEY, model rank_model)')
    for trees in MODELS:
        conn.execute('INSERT INTO rankers VALUES (%s, %s::text::rank_model)', (trees, forest(trees, thresholds, generator)))


# ---- time ----

class Stages:
    """The prepared statements of a table. Their parameters are binary, and sent directly through libpq."""

    def __init__(self, conn, table):
        self.conn, self.statements = conn, {}
        for label, sql in STAGES.items():
            sql, used = sql.replace('{table}', table), [name for name in PARAMETERS if name in sql]
            for n, name in enumerate(used, 1):
                sql = sql.replace(name, f'${n}')
            types = [conn.execute('SELECT %s::regtype::oid::int', (PARAMETERS[name],)).fetchone()[0] for name in used]
            self.statements[label] = f'{table} {label}'.encode(), used
            self.check(conn.pgconn.prepare(self.statements[label][0], sql.encode(), types))

    def check(self, result):
        if result.status not in (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(result.error_message.decode())

    def cpu(self, label, values):
        """Return the milliseconds of CPU that the backend spends on one execution. values: {parameter: bytes}."""
        name, used = self.statements[label]
        start = cpu_seconds(self.conn)
        self.check(self.conn.pgconn.exec_prepared(name, [values[parameter] for parameter in used], [1] * len(used)))
        return (cpu_seconds(self.conn) - start) * 1000


def questions(conn, table, n):
    """Return n questions, evenly spaced, as values of the parameters."""
    rows = db.all_of(conn, f"SELECT multivector_send(short), convert_to(question, 'UTF8'), bm25_query_send(bm25_query('{table}_tsv_bm25', question)) FROM questions ORDER BY id")
    return [dict(zip(PARAMETERS, rows[i * len(rows) // n])) for i in range(n)]


def measure(conn, table):
    """Return {stage: CPU milliseconds of each question}: the least of some rounds over all questions, because other load takes the processor's caches."""
    stages, asked, times = Stages(conn, table), questions(conn, table, QUESTIONS), {}
    for label in STAGES:
        rounds = [[stages.cpu(label, values) for values in asked] for _ in range(ROUNDS)]
        times[label] = [min(each) for each in zip(*rounds)]
    for values in questions(conn, table, FIRST):
        with db.connect() as new:
            times.setdefault('the first statement of a connection: fusion', []).append(Stages(new, table).cpu('fusion, from a text', values))
    return times


def latency(conn):
    """Print the CPU time of each stage: median and 95th percentile."""
    tables = {f'{16_373 * copies:,}, {method}': make_documents(conn, copies, method) for copies, method in TABLES}
    make_rankers(conn, next(iter(tables.values())))
    figures = [measure(conn, table) for table in tables.values()]
    print(f"\n| CPU ms per statement, median (95%) | {' | '.join(tables)} |\n|---|{'---|' * len(tables)}")
    for stage in figures[0]:
        print(f'| {stage} | ' + ' | '.join(f'{statistics.median(times[stage]):.2f} ({db.percentile(times[stage], .95):.2f})' for times in figures) + ' |')
