"""Documents of Vespa, and tensors with one mapped and one indexed dimension."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_TYPE = re.compile(r"tensor(?:<(\w+)>)?\(([^()]*)\)")
_DIMENSION = re.compile(r"(\w+)(\{\}|\[(\d+)\])")
# The bits of a number are its hexadecimal digits, the highest first.
_CELLS = {"int8": ">i1", "bfloat16": ">u2", "float": ">f4", "double": ">f8"}


def vespa_documents(objects: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id and the fields of each document.

    objects: documents as objects of JSON, as `vespa visit` writes them, or responses of
    /document/v1, each with its documents. Removed documents are left out.
    """
    for found in objects:
        for document in found.get("documents", [found]):
            if "remove" not in document:
                yield document.get("id") or document["put"], document.get("fields") or {}


def vespa_tensor(value: Any, type: str = "") -> Array | None:
    """Return the tokens of a tensor in any of the forms of Vespa's JSON.

    type: such as tensor<float>(token{},x[128]); if the value does not name it, this is necessary
    for hexadecimal digits and for single cells.
    An empty tensor is None, which is NULL in SQL.
    """
    tokens = _blocks(value, _Type(type or _named_type(value)))
    labels = list(tokens)
    if all(re.fullmatch(r"\d{1,18}", label) for label in labels):
        labels.sort(key=int)
    if len({len(tokens[label]) for label in labels}) > 1:
        raise ValueError("the tokens of a tensor have different lengths")
    return np.array([tokens[label] for label in labels], np.float32) if labels else None


def _named_type(value: Any) -> str:
    return str(value.get("type", "")) if isinstance(value, Mapping) else ""


@dataclass
class _Type:
    """The dimensions and the cells of a tensor; without its text, nothing is known of it."""

    text: str

    def __post_init__(self) -> None:
        self.cell, self.mapped, self.indexed, self.dims = "", "", "", 0
        if self.text:
            self._parse()

    def _parse(self) -> None:
        found = _TYPE.fullmatch("".join(self.text.split()))
        dimensions = [_DIMENSION.fullmatch(part) for part in found[2].split(",")] if found else []
        mapped = [d[1] for d in dimensions if d and d[2] == "{}"]
        indexed = [(d[1], int(d[3])) for d in dimensions if d and d[3]]
        if not found or (len(mapped), len(indexed), len(dimensions)) != (1, 1, 2):
            raise ValueError(f"expected one mapped and one indexed dimension, not {self.text}")
        self.cell = found[1] or "double"
        [self.mapped], [(self.indexed, self.dims)] = mapped, indexed

    def numbers(self, value: Any) -> Array:
        """Return the numbers of a token."""
        if isinstance(value, str):
            value = self._from_hex(value)
        numbers = np.asarray(value, np.float32)
        if numbers.ndim != 1 or self.dims not in {0, len(numbers)}:
            raise ValueError(f"expected {self.dims or 'some'} numbers, not {numbers.shape}")
        return numbers

    def _from_hex(self, digits: str) -> npt.NDArray[Any]:
        if self.cell not in _CELLS:
            raise ValueError("hexadecimal digits need the type of the tensor")
        numbers = np.frombuffer(bytes.fromhex(digits), _CELLS[self.cell])
        if self.cell == "bfloat16":  # the upper half of a float
            return (numbers.astype(np.uint32) << 16).view(np.float32)
        return numbers


def _blocks(value: Any, kind: _Type) -> dict[str, Array]:
    """Return the numbers of each token by its label."""
    if isinstance(value, Mapping) and "cells" in value:
        value = value["cells"]
    elif isinstance(value, Mapping) and "blocks" in value:
        value = value["blocks"]
    if isinstance(value, Mapping):
        return {str(label): kind.numbers(numbers) for label, numbers in value.items()}
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise ValueError("expected a tensor: an object, or a list of cells or blocks")
    if value and "values" in value[0]:
        return {_label(block, kind): kind.numbers(block["values"]) for block in value}
    return _cells(value, kind)


def _label(block: Mapping[str, Any], kind: _Type) -> str:
    address = block["address"]
    if len(address) != 1 or kind.mapped not in {"", *address}:
        raise ValueError(f"expected an address of one label, not {address}")
    return str(next(iter(address.values())))


def _cells(cells: list[Mapping[str, Any]], kind: _Type) -> dict[str, Array]:
    if not cells:
        return {}
    if not kind.text:
        raise ValueError("single cells need the type of the tensor")
    tokens: dict[str, Array] = {}
    for cell in cells:
        address = cell["address"]
        place = int(address[kind.indexed])
        if not 0 <= place < kind.dims:
            raise ValueError(f"expected a place below {kind.dims}, not {place}")
        numbers = tokens.setdefault(str(address[kind.mapped]), np.zeros(kind.dims, np.float32))
        numbers[place] = cell["value"]
    return tokens
