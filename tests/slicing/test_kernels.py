"""The kernels as plain Python, against the numpy way, and their cuts of a row in detail."""

import numpy as np
import pytest

from napari_mrissl.slicing import gather, kernels
from napari_mrissl.slicing.voxels import Voxels


@pytest.fixture(autouse=True)
def without_compiler(monkeypatch):
    """Every kernel of the module, also when called by another, is its Python source."""
    for name, kernel in vars(kernels).copy().items():
        if hasattr(kernel, "py_func"):
            monkeypatch.setattr(kernels, name, kernel.py_func)


def planes_through(shape, count, rng, spread=1.0):
    """Random planes (K, 3, 3) in voxels near the middle of an array."""
    planes = rng.normal(scale=spread, size=(count, 3, 3))
    planes[:, 0] += (np.array(shape) - 1) / 2 - 5.5 * planes[:, 1:].sum(1)
    return planes


@pytest.mark.parametrize("shape", [(9, 10, 11), (1, 6, 7), (2, 2, 2), (30, 3, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_every_way_gives_the_same_slices(shape, dtype):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 200, shape).astype(dtype)
    for view in (array, array[::-1].transpose(2, 0, 1)):
        voxels = Voxels.of(view)
        planes = planes_through(view.shape, 6, rng, 0.7)
        size = (len(planes), 12, 12)
        number = gather.number_type(voxels.flat.dtype)
        for kernel, by_numpy in (
            (kernels.linear, gather.gather_linear),
            (kernels.nearest, gather.gather_nearest),
        ):
            values, valid = np.full(size, 7, np.float32), np.ones(size, bool)
            kernel(*voxels, planes, number(2), number(-1), values, valid, 0, 72)
            expected, inside = np.empty(size, np.float32), np.empty(size, bool)
            by_numpy(voxels, planes, 2.0, -1.0, expected, inside)
            np.testing.assert_array_equal(valid, inside)
            np.testing.assert_allclose(values, expected, atol=2e-3)
        if voxels.flat.dtype.kind in "iu":
            found, expected = np.full(size, 3, dtype), np.empty(size, dtype)
            kernels.labels(*voxels, planes, found, 0, 72)
            gather.gather_labels(voxels, planes, expected)
            np.testing.assert_array_equal(found, expected)


def test_rows_outside_the_asked_ones_are_left_alone():
    voxels = Voxels.of(np.ones((8, 8, 8), np.uint8))
    values, valid = np.full((2, 4, 4), 7, np.float32), np.zeros((2, 4, 4), bool)
    planes = np.array([[[2, 2, 2], [0, 1, 0], [0, 0, 1]]] * 2, np.float64)
    one, zero = np.float32(1), np.float32(0)
    kernels.linear(*voxels, planes, one, zero, values, valid, 3, 6)
    np.testing.assert_array_equal(valid.reshape(8, 4).any(1), [0, 0, 0, 1, 1, 1, 0, 0])
    assert (values.reshape(8, 4)[[0, 1, 2, 6, 7]] == 7).all()


def test_cuts_of_a_row_are_those_of_a_search():
    rng = np.random.default_rng(1)
    shape, count = (6, 7, 9), 40
    ends = np.array(shape) - 1
    for _ in range(400):
        origin = tuple(rng.uniform(-8, 14, 3))
        step = tuple(rng.choice([0.0, 1.0, -1.0, 1e-3, 1e-300]) * rng.normal(size=3))
        points = np.array(origin) + np.arange(count)[:, None] * np.array(step)
        inside = ((points >= -0.5 - 1e-6) & (points <= ends + 0.5 + 1e-6)).all(1)
        first, last = kernels.inside_columns(origin, step, shape, count)
        assert 0 <= first <= last <= count
        np.testing.assert_array_equal(np.flatnonzero(inside), np.arange(first, last))
        start, stop = kernels.interior_columns(origin, step, shape, first, last)
        assert first <= start <= stop <= last
        chosen = points[start:stop]
        assert ((chosen > 0) & (chosen < ends)).all()
        interior = ((points > 1e-5) & (points < ends - 1e-5)).all(1).sum()
        assert stop - start >= interior - 4


def test_wide_voxels_are_interpolated_in_float64():
    assert kernels.number(np.int16(3)).dtype == np.float32
    assert kernels.number(np.float32(3)).dtype == np.float32
    assert kernels.number(np.int32(3)).dtype == np.float64
    assert kernels.number(np.float64(3)).dtype == np.float64
