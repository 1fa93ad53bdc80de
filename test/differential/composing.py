"""Compose random statements from forms of SQL that contain each other.

A *source* is a SELECT with the columns id, kind, pick and s, a score. Sources are made of sources: a join of two, a window over one, and so on, so
a form needs no knowledge of the others. Each has one answer, up to the order of its rows: an order that decides which rows come is total, unless
the table has no equal scores.

`:q` and `:n` in a statement are a query and a small number, which its runner replaces by values or by parameters.
"""
import random

from twins import BASES, QUERIES, VIEWS, Twins

COLUMNS = 'id, kind, pick, s'


class Composer:
    """Makes statements over the tables of a round.

    After each, first_rows says whether its answer depends on the first rows of a search, and threshold whether it depends on a threshold.
    """

    def __init__(self, rng: random.Random, twins: Twins) -> None:
        self.random, self.twins = rng, twins
        self.near, self.far = (twins.metric.direction, {'ASC': 'DESC', 'DESC': 'ASC'}[twins.metric.direction])
        self.total = f's {self.near}, id, kind, pick'       # an order of all columns, near documents first
        self.first_rows = self.threshold = False

    def query(self) -> str:
        """Return a query, constant within a statement."""
        return self.random.choice((':q', ':q', f'(SELECT doc FROM queries WHERE id = {self.random.randint(1, QUERIES)})',
                                   'asked()', f"'{self.twins.document(3)}'::multivector"))

    def number(self) -> str:
        return self.random.choice((':n', str(self.random.choice((1, 2, 5, 20)))))

    # ---- one table ----

    def condition(self, table: str, query: str) -> str:
        """Return a condition on a table or view that is called x, or nothing."""
        rng = self.random
        if rng.random() < .2:
            self.threshold = True
            return f" WHERE {self.twins.over(query, table, 'x.doc')}"
        found = rng.choice(('', '', '', 'x.doc IS NOT NULL', f'x.pick <= {rng.randint(1, 1000)}', "x.kind IN ('a', 'b')",
                            f'x.id % 7 = {rng.randint(0, 6)}', 'EXISTS (SELECT FROM queries AS e WHERE e.kind = x.kind)',
                            'x.kind = (SELECT min(kind) FROM queries)', 'x.kind NOT IN (SELECT kind FROM queries WHERE id < 3)',
                            f'x.pick > (SELECT avg(pick) FROM {rng.choice(BASES)})',
                            'x.id = ANY (ARRAY(SELECT id FROM t UNION ALL SELECT id FROM p))'))
        return f' WHERE {found}' if found else ''

    def rows(self, query: str) -> str:
        """Return the rows of a table or view, with their scores."""
        table = self.random.choice((*BASES, *VIEWS))
        where = self.condition(table, query)
        return f"SELECT x.id, x.kind, x.pick, {self.twins.score(query, 'x.doc')} AS s FROM {table} AS x{where}"

    def scan(self) -> str:
        """Return the rows of a table in no order, or in the order of their scores, with the rest of the sort key or without."""
        query = self.query()
        order = self.random.choice(('', f' ORDER BY s {self.near}', f' ORDER BY s {self.near}, id', f' ORDER BY s {self.far}'))
        return self.rows(query) + order

    def first(self, query: str) -> str:
        """Return the first rows of a table in the order of their scores."""
        rng, metric = self.random, self.twins.metric
        self.first_rows = True
        key = rng.choice((f's {self.near}', f's {self.near}', f'x.doc {metric.operator} {query}'))
        if key.startswith('s') and rng.random() < .2:
            return f'{self.rows(query)} ORDER BY {key} FETCH FIRST {self.number()} ROWS WITH TIES'
        further = ', x.id' if self.twins.ties or rng.random() < .5 else ''
        return f"{self.rows(query)} ORDER BY {key}{further} LIMIT {self.number()}{rng.choice(('', '', f' OFFSET {rng.randint(1, 9)}'))}"

    def nearest(self) -> str:
        return self.first(self.query())

    def function(self) -> str:
        """Return the rows of a function that searches."""
        self.first_rows = True
        name = self.random.choice(('nearest', 'nearest_owner', 'nearest_query', 'nearest_loop'))
        if self.random.random() < .3:
            return f'SELECT f.id, f.kind, k.id AS pick, f.s FROM queries AS k, {name}(k.doc, {self.number()}) AS f'
        return f'SELECT {COLUMNS} FROM {name}({self.query()}, {self.number()})'

    # ---- joins ----

    def lateral(self) -> str:
        """Return the first rows of a search per query."""
        rng = self.random
        join = rng.choice(('CROSS JOIN LATERAL ({}) AS y', 'LEFT JOIN LATERAL ({}) AS y ON true', 'LEFT JOIN LATERAL ({}) AS y ON y.kind = k.kind'))
        return f"SELECT y.id, y.kind, k.id AS pick, y.s FROM queries AS k {join.format(self.first('k.doc'))}"

    def per_row(self, depth: int) -> str:
        """Return, for each row of a source, the nearest documents of its kind."""
        self.first_rows = True
        score, table = self.twins.score(self.query(), 'x.doc'), self.random.choice(BASES)
        search = f'SELECT x.id, x.kind, {score} AS s FROM {table} AS x WHERE x.kind = o.kind ORDER BY s {self.near}, x.id LIMIT 2'
        return f'SELECT y.id, y.kind, o.id AS pick, y.s FROM ({self.source(depth)}) AS o, LATERAL ({search}) AS y'

    def neighbours(self) -> str:
        """Return the rows of a table, each with its nearest neighbour: documents, some of them NULL, are queries."""
        self.first_rows = True
        table, others = self.random.choice((*BASES, *VIEWS)), self.random.choice((*BASES, *VIEWS))
        search = f"SELECT x.id FROM {others} AS x WHERE x.id <> a.id ORDER BY {self.twins.score('a.doc', 'x.doc')} {self.near}, x.id LIMIT 1"
        return f"SELECT a.id, a.kind, ({search}) AS pick, {self.twins.score(self.query(), 'a.doc')} AS s FROM {table} AS a WHERE a.id % 5 = 1"

    def walk(self) -> str:
        """Return documents that a recursive search reaches from the queries."""
        self.first_rows = True
        search = (f"SELECT x.id, x.kind, {self.twins.score('w.doc', 'x.doc')} AS s, x.doc::multivector AS doc FROM {self.random.choice(BASES)} AS x "
                  f'WHERE x.id > w.id ORDER BY s {self.near}, x.id LIMIT 2')
        start = f"SELECT id, kind, 1 AS pick, {self.twins.score(self.query())} AS s, doc::multivector AS doc FROM queries"
        step = f'SELECT y.id, y.kind, w.pick + 1, y.s, y.doc FROM w, LATERAL ({search}) AS y WHERE w.pick < 3'
        return f'WITH RECURSIVE w AS ({start} UNION ALL {step}) SELECT {COLUMNS} FROM w'

    def near_join(self) -> str:
        """Join queries and documents by a threshold."""
        self.threshold = True
        table, join = self.random.choice((*BASES, *VIEWS)), self.random.choice(('JOIN', 'LEFT JOIN', 'RIGHT JOIN'))
        return (f"SELECT x.id, x.kind, k.id AS pick, {self.twins.score('k.doc', 'x.doc')} AS s "
                f"FROM queries AS k {join} {table} AS x ON {self.twins.over('k.doc', table, 'x.doc')}")

    def join(self, depth: int) -> str:
        a, b = self.source(depth), self.source(depth)
        kind = self.random.choice(('JOIN', 'LEFT JOIN', 'FULL JOIN'))
        on = self.random.choice(('a.id = b.id', 'a.s = b.s', 'a.kind = b.kind AND a.id = b.id'))
        return f'SELECT coalesce(a.id, b.id) AS id, a.kind, b.pick, coalesce(a.s, b.s) AS s FROM ({a}) AS a {kind} ({b}) AS b ON {on}'

    # ---- sets and groups ----

    def together(self, depth: int) -> str:
        operation = self.random.choice(('UNION ALL', 'UNION ALL', 'UNION', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL'))
        union = f'({self.source(depth)}) {operation} ({self.source(depth)})'
        if self.random.random() < .4:
            self.first_rows = True
            return f'{union} ORDER BY {self.total} LIMIT {self.number()}'
        return union

    def merged(self) -> str:
        """Return the first rows of several tables together, which a MergeAppend reads."""
        self.first_rows = True
        query = self.query()
        branches = ' UNION ALL '.join(self.rows(query) for _ in range(self.random.randint(2, 3)))
        return f'SELECT {COLUMNS} FROM ({branches}) AS u ORDER BY {self.total} LIMIT {self.number()}'

    def distinct(self, depth: int) -> str:
        keys = self.random.choice((f's {self.near}', 'kind', f'kind, s {self.near}', f's {self.near}, id'))
        names = keys.replace(f' {self.near}', '')
        return f'SELECT DISTINCT ON ({names}) {COLUMNS} FROM ({self.source(depth)}) AS d ORDER BY {keys}, {self.total}'

    def grouped(self, depth: int) -> str:
        rng, source = self.random, self.source(depth)
        if rng.random() < .5:
            return (f'SELECT max(id) AS id, kind, count(*)::int AS pick, {rng.choice(("max", "min"))}(s) AS s FROM ({source}) AS g GROUP BY '
                    f'{rng.choice(("kind", "ROLLUP (kind)"))} HAVING count(*) {rng.choice((">", "<"))} {self.number()}')
        return f'SELECT min(id) AS id, max(kind) AS kind, sum(pick)::int AS pick, s FROM ({source}) AS g GROUP BY s HAVING max(id) % 3 <> 1'

    def window(self, depth: int) -> str:
        """Return rows with a number from a window over them, or those with a small rank."""
        rng = self.random
        partition = rng.choice(('', '', 'PARTITION BY kind '))
        ranked = rng.choice((f'row_number() OVER ({partition}ORDER BY {self.total})', f'rank() OVER ({partition}ORDER BY s {self.near})',
                             f'dense_rank() OVER ({partition}ORDER BY s {self.near})'))
        other = rng.choice((f'count(*) OVER ({partition}ORDER BY s {self.near})', f'lag(id) OVER ({partition}ORDER BY {self.total})',
                            f'lead(pick, 2) OVER ({partition}ORDER BY {self.total})', f'ntile(3) OVER ({partition}ORDER BY {self.total})',
                            f'sum(id) OVER ({partition}ORDER BY {self.total} ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)',
                            f'first_value(id) OVER ({partition}ORDER BY {self.total})', 'max(id) OVER (PARTITION BY s)'))
        inner = self.rows(self.query()) if rng.random() < .6 else self.source(depth)
        if rng.random() < .4:
            return f'SELECT id, kind, ({rng.choice((ranked, other))})::int AS pick, s FROM ({inner}) AS w'
        self.first_rows = True
        numbered = f'SELECT id, kind, {ranked} AS r, s, {other} FROM ({inner}) AS w'
        return f'SELECT id, kind, r::int AS pick, s FROM ({numbered}) AS w WHERE r <= {self.number()}'

    # ---- sub-selects ----

    def filtered(self, depth: int) -> str:
        """Return the rows of a source that another one has, or has not."""
        inner = f'SELECT e.id FROM ({self.source(depth)}) AS e'
        test = self.random.choice(('EXISTS ({} WHERE e.id = a.id)', 'NOT EXISTS ({} WHERE e.id = a.id)', 'a.id IN ({})',
                                   'a.id NOT IN ({} WHERE e.id IS NOT NULL)', 'a.id = ANY (ARRAY({}))', 'a.id <> ALL (ARRAY({}))',
                                   'EXISTS ({} WHERE e.kind = a.kind AND e.pick > a.pick)', 'a.id > (SELECT min(i.id) FROM ({}) AS i)'))
        return f'SELECT {COLUMNS} FROM ({self.source(depth)}) AS a WHERE {test.format(inner)}'

    def selected(self, depth: int) -> str:
        """Return rows with a sub-select in the list."""
        outer, inner = self.rows(self.query()), self.source(depth)
        value = self.random.choice(('(SELECT count(*)::int FROM ({}) AS i WHERE i.s >= a.s)', '(SELECT max(i.id) FROM ({}) AS i WHERE i.kind = a.kind)',
                                    '(SELECT i.id FROM ({}) AS i WHERE i.kind = a.kind ORDER BY i.id LIMIT 1)'))
        return f'SELECT a.id, a.kind, {value.format(inner)} AS pick, a.s FROM ({outer}) AS a'

    def common(self, depth: int) -> str:
        """Return rows of a common table expression, read once or twice."""
        rng = self.random
        kind = rng.choice(('', 'MATERIALIZED ', 'NOT MATERIALIZED '))
        body = rng.choice(('SELECT * FROM c', 'SELECT c.* FROM c JOIN c AS d ON d.id = c.id', 'SELECT * FROM c WHERE s = (SELECT max(s) FROM c)',
                           'SELECT * FROM c UNION ALL SELECT * FROM c WHERE pick % 2 = 0', f'SELECT * FROM c ORDER BY {self.total} LIMIT 3'))
        return f'WITH c AS {kind}({self.source(depth)}) {body}'

    def source(self, depth: int) -> str:
        """Return a source with at most this many levels of others within."""
        if depth > 0 and self.random.random() < .7:
            forms = (self.together, self.distinct, self.grouped, self.window, self.window, self.filtered, self.selected, self.common, self.join,
                     self.per_row)
            return self.random.choice(forms)(depth - 1)
        return self.random.choice((self.scan, self.nearest, self.nearest, self.lateral, self.neighbours, self.walk, self.near_join, self.merged,
                                   self.function))()

    # ---- statements ----

    def begin(self) -> None:
        self.first_rows = self.threshold = False

    def select(self) -> str:
        """Return a statement that reads."""
        self.begin()
        return self.source(self.random.randint(0, 3))

    def change(self) -> tuple[str, str]:
        """Return a statement that changes a table by the rows of a source, and the name of the table."""
        self.begin()
        rows = f'(SELECT DISTINCT ON (id) {COLUMNS} FROM ({self.source(self.random.randint(0, 2))}) AS d WHERE id IS NOT NULL ORDER BY id, kind, pick, s)'
        table = self.random.choice((*BASES, *VIEWS))
        if table in BASES and self.random.random() < .4:
            return self.merge(table, rows), table
        return self.update(table, rows), table

    def update(self, table: str, rows: str) -> str:
        """Return an UPDATE or a DELETE of a table or a view by rows with different ids."""
        returned = 'RETURNING x.id, x.kind, x.pick'
        if self.random.random() < .25:
            return self.changing_expression(table, rows, returned)
        return self.random.choice((
            f'UPDATE {table} AS x SET pick = f.pick + 1 FROM {rows} AS f WHERE f.id = x.id {returned}, f.s',
            f'DELETE FROM {table} AS x USING {rows} AS f WHERE f.id = x.id {returned}, f.s',
            f'DELETE FROM {table} AS x WHERE id IN (SELECT id FROM {rows} AS f) {returned}',
            f'UPDATE {table} AS x SET pick = 0 WHERE NOT EXISTS (SELECT FROM {rows} AS f WHERE f.id = x.id) {returned}',
            f'UPDATE {table} AS x SET pick = (SELECT count(*) FROM {rows} AS f WHERE f.id < x.id) {returned}',
            f"UPDATE {table} AS x SET pick = -1 WHERE {self.twins.over(':q', table, 'x.doc')} {returned}",
            f"DELETE FROM {table} AS x WHERE {self.twins.over(':q', table, 'x.doc')} {returned}",
        ))

    def changing_expression(self, table: str, rows: str, returned: str) -> str:
        """Return a common table expression that changes a table by rows, and a statement that reads it and a source."""
        gone = f'WITH gone AS (DELETE FROM {table} AS x USING {rows} AS f WHERE f.id = x.id {returned}, f.s)'
        done = f'WITH done AS (UPDATE {table} AS x SET pick = -x.pick FROM {rows} AS f WHERE f.id = x.id {returned})'
        return self.random.choice((
            f'{gone} SELECT * FROM gone UNION ALL ({self.source(1)})',
            f'{done} SELECT a.id, done.kind, done.pick, a.s FROM ({self.source(1)}) AS a JOIN done USING (id)',
        ))

    def merge(self, table: str, rows: str) -> str:
        """Return a MERGE into a table, or an INSERT, by rows with different ids."""
        new = f'f.id + {self.random.randint(10 ** 5, 10 ** 7)}'       # no id that an earlier change added
        into = f'MERGE INTO {table} AS x USING {rows} AS f ON f.id = x.id'
        copied = f'SELECT {new}, f.kind, f.pick, y.doc FROM {rows} AS f JOIN t AS y USING (id)'
        added = f'WHEN NOT MATCHED THEN INSERT (id, kind, pick) VALUES ({new}, f.kind, f.pick)'
        return self.random.choice((
            f'INSERT INTO {table} AS x (id, kind, pick, doc) {copied} RETURNING x.id, x.kind, x.pick',
            f'{into} WHEN MATCHED AND f.id % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET pick = f.pick {added}',
            f'{into} WHEN MATCHED THEN UPDATE SET pick = f.pick, kind = f.kind',
            f"{into} AND {self.twins.over(':q', table, 'x.doc')} WHEN MATCHED THEN DELETE",
        ))
