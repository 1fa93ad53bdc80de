#!/usr/bin/python3
"""Compare rank_score with the raw predictions of LightGBM and XGBoost, bit for bit, on random models; and give it damaged models. TAP output.

Runs on the server of PGHOST, in a database of its own. COLBERT_EXTRA makes the models larger and the damage more frequent.
"""
import os
import random
import struct
import sys
from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import psycopg
import xgboost

EXTRA = bool(os.environ.get('COLBERT_EXTRA'))
TREES, LEAVES, DAMAGED = (2000, 255, 5000) if EXTRA else (25, 31, 300)
ROWS, TESTED, FEATURES = 1500, 200, 8
CATEGORIES = 70
FATAL = ('57', '58', 'XX')  # classes of SQLSTATE: the server went down, the file system, an internal error
ODD = (-5, -.5, .5, 31.9, 32, 63, 64, 95, 96, 1000, 3e9, -3e9, 1e30, -1e30, 1e-36, -1e-36, 2e-35, 0, np.inf, -np.inf)

Case = tuple[str, str, np.ndarray, np.ndarray]      # a label, the model's text, rows of features, their raw predictions


def make_data(seed: int, missing: float = 0, zero: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of features and a target; these shares of features are NaN and 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    x[:, 3] = rng.integers(0, CATEGORIES, ROWS)
    y = x[:, 0] + x[:, 1] * x[:, 2] + 2 * np.isin(x[:, 3], (3, 33, 50, 69)) + rng.normal(size=ROWS) * .1
    x[:, :3] = np.where(rng.random((ROWS, 3)) < zero, 0, x[:, :3])
    x[rng.random(x.shape) < missing] = np.nan
    return x, y


def tested(x: np.ndarray) -> np.ndarray:
    """Return rows to score: of the data, some with odd numbers in them."""
    rows = x[:TESTED].copy()
    for i, value in enumerate(ODD):
        rows[i, i % FEATURES] = value
        rows[i + len(ODD), 3] = value
    return rows


def lightgbm_cases() -> Iterator[Case]:
    variants: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
        'plain': ({}, {}),
        'missing as NaN': ({}, {'missing': .2}),
        'missing as zero': ({'zero_as_missing': True}, {'missing': .1, 'zero': .3}),
        'dart': ({'boosting': 'dart'}, {'missing': .1}),
        'random forest': ({'boosting': 'rf', 'bagging_freq': 1, 'bagging_fraction': .6}, {'missing': .1}),
        'categories': ({'max_cat_to_onehot': 1, 'min_data_per_group': 5, 'cat_smooth': 1}, {'missing': .1}),
        'ranking': ({'objective': 'lambdarank'}, {'missing': .1}),
        'trees of one leaf': ({'min_data_in_leaf': ROWS}, {}),
        'many leaves': ({'num_leaves': LEAVES * 4, 'min_data_in_leaf': 2}, {'missing': .1}),
    }
    for seed, (label, (parameters, data)) in enumerate(variants.items()):
        x, y = make_data(seed, **data)
        ranking = 'objective' in parameters
        if label == 'categories':
            x[:, 3] = np.where(np.isnan(x[:, 3]), 0, x[:, 3])
        dataset = lightgbm.Dataset(x, y > 1 if ranking else y, group=[30] * (ROWS // 30) if ranking else None,
                                   categorical_feature=[3] if label == 'categories' else 'auto')
        model = lightgbm.train({'verbose': -1, 'num_threads': 1, 'num_leaves': LEAVES, **parameters}, dataset, TREES)
        rows = tested(x)
        if not data.get('missing'):
            rows = np.nan_to_num(rows, nan=0)
        yield f'LightGBM, {label}', model.model_to_string(), rows, model.predict(rows, raw_score=True, num_threads=1)


def xgboost_cases() -> Iterator[Case]:
    x, y = make_data(1, missing=.1)
    targets = {'rank:ndcg': y > 1, 'binary:logistic': y > 0, 'binary:hinge': y > 0, 'count:poisson': y > 0, 'reg:gamma': np.abs(y) + .1,
               'reg:tweedie': np.abs(y), 'reg:squarederror': y, 'reg:absoluteerror': y, 'reg:squaredlogerror': np.abs(y), 'reg:pseudohubererror': y}
    forest = {'num_parallel_tree': 3, 'subsample': .5, 'grow_policy': 'lossguide', 'max_leaves': LEAVES, 'max_depth': 0}
    for objective, target in targets.items():
        dataset = xgboost.DMatrix(x, target, nthread=1)
        if objective.startswith('rank'):
            dataset.set_group([30] * (ROWS // 30))
        options = {'objective': objective, 'nthread': 1, 'base_score': .3} | (forest if objective == 'reg:squarederror' else {})
        model = xgboost.train(options, dataset, TREES)
        rows = np.where(np.isinf(tested(x)), 0, tested(x))      # XGBoost refuses infinity
        yield f'XGBoost, {objective}', bytes(model.save_raw('json')).decode(), rows, model.predict(xgboost.DMatrix(rows, nthread=1), output_margin=True)


def bits(number: float) -> bytes:
    return struct.pack('<d', number)


def as_array(row: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in row]


def scores(conn: psycopg.Connection, rows: np.ndarray) -> list[float]:
    """Return the scores of rows by the model that the table has, and by the names of its features in another order."""
    conn.execute('TRUNCATE features')
    with conn.cursor().copy('COPY features FROM STDIN') as copy:
        for i, row in enumerate(rows):
            copy.write_row((i, as_array(row)))
    found = conn.execute('''SELECT rank_score(model, f.features), rank_score(model, backwards.features, backwards.names) FROM features AS f, models,
        LATERAL (SELECT array_agg(u.f ORDER BY i DESC), array_agg(u.n ORDER BY i DESC)
            FROM unnest(f.features, rank_model_features(model)) WITH ORDINALITY AS u (f, n, i)) AS backwards (features, names) ORDER BY id''').fetchall()
    assert all(bits(score) == bits(by_name) for score, by_name in found)
    return [score for score, _ in found]


def set_model(conn: psycopg.Connection, text: str) -> None:
    conn.execute('TRUNCATE models')
    conn.execute('INSERT INTO models VALUES (%s::text::rank_model)', (text,))


def differences(conn: psycopg.Connection, case: Case) -> int:
    """Return how many scores differ from the library's, also after the text and the binary form of the model were read back."""
    _, text, rows, wanted = case
    set_model(conn, text)
    count = sum(bits(score) != bits(float(raw)) for score, raw in zip(scores(conn, rows), wanted, strict=True))
    same = conn.execute('SELECT model::text::rank_model::text = model::text FROM models').fetchone()[0]
    binary = conn.execute('SELECT model FROM models', binary=True).fetchone()[0]
    conn.execute('UPDATE models SET model = %s::rank_model', ('\\x' + bytes(binary).hex(),))
    again = scores(conn, rows)
    return count + (not same) + sum(bits(score) != bits(float(raw)) for score, raw in zip(again, wanted, strict=True))


def damage(r: random.Random, text: str) -> str:
    """Return a model file with a number, a word, a line or its end changed."""
    at, kind = r.randrange(len(text)), r.randrange(5)
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + r.choice('0123456789-.eE \n=[]{},"x') + text[at + 1:]
    if kind == 2:
        return text[:at] + r.choice(('nan', 'inf', '-1', '1e999', '2147483648', '99999999999', '')) + text[at + r.randrange(1, 12):]
    if kind == 3:
        end = text.find('\n', at)
        return text[:at] + text[end:]
    other = r.randrange(len(text))
    return text[:at] + text[other:other + 40] + text[at + 40:]


def damage_hex(r: random.Random, text: str) -> str:
    at = r.randrange(2, min(len(text), r.choice((90, len(text)))))
    return text[:at] + r.choice('0123456789abcdef') + text[at + 1:] if r.randrange(4) else text[:at - at % 2]


def survive(conn: psycopg.Connection, label: str, texts: Iterator[str], rows: np.ndarray) -> str:
    """Return what is wrong with the answers to damaged models, or ''. A model that is accepted must score."""
    accepted = refused = 0
    arrays = [as_array(row) for row in rows[:5]]
    for text in texts:
        try:
            with conn.transaction():
                set_model(conn, text)
                n = conn.execute('SELECT (rank_model_info(model)).features FROM models').fetchone()[0]
                for array in arrays:
                    conn.execute('SELECT rank_score(model, %s::real[]) FROM models', ((array * n)[:n],))
            accepted += 1
        except psycopg.Error as error:
            refused += 1
            if error.sqlstate is None or error.sqlstate.startswith(FATAL):
                return f'{label}: {error.sqlstate} {error}'
    return '' if accepted and refused else f'{label}: {accepted} accepted, {refused} refused'


def main() -> int:
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('DROP DATABASE IF EXISTS ranking_models')
        conn.execute('CREATE DATABASE ranking_models')
    failed = number = 0
    with psycopg.connect(dbname='ranking_models', autocommit=True) as conn:
        conn.execute('CREATE EXTENSION colbert_pg')
        conn.execute('CREATE TABLE models (model rank_model); CREATE TABLE features (id int, features real[])')
        examples = {}
        for case in (*lightgbm_cases(), *xgboost_cases()):
            number += 1
            count = differences(conn, case)
            failed += count > 0
            print(f"{'not ok' if count else 'ok'} {number} - {case[0]}: {count} of {2 * len(case[3])} scores differ", flush=True)
            if 'categories' in case[0] or 'rank:' in case[0]:
                examples[case[0]] = case
        r = random.Random(1)
        for label, text, rows, _ in examples.values():
            set_model(conn, text)
            hexadecimal = conn.execute('SELECT model::text FROM models').fetchone()[0]
            for kind, texts in (('text', (damage(r, text) for _ in range(DAMAGED))), ('bytes', (damage_hex(r, hexadecimal) for _ in range(DAMAGED)))):
                number += 1
                wrong = survive(conn, f'{label}, {kind}', texts, rows)
                failed += wrong != ''
                print(f"{'not ok' if wrong else 'ok'} {number} - damaged {kind} of {label} {wrong}", flush=True)
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('DROP DATABASE ranking_models')
    print(f'1..{number}')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
