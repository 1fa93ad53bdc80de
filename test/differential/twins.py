"""Two schemas with the same tables, views, functions and policies, of which one has the indexes.

A statement is composed once and run twice, with `search_path` as the only difference: its answer in the schema `plain`, where no index of the
extension exists, is the truth for its answer in the schema `indexed`. Changes are made in both.
"""
import random
from typing import Any, NamedTuple

import psycopg

BASES = ('t', 'p', 'h', 'r')    # a table, a partitioned table, a table with an heir, and one with a policy
VIEWS = ('v', 'b', 'i')         # of t, of p with security_barrier, and of r with security_invoker
MEMBERS = {'p': ('p_a', 'p_low', 'p_high'), 'h': ('h', 'h_heir')}     # tables that have rows of their own
QUERIES = 4                     # rows of the table of queries
TABLES = """
CREATE TABLE queries (id int PRIMARY KEY, kind text, doc multivector({dims}));
CREATE TABLE t (gone int, id int PRIMARY KEY, kind text, pick int, doc {type});
ALTER TABLE t DROP gone;
CREATE TABLE p (id int, kind text, pick int, doc {type}) PARTITION BY LIST (kind);
CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a');
CREATE TABLE p_rest (pick int, doc {type}, id int, kind text) PARTITION BY RANGE (pick);
CREATE TABLE p_low PARTITION OF p_rest FOR VALUES FROM (MINVALUE) TO (300);
CREATE TABLE p_high PARTITION OF p_rest DEFAULT;
ALTER TABLE p ATTACH PARTITION p_rest DEFAULT;
CREATE INDEX ON p (id);
CREATE TABLE h (id int, kind text, pick int, doc {type});
CREATE TABLE h_heir (more text) INHERITS (h);
CREATE TABLE r (id int PRIMARY KEY, kind text, pick int, doc {type});
ALTER TABLE r ENABLE ROW LEVEL SECURITY;
CREATE VIEW v AS SELECT id, kind, pick, doc FROM t WHERE pick > 100;
CREATE VIEW b WITH (security_barrier) AS SELECT id, kind, pick, doc FROM p WHERE kind <> 'c';
CREATE VIEW i WITH (security_invoker) AS SELECT id, kind, pick, doc FROM r WHERE doc IS NOT NULL
"""
FOUND = 'RETURNS TABLE (id int, kind text, pick int, s float8) STABLE'
FUNCTIONS = """
CREATE FUNCTION asked() RETURNS multivector STABLE LANGUAGE sql AS 'SELECT doc FROM queries WHERE id = 1';
CREATE FUNCTION nearest(multivector, int) {found} LANGUAGE sql AS
    $f$ SELECT id, kind, pick, {score} FROM t ORDER BY 4 {direction}, 1 LIMIT $2 $f$;
CREATE FUNCTION nearest_owner(multivector, int) {found} LANGUAGE sql SECURITY DEFINER AS
    $f$ SELECT id, kind, pick, {score} FROM r ORDER BY 4 {direction}, 1 LIMIT $2 $f$;
CREATE FUNCTION nearest_query(multivector, int) {found} LANGUAGE plpgsql AS
    $f$ #variable_conflict use_column
    BEGIN RETURN QUERY SELECT id, kind, pick, {score} FROM p ORDER BY 4 {direction}, 1 LIMIT $2; END $f$;
CREATE FUNCTION nearest_loop(multivector, int) {found} LANGUAGE plpgsql AS
    $f$ #variable_conflict use_column
    BEGIN
        FOR id, kind, pick, s IN SELECT id, kind, pick, {score} FROM h ORDER BY 4 {direction}, 1 LOOP
            RETURN NEXT;
            $2 := $2 - 1;
            EXIT WHEN $2 <= 0;
        END LOOP;
    END $f$
"""
GRANTS = 'GRANT USAGE ON SCHEMA {0} TO reader; GRANT ALL ON ALL TABLES IN SCHEMA {0} TO reader'


class Metric(NamedTuple):
    """The order of an operator class: its function, its operator, and the direction in which near documents come first."""

    opclass: str
    function: str
    operator: str
    direction: str


METRICS = (Metric('multivector_maxsim_ops', 'maxsim', '<#>', 'DESC'), Metric('multivector_cosine_ops', 'maxsim_cosine', '<=>', 'DESC'),
           Metric('multivector_l2_ops', 'maxsim_l2', '<->', 'ASC'))


class Twins:
    """The two schemas of a round, and the random values that are in them.

    ties: whether rows may have equal scores. If not, a LIMIT needs no further sort key to have one answer.
    """

    def __init__(self, conn: psycopg.Connection[Any], rng: random.Random, log: list[str]) -> None:
        self.conn, self.random, self.log = conn, rng, log
        self.metric = rng.choice(METRICS)
        self.ties = rng.random() < .6
        self.dims = rng.choice((2, 3, 8, 17) if self.ties else (3, 8, 17))      # cosines of two dims may be equal by chance
        self.type = f"multivector({self.dims}{rng.choice(('', '', ', float2'))})"
        self.documents: list[str] = []
        self.next_id = 1
        self.policy = ''

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows if it has any."""
        self.log.append(statement)
        cursor = self.conn.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def enter(self, schema: str) -> None:
        self.run(f'SET search_path = {schema}, public')

    def both(self, statement: str) -> None:
        """Run a statement in both schemas."""
        for schema in ('plain', 'indexed'):
            self.enter(schema)
            self.run(statement)

    # ---- values ----

    def document(self, tokens: int = 5) -> str:
        """Return the text of a document: one that is in use, if there may be ties, or a new one."""
        rng = self.random
        if self.ties and self.documents and rng.random() < .3:
            return rng.choice(self.documents)
        digits = 1 if self.ties else 6
        rows = ([round(rng.gauss(0, 1), digits) for _ in range(self.dims)] for _ in range(rng.randint(1, tokens)))
        self.documents.append('[' + ','.join('[' + ','.join(map(repr, row)) + ']' for row in rows) + ']')
        return self.documents[-1]

    def row(self) -> str:
        """Return a row of values: id, kind, pick and doc. Documents are NULL only if there may be ties: NULLs are equal in any order."""
        rng, number = self.random, self.next_id
        self.next_id += 1
        doc = 'NULL' if self.ties and rng.random() < .05 else f"'{self.document()}'"
        return f"({number}, '{rng.choice('abc')}', {rng.randint(1, 1000)}, {doc})"

    def score(self, query: str, doc: str = 'doc') -> str:
        return f'{self.metric.function}({doc}, {query})'

    # ---- tables ----

    def make(self) -> str:
        """Create everything, and return a line about it."""
        rng = self.random
        self.run('DROP SCHEMA IF EXISTS plain, indexed CASCADE; CREATE SCHEMA plain; CREATE SCHEMA indexed')
        self.both(TABLES.format(type=self.type, dims=self.dims))
        queries = ', '.join(f"({number}, '{rng.choice('abc')}', '{self.document(3)}')" for number in range(1, QUERIES + 1))
        self.both(f'INSERT INTO queries VALUES {queries}')
        self.both(FUNCTIONS.format(found=FOUND, score=self.score('$1'), direction=self.metric.direction))
        early = rng.random() < .3
        if early:
            self.make_indexes()
        sizes = [self.fill(table, rng.choice((0, 12, 60, 250))) for table in (*BASES, 'h_heir')]
        if not early:
            self.make_indexes()
        self.policy = self.some_policy()
        self.both(f'CREATE POLICY shown ON r USING ({self.policy}) WITH CHECK (true)')
        for schema in ('plain', 'indexed'):
            self.run(GRANTS.format(schema))
        self.both('ANALYZE t, p, h, r, queries')
        return f"{self.metric.function}, {self.type}, {'ties, ' if self.ties else ''}{sum(sizes)} rows"

    def fill(self, table: str, count: int) -> int:
        if count:
            rows = ', '.join(self.row() for _ in range(count))
            self.both(f'INSERT INTO {table} (id, kind, pick, doc) VALUES {rows}')
        return count

    def make_indexes(self) -> None:
        """Create an index on each table, whose codes are exact, so that searches that examine everything are exact."""
        self.enter('indexed')
        for table in (*BASES, 'h_heir'):
            method = self.random.choice(('colbert_hnsw', 'colbert_ivf'))
            nodes = 'lists' if method == 'colbert_ivf' else 'tokens_per_node'
            options = self.random.choice(('', f', {nodes} = {self.random.choice((1, 4, 64))}'))
            self.run(f'CREATE INDEX ON {table} USING {method} (doc {self.metric.opclass}) WITH (quantizer = flat{options})')

    def some_policy(self) -> str:
        """Return the condition of a row-level security policy; one of them is a threshold."""
        rng = self.random
        query = '(SELECT doc FROM queries WHERE id = 2)'
        return rng.choice(("kind <> 'c'", f'pick <= {rng.randint(200, 900)}', 'kind IN (SELECT kind FROM queries)', self.over(query, 'r')))

    def over(self, query: str, table: str, doc: str = 'doc') -> str:
        """Return a comparison of the score with that of a row of the table, at a random rank."""
        rng, metric = self.random, self.metric
        spelled, near = (self.score(query, '{}'), '>' if metric.direction == 'DESC' else '<')
        if rng.random() < .3:
            spelled, near = f'{{}} {metric.operator} {query}', '<'
        measured = spelled.format('doc').replace(':q', f"'{self.documents[0]}'::multivector").replace('k.doc', f"'{self.documents[0]}'::multivector")
        self.enter('plain')
        found = self.run(f"SELECT s FROM (SELECT {measured} AS s FROM {table}) AS x WHERE s IS NOT NULL "
                         f"ORDER BY s {'DESC' if near == '>' else 'ASC'} OFFSET {rng.choice((0, 3, 30))} LIMIT 1")
        bound = f'({found[0][0]!r})::float8' if found else "'infinity'::float8"
        return f"{spelled.format(doc)} {near}{rng.choice(('', '='))} {rng.choice((bound, f'(SELECT {bound})'))}"

    # ---- changes ----

    def change(self) -> None:
        """Change a table in both schemas, or reorganize it."""
        rng = self.random
        table = rng.choice((*BASES, 'h_heir'))
        some = f'id % {rng.randint(3, 9)} = {rng.randint(0, 2)}'
        action = rng.choice(('insert', 'delete', 'update', 'move', 'vacuum', 'merge'))
        if action == 'insert':
            self.fill(table, rng.choice((1, 20, 80)))
        elif action == 'delete':
            self.both(f'DELETE FROM {table} WHERE {some}')
        elif action == 'update':
            self.both(f"UPDATE {table} SET doc = '{self.document()}' WHERE id = (SELECT min(id) FROM {table} WHERE {some})")
        elif action == 'move':
            self.both(f'UPDATE {table} SET pick = (pick * 7) % 1000 WHERE {some}')
        elif action == 'vacuum':
            self.both(f'VACUUM {table}')
        else:
            self.enter('indexed')
            for member in MEMBERS.get(table, (table,)):
                self.run(f"SELECT colbert_merge(indexrelid) FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid JOIN pg_am AS a ON a.oid = relam "
                         f"WHERE indrelid = '{member}'::regclass AND amname LIKE 'colbert%'")
