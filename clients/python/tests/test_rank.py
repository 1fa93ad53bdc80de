"""The weight of MaxSim beside full text, fitted by judgements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from ranked import COUNT, ENCODER, GROUP, QRELS, QUERIES, create_passages
from words import Words

from colbert_pg.__main__ import main
from colbert_pg.commands import common
from colbert_pg.evaluate import score
from colbert_pg.rank import FEATURES, Columns, WeightFit, fit_weight, train_logistic, training_data
from colbert_pg.rank.folds import split

STATEMENT = """
    WITH c AS ((SELECT id FROM passages ORDER BY doc <#> %(doc)s::multivector LIMIT 50) UNION
               (SELECT id FROM passages WHERE good @@ bm25_candidates(%(words)s::bm25_query)
                ORDER BY bm25f(good, %(words)s::bm25_query) DESC LIMIT 50))
    SELECT id::text, %(w)s * maxsim(doc, %(doc)s::multivector) / num_tokens(%(doc)s::multivector)
        + (1 - %(w)s) * bm25f(good, %(words)s::bm25_query) / bm25_bound(%(words)s::bm25_query)
    FROM c JOIN passages USING (id)
"""


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        create_passages(conn)
        yield conn


def fit(conn: psycopg.Connection[Any], column: str, **options: Any) -> WeightFit:
    return fit_weight(
        conn, "passages", QUERIES, QRELS, ENCODER, columns=Columns(tsv=column), **options
    )


def test_a_good_partner(conn: psycopg.Connection[Any]) -> None:
    seen: list[tuple[int, int | None]] = []
    fitted = fit(conn, "good", progress=lambda *done: seen.append(done))
    assert fitted.fuse
    assert 0 < fitted.weight < 1
    assert 0 < fitted.gain.low < fitted.gain.mean < fitted.gain.high
    assert fitted.gain.mean == pytest.approx(fitted.fitted - fitted.maxsim)
    assert fitted.maxsim < 0.8 < fitted.fitted
    assert len(fitted.fold_weights) == 5
    assert str(fitted).splitlines()[-1] == f"fuse: weight {fitted.weight}"
    assert seen == [(number, COUNT) for number in range(1, COUNT + 1)]
    assert fit(conn, "good") == fitted
    other = fit(conn, "good", seed=1)
    assert other.gain != fitted.gain
    assert (other.weight, other.maxsim) == (fitted.weight, fitted.maxsim)


def test_a_weak_partner(conn: psycopg.Connection[Any]) -> None:
    fitted = fit(conn, "bad")
    assert not fitted.fuse
    assert fitted.gain.low <= 0
    assert str(fitted).splitlines()[-1].startswith("do not fuse")
    forced = fit(conn, "bad", weights=[0.2])
    assert forced.gain.high < 0
    assert not forced.fuse


def test_the_figures_are_those_of_the_documented_statement(conn: psycopg.Connection[Any]) -> None:
    """A single weight has nothing to choose, so that fitted is its figure for all questions."""
    fitted = fit(conn, "good", weights=[0.9])
    for weight, figure in ((1, fitted.maxsim), (0.8, fitted.default), (0.9, fitted.fitted)):
        run = {query: by_statement(conn, text, weight) for query, text in QUERIES.items()}
        assert score(run, QRELS, ["nDCG@10"]).means["nDCG@10"] == pytest.approx(figure)
    assert fitted.fold_weights == [0.9] * 5


def by_statement(conn: psycopg.Connection[Any], text: str, weight: float) -> dict[str, float]:
    words = conn.execute(
        "SELECT bm25_query('passages_good_bm25', %s::text)::text", (text,)
    ).fetchone()
    assert words is not None
    doc = ENCODER.encode_query(text).to_text()
    rows = conn.execute(STATEMENT, {"doc": doc, "words": words[0], "w": weight})
    return {key: value for key, value in rows if value is not None and int(key) >= 0}


def test_each_question_is_measured_by_the_others_weight(conn: psycopg.Connection[Any]) -> None:
    """The figure is that of each fold by the weight that is best on the others."""
    weights = [0.2, 0.9, 1.0]
    fitted = fit(conn, "bad", weights=weights, folds=4, seed=3)
    names = list(QUERIES)
    figures = []
    for part, chosen in zip(split(names, 4, 3), fitted.fold_weights, strict=True):
        inside = {names[i]: QRELS[names[i]] for i in part}
        outside = {name: QRELS[name] for name in names if name not in inside}
        means = {weight: ndcg(conn, outside, weight) for weight in weights}
        assert means[chosen] == pytest.approx(max(means.values()))
        figures += [ndcg(conn, inside, chosen)] * len(inside)
    assert fitted.fitted == pytest.approx(np.mean(figures))
    assert fitted.fitted <= fit(conn, "bad", weights=[fitted.weight]).fitted


def ndcg(conn: psycopg.Connection[Any], qrels: Any, weight: float) -> float:
    columns = Columns(tsv="bad")
    found = fit_weight(
        conn, "passages", QUERIES, qrels, ENCODER, columns=columns, weights=[weight], folds=2
    )
    return found.fitted


def test_the_largest_of_equal_weights(conn: psycopg.Connection[Any]) -> None:
    """MaxSim alone is as good as any weight when full text finds nothing."""
    queries = {name: text.split()[0] for name, text in QUERIES.items()}
    columns = Columns(tsv="good")
    fitted = fit_weight(conn, "passages", queries, QRELS, ENCODER, columns=columns)
    assert (fitted.weight, fitted.gain.mean, fitted.fuse) == (1, 0, False)


def test_hostile_names(conn: psycopg.Connection[Any]) -> None:
    table = sql.Identifier("""a "%s" 'b""")
    columns = Columns('k"%', "%(doc)s", "t's{v}")
    conn.execute("""
        CREATE TABLE "a ""%s"" 'b" ("k""%" text, "%(doc)s" multivector(16), "t's{v}" tsvector)
    """)
    conn.execute("""INSERT INTO "a ""%s"" 'b" SELECT id, doc, good FROM passages""")
    conn.execute("""SELECT bm25_analyze('"a ""%s"" ''b"', 't''s{v}', config => 'simple')""")
    found = fit_weight(conn, table, QUERIES, QRELS, ENCODER, columns=columns)
    assert found == fit(conn, "good")
    other = fit_weight(
        conn, table, QUERIES, QRELS, ENCODER, columns=columns, statistics="passages_good_bm25"
    )
    assert other.weight == found.weight


def test_a_schema(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE SCHEMA apart; CREATE TABLE apart.passages AS TABLE passages")
    conn.execute("SELECT bm25_analyze('apart.passages', 'good', config => 'simple')")
    found = fit_weight(conn, "apart.passages", QUERIES, QRELS, ENCODER, columns=Columns(tsv="good"))
    assert found == fit(conn, "good")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_side": 0}, "at least one candidate per side, not 0"),
        ({"folds": 1}, "not 1 folds of 40 queries"),
        ({"folds": 41}, "not 41 folds of 40 queries"),
        ({"weights": []}, r"weights from 0 to 1, not \[\]"),
        ({"weights": [0.5, float("nan")]}, "weights from 0 to 1"),
        ({"weights": [1.5]}, "weights from 0 to 1"),
    ],
)
def test_wrong_options(
    conn: psycopg.Connection[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(conn, "good", **options)


def test_what_cannot_be_fitted(conn: psycopg.Connection[Any]) -> None:
    with pytest.raises(ValueError, match="none of the 40 queries has judgements"):
        fit_weight(conn, "passages", QUERIES, {"other": {"1": 1}}, ENCODER)
    with pytest.raises(psycopg.errors.UndefinedTable, match="passages_none_bm25"):
        fit(conn, "none")
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE passages SET id = 1 WHERE id = 2")
        with pytest.raises(ValueError, match="ids that are unique"):
            fit(conn, "good")


def test_an_empty_table(conn: psycopg.Connection[Any]) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute("TRUNCATE passages")
        empty = fit(conn, "good")
    assert (empty.maxsim, empty.fitted, empty.fuse) == (0, 0, False)
    assert str(empty).splitlines()[-1].startswith("nothing relevant was found")


def test_a_condition(conn: psycopg.Connection[Any]) -> None:
    """The candidates of both sides are rows for which it holds."""
    options: dict[str, Any] = {"params": {"half": COUNT // 2}, "weights": [0.5]}
    some = fit(conn, "good", where="id < %(half)s OR id < 0", **options)
    with conn.transaction(force_rollback=True):
        conn.execute("DELETE FROM passages WHERE id >= %s", (COUNT // 2,))
        assert fit(conn, "good", weights=[0.5]) == some
    assert some.fitted <= 0.5
    assert fit(conn, "good", weights=[0.5]).fitted > 0.9


def test_names_of_the_table_and_comments(conn: psycopg.Connection[Any]) -> None:
    """The table may have any name, and an expression may end in a comment."""
    with conn.transaction(force_rollback=True):
        conn.execute("CREATE TABLE c AS SELECT id, doc, good FROM passages WHERE id >= 0")
        conn.execute("SELECT bm25_analyze('c', 'good', config => 'simple')")
        columns = Columns(tsv="good")
        same = fit_weight(conn, "c", QUERIES, QRELS, ENCODER, columns=columns)
        assert same == fit(conn, "good")
        data = training_data(
            conn,
            "c",
            QUERIES,
            QRELS,
            ENCODER,
            columns=columns,
            where="id < 20 -- the first",
            features={"odd": "c.id %% 2 -- of the row", "rows": "(SELECT count(*) FROM c)"},
        )
    assert data.column("odd").tolist() == [int(key) % 2 for key in data.documents]
    assert set(data.column("rows").tolist()) == {COUNT}
    assert max(map(int, data.documents)) == 19


def test_topics(conn: psycopg.Connection[Any]) -> None:
    topics = {name: i // GROUP for i, name in enumerate(QUERIES)}
    fitted = fit(conn, "good", topics=topics, folds=COUNT // GROUP)
    assert fitted.fold_weights == [fitted.weight] * (COUNT // GROUP)
    with pytest.raises(ValueError, match="not 9 folds of 40 queries of 8 topics"):
        fit(conn, "good", topics=topics, folds=9)


@pytest.fixture
def command(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that runs colbert-pg fit, and returns its status."""
    monkeypatch.setattr(common, "make_encoder", lambda _spec: ENCODER)
    monkeypatch.chdir(tmp_path)
    lines = [f"{name}\t{text}\n" for name, text in QUERIES.items()]
    Path("queries").write_text("".join(lines))
    Path("qrels").write_text("".join(f"q{i} 0 {i} 1\n" for i in range(COUNT)))
    fixed = ["fit", "--dsn", f"dbname={database}", "--table", "passages", "--encoder", "words"]
    return lambda *arguments: main([*fixed, "--queries", "queries", "--qrels", "qrels", *arguments])


def test_the_command(
    conn: psycopg.Connection[Any],
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("--tsv-column", "good", "--progress") == 0
    out, err = capsys.readouterr()
    expected = fit(conn, "good")
    assert out == f"{expected}\n"
    lines = out.splitlines()
    assert lines[:3] == [
        f"weight of MaxSim  {expected.weight}",
        f"MaxSim alone      nDCG@10 {expected.maxsim:.4f}",
        f"weight 0.8        nDCG@10 {expected.default:.4f}",
    ]
    assert err.splitlines()[-1].endswith("40 of 40 queries")

    options = ["--per-side", "7", "--folds", "4", "--seed", "2", "--id-column", "id"]
    assert command("--tsv-column", "bad", "--doc-column", "doc", "--json", *options) == 0
    found = json.loads(capsys.readouterr().out)
    other = fit(conn, "bad", per_side=7, folds=4, seed=2)
    assert found["fuse"] is False
    assert found["gain"]["low"] == other.gain.low
    assert found["fold_weights"] == other.fold_weights
    assert (found["weight"], found["fitted"]) == (other.weight, other.fitted)


def test_the_command_trains_a_ranker(
    conn: psycopg.Connection[Any],
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("topics").write_text("".join(f"q{i}\ttopic{i // GROUP}\n" for i in range(COUNT)))
    ranker = ["--tsv-column", "good", "--ranker", "logistic", "--topics", "topics"]
    more = ["--where", "id::text NOT LIKE '%9'", "--feature", "odd=id % 2", "--model", "model"]
    assert command(*ranker, *more, "--folds", "4", "--progress") == 1
    assert "incomplete placeholder: '%'" in capsys.readouterr().err
    more[3] = "odd=id %% 2"
    assert command(*ranker, *more, "--folds", "4") == 0
    topics = {f"q{i}": i // GROUP for i in range(COUNT)}
    data = training_data(
        conn,
        "passages",
        QUERIES,
        QRELS,
        ENCODER,
        columns=Columns(tsv="good"),
        where="id %% 10 <> 9",
        features={"odd": "id %% 2"},
    )
    expected = train_logistic(data, topics=topics, folds=4)
    assert capsys.readouterr().out == f"{expected}\n"
    assert Path("model").read_text() == expected.export()
    names = conn.execute("SELECT rank_model_features(%s::rank_model)", (expected.export(),))
    assert names.fetchone() == ([*FEATURES, "odd"],)
    assert command(*ranker, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gain_over_default"]["low"] > 0
    assert found["settings"]["strength"] > 0


@pytest.mark.usefixtures("conn")
def test_errors_of_the_command(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["--tsv-column", "good", "--folds", "1"], "expected 2 folds or more"),
        (["--tsv-column", "good", "--statistics", "nowhere"], 'relation "nowhere" does not exist'),
        (["--tsv-column", "good", "--statistics", "nowhere"], "HINT: bm25_analyze("),
        (["--qrels", "nowhere"], "No such file or directory"),
        (["--topics", "nowhere"], "No such file or directory"),
        (["--feature", "odd=1"], "--feature and --model need --ranker"),
        (
            ["--ranker", "logistic", "--feature", "odd=1", "--feature", "odd=2"],
            "expected different names of --feature",
        ),
        (["--tsv-column", "good", "--where", "nothing"], 'column "nothing" does not exist'),
    ):
        assert command(*arguments) == 1
        assert message in capsys.readouterr().err


def test_a_query_of_other_dimensions(conn: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.DataException, match="dimensions"):
        fit_weight(conn, "passages", QUERIES, QRELS, Words(dims=8), columns=Columns(tsv="good"))
