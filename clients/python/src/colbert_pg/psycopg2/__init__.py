"""Multivectors as parameters and results of psycopg2."""

from .register import register_multivector

__all__ = ["register_multivector"]
