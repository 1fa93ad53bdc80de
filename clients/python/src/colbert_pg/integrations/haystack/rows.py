"""Documents of Haystack as rows, and back.

The metadata of a row is the meta of the document. What else a document has is there under the key
_haystack: as text, for an index of the metadata has an entry for each number of a list.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from ...collection import Record

EXTRA = "_haystack"
NO_CONTENT = "no_content"
EXTRAS = ("score", "embedding", "sparse_embedding", "blob")


@dataclass(frozen=True)
class Row:
    """The columns of a document."""

    id: str
    text: str
    metadata: dict[str, Any]


def to_row(document: Document) -> Row:
    """Return the row of a document. Its text is empty if it has none."""
    check_meta(document.meta)
    extra = {name: _DUMP[name](getattr(document, name)) for name in _has(document)}
    if document.content is None:
        extra[NO_CONTENT] = True
    metadata = {**document.meta, EXTRA: extra} if extra else document.meta
    return Row(document.id, document.content or "", metadata)


def to_document(record: Record, score: float | None = None) -> Document:
    """Return the document of a row. score: that of a search."""
    extra = record.metadata.get(EXTRA, {})
    fields = {name: _LOAD[name](extra[name]) for name in EXTRAS if name in extra}
    if score is not None:
        fields["score"] = score
    return Document(
        id=record.id,
        content=None if extra.get(NO_CONTENT) else record.text,
        meta={key: value for key, value in record.metadata.items() if key != EXTRA},
        **fields,
    )


def check_meta(meta: dict[str, Any]) -> None:
    """Refuse meta that hides what a document has besides."""
    if EXTRA in meta:
        raise ValueError(f"expected no key {EXTRA} in the meta of a document")


def _has(document: Document) -> list[str]:
    return [name for name in EXTRAS if getattr(document, name) is not None]


def _dump_floats(values: list[float]) -> str:
    return base64.b64encode(np.asarray(values, "<f8").tobytes()).decode()


def _load_floats(text: str) -> list[float]:
    values: list[float] = np.frombuffer(base64.b64decode(text), "<f8").tolist()
    return values


def _dump_blob(blob: ByteStream) -> str:
    data = base64.b64encode(blob.data).decode()
    return json.dumps({"data": data, "meta": blob.meta, "mime_type": blob.mime_type})


def _load_blob(text: str) -> ByteStream:
    fields = json.loads(text)
    return ByteStream(**{**fields, "data": base64.b64decode(fields["data"])})


_DUMP: dict[str, Any] = {
    "score": lambda score: score,
    "embedding": _dump_floats,
    "sparse_embedding": lambda sparse: json.dumps(sparse.to_dict()),
    "blob": _dump_blob,
}
_LOAD: dict[str, Any] = {
    "score": lambda score: score,
    "embedding": _load_floats,
    "sparse_embedding": lambda text: SparseEmbedding.from_dict(json.loads(text)),
    "blob": _load_blob,
}
