"""Slices against scipy, against the written pixel formula, and at every edge."""

import nibabel as nib
import numpy as np
import pytest
from data import shared_data
from scipy.ndimage import map_coordinates

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import render, render_grid, render_labels
from napari_mrissl.volumes import Volume

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "f2"]


def random_pose(volume, rng, fov=None):
    reach = volume.extent.max()
    normal, up = rng.normal(size=(2, 3))
    center = volume.center + rng.uniform(-0.1, 0.1, 3) * reach
    return Pose.from_normal_up(center, normal, up, fov or rng.uniform(0.4, 1.2) * reach)


def pixel_places(pose, size):
    """World mm (N, N, 3) of the pixels, by the formula of the command line's help."""
    i, j = np.mgrid[:size, :size][..., None]
    right = ((j + 0.5) / size - 0.5) * pose.fov * pose.right
    return pose.center + right - ((i + 0.5) / size - 0.5) * pose.fov * pose.up


def by_scipy(volume, places, order):
    """Values, validity and interior by scipy in float64, from world places."""
    to_index = np.linalg.inv(volume.affine)
    index = places @ to_index[:3, :3].T + to_index[:3, 3]
    ends = np.array(volume.shape) - 1
    valid = ((index >= -0.5) & (index <= ends + 0.5)).all(-1)
    data = volume.slope * volume.data.astype(np.float64) + volume.intercept
    values = map_coordinates(data, np.moveaxis(index, -1, 0), order=order, mode="nearest")
    return np.where(valid, values, 0), valid, ((index >= 0) & (index <= ends)).all(-1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_is_what_scipy_says(dtype, way, volume_of):
    volume = volume_of(dtype, slope=0.5, intercept=-3.0) if dtype != "f2" else volume_of(dtype)
    rng = np.random.default_rng(1)
    spread = np.ptp(volume.data.astype(np.float64)) * volume.slope
    for _ in range(4):
        pose = random_pose(volume, rng)
        expected, valid, _ = by_scipy(volume, pixel_places(pose, 33), 1)
        found = render(volume, pose, 33)
        assert found.values.dtype == np.float32
        np.testing.assert_array_equal(found.valid, valid)
        assert np.abs(found.values - expected).max() < 1e-6 * spread


@pytest.mark.parametrize("dtype", DTYPES)
def test_nearest_takes_whole_voxels(dtype, way, volume_of):
    volume = volume_of(dtype)
    rng = np.random.default_rng(2)
    for _ in range(3):
        pose = random_pose(volume, rng)
        expected, valid, _ = by_scipy(volume, pixel_places(pose, 31), 0)
        found = render(volume, pose, 31, "nearest")
        np.testing.assert_array_equal(found.valid, valid)
        np.testing.assert_array_equal(found.values, expected.astype(np.float32))


def real_scan(name):
    if name == "mni":
        from nilearn.datasets import load_mni152_template

        image = load_mni152_template(2)
    else:
        image = nib.load(sorted(shared_data(name).rglob("*[!s].nii.gz"))[-1])
    return Volume.from_stored(np.asanyarray(image.dataobj), image.affine)


@pytest.mark.parametrize("name", ["mni", "hippocampus/images", "body", "brain"])
def test_interior_of_real_scans_agrees_with_scipy(name, way):
    volume = real_scan(name)
    rng = np.random.default_rng(3)
    spread = np.ptp(volume.data.astype(np.float64))
    seen = 0
    for _ in range(8):
        pose = random_pose(volume, rng)
        expected, _, interior = by_scipy(volume, pixel_places(pose, 48), 1)
        found = render(volume, pose, 48)
        assert found.valid[interior].all()
        difference = np.abs(found.values - expected)[interior]
        assert difference.max(initial=0) < 1e-4 * spread
        seen += interior.sum()
    assert seen > 2000


def test_many_poses_are_each_pose_alone(way, volume_of):
    volume = volume_of("i2")
    rng = np.random.default_rng(4)
    poses = [random_pose(volume, rng) for _ in range(5)]
    together = render(volume, poses, 150)
    assert together.values.shape == together.valid.shape == (5, 150, 150)
    for pose, values, valid in zip(poses, *together, strict=True):
        alone = render(volume, pose, 150)
        np.testing.assert_array_equal(alone.values, values)
        np.testing.assert_array_equal(alone.valid, valid)
    none = render(volume, [], 8)
    assert none.values.shape == (0, 8, 8)


def test_a_stack_of_planes_is_a_grid(way, volume_of):
    volume = volume_of("f4")
    pose = random_pose(volume, np.random.default_rng(5))
    affine = pose.grid(20)
    stack = render_grid(volume, affine, (4, 20, 24))
    k, i, j = np.mgrid[:4, :20, :24]
    places = np.stack([k, i, j], -1) @ affine[:3, :3].T + affine[:3, 3]
    expected, valid, _ = by_scipy(volume, places, 1)
    np.testing.assert_array_equal(stack.valid, valid)
    np.testing.assert_allclose(stack.values, expected, atol=1e-3)


def test_voxel_centres_give_voxels_back(way, volume_of):
    volume = volume_of("i2")
    found = render_grid(volume, volume.affine, volume.shape)
    np.testing.assert_allclose(found.values, volume.data, atol=0.05)
    assert found.valid.all()
    found = render_grid(volume, volume.affine, volume.shape, "nearest")
    np.testing.assert_array_equal(found.values, volume.data)


@pytest.mark.parametrize("beyond", [0.0, 0.4, 0.49])
def test_half_a_voxel_beyond_the_centres_is_inside_and_clamped(beyond, way, volume_of):
    volume = volume_of("u1", (5, 6, 7), np.eye(4))
    shape = np.array(volume.shape)
    shift = volume.affine.copy()
    shift[:3, 3] -= volume.affine[:3, :3] @ np.full(3, beyond)
    low = render_grid(volume, shift, (1, 1, 1))
    assert low.valid.all()
    assert low.values[0, 0, 0] == volume.data[0, 0, 0]
    shift[:3, 3] = volume.affine[:3, 3] + volume.affine[:3, :3] @ (shape - 1 + beyond)
    high = render_grid(volume, shift, (1, 1, 1))
    assert high.valid.all()
    assert high.values[0, 0, 0] == volume.data[-1, -1, -1]


@pytest.mark.parametrize("beyond", [0.51, 0.9, 3.0, 1e6])
def test_further_out_is_outside_and_zero(beyond, way, volume_of):
    volume = volume_of("i2", (5, 6, 7), np.eye(4), intercept=7.0)
    for interpolation in ("linear", "nearest"):
        for axis in range(3):
            for place in (-beyond, volume.shape[axis] - 1 + beyond):
                index = np.zeros(3)
                index[axis] = place
                affine = volume.affine.copy()
                affine[:3, 3] = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
                found = render_grid(volume, affine, (1, 1, 1), interpolation)
                assert not found.valid.any()
                assert found.values[0, 0, 0] == 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 8), (7, 1, 8), (7, 9, 1), (2, 2, 2)])
def test_thin_volumes(shape, way, volume_of):
    volume = volume_of("f4", shape)
    rng = np.random.default_rng(6)
    for _ in range(5):
        pose = random_pose(volume, rng, fov=12.0)
        expected, valid, _ = by_scipy(volume, pixel_places(pose, 41), 1)
        found = render(volume, pose, 41)
        np.testing.assert_array_equal(found.valid, valid)
        np.testing.assert_allclose(found.values, expected, atol=1e-3)


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_values_beyond_single_precision_are_infinite(way, interpolation, dtype):
    voxels = np.zeros((4, 4, 4), dtype)
    voxels[2] = 2
    volume = Volume.from_stored(voxels, np.eye(4), slope=-3e38)
    found = render_grid(volume, volume.affine, volume.shape, interpolation)
    assert found.valid.all()
    assert np.isneginf(found.values[volume.data == 2]).all()
    assert (found.values[volume.data == 0] == 0).all()


def test_nan_voxels_show_where_they_are(way):
    voxels = np.ones((6, 6, 6), np.float32)
    voxels[3, 3, 3] = np.nan
    volume = Volume.from_stored(voxels, np.eye(4))
    fine = np.diag([0.25, 0.25, 0.25, 1])
    found = render_grid(volume, fine, (21, 21, 21))
    assert found.valid.all()
    where = np.argwhere(np.isnan(found.values)) / 4
    assert where.min() > 2 - 1e-9
    assert where.max() < 4
    assert np.isnan(found.values[12, 12, 12])
    assert np.isnan(render_grid(volume, fine, (21, 21, 21), "nearest").values).sum() < 5**3


def test_values_are_scaled_after_interpolation(way):
    voxels = np.array([0, 30000], np.int16).reshape(1, 1, 2)
    volume = Volume.from_stored(voxels, np.diag([1, 1, 2.0, 1]), slope=-0.25, intercept=1000.0)
    affine = np.diag([0.5, 1, 1, 1])[[2, 1, 0, 3]]
    found = render_grid(volume, affine, (5, 1, 1))
    np.testing.assert_allclose(found.values.ravel(), 1000 - 0.25 * 7500 * np.arange(5), rtol=1e-6)


@pytest.mark.parametrize("many_rows", [1, 300])
def test_labels_are_nearest_in_their_own_type(many_rows, way, volume_of):
    rng = np.random.default_rng(7)
    volume = volume_of("u1")
    for dtype in ("u1", "i1", "u2", "i4", "u8", "i8", "?"):
        labels = rng.integers(0, 2 if dtype == "?" else 100, volume.shape).astype(dtype)
        pose = random_pose(volume, rng)
        shape = (1, 300, many_rows)
        affine = pose.grid(300)
        k, i, j = np.mgrid[: shape[0], : shape[1], : shape[2]]
        places = np.stack([k, i, j], -1) @ affine[:3, :3].T + affine[:3, 3]
        shown = Volume(labels, volume.affine, volume.stored)
        expected, valid, _ = by_scipy(shown, places, 0)
        found = render_labels(labels, volume.affine, affine, shape)
        assert found.dtype == labels.dtype
        np.testing.assert_array_equal(found, np.where(valid, expected, 0).astype(dtype))


@pytest.mark.parametrize("layout", ["fortran", "flipped", "strided", "swapped", "readonly"])
def test_labels_in_any_memory_layout(layout, way):
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 1000, (8, 10, 12)).astype(np.int32)
    if layout == "fortran":
        labels = np.asfortranarray(labels)
    elif layout == "flipped":
        labels = labels[::-1, :, ::-1].transpose(2, 0, 1)
    elif layout == "strided":
        labels = labels[::2, 1:, ::3]
    elif layout == "swapped":
        labels = labels.astype(">i4")
    else:
        labels.flags.writeable = False
    found = render_labels(labels, np.eye(4), np.eye(4), labels.shape)
    np.testing.assert_array_equal(found, labels)


def test_given_arrays_are_filled(way, volume_of):
    volume = volume_of("i2")
    pose = random_pose(volume, np.random.default_rng(9))
    fresh = render(volume, pose, 24)
    out, mask = np.full((24, 24), 9, np.float32), np.ones((24, 24), bool)
    filled = render(volume, pose, 24, out=out, valid_out=mask)
    assert np.shares_memory(filled.values, out)
    assert np.shares_memory(filled.valid, mask)
    np.testing.assert_array_equal(out, fresh.values)
    np.testing.assert_array_equal(mask, fresh.valid)
    stack = np.empty((2, 24, 24), np.float32)
    render(volume, [pose, pose], 24, out=stack)
    np.testing.assert_array_equal(stack[1], fresh.values)


def test_slices_are_an_array_of_their_values(volume_of):
    volume = volume_of("i2")
    slices = render(volume, random_pose(volume, np.random.default_rng(10)), 16)
    assert np.asarray(slices).shape == (16, 16)
    np.testing.assert_array_equal(np.asarray(slices), slices.values)
    assert np.asarray(slices, np.float64).dtype == np.float64
    values, valid = slices
    assert values.dtype == np.float32
    assert valid.dtype == bool


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"size": 0}, "size"),
        ({"size": 3.0}, "size"),
        ({"size": True}, "size"),
        ({"interpolation": "cubic"}, "interpolation"),
        ({"out": np.empty((8, 8))}, "out"),
        ({"out": np.empty((8, 9), np.float32)}, "out"),
        ({"out": np.empty((8, 16), np.float32)[:, ::2]}, "out"),
        ({"out": [[0.0] * 8] * 8}, "out"),
        ({"valid_out": np.empty((8, 8), np.uint8)}, "valid_out"),
    ],
)
def test_unusable_arguments_are_named(arguments, word, volume_of):
    volume = volume_of("i2")
    pose = random_pose(volume, np.random.default_rng(11))
    with pytest.raises(MrisslError, match=word):
        render(volume, pose, **({"size": 8} | arguments))


@pytest.mark.parametrize(
    ("labels", "shape"),
    [
        (np.zeros((2, 2)), (1, 1, 1)),
        (np.zeros((2, 2, 2)), (1, 1, 1)),
        (np.zeros((2, 0, 2), int), (1, 1, 1)),
        (np.zeros((2, 2, 2), int), (1, 1)),
        (np.zeros((2, 2, 2), int), (1, 1, -1)),
    ],
)
def test_unusable_labels_and_grids_are_named(labels, shape):
    with pytest.raises(MrisslError):
        render_labels(labels, np.eye(4), np.eye(4), shape)


def test_singular_grid_is_refused(volume_of):
    with pytest.raises(MrisslError, match="singular"):
        render_grid(volume_of("i2"), np.diag([1.0, 0, 1, 1]), (1, 2, 2))


@pytest.mark.parametrize("far", [1e10, 1e300, 1e308])
def test_planes_out_of_reach_are_refused(far, way, volume_of):
    volume = volume_of("i2")
    with pytest.raises(MrisslError, match="too far"):
        render(volume, Pose(np.array([far, 0, 0]), np.eye(3), 100.0), 8)
    with pytest.raises(MrisslError, match="too far"):
        render(volume, Pose(volume.center, np.eye(3), far), 8)
    assert render(volume, Pose(volume.center, np.eye(3), 1e-300), 8).valid.all()
