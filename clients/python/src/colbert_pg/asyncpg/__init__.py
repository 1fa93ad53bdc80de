"""Multivectors as parameters and results of asyncpg, in the binary format."""

from .register import register_multivector

__all__ = ["register_multivector"]
