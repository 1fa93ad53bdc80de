"""MultiVector: the tokens of one document or query, and their forms on the wire.

This is the one place in Python that knows the binary format (doc/format-binary.md).
"""

from __future__ import annotations

import binascii
import json
import math
import struct
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

Element: TypeAlias = Literal["float4", "float2", "int8"]
Floats: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float16]

MAX_DIMS = 16_000

_VERSION = 1
_HEADER = struct.Struct("<BBHI")
_ELEMENTS: tuple[Element, ...] = ("float4", "float2", "int8")
_DTYPES: dict[str, np.dtype[Any]] = {
    "float4": np.dtype("<f4"),
    "float2": np.dtype("<f2"),
    "int8": np.dtype("i1"),
}
_MAX_NORM = 1e18
_MAX_FLOAT2 = 65504
_FLOAT2_OVERFLOW = 65520  # binary16 rounds this and more to infinity
_HALF_INFINITY = 0x7C00  # bits; those of NaN are larger
_MAX_CODE = 127
_MIN_SCALE = np.finfo(np.float32).tiny
_HEX_PREFIX = "\\x"
_TO_BRACKETS = str.maketrans("{}", "[]", '"')


class Tensor(Protocol):
    """The part of torch.Tensor that is used; torch itself is never imported."""

    dtype: Any

    def detach(self) -> Any:
        """Return the tensor without its graph."""


class MultiVector:
    """A set of token embeddings, immutable: what a column of type multivector holds.

    tokens: an array of shape (tokens, dims), nested lists, a torch tensor, or a MultiVector.
    element: "float4", "float2" or "int8", as in SQL. By default float2 for arrays of half
    precision and of bytes, which it holds exactly, and float4 for everything else.

    Equality is that of SQL: the same numbers in the same order, whatever the element.
    """

    __slots__ = ("_element", "_scales", "_values")

    _element: Element
    _values: npt.NDArray[Any]  # numbers, or int8 codes
    _scales: npt.NDArray[np.float32] | None  # of each token, int8 only

    def __init__(
        self,
        tokens: MultiVector | Sequence[Sequence[float]] | npt.ArrayLike | Tensor,
        element: Element | None = None,
    ) -> None:
        if element is not None and element not in _ELEMENTS:
            raise ValueError(f"expected element {', '.join(_ELEMENTS)}, not {element!r}")
        if isinstance(tokens, MultiVector):
            if element in (None, tokens.element):
                self._set(tokens._element, tokens._values, tokens._scales)
                return
            tokens = tokens.to_numpy()
        array = _numbers(tokens)
        self._convert(array, element or _natural_element(array.dtype))

    def _convert(self, array: npt.NDArray[Any], element: Element) -> None:
        """Round numbers to the element and check them."""
        _check_shape(array)
        if element == "float2" and _is_half(array.dtype):
            halves = np.array(array, _DTYPES[element], order="C")
            _check_floats(halves, array)
            self._set(element, halves)
            return
        with np.errstate(over="ignore"):  # the checks below name the number
            floats = np.array(array, _DTYPES["float4"], order="C")
        _check_floats(floats, array)
        if element == "float4":
            self._set(element, floats)
        elif element == "float2":
            _check_float2(floats)
            self._set(element, floats.astype(_DTYPES["float2"]))
        else:
            self._set(element, *_quantize(floats))

    def _set(
        self,
        element: Element,
        values: npt.NDArray[Any],
        scales: npt.NDArray[np.float32] | None = None,
    ) -> None:
        values.flags.writeable = False
        self._element, self._values, self._scales = element, values, scales

    @property
    def shape(self) -> tuple[int, int]:
        """The number of tokens and of dimensions."""
        return cast(tuple[int, int], self._values.shape)

    @property
    def element(self) -> Element:
        """The format of a number: "float4", "float2" or "int8"."""
        return self._element

    def to_numpy(self) -> Floats:
        """Return an array of shape (tokens, dims), not writeable: float16 for float2, else float32.

        It shares the memory of the multivector, except for int8, whose codes are multiplied by
        their scales.
        """
        if self._scales is None:
            return self._values
        return self._values.astype(np.float32) * self._scales[:, np.newaxis]

    def codes(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32] | None]:
        """Return the numbers as they are stored, and for int8 the scale of each token."""
        return self._values, self._scales

    def to_list(self) -> list[list[float]]:
        """Return the tokens as lists of floats."""
        return cast(list[list[float]], self.to_numpy().tolist())

    def to_text(self) -> str:
        """Return the text form, [[0.1,0.2],[0.3,0.4]].

        Numbers have up to nine digits, which read back as the same float4.
        """
        numbers = self.to_numpy()
        token = "[" + ",".join(["%.9g"] * numbers.shape[1]) + "]"
        template = "[" + ",".join([token] * numbers.shape[0]) + "]"
        return template % tuple(numbers.ravel().tolist())

    def to_binary(self) -> bytes:
        """Return the binary form, which multivector_send gives and COPY (FORMAT binary) takes."""
        ntokens, dims = self.shape
        header = _HEADER.pack(_VERSION, _ELEMENTS.index(self._element), dims, ntokens)
        scales = b"" if self._scales is None else self._scales.tobytes()
        return header + scales + self._values.tobytes()

    @classmethod
    def from_text(cls, text: str, element: Element | None = None) -> MultiVector:
        """Read the text form. JSON does not name the element, which is float4 by default.

        The text of an array, {{0.1,0.2},{0.3,0.4}}, is read as well, and the hex form, which
        the server writes if colbert.multivector_output is hex. Hex names the element.
        """
        if text.startswith(_HEX_PREFIX):
            return cls(cls.from_binary(_bytes_of_hex(text)), element)
        if text.lstrip().startswith("{"):
            text = text.translate(_TO_BRACKETS)
        try:
            tokens = json.loads(text, parse_int=float)  # -0 keeps its sign
        except (ValueError, RecursionError) as e:
            raise ValueError(f"expected the text of a multivector, [[0.1,0.2]]: {e}") from None
        return cls(tokens, element or "float4")

    @classmethod
    def from_binary(cls, data: bytes | bytearray | memoryview) -> MultiVector:
        """Read the binary form. The multivector shares the memory of data: do not change it."""
        view = memoryview(data).cast("B").toreadonly()
        element, dims, ntokens = _read_header(view)
        at, scales = _HEADER.size, None
        if element == "int8":
            scales = np.frombuffer(view, _DTYPES["float4"], ntokens, at)
            at += scales.nbytes
        values = np.frombuffer(view, _DTYPES[element], offset=at).reshape(ntokens, dims)
        if scales is None:
            _check_floats(values, values)
        else:
            _check_codes(values, scales)
        self = cls.__new__(cls)
        self._set(element, values, scales)
        return self

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        array = self.to_numpy()
        if dtype is not None and array.dtype != np.dtype(dtype):
            if copy is False:
                raise ValueError(f"{self._element} tokens as {np.dtype(dtype)} need a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiVector):
            return NotImplemented
        return self.shape == other.shape and bool((self.to_numpy() == other.to_numpy()).all())

    def __hash__(self) -> int:
        """Hash the numbers as float4, -0 as 0, so that equal multivectors have equal hashes."""
        floats = self.to_numpy().astype(np.float32) + np.float32(0)
        return hash((self.shape, floats.tobytes()))

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return MultiVector.from_binary, (self.to_binary(),)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Have pydantic take what the constructor takes, and nested lists in JSON."""
        from pydantic_core import core_schema  # noqa: PLC0415

        rows = core_schema.list_schema(
            core_schema.list_schema(core_schema.float_schema(strict=True))
        )
        return core_schema.json_or_python_schema(
            core_schema.no_info_after_validator_function(cls, rows),
            core_schema.no_info_plain_validator_function(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.to_list, when_used="json", return_schema=rows
            ),
        )

    def __repr__(self) -> str:
        ntokens, dims = self.shape
        return f"<MultiVector of {ntokens} x {dims} {self._element}>"


def _bytes_of_hex(text: str) -> bytes:
    """Return the bytes of the hex form. Unlike bytes.fromhex, allow no white space."""
    try:
        return binascii.unhexlify(text[len(_HEX_PREFIX) :])
    except ValueError as e:
        raise ValueError(f"expected the hex form of a multivector: {e}") from None


def _numbers(tokens: Any) -> npt.NDArray[Any]:
    """Return tokens as an array of numbers, of any shape."""
    if hasattr(tokens, "detach"):
        tokens = tokens.detach().cpu()
        if str(tokens.dtype) == "torch.bfloat16":  # numpy has no such type; float32 holds it
            tokens = tokens.float()
        tokens = tokens.numpy()
    if _is_masked(tokens):
        raise ValueError("expected tokens without masked numbers")
    try:
        array = np.asarray(tokens)
    except (ValueError, TypeError) as e:
        raise ValueError(_why_not_an_array(tokens) or f"expected tokens of numbers: {e}") from None
    if array.dtype.kind not in "fiu":
        raise ValueError(
            _why_not_an_array(tokens)
            or f"expected tokens of numbers, not of {array.dtype}: [[0.1, 0.2], [0.3, 0.4]]"
        )
    return array


def _is_masked(tokens: Any) -> bool:
    """Return whether an array, or one of a list, has masked numbers: numpy drops the mask."""
    if isinstance(tokens, (list, tuple)):
        return any(np.ma.is_masked(token) for token in tokens)
    return bool(np.ma.is_masked(tokens))


def _why_not_an_array(tokens: Any) -> str | None:
    """Name the first token whose length differs from those before it."""
    if not isinstance(tokens, (list, tuple)):
        return None
    lengths = [len(token) if hasattr(token, "__len__") else None for token in tokens]
    for number, length in enumerate(lengths, 1):
        if length is None:
            return f"expected a list of tokens, and token {number} is {tokens[number - 1]!r:.40}"
        if length != lengths[0]:
            return f"expected {lengths[0]} dimensions, and token {number} has {length}"
    return None


def _is_half(dtype: np.dtype[Any]) -> bool:
    """Return whether numbers have half precision, in any order of bytes."""
    return dtype.kind == "f" and dtype.itemsize == 2


def _natural_element(dtype: np.dtype[Any]) -> Element:
    return "float2" if _is_half(dtype) or (dtype.kind in "iu" and dtype.itemsize == 1) else "float4"


def _check_shape(array: npt.NDArray[Any]) -> None:
    if array.size == 0:
        raise ValueError(
            f"expected at least one token of at least one dimension, not shape {array.shape}"
        )
    if array.ndim != 2:
        hint = " (write a single token as [[0.1, 0.2]])" if array.ndim == 1 else ""
        raise ValueError(f"expected 2 dimensions (tokens, dims), not {array.ndim}{hint}")
    if array.shape[1] > MAX_DIMS:
        raise ValueError(f"expected at most {MAX_DIMS} dims, not {array.shape[1]}")


def _check_floats(floats: npt.NDArray[Any], given: npt.NDArray[Any]) -> None:
    """Refuse numbers that are not finite and tokens that are too long, and name them."""
    # No token of finite halves is too long. numpy compares their bits faster than halves.
    if floats.dtype == np.float16 and (floats.view("<u2") & 0x7FFF).max() < _HALF_INFINITY:
        return
    largest = max(float(floats.max()), -float(floats.min()))  # NaN if there is one
    if largest * math.sqrt(floats.shape[1]) <= _MAX_NORM:
        return
    finite = np.isfinite(floats)
    if not finite.all():
        token, dim = np.argwhere(~finite)[0]
        raise ValueError(
            f"expected finite numbers, not {given[token, dim]} (token {token + 1}, dim {dim + 1})"
        )
    norms = np.linalg.norm(floats.astype(np.float64), axis=1)
    if norms.max() > _MAX_NORM:
        token = norms.argmax()
        raise ValueError(
            f"expected tokens of length {_MAX_NORM:g} at most, and token {token + 1} has length "
            f"{norms[token]:g}"
        )


def _check_float2(floats: npt.NDArray[np.float32]) -> None:
    too_large = np.abs(floats) >= _FLOAT2_OVERFLOW
    if too_large.any():
        token, dim = np.argwhere(too_large)[0]
        raise ValueError(
            f"expected numbers of {_MAX_FLOAT2} at most for element float2, not "
            f"{floats[token, dim]} (token {token + 1}, dim {dim + 1})"
        )


def _quantize(
    floats: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return codes of -127 to 127 and the scale of each token, bit for bit as the server does.

    A token that was int8 before must get its codes again, but largest / 127 can miss its scale by
    one unit of the last place. So the neighbours are tried, and a scale that loses nothing wins.
    """
    scales = np.abs(floats).max(axis=1) / np.float32(_MAX_CODE)
    scales[scales < _MIN_SCALE] = 0
    lower, higher = np.nextafter(scales, np.float32(0)), np.nextafter(scales, np.float32(np.inf))
    chosen = scales
    for candidate in (higher, lower, scales):  # the last one that loses nothing is taken
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            column = candidate[:, np.newaxis]
            exact = (np.rint(floats / column) * column == floats).all(axis=1)
        chosen = np.where(exact & (candidate >= _MIN_SCALE) & (scales > 0), candidate, chosen)
    divisors = np.where(chosen > 0, chosen, np.float32(np.inf))
    codes = np.rint(floats / divisors[:, np.newaxis]).astype(np.int8)
    return codes, chosen.astype(_DTYPES["float4"])


def _check_codes(codes: npt.NDArray[np.int8], scales: npt.NDArray[np.float32]) -> None:
    """Refuse int8 tokens that the server would not have written."""
    largest = np.abs(codes.astype(np.int16)).max(axis=1)
    normal = np.isfinite(scales) & (scales >= _MIN_SCALE) & (largest == _MAX_CODE)
    zero = (scales == 0) & ~np.signbit(scales) & (largest == 0)
    if not (normal | zero).all():
        token = np.argmin(normal | zero)
        raise ValueError(
            f"expected int8 tokens whose largest code is {_MAX_CODE}, or all zero, and token "
            f"{token + 1} has {largest[token]} and scale {scales[token]}"
        )


def _read_header(view: memoryview) -> tuple[Element, int, int]:
    """Return element, dims and number of tokens, once the size agrees with them."""
    if len(view) < _HEADER.size:
        raise ValueError(f"expected a header of {_HEADER.size} bytes, not {len(view)}")
    version, code, dims, ntokens = _HEADER.unpack_from(view)
    if version != _VERSION:
        raise ValueError(f"expected version {_VERSION} of the binary format, not {version}")
    if code >= len(_ELEMENTS):
        raise ValueError(f"expected element 0 to {len(_ELEMENTS) - 1}, not {code}")
    if ntokens == 0 or not 1 <= dims <= MAX_DIMS:
        raise ValueError(
            f"expected at least one token of 1 to {MAX_DIMS} dims, not {ntokens} of {dims}"
        )
    element = _ELEMENTS[code]
    token_size = dims * _DTYPES[element].itemsize + (4 if element == "int8" else 0)
    size = _HEADER.size + ntokens * token_size
    if len(view) != size:
        raise ValueError(f"expected {size} bytes, not {len(view)}")
    return element, dims, ntokens
