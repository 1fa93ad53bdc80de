#!/usr/bin/python3
"""Check the documentation: its examples run, and its tables agree with the catalog. TAP output.

Runs on the server of PGHOST, in separate databases.
"""
import os, re, runpy, subprocess, sys
import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
count = failures = 0


def check(good, name, *details):
    global count, failures
    count += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        for detail in details:
            print('\n'.join('# ' + line for line in str(detail).splitlines()))


def finish():
    """Print the plan, and exit."""
    print(f'1..{count}')
    sys.exit(failures != 0)


def read(name):
    with open(os.path.join(ROOT, name)) as f:
        return f.read()


def database(name):
    with psycopg.connect(dbname='postgres', autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE {name}')
    # The current folder is not searched for modules: colbert_pg.so lies there.
    return dict(os.environ, PGDATABASE=name, PYTHONPATH=os.path.join(ROOT, 'clients', 'python', 'src'), PYTHONSAFEPATH='1')


def lines_of(output):
    """Return lines of output. Differences between versions of PostgreSQL, in the names of sub-selects, their parameters and windows, are removed."""
    output = re.sub(r'((?:Init|Sub)Plan) [a-z]+_(\d+)', r'\1 \2', output)
    output = re.sub(r'\(InitPlan (\d+)\)\.col1', lambda m: f'${int(m[1]) - 1}', output)
    output = re.sub(r'hashed SubPlan 1\)|ANY \(\w+ = \(hashed SubPlan 1\)\.col1\)\)', 'hashed SubPlan 1)', output)
    output = re.sub(r'^ *Window: .*\n', '', output, flags=re.M)
    output = re.sub(r'OVER w\d+', 'OVER (?)', output)
    return [re.sub(r'(InitPlan \d+) \(returns .*\)', r'\1', line.rstrip()) for line in output.splitlines() if line.strip()]


QUERY = f"'{[[1] + [0] * 127]}'"
EXAMPLE = re.compile(r'<!-- setup\n(.*?)-->|<!-- tour: (\w+) -->\n```\w+\n(.*?)```\n(?:<!-- output -->\n```\n(.*?)```)?', re.S)

# examples for servers that are not here, fenced as "sql external=NAME"
EXTERNAL = {'citus', 'patroni', 'pgpool', 'vectorchord', 'vespa', 'qdrant', 'pgvector', 'faiss', 'colbert'}
MAX_EXTERNAL = 25


def examples_run(page, number):
    """Check that each block after <!-- tour: LANGUAGE --> runs without an error and prints something. Each page has a separate database.

    SQL after <!-- setup runs first; readers do not see it. A block without SELECT, such as one of settings, need not print anything.

    Python has the package of clients/python.
    If a block after <!-- output --> follows, the output must be equal to it (SQL: unaligned rows only). $1 stands for a query of 128 dims.
    """
    env = database(f'docs_{number}')
    n = 0
    for setup, language, code, output in EXAMPLE.findall(read(page)):
        if setup:
            run = run_block('sql', setup, env, [])
            check(run.returncode == 0, f'{page}: set-up before example {n + 1} runs', run.stderr)
            continue
        n += 1
        run = run_block(language, code, env, ['-At'] * (output != ''))
        check(run.returncode == 0 and not run.stderr, f'{page}: example {n} ({language}) runs', run.stdout, run.stderr)
        check(run.stdout.strip() != '' or not re.search(r'\b(SELECT|EXPLAIN|print)\b', code), f'{page}: example {n} ({language}) prints something')
        if output:
            check(lines_of(run.stdout) == lines_of(output), f'{page}: example {n} ({language}) prints what is shown', run.stdout)


def run_block(language, code, env, options):
    command = ['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', *options] if language == 'sql' else ['/usr/bin/python3', '-']
    return subprocess.run(command, input=code.replace('$1', QUERY) if language == 'sql' else code, capture_output=True, text=True, cwd=ROOT, env=env)


def client_marks():
    """Return the comments before examples that the tests of clients/python run: these name them."""
    folder = os.path.join(ROOT, 'clients/python/tests')
    names = [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names if name.endswith('.py')]
    named = set(re.findall(r'(?:examples|blocks)\(\s*"(.*?)"\s*\)|<!-- ([\w ]+) -->', ''.join(read(name) for name in names)))
    return [f'<!-- {mark} -->' for pair in named for mark in pair if mark]


def all_examples_run(pages):
    """Check that a page has only examples that are run, and a few for other servers, which its text says by hand where they were tried."""
    elsewhere = []
    for page in pages:
        not_run = []
        marks = client_marks() if page == 'clients/python/README.md' else []
        for before, language, how, first in re.findall(r'(.*)\n```(sql|python)\b *(.*)\n(.*)', read(page)):
            if how.startswith('external='):
                elsewhere.append((page, how.removeprefix('external='), first))
            elif how or before not in (f'<!-- tour: {language} -->', *marks):
                not_run.append(first)
        check(not not_run, f'{page} has only examples that are run', *not_run)
    for page, name, first in elsewhere:
        print(f'# {page} ({name}) is not run: {first}')
    unknown = sorted({name for _, name, _ in elsewhere} - EXTERNAL)
    check(not unknown, f'examples that are not run are for {", ".join(sorted(EXTERNAL))}', *unknown)
    check(len(elsewhere) <= MAX_EXTERNAL, f'at most {MAX_EXTERNAL} examples are not run', len(elsewhere))


def table_after(text, marker):
    """Return the rows of the Markdown table after <!-- marker -->, without the header and without backquotes."""
    found = re.search(r'<!-- ' + re.escape(marker) + r' -->\n\|.*\n\|[-|: ]*\n((?:\|.*\n)+)', text)
    return [[re.sub(r'[`\\]', '', cell).strip() for cell in line.strip('|').split(' | ')] for line in found.group(1).splitlines()] if found else []


def same(documented, actual, name):
    documented, actual = sorted(set(documented)), sorted(set(actual))
    check(documented == actual, name, 'not documented: ' + ', '.join(map(str, sorted(set(actual) - set(documented)))),
          'documented, but missing: ' + ', '.join(map(str, sorted(set(documented) - set(actual)))))


def settings_are_known(conn, readme):
    conn.execute("LOAD 'colbert_pg'")
    known = {name for name, in conn.execute("SELECT name FROM pg_settings WHERE name LIKE 'colbert.%'")}
    named = set(re.findall(r'`(colbert\.\w+)', readme))
    check(named and named <= known, 'README.md names settings that exist', *sorted(named - known))


def planner_chooses(conn):
    """Check the numbers of rows from which the README's first search uses the index."""
    sizes = ('2 tokens of 4', 4, 2, 1000, False), ('2 tokens of 4', 4, 2, 1500, True), ('66 tokens of 128', 128, 66, 30, False), ('66 tokens of 128', 128, 66, 100, True)
    for name, dims, tokens, rows, by_index in sizes:
        conn.execute(f'CREATE TABLE notes (id bigint PRIMARY KEY, body text, doc multivector({dims}))')
        conn.execute(f"""INSERT INTO notes SELECT i, 'note', (SELECT multivector_agg(ARRAY(SELECT sin(i * t + n * n * i) FROM generate_series(1, {dims}) AS n)::real[])
            FROM generate_series(1, {tokens}) AS t) FROM generate_series(1, {rows}) AS i""")
        conn.execute('CREATE INDEX ON notes USING colbert_hnsw (doc)')
        conn.execute('ANALYZE notes')
        query = str([[1] + [0] * (dims - 1)] * 2)
        plan = conn.execute('EXPLAIN SELECT id, body, maxsim(doc, %s::text::multivector) AS score FROM notes ORDER BY score DESC LIMIT 2', (query,)).fetchall()
        check(('Index Scan using notes_doc_idx' in str(plan)) == by_index, f'README.md: {rows} rows of {name} dims are {"" if by_index else "not "}searched by the index', plan)
        conn.execute('DROP TABLE notes')


METHODS = ('colbert_hnsw', 'colbert_ivf')


README_LINES = 255
CELL_WIDTH = 200


def front_page_is_readable(readme):
    lines = readme.splitlines()
    check(len(lines) <= README_LINES, f'README.md has at most {README_LINES} lines', len(lines))
    first_screen = '\n'.join(lines[:25])
    check('make demo ' in first_screen and 'make test ' in first_screen, 'README.md has the two set-up commands in its first screen')
    wide = [line for line in lines if line.startswith('|') and max(map(len, line.split(' | '))) > CELL_WIDTH]
    check(not wide, f'README.md has no table cell of more than {CELL_WIDTH} characters', *wide)


def error_of(conn, statement):
    try:
        conn.execute(statement)
    except psycopg.Error as e:
        return e.diag.message_primary + ' ' + (e.diag.message_detail or '')
    return 'no error'


def reference_agrees(conn, rows):
    """Check doc/options.md: settings against pg_settings; options against CREATE INDEX and against the source."""
    conn.execute("LOAD 'colbert_pg'")
    actual = [(name.removeprefix('colbert.'), default, f'{low} to {high}' if low else ' '.join(words or (['on', 'off'] if kind == 'bool' else ['words'])))
              for name, default, low, high, words, kind in
              conn.execute("SELECT name, boot_val, min_val, max_val, enumvals, vartype FROM pg_settings WHERE name LIKE 'colbert.%'").fetchall()]
    same([(name, setting, values) for name, setting, _, _, values, _ in rows if setting != '-'], actual,
         'doc/options.md: names, defaults and ranges of settings are those of pg_settings')
    conn.execute('CREATE TABLE options_reference (doc multivector(4))')
    for name, _, *defaults, values, _ in rows:
        if values == 'schema.table':
            for method in METHODS:
                create = f'CREATE INDEX ON options_reference USING {method} (doc) WITH ({name} = '
                check(error_of(conn, create + 'schema.table)') == 'no error', f'{method} accepts a table as {name}')
                check('needs a schema' in error_of(conn, create + '-1)'), f'{method} accepts only a name with a schema as {name}')
    rows = [row for row in rows if row[4] != 'schema.table']
    for name, _, *defaults, values, _ in rows:
        for method, default in zip(METHODS, defaults):
            create = f'CREATE INDEX ON options_reference USING {method} (doc) WITH ({name} = '
            if default == '-':
                check('unrecognized parameter' in error_of(conn, create + '0)'), f'{method} has no option {name}')
                continue
            for value in [default] if ' to ' in values else values.split():
                error = error_of(conn, create + value + ')')
                check(error == 'no error', f'{method} accepts {name} = {value}', error)
            error = error_of(conn, create + '-1)')
            check(' to '.join(f'{float(n):.10g}' for n in re.findall(r'"([\d.]+)"', error)) == values or re.findall(r'"(\w+)"', error.split('Valid')[-1]) == values.split(),
                  f'{method} accepts the documented values of {name}', error, values)
    source = read('src/access/options.c')
    macros = dict(re.findall(r'#define (\w+)\s+(\w+)', source))
    found = re.findall(r'add_(?:int|real|enum)_reloption\(\s*(\w+), "(\w+)",\s*"[^"]*",\s*(?:quantizers, )?(\w+)', source)
    in_source = [(name, method, macros.get(default, default).removeprefix('CODEC_').lower()) for kind, name, default in found
                 for method in METHODS if kind in ('kind', method.removeprefix('colbert_') + '_kind')]
    same([(name, method, default) for name, _, *defaults, _, _ in rows for method, default in zip(METHODS, defaults) if default != '-'], in_source,
         'doc/options.md: names and defaults of options are those of the source')


def names_agree(conn, readme):
    """Check that the tables have exactly the functions, operators and operator classes that users call."""
    member = ("JOIN pg_depend d ON d.objid = {0}.oid AND d.classid = '{1}'::regclass AND d.deptype = 'e' "
              "JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'colbert_pg'")
    functions = conn.execute(f"""SELECT DISTINCT proname FROM pg_proc p {member.format('p', 'pg_proc')}
        WHERE 'internal'::regtype <> ALL (p.proargtypes) AND p.prorettype NOT IN ('index_am_handler'::regtype, 'internal'::regtype)
          AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid AND p.proname NOT IN ('maxsim_l2'))
          AND proname !~ '^multivector_(in|out|send|recv|typmod_in|typmod_out|hash|hash_extended|to_array|to_float8_array|to_json|to_jsonb)$'
          AND obj_description(p.oid, 'pg_proc') !~ '^(implementation of|I/O|internal)'""").fetchall()
    pages = readme + read('doc/ranking.md') + read('doc/monitoring.md')
    documented = [re.match(r'\w+', row[0]).group() for marker in ('functions', 'scores', 'ranking', 'seeing', 'monitoring') for row in table_after(pages, f'table: {marker}')]
    same(documented, [name for name, in functions], 'the tables of functions agree with the catalog')
    operators = conn.execute(f"SELECT oprname FROM pg_operator o {member.format('o', 'pg_operator')} WHERE oprname !~ '~'").fetchall()
    same([row[0] for row in table_after(readme, 'table: operators')], [name for name, in operators], 'the table of operators agrees with the catalog')
    classes = conn.execute(f"SELECT opcname FROM pg_opclass c {member.format('c', 'pg_opclass')} JOIN pg_am a ON a.oid = c.opcmethod "
                           "WHERE amname LIKE 'colbert%'").fetchall()
    same([row[0] for row in table_after(readme, 'table: operator classes')], [name for name, in classes], 'the table of operator classes agrees with the catalog')


def fan_out_agrees(conn):
    """Check doc/scale-out.md: the arguments of colbert_fan_out. All functions of its extension have a comment."""
    conn.execute('CREATE EXTENSION dblink; CREATE EXTENSION colbert_fan_out')
    names, = conn.execute("SELECT proargnames[:pronargs] FROM pg_proc WHERE proname = 'colbert_fan_out'").fetchone()
    same([row[0] for row in table_after(read('doc/scale-out.md'), 'table: fan_out')], names, 'doc/scale-out.md has the arguments of colbert_fan_out')
    bare = conn.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'colbert_fan_out%' AND obj_description(oid, 'pg_proc') IS NULL").fetchall()
    check(not bare, 'the functions of colbert_fan_out have comments', bare)


def suites_agree():
    suites = runpy.run_path(os.path.join(ROOT, 'tools/run-suites'))
    for page in ('CONTRIBUTING.md', 'test/README.md'):
        same([name for name, *_ in table_after(read(page), 'table: suites')], list(suites['SUITES']), f'{page} has the suites of run-suites')


def anchors(page):
    """Return the anchors of a page's headings, as GitHub generates them."""
    text = re.sub(r'^```.*?^```', '', read(page), flags=re.M | re.S)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in re.findall(r'^#+ +(.*?) *$', text, re.M)}


def links_lead_somewhere(pages):
    for page in pages:
        for target, anchor in sorted(set(re.findall(r'\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)', read(page)))):
            path = os.path.normpath(os.path.join(os.path.dirname(page), target)) if target else page
            good = os.path.exists(os.path.join(ROOT, path)) and (not anchor or anchor in anchors(path))
            check(good, f'{page}: link to {target}' + f'#{anchor}' * (anchor != ''))


def tables_are_narrow(pages):
    for page in pages:
        wide = [line for line in read(page).splitlines() if line.startswith('|') and max(map(len, line.split(' | '))) > CELL_WIDTH]
        check(not wide, f'{page} has no table cell of more than {CELL_WIDTH} characters', *wide)


def main():
    markdown = runpy.run_path(os.path.join(ROOT, 'tools/site/stage.py'))['markdown_files']()
    pages = ['README.md', 'clients/python/README.md'] + [name for name in markdown if name.startswith('doc/')]
    readme = read('README.md')
    for number, page in enumerate(pages):
        if '<!-- tour:' in read(page):
            examples_run(page, number)
    database('docs_catalog')
    with psycopg.connect(dbname='docs_catalog', autocommit=True) as conn:
        conn.execute('CREATE EXTENSION colbert_pg')
        settings_are_known(conn, readme)
        planner_chooses(conn)
        reference_agrees(conn, table_after(read('doc/options.md'), 'table: settings and options'))
        names_agree(conn, readme)
        fan_out_agrees(conn)
    suites_agree()
    front_page_is_readable(readme)
    all_examples_run(pages)
    tables_are_narrow([name for name in markdown if name not in ('README.md', 'CHANGELOG.md')])
    links_lead_somewhere(markdown)
    finish()


if __name__ == '__main__':
    main()
