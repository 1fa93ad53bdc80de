"""Multivectors as parameters and results of pg8000."""

from .register import register_multivector

__all__ = ["register_multivector"]
