"""Run the demo on a running server: load MedQuAD, index it, ask real questions and measure. With the argument psql: load, index and open psql."""
import os, statistics, subprocess, sys, textwrap
import medquad_db as db
from progress import Step

QUESTIONS = ('what causes childhood brain stem glioma ?', 'how to diagnose chronic myelogenous leukemia ?', 'what are the symptoms of anal cancer ?')
SEARCH = 'SELECT body, maxsim(doc, $1) AS score\n  FROM passages ORDER BY maxsim(doc, $1) DESC LIMIT 5'
SEQUENTIAL = 20     # questions that are also timed with a sequential scan
WIDTH = 110

PSQL = r"""
\set ask 'SELECT id, round(maxsim(doc, :''q'')::numeric, 3) AS score, left(body, 90) AS passage FROM passages ORDER BY maxsim(doc, :''q'') DESC LIMIT 5;'
\pset linestyle unicode
\pset pager off
\timing on
\echo
\echo 'The tables are passages (id, source, body, doc) and questions (id, source, question, short, long). Ask your own question:'
\echo
\echo '    \\set q `/usr/bin/python3 data/medquad/encode.py query "how is gout treated?"`'
\echo '    :ask'
\echo
\echo 'or one of the 1,000 questions:'
\echo
\echo '    SELECT p.body FROM passages p ORDER BY maxsim(p.doc, (SELECT short FROM questions WHERE id = 7)) DESC LIMIT 5;'
\echo
\echo 'The server and its data are removed when you quit (\\q).'
"""


def prepare(conn):
    with Step('16,373 passages into a table') as step:
        db.load(conn, step)
    with Step('CREATE INDEX') as step:
        db.build_index('CREATE INDEX ON passages USING colbert_hnsw (doc)', step)
        step.result = conn.execute("SELECT pg_size_pretty(pg_relation_size('passages_doc_idx'))").fetchone()[0]


def show_answers(conn, question, query):
    print(f'\n\033[1m{question}\033[0m' if sys.stdout.isatty() else f'\n{question}')
    rows = conn.execute(SEARCH.replace('$1', '%s::multivector'), (query, query)).fetchall()
    for n, (body, score) in enumerate(rows, 1):
        lines = textwrap.wrap(body, WIDTH - 12, max_lines=2, placeholder=' ...')
        print(f'  {n}. {score:6.3f}  ' + ('\n' + ' ' * 13).join(lines))


def show_plan(conn, query):
    print('\nThe statement and its plan:\n\n  ' + SEARCH.replace('\n', '\n  ') + ';\n')
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute(f'PREPARE search AS {SEARCH}')
    for line, in conn.execute(f"EXPLAIN (COSTS OFF) EXECUTE search('{query}')"):
        print('  ' + line)
    conn.execute('RESET plan_cache_mode')


def ask_all(conn, indexscan, queries):
    """Return (milliseconds, answers) of the queries, warm. Prepare the statement after the SET, since an older one may keep its plan."""
    conn.execute(f'SET enable_indexscan = {indexscan}')
    asker = db.Asker(conn)
    asker.timed(queries[:len(queries) // 10])
    return asker.timed(queries)


def show_figures(conn):
    conn.execute('SET max_parallel_workers_per_gather = 0; SET jit = off')
    print()
    few, all_ = db.queries(conn, 'short', SEQUENTIAL), db.queries(conn, 'short', 1000)
    with Step(f'{SEQUENTIAL} questions without the index'):
        sequential, exact = ask_all(conn, 'off', few)
    with Step('1,000 questions with the index'):
        indexed, answers = ask_all(conn, 'on', all_)
    table = (('sequential scan, exact', sequential, db.recall(exact, db.tenth_scores(conn, 'short', few))),
             ('colbert_hnsw, defaults', indexed, db.recall(answers, db.tenth_scores(conn, 'short', all_))))
    print(f"\n  {'LIMIT 10':26}{'median ms':>12}{'95 % within':>14}{'recall@10':>12}")
    for label, times, share in table:
        print(f'  {label:26}{statistics.median(times):12.2f}{db.percentile(times, .95):14.2f}{share:12.3f}')
    print(f'\n  One connection, no parallel workers; {db.machine(conn)}.')


def main(argv):
    with db.connect() as conn:
        prepare(conn)
        if argv[1:] == ['psql']:
            startup = os.path.join(os.environ['PGHOST'], 'psqlrc')
            with open(startup, 'w') as f:
                f.write(PSQL)
            os.environ['PSQLRC'] = startup
            return subprocess.call(['psql'], cwd=db.ROOT)
        asked = dict(conn.execute('SELECT question, short::text FROM questions WHERE question = ANY(%s)', (list(QUESTIONS),)).fetchall())
        for question in QUESTIONS:
            show_answers(conn, question, asked[question])
        show_plan(conn, asked[QUESTIONS[0]])
        show_figures(conn)
        print('\n  The server has been stopped and its data removed. Next: make demo-psql, or Getting started in README.md.')
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv))
    except KeyboardInterrupt:
        sys.exit(130)
