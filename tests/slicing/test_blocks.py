"""Blocked volumes: every voxel has its place, and slices are those of the volume."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import BlockedVolume, kernels, render, render_grid
from napari_mrissl.slicing.gather import number_type


def poses_of(volume, count=5):
    rng = np.random.default_rng(0)
    reach = volume.extent.max()
    return [
        Pose.from_normal_up(
            volume.center + rng.uniform(-0.1, 0.1, 3) * reach,
            *rng.normal(size=(2, 3)),
            rng.uniform(0.3, 1.2) * reach,
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("shape", [(21, 18, 25), (16, 32, 48), (1, 5, 17), (3, 1, 1)])
def test_every_voxel_has_its_own_place(shape, volume_of):
    volume = volume_of("i2", shape)
    blocked = BlockedVolume.of(volume)
    s, a, r = blocked.places
    places = s[:, None, None] + a[:, None] + r
    assert len(np.unique(places)) == volume.data.size
    np.testing.assert_array_equal(blocked.flat[places], volume.data)
    assert blocked.flat.dtype == volume.data.dtype
    assert not blocked.flat.flags.writeable


def test_small_blocks_are_runs_of_memory(volume_of):
    s, a, r = BlockedVolume.of(volume_of("u1", (32, 32, 32), np.eye(4))).places
    places = (s[:, None, None] + a[:, None] + r)[16:20, 4:8, 8:12]
    np.testing.assert_array_equal(np.sort(places.ravel()) - places.min(), np.arange(64))


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", "f2"])
def test_slices_are_those_of_the_volume(dtype, way, volume_of):
    volume = volume_of(dtype, **({} if dtype == "f2" else {"slope": 0.5, "intercept": 3.0}))
    blocked = BlockedVolume.of(volume)
    poses = poses_of(volume)
    for interpolation in ("linear", "nearest"):
        expected = render(volume, poses, 40, interpolation)
        found = render(blocked, poses, 40, interpolation)
        np.testing.assert_array_equal(found.valid, expected.valid)
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
    grid = poses[0].grid(12)
    expected = render_grid(volume, grid, (12, 12, 12))
    np.testing.assert_allclose(
        render_grid(blocked, grid, (12, 12, 12)).values, expected.values, rtol=1e-6
    )
    with pytest.raises(MrisslError, match="interpolation"):
        render(blocked, poses, 40, "cubic")


@pytest.mark.parametrize("shape", [(9, 10, 11), (1, 6, 7), (2, 2, 2)])
def test_the_kernel_as_plain_python(shape, monkeypatch, volume_of):
    for name, kernel in vars(kernels).copy().items():
        if hasattr(kernel, "py_func"):
            monkeypatch.setattr(kernels, name, kernel.py_func)
    volume = volume_of("i2", shape, np.eye(4))
    blocked = BlockedVolume.of(volume)
    rng = np.random.default_rng(1)
    planes = rng.normal(scale=0.7, size=(4, 3, 3))
    planes[:, 0] += (np.array(volume.shape) - 1) / 2 - 5.5 * planes[:, 1:].sum(1)
    values, valid = np.empty((4, 12, 12), np.float32), np.empty((4, 12, 12), bool)
    one, zero = number_type(volume.data.dtype)(1), number_type(volume.data.dtype)(0)
    arguments = (planes, one, zero, values, valid, 0, 48)
    kernels.blocked(blocked.flat, blocked.places, volume.shape, *arguments)
    expected, inside = values.copy(), valid.copy()
    strides = tuple(step // 2 for step in volume.data.strides)
    kernels.linear(volume.data.reshape(-1), 0, strides, volume.shape, *arguments)
    np.testing.assert_array_equal(valid, inside)
    np.testing.assert_array_equal(values, expected)
