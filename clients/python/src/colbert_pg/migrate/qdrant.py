"""Points of Qdrant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Point = tuple[Any, dict[str, Any], npt.NDArray[np.float32] | None]


def qdrant_points(pages: Iterable[Mapping[str, Any]], vector: str = "") -> Iterator[Point]:
    """Yield the id, the payload and the tokens of each point.

    pages: responses of scroll as objects of JSON, each with its points, or points alone.
    vector: the name of the multivector, if the collection has named vectors.
    A point without the vector, or with an empty one, has None, which is NULL in SQL.
    """
    for page in pages:
        result = page.get("result", page)
        for point in result.get("points", [result]):
            yield point["id"], point.get("payload") or {}, _tokens(point, vector)


def _tokens(point: Mapping[str, Any], name: str) -> npt.NDArray[np.float32] | None:
    value = point.get("vector")
    if name:
        value = (value or {}).get(name)
    elif isinstance(value, Mapping):
        raise ValueError(f"point {point['id']} has named vectors: {', '.join(sorted(value))}")
    if not value:
        return None
    tokens = np.asarray(value, np.float32)
    if tokens.ndim != 2:
        raise ValueError(f"the vector of point {point['id']} is no list of vectors")
    return tokens
