#!/usr/bin/python3
"""Run pg_upgrade from each server to the next, and check that indexes keep working without REINDEX. TAP output.

    pg_upgrade.py BINDIR BINDIR...     bin folders of servers that have the extension, oldest first

The indexes cover both methods, each quantizer and each operator class, and documents of every kind: merged, pending, dead and NULL. An
upgrade must keep their files byte for byte, and their answers, and the checker must find nothing. Then rows are inserted, deleted, merged
and vacuumed, and each must be found. Runs in the current folder, which it fills, as a user that initdb accepts.
"""
import os, re, subprocess, sys

METHODS = {'hnsw': 'tokens_per_node = 4', 'ivf': 'lists = 300'}     # so that a few rows suffice to create nodes
QUANTIZERS = ['sq8', 'sq4', 'pq', 'flat', 'bit']
OPERATORS = {'maxsim': '<#>', 'cosine': '<=>', 'l2': '<->'}
# name, access method, operators, quantizer, column type
INDEXES = [(f'{m}_{q}', m, 'maxsim', q, 'multivector(32)') for m in METHODS for q in QUANTIZERS]
INDEXES += [(f'{m}_{o}', m, o, 'sq8', t) for m in METHODS for o, t in (('cosine', 'multivector(32, float2)'), ('l2', 'multivector(32, int8)'))]
BY_INDEX = 'SET enable_seqscan = off; SET enable_sort = off;'
POOL = '''
CREATE TABLE pool AS SELECT id, (SELECT ('[' || string_agg(token, ',') || ']')::multivector FROM (
    SELECT '[' || string_agg(round(sin(id * 12.9898 + t * 78.233 + d * 37.719 + id * t * d)::numeric, 4)::text, ',') || ']' AS token
    FROM generate_series(1, 4 + id % 5) AS t, generate_series(1, 32) AS d GROUP BY t) AS tokens) AS doc
FROM generate_series(1, 900) AS id'''

tests = failed = 0


def ok(good, what, detail=''):
    global tests, failed
    tests += 1
    failed += not good
    print(('ok' if good else 'not ok'), tests, '-', what, flush=True)
    if not good and detail:
        print(re.sub('^', '# ', str(detail), flags=re.M), flush=True)


class Server:
    def __init__(self, bindir, number):
        self.bindir, self.data = bindir, os.path.abspath(f'data{number}')
        self.version = subprocess.run([f'{bindir}/pg_config', '--version'], capture_output=True, text=True, check=True).stdout.split()[1]
        self.tool('initdb', '-D', self.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--data-checksums')
        with open(self.data + '/postgresql.conf', 'a') as f:
            f.write(f"listen_addresses = ''\nunix_socket_directories = '{os.getcwd()}'\nautovacuum = off\njit = off\nmax_parallel_workers_per_gather = 0\n")

    def tool(self, name, *arguments):
        done = subprocess.run([f'{self.bindir}/{name}', *arguments], stdout=open('log', 'a'), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            print(open('log').read()[-8000:])
            sys.exit(f'Bail out! {name} of PostgreSQL {self.version} failed')

    def start(self):
        self.tool('pg_ctl', '-D', self.data, '-l', f'{self.data}/log', '-w', 'start')

    def stop(self):
        self.tool('pg_ctl', '-D', self.data, '-m', 'fast', '-w', 'stop')

    def sql(self, *statements):
        """Run statements in one session and return the output of the last."""
        commands = [c for s in statements for c in ('-c', s)]
        done = subprocess.run([f'{self.bindir}/psql', '-XAtq', '-h', os.getcwd(), '-U', 'postgres', '-v', 'ON_ERROR_STOP=1', 'postgres', *commands],
                              capture_output=True, text=True)
        return done.stdout + done.stderr


def fill(server):
    server.sql('CREATE EXTENSION colbert_pg', POOL)
    for name, method, operators, quantizer, column in INDEXES:
        server.sql(f'CREATE TABLE {name} (id int PRIMARY KEY, doc {column})',
                   f'INSERT INTO {name} SELECT * FROM pool WHERE id <= 400',
                   f"CREATE INDEX {name}_index ON {name} USING colbert_{method} (doc multivector_{operators}_ops) WITH (quantizer = '{quantizer}', {METHODS[method]})",
                   f'INSERT INTO {name} SELECT * FROM pool WHERE id BETWEEN 401 AND 460', f'VACUUM {name}',
                   f'DELETE FROM {name} WHERE id % 25 = 0', f'VACUUM {name}',
                   f'INSERT INTO {name} SELECT * FROM pool WHERE id BETWEEN 461 AND 500',
                   f'INSERT INTO {name} SELECT id, NULL FROM generate_series(1001, 1010) AS id')
        info = server.sql(f"SELECT quantizer, nodes > 0, pending_documents > 0, dead_documents > 0, null_documents FROM colbert_index_info('{name}_index')")
        ok(info == f'{quantizer}|t|t|t|10\n', f'{name}: nodes, pending, dead and NULL documents', info)


def look(server):
    """Return what an upgrade must preserve: the bytes of each index, after a CHECKPOINT, and its answers."""
    server.sql('CHECKPOINT')
    seen = {}
    for name, method, operators, quantizer, column in INDEXES:
        operator = OPERATORS[operators]
        seen[name, 'file'] = server.sql(f"SELECT md5(pg_read_binary_file(pg_relation_filepath('{name}_index')))")
        plan = server.sql(BY_INDEX, f"EXPLAIN (COSTS OFF) SELECT id FROM {name} ORDER BY doc {operator} '[[1]]' LIMIT 20")
        seen[name, 'plan'] = f'Index Scan using {name}_index' in plan
        seen[name, 'answers'] = server.sql(BY_INDEX, f'''SELECT q.id, array_agg(a.id ORDER BY a.d, a.id), array_agg(a.d ORDER BY a.d, a.id) FROM pool q,
            LATERAL (SELECT t.id, t.doc {operator} q.doc AS d FROM {name} t WHERE doc IS NOT NULL ORDER BY t.doc {operator} q.doc LIMIT 20) a
            WHERE q.id % 45 = 1 GROUP BY q.id ORDER BY q.id''')
    return seen


def is_sound(server, name, operators, when):
    operator = OPERATORS[operators]
    findings = server.sql(f"SELECT * FROM colbert_index_check('{name}_index', heapallindexed => true, rescore => true)")
    ok(findings == '', f'{name} {when}: the checker finds nothing', findings)
    by_index = server.sql(BY_INDEX, f"SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM {name} ORDER BY doc {operator} (SELECT doc FROM pool WHERE id = 7)) t")
    by_table = server.sql(f'SET enable_indexscan = off; SELECT count(*), count(DISTINCT id) FROM {name}')
    ok(by_index == by_table, f'{name} {when}: a whole scan has each row once', by_index + by_table)
    missing = server.sql(BY_INDEX, f'''SELECT r.id FROM {name} r WHERE doc IS NOT NULL AND NOT EXISTS (SELECT FROM (SELECT t.id FROM {name} t WHERE doc IS NOT NULL
        ORDER BY t.doc {operator} r.doc LIMIT 20) f WHERE f.id = r.id) LIMIT 10''')
    ok(missing == '', f'{name} {when}: each row is found by its own embedding', missing)


def change(server, name, hop):
    """Insert, delete, update and merge rows."""
    first = 500 + 60 * hop
    errors = server.sql(f'INSERT INTO {name} SELECT * FROM pool WHERE id BETWEEN {first + 1} AND {first + 40}',
                        f'DELETE FROM {name} WHERE id % 31 = {hop}', f"SELECT colbert_merge('{name}_index') >= 40",
                        f'UPDATE {name} t SET doc = p.doc FROM pool p WHERE t.id % 29 = {hop} AND p.id = t.id + 300', f'VACUUM {name}',
                        f'INSERT INTO {name} SELECT * FROM pool WHERE id BETWEEN {first + 41} AND {first + 60}')
    ok(errors == 't\n', f'{name}: inserts, deletes, updates, a merge, VACUUM', errors)


def main(bindirs):
    old = Server(bindirs[0], 0)
    old.start()
    fill(old)
    for hop, bindir in enumerate(bindirs[1:], 1):
        before = look(old)
        ok(all(v for (_, what), v in before.items() if what == 'plan'), f'PostgreSQL {old.version}: each search uses its index')
        old.stop()
        new = Server(bindir, hop)
        new.tool('pg_upgrade', '-b', old.bindir, '-B', bindir, '-d', old.data, '-D', new.data, '-U', 'postgres', '-s', os.getcwd())
        new.start()
        what = f'PostgreSQL {old.version} to {new.version}'
        new.sql('ANALYZE')
        after = look(new)
        for key in before:
            ok(before[key] == after[key], f'{what}: {key[0]}: same {key[1]}', f'{before[key]}\n{after[key]}'[:2000])
        for name, _, operators, _, _ in INDEXES:
            is_sound(new, name, operators, f'after {what}')
            change(new, name, hop)
            is_sound(new, name, operators, f'after changes in {new.version}')
        old = new
    old.stop()
    print(f'1..{tests}')
    sys.exit(failed != 0)


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1:])
