"""Learned rankers: their training data, their figures, and the models that the server reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from ranked import COUNT, ENCODER, QRELS, QUERIES, create_passages

from colbert_pg.evaluate import score
from colbert_pg.rank import (
    FEATURES,
    Columns,
    Ranker,
    TrainingData,
    train_lambdamart,
    train_logistic,
    training_data,
)

STATEMENT = """
    SELECT id::text, rank_score(%(model)s::rank_model,
        maxsim_features(doc, %(doc)s::multivector) || bm25f_features(good, q))
    FROM passages, bm25_query('passages_good_bm25', %(text)s::text) AS q
    WHERE doc IS NOT NULL AND good IS NOT NULL
"""
TREES = [{"leaves": 4, "rounds": 20}]


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        create_passages(conn)
        yield conn


@pytest.fixture(scope="module")
def data(conn: psycopg.Connection[Any]) -> TrainingData:
    with conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL extra_float_digits = -10")
        columns = Columns(tsv="good")
        return training_data(conn, "passages", QUERIES, QRELS, ENCODER, columns=columns)


def test_the_features_are_those_of_the_server(
    conn: psycopg.Connection[Any], data: TrainingData
) -> None:
    assert data.features.dtype == np.float32
    assert data.features.shape == (len(data.documents), 9 + 15) == (len(data.labels), len(FEATURES))
    assert list(data.groups) == list(QUERIES)
    assert sum(data.groups.values()) == len(data.labels)
    assert data.labels.sum() == COUNT
    first = 0
    for query, count in list(data.groups.items())[:3]:
        part = slice(first, first + count)
        of_query = dict(zip(data.documents[part], data.features[part], strict=True))
        labels = dict(zip(data.documents[part], data.labels[part], strict=True))
        assert {key for key, label in labels.items() if label} == set(QRELS[query])
        doc, text = ENCODER.encode_query(QUERIES[query]).to_text(), QUERIES[query]
        cursor = conn.cursor(binary=True)
        rows = cursor.execute(
            """
            SELECT id::text, maxsim_features(doc, %(doc)s::multivector), bm25f_features(good, q),
                maxsim(doc, %(doc)s::multivector)::real, (bm25f(good, q) / bm25_bound(q))::real
            FROM passages, bm25_query('passages_good_bm25', %(text)s::text) AS q
            WHERE id::text = ANY (%(ids)s)
            """,
            {"doc": doc, "text": text, "ids": list(of_query)},
        ).fetchall()
        assert len(rows) == count
        for key, of_doc, of_words, maxsim, share in rows:
            assert of_query[key].tolist() == [*of_doc, *of_words]
            assert of_query[key][FEATURES.index("maxsim")] == maxsim
            assert of_query[key][FEATURES.index("bm25f_share")] == share
        first += count


def test_a_part_of_the_data(data: TrainingData) -> None:
    part = data.of(["q3", "q1"])
    assert list(part.groups) == list(part.qrels) == ["q1", "q3"]
    run = data.run(data.features[:, 0])
    assert part.run(part.features[:, 0]) == {"q1": run["q1"], "q3": run["q3"]}
    assert part.labels.sum() == 2


def scores_of_the_server(
    conn: psycopg.Connection[Any], ranker: Ranker, query: str
) -> dict[str, float]:
    parameters = {
        "model": ranker.export(),
        "doc": ENCODER.encode_query(QUERIES[query]).to_text(),
        "text": QUERIES[query],
    }
    return dict(conn.execute(STATEMENT, parameters).fetchall())


def test_logistic_regression(conn: psycopg.Connection[Any], data: TrainingData) -> None:
    settings = [{"strength": 0.1}, {"strength": 10.0}]
    ranker = train_logistic(data, settings=settings, folds=2)
    assert 0 < ranker.gain.low < ranker.gain.mean < ranker.gain.high
    assert ranker.gain.mean == pytest.approx(ranker.fitted - ranker.maxsim)
    assert ranker.settings in settings
    assert str(ranker).splitlines()[1] == f"ranker        nDCG@10 {ranker.fitted:.4f}"
    again = train_logistic(data, settings=[ranker.settings], folds=2)
    assert (again.model, again.maxsim) == (ranker.model, ranker.maxsim)
    run = data.run(ranker.model.predict(data.features))
    for query in ("q0", "q7", "q39"):
        found = scores_of_the_server(conn, ranker, query)
        assert {key: found[key] for key in run[query]} == pytest.approx(
            run[query], rel=1e-12, abs=1e-12
        )
    names = conn.execute("SELECT rank_model_features(%s::rank_model)", (ranker.export(),))
    assert names.fetchone() == (list(FEATURES),)


def test_the_weights_are_those_of_scikit_learn(data: TrainingData) -> None:
    """The exported weights give the decision function for standardised features."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    ranker = train_logistic(data, settings=[{"strength": 1.0}], folds=2)
    varies = data.features.std(axis=0) > 0
    features = data.features[:, varies].astype(np.float64)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    model = linear_model.LogisticRegression(C=1.0, max_iter=2000).fit(features, data.labels > 0)
    predicted = ranker.model.predict(data.features)
    assert predicted == pytest.approx(model.decision_function(features), rel=1e-4, abs=1e-4)


def test_lambdamart(conn: psycopg.Connection[Any], data: TrainingData) -> None:
    ranker = train_lambdamart(data, settings=TREES, folds=3)
    assert ranker.gain.low > 0
    again = train_lambdamart(data, settings=TREES, folds=3)
    assert (again.export(), again.gain) == (ranker.export(), ranker.gain)
    run = data.run(ranker.model.predict(data.features))
    for query in ("q0", "q7", "q39"):
        found = scores_of_the_server(conn, ranker, query)
        assert {key: found[key] for key in run[query]} == run[query]
    kind = conn.execute("SELECT kind FROM rank_model_info(%s::rank_model)", (ranker.export(),))
    assert kind.fetchone() == ("lightgbm",)


def test_the_figure_is_of_queries_that_the_model_has_not_seen(data: TrainingData) -> None:
    """Labels that nothing explains are learned by heart, and the figure does not show it."""
    random = np.random.default_rng(1)
    qrels, labels, first = {}, np.zeros_like(data.labels), 0
    for query, count in data.groups.items():
        chosen = first + int(random.integers(count))
        labels[chosen] = 3
        qrels[query] = {data.documents[chosen]: 3}
        first += count
    noise = random.normal(size=data.features.shape).astype(np.float32)
    other = TrainingData(noise, labels, data.groups, data.documents, qrels)
    ranker = train_lambdamart(other, settings=[{"leaves": 31, "rounds": 60}], folds=3)
    seen = score(other.run(ranker.model.predict(noise)), qrels, ["nDCG@10"]).means["nDCG@10"]
    assert seen > 0.9
    assert ranker.fitted < 0.4
    assert ranker.gain.low < 0


def test_what_cannot_be_trained(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="at least one choice of settings"):
        train_logistic(data, settings=[])
    with pytest.raises(ValueError, match="not 41 folds of 40 queries"):
        train_logistic(data, folds=41)
    none = np.zeros_like(data.labels)
    nothing = TrainingData(data.features, none, data.groups, data.documents, data.qrels)
    for train in (train_logistic, train_lambdamart):
        with pytest.raises(ValueError, match="candidates that are relevant, and others"):
            train(nothing)
    for module in ("sklearn.linear_model", "lightgbm"):
        monkeypatch.setitem(sys.modules, module, None)
    for train in (train_logistic, train_lambdamart):
        with pytest.raises(ImportError, match=r"pip install 'colbert-pg\[rank\]'"):
            train(data)
