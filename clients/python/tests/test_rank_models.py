"""Learned rankers: their training data, their figures, and the models that the server reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from ranked import COUNT, ENCODER, GROUP, QRELS, QUERIES, create_passages

from colbert_pg.evaluate import score
from colbert_pg.rank import (
    FEATURES,
    Columns,
    Ranker,
    TrainingData,
    fit_weight,
    train_lambdamart,
    train_logistic,
    training_data,
)
from colbert_pg.rank.folds import split

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
    assert ranker.gain_over_default.mean == pytest.approx(ranker.fitted - ranker.default)
    assert str(ranker).splitlines()[:3] == [
        f"MaxSim alone  nDCG@10 {ranker.maxsim:.4f}",
        f"weight 0.8    nDCG@10 {ranker.default:.4f}",
        f"ranker        nDCG@10 {ranker.fitted:.4f}",
    ]
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


def test_the_figures_of_the_scores(conn: psycopg.Connection[Any], data: TrainingData) -> None:
    """MaxSim alone and the weight .8 have the figures that fit_weight has."""
    ranker = train_logistic(data, settings=[{"strength": 1.0}], folds=2)
    columns = Columns(tsv="good")
    fitted = fit_weight(conn, "passages", QUERIES, QRELS, ENCODER, columns=columns)
    assert (ranker.maxsim, ranker.default) == pytest.approx((fitted.maxsim, fitted.default))


def test_the_two_stages(conn: psycopg.Connection[Any], data: TrainingData) -> None:
    """Trained, stored and run by the statement of doc/ranking.md, a ranker finds what it should."""
    logistic = train_logistic(data, folds=2)
    trees = train_lambdamart(data, settings=[{"leaves": 4, "rounds": 40}], folds=2)
    with conn.transaction(force_rollback=True):
        conn.execute("CREATE INDEX ON passages USING colbert_hnsw (doc)")
        conn.execute("CREATE INDEX ON passages USING gin (good)")
        conn.execute("CREATE TABLE rankers (model rank_model)")
        conn.execute("SET LOCAL enable_seqscan = off")
        for ranker in (logistic, trees):
            conn.execute("DELETE FROM rankers")
            conn.execute("INSERT INTO rankers VALUES (%s::rank_model)", (ranker.export(),))
            assert ranker.maxsim < 0.7
            assert two_stages(conn) > 0.95


def two_stages(conn: psycopg.Connection[Any]) -> float:
    """Return nDCG@10 of the statement, which uses both indexes."""
    statement = """
        WITH q AS MATERIALIZED (SELECT bm25_query('passages_good_bm25', %(text)s::text) AS q),
             c AS ((SELECT id FROM passages ORDER BY doc <#> %(doc)s::multivector LIMIT 20) UNION
                   (SELECT id FROM passages, q WHERE good @@ bm25_candidates(q)
                    ORDER BY bm25f(good, q) DESC LIMIT 20))
        SELECT id::text, rank_score((SELECT model FROM rankers),
            maxsim_features(doc, %(doc)s::multivector) || bm25f_features(good, q)) AS score
        FROM c JOIN passages USING (id), q WHERE doc IS NOT NULL AND good IS NOT NULL
        ORDER BY score DESC LIMIT 10
    """
    run = {}
    for query, text in QUERIES.items():
        parameters = {"text": text, "doc": ENCODER.encode_query(text).to_text()}
        run[query] = dict(conn.execute(statement, parameters).fetchall())
    plan = str(conn.execute(f"EXPLAIN {statement}", parameters).fetchall())
    assert "Index Scan using passages_doc_idx" in plan
    assert "Bitmap Index Scan on passages_good_idx" in plan
    return score(run, QRELS, ["nDCG@10"]).means["nDCG@10"]


def test_more_features(conn: psycopg.Connection[Any], data: TrainingData) -> None:
    """Expressions over the columns of the table and the query follow the features."""
    more = training_data(
        conn,
        "passages",
        QUERIES,
        QRELS,
        ENCODER,
        columns=Columns(tsv="good"),
        features={
            "age": "nullif(id %% %(period)s, 0)",
            "same": sql.SQL("(%(text)s LIKE '%%' || id)::int"),
            "gap": "maxsim(doc, multivector(%(doc)s))"
            " - max(maxsim(doc, multivector(%(doc)s))) OVER ()",
        },
        params={"period": 3},
    )
    assert more.names == (*FEATURES, "age", "same", "gap")
    assert (more.documents, more.features[:, :24].tolist()) == (
        data.documents,
        data.features.tolist(),
    )
    ids = [int(key) for key in more.documents]
    age, same, gap = more.features[:, 24:].T
    assert [0 if np.isnan(value) else value for value in age] == [key % 3 for key in ids]
    assert same.sum() >= COUNT
    assert np.count_nonzero(gap == 0) >= COUNT > np.count_nonzero(gap > 0) == 0
    with pytest.raises(
        ValueError, match="a value of 'age' for every candidate, not NULL or infinity"
    ):
        train_logistic(more, settings=[{"strength": 1.0}], folds=2)
    more.features[np.isnan(more.features)] = np.inf
    with pytest.raises(ValueError, match="a value of 'age' for every candidate"):
        train_logistic(more, settings=[{"strength": 1.0}], folds=2)
    ranker = train_lambdamart(more, settings=TREES, folds=2)
    names = conn.execute("SELECT rank_model_features(%s::rank_model)", (ranker.export(),))
    assert names.fetchone() == (list(more.names),)


def test_the_questions_of_a_topic_are_not_apart(data: TrainingData) -> None:
    """Two questions and their candidates are the same: which is relevant is learned by heart."""
    names = list(data.groups)
    random = np.random.default_rng(2)
    groups, documents = {}, [f"d{i}" for i in range(COUNT)]
    noise = random.normal(size=(COUNT // 2, COUNT, len(FEATURES))).astype(np.float32)
    labels = np.zeros((COUNT // 2, COUNT), np.int64)
    labels[range(COUNT // 2), random.integers(COUNT, size=COUNT // 2)] = 1
    qrels, topics = {}, {}
    for i, name in enumerate(names):
        groups[name], topics[name] = COUNT, i // 2
        qrels[name] = {documents[int(labels[i // 2].argmax())]: 1}
    twins = TrainingData(
        noise.repeat(2, axis=0).reshape(-1, len(FEATURES)),
        labels.repeat(2, axis=0).ravel(),
        groups,
        documents * COUNT,
        qrels,
    )
    settings = [{"leaves": 31, "rounds": 60}]
    apart = train_lambdamart(twins, settings=settings, topics=topics)
    assert apart.fitted < 0.3
    assert train_lambdamart(twins, settings=settings).fitted > 0.6


def test_folds() -> None:
    queries = [f"q{i}" for i in range(10)]
    assert sorted(np.concatenate(split(queries, 3, 0)).tolist()) == list(range(10))
    assert sorted(map(len, split(queries, 3, 0))) == [3, 3, 4]
    assert [p.tolist() for p in split(queries, 3, 0)] != [p.tolist() for p in split(queries, 3, 1)]
    topics = {"q1": "a", "q4": "a", "q9": "a", "q2": "q3", "q5": "b", "other": "c"}
    for seed in range(20):
        parts = [set(part.tolist()) for part in split(queries, 4, seed, topics)]
        assert any({1, 4, 9} <= part for part in parts)
    with pytest.raises(ValueError, match="not 9 folds of 10 queries of 8 topics"):
        split(queries, 9, 0, topics)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": {"maxsim": "1"}}, "a new name of letters, .* not 'maxsim'"),
        ({"features": {"a b": "1"}}, "not 'a b'"),
        ({"features": {"1": "1"}}, "not '1'"),
        ({"params": {"words": "x"}}, "other names of parameters than 'words'"),
    ],
)
def test_wrong_names(conn: psycopg.Connection[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training_data(
            conn, "passages", QUERIES, QRELS, ENCODER, columns=Columns(tsv="good"), **options
        )


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


def test_few_queries(data: TrainingData) -> None:
    """The settings are chosen by fewer folds if fewer queries or topics are outside of a fold."""
    few = data.of([f"q{i}" for i in range(5)])
    assert 0 <= train_logistic(few, folds=5).fitted <= 1
    topics = {name: int(name[1:]) // GROUP for name in data.groups}
    assert 0 <= train_logistic(data, topics=topics, folds=COUNT // GROUP).fitted <= 1
    two = data.of(["q0", "q1"])
    with pytest.raises(ValueError, match="two queries or topics outside of each fold"):
        train_logistic(two, folds=2)
    assert 0 <= train_logistic(two, folds=2, settings=[{"strength": 1.0}]).fitted <= 1


def test_relevant_candidates_of_one_query(data: TrainingData) -> None:
    """A model that is trained without its query has nothing to learn."""
    labels = data.labels.copy()
    labels[data.groups["q0"] :] = 0
    one = TrainingData(data.features, labels, data.groups, data.documents, data.qrels)
    with pytest.raises(ValueError, match="relevant, and others, outside of each fold"):
        train_logistic(one)
    assert 0 <= train_lambdamart(one, settings=TREES).fitted <= 1


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
