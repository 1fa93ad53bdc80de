"""Encoders: from text to the multivectors of queries and documents.

Importing this module imports no library of models; an encoder imports its own when it is created.
"""

from .onnx import OnnxEncoder
from .protocol import Encoder, Span, TextEncoder, TextError, TextTooLongError

__all__ = ["Encoder", "OnnxEncoder", "Span", "TextEncoder", "TextError", "TextTooLongError"]
