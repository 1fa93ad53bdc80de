#!/usr/bin/python3
"""Random tables, random changes, random statements: the index's answer against that of a sort.

    differential.py [--seconds N] [--seed N] [--round N]

A round makes a table with an index of random kind, changes it at random, and asks it statements of many spellings, each by the index and by
a sort; mostly with settings by which the index looks at everything, at times with the least there are, and with little memory. TAP output, one test a round; each begins with its own seed, so that
--seed N --round N repeats it. Then

- rows come in the exact order of their scores, NULLs where they belong (but for rows that colbert_last_scan() counts as late),
  each once, and as many as the sort gives;
- with the flat codec, whose estimates are exact but for rounding, and wherever all rows are asked for, scores are the same to the last
  bit; with other codecs, and above thresholds, nearly all of the best are, which is counted over all rounds;
- groups, ranks and joins of an order, and statements that change or negate by a threshold, give what they give without the index.
"""
import argparse, os, random, sys, time
import psycopg

METRICS = {  # operator class: score, the direction in which near documents come first, distance
    'multivector_maxsim_ops': ('maxsim', 'DESC', '<#>'),
    'multivector_cosine_ops': ('maxsim_cosine', 'DESC', '<=>'),
    'multivector_l2_ops': ('maxsim_l2', 'ASC', '<->'),
}
EVERYTHING = 'SET colbert.probes = 1048576; SET colbert.ef_search = 10000; SET colbert.candidates = 10000000; SET colbert.rerank = 10000000'
LITTLE = 'SET colbert.probes = 1; SET colbert.ef_search = 1; SET colbert.candidates = 5; SET colbert.rerank = 3'
BY_INDEX = 'SET enable_indexscan = on; SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off'
BY_SORT = 'SET enable_indexscan = off; SET enable_seqscan = on; SET enable_sort = on; SET enable_bitmapscan = off'
LEAST_RECALL = .95


class Failure(Exception):
    pass


class Round:
    def __init__(self, conn, seed, totals):
        self.conn, self.random, self.totals = conn, random.Random(seed), totals
        self.log = []

    def run(self, statement):
        self.log.append(statement if len(statement) < 400 else statement[:400] + ' ...')
        return self.conn.execute(statement)

    # ---- values ----

    def token(self):
        if self.random.random() < .02:
            return [0.0] * self.dims
        return [round(self.random.gauss(0, 1), self.random.choice((1, 3, 6))) for _ in range(self.dims)]

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
        self.nulls, self.duplicates = r.choice((0, .05, .5)), r.choice((0, 0, .1, .6))
        element = r.choice(('float4', 'float4', 'float2'))
        self.type = f'multivector({self.dims}, {element})' if element != 'float4' else f'multivector({self.dims})'
        self.opclass = r.choice(list(METRICS))
        self.method = r.choice(('colbert_hnsw', 'colbert_ivf'))
        self.quantizer = r.choice(('flat', 'flat', 'flat', 'sq8', 'sq4', 'pq', 'bit'))
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

    def condition(self):
        r = self.random
        conditions = [r.choice(('', '', 'doc IS NOT NULL', 'doc IS NULL', f'pick <= {r.randint(1, 1000)}', "kind IN ('a', 'b')", f'id % 7 = {r.randint(0, 6)}'))]
        if self.kind == 'partial':
            conditions.append("kind = 'a'")
        self.threshold = r.random() < .25
        if self.threshold:
            score = self.score if r.random() < .7 or self.score.startswith('maxsim_l2') else f'{self.column} {self.operator} {self.query}'
            near = '>' if score == self.score and self.direction == 'DESC' else '<'
            self.run(BY_SORT)
            some = self.run(f"SELECT s FROM (SELECT {score} AS s FROM t) AS u WHERE s IS NOT NULL "
                            f"ORDER BY s {'DESC' if near == '>' else 'ASC'} OFFSET {r.choice((0, 3, 30))} LIMIT 1").fetchone()
            bound = repr(some[0]) if some else r.choice(("'infinity'", "'nan'", 'NULL', '0'))
            bound = f'({bound}::float8)' if r.random() < .5 else f'(SELECT {bound}::float8)'
            equal = r.choice(('', '='))
            conditions.append(r.choice((f'{score} {near}{equal} {bound}', f"{bound} {'<' if near == '>' else '>'}{equal} {score}")))
        return ' AND '.join(filter(None, conditions))

    def statement(self):
        """(prologue, statement, is it ordered, by id too, LIMIT): it gives id and score."""
        r = self.random
        function, self.direction, self.operator = METRICS[self.opclass]
        value = self.document(3)
        self.query = r.choice((f"'{value}'", f"(SELECT '{value}'::multivector)", f"'{value}'::multivector({self.dims}, float2)"))
        self.score = f'{function}({self.column}, {self.query})'
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
        """The rows of a statement, by one of the ways to run it; the scores' bits."""
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

    def check(self):
        statement, ordered, by_id = self.statement()
        how = self.random.choice(('plain', 'plain', 'cursor', 'prepared', 'function'))
        self.chunk = self.random.choice((1, 7, 1000))
        self.run(BY_SORT)
        wanted = self.answer(statement, how)
        self.run(BY_INDEX)
        self.little = self.random.random() < .2
        self.run(LITTLE if self.little else EVERYTHING)
        self.run(f"SET work_mem = '{self.random.choice(('64kB', '4MB'))}'")
        plan = '\n'.join(row[0] for row in self.run(f'EXPLAIN {statement}'))
        found = self.answer(statement, how)
        late = (self.run('SELECT late FROM colbert_last_scan()').fetchone() or (0,))[0] or 0
        self.totals['statements'] += 1
        self.totals['by index'] += 'Order By:' in plan or '~@' in plan
        self.compare(statement, ordered, by_id, wanted, found, late)

    def built_statement(self):
        """A statement that builds on the order of a search, or that changes or negates by a threshold: no row may be late, or missed."""
        r = self.random
        function, self.direction, self.operator = METRICS[self.opclass]
        self.query = f"'{self.document(3)}'"
        self.score = f'{function}({self.column}, {self.query})'
        partial = "kind = 'a'" if self.kind == 'partial' else 'true'
        if r.random() < .5:
            some = r.choice(('true', 'pick <= 500', 'doc IS NOT NULL', 'id % 7 = 3'))
            body = f'SELECT id, {self.score} AS score FROM t WHERE {partial} AND {some} ORDER BY score {self.direction} OFFSET 0'
            return r.choice((
                f'SELECT score, count(*) FROM ({body}) AS u GROUP BY score ORDER BY score {self.direction}',
                f'SELECT DISTINCT score FROM ({body}) AS u ORDER BY score {self.direction}',
                f'SELECT id, rank() OVER (ORDER BY score {self.direction}) FROM ({body}) AS u',
                f'SELECT u.score, count(*) FROM ({body}) AS u JOIN ({body}) AS v USING (score) GROUP BY u.score',
                f'SELECT id, {self.score} AS score, dense_rank() OVER (ORDER BY {self.score} {self.direction}) FROM t WHERE {partial}',
                f'SELECT {self.score} AS score, count(*) FROM t WHERE {partial} GROUP BY score ORDER BY score {self.direction} LIMIT 5'))
        self.run(BY_SORT)
        bound = self.run(f'SELECT s FROM (SELECT {self.score} AS s FROM t) AS u WHERE s IS NOT NULL ORDER BY s {self.direction} OFFSET {r.choice((3, 30))} LIMIT 1').fetchone()
        within = f"{partial} AND {self.score} {'>' if self.direction == 'DESC' else '<'} {repr(bound[0]) if bound else '0'}"
        return r.choice((
            f'SELECT id FROM t WHERE id NOT IN (SELECT id FROM t WHERE {within})',
            f'SELECT id FROM t EXCEPT SELECT id FROM t WHERE {within}',
            f'SELECT u.id FROM t AS u WHERE NOT EXISTS (SELECT FROM (SELECT * FROM t WHERE {within}) AS v WHERE v.id = u.id)',
            f'SELECT u.id, v.pick FROM t AS u LEFT JOIN (SELECT id, pick FROM t WHERE {within}) AS v ON v.id = u.id',
            f'UPDATE t SET pick = pick + 1 WHERE {within} RETURNING id',
            f'DELETE FROM t WHERE {within} RETURNING id'))

    def check_built(self):
        statement = self.built_statement()
        answers = []
        for way in (BY_SORT, f"{BY_INDEX}; SET enable_hashagg = off; SET enable_hashjoin = off; {self.random.choice((LITTLE, LITTLE, EVERYTHING))}"):
            self.run(way)
            self.run('BEGIN')
            answers.append(sorted(map(repr, self.run(statement).fetchall())))
            self.run('ROLLBACK')
        self.run('RESET enable_hashagg; RESET enable_hashjoin')
        self.totals['statements'] += 1
        if answers[0] != answers[1]:
            raise Failure(f'other rows: {self.quantizer} {self.kind}\n{statement}\nby sort:  {answers[0][:40]}\nby index: {answers[1][:40]}')

    def compare(self, statement, ordered, by_id, wanted, found, late):
        def fail(what):
            at = next((i for i, (a, b) in enumerate(zip(wanted, found)) if a != b), 0)
            raise Failure(f'{what}: {self.quantizer} {self.kind}\n{statement}\nfrom row {at} on\nby sort:  {wanted[at:at + 20]}\n'
                          f'by index: {found[at:at + 20]}\nlate: {late}')

        # Which of the rows with the last score are given is anyone's choice.
        scores = lambda rows: [score for _, score in rows]
        # What is late in one of several tables is not told after a search in another.
        in_order = not late and self.kind not in ('parts', 'heirs')
        # A threshold is searched by the sketches, whatever the codec.
        approximate = self.threshold or (self.limit and (self.little or self.quantizer != 'flat'))
        if len({id for id, _ in found}) != len(found):
            fail('a row came twice')
        if approximate:
            good = sum(score in set(scores(wanted)) for score in scores(found))
            if not self.little:
                self.totals['found'] += min(good, len(wanted))
                self.totals['wanted'] += len(wanted)
            if not self.threshold and 'TIES' not in statement and len(found) != len(wanted):
                fail('another number of rows')
            if self.threshold and not set(found) <= set(wanted) and not self.limit:
                fail('a row that is not within the threshold')
        elif ordered and by_id and in_order:
            if found != wanted:
                fail('other rows, or another order')
        elif sorted(scores(found), key=repr) != sorted(scores(wanted), key=repr):
            fail('other scores')
        if ordered and in_order:
            shown = scores(found)
            values = [score for score in shown if score is not None]
            if values != sorted(values, reverse=self.direction == 'DESC'):
                fail('not in order')
            nulls = [score is None for score in shown]
            if nulls != sorted(nulls) and nulls != sorted(nulls, reverse=True):
                fail('NULLs in the midst')

    def play(self, statements=12):
        self.run('DROP TABLE IF EXISTS t, t_heir CASCADE; DROP DOMAIN IF EXISTS d_doc; DROP FUNCTION IF EXISTS f')
        self.make_table()
        self.next_id = 1
        before = self.random.random() < .3
        if before:
            self.make_index()
        for _ in range(self.random.randint(1, 3)):
            count = self.random.choice((0, 5, 60, 300))
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
            self.check_built() if self.random.random() < .3 else self.check()
        return f'{self.method} {self.opclass} {self.quantizer} {self.kind}, {self.type}, {self.next_id - 1} rows'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=45)
    parser.add_argument('--seed', type=int, default=int.from_bytes(os.urandom(4), 'big'))
    parser.add_argument('--round', type=int, help='only this round')
    options = parser.parse_args()
    totals = {'statements': 0, 'by index': 0, 'found': 0, 'wanted': 0}
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
            game = Round(conn, f'{options.seed} {n}', totals)
            try:
                print(f'ok {n} - {game.play()}')
            except (Failure, psycopg.Error) as e:
                failed += 1
                conn.execute('ROLLBACK')
                print(f'not ok {n} - round {n} of seed {options.seed}')
                print('\n'.join('# ' + line for line in str(e).split('\n') + ['what was done:'] + game.log[-60:]))
    recall = totals['found'] / max(totals['wanted'], 1)
    good = recall >= LEAST_RECALL or totals['wanted'] < 500
    print(f"{'ok' if good else 'not ok'} {n + 1} - approximate searches find {recall:.4f} of {totals['wanted']} rows")
    print(f"# {totals['statements']} statements, {totals['by index']} of them by an index; seed {options.seed}")
    print(f'1..{n + 1}')
    sys.exit(failed > 0 or not good)


if __name__ == '__main__':
    main()
