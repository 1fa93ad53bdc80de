"""MultiVector without a server."""

from __future__ import annotations

import copy
import json
import pickle
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import ELEMENTS, multivectors

from colbert_pg import Element, MultiVector

TOKENS = [[0.5, -1.5], [2.0, 0.25], [0.0, 3.0]]


def test_of_nested_lists() -> None:
    value = MultiVector(TOKENS)
    assert (value.shape, value.element, len(value)) == ((3, 2), "float4", 3)
    assert value.to_list() == TOKENS
    assert repr(value) == "<MultiVector of 3 x 2 float4>"


@pytest.mark.parametrize(
    ("dtype", "element"),
    [
        ("float64", "float4"),
        (">f4", "float4"),
        ("float16", "float2"),
        ("int8", "float2"),
        ("uint8", "float2"),
        ("int64", "float4"),
    ],
)
def test_of_arrays(dtype: str, element: Element) -> None:
    array = np.array([[1, 2, 100], [4, 5, 6]], dtype)
    value = MultiVector(array)
    assert value.element == element
    assert np.array_equal(value.to_numpy(), array)


def test_of_other_orders_of_bytes_and_of_masks_that_hide_nothing() -> None:
    array = np.array([[1, 2, 100], [4, 5, 6]], "<f2")
    swapped = MultiVector(array.astype(">f2"))
    assert (swapped.element, swapped) == ("float2", MultiVector(array))
    assert swapped.to_binary() == MultiVector(array).to_binary()
    assert MultiVector(np.ma.array(array)) == MultiVector(array)


def test_of_a_list_of_arrays_and_of_a_transposed_array() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert MultiVector(list(array)).to_list() == array.tolist()
    assert MultiVector(array.T).to_list() == array.T.tolist()


class FakeTensor:
    """What MultiVector uses of torch.Tensor: numpy() needs the CPU, no graph, no bfloat16."""

    def __init__(
        self, array: npt.NDArray[Any], dtype: str, device: str = "cuda:0", *, grad: bool = True
    ) -> None:
        self.array, self.dtype, self.device, self.grad = array, dtype, device, grad

    def detach(self) -> FakeTensor:
        return FakeTensor(self.array, self.dtype, self.device, grad=False)

    def cpu(self) -> FakeTensor:
        return FakeTensor(self.array, self.dtype, "cpu", grad=self.grad)

    def float(self) -> FakeTensor:
        return FakeTensor(self.array, "torch.float32", self.device, grad=self.grad)

    def numpy(self) -> npt.NDArray[Any]:
        if self.grad or self.device != "cpu" or self.dtype == "torch.bfloat16":
            raise TypeError("can't convert to numpy")
        return self.array


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_of_tensors(dtype: str) -> None:
    array = np.array(TOKENS, np.float32)
    assert MultiVector(FakeTensor(array, dtype)).to_list() == TOKENS


def test_of_a_multivector() -> None:
    value = MultiVector(TOKENS)
    assert MultiVector(value) == value
    assert MultiVector(value, "float2").element == "float2"
    assert MultiVector(MultiVector(value, "float2")).element == "float2"


def test_a_copy_is_made() -> None:
    array = np.array(TOKENS, np.float32)
    value = MultiVector(array)
    array[0, 0] = 99
    assert value.to_list() == TOKENS
    with pytest.raises(ValueError, match="read-only"):
        value.to_numpy()[0, 0] = 1


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([0.1, 0.2], r"expected 2 dimensions \(tokens, dims\), not 1 \(write a single token as"),
        ([[[0.1]]], "not 3$"),
        (0.5, "not 0$"),
        ([], "at least one token"),
        ([[]], "at least one token"),
        (np.zeros((0, 4)), r"not shape \(0, 4\)"),
        ([[1.0, 2.0], [1.0]], "expected 2 dimensions, and token 2 has 1"),
        ([[1.0], 2.0], "expected a list of tokens, and token 2 is 2.0"),
        ([["a", "b"]], "expected tokens of numbers, not of <U1"),
        ("[[1,2]]", "expected tokens of numbers"),
        (None, "expected tokens of numbers, not of object"),
        (np.array([[True]]), "not of bool"),
        (np.array([[1j]]), "not of complex"),
        ([[1.0, float("nan")]], r"not nan \(token 1, dim 2\)"),
        ([[1.0], [float("-inf")]], r"not -inf \(token 2, dim 1\)"),
        ([[1e39]], r"not 1e\+39"),
        ([[1.0] * 4, [9e17] * 4], r"and token 2 has length 1.8e\+18"),
        (np.ma.array([[1.0, 2.0]], mask=[[False, True]]), "expected tokens without masked numbers"),
        ([np.ma.array([1.0, 2.0], mask=[False, True])], "expected tokens without masked numbers"),
        (np.zeros((1, 16_001)), "expected at most 16000 dims, not 16001"),
    ],
)
def test_refusals(tokens: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiVector(tokens)


def test_refusals_of_elements() -> None:
    with pytest.raises(ValueError, match="expected element float4, float2, int8, not 'float8'"):
        MultiVector(TOKENS, "float8")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"65504 at most for element float2, not 70000.0 \(token 1"
    ):
        MultiVector([[70000.0]], "float2")
    assert MultiVector([[65519.0]], "float2").to_list() == [[65504.0]]


def test_the_longest_token() -> None:
    assert MultiVector([[1e18]]).to_list() == [[pytest.approx(1e18)]]


@pytest.mark.parametrize(
    ("element", "data"),
    [
        ("float4", struct.pack("<BBHI4f", 1, 0, 2, 2, 1, 2, -3, 0.5)),
        ("float2", struct.pack("<BBHI4e", 1, 1, 2, 2, 1, 2, -3, 0.5)),
        ("int8", struct.pack("<BBHI2f4b", 1, 2, 2, 2, 2 / 127, 3 / 127, 64, 127, -127, 21)),
    ],
)
def test_the_binary_form_byte_by_byte(element: Element, data: bytes) -> None:
    assert MultiVector([[1.0, 2.0], [-3.0, 0.5]], element).to_binary() == data
    assert MultiVector.from_binary(data).element == element


def test_from_binary_copies_nothing() -> None:
    data = bytearray(MultiVector(TOKENS).to_binary())
    value = MultiVector.from_binary(memoryview(data))
    data[8:12] = struct.pack("<f", 7)
    assert value.to_list()[0][0] == 7
    assert not value.to_numpy().flags.writeable


def header(*fields: int) -> bytes:
    return struct.pack("<BBHI", *fields)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a header of 8 bytes, not 0"),
        (header(2, 0, 1, 1) + bytes(4), "expected version 1 of the binary format, not 2"),
        (header(1, 3, 1, 1) + bytes(4), "expected element 0 to 2, not 3"),
        (header(1, 0, 0, 1), "1 to 16000 dims, not 1 of 0"),
        (header(1, 0, 16_001, 1), "not 1 of 16001"),
        (header(1, 0, 1, 0), "not 0 of 1"),
        (header(1, 0, 1, 1) + bytes(5), "expected 12 bytes, not 13"),
        (header(1, 0, 1, 2**32 - 1) + bytes(4), "expected 17179869188 bytes, not 12"),
        (header(1, 0, 1, 1) + struct.pack("<f", float("inf")), "expected finite numbers"),
        (header(1, 1, 1, 1) + struct.pack("<e", float("nan")), "expected finite numbers"),
        (header(1, 1, 1, 1) + struct.pack("<e", float("-inf")), "expected finite numbers"),
        (header(1, 2, 1, 1) + struct.pack("<fb", 1, 1), "and token 1 has 1 and scale 1.0"),
        (header(1, 2, 1, 1) + struct.pack("<fb", 1e-40, 127), "expected int8 tokens"),
        (header(1, 2, 1, 1) + struct.pack("<fb", -0.0, 0), "expected int8 tokens"),
        (header(1, 2, 1, 1) + struct.pack("<fb", 1, -128), "token 1 has 128"),
    ],
)
def test_refusals_of_binary(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiVector.from_binary(data)


@pytest.mark.parametrize(
    "text", ["[[0.5,-1.5],[2,0.25]]", " [ [5e-1, -1.5], [2, 0.25] ] ", '{{"0.5","-1.5"},{2,0.25}}']
)
def test_from_text(text: str) -> None:
    assert MultiVector.from_text(text).to_list() == TOKENS[:2]


@pytest.mark.parametrize(
    "text",
    [
        *["", "[[1,2]", "[[NaN]]", "[1,2]", "{}", "[[1],[2,3]]", "null"],
        *[start * 100_000 + "1" + end * 100_000 for start, end in ("[]", "{}")],
    ],
    ids=lambda text: text[:12],
)
def test_refusals_of_text(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        MultiVector.from_text(text)


@given(multivectors())
def test_from_hex(value: MultiVector) -> None:
    text = "\\x" + value.to_binary().hex()
    back = MultiVector.from_text(text)
    assert back.to_binary() == value.to_binary()
    assert MultiVector.from_text(text.upper().replace("X", "x"), "float4").element == "float4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\\x", "expected"),
        ("\\x0", "expected the hex form of a multivector: Odd"),
        ("\\x01000100010000000000803", "expected the hex form of a multivector: Odd"),
        ("\\x01000100010000000000803g", "expected the hex form of a multivector: Non-hex"),
        ("\\x01000100010000000000 803f", "expected the hex form of a multivector"),
        ("\\x01000100010000000000803\u0661", "expected the hex form of a multivector"),
        ("\\x01000100010000000000803f00", "expected"),
        ("\\x01000100010000000000c07f", "finite"),
    ],
)
def test_refusals_of_hex(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiVector.from_text(text)


def test_numpy_reads_it() -> None:
    value = MultiVector(TOKENS)
    assert np.asarray(value) is value.to_numpy()
    assert np.asarray(value, np.float64).tolist() == TOKENS
    assert np.array(value).flags.writeable


def test_equality_is_that_of_the_numbers() -> None:
    value = MultiVector(TOKENS)
    assert value == MultiVector(TOKENS, "float2")
    assert hash(value) == hash(MultiVector(TOKENS, "float2"))
    assert value != MultiVector(TOKENS[:2])
    assert value != TOKENS
    assert MultiVector([[0.0]]) == MultiVector([[-0.0]])
    assert len({MultiVector([[0.0]]), MultiVector([[-0.0]])}) == 1


@given(multivectors())
def test_binary_round_trip(value: MultiVector) -> None:
    back = MultiVector.from_binary(value.to_binary())
    assert (back, back.element) == (value, value.element)
    assert back.to_binary() == value.to_binary()
    assert hash(back) == hash(value)


@given(multivectors())
def test_text_round_trip(value: MultiVector) -> None:
    back = MultiVector.from_text(value.to_text())
    assert back == value
    # int8 too gets its codes again
    assert MultiVector(back, value.element).to_binary() == value.to_binary()
    assert MultiVector.from_text(json.dumps(value.to_list())) == value


@given(multivectors())
def test_pickle_and_copy(value: MultiVector) -> None:
    for other in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        assert (other, other.element) == (value, value.element)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.floats(-(2.0**56), 2.0**56, width=32),
    )
)
def test_int8_is_within_half_a_scale(array: npt.NDArray[np.float32]) -> None:
    value = MultiVector(array, "int8")
    half = np.abs(array).max(axis=1, keepdims=True) / 127 * 0.51 + 2e-36
    assert (np.abs(np.asarray(value, np.float64) - array) <= half).all()


@given(st.sampled_from(ELEMENTS), st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(element: Element, body: bytes) -> None:
    data = header(1, ELEMENTS.index(element), 1, max(1, len(body) // 5)) + body
    try:
        value = MultiVector.from_binary(data)
    except ValueError:
        return
    assert value.to_binary() == data
