"""Milliseconds of CPU that a search costs the coordinator and the shards, by the engine that joins them.

Databases of one server stand for shards of MedQuAD, and its first database is the coordinator. One index and partitions of one table hold the
same passages. Citus, where its library is installed, keeps its shards in the coordinator's database, whose other backends are those of the shards. The figures are the sums of the backends' own times, so that neither the client nor waiting counts.
"""
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import medquad_db as db
from users import load, processor_ms, run

SHARDS = 4          # by default
KINDS = ('short', 'long')
QUESTIONS = 100
ROUNDS = 3
SETTINGS = "SET jit = off; SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0; SET maintenance_work_mem = '512MB'"
TOP = 'SELECT id, maxsim(doc, $1) AS score FROM {} ORDER BY score DESC LIMIT 10'


class Cost(NamedTuple):
    """CPU milliseconds per search, its recall@10, and the milliseconds that the client waited for each."""
    coordinator: float
    shards: float
    recall: float
    waited: list[float]


class Engine(NamedTuple):
    """How to ask: a statement of the coordinator, with the query as $1, that returns id and score."""
    label: str
    extension: str          # which it needs
    prepare: Callable[[Any], None]
    statement: str


def one_index(conn: Any) -> None:
    run(conn, 'CREATE INDEX ON passages USING colbert_ivf (doc)')


def partitions(conn: Any, n: int) -> None:
    parts = f'parts_{n}'
    run(conn, f'CREATE TABLE {parts} (id int, doc multivector(128, float2)) PARTITION BY HASH (id)',
        *[f'CREATE TABLE {parts}_{i} PARTITION OF {parts} FOR VALUES WITH (MODULUS {n}, REMAINDER {i})' for i in range(n)],
        f'INSERT INTO {parts} SELECT id, doc FROM passages', f'CREATE INDEX ON {parts} USING colbert_ivf (doc)', f'VACUUM ANALYZE {parts}')


def servers(conn: Any, n: int, wrapper: str, options: str = '') -> None:
    """Create a foreign server for each shard, named by its wrapper."""
    for i in range(n):
        run(conn, f"CREATE SERVER {wrapper}_{i} FOREIGN DATA WRAPPER {wrapper} OPTIONS (host '{conn.info.host}', port '{conn.info.port}', "
            f"dbname 'shard_{i}'{options})", f'CREATE USER MAPPING FOR CURRENT_USER SERVER {wrapper}_{i}')


def fan_out(conn: Any, n: int) -> None:
    run(conn, 'CREATE EXTENSION dblink', 'CREATE EXTENSION colbert_fan_out')
    servers(conn, n, 'dblink_fdw')


def foreign_tables(conn: Any, n: int) -> None:
    run(conn, 'CREATE EXTENSION postgres_fdw')
    servers(conn, n, 'postgres_fdw', ", extensions 'colbert_pg', fetch_size '10', async_capable 'true'")
    run(conn, 'CREATE TABLE everywhere (id int, doc multivector(128, float2)) PARTITION BY HASH (id)',
        *[f'CREATE FOREIGN TABLE everywhere_{i} PARTITION OF everywhere FOR VALUES WITH (MODULUS {n}, REMAINDER {i}) '
          f"SERVER postgres_fdw_{i} OPTIONS (table_name 'passages')" for i in range(n)])


def hex_form(conn: Any, n: int) -> None:
    """Have the shards of postgres_fdw write documents in hex."""
    run(conn, *[f"ALTER SERVER postgres_fdw_{i} OPTIONS (ADD options '-c colbert.multivector_output=hex')" for i in range(n)])


def plproxy(conn: Any, n: int) -> None:
    hosts = ', '.join(f"p{i} 'host={conn.info.host} port={conn.info.port} dbname=shard_{i}'" for i in range(n))
    run(conn, 'CREATE EXTENSION plproxy', f'CREATE SERVER shards FOREIGN DATA WRAPPER plproxy OPTIONS ({hosts})',
        'CREATE USER MAPPING FOR CURRENT_USER SERVER shards',
        f"""CREATE FUNCTION search_shards(query multivector) RETURNS TABLE (id int, score float8) LANGUAGE plproxy AS $$
            CLUSTER 'shards'; RUN ON ALL; {TOP.format('passages').replace('$1', 'query')};
        $$""")


def citus(conn: Any, n: int) -> None:
    """Distribute the passages over shards of the coordinator itself."""
    run(conn, 'CREATE EXTENSION citus', f"SELECT citus_set_coordinator_host('{conn.info.host}', {conn.info.port})",
        "SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', true) FROM pg_dist_node",
        'CREATE TABLE spread (id int, doc multivector(128, float2))', f"SELECT create_distributed_table('spread', 'id', shard_count => {n})",
        'INSERT INTO spread SELECT id, doc FROM passages', 'CREATE INDEX ON spread USING colbert_ivf (doc)', 'VACUUM ANALYZE spread')


ONE_INDEX = Engine('one index', 'colbert_pg', one_index, TOP.format('passages'))
PARTITIONS = (ONE_INDEX, *[Engine(f'{n} partitions', 'colbert_pg', functools.partial(partitions, n=n), TOP.format(f'parts_{n}')) for n in (4, 16, 64)])


def engines_of(n: int) -> tuple[Engine, ...]:
    """Return the engines with n shards, in the order in which they are prepared."""
    servers_of = '{' + ','.join(f'dblink_fdw_{i}' for i in range(n)) + '}'

    def engine(label: str, extension: str, prepare: Callable[[Any, int], None], statement: str) -> Engine:
        return Engine(label, extension, functools.partial(prepare, n=n), statement)

    return (
        ONE_INDEX,
        engine('partitions', 'colbert_pg', partitions, TOP.format(f'parts_{n}')),
        engine('PL/Proxy', 'plproxy', plproxy, 'SELECT * FROM search_shards($1) ORDER BY score DESC LIMIT 10'),
        engine('colbert_fan_out', 'colbert_fan_out', fan_out,
               "SELECT (hit ->> 'id')::int AS id, score FROM colbert_fan_out(format('SELECT id, maxsim(doc, %L) AS score FROM passages ORDER BY score DESC', "
               f"$1::multivector), 10, '{servers_of}', patience => NULL)"),
        engine('postgres_fdw, JSON', 'postgres_fdw', foreign_tables, TOP.format('everywhere')),
        engine('postgres_fdw, hex', 'postgres_fdw', hex_form, TOP.format('everywhere')),
        engine('Citus', 'citus', citus, TOP.format('spread')),
    )


def make_shards(conn: Any, n: int) -> None:
    """Load the passages of each shard into its own database."""
    run(conn, 'CREATE EXTENSION IF NOT EXISTS colbert_pg', 'CREATE TABLE whole (id int) PARTITION BY HASH (id)')
    load(conn)
    for i in range(n):
        run(conn, f'CREATE DATABASE shard_{i}', f'CREATE TABLE whole_{i} PARTITION OF whole FOR VALUES WITH (MODULUS {n}, REMAINDER {i})')
        of_shard = f"SELECT * FROM passages WHERE satisfies_hash_partition('whole'::regclass, {n}, {i}, id)"
        run(conn, f'ALTER DATABASE shard_{i} SET jit = off', f'ALTER DATABASE shard_{i} SET enable_seqscan = off')
        with db.connect(dbname=f'shard_{i}') as shard:
            run(shard, 'CREATE EXTENSION colbert_pg', SETTINGS, db.TABLES['passages'])
            with conn.cursor() as source, shard.cursor() as target, target.copy('COPY passages FROM STDIN (FORMAT binary)') as into, \
                    source.copy(f'COPY ({of_shard}) TO STDOUT (FORMAT binary)') as out:
                for data in out:
                    into.write(data)
            run(shard, 'CREATE INDEX ON passages USING colbert_ivf (doc)', 'VACUUM ANALYZE passages')


def backends(conn: Any) -> dict[int, bool]:
    """Return the backends by process id, true if they serve a shard."""
    return dict(conn.execute("SELECT pid, datname <> current_database() OR application_name LIKE 'citus_internal%' FROM pg_stat_activity WHERE backend_type = 'client backend'").fetchall())


def ask_all(conn: Any, asker: db.Asker, questions: list[tuple[int, bytes]], tenths: list[float]) -> Cost:
    """Ask all questions once."""
    before = {pid: processor_ms(pid) for pid in backends(conn)}
    waited, answers = asker.timed(questions)
    spent = [0.0, 0.0]
    for pid, of_shard in backends(conn).items():
        spent[of_shard] += processor_ms(pid) - before.get(pid, 0)
    return Cost(spent[0] / len(questions), spent[1] / len(questions), db.recall(answers, tenths), waited)


def cost(conn: Any, engine: Engine, kind: str) -> Cost:
    """Return the best of several rounds, warm."""
    questions = db.queries(conn, kind, QUESTIONS)
    asker = db.Asker(conn, engine.statement)
    asker.timed(questions[:20])
    tenths = exact_tenths(conn, kind, questions)
    return min((ask_all(conn, asker, questions, tenths) for _ in range(ROUNDS)), key=lambda cost: cost.coordinator + cost.shards)


def shard_alone(conn: Any, kind: str) -> list[float]:
    """Return the milliseconds of each search of one shard."""
    with db.connect(dbname='shard_0') as shard:
        asker = db.Asker(shard, TOP.format('passages'))
        questions = db.queries(conn, kind, QUESTIONS)
        asker.timed(questions)
        return [min(times) for times in zip(*(asker.timed(questions)[0] for _ in range(ROUNDS)), strict=True)]


def exact_tenths(conn: Any, kind: str, questions: list[tuple[int, bytes]]) -> list[float]:
    """Return exact tenth scores, which are computed once per kind and kept in a table."""
    run(conn, f'CREATE TABLE IF NOT EXISTS tenths_{kind} (tenth float8[])')
    kept = conn.execute(f'SELECT tenth FROM tenths_{kind}').fetchone()
    if kept is None:
        run(conn, 'SET enable_indexscan = off', 'SET enable_seqscan = on')
        asker = db.Asker(conn, TOP.format('passages'))
        kept = ([answer[-1][1] for answer in asker.timed(questions)[1]],)
        run(conn, 'SET enable_indexscan = on', 'SET enable_seqscan = off')
        conn.execute(f'INSERT INTO tenths_{kind} VALUES (%s)', kept)
    tenths: list[float] = kept[0]
    return tenths


def measure_partitions() -> Iterator[tuple[str, str, Cost]]:
    """Yield the cost of one index and of partitions of one table, for each kind of question."""
    with db.connect() as conn:
        run(conn, 'CREATE EXTENSION IF NOT EXISTS colbert_pg')
        load(conn)
        run(conn, SETTINGS)
        for engine in PARTITIONS:
            engine.prepare(conn)
            for kind in KINDS:
                yield engine.label, kind, cost(conn, engine, kind)


def measure(n: int) -> Iterator[tuple[str, str, Cost, list[float]]]:
    """Yield the cost of each engine that the server has, for each kind of question, and the milliseconds of a shard alone."""
    with db.connect() as conn:
        make_shards(conn, n)
        run(conn, SETTINGS)
        alone = {kind: shard_alone(conn, kind) for kind in KINDS}
        there = {name for name, in conn.execute('SELECT name FROM pg_available_extensions').fetchall()}
        for engine in engines_of(n):
            if engine.extension not in there:
                print(f'{engine.label}: not measured, because the server has no extension {engine.extension}')
                continue
            engine.prepare(conn)
            for kind in KINDS:
                yield engine.label, kind, cost(conn, engine, kind), alone[kind]
