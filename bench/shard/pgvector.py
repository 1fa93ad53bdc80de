"""Measure pgvector's recipe in SQL on MedQuAD: one row per token, an hnsw index, the union of the K nearest tokens of each query token, and
exact scores of their documents.

Debian 13 packages a pgvector with hnsw, so its server runs in a chroot of that release: --chroot DIR, or build/shard/trixie, created with
debootstrap. Its data remain there, in /srv/shard; for another collection than medquad, in a folder such as /srv/shard-neural. If any of this
is impossible, the result is the reason.
"""
import os, shutil, struct, subprocess
import chroots
import medquad_db as db
import numpy as np
import psycopg
from progress import Step
from shard import data
from shard.load import copy_in, thinned
from shard.ours import KINDS, latency
from trade_off.clock import Clock

RELEASE, BIN = 'trixie', '/usr/lib/postgresql/17/bin'
PACKAGES = ('postgresql-17', 'postgresql-17-pgvector')
HOME = '/srv/shard' + db.COLLECTION.removeprefix('medquad')    # in the chroot
PORT = 5563
SETTINGS = ((50, 50), (50, 100), (100, 200), (200, 400))       # K, hnsw.ef_search
QUERIES = 100
BLOCK = 65536           # rows per COPY
STATEMENT = '''
WITH q AS MATERIALIZED (SELECT n, v FROM unnest($1::vector[]) WITH ORDINALITY AS u(v, n)),
near AS (SELECT DISTINCT t.doc FROM q CROSS JOIN LATERAL (SELECT doc FROM tokens ORDER BY tokens.v <#> q.v LIMIT {k}) AS t)
SELECT doc, sum(best) AS score
FROM (SELECT t.doc, q.n, max(-(t.v <#> q.v)) AS best FROM near JOIN tokens AS t USING (doc) CROSS JOIN q GROUP BY t.doc, q.n) AS s
GROUP BY doc ORDER BY score DESC LIMIT 10'''


class Skip(Exception):
    """The reason why pgvector cannot be measured here."""


def vectors(tokens):
    """Convert the rows of a matrix to binary values of type vector."""
    rows = np.empty(len(tokens), [('dim', '>i2'), ('unused', '>i2'), ('x', '>f4', tokens.shape[1])])
    rows['dim'], rows['unused'], rows['x'] = tokens.shape[1], 0, tokens
    return rows


def vector_array(tokens, type_oid):
    """Convert a matrix to a binary vector[]."""
    rows = vectors(tokens)
    return struct.pack('!iiIii', 1, 0, type_oid, len(rows), 1) + b''.join(struct.pack('!i', rows.itemsize) + row.tobytes() for row in rows)


class Chroot:
    def __init__(self, path, log):
        self.path, self.log = path, log

    def command(self, *command):
        return ['chroot', self.path, *command]

    def must(self, why, command):
        with open(self.log, 'a') as log:
            if subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=dict(os.environ, DEBIAN_FRONTEND='noninteractive', LC_ALL='C.UTF-8', PATH='/usr/sbin:/usr/bin:/sbin:/bin')).returncode:
                raise Skip(f'{why}: {self.log}')

    def prepare(self):
        if os.getuid():
            raise Skip('a chroot needs root')
        if not os.path.exists(self.path + '/usr/bin/apt-get'):
            if not shutil.which('debootstrap'):
                raise Skip('no debootstrap (package debootstrap)')
            self.must(f'debootstrap cannot create {RELEASE}', ['debootstrap', '--variant=minbase', f'--keyring={chroots.KEYRING}', RELEASE, self.path, chroots.mirror(), *chroots.script_for(RELEASE)])
            self.deny_services()
            self.must('apt-get update fails', self.command('apt-get', 'update', '-q'))
        if not os.path.exists(f'{self.path}{BIN}/../lib/vector.so'):
            self.deny_services()
            self.must(f"no {' or no '.join(PACKAGES)}", self.command('apt-get', 'install', '-q', '-y', '--no-install-recommends', *PACKAGES))

    def deny_services(self):
        """Prevent packages from starting servers."""
        path = self.path + '/usr/sbin/policy-rc.d'
        with open(path, 'w') as f:
            f.write('#!/bin/sh\nexit 101\n')
        os.chmod(path, 0o755)

    def server(self, what, *arguments):
        self.must(f'its server: pg_ctl {what}', self.command('runuser', '-u', 'postgres', '--', f'{BIN}/pg_ctl', '-D', f'{HOME}/data', '-l', f'{HOME}/log', '-w', '-t', '600', *arguments, what))

    def start(self):
        self.must('no folder for its server', self.command('install', '-d', '-o', 'postgres', HOME))
        if not os.path.exists(f'{self.path}{HOME}/data/PG_VERSION'):
            self.must('initdb', self.command('runuser', '-u', 'postgres', '--', f'{BIN}/initdb', '-D', f'{HOME}/data', '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'))
            # The chroot has no /dev/shm
            with open(f'{self.path}{HOME}/data/postgresql.conf', 'a') as f:
                f.write(f"listen_addresses = ''\nunix_socket_directories = '{HOME}'\nport = {PORT}\ndynamic_shared_memory_type = mmap\nmax_wal_size = '4GB'\n"
                        "shared_buffers = '4GB'\nmaintenance_work_mem = '3GB'\njit = off\nautovacuum = off\nmax_parallel_workers_per_gather = 0\n")
        self.server('start')

    def connect(self):
        return psycopg.connect(host=self.path + HOME, port=PORT, user='postgres', dbname='postgres', autocommit=True, prepare_threshold=None)


class Pgvector:
    def __init__(self, conn, medquad, options, log):
        """conn: connection to our server, for the exact scores of the sample."""
        self.tokens = {kind: dict(queries) for kind, queries in medquad.queries('passages').items()}
        self.medquad, self.processor = medquad, options.processor
        self.chroot = Chroot(os.path.abspath(options.chroot), log)
        rows = conn.execute('SELECT kind, id, tenth FROM bench_exact ORDER BY kind, id').fetchall()
        self.sample = {kind: thinned([(id, tenth) for name, id, tenth in rows if name == kind], QUERIES) for kind in KINDS}

    def load(self, conn):
        conn.execute('DROP TABLE IF EXISTS tokens; CREATE EXTENSION IF NOT EXISTS vector; CREATE TABLE tokens (doc int, v vector(128))')
        doc_of = np.repeat(np.arange(1, len(self.medquad.lengths) + 1), self.medquad.lengths)
        fields = np.dtype([('fields', '>i2'), ('doc_size', '>i4'), ('doc', '>i4'), ('size', '>i4'), ('v', vectors(self.medquad.floats[:1]).dtype)])
        for i in range(0, len(doc_of), BLOCK):
            rows = np.empty(len(doc_of[i:i + BLOCK]), fields)
            rows['fields'], rows['doc_size'], rows['doc'], rows['size'] = 2, 4, doc_of[i:i + BLOCK], fields['v'].itemsize
            rows['v'] = vectors(self.medquad.floats[i:i + BLOCK])
            copy_in(conn, 'COPY tokens FROM STDIN (FORMAT binary)', data.COPY_START + rows.tobytes() + data.COPY_END)
        conn.execute('CREATE INDEX ON tokens (doc)')
        conn.execute('VACUUM ANALYZE tokens')

    def build(self, conn):
        if not conn.execute("SELECT to_regclass('tokens_v') IS NOT NULL").fetchone()[0]:
            with Step('pgvector: load'):
                self.load(conn)
            with Step('pgvector: build') as step:
                conn.execute('CREATE INDEX tokens_v ON tokens USING hnsw (v vector_ip_ops) WITH (m = 16, ef_construction = 64)')
            self.seconds = step.seconds
        else:
            self.seconds = None
        return conn.execute("SELECT pg_relation_size('tokens_v')").fetchone()[0] / len(self.medquad.floats)

    def ask(self, conn, kind, k, width, oid):
        queries = [(id, vector_array(self.tokens[kind][id], oid)) for id, _ in self.sample[kind]]
        conn.execute(f'SET hnsw.ef_search = {width}')
        asker = db.Asker(conn, STATEMENT.format(k=k))
        asker.timed(queries[:10])
        times, answers = Clock(conn.info.backend_pid if self.processor else None).ask(asker, queries)
        return {'setting': f'K={k} ef={width}', **latency(times), 'recall': db.recall(answers, [tenth - 1e-5 for _, tenth in self.sample[kind]])}

    def measure(self):
        """Return a row like those of peers.py, or raise Skip."""
        with Step('pgvector: its server'):
            self.chroot.prepare()
            self.chroot.start()
        try:
            with self.chroot.connect() as conn:
                size = self.build(conn)
                version, oid = conn.execute("SELECT extversion, 'vector'::regtype::oid::bigint FROM pg_extension WHERE extname = 'vector'").fetchone()
                row = {'label': f'pgvector {version}, SQL', 'build': self.seconds, 'bytes': size}
                with Step('pgvector: queries') as step:
                    for kind in KINDS:
                        step.detail = kind
                        row[kind] = [self.ask(conn, kind, k, width, oid) for k, width in SETTINGS]
        finally:
            self.chroot.server('stop', '-m', 'fast')
        return row
