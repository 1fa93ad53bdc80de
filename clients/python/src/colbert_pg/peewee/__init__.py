"""The type multivector and its scores for Peewee."""

from .field import MultiVectorField

__all__ = ["MultiVectorField"]
