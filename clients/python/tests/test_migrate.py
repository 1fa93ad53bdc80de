"""Readers of what other systems export."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg.migrate import (
    qdrant_points,
    read_plaid,
    split_tokens,
    vespa_documents,
    vespa_tensor,
)

DATA = Path(__file__).parents[3] / "doc" / "migration" / "data"
MAKE = runpy.run_path(str(DATA / "make.py"))
TOKENS = [np.array(tokens, np.float32) for _, _, tokens in MAKE["documents"]()]
TYPE = "tensor<float>(token{},x[2])"

Floats = npt.NDArray[np.float32]


def lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def test_files_are_those_of_the_script() -> None:
    files = {name: [*found] for name, found in MAKE["text_files"]().items()}
    assert {path.name for path in DATA.iterdir() if path.suffix != ".py"} >= set(files)
    for name, found in files.items():
        assert (DATA / name).read_text().splitlines() == found, name


def equal(found: list[Floats | None], expected: list[Floats]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(doc is not None and np.array_equal(doc, other) for doc, other in pairs)


@given(st.lists(st.integers(0, 4)))
def test_split_tokens(lengths: list[int]) -> None:
    tokens = np.arange(sum(lengths) * 3, dtype=np.float16).reshape(-1, 3)
    docs = list(split_tokens(tokens, lengths))
    assert [0 if doc is None else len(doc) for doc in docs] == lengths
    found = [doc for doc in docs if doc is not None]
    assert np.array_equal(np.concatenate([tokens[:0], *found]), tokens)


@pytest.mark.parametrize("lengths", [[3], [2, 3], [5, -1], []])
def test_lengths_that_do_not_add_up(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="add up to 4 tokens"):
        split_tokens(np.zeros((4, 2)), lengths)


def test_tokens_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"not of shape \(4,\)"):
        split_tokens(np.zeros(4), [4])


def plaid(folder: Path, nbits: int, dims: int = 8) -> tuple[Floats, list[int]]:
    """Write an index of random numbers, and return its tokens as PLAID decompresses them."""
    random = np.random.default_rng(nbits)
    centroids = random.normal(size=(5, dims)).astype(np.float16)
    weights = np.sort(random.normal(size=1 << nbits)).astype(np.float32)
    lengths = [3, 1, 0, 4, 2]
    codes = random.integers(5, size=sum(lengths))
    buckets = random.integers(1 << nbits, size=(sum(lengths), dims))
    np.save(folder / "centroids.npy", centroids)
    np.save(folder / "bucket_weights.npy", weights)
    start = 0
    for chunk, part in enumerate([lengths[:2], lengths[2:]]):
        end = start + sum(part)
        packed = [pack(row, nbits) for row in buckets[start:end].tolist()]
        np.save(folder / f"{chunk}.codes.npy", codes[start:end])
        np.save(folder / f"{chunk}.residuals.npy", np.array(packed, np.uint8))
        (folder / f"doclens.{chunk}.json").write_text(json.dumps(part))
        start = end
    tokens = centroids.astype(np.float32)[codes] + weights[buckets]
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True), lengths


def pack(buckets: list[int], nbits: int) -> list[int]:
    """Pack as next-plaid's quantize_residuals does, bit by bit."""
    packed = [0] * (len(buckets) * nbits // 8)
    for place in range(len(buckets) * nbits):
        bit = buckets[place // nbits] >> (place % nbits) & 1
        packed[place // 8] |= bit << (7 - place % 8)
    return packed


@pytest.mark.parametrize("nbits", [1, 2, 4, 8])
def test_read_plaid(tmp_path: Path, nbits: int) -> None:
    tokens, lengths = plaid(tmp_path, nbits)
    for found, expected in zip(read_plaid(tmp_path), split_tokens(tokens, lengths), strict=True):
        if expected is None:
            assert found is None
        else:
            assert found is not None
            assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("dims", [8, 12])
def test_a_plaid_index_of_signs(tmp_path: Path, dims: int) -> None:
    signs = np.random.default_rng(dims).choice([-1, 1], (4, dims))
    packed = [pack([*row, *[0] * (-dims % 8)], 1) for row in (signs > 0).astype(int).tolist()]
    np.save(tmp_path / "centroids.npy", np.zeros((2, dims), np.float32))
    np.save(tmp_path / "0.codes.npy", np.zeros(4, np.int64))
    np.save(tmp_path / "0.residuals.npy", np.array(packed, np.uint8))
    (tmp_path / "doclens.0.json").write_text("[3, 1]")
    (tmp_path / "metadata.json").write_text('{"binary": true}')
    found = [doc.tolist() for doc in read_plaid(tmp_path) if doc is not None]
    assert found == [signs[:3].tolist(), signs[3:].tolist()]


def lose_a_chunk(folder: Path) -> None:
    (folder / "doclens.0.json").unlink()


def lose_a_document(folder: Path) -> None:
    (folder / "doclens.0.json").write_text("[3]")


def lose_a_weight(folder: Path) -> None:
    np.save(folder / "bucket_weights.npy", np.zeros(15, np.float32))


def lose_a_byte(folder: Path) -> None:
    np.save(folder / "0.residuals.npy", np.load(folder / "0.residuals.npy")[:, 1:])


def lose_a_centroid(folder: Path) -> None:
    np.save(folder / "0.codes.npy", np.full(4, 5))


def pickle_an_object(folder: Path) -> None:
    np.save(folder / "0.codes.npy", np.array([{}], object))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lose_a_chunk, "has not all of doclens"),
        (lose_a_document, "add up to 4 tokens"),
        (lose_a_weight, "expected 2, 4, 16 or 256 weights"),
        (lose_a_byte, "residuals of 4 tokens have the shape"),
        (lose_a_centroid, "expected centroids below 5"),
        (pickle_an_object, "allow_pickle=False"),
    ],
)
def test_a_damaged_plaid_index(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    plaid(tmp_path, 4)
    harm(tmp_path)
    with pytest.raises(ValueError, match=message):
        list(read_plaid(tmp_path))


def test_a_folder_without_an_index(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has not all of doclens"):
        list(read_plaid(tmp_path))


def test_qdrant_pages() -> None:
    points = list(qdrant_points(lines("qdrant.jsonl"), "colbert"))
    assert [number for number, _, _ in points] == [1, 2, 3, 4, 5, 6]
    assert points[2][1] == {"text": "A violin has four strings."}
    assert equal([tokens for _, _, tokens in points], TOKENS)


def test_qdrant_points_alone() -> None:
    points: list[dict[str, Any]] = [
        {"id": "a", "vector": [[1, 2]]},
        {"id": "b", "vector": None, "payload": None},
    ]
    [first, second] = qdrant_points(points)
    assert first[2] is not None
    assert (first[0], first[1], first[2].tolist()) == ("a", {}, [[1, 2]])
    assert second == ("b", {}, None)


@pytest.mark.parametrize(
    ("vector", "name", "message"),
    [
        ({"colbert": [[1]], "dense": [1]}, "", "point 7 has named vectors: colbert, dense"),
        ({"dense": [1.0]}, "dense", "the vector of point 7 is no list of vectors"),
        ([1.0, 2.0], "", "the vector of point 7 is no list of vectors"),
    ],
)
def test_other_vectors_of_qdrant(vector: Any, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(qdrant_points([{"id": 7, "vector": vector}], name))


def test_a_qdrant_point_without_the_named_vector() -> None:
    assert list(qdrant_points([{"id": 7, "vector": {}}], "colbert")) == [(7, {}, None)]


@pytest.mark.parametrize("name", ["vespa.jsonl", "vespa-long.jsonl"])
def test_vespa_documents(name: str) -> None:
    documents = list(vespa_documents(lines(name)))
    assert [number for number, _ in documents][:2] == ["id:wiki:passage::1", "id:wiki:passage::2"]
    assert documents[2][1]["text"] == "A violin has four strings."
    assert equal([vespa_tensor(fields["colbert"]) for _, fields in documents], TOKENS)


def test_vespa_responses() -> None:
    page = {"pathId": "/document/v1/", "documents": [{"id": "a", "fields": {"n": 1}}, {"id": "b"}]}
    found = list(vespa_documents([page, {"remove": "id:wiki:passage::9"}]))
    assert found == [("a", {"n": 1}), ("b", {})]


def block(label: str, values: Any) -> dict[str, Any]:
    return {"address": {"token": label}, "values": values}


@pytest.mark.parametrize(
    "value",
    [
        {"0": [1, 2], "1": [-3, 0.5]},
        {"blocks": {"0": [1, 2], "1": [-3, 0.5]}},
        {"type": TYPE, "blocks": {"1": [-3, 0.5], "0": [1, 2]}},
        {"type": "tensor<float>(token{}, x[2])", "blocks": {"0": [1, 2], "1": [-3, 0.5]}},
        {"cells": {"0": [1, 2], "1": [-3, 0.5]}},
        {"blocks": [block("0", [1, 2]), block("1", [-3, 0.5])]},
        {"type": TYPE, "blocks": {"0": "3F80000040000000", "1": "C04000003f000000"}},
        {"type": "tensor<bfloat16>(token{},x[2])", "blocks": {"0": "3F804000", "1": "C0403F00"}},
        {
            "type": "tensor(token{},x[2])",
            "blocks": {"0": [1, 2], "1": "c0080000000000003fe" + 13 * "0"},
        },
        {"type": TYPE, "cells": MAKE["cells"]([[1, 2], [-3, 0.5]])},
    ],
)
def test_forms_of_vespa_tensors(value: Any) -> None:
    tokens = vespa_tensor(value)
    assert tokens is not None
    assert tokens.tolist() == [[1, 2], [-3, 0.5]]


def test_a_type_beside_the_value() -> None:
    cells = MAKE["cells"]([[1, 2]])
    for value, kind in ((cells, TYPE), ({"a": "01fe"}, "tensor<int8>(t{},x[2])")):
        tokens = vespa_tensor(value, kind)
        assert tokens is not None
        assert tokens.tolist() in ([[1, 2]], [[1, -2]])


def test_labels_of_tokens() -> None:
    """Numbers sort as numbers; words stay in their order."""
    for labels, order in (("10", "9", "2"), [2, 9, 10]), (("b", "a"), [0, 1]):
        tokens = vespa_tensor({label: [place] for place, label in enumerate(labels)})
        assert tokens is not None
        expected = [labels.index(str(n)) for n in order] if "10" in labels else order
        assert tokens[:, 0].tolist() == expected


@pytest.mark.parametrize("value", [{}, [], {"blocks": {}}, {"type": TYPE, "cells": []}])
def test_empty_tensors(value: Any) -> None:
    assert vespa_tensor(value) is None


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ([1.0, 2.0], "", "expected a tensor: an object, or a list"),
        ("0102", "", "expected a tensor: an object, or a list"),
        ({"a": [1, 2], "b": [1]}, "", "different lengths"),
        ({"a": [1, 2, 3]}, TYPE, "expected 2 numbers"),
        ({"a": [[1, 2]]}, "", "expected some numbers"),
        ({"a": "0102"}, "", "hexadecimal digits need the type"),
        ({"a": "010"}, TYPE, "non-hexadecimal|even number"),  # before Python 3.14, and since
        ({"a": "01020304"}, TYPE, "expected 2 numbers"),
        ({"a": [1]}, "tensor(x[2])", "expected one mapped and one indexed dimension"),
        ({"a": [1]}, "tensor(a{},b{},x[2])", "expected one mapped and one indexed dimension"),
        ({"a": [1]}, "vector", "expected one mapped and one indexed dimension"),
        (MAKE["cells"]([[1, 2]]), "", "single cells need the type"),
        (MAKE["cells"]([[1, 2, 3]]), TYPE, "expected a place below 2"),
        ([{"address": {"a": "0", "b": "0"}, "values": [1]}], "", "an address of one label"),
        ([block("0", [1, 2])], "tensor(other{},x[2])", "an address of one label"),
    ],
)
def test_other_tensors(value: Any, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vespa_tensor(value, kind)
