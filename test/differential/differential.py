#!/usr/bin/python3
"""Compare the answers of an index with those of a sort, for random tables, changes and statements.

    differential.py [--seconds N] [--seed N] [--round N] [--kinds KIND,...]

A round creates a table with an index of random kind, changes it at random, and runs statements of many forms, each with the index and with a
sort. Most run with settings that make the index examine everything, some with minimal settings, some with little memory. TAP output, one
test per round. Each round has its own seed, so that --seed N --round N repeats it. The kinds of statements, among which --kinds chooses, are:

plain      ORDER BY a score, with conditions, LIMITs and thresholds
groups     GROUP BY, DISTINCT, DISTINCT ON, set operations and aggregates over scores
windows    window functions in the order of a score, without a LIMIT, with a LIMIT, and with a condition on the rank
joins      joins, by the score, of two sub-selects that are ordered by a score
changes    DELETE, UPDATE and MERGE whose condition is a threshold
negations  NOT EXISTS, NOT IN, EXCEPT and anti-joins over a threshold
volatile   conditions with a volatile sub-select: the number of its calls, and of the rows that pass

The test requires exactly what the documentation promises:

- Rows of a plain statement come in the exact order of their scores, with NULLs in the right place, except rows that colbert_last_scan()
  counts as late. There are no duplicates, and as many rows as with the sort.
- With the flat codec, whose estimates are exact except for rounding, and whenever all rows are wanted, scores are equal to the last bit.
  With other codecs, and with thresholds, nearly all of the best rows are found; this is counted over all rounds.
- The first n rows of a window may be approximate, like those of a LIMIT, but each rank must be correct among the returned rows.
- All other kinds return the rows of the sort, whatever the settings and the codec.

For each kind, the output shows the seconds from the start to the first failure.
"""
import argparse, os, random, sys, time
import psycopg

KINDS = ('plain', 'groups', 'windows', 'joins', 'changes', 'negations', 'volatile')

METRICS = {  # operator class: (score, direction in which near documents come first, distance)
    'multivector_maxsim_ops': ('maxsim', 'DESC', '<#>'),
    'multivector_cosine_ops': ('maxsim_cosine', 'DESC', '<=>'),
    'multivector_l2_ops': ('maxsim_l2', 'ASC', '<->'),
}
EVERYTHING = 'SET colbert.probes = 1048576; SET colbert.ef_search = 10000; SET colbert.candidates = 10000000; SET colbert.rerank = 10000000'
LITTLE = 'SET colbert.probes = 1; SET colbert.ef_search = 1; SET colbert.candidates = 5; SET colbert.rerank = 3'
DEFAULTS = 'RESET colbert.probes; RESET colbert.ef_search; RESET colbert.candidates; RESET colbert.rerank'
BY_INDEX = ('SET enable_indexscan = on; SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; '
            'SET enable_hashagg = off; SET enable_hashjoin = off; SET enable_nestloop = off')
BY_SORT = ('SET enable_indexscan = off; SET enable_seqscan = on; SET enable_sort = on; SET enable_bitmapscan = off; '
           'SET enable_hashagg = on; SET enable_hashjoin = on; SET enable_nestloop = on')
MIN_RECALL = .95
# sub-selects that advance a sequence, in different places of a plan
VOLATILE = (
    "(SELECT nextval('calls') + t.id * 0)",
    "(SELECT x FROM (VALUES (nextval('calls') + t.id * 0)) AS v (x))",
    "(SELECT max(x) FROM (SELECT nextval('calls') + t.id * 0 AS x) AS v)",
    "(WITH c AS MATERIALIZED (SELECT nextval('calls') + t.id * 0 AS x) SELECT x FROM c)",
    "(SELECT (SELECT nextval('calls') + t.id * v.x) FROM (VALUES (0)) AS v (x))",
    "(SELECT x FROM unnest(ARRAY[nextval('calls') + t.id * 0]) AS x)",
    "(SELECT n.n + nextval('calls') - n.n FROM numbers AS n WHERE n.n = t.id % 10)",
    "(SELECT sum(x) FROM (SELECT nextval('calls') + t.id * 0 AS x UNION ALL SELECT 0) AS u)",
)


class Failure(Exception):
    pass


class Round:
    def __init__(self, conn, seed, totals, kinds):
        self.conn, self.random, self.totals, self.kinds = conn, random.Random(seed), totals, kinds
        self.log, self.asked = [], 'plain'

    def run(self, statement):
        self.log.append(statement if len(statement) < 400 else statement[:400] + ' ...')
        return self.conn.execute(statement)

    # ---- values ----

    def token(self):
        if self.random.random() < .02:
            return [0.0] * self.dims
        scale = self.random.choice(self.scales)
        return [round(self.random.gauss(0, scale), self.random.choice((1, 3, 6))) for _ in range(self.dims)]

    def document(self, most=6):
        if self.documents and self.random.random() < self.duplicates:
            return self.random.choice(self.documents)
        tokens = [self.token() for _ in range(self.random.randint(1, most))]
        value = '[' + ','.join('[' + ','.join(map(repr, token)) + ']' for token in tokens) + ']'
        self.documents.append(value)
        return value

    def literal(self):
        return 'NULL' if self.random.random() < self.nulls else f"'{self.document()}'"

    def rows(self, first, count):
        return ', '.join(f"({id}, {self.random.randint(1, 1000)}, '{self.random.choice('abc')}', {self.literal()})" for id in range(first, first + count))

    # ---- the table ----

    def make_table(self):
        r = self.random
        self.dims, self.documents = r.choice((1, 2, 3, 4, 8, 17, 32)), []
        self.scales = r.choice(((1,), (1,), (1, 1, 5, 20)))
        self.nulls, self.duplicates = r.choice((0, .05, .5)), r.choice((0, .1, .3, .6))
        element = r.choice(('float4', 'float4', 'float2'))
        self.type = f'multivector({self.dims}, {element})' if element != 'float4' else f'multivector({self.dims})'
        self.opclass = r.choice(list(METRICS))
        self.method = r.choice(('colbert_hnsw', 'colbert_ivf'))
        self.quantizer = r.choice(('flat', 'flat', 'sq8', 'sq4', 'pq', 'bit', 'bit'))
        self.kind = r.choice(('plain', 'plain', 'plain', 'parts', 'heirs', 'partial', 'expression', 'domain'))
        self.column, column_type = 'doc', self.type
        if self.kind == 'expression':
            self.column, column_type = f'(doc::{self.type})', 'multivector'
        if self.kind == 'domain':
            self.run(f'CREATE DOMAIN d_doc AS {self.type} CHECK (num_tokens(VALUE) < 100)')
            column_type = 'd_doc'
        partition = ' PARTITION BY LIST (kind)' if self.kind == 'parts' else ''
        self.run(f'CREATE TABLE t (gone int, id int, pick int, kind text, doc {column_type}){partition}')
        self.run('ALTER TABLE t DROP gone')
        if self.kind == 'parts':
            self.run("CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a'); CREATE TABLE t_rest PARTITION OF t DEFAULT")
        if self.kind == 'heirs':
            self.run('CREATE TABLE t_heir (more text) INHERITS (t)')

    def make_index(self):
        options = [f'quantizer = {self.quantizer}']
        if self.random.random() < .5:
            options.append(f"{'lists' if self.method == 'colbert_ivf' else 'tokens_per_node'} = {self.random.choice((1, 4, 64))}")
        where = " WHERE kind = 'a'" if self.kind == 'partial' else ''
        for table in ('t', 't_heir') if self.kind == 'heirs' else ('t',):
            self.run(f"CREATE INDEX ON {table} USING {self.method} (({self.column}) {self.opclass}) WITH ({', '.join(options)}){where}")

    def indexes(self):
        return [row[0] for row in self.run("SELECT c.oid::regclass::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam "
                                           "WHERE a.amname LIKE 'colbert%' AND c.relkind = 'i'")]

    def change(self):
        r = self.random
        table = r.choice(('t', 't_heir')) if self.kind == 'heirs' else 't'
        action = r.choice(('insert', 'insert', 'delete', 'update', 'hot', 'vacuum', 'merge', 'rollback'))
        some = f'id % {r.randint(2, 9)} = {r.randint(0, 3)}'
        if action in ('insert', 'rollback'):
            count = r.choice((1, 20, 150))
            if action == 'rollback':
                self.run('BEGIN')
            self.run(f"INSERT INTO {table} (id, pick, kind, doc) VALUES {self.rows(self.next_id, count)}")
            if action == 'rollback':
                self.run(f'DELETE FROM t WHERE {some}')
                self.run('ROLLBACK')
            self.next_id += count
        elif action == 'delete':
            self.run(f'DELETE FROM t WHERE {some}')
        elif action == 'update':
            self.run(f"UPDATE t SET doc = {self.literal()} WHERE id % {r.randint(20, 90)} = 1")
        elif action == 'hot':
            self.run(f'UPDATE t SET pick = pick + 1 WHERE {some}')
        elif action == 'vacuum':
            self.run('VACUUM t')
        else:
            for index in self.indexes():
                self.run(f"SELECT colbert_merge('{index}')")

    # ---- statements ----

    def ask(self):
        """Choose a query, its score and its distance, and the direction in which near documents come first."""
        function, self.direction, self.operator = METRICS[self.opclass]
        value = self.document(3)
        self.query = self.random.choice((f"'{value}'", f"(SELECT '{value}'::multivector)", f"'{value}'::multivector({self.dims}, float2)"))
        self.score = f'{function}({self.column}, {self.query})'

    def over_threshold(self, offsets=(0, 3, 30)):
        """Return a comparison of the score with the score of a document at some rank."""
        r = self.random
        score = self.score if r.random() < .7 or self.score.startswith('maxsim_l2') else f'{self.column} {self.operator} {self.query}'
        near = '>' if score == self.score and self.direction == 'DESC' else '<'
        self.run(BY_SORT)
        some = self.run(f"SELECT s FROM (SELECT {score} AS s FROM t) AS u WHERE s IS NOT NULL "
                        f"ORDER BY s {'DESC' if near == '>' else 'ASC'} OFFSET {r.choice(offsets)} LIMIT 1").fetchone()
        bound = repr(some[0]) if some else r.choice(("'infinity'", "'nan'", 'NULL', '0'))
        bound = f'({bound}::float8)' if r.random() < .5 else f'(SELECT {bound}::float8)'
        equal = r.choice(('', '='))
        return r.choice((f'{score} {near}{equal} {bound}', f"{bound} {'<' if near == '>' else '>'}{equal} {score}"))

    def partial(self, *conditions):
        """Return these conditions, and the predicate of a partial index."""
        return ' AND '.join(filter(None, [*conditions, "kind = 'a'" if self.kind == 'partial' else '']))

    def some_condition(self):
        r = self.random
        return r.choice(('', '', 'doc IS NOT NULL', 'doc IS NULL', f'pick <= {r.randint(1, 1000)}', "kind IN ('a', 'b')", f'id % 7 = {r.randint(0, 6)}'))

    def condition(self):
        some = self.some_condition()
        self.threshold = self.random.random() < .25
        return self.partial(some, self.over_threshold() if self.threshold else '')

    def statement(self):
        """Return (statement, whether it is ordered, whether it is ordered by id too). The statement returns id and score."""
        r = self.random
        self.ask()
        where = self.condition()
        self.limit = r.choice((1, 3, 10, 50, None, None))
        ordered = not (self.threshold and r.random() < .4)
        if not ordered:
            return f"SELECT id, {self.score} AS score FROM t WHERE {where}", False, False
        nulls = r.choice(('', '', ' NULLS LAST', ' NULLS FIRST'))
        by_id = r.random() < .25
        direction = self.direction
        if r.random() < .3:
            key, direction = f'{self.column} {self.operator} {self.query}', 'ASC'
        else:
            key = r.choice((self.score, 'score', '2'))
        tail = f" ORDER BY {key} {direction}{nulls}{', id' if by_id else ''}"
        if self.limit:
            tail += r.choice((f' LIMIT {self.limit}', f' FETCH FIRST {self.limit} ROWS WITH TIES', f' LIMIT {self.limit} OFFSET 2'))
        body = f"SELECT id, {self.score} AS score FROM t{' WHERE ' + where if where else ''}{tail}"
        if 'TIES' not in body and self.kind != 'parts' and r.random() < .1:
            body += ' FOR UPDATE'
            return body, True, by_id
        wrap = r.random()
        if wrap < .15:
            body = f'WITH found AS MATERIALIZED ({body}) SELECT * FROM found'
        elif wrap < .3:
            body = f'SELECT * FROM ({body}) AS found'
        elif wrap < .4 and key != '2':
            body = f"SELECT u.* FROM (SELECT 1) AS one, LATERAL ({body}) AS u"
        return body, True, by_id

    def answer(self, statement, how):
        """Run a statement in one of several ways and return its rows, with exact scores."""
        if how == 'cursor':
            self.run('BEGIN')
            self.run(f'DECLARE c NO SCROLL CURSOR FOR {statement}')
            rows = []
            while more := self.run(f'FETCH {self.chunk} FROM c').fetchall():
                rows += more
            self.run('COMMIT')
            return rows
        if how == 'prepared':
            self.run('SET plan_cache_mode = force_generic_plan')
            self.run(f'PREPARE p AS {statement}')
            rows = self.run('EXECUTE p').fetchall()
            self.run('DEALLOCATE p; RESET plan_cache_mode')
            return rows
        if how == 'function':
            self.run(f'CREATE OR REPLACE FUNCTION f() RETURNS TABLE (id int, score float8) LANGUAGE plpgsql AS $f$ #variable_conflict use_column\n BEGIN RETURN QUERY {statement}; END $f$')
            return self.run('SELECT * FROM f()').fetchall()
        return self.run(statement).fetchall()

    def scored(self, condition=''):
        """Return a sub-select of ids, kinds and scores, ordered by the scores or unordered."""
        where = self.partial(condition)
        order = self.random.choice(('', f' ORDER BY s {self.direction}', f' ORDER BY s {self.direction} OFFSET 0'))
        score, tables = self.score, 't'
        if self.random.random() < .2:   # the query comes from a join with one row
            score, tables = f'{METRICS[self.opclass][0]}({self.column}, v.q)', f't, (SELECT {self.query}::multivector AS q LIMIT 1) AS v'
        return f"(SELECT id, kind, {score} AS s FROM {tables}{' WHERE ' + where if where else ''}{order})"

    def groups(self):
        r = self.random
        self.ask()
        u = f'{self.scored(self.some_condition())} AS u'
        order = f' ORDER BY s {self.direction}'
        top = r.choice((order, f'{order} LIMIT {r.choice((1, 5, 40))}'))
        if r.random() < .7:     # statements that a presorted input serves
            return r.choice((
                f'SELECT s, count(*), sum(id) FROM {u} GROUP BY s{top}',
                f'SELECT s, kind, count(*) FROM {u} GROUP BY s, kind{order}, kind',
                f'SELECT DISTINCT s FROM {u}{top}',
                f'SELECT DISTINCT s, kind FROM {u}{order}, kind',
                f'SELECT DISTINCT ON (s) s, id FROM {u}{order}, id',
            ))
        return r.choice((
            f'SELECT s, count(*), sum(id) FROM {u} GROUP BY s',
            f'SELECT s, count(*) FROM {u} GROUP BY ROLLUP (s)',
            f'SELECT DISTINCT s FROM {u}',
            f'SELECT count(DISTINCT s), max(s), min(s), count(s) FROM {u}',
            f'SELECT array_agg(s{order}) FROM {u}',
            f'SELECT s FROM {u} UNION SELECT s FROM {u}',
            f'SELECT s FROM {u} INTERSECT SELECT s FROM (SELECT s FROM {u} WHERE id % 2 = 0{order}) AS v',
            f'SELECT s FROM {u} EXCEPT SELECT s FROM (SELECT s FROM {u} WHERE id % 3 = 0{order}) AS v',
        ))

    def joins(self):
        self.ask()
        a, b = self.scored(self.some_condition()), self.scored(self.some_condition())
        return self.random.choice((
            f'SELECT count(*), sum(a.id), sum(b.id) FROM {a} AS a JOIN {b} AS b USING (s)',
            f'SELECT count(*), sum(a.id), sum(b.id) FROM {a} AS a LEFT JOIN {b} AS b ON a.s = b.s',
            f'SELECT count(*), sum(a.id), sum(b.id) FROM {a} AS a FULL JOIN {b} AS b ON a.s = b.s',
            f'SELECT a.id FROM {a} AS a WHERE EXISTS (SELECT FROM {b} AS b WHERE a.s = b.s)',
            f'SELECT a.id FROM {a} AS a WHERE NOT EXISTS (SELECT FROM {b} AS b WHERE a.s = b.s AND b.id % 2 = 0)',
        ))

    def windows(self):
        """Return (statement, whether it is approximate). An approximate one returns id, score and rank of the first rows."""
        r = self.random
        self.ask()
        u = f'{self.scored(self.some_condition() if r.random() < .3 else "")} AS u'
        over = f'OVER (ORDER BY s {self.direction})'
        self.rank = r.choice(('row_number', 'rank', 'dense_rank'))
        self.limit = r.choice((1, 3, 10, 50))
        ranked = f'SELECT id, s, {self.rank}() {over} AS r FROM {u}'
        if r.random() < .5:
            return r.choice((
                f'{ranked} ORDER BY s {self.direction} LIMIT {self.limit}',
                f'{ranked} ORDER BY r LIMIT {self.limit}',
                f'{ranked} ORDER BY r, id LIMIT {self.limit}',
                f'SELECT * FROM ({ranked}) AS v ORDER BY r LIMIT {self.limit}',
                f'SELECT * FROM ({ranked}) AS v WHERE r <= {self.limit}',
                f'SELECT * FROM ({ranked}) AS v WHERE r <= {self.limit} ORDER BY r',
                f'SELECT * FROM ({ranked}) AS v WHERE r < {self.limit + 1} AND r > 0',
            )), True
        return r.choice((
            f'SELECT s, {self.rank}() {over} FROM {u}',
            f'SELECT s, count(*) {over}, sum(id) {over}, percent_rank() {over} FROM {u}',
            f'SELECT s, lag(s) {over}, lead(s) {over}, first_value(s) {over} FROM {u}',
            f'SELECT s, count(*) OVER (PARTITION BY s), max(s) {over} FROM {u}',
            f'SELECT s, row_number() OVER (PARTITION BY s ORDER BY id), id FROM {u}',
            f'SELECT s, ntile(4) {over} FROM {u}',
        )), False

    def volatile(self):
        r = self.random
        self.ask()
        value = r.choice(VOLATILE)
        condition = r.choice((f'{value} > 0', f'{value} % 2 = 0', f'{value} IN (SELECT n FROM numbers)',
                              "EXISTS (SELECT FROM (VALUES (1)) AS e (x) WHERE nextval('calls') % 3 = 0 AND t.id > 0 OFFSET 0)"))
        return f'SELECT id, {self.score} AS score FROM t WHERE {self.partial(condition)} ORDER BY score {self.direction}'

    def changes(self):
        """Return (statement, query to run afterwards, which shows the changes)."""
        r = self.random
        self.ask()
        condition = self.over_threshold((3, 30, 100, 200))
        where = self.partial(condition, self.some_condition() if r.random() < .3 else '')
        matched = self.partial(condition)
        return r.choice((
            f'DELETE FROM t WHERE {where}',
            f'UPDATE t SET pick = -1 WHERE {where}',
            f'UPDATE t SET pick = -1 FROM (VALUES (1), (2)) AS v (x) WHERE v.x = 1 AND {where}',
            f'DELETE FROM t USING (VALUES (1)) AS v (x) WHERE v.x = 1 AND {where}',
            f'WITH gone AS (DELETE FROM t WHERE {where} RETURNING id) SELECT count(*) FROM gone',
            f'MERGE INTO t USING (VALUES (1)) AS v (x) ON v.x = 1 AND {matched} WHEN MATCHED THEN DELETE',
            f'MERGE INTO t USING (VALUES (1)) AS v (x) ON v.x = 1 AND {matched} WHEN MATCHED THEN UPDATE SET pick = -1',
        )), 'SELECT id, pick FROM t'

    def negations(self):
        r = self.random
        self.ask()
        where = self.partial(self.over_threshold((3, 30, 100, 200)))
        return r.choice((
            f'SELECT o.id FROM t AS o WHERE NOT EXISTS (SELECT FROM t WHERE t.id = o.id AND {where})',
            f'SELECT o.id FROM t AS o WHERE o.pick < 0 OR NOT EXISTS (SELECT FROM t WHERE t.id = o.id AND {where})',
            f'SELECT o.id FROM t AS o WHERE o.id NOT IN (SELECT id FROM t WHERE {where})',
            f'SELECT id FROM t EXCEPT SELECT id FROM t WHERE {where}',
            f'SELECT id FROM t EXCEPT ALL SELECT id FROM t WHERE {where}',
            f'SELECT o.id FROM t AS o LEFT JOIN (SELECT id FROM t WHERE {where}) AS u ON u.id = o.id WHERE u.id IS NULL',
            f'SELECT count(*) FROM t AS o WHERE NOT EXISTS (SELECT FROM (SELECT id FROM t WHERE {where}) AS u WHERE u.id = o.id)',
        ))

    def check(self):
        self.asked = self.random.choice(self.kinds)
        self.totals['kinds'][self.asked] += 1
        self.totals['statements'] += 1
        getattr(self, f'check_{self.asked}')()

    def by_index(self, everything):
        """Make statements use the index: with settings that examine everything, or with random settings."""
        self.run(BY_INDEX)
        self.little = not everything and self.random.random() < .7
        self.run(LITTLE if self.little else EVERYTHING if everything or self.random.random() < .5 else DEFAULTS)
        self.run(f"SET work_mem = '{self.random.choice(('64kB', '4MB'))}'")

    def note_plan(self, statement):
        plan = '\n'.join(row[0] for row in self.run(f'EXPLAIN {statement}'))
        self.totals['by index'] += 'Order By:' in plan or '~@' in plan

    def fail(self, what, statement, wanted, found, late=None):
        at = next((i for i, (a, b) in enumerate(zip(wanted, found)) if a != b), min(len(wanted), len(found)))
        raise Failure(f'{self.asked}: {what}: {self.quantizer} {self.kind}\n{statement}\n{len(wanted)} rows by sort, {len(found)} by index\n'
                      f'from row {at} on\nby sort:  {wanted[at:at + 20]}\nby index: {found[at:at + 20]}\nlate: {late}')

    def same(self, statement, wanted, found):
        """Require the same rows, in any order."""
        wanted, found = sorted(wanted, key=repr), sorted(found, key=repr)
        if wanted != found:
            self.fail('different rows', statement, wanted, found)

    def both(self, statement):
        self.run(BY_SORT)
        wanted = self.run(statement).fetchall()
        self.by_index(everything=False)
        self.note_plan(statement)
        return wanted, self.run(statement).fetchall()

    def check_plain(self):
        statement, ordered, by_id = self.statement()
        how = self.random.choice(('plain', 'plain', 'cursor', 'prepared', 'function'))
        self.chunk = self.random.choice((1, 7, 1000))
        self.run(BY_SORT)
        wanted = self.answer(statement, how)
        self.by_index(everything=True)
        if self.random.random() < .2:
            self.little = True
            self.run(LITTLE)
        self.note_plan(statement)
        found = self.answer(statement, how)
        late = (self.run('SELECT late FROM colbert_last_scan()').fetchone() or (0,))[0] or 0
        self.compare(statement, ordered, by_id, wanted, found, late)

    def check_groups(self):
        statement = self.groups()
        self.same(statement, *self.both(statement))

    def check_joins(self):
        statement = self.joins()
        self.same(statement, *self.both(statement))

    def check_negations(self):
        statement = self.negations()
        self.same(statement, *self.both(statement))

    def check_windows(self):
        statement, first_rows = self.windows()
        wanted, found = self.both(statement)
        if not first_rows:
            return self.same(statement, wanted, found)
        wanted, found = sorted(wanted, key=lambda row: row[2]), sorted(found, key=lambda row: row[2])
        scores = [score for _, score, _ in found]
        values = [score for score in scores if score is not None]
        nulls = [score for score in scores if score is None]
        descending = self.direction == 'DESC'
        values.sort(reverse=descending)
        if scores != (nulls + values if descending else values + nulls):
            self.fail('not in order', statement, wanted, found)
        distinct = list(dict.fromkeys(scores))
        ranks = {'row_number': lambda i: i + 1, 'rank': lambda i: scores.index(scores[i]) + 1, 'dense_rank': lambda i: distinct.index(scores[i]) + 1}
        if [rank for _, _, rank in found] != [ranks[self.rank](i) for i in range(len(found))]:
            self.fail('wrong rank', statement, wanted, found)
        if len({id for id, _, _ in found}) != len(found):
            self.fail('duplicate row', statement, wanted, found)
        if self.rank == 'row_number' and len(found) != len(wanted):
            self.fail('wrong number of rows', statement, wanted, found)

    def begin(self, statement, by_index):
        """Prepare to run a statement with the index, or with a sort."""
        if by_index:
            self.by_index(everything=False)
            self.note_plan(statement)
        else:
            self.run(BY_SORT)

    def check_changes(self):
        statement, afterwards = self.changes()
        outcomes = []
        for by_index in (False, True):
            self.begin(statement, by_index)
            self.run('BEGIN')
            self.run(statement)
            self.run(BY_SORT)
            outcomes.append(self.run(afterwards).fetchall())
            self.run('ROLLBACK')
        self.same(statement, *outcomes)

    def check_volatile(self):
        statement = self.volatile()
        outcomes = []
        for by_index in (False, True):
            self.begin(statement, by_index)
            self.run("SELECT setval('calls', 1, false)")
            rows = len(self.run(statement).fetchall())
            outcomes.append([('rows', rows), ('calls', self.run("SELECT nextval('calls') - 1").fetchone()[0])])
        self.same(statement, *outcomes)

    def compare(self, statement, ordered, by_id, wanted, found, late):
        def fail(what):
            self.fail(what, statement, wanted, found, late)

        # Any of the rows with the last score may be returned.
        scores = lambda rows: [score for _, score in rows]
        # Late rows of one of several tables are not known after a search in another.
        in_order = not late and self.kind not in ('parts', 'heirs')
        # Thresholds are searched by sketches, whatever the codec.
        approximate = self.threshold or (self.limit and (self.little or self.quantizer != 'flat'))
        if len({id for id, _ in found}) != len(found):
            fail('duplicate row')
        if approximate:
            good = sum(score in set(scores(wanted)) for score in scores(found))
            if not self.little:
                self.totals['found'] += min(good, len(wanted))
                self.totals['wanted'] += len(wanted)
            if not self.threshold and 'TIES' not in statement and len(found) != len(wanted):
                fail('wrong number of rows')
            if self.threshold and not set(found) <= set(wanted) and not self.limit:
                fail('a row outside the threshold')
        elif ordered and by_id and in_order:
            if found != wanted:
                fail('different rows, or different order')
        elif sorted(scores(found), key=repr) != sorted(scores(wanted), key=repr):
            fail('different scores')
        if ordered and in_order:
            shown = scores(found)
            values = [score for score in shown if score is not None]
            if values != sorted(values, reverse=self.direction == 'DESC'):
                fail('not in order')
            nulls = [score is None for score in shown]
            if nulls != sorted(nulls) and nulls != sorted(nulls, reverse=True):
                fail('NULLs between other rows')

    def play(self, statements=12):
        self.run('DROP TABLE IF EXISTS t, t_heir CASCADE; DROP DOMAIN IF EXISTS d_doc; DROP FUNCTION IF EXISTS f')
        self.run('DROP TABLE IF EXISTS numbers; CREATE TABLE numbers AS SELECT generate_series(0, 9) AS n; CREATE SEQUENCE IF NOT EXISTS calls')
        self.make_table()
        self.next_id = 1
        before = self.random.random() < .3
        if before:
            self.make_index()
        for _ in range(self.random.randint(1, 3)):
            count = self.random.choice((0, 5, 60, 300, 600))
            if count:
                table = self.random.choice(('t', 't_heir')) if self.kind == 'heirs' else 't'
                self.run(f"INSERT INTO {table} (id, pick, kind, doc) VALUES {self.rows(self.next_id, count)}")
                self.next_id += count
        if not before:
            self.make_index()
        self.run('ANALYZE t')
        for _ in range(statements):
            if self.random.random() < .4:
                self.change()
            self.check()
        return f'{self.method} {self.opclass} {self.quantizer} {self.kind}, {self.type}, {self.next_id - 1} rows'


def kinds(text):
    chosen = text.split(',')
    unknown = set(chosen) - set(KINDS)
    if unknown:
        raise argparse.ArgumentTypeError(f'no kind {", ".join(sorted(unknown))}; there are {", ".join(KINDS)}')
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=900 if os.environ.get('COLBERT_EXTRA') else 30, help='30, or 900 with COLBERT_EXTRA')
    parser.add_argument('--seed', type=int, default=int.from_bytes(os.urandom(4), 'big'))
    parser.add_argument('--round', type=int, help='only this round')
    parser.add_argument('--kinds', type=kinds, default=list(KINDS), help='kinds of statements, separated by commas')
    options = parser.parse_args()
    totals = {'statements': 0, 'by index': 0, 'found': 0, 'wanted': 0, 'kinds': dict.fromkeys(KINDS, 0)}
    first_failures = {}
    failed, n, start = 0, 0, time.time()
    print(f'# seed {options.seed}')
    with psycopg.connect(autocommit=True, prepare_threshold=None) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS colbert_pg; SET client_min_messages = warning; SET jit = off; LOAD 'colbert_pg'")
        while time.time() - start < options.seconds:
            n += 1
            if options.round not in (None, n):
                if n > options.round:
                    break
                continue
            game = Round(conn, f'{options.seed} {n}', totals, options.kinds)
            try:
                print(f'ok {n} - {game.play()}')
            except (Failure, psycopg.Error) as e:
                failed += 1
                first_failures.setdefault(game.asked, time.time() - start)
                conn.execute('ROLLBACK')
                print(f'not ok {n} - round {n} of seed {options.seed}')
                print('\n'.join('# ' + line for line in str(e).split('\n') + ['statements:'] + game.log[-60:]))
    recall = totals['found'] / max(totals['wanted'], 1)
    good = recall >= MIN_RECALL or totals['wanted'] < 500
    print(f"{'ok' if good else 'not ok'} {n + 1} - approximate searches find {recall:.4f} of {totals['wanted']} rows")
    for kind in options.kinds:
        print(f"# {kind}: {totals['kinds'][kind]} statements" + (f', failed first after {first_failures[kind]:.1f} s' if kind in first_failures else ''))
    print(f"# {totals['statements']} statements, {totals['by index']} of them using an index; seed {options.seed}")
    print(f'1..{n + 1}')
    sys.exit(failed > 0 or not good)


if __name__ == '__main__':
    main()
