"""ANALYZE of 50,000 documents with a statistics target of 1,000; and a search in a function whose LIMIT is a parameter, with JIT.

The documents have two random tokens of 128 dims, float2, because ANALYZE skips values of more than 1,024 bytes. The search runs on MedQuAD
with a colbert_hnsw index and jit_above_cost = 25,000. (The default is 100,000, which the plan reached at 57,000 documents.) The figure is the
best of five calls, each of which compiles anew if it compiles at all.
"""
import json
from collections.abc import Iterator
from typing import Any

import copybinary as cb
import numpy as np

from users import DIMS, Figure, copy_in, load, run, seconds

DOCUMENTS, TARGET, CALLS, SEED = 50000, 1000, 5, 11
FUNCTION = '''CREATE FUNCTION best(query multivector, n int) RETURNS TABLE (id int, score float8) LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN QUERY SELECT p.id, maxsim(p.doc, query) FROM passages p ORDER BY maxsim(p.doc, query) DESC LIMIT n; END $$'''
GENERIC = "PREPARE best(multivector, int) AS SELECT id, maxsim(doc, $1) FROM passages ORDER BY maxsim(doc, $1) DESC LIMIT $2"


def measure(conn: Any) -> Iterator[Figure]:
    load(conn)
    run(conn, f'CREATE TABLE many (id int, doc multivector({DIMS}, float2))')
    tokens = np.random.default_rng(SEED).normal(size=(DOCUMENTS, 2, DIMS))
    copy_in(conn, 'many', ((id, cb.multivector(doc, 'float2')) for id, doc in enumerate(tokens)))
    yield Figure(f'ANALYZE of {DOCUMENTS:,} documents, target 100', seconds(conn, 'ANALYZE many'), 's')
    run(conn, f'ALTER TABLE many ALTER doc SET STATISTICS {TARGET}')
    yield Figure(f'ANALYZE of {DOCUMENTS:,} documents, target {TARGET:,}', seconds(conn, 'ANALYZE many'), 's')
    run(conn, 'CREATE INDEX passages_index ON passages USING colbert_hnsw (doc)', FUNCTION, GENERIC,
        'SET jit = on; SET jit_above_cost = 25000; SET plan_cache_mode = force_generic_plan')
    query = conn.execute('SELECT short::text FROM questions WHERE id = 1').fetchone()[0]
    plan = conn.execute(f"EXPLAIN (ANALYZE, FORMAT json) EXECUTE best('{query}', 10)").fetchone()[0]
    plan = (json.loads(plan) if isinstance(plan, str) else plan)[0]
    yield Figure('a search whose LIMIT is a parameter: cost', plan['Plan']['Total Cost'])
    yield Figure('a search whose LIMIT is a parameter: functions compiled', plan.get('JIT', {}).get('Functions', 0))
    yield Figure('a search whose LIMIT is a parameter: by a function', 1000 * min(seconds(conn, f"SELECT * FROM best('{query}', 10)") for _ in range(CALLS)), 'ms')
