"""Measures of rankings, comparisons of two, and the recall of an index."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from words import Words

from colbert_pg import MultiVector
from colbert_pg.__main__ import main
from colbert_pg.collection import Collection, Columns
from colbert_pg.commands import common
from colbert_pg.evaluate import (
    Evaluation,
    compare,
    evaluate,
    index_recall,
    read_qrels,
    read_queries,
    read_run,
    score,
    write_run,
)
from colbert_pg.gpu import FlatMaxSim
from colbert_pg.load import copy, create_index

MEDQUAD = Path(__file__).parents[3] / "data" / "medquad"
Command = Callable[[str], int]
QRELS = {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"d": 1}, "q3": {"e": 1}}
RUN = {"q1": {"b": 3.0, "x": 2.0, "a": 1.0}, "q2": {"x": 2.0, "d": 1.0}, "q4": {"z": 1.0}}
DISCOUNTS = [1 / np.log2(rank + 1) for rank in range(1, 4)]


def test_measures_are_those_of_the_textbook() -> None:
    measured = score(RUN, QRELS, ["nDCG@3", "R@2", "MRR", "AP", "P@1", "Recall@3"])
    # q1 finds b (1), x and a (2); q2 finds x and d; nothing is found for q3.
    ndcg = (DISCOUNTS[0] + 2 * DISCOUNTS[2]) / (2 * DISCOUNTS[0] + DISCOUNTS[1])
    assert measured.per_query["nDCG@3"]["q1"] == pytest.approx(ndcg)
    assert measured.per_query["nDCG@3"]["q2"] == pytest.approx(DISCOUNTS[1])
    assert measured.per_query["R@2"] == {"q1": 0.5, "q2": 1, "q3": 0}
    assert measured.per_query["MRR"] == {"q1": 1, "q2": 0.5, "q3": 0}
    assert measured.per_query["AP"] == pytest.approx({"q1": (1 + 2 / 3) / 2, "q2": 0.5, "q3": 0})
    assert measured.per_query["P@1"] == {"q1": 1, "q2": 0, "q3": 0}
    assert measured.means["Recall@3"] == pytest.approx(2 / 3)
    assert measured.run is RUN
    assert str(measured).splitlines()[1] == "R@2       0.5000"


def test_medquad_has_the_figure_of_its_page() -> None:
    """The exact MaxSim answers have nDCG@10 .796, as data/README.md says of this encoder."""
    answers = json.loads(lzma.decompress((MEDQUAD / "exact_top100.json.xz").read_bytes()))
    run = {query: {name: -n for n, name in enumerate(names)} for query, names in answers.items()}
    qrels = read_qrels(MEDQUAD / "qrels.tsv")
    assert set(read_queries(MEDQUAD / "queries.jsonl.xz")) == set(qrels) == set(run)
    assert round(score(run, qrels, ["nDCG@10"]).means["nDCG@10"], 3) == 0.796


@pytest.mark.parametrize(
    ("run", "qrels", "measures", "message"),
    [
        (RUN, {}, ["AP"], "judgements of at least one query"),
        (RUN, {"q1": {}}, ["AP"], "judgements of at least one query"),
        (RUN, QRELS, [], "at least one measure"),
        (RUN, QRELS, "AP", "a list of measures, not 'AP'"),
        (RUN, QRELS, ["nDCG@ten"], "unknown measure 'nDCG@ten'"),
        (RUN, QRELS, ["__import__('os')"], "unknown measure"),
        (RUN, QRELS, ["nDCG(1)@10"], "unknown measure"),
        (RUN, QRELS, ["RR@-1"], "a positive number after @, not -1"),
        (RUN, QRELS, ["nDCG@0"], "a positive number after @, not 0"),
        (RUN, QRELS, ["nDCG@(10,)"], r"a positive number after @, not \(10,\)"),
        (RUN, QRELS, ["AP(rel={[]: 1})"], "unknown measure"),
        (RUN, QRELS, ["nDCG@1.5", "AP(nothing=1)"], "unknown measure 'nDCG@1.5'"),
        (RUN, QRELS, ["AP(**{'rel': 1})"], "unknown measure"),
        (RUN, QRELS, ["AP(rel=x)"], "unknown measure"),
        (RUN, QRELS, ["nothing@10"], "unknown measure 'nothing@10': expected one of AP, "),
        ({"q1": {"a": float("nan")}}, QRELS, ["AP"], r"not nan \(query q1, document a\)"),
    ],
)
def test_what_cannot_be_measured(run: Any, qrels: Any, measures: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(run, qrels, measures)


def test_names_have_parameters() -> None:
    """A name may have parameters, as ir_measures writes them."""
    names = ["P@1", "P(rel=2)@1", "AP(rel=2)", "nDCG(dcg='log2')@10", " RR@10 "]
    found = score({"q": {"a": 1.0}}, {"q": {"a": 1}}, names)
    assert [found.means[name] for name in names] == [1, 0, 0, 1, 1]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(ImportError, match=r"pip install 'colbert-pg\[evaluate\]'"):
        score(RUN, QRELS)


def hits(query: str, k: int) -> list[SimpleNamespace]:
    found = RUN.get(query, {})
    return [SimpleNamespace(id=name, score=found[name]) for name in found][:k]


@pytest.mark.parametrize(
    "search",
    [
        hits,
        SimpleNamespace(search=hits),
        lambda query, _k: RUN.get(query, {}),
        lambda query, _k: list(RUN.get(query, {}).items()),
        lambda query, _k: [
            *RUN.get(query, {}).items(),
            *dict.fromkeys(RUN.get(query, {}), -9).items(),
        ],
    ],
    ids=["hits", "collection", "mapping", "pairs", "twice"],
)
def test_evaluate(search: Any) -> None:
    queries = {name: name for name in ("q1", "q2", "q4")}
    seen: list[tuple[int, int | None]] = []
    measured = evaluate(
        search, queries, QRELS, ["AP", "R@3"], 3, progress=lambda *done: seen.append(done)
    )
    assert measured.means == score(RUN, {q: QRELS[q] for q in ("q1", "q2")}, ["AP", "R@3"]).means
    assert measured.run == {name: RUN[name] for name in ("q1", "q2")}
    assert seen == [(1, 2), (2, 2)]


def test_what_cannot_be_evaluated() -> None:
    with pytest.raises(ValueError, match="measure nDCG@10 needs a k of at least 10, not 5"):
        evaluate(hits, {"q1": "q1"}, QRELS, k=5)
    with pytest.raises(ValueError, match="none of the 1 queries has judgements"):
        evaluate(hits, {"q9": "q9"}, QRELS)


def evaluation(values: list[float]) -> Evaluation:
    return Evaluation({}, {"AP": {f"q{i}": value for i, value in enumerate(values)}}, {})


def test_an_interval_covers_the_mean() -> None:
    """Of 200 intervals of 90%, about 180 hold the mean of the population."""
    random = np.random.default_rng(3)
    covered = 0
    for seed in range(200):
        before = random.random(80)
        after = before + random.normal(0.05, 0.2, 80)
        difference = compare(
            evaluation(list(before)),
            evaluation(list(after)),
            "AP",
            confidence=0.9,
            samples=500,
            seed=seed,
        )
        covered += difference.low <= 0.05 <= difference.high
    assert 165 <= covered <= 195


def test_a_difference_is_seeded_and_signed() -> None:
    random = np.random.default_rng(5)
    low, high = evaluation(list(random.random(50) / 2)), evaluation(list(random.random(50)))
    better = compare(low, high, "AP")
    assert better == compare(low, high, "AP")
    assert better != compare(low, high, "AP", seed=1)
    assert better.significant
    assert 0 < better.low < better.mean < better.high
    assert compare(high, low, "AP").high < 0
    same = compare(low, low, "AP")
    assert (same.mean, same.low, same.high, same.significant) == (0, 0, 0, False)
    assert str(same) == "AP +0.0000 (95% of resamples: +0.0000 to +0.0000)"


def test_what_cannot_be_compared() -> None:
    one, two = evaluation([1]), evaluation([1, 2])
    with pytest.raises(ValueError, match="only one has 'q1'"):
        compare(one, two, "AP")
    with pytest.raises(ValueError, match="a measure of AP, not 'nDCG@10'"):
        compare(one, one)
    with pytest.raises(ValueError, match="between 0 and 1"):
        compare(one, one, "AP", confidence=95)


def test_files_of_judgements(tmp_path: Path) -> None:
    trec, beir = tmp_path / "trec", tmp_path / "beir.tsv.gz"
    trec.write_text("q1 0 a 2\nq1 0 b 1\n\nq1 0 c 0\nq2 0 d 1\nq3 0 e 1\n")
    with gzip.open(beir, "wt") as file:
        file.write("\ufeffquery-id\tcorpus-id\tscore\r\n")
        file.writelines(
            f"{query}\t{name}\t{relevance}\r\n"
            for query, judged in QRELS.items()
            for name, relevance in judged.items()
        )
    assert read_qrels(trec) == read_qrels(beir) == QRELS


@pytest.mark.parametrize("line", ["q1 0 a", "q1 0 a 1.5", "q1 0 a 1 2", "a", "q0 0 a 7", "q\ta\tx"])
def test_a_wrong_judgement_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "qrels"
    path.write_text(f"q0 0 a 1\n{line}\n")
    with pytest.raises(ValueError, match=r"qrels, line 2: expected"):
        read_qrels(path)


def test_files_of_queries(tmp_path: Path) -> None:
    path = tmp_path / "queries"
    path.write_text('{"_id": "1", "text": "Größe?"}\n{"id": 2, "text": "two"}\n3\tthree\twords\n')
    assert read_queries(path) == {"1": "Größe?", "2": "two", "3": "three\twords"}


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "0", "text": "again"}',
        '{"id": "1"}',
        '{"id": "1", "text": 1}',
        '{"text": "x"}',
        "{",
        "1",
    ],
)
def test_a_wrong_query_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "queries"
    path.write_text(f"0\tzero\n{line}\n")
    with pytest.raises(ValueError, match=r"queries, line 2: expected"):
        read_queries(path)


@given(
    run=st.dictionaries(
        st.text("ab1-", min_size=1),
        st.dictionaries(st.text("xyz9", min_size=1), st.floats(-1e30, 1e30), min_size=1),
    )
)
def test_a_run_is_read_back(tmp_path: Path, run: dict[str, dict[str, float]]) -> None:
    path = tmp_path / "run.gz"
    write_run(run, path)
    assert read_run(path) == run
    for found in read_run(path).values():
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_scores_of_numpy_are_read_back(tmp_path: Path) -> None:
    found: Any = {"q": {"d": np.float32(0.5)}}
    write_run(found, tmp_path / "run")
    assert read_run(tmp_path / "run") == {"q": {"d": 0.5}}


def test_wrong_runs(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(ValueError, match="a name without white space, not 'a b'"):
        write_run({"q": {"a b": 1.0}}, path)
    for line in ("q Q0 a 1 0.5 tag", "q Q0 b 1 nan tag", "q Q0 b 1 0.5", "q Q0 b 1 x tag"):
        path.write_text(f"q Q0 a 1 0.5 tag\n{line}\n")
        with pytest.raises(ValueError, match=r"run, line 2: expected"):
            read_run(path)


RANDOM = np.random.default_rng(11)
QUERIES = [RANDOM.normal(size=(4, 16)) for _ in range(10)]


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE TABLE docs (id int, kind text, doc multivector(16))")
        rows = [(n, ("even", "odd")[n % 2], RANDOM.normal(size=(6, 16))) for n in range(2000)]
        copy(conn, "docs", [*rows, (-1, "even", None)])
        options: dict[str, Any] = {"probes": 1, "candidates": 12, "rerank": 12, "quantizer": "bit"}
        create_index(conn, "docs", method="colbert_ivf", **options)
        conn.execute("ANALYZE docs")
        yield conn


def best_scores(conn: psycopg.Connection[Any], query: Any, setting: str) -> list[float]:
    """Return the ten best scores by a statement of the test's own."""
    with conn.transaction(force_rollback=True):
        conn.execute(f"SET LOCAL {setting}")
        statement = """
            SELECT maxsim(doc, %s::multivector) s FROM docs WHERE doc IS NOT NULL
            ORDER BY s DESC LIMIT 10
        """
        text = MultiVector(query).to_text()
        return [row[0] for row in conn.execute(statement, (text,))]


def test_index_recall(conn: psycopg.Connection[Any]) -> None:
    measured = index_recall(conn, "docs", "doc", QUERIES, 10)
    for query, recall in zip(QUERIES, measured.per_query, strict=True):
        exact = best_scores(conn, query, "enable_indexscan = off")
        found = best_scores(conn, query, "enable_seqscan = off")
        assert recall == len(set(exact) & set(found)) / 10
    assert 0 < measured.recall < 1
    assert measured.recall == pytest.approx(sum(measured.per_query) / len(QUERIES))
    assert measured.index_ms > 0
    assert str(measured).startswith(f"recall@10 {measured.recall:.4f} over 10 queries (")
    assert conn.execute("SHOW enable_seqscan").fetchone() == ("on",)


@pytest.mark.parametrize("similarity", ["maxsim", "maxsim_cosine"])
def test_recall_by_given_answers(conn: psycopg.Connection[Any], similarity: Any) -> None:
    """The answers of FlatMaxSim give the recall of a search without the index."""
    flat = FlatMaxSim(device="numpy", similarity=similarity)
    flat.load(conn, "docs")
    exact = flat.search(QUERIES, 12)
    with conn.transaction(force_rollback=True):
        if similarity != "maxsim":
            options: dict[str, Any] = {"probes": 1, "candidates": 12, "quantizer": "bit"}
            opclass = f"multivector_{similarity.removeprefix('maxsim_')}_ops"
            name = {"opclass": opclass, "name": similarity}
            create_index(conn, "docs", method="colbert_ivf", **name, **options)
        own, by_given = (
            index_recall(conn, "docs", "doc", QUERIES, 10, similarity=similarity, exact=answers)
            for answers in (None, exact)
        )
    assert 0 < by_given.recall < 1
    assert by_given.per_query == own.per_query
    assert by_given.exact_ms is None
    assert "exact" not in str(by_given)
    with pytest.raises(ValueError, match="expected exact answers to 10 queries, not to 9"):
        index_recall(conn, "docs", "doc", QUERIES, 10, exact=exact[1:])
    with pytest.raises(ValueError, match="expected 13 exact answers to each query, not 12"):
        index_recall(conn, "docs", "doc", QUERIES, 13, exact=exact)
    misleading: Any
    for misleading in ({"similarity": "maxsim_l2"}, {"where": "true"}):
        with pytest.raises(ValueError, match="without a condition, and not by maxsim_l2"):
            index_recall(conn, "docs", "doc", QUERIES, exact=exact, **misleading)


def test_recall_with_a_condition(conn: psycopg.Connection[Any]) -> None:
    measured = index_recall(
        conn,
        sql.Identifier("public", "docs"),
        "doc",
        QUERIES,
        5,
        where="kind = %s OR id < %s",
        params=("odd", 0),
    )
    assert 0 < measured.recall <= 1
    nothing = index_recall(conn, "docs", "doc", QUERIES, where=sql.SQL("kind = 'none'"))
    assert nothing.recall == 1


def test_equal_scores_are_equally_good(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE twins (doc multivector(16))")
    copy(conn, "twins", [(QUERIES[0],)] * 50)
    create_index(conn, "twins")
    assert index_recall(conn, "twins", "doc", QUERIES, 7).recall == 1


def test_recall_of_hostile_names(conn: psycopg.Connection[Any]) -> None:
    table = sql.Identifier('a "%s" \'b')
    conn.execute(sql.SQL('CREATE TABLE {} ("%(doc)s" multivector(16))').format(table))
    copy(conn, table, [(query,) for query in QUERIES])
    create_index(conn, table, "%(doc)s")
    assert index_recall(conn, table, "%(doc)s", QUERIES, 3).recall == 1


def test_recall_within_a_transaction(conn: psycopg.Connection[Any]) -> None:
    """It sees the rows of the transaction, which goes on with its own settings."""
    with conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL enable_sort = off")
        conn.execute("DELETE FROM docs WHERE id > 3")
        assert index_recall(conn, "docs", "doc", QUERIES[:2], 10).per_query == [1, 1]
        assert conn.execute("SHOW enable_sort").fetchone() == ("off",)
        assert conn.execute("SHOW enable_indexscan").fetchone() == ("on",)


@pytest.mark.parametrize("short", ["cosine", "l2"])
def test_other_similarities(conn: psycopg.Connection[Any], short: str) -> None:
    similarity: Any = f"maxsim_{short}"
    with pytest.raises(ValueError, match=f'no index serves SELECT "{similarity}"'):
        index_recall(conn, "docs", "doc", QUERIES, similarity=similarity)
    with conn.transaction(force_rollback=True):
        create_index(conn, "docs", opclass=f"multivector_{short}_ops", name=similarity)
        assert index_recall(conn, "docs", "doc", QUERIES, similarity=similarity).recall > 0.9


def test_what_has_no_recall(conn: psycopg.Connection[Any]) -> None:
    with pytest.raises(ValueError, match="at least one query"):
        index_recall(conn, "docs", "doc", [])
    with pytest.raises(ValueError, match="k of at least 1, not k = 0"):
        index_recall(conn, "docs", "doc", QUERIES, 0)
    with pytest.raises(ValueError, match=r"expected maxsim, .* not 'dot'"):
        index_recall(conn, "docs", "doc", QUERIES, similarity="dot")  # type: ignore[arg-type]
    with pytest.raises(psycopg.errors.UndefinedTable):
        index_recall(conn, 'docs" --', "doc", QUERIES)


@pytest.fixture
def judged(conn: psycopg.Connection[Any], tmp_path: Path) -> Iterator[Collection]:
    collection = Collection(conn, "judged", Words(), columns=Columns(id="key", doc="vectors"))
    collection.create()
    collection.add(["gout joint pain", "moon sea", "violin bow"], ids=["g", "m", "v"])
    (tmp_path / "queries").write_text("1\tpain of gout\n2\tsea\n")
    (tmp_path / "qrels").write_text("1 0 g 1\n2 0 v 1\n2 0 m 2\n3 0 g 1\n")
    (tmp_path / "baseline").write_text("1 Q0 v 1 2.0 x\n1 Q0 g 2 1.0 x\n2 Q0 m 1 1.0 x\n")
    yield collection
    collection.drop()


@pytest.fixture
def command(
    judged: Collection, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Return a function that runs colbert-pg evaluate, and returns its status."""
    monkeypatch.setattr(common, "make_encoder", lambda _spec: judged._do.encoder)
    monkeypatch.chdir(tmp_path)
    table = ["--table", "judged", "--id-column", "key", "--doc-column", "vectors"]
    fixed = ["evaluate", "--dsn", f"dbname={database}", *table, "--encoder", "words"]
    return lambda arguments: main([*fixed, "--queries", "queries", *arguments.split()])


def test_the_command(
    judged: Collection, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    judged.index()
    arguments = "--qrels qrels --measures RR P@1 --limit 2 --save run --baseline baseline"
    assert command(f"{arguments} --index-recall 1 --progress") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[:4] == ["RR   1.0000", "P@1  1.0000", "", "against the baseline:"]
    assert lines[4] == "RR +0.2500 (95% of resamples: +0.0000 to +0.5000)"
    assert lines[6].startswith("recall@1 1.0000 over 2 queries")
    assert err.splitlines()[-1].endswith("2 of 2 queries")
    saved = read_run("run")
    assert {query: next(iter(found)) for query, found in saved.items()} == {"1": "g", "2": "m"}
    assert all(len(found) == 2 for found in saved.values())


def test_distances(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--qrels qrels --measures RR --limit 3 --similarity maxsim_l2 --save run") == 0
    assert capsys.readouterr().out == "RR  1.0000\n"
    assert all(score <= 0 for found in read_run("run").values() for score in found.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "expected --qrels, or --index-recall alone"),
        ("--index-recall 1 --save run", "expected --qrels, or --index-recall alone"),
        ("--qrels qrels --limit 5", "needs a k of at least 10, not 5"),
        ("--qrels qrels --measures nothing", "unknown measure 'nothing'"),
        ("--qrels nowhere", "No such file or directory"),
        ("--index-recall 1", "no index serves SELECT"),
    ],
)
def test_wrong_arguments(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert command(arguments) == 1
    assert message in capsys.readouterr().err
