"""CPU time of each stage of a ranked search: the statements of doc/ranking.md on MedQuAD, and on ten copies of it.

A copy has other ids, a word of its own in each body, and noise in each token vector, so that no two documents are equal.
"""
import random, statistics
import numpy as np
import psycopg
import medquad_db as db
from progress import Step

COPIES = 10
ID_STEP = 100_000   # between the ids of two copies
NOISE = .5          # length of the vector that is added to a token
HEADER = 8          # bytes of the binary format before the tokens
WARM, ROUNDS, FIRST = 20, 200, 20
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

def noisy(doc, generator):
    """Return a binary float2 multivector of unit tokens with noise added."""
    tokens = np.frombuffer(doc, '<f2', offset=HEADER).reshape(-1, 128).astype(np.float32)
    tokens = tokens + generator.standard_normal(tokens.shape, np.float32) * (NOISE / 128 ** .5)
    return doc[:HEADER] + (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).astype('<f2').tobytes()


def fill(conn, table, copies, step):
    """Fill a table of the documentation's form."""
    conn.execute(f"""CREATE TABLE {table} (id int PRIMARY KEY, title text, body text, doc multivector(128, float2),
        tsv tsvector GENERATED ALWAYS AS (setweight(to_tsvector('english', title), 'A') || to_tsvector('english', body)) STORED)""")
    conn.execute(f'ALTER TABLE {table} ALTER tsv SET STORAGE MAIN')
    generator = np.random.default_rng(19)
    rows = conn.execute('SELECT id, title, t.body, multivector_send(doc) FROM passages JOIN medquad_texts AS t USING (id)', binary=True).fetchall()
    with conn.cursor().copy(f'COPY {table} (id, title, body, doc) FROM STDIN (FORMAT binary)') as copy:
        copy.set_types(('int4', 'text', 'text', 'bytea'))
        for k in range(copies):
            step.detail = f'copy {k + 1} of {copies}'
            for id, title, body, doc in rows:
                copy.write_row((id + k * ID_STEP, title, f'{body} copy{k}' if k else body, noisy(doc, generator) if k else doc))


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

def cpu_milliseconds(conn):
    """Return the CPU time of a backend, by the kernel's scheduler, which counts nanoseconds."""
    with open(f'/proc/{conn.info.backend_pid}/schedstat') as f:
        return int(f.read().split()[0]) / 1e6


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
        start = cpu_milliseconds(self.conn)
        self.check(self.conn.pgconn.exec_prepared(name, [values[parameter] for parameter in used], [1] * len(used)))
        return cpu_milliseconds(self.conn) - start


def questions(conn, table, n):
    """Return n questions, evenly spaced, as values of the parameters."""
    rows = db.all_of(conn, f"SELECT multivector_send(short), convert_to(question, 'UTF8'), bm25_query_send(bm25_query('{table}_tsv_bm25', question)) FROM questions ORDER BY id")
    return [dict(zip(PARAMETERS, rows[i * len(rows) // n])) for i in range(n)]


def measure(conn, table):
    """Return {stage: CPU milliseconds of each execution}.

    The stages take turns, so that other load affects all of them alike, with different questions, so that none finds its data in the processor's cache.
    """
    stages, times, asked = Stages(conn, table), {}, questions(conn, table, WARM + ROUNDS)
    for i in range(len(asked)):
        for k, label in enumerate(STAGES):
            times.setdefault(label, []).append(stages.cpu(label, asked[(i + k * len(asked) // len(STAGES)) % len(asked)]))
    times = {label: values[WARM:] for label, values in times.items()}
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
