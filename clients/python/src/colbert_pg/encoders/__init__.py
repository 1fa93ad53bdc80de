"""Encoders: from text to the multivectors of queries and documents.

Importing this module imports no library of models; an encoder imports its own when it is created.
"""

from .http import NextPlaidEncoder, PyLateServerEncoder, ServerError, VllmEncoder
from .images import ColPaliEncoder
from .libraries import FastEmbedEncoder, PyLateEncoder, SentenceTransformersEncoder
from .onnx import OnnxEncoder
from .protocol import (
    Box,
    BoxesUnknownError,
    Encoder,
    ImageEncoder,
    Span,
    SpansUnknownError,
    TextEncoder,
    TextError,
    TextTooLongError,
)
from .spec import make_encoder

__all__ = [
    "Box",
    "BoxesUnknownError",
    "ColPaliEncoder",
    "Encoder",
    "FastEmbedEncoder",
    "ImageEncoder",
    "NextPlaidEncoder",
    "OnnxEncoder",
    "PyLateEncoder",
    "PyLateServerEncoder",
    "SentenceTransformersEncoder",
    "ServerError",
    "Span",
    "SpansUnknownError",
    "TextEncoder",
    "TextError",
    "TextTooLongError",
    "VllmEncoder",
    "make_encoder",
]
