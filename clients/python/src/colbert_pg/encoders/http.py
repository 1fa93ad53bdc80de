"""Encoders on other machines, by HTTP: vLLM, next-plaid and the server of PyLate."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ..multivector import MultiVector
from ._tokenizer import load_tokenizer
from .protocol import File, Span, SpansUnknownError, TextEncoder, TextTooLongError

_BODY_CHARACTERS = 500


class ServerError(RuntimeError):
    """An answer that is no encoding. status: that of HTTP."""

    def __init__(self, url: str, status: int, message: str) -> None:
        super().__init__(f"{url}: {message}")
        self.status = status


class HttpEncoder(TextEncoder):
    """An encoder behind an URL.

    timeout: seconds per request. headers: further ones, such as Authorization. batch_size: maximum
    texts per request.
    """

    path: str

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60,
        headers: Mapping[str, str] | None = None,
        batch_size: int = 32,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"expected a URL of http or https, not {url!r}")
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, not {batch_size}")
        self._url = url.rstrip("/") + self.path
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._batch_size = batch_size
        self._dims: int | None = None

    @property
    def dims(self) -> int:
        """The number of dimensions of a token. The first time, the server encodes a word."""
        if self._dims is None:
            self._dims = self.encode_query("a").shape[1]
        return self._dims

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        """Encode texts as queries, or as documents."""
        results: list[MultiVector] = []
        for start in range(0, len(texts), self._batch_size):
            batch = texts[start : start + self._batch_size]
            answer = self._post(self._request(batch, query=query))
            try:
                vectors = [MultiVector(tokens) for tokens in self._vectors(answer)]
            except (KeyError, TypeError, ValueError) as e:
                raise ServerError(self._url, 200, f"expected multivectors: {e!r}") from e
            if len(vectors) != len(batch):
                message = f"expected {len(batch)} multivectors, not {len(vectors)}"
                raise ServerError(self._url, 200, message)
            results += vectors
        return results

    def spans(self, text: str, *, query: bool = False) -> list[Span]:  # noqa: ARG002
        """Raise an error: the server does not tell."""
        raise SpansUnknownError(f"{self._url} does not tell which characters a row stands for")

    @abstractmethod
    def _request(self, texts: list[str], *, query: bool) -> dict[str, Any]:
        """Return the body of a request."""

    @abstractmethod
    def _vectors(self, answer: Any) -> Sequence[Any]:
        """Return the multivectors of an answer, as lists."""

    def _post(self, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(self._url, json.dumps(body).encode())
        for name, value in self._headers.items():
            request.add_unredirected_header(name, value)  # a key is for this server alone
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            with e:
                reason = e.read().decode(errors="replace")[:_BODY_CHARACTERS]
            raise ServerError(self._url, e.code, f"{e.code} {e.reason}: {reason}") from None
        except ValueError as e:
            raise ServerError(self._url, 200, f"expected JSON: {e}") from None


class VllmEncoder(HttpEncoder):
    """Encodes by vLLM's pooling API: vllm serve MODEL --pooler-config.task token_embed.

    vLLM refuses a text that is too long. query_prefix, document_prefix: put before each text, such
    as the markers of a ColBERT model, which vLLM does not add.
    """

    path = "/pooling"

    def __init__(
        self,
        url: str,
        model: str,
        *,
        query_prefix: str = "",
        document_prefix: str = "",
        **options: Any,
    ) -> None:
        super().__init__(url, **options)
        self._model = model
        self._prefixes = (document_prefix, query_prefix)

    def _request(self, texts: list[str], *, query: bool) -> dict[str, Any]:
        prefix = self._prefixes[query]
        return {"model": self._model, "input": [prefix + text for text in texts]}

    def _vectors(self, answer: Any) -> Sequence[Any]:
        return _in_order(answer["data"], "data")


class TruncatingEncoder(HttpEncoder):
    """An encoder whose server truncates long texts without a word.

    tokenizer: the file tokenizer.json of the model. A text of more than window tokens is an error.
    With None instead of a file, the server truncates.
    """

    def __init__(
        self, url: str, *, tokenizer: File | None, window: int | None = None, **options: Any
    ) -> None:
        super().__init__(url, **options)
        if (tokenizer is None) != (window is None):
            raise ValueError("expected tokenizer and window together")
        self._tokenizer = None if tokenizer is None else load_tokenizer(tokenizer)[0]
        self._window = window

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        """Encode texts as queries, or as documents. All are checked before the first is encoded."""
        if self._tokenizer is not None and self._window is not None:
            for number, encoding in enumerate(self._tokenizer.encode_batch(texts), 1):
                tokens = len(encoding) + 1  # the server adds a marker
                if tokens > self._window:
                    raise TextTooLongError(number, tokens, self._window)
        return super().encode(texts, query=query)


class NextPlaidEncoder(TruncatingEncoder):
    """Encodes by the API of next-plaid, started with a model."""

    path = "/encode"

    def _request(self, texts: list[str], *, query: bool) -> dict[str, Any]:
        return {"texts": texts, "input_type": "query" if query else "document"}

    def _vectors(self, answer: Any) -> Sequence[Any]:
        vectors: Sequence[Any] = answer["embeddings"]
        return vectors


class PyLateServerEncoder(TruncatingEncoder):
    """Encodes by the server of PyLate. model: as the server was started with."""

    path = "/v1/embeddings"

    def __init__(self, url: str, model: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._model = model

    def _request(self, texts: list[str], *, query: bool) -> dict[str, Any]:
        return {"model": self._model, "input": texts, "is_query": query}

    def _vectors(self, answer: Any) -> Sequence[Any]:
        return _in_order(answer["data"], "embedding")


def _in_order(items: list[dict[str, Any]], name: str) -> list[Any]:
    """Return a member of each item, by the items' index."""
    return [item[name] for item in sorted(items, key=lambda item: int(item["index"]))]
