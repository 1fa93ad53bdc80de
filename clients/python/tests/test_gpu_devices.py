"""The operations of each device against plain numpy in double precision."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from devices import NAMES

from colbert_pg.gpu import devices
from colbert_pg.gpu.devices import Device, NumpyDevice, make_device, make_devices

RNG = np.random.default_rng(5)


@pytest.fixture(params=NAMES)
def device(request: pytest.FixtureRequest) -> Device:
    """Return a device that works in many small blocks."""
    made = make_device(request.param)
    made.max_products = 100
    return made


def normal(*shape: int) -> npt.NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_nearest(device: Device, dtype: Any) -> None:
    points, centroids = normal(60, 7).astype(dtype), normal(9, 7)
    keys = points.astype(float) @ centroids.T - (centroids.astype(float) ** 2).sum(1) / 2
    found, best = device.nearest(device.put(points), centroids)
    assert (found == keys.argmax(1)).all()
    assert best == pytest.approx(keys.max(1), abs=1e-5)
    few, values = device.nearest_few(device.put(points), centroids, 4)
    assert (few == np.argsort(-keys, axis=1)[:, :4]).all()
    assert values == pytest.approx(-np.sort(-keys, axis=1)[:, :4], abs=1e-5)
    assert device.nearest_few(device.put(points), centroids[:2], 4)[0].shape == (60, 2)


def test_sums(device: Device) -> None:
    points, owner = normal(60, 7).astype(np.float16), RNG.integers(0, 5, 60) * 2
    expected = np.zeros((11, 7))
    np.add.at(expected, owner, points.astype(float))
    assert device.sums(device.put(points), owner, 11) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("ntokens", [3, 70])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
def test_maxima(device: Device, dtype: Any, ntokens: int) -> None:
    rows, tokens = (10 * normal(40, 6)).astype(dtype), normal(ntokens, 6)
    factors, addends = normal(40), normal(40)
    starts = np.array([0, 1, 5, 39])
    keys = rows.astype(float) @ tokens.T
    query = device.query(tokens)
    for extra in (False, True):
        if extra:
            keys = keys * factors[:, np.newaxis] + addends[:, np.newaxis]
        found = device.maxima(
            device.put(rows),
            query,
            starts,
            device.put(factors) if extra else None,
            device.put(addends) if extra else None,
        )
        expected = np.maximum.reduceat(keys, starts, axis=0)
        assert device.get(found) == pytest.approx(expected, abs=1e-3 if dtype == np.int8 else 1e-4)


def test_fold(device: Device) -> None:
    """Padding counts nothing, and L2 is minus the sum of distances."""
    maxima = normal(5, 6)
    weights = np.array([[1, 1, 0], [1, 0, 0]], np.float32)
    terms = maxima.reshape(5, 2, 3).astype(float)
    found = device.fold(device.put(maxima), weights, None)
    assert device.get(found) == pytest.approx((terms * weights).sum(2), abs=1e-5)
    squares = np.full((2, 3), 1.5, np.float32)
    found = device.fold(device.put(maxima), weights, squares)
    distances = np.sqrt(np.maximum(1.5 - 2 * terms, 0))
    assert device.get(found) == pytest.approx(-(distances * weights).sum(2), abs=1e-5)


def test_best_has_all_that_tie(device: Device) -> None:
    scores = np.array([[1, 0], [3, 0], [3, 0], [2, 0], [5, 0]], np.float32)
    query, document, score = device.best(device.put(scores), 2)
    assert list(zip(query, document, score, strict=True)) == [
        (0, 1, 3), (0, 2, 3), (0, 4, 5), (1, 0, 0), (1, 1, 0), (1, 2, 0), (1, 3, 0), (1, 4, 0)
    ]  # fmt: skip
    assert len(device.best(device.put(scores), 9)[0]) == 10
    joined = device.join([device.put(scores[:2]), device.put(scores[2:])])
    assert (device.get(joined) == scores).all()


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_device("numpy"), NumpyDevice)
    assert [device.name for device in make_devices("cuda", ["numpy", "numpy"])] == ["numpy"] * 2
    with pytest.raises(ValueError, match="at least one device"):
        make_devices("numpy", [])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert make_device("cpu").name == "numpy"
    with pytest.raises(ImportError, match=r"device 'cuda' needs torch: pip install 'colbert-pg"):
        make_device("cuda")


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands report errors of this class, and torch has another one."""

    def fail(_name: str) -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(devices, "TorchDevice", fail)
    with pytest.raises(RuntimeError, match="torch cannot use device 'cuda': Torch not compiled"):
        make_device("cuda")
