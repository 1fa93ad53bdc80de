"""Multivectors as parameters and results of psycopg 3, in the binary format."""

from .register import register_multivector, register_multivector_async

__all__ = ["register_multivector", "register_multivector_async"]
