#!/usr/bin/python3
"""Compare the answers of composed statements with an index and without, for random tables, changes, settings and ways to run them.

    composed.py [--seconds N] [--seed N] [--round N]

A round creates two schemas with the same tables (twins.py), of which one has indexes, and runs random statements (composing.py) in both: joins
with LATERAL, common table expressions, windows, sets, groups, sub-selects, functions, views, policies, and statements that change tables by a
search. It runs them alone, as cursors, prepared statements, views and bodies of functions, also as a role with a policy. In the schema with
indexes, the settings of the planner are random. TAP output, one test per round; --seed N --round N repeats a round.

Answers must be equal as sets of rows, and so must the changed tables. Every difference is a fault, because the searches are exact: codes are flat,
and a statement that depends on the first rows of a search runs with settings that examine everything. Others run with small settings, too. A
SELECT or an INSERT with a threshold has colbert.exact_thresholds on; other changes are exact without it. A cursor must give the same rows
forwards, backwards and by position. An error must have the same SQLSTATE in both schemas, and only errors about the rows of a change may occur.
"""
import argparse
import collections
import os
import random
import sys
import time
from typing import Any

import psycopg
from composing import Composer
from twins import Twins

Rows = list[tuple[Any, ...]]

EVERYTHING = {'colbert.probes': '1048576', 'colbert.ef_search': '10000', 'colbert.candidates': '10000000', 'colbert.rerank': '10000000'}
LITTLE = {'colbert.probes': '1', 'colbert.ef_search': '1', 'colbert.candidates': '5', 'colbert.rerank': '3'}
# Each is set with this probability, to one of the values; those that a version lacks are left out.
SETTINGS = {
    'enable_seqscan': (.9, ('off',)), 'enable_sort': (.7, ('off',)), 'enable_bitmapscan': (.7, ('off',)), 'enable_hashagg': (.3, ('off',)),
    'enable_hashjoin': (.3, ('off',)), 'enable_mergejoin': (.2, ('off',)), 'enable_nestloop': (.2, ('off',)), 'enable_material': (.2, ('off',)),
    'enable_memoize': (.2, ('off',)), 'enable_incremental_sort': (.2, ('off',)), 'enable_indexscan': (.03, ('off',)), 'enable_indexonlyscan': (.2, ('off',)),
    'enable_gathermerge': (.2, ('off',)), 'enable_parallel_append': (.2, ('off',)), 'enable_partition_pruning': (.2, ('off',)),
    'enable_partitionwise_join': (.3, ('on',)), 'enable_partitionwise_aggregate': (.3, ('on',)), 'enable_group_by_reordering': (.2, ('off',)),
    'enable_presorted_aggregate': (.2, ('off',)), 'enable_async_append': (.1, ('off',)), 'enable_distinct_reordering': (.2, ('off',)),
    'max_parallel_workers_per_gather': (.5, ('0', '2')), 'min_parallel_table_scan_size': (.3, ('0',)), 'parallel_setup_cost': (.3, ('0',)),
    'parallel_tuple_cost': (.3, ('0',)), 'force_parallel_mode': (.1, ('on', 'regress')), 'debug_parallel_query': (.1, ('on', 'regress')),
    'parallel_leader_participation': (.1, ('off',)), 'jit': (.02, ('on',)), 'jit_above_cost': (.5, ('0',)), 'work_mem': (.5, ('64kB', '1MB')),
    'hash_mem_multiplier': (.2, ('1',)), 'plan_cache_mode': (.5, ('force_generic_plan', 'force_custom_plan')), 'cursor_tuple_fraction': (.4, ('.01', '1')),
    'from_collapse_limit': (.2, ('1',)), 'join_collapse_limit': (.2, ('1',)), 'geqo_threshold': (.1, ('2',)), 'random_page_cost': (.3, ('.1', '100')),
    'constraint_exclusion': (.2, ('on', 'off')), 'row_security': (.02, ('on',)),
}
WAYS = ('plain', 'plain', 'cursor', 'prepared', 'view', 'sql', 'plpgsql', 'loop', 'table')
CHANGE_ERRORS = ('21', '23', '42501', '44')     # a row twice in MERGE, a constraint, a policy, the condition of a view
TIMEOUT = '57014'


class Failure(Exception):
    """A difference: the answers, the statement and its settings."""


def by_repr(rows: Rows) -> Rows:
    return sorted(rows, key=repr)


class Round:
    """A pair of schemas, the statements that run in them, and their comparison."""

    def __init__(self, conn: psycopg.Connection[Any], seed: str, settings: list[str], totals: collections.Counter[str]) -> None:
        self.random, self.totals, self.settings = random.Random(seed), totals, settings
        self.log: list[str] = []
        self.twins = Twins(conn, self.random, self.log)
        self.run = self.twins.run
        self.composer = Composer(self.random, self.twins)
        self.given: tuple[str, str] = '', ''
        self.twins_differ = False

    # ---- settings ----

    def choose_settings(self, exact: bool, exact_thresholds: bool) -> list[str]:
        """Return commands that make searches exact, or not, and set the planner at random."""
        rng = self.random
        chosen = {name: rng.choice(values) for name, (share, values) in SETTINGS.items() if rng.random() < share and name in self.settings}
        if rng.random() < .05:
            chosen = {}
        chosen |= EVERYTHING if exact else rng.choice((EVERYTHING, LITTLE, {}))
        chosen['colbert.exact_thresholds'] = 'on' if exact_thresholds else 'auto'
        return [f"SET {name} = '{value}'" for name, value in chosen.items()]

    def enter(self, schema: str, role: str, settings: list[str]) -> None:
        """Prepare to run a statement in a schema."""
        self.run('RESET ALL')
        self.run("SET client_min_messages = error; SET jit = off; SET statement_timeout = '60s'")
        for command in settings if schema == 'indexed' else []:
            self.run(command)
        self.twins.enter(schema)
        if role:
            self.run(f'SET ROLE {role}')

    # ---- ways to run a statement ----

    def text(self, statement: str, query: str, number: str) -> str:
        return statement.replace(':q', query).replace(':n', number)

    def with_values(self, statement: str) -> str:
        query, number = self.given
        return self.text(statement, f"'{query}'::multivector", number)

    def prepared(self, statement: str, times: int) -> Rows:
        """Execute a prepared statement some times, each but the last undone: from the sixth on, PostgreSQL may use a generic plan."""
        query, number = self.given
        self.run(f"PREPARE s (multivector, int) AS {self.text(statement, '$1', '$2')}")
        answers = []
        for execution in range(times):
            self.run('SAVEPOINT before')
            answers.append(by_repr(self.run(f"EXECUTE s ('{query}', {number})")))
            if execution < times - 1:
                self.run('ROLLBACK TO before')
        if any(answer != answers[0] for answer in answers):
            raise Failure('executions of a prepared statement differ')
        return answers[0]

    def cursor(self, statement: str, hold: bool, moves: list[tuple[str, int]]) -> Rows:
        """Read a cursor forwards, backwards, and at random positions: the rows must be the same each time."""
        self.run(f"DECLARE c SCROLL CURSOR {'WITH HOLD ' if hold else ''}FOR {self.with_values(statement)}")
        first = self.run(f'FETCH {moves[0][1]} FROM c')
        if hold:
            self.run('COMMIT; BEGIN')
        rows = first + self.run('FETCH ALL FROM c')
        back = self.run('FETCH BACKWARD ALL FROM c')
        if back[::-1] != rows:
            raise Failure(f'a cursor reads other rows backwards\nforwards:  {rows}\nbackwards: {back}')
        for kind, position in moves:
            found = self.run(f'FETCH {kind} {position} FROM c')
            wanted = rows[position - 1:position] if kind == 'ABSOLUTE' else rows[:position]
            if found != wanted:
                raise Failure(f'FETCH {kind} {position}: {found}, not {wanted} of {rows}')
            self.run('MOVE ABSOLUTE 0 FROM c')
        self.run('CLOSE c')
        return rows

    def answer(self, statement: str, way: str, moves: list[tuple[str, int]]) -> Rows:
        """Run a statement in one of the ways, within a transaction, and return its rows."""
        query, number = self.given
        if way == 'prepared':
            return self.prepared(statement, moves[0][1])
        if way == 'cursor':
            return self.cursor(statement, moves[0][1] % 2 == 0, moves)
        if way == 'view':
            self.run(f'CREATE TEMP VIEW w AS {self.with_values(statement)}')
            return self.run('SELECT * FROM w')
        if way == 'table':
            self.run(f'CREATE TEMP TABLE w AS {self.with_values(statement)}')
            return self.run('SELECT * FROM w')
        if way in ('sql', 'plpgsql', 'loop'):
            text = self.text(statement, '$1', '$2')
            body = {'sql': text, 'plpgsql': f'#variable_conflict use_column\nBEGIN RETURN QUERY {text}; END',
                    'loop': f'#variable_conflict use_column\nBEGIN FOR id, kind, pick, s IN {text} LOOP RETURN NEXT; END LOOP; END'}[way]
            self.run(f"CREATE FUNCTION pg_temp.w(multivector, int) RETURNS TABLE (id int, kind text, pick int, s float8) "
                     f"LANGUAGE {'sql' if way == 'sql' else 'plpgsql'} STABLE AS $f$ {body} $f$")
            return self.run(f"SELECT * FROM pg_temp.w('{query}', {number})")
        return self.run(self.with_values(statement))

    # ---- comparison ----

    def attempt(self, statement: str, way: str, moves: list[tuple[str, int]], table: str, keep: bool) -> tuple[str, Rows, Rows]:
        """Run a statement in the schema that was entered; return the SQLSTATE of an error, the rows, and those of the table that it changed."""
        error, rows, changed = '', [], []
        self.run('BEGIN')
        try:
            rows = self.answer(statement, way, moves)
            if table:
                self.run('RESET ROLE')
                changed = self.run(f'SELECT id, kind, pick, doc::text FROM {table}')
        except psycopg.Error as e:
            error = e.sqlstate or 'none'
            self.log.append(f'-- {e}')
        self.run('COMMIT' if keep and not error else 'ROLLBACK')
        self.run('DEALLOCATE ALL; CLOSE ALL; RESET ROLE; DISCARD TEMP')
        return error, by_repr(rows), by_repr(changed)

    def note_plan(self, statement: str) -> None:
        plan = '\n'.join(row[0] for row in self.run(f'EXPLAIN {self.with_values(statement)}'))
        self.totals['by index'] += 'Order By:' in plan or '~@' in plan

    def compare(self, statement: str, way: str, role: str, settings: list[str], table: str) -> None:
        """Run a statement in both schemas, and require the same outcome."""
        moves = [(self.random.choice(('ABSOLUTE', 'FORWARD')), self.random.randint(1, 8)) for _ in range(4)]
        keep = bool(table) and self.twins.ties and self.random.random() < .2
        outcomes: list[tuple[str, Rows, Rows]] = []
        for schema in ('plain', 'indexed'):
            self.enter(schema, role, settings)
            if schema == 'indexed' and not outcomes[0][0]:
                self.note_plan(statement)
            try:
                outcomes.append(self.attempt(statement, way, moves, table, keep))
            except Failure as e:
                raise Failure(f'{schema}: {e}\n{self.context(statement, way, role, settings)}') from e
        self.totals[f'{"change" if table else "select"}, {way}'] += 1
        wanted, found = outcomes
        if TIMEOUT in (wanted[0], found[0]):
            self.totals['timeouts'] += 1
            self.twins_differ = keep and wanted[0] != found[0]
        elif wanted != found:
            raise Failure('\n'.join([self.difference(wanted, found), self.context(statement, way, role, settings)]))
        elif wanted[0] and not (table and wanted[0].startswith(CHANGE_ERRORS)):
            raise Failure(f'the statement fails: {wanted[0]}\n{self.context(statement, way, role, settings)}')
        self.totals['errors'] += wanted[0] != ''
        self.totals['rows'] += len(wanted[1])

    def context(self, statement: str, way: str, role: str, settings: list[str]) -> str:
        return f"way: {way}, role: {role or 'owner'}, policy: {self.twins.policy}\nsettings: {'; '.join(settings)}\n{self.with_values(statement)}"

    def difference(self, wanted: tuple[str, Rows, Rows], found: tuple[str, Rows, Rows]) -> str:
        """Return what differs between two outcomes."""
        lines = [f"error '{wanted[0]}' without an index, '{found[0]}' with it"] if wanted[0] != found[0] else []
        for name, with_sort, with_index in (('answer', wanted[1], found[1]), ('table', wanted[2], found[2])):
            missing = list((collections.Counter(with_sort) - collections.Counter(with_index)).elements())
            more = list((collections.Counter(with_index) - collections.Counter(with_sort)).elements())
            if missing or more:
                lines.append(f'{name}: {len(with_sort)} rows without an index, {len(with_index)} with it\nmissing: {missing[:20]}\ntoo many: {more[:20]}')
        return '\n'.join(lines)

    def check_select(self) -> None:
        statement, role = self.composer.select(), self.random.choice(('', '', 'reader'))
        composer = self.composer
        policy = bool(role) and self.twins.metric.function in self.twins.policy
        settings = self.choose_settings(composer.first_rows or composer.threshold or policy, composer.threshold or policy)
        self.compare(statement, self.random.choice(WAYS), role, settings, '')

    def check_change(self) -> None:
        """Check a change: its thresholds are exact by themselves, except those of INSERT."""
        statement, table = self.composer.change()
        insert = statement.startswith('INSERT')
        settings = self.choose_settings(self.composer.first_rows or insert, insert)
        self.compare(statement, self.random.choice(('plain', 'prepared')), self.random.choice(('', 'reader')), settings, table)

    def play(self, statements: int = 30) -> str:
        self.run('RESET ALL; SET client_min_messages = error')
        about = self.twins.make()
        for _ in range(statements):
            self.enter('plain', '', [])
            if self.random.random() < .3:
                self.twins.change()
            self.given = self.twins.document(3), str(self.random.choice((1, 2, 3, 10)))
            if self.random.random() < .7:
                self.check_select()
            else:
                self.check_change()
            if self.twins_differ:       # a change that was kept in one schema, and timed out in the other
                break
        return about


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=900 if os.environ.get('COLBERT_EXTRA') else 25, help='25, or 900 with COLBERT_EXTRA')
    parser.add_argument('--seed', type=int, default=int.from_bytes(os.urandom(4), 'big'))
    parser.add_argument('--round', type=int, help='only this round')
    return parser.parse_args()


def play(conn: psycopg.Connection[Any], number: int, seed: int, settings: list[str], totals: collections.Counter[str]) -> bool:
    """Play a round, print its result, and return whether it passed."""
    game = Round(conn, f'{seed} {number}', settings, totals)
    try:
        print(f'ok {number} - {game.play()}')
    except (Failure, psycopg.Error) as e:
        conn.execute('ROLLBACK; RESET ROLE; RESET ALL; DEALLOCATE ALL; CLOSE ALL')
        print(f'not ok {number} - round {number} of seed {seed}')
        print('\n'.join('# ' + line for line in [*str(e).split('\n'), 'the last statements:', *game.log[-30:]]))
        return False
    return True


def main() -> int:
    options = parse()
    totals: collections.Counter[str] = collections.Counter()
    start, number, failed = time.monotonic(), 0, 0
    print(f'# seed {options.seed}')
    with psycopg.connect(autocommit=True, prepare_threshold=None) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS colbert_pg; LOAD 'colbert_pg'; "
                     'DROP SCHEMA IF EXISTS plain, indexed CASCADE; DROP ROLE IF EXISTS reader; CREATE ROLE reader')
        settings = [row[0] for row in conn.execute('SELECT name FROM pg_settings')]
        while options.round or time.monotonic() - start < options.seconds:
            number = options.round or number + 1
            failed += not play(conn, number, options.seed, settings, totals)
            if options.round:
                break
        conn.execute('DROP SCHEMA IF EXISTS plain, indexed CASCADE; DROP ROLE reader')
    for name, count in sorted(totals.items()):
        print(f'# {name}: {count}')
    used = totals['by index']
    ran = sum(count for name, count in totals.items() if ', ' in name)
    enough = options.round is not None or failed > 0 or ran < 100 or used * 4 >= ran
    print(f"{'ok' if enough else 'not ok'} {number + 1} - {used} of {ran} statements use an index, and {totals['timeouts']} time out; seed {options.seed}")
    print(f'1..{number + 1}')
    return int(failed > 0 or not enough)


if __name__ == '__main__':
    sys.exit(main())
