"""Statements that users write for the ten best documents, compared with the plain one: milliseconds, relative time, table rows read.

MedQuAD (16,373 documents), colbert_hnsw, default settings, five questions, no JIT; medians. The plain statement is timed again beside each.
"""
import statistics
from collections.abc import Iterator
from typing import Any

import medquad_db as db

from users import Figure, load, run, seconds

QUESTIONS = 5
PARTS = 60              # a filter keeps one row in this many
THRESHOLD_RANK = 5      # fewer documents reach this threshold than are wanted
QUERY = '(SELECT short FROM questions WHERE id = {id})'
PLAIN = f'SELECT id, maxsim(doc, {QUERY}) AS score FROM passages ORDER BY score DESC LIMIT 10'
BEST = 'FROM passages ORDER BY score {} LIMIT 10'

SPELLINGS = {   # {id}: the question, {threshold}: the score of its fifth answer
    'maxsim / 32': f"SELECT id, maxsim(doc, {QUERY}) / 32 AS score {BEST.format('DESC')}",
    '1 - maxsim': f"SELECT id, 1 - maxsim(doc, {QUERY}) AS score {BEST.format('')}",
    '- maxsim': f"SELECT id, - maxsim(doc, {QUERY}) AS score {BEST.format('')}",
    '::real': f"SELECT id, maxsim(doc, {QUERY})::real AS score {BEST.format('DESC')}",
    '::numeric': f"SELECT id, maxsim(doc, {QUERY})::numeric AS score {BEST.format('DESC')}",
    'round(::numeric, 3)': f"SELECT id, round(maxsim(doc, {QUERY})::numeric, 3) AS score {BEST.format('DESC')}",
    'WITH v ... FROM passages p, v': 'WITH v AS (SELECT short AS q FROM questions WHERE id = {id}) '
        'SELECT p.id, maxsim(p.doc, v.q) AS score FROM passages p, v ORDER BY score DESC LIMIT 10',
    'LATERAL alias in WHERE and ORDER BY': f'SELECT id, s FROM passages, LATERAL (SELECT maxsim(doc, {QUERY}) AS s) AS l '
        'WHERE s >= {threshold} ORDER BY s DESC LIMIT 10',
    'WHERE maxsim > t ORDER BY id': "SELECT id FROM passages WHERE maxsim(doc, '{query}') >= {threshold} ORDER BY id LIMIT 10",
    'row_number() OVER (ORDER BY maxsim DESC) ... LIMIT': f'SELECT id, row_number() OVER (ORDER BY maxsim(doc, {QUERY}) DESC) FROM passages LIMIT 10',
    'rank() <= 10 outside': f'SELECT * FROM (SELECT id, rank() OVER (ORDER BY maxsim(doc, {QUERY}) DESC) AS rank FROM passages) AS t WHERE rank <= 10',
    'filter by a join': f"SELECT p.id, maxsim(p.doc, {QUERY}) AS score FROM passages p JOIN parts USING (part) WHERE name = 'kept' ORDER BY score DESC LIMIT 10",
    'filter by = (SELECT ...)': f"SELECT id, maxsim(doc, {QUERY}) AS score FROM passages WHERE part = (SELECT part FROM parts WHERE name = 'kept') ORDER BY score DESC LIMIT 10",
    'filter by (IN (SELECT ...)) IS TRUE': f'SELECT id, maxsim(doc, {QUERY}) AS score FROM passages '
        "WHERE (part IN (SELECT part FROM parts WHERE name = 'kept')) IS TRUE ORDER BY score DESC LIMIT 10",
}


def rows_read(conn: Any, node: dict[str, Any]) -> float:
    """Return the number of table rows that an executed plan read: those fetched by the index scan, or all rows of another scan."""
    read = sum(rows_read(conn, child) for child in node.get('Plans', []))
    if node.get('Index Name') == 'passages_index':
        read += conn.execute('SELECT fetched FROM colbert_last_scan()').fetchone()[0]
    elif node.get('Relation Name') == 'passages':
        read += (node['Actual Rows'] + node.get('Rows Removed by Filter', 0)) * node['Actual Loops']
    return read


class Spelling:
    """A statement, instantiated for each question."""

    def __init__(self, conn: Any, text: str, values: list[dict[str, Any]]) -> None:
        self.conn, self.statements = conn, [text.format(**value) for value in values]

    def ms(self) -> float:
        """Return the median milliseconds; each time is the best of three runs."""
        return statistics.median(1000 * min(seconds(self.conn, statement) for _ in range(3)) for statement in self.statements)

    def read(self) -> float:
        """Return the median number of rows read."""
        return statistics.median(rows_read(self.conn, self.conn.execute('EXPLAIN (ANALYZE, FORMAT json) ' + statement).fetchone()[0][0]['Plan'])
                                 for statement in self.statements)


def measure(conn: Any) -> Iterator[Figure]:
    load(conn)
    run(conn, "SET jit = off; SET maintenance_work_mem = '512MB'; SET max_parallel_workers_per_gather = 0",
        'ALTER TABLE passages ADD part int', f'UPDATE passages SET part = id % {PARTS}', 'VACUUM FULL passages',
        'CREATE INDEX passages_index ON passages USING colbert_hnsw (doc)',
        f"CREATE TABLE parts AS SELECT i AS part, CASE WHEN i = 7 THEN 'kept' ELSE 'part ' || i END AS name FROM generate_series(0, {PARTS - 1}) AS i",
        'ALTER TABLE parts ADD PRIMARY KEY (part)', 'VACUUM ANALYZE')
    ids = [id for id, _ in db.queries(conn, 'short', QUESTIONS)]
    values = [{'id': id, 'query': conn.execute('SELECT short::text FROM questions WHERE id = %s', (id,)).fetchone()[0],
               'threshold': db.scores_at(conn, 'short', [(id, b'')], THRESHOLD_RANK)[0]} for id in ids]
    plain = Spelling(conn, PLAIN, values)
    yield Figure('maxsim DESC, the plain one', f'{plain.ms():.1f} ms, {plain.read():,.0f} read')
    for label, text in SPELLINGS.items():
        spelling = Spelling(conn, text, values)
        ms, beside = spelling.ms(), plain.ms()
        yield Figure(label, f'{ms:.1f} ms, {ms / beside:.1f} times, {spelling.read():,.0f} read')
