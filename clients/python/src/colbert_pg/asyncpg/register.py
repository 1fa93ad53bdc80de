"""A codec for asyncpg, which encodes a parameter by its type in SQL.

So pgvector's codec and ours never meet: an array is a multivector where SQL expects one.
"""

from __future__ import annotations

from typing import Any

from .._driver import FIND_TYPE, NOT_FOUND, as_multivector
from ..multivector import MultiVector


def _encode(value: Any) -> bytes:
    multivector = as_multivector(value)
    assert multivector is not None  # asyncpg encodes None itself
    return multivector.to_binary()


async def register_multivector(conn: Any, /) -> None:
    """Let a connection take multivectors and arrays of two dimensions, and return multivectors.

    For a pool: asyncpg.create_pool(..., init=register_multivector).
    """
    row = await conn.fetchrow(FIND_TYPE)
    if row is None:
        raise ValueError(NOT_FOUND)
    await conn.set_type_codec(
        "multivector",
        schema=row["nspname"],
        encoder=_encode,
        decoder=MultiVector.from_binary,
        format="binary",
    )
