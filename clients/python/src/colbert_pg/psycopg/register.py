"""Dumpers and loaders for psycopg.

numpy arrays of two dimensions are multivectors. Others go to whatever dumps them otherwise, such
as pgvector's register_vector, which may be called before or after register_multivector: it
registers the name "numpy.ndarray", and psycopg prefers the class, which is registered here.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import psycopg
from psycopg.abc import AdaptContext, DumperKey
from psycopg.adapt import Buffer, Dumper, Loader, PyFormat
from psycopg.pq import Format
from psycopg.types import TypeInfo

from .._driver import NOT_FOUND, ONLY_TWO_DIMENSIONS, pgvector_type
from ..multivector import MultiVector


class TextDumper(Dumper):
    def dump(self, obj: Any) -> Buffer | None:
        return MultiVector(obj).to_text().encode()


class BinaryDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer | None:
        return MultiVector(obj).to_binary()


class ArrayDumper(Dumper):
    """Choose the dumper of an ndarray by its dimensions."""

    others: ClassVar[dict[PyFormat, type[Dumper]]]  # registered before

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self._context = context

    def get_key(self, obj: Any, format: PyFormat) -> DumperKey:  # noqa: ARG002
        return self.cls if obj.ndim == 2 else (self.cls,)

    def upgrade(self, obj: Any, format: PyFormat) -> Dumper:
        if obj.ndim == 2:
            return self
        vector = pgvector_type()
        other = self.others.get(format)
        if other is None and vector is not None and self._context is not None:
            other = _registered(self._context, vector, format)
        if other is None:
            raise psycopg.ProgrammingError(ONLY_TWO_DIMENSIONS.format(obj.ndim))
        return other(self.cls, self._context)


class TextArrayDumper(ArrayDumper, TextDumper):
    pass


class BinaryArrayDumper(ArrayDumper, BinaryDumper):
    pass


class TextLoader(Loader):
    def load(self, data: Buffer) -> MultiVector:
        return MultiVector.from_text(bytes(data).decode())


class BinaryLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> MultiVector:
        # A copy, or one row would hold the memory of all.
        return MultiVector.from_binary(bytes(data))


def _registered(context: AdaptContext, cls: type, format: PyFormat) -> type[Dumper] | None:
    try:
        return context.adapters.get_dumper(cls, format)  # type: ignore[return-value]
    except psycopg.ProgrammingError:
        return None


def _others(context: AdaptContext) -> dict[PyFormat, type[Dumper]]:
    """Return the dumpers of ndarray. Those of an earlier call are replaced, not followed."""
    others = {}
    for py_format in PyFormat:
        dumper = _registered(context, np.ndarray, py_format)
        if dumper is not None and issubclass(dumper, ArrayDumper):
            dumper = dumper.others.get(py_format)
        if dumper is not None:
            others[py_format] = dumper
    return others


def register_type(context: AdaptContext, info: TypeInfo | None) -> None:
    """Register the type multivector, as found under any name."""
    if info is None:
        raise psycopg.ProgrammingError(NOT_FOUND)
    info.register(context)
    others = _others(context)
    adapters = context.adapters
    for dumper in (TextDumper, BinaryDumper):  # the last one is the default
        adapters.register_dumper(MultiVector, type(dumper.__name__, (dumper,), {"oid": info.oid}))
    for array_dumper in (TextArrayDumper, BinaryArrayDumper):
        namespace = {"oid": info.oid, "others": others}
        adapters.register_dumper(
            np.ndarray, type(array_dumper.__name__, (array_dumper,), namespace)
        )
    adapters.register_loader(info.oid, TextLoader)
    adapters.register_loader(info.oid, BinaryLoader)


def is_registered(connection: psycopg.BaseConnection[Any], /) -> bool:
    return _registered(connection, MultiVector, PyFormat.BINARY) is not None


def register_multivector(connection: psycopg.Connection[Any], /) -> None:
    """Let a connection take multivectors and arrays of two dimensions, and return multivectors.

    Use it as the `configure` of a psycopg_pool.ConnectionPool, too.
    """
    register_type(connection, TypeInfo.fetch(connection, "multivector"))


async def register_multivector_async(connection: psycopg.AsyncConnection[Any], /) -> None:
    """Do what register_multivector does, for an asynchronous connection."""
    register_type(connection, await TypeInfo.fetch(connection, "multivector"))
