"""Encoders of other libraries and servers.

The servers in the tests answer as vLLM's pooling API, next-plaid 1.8.5 and the server of PyLate
1.6.0 do.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fakes import (
    CLS,
    DOCUMENT,
    FULL_STOP,
    MASK,
    QUERY,
    SEP,
    WORDS,
    FastEmbed,
    PyLate,
    SentenceTransformers,
    make_tokenizer,
    rows,
)

from colbert_pg import MultiVector
from colbert_pg.encoders import (
    Encoder,
    FastEmbedEncoder,
    NextPlaidEncoder,
    PyLateEncoder,
    PyLateServerEncoder,
    SentenceTransformersEncoder,
    ServerError,
    SpansUnknownError,
    TextError,
    TextTooLongError,
    VllmEncoder,
)
from colbert_pg.explain import explain

TEXT = "Drugs help in gout."
PIECES = ["", "", "Drugs", "help", "in", "gout", ""]  # without the full stop, which is skipped
LIBRARIES: list[tuple[Any, Any]] = [
    (SentenceTransformersEncoder, SentenceTransformers),
    (PyLateEncoder, PyLate),
    (FastEmbedEncoder, FastEmbed),
]
library = pytest.mark.parametrize(("adapter", "fake"), LIBRARIES)


def pieces(encoder: Encoder, text: str, *, query: bool = False) -> list[str]:
    return [text[start:end] for start, end in encoder.spans(text, query=query)]


@library
def test_a_library(adapter: Any, fake: Any) -> None:
    encoder: Encoder = adapter(fake())
    assert encoder.dims == len(WORDS)
    document, short = encoder.encode_document([TEXT, "help"])
    gout = [CLS, DOCUMENT, 9, 10, 11, 8, SEP]
    assert document == MultiVector(rows(gout))
    assert short == MultiVector(rows([CLS, DOCUMENT, 10, SEP]))
    query = encoder.encode_query("gout.")
    assert query == MultiVector(rows([CLS, QUERY, 8, FULL_STOP, SEP, MASK, MASK, MASK]))


@library
def test_spans_of_a_library(adapter: Any, fake: Any) -> None:
    encoder = adapter(fake())
    assert pieces(encoder, TEXT) == PIECES
    assert pieces(encoder, "gout.", query=True) == ["", "", "gout", ".", "", "", "", ""]
    found = explain(encoder, "gout", TEXT)
    assert {word.text: word.score for word in found.words}["gout"] == 1


@library
def test_a_library_does_not_truncate_silently(adapter: Any, fake: Any) -> None:
    encoder = adapter(fake())
    longest = "gout " * 6
    assert encoder.encode_document(longest).shape == (9, len(WORDS))
    assert len(encoder.spans(longest)) == 9
    with pytest.raises(TextTooLongError):
        encoder.encode_document(longest + "help")
    for query in (False, True):
        with pytest.raises(TextTooLongError, match=r"^text 2: expected at most . tokens, not") as e:
            encoder.encode(["gout", "gout " * 20], query=query)
        assert e.value.tokens in (22, 23)
        with pytest.raises(TextTooLongError):
            encoder.spans("gout " * 20, query=query)
    cut = adapter(fake(), too_long="truncate")
    assert cut.encode_document(longest + "help") == encoder.encode_document(longest)
    assert pieces(cut, longest + "help") == pieces(encoder, longest)
    with pytest.raises(ValueError, match="too_long error or truncate, not 'cut'"):
        adapter(fake(), too_long="cut")


@library
def test_a_text_without_rows(adapter: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = adapter(fake())
    monkeypatch.setattr(encoder, "_encode", lambda *_, **__: [rows([8]), rows([])])
    with pytest.raises(TextError, match="text 2: expected at least one token"):
        encoder.encode_document(["gout", ""])


@pytest.mark.parametrize("change", [lambda text: text + " help", lambda _text: "drugs"])
@pytest.mark.parametrize(("adapter", "fake"), LIBRARIES[:2])
def test_other_tokens_than_those_of_the_tokenizer(adapter: Any, fake: Any, change: Any) -> None:
    """A model that prepares its texts by itself has no spans, rather than wrong ones."""
    model = fake()
    features = model._features
    model._features = lambda text, *task, **options: features(change(text), *task, **options)
    with pytest.raises(SpansUnknownError):
        adapter(model).spans("gout")


def test_a_model_of_fastembed_with_other_rows() -> None:
    model = FastEmbed()
    encoder = FastEmbedEncoder(model)
    model.model.skip_list = set()
    with pytest.raises(SpansUnknownError):
        encoder.spans(TEXT)


def test_windows_of_sentence_transformers() -> None:
    model = SentenceTransformers()
    encoder = SentenceTransformersEncoder(model)
    model.transformer.query_expansion = {"strategy": "min", "length": 4}
    model.transformer.query_length = 8
    assert encoder.encode_query("gout " * 5).shape == (8, len(WORDS))
    with pytest.raises(TextTooLongError, match="at most 8 tokens, not 9"):
        encoder.encode_query("gout " * 6)
    model.transformer.document_length = None
    with pytest.raises(TextTooLongError, match="at most 512 tokens, not 603"):
        encoder.encode_document("gout " * 600)


class Handler(BaseHTTPRequestHandler):
    """Answers as vLLM, next-plaid and PyLate do; a text's tokens are (length, query or not)."""

    requests: ClassVar[list[tuple[str, dict[str, Any], str | None]]] = []
    broken: ClassVar[bytes | None] = None
    elsewhere: ClassVar[str | None] = None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, body, self.headers["Authorization"]))
        if body.get("model", "colbert") != "colbert":
            return self.answer(400, b'{"detail": "Model not supported"}')
        if self.elsewhere:
            self.send_response(302)
            self.send_header("Location", self.elsewhere)
            return self.end_headers()
        answer = {"/pooling": self.vllm, "/encode": self.plaid, "/v1/embeddings": self.pylate}
        return self.answer(200, self.broken or json.dumps(answer[self.path](body)).encode())

    def do_GET(self) -> None:
        self.requests.append((self.path, {}, self.headers["Authorization"]))
        self.answer(405, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def vllm(body: dict[str, Any]) -> dict[str, Any]:
        data = [
            {"index": i, "object": "pooling", "data": [[len(text), 0.5]]}
            for i, text in enumerate(body["input"])
        ]
        return {"object": "list", "model": body["model"], "data": data[::-1], "usage": {}}

    @staticmethod
    def plaid(body: dict[str, Any]) -> dict[str, Any]:
        query = ["document", "query"].index(body["input_type"])
        vectors = [[[len(text), query]] * 2 for text in body["texts"]]
        return {"embeddings": vectors, "num_texts": len(vectors)}

    @staticmethod
    def pylate(body: dict[str, Any]) -> dict[str, Any]:
        data = [
            {"object": "embedding", "embedding": [[len(text), int(body["is_query"])]], "index": i}
            for i, text in enumerate(body["input"])
        ]
        return {"data": data, "model": body["model"], "usage": {}}

    def log_message(self, *_args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    Handler.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    make_tokenizer().save(str(path))
    return path


def test_vllm(url: str) -> None:
    encoder: Encoder = VllmEncoder(
        url + "/", "colbert", query_prefix="[Q] ", headers={"Authorization": "Bearer x"}
    )
    assert encoder.dims == encoder.dims == 2
    assert len(Handler.requests) == 1
    docs = encoder.encode_document(["gout", "a"])
    assert [doc.to_list() for doc in docs] == [[[4, 0.5]], [[1, 0.5]]]
    assert encoder.encode_query("gout").to_list() == [[8, 0.5]]
    assert Handler.requests[-1] == (
        "/pooling",
        {"model": "colbert", "input": ["[Q] gout"]},
        "Bearer x",
    )


def test_a_redirect_does_not_get_the_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "elsewhere", f"{url.replace('127.0.0.1', 'localhost')}/other")
    encoder = VllmEncoder(url, "colbert", headers={"Authorization": "Bearer x"})
    with pytest.raises(ServerError, match="405"):
        encoder.encode_query("gout")
    assert [(path, key) for path, _, key in Handler.requests] == [
        ("/pooling", "Bearer x"),
        ("/other", None),
    ]


def test_next_plaid(url: str) -> None:
    encoder: Encoder = NextPlaidEncoder(url, tokenizer=None)
    assert encoder.encode_query("gout").to_list() == [[4, 1], [4, 1]]
    assert encoder.encode_document("gout").to_list() == [[4, 0], [4, 0]]


def test_server_of_pylate(url: str) -> None:
    encoder: Encoder = PyLateServerEncoder(url, "colbert", tokenizer=None)
    assert encoder.encode_query("gout").to_list() == [[4, 1]]
    assert encoder.encode_document("gout").to_list() == [[4, 0]]


def test_batches_of_requests(url: str) -> None:
    encoder = NextPlaidEncoder(url, tokenizer=None, batch_size=2)
    docs = encoder.encode_document(["a", "bb", "ccc"])
    assert [doc.to_list()[0][0] for doc in docs] == [1, 2, 3]
    assert [body["texts"] for _, body, _ in Handler.requests] == [["a", "bb"], ["ccc"]]


def test_a_long_text_is_not_sent(url: str, tokenizer_file: Path) -> None:
    for encoder in (
        NextPlaidEncoder(url, tokenizer=tokenizer_file, window=6),
        PyLateServerEncoder(url, "colbert", tokenizer=tokenizer_file, window=6),
    ):
        assert encoder.encode_document("gout " * 3).to_list()[0] == [15, 0]
        Handler.requests.clear()
        with pytest.raises(TextTooLongError, match="text 2: expected at most 6 tokens, not 7"):
            encoder.encode_document(["gout", "gout " * 4])
        assert Handler.requests == []
    with pytest.raises(ValueError, match="tokenizer and window together"):
        NextPlaidEncoder(url, tokenizer=tokenizer_file)


def test_a_server_does_not_tell_spans(url: str) -> None:
    with pytest.raises(SpansUnknownError, match="/encode does not tell which characters"):
        NextPlaidEncoder(url, tokenizer=None).spans("gout")


def test_errors_of_a_server(url: str) -> None:
    with pytest.raises(ServerError, match=r"/pooling: 400 Bad Request: .*Model not supp") as e:
        VllmEncoder(url, "bert").encode_query("gout")
    assert e.value.status == 400
    with pytest.raises(OSError, match="refused"):
        VllmEncoder("http://127.0.0.1:9", "colbert").encode_query("gout")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>", "expected JSON"),
        (b"[]", "expected multivectors: TypeError"),
        (b'{"data": [{"index": 0}]}', "expected multivectors: KeyError"),
        (b'{"data": [{"index": 0, "data": [[1], [1, 2]]}]}', "expected multivectors: ValueError"),
        (b'{"data": [{"index": 0, "data": [[NaN]]}]}', "expected multivectors: ValueError"),
        (b'{"data": []}', "expected 1 multivectors, not 0"),
    ],
)
def test_answers_that_are_no_encodings(
    url: str, monkeypatch: pytest.MonkeyPatch, answer: bytes, message: str
) -> None:
    monkeypatch.setattr(Handler, "broken", answer)
    with pytest.raises(ServerError, match=message):
        VllmEncoder(url, "colbert").encode_query("gout")


def test_invalid_arguments_of_servers() -> None:
    with pytest.raises(ValueError, match="expected a URL of http or https, not 'file:///etc'"):
        VllmEncoder("file:///etc", "colbert")
    with pytest.raises(ValueError, match="batch_size of at least 1, not 0"):
        VllmEncoder("http://localhost", "colbert", batch_size=0)
