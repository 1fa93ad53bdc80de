"""The model and the backend for mteb, called as mteb 2.26.24 calls them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import fake_mteb
import numpy as np
import psycopg
import pytest

from colbert_pg.encoders import OnnxEncoder

TASK: dict[str, Any] = {"task_metadata": object(), "hf_split": "test", "hf_subset": "default"}
WORDS = ["gout", "heart", "violin", "moon", "bread", "yeast"]
CORPUS = fake_mteb.Dataset(
    [
        {"id": "d0", "title": "gout", "text": "heart"},
        {"id": "d1", "title": "", "text": "violin moon"},
        {"id": "d2", "text": "bread yeast moon"},
        {"id": "d3", "text": "yeast"},
    ]
)
QUERIES = fake_mteb.Dataset(
    [{"id": "q0", "text": "gout heart"}, {"id": "q1", "text": "yeast moon"}]
)


def encode(texts: list[str]) -> list[Any]:
    """Return a row for each word, which counts more the later it comes in WORDS."""
    rows = np.diag(np.arange(1, 1 + len(WORDS), dtype=np.float32))
    return [rows[[WORDS.index(word) for word in text.split()]] for text in texts]


class Wrapper:
    """A late-interaction model of mteb: MultiVectorWrapper encodes by _encode."""

    def __init__(self) -> None:
        self.mteb_model_meta = SimpleNamespace(name="org/model")
        self.calls: list[dict[str, Any]] = []

    def _encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> list[Any]:
        assert task_metadata is TASK["task_metadata"]
        assert (hf_split, hf_subset) == ("test", "default")
        self.calls.append({"prompt_type": prompt_type, **kwargs})
        return [tokens for batch in inputs for tokens in encode(batch["text"])]


@pytest.fixture
def mteb(monkeypatch: pytest.MonkeyPatch) -> Any:
    fake_mteb.install(monkeypatch)
    return importlib.import_module("colbert_pg.integrations.mteb")


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        yield conn


def test_a_model_of_mteb(mteb: Any, conn: psycopg.Connection[Any]) -> None:
    model = Wrapper()
    search = mteb.ColbertSearch(model, mteb.ColbertBackend(conn), chunk=3)
    assert search.mteb_model_meta.name == "org/model"
    search.index(CORPUS, **TASK, encode_kwargs={"batch_size": 2}, num_proc=2)
    found = search.search(
        QUERIES, **TASK, top_k=2, encode_kwargs={"batch_size": 2}, top_ranked=None, num_proc=2
    )
    assert next(iter(found["q0"].items())) == ("d0", 1 + 4)
    assert list(found["q1"].items()) == [("d2", 36 + 16), ("d3", 36)]
    assert [call["prompt_type"].value for call in model.calls] == ["document", "document", "query"]
    assert all(call["batch_size"] == 2 for call in model.calls)


def test_an_encoder_and_the_next_task(mteb: Any, conn: psycopg.Connection[Any]) -> None:
    search = mteb.ColbertSearch(
        OnnxEncoder.minilm(threads=1), mteb.ColbertBackend(conn, "public.tasks"), name="me/minilm"
    )
    assert search.mteb_model_meta.name == "me/minilm"
    assert search.mteb_model_meta.similarity_fn_name == "MaxSim"
    for corpus in (CORPUS, CORPUS.select([1, 2])):
        search.index(corpus, **TASK, encode_kwargs={}, num_proc=None)
        found = search.search(QUERIES, **TASK, top_k=9, encode_kwargs={}, num_proc=None)
        assert set(found["q0"]) == set(corpus["id"])
        assert next(iter(found["q1"])) == "d2"


def test_reranking(mteb: Any, conn: psycopg.Connection[Any]) -> None:
    search = mteb.ColbertSearch(Wrapper(), mteb.ColbertBackend(conn))
    search.index(CORPUS, **TASK, encode_kwargs={}, num_proc=None)
    found = search.search(
        QUERIES,
        **TASK,
        top_k=2,
        encode_kwargs={},
        top_ranked={"q1": ["d1", "d3", "d0"]},
        num_proc=None,
    )
    assert found == {"q0": {}, "q1": {"d3": 36.0, "d1": 16.0}}


def test_the_backend(mteb: Any, conn: psycopg.Connection[Any]) -> None:
    backend = mteb.ColbertBackend(conn, "backend", element="float4", method="colbert_ivf")
    backend.add_documents(encode(["gout heart", "violin moon"]), ["d0", "d1"])
    backend.add_documents(encode(["bread yeast moon", "yeast"]), ["d2", "d3"])
    values, places = backend.search(encode(["yeast moon", "gout"]), 2, similarity_fn=None)
    assert (values[0], places[0]) == ([52, 36], [2, 3])
    assert (values[1][0], places[1][0]) == (1, 0)
    values, places = backend.search(
        encode(["yeast moon", "gout"]),
        5,
        similarity_fn=None,
        top_ranked={"a": ["d3", "d1"], "b": []},
        query_idx_to_id={0: "a", 1: "b"},
    )
    assert (values, places) == ([[36, 16], []], [[0, 1], []])
    with pytest.raises(ValueError, match="query_idx_to_id with top_ranked"):
        backend.search(encode(["gout"]), 5, None, {"a": ["d1"]})
    with pytest.raises(ValueError, match="ids that differ"):
        backend.add_documents(encode(["gout"]), ["d3"])
    with pytest.raises(ValueError, match="ids that differ"):
        backend.add_documents(encode(["gout", "moon"]), ["d9", "d9"])
    backend.clear()
    assert conn.execute("SELECT to_regclass('backend')").fetchone() == (None,)
    backend.add_documents(encode(["moon"]), ["d3"])
    assert backend.search(encode(["moon"]), 5, None) == ([[16]], [[0]])


def test_options(mteb: Any, conn: psycopg.Connection[Any]) -> None:
    with pytest.raises(ValueError, match="chunk of at least 1, not 0"):
        mteb.ColbertSearch(Wrapper(), mteb.ColbertBackend(conn), chunk=0)
