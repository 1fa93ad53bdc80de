"""The tokenizer of a model, from its file tokenizer.json."""

from __future__ import annotations

import os
from typing import Any

from .protocol import File


def load_tokenizer(file: File) -> tuple[Any, int | None]:
    """Return a tokenizer that neither truncates nor pads, and the maximum length in its file."""
    try:
        import tokenizers  # noqa: PLC0415
    except ImportError:
        raise ImportError("a tokenizer needs pip install 'colbert-pg[onnx]'") from None
    tokenizer = tokenizers.Tokenizer.from_file(os.fspath(file))
    own = tokenizer.truncation
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, None if own is None else int(own["max_length"])
