"""Volumes and labels as layers of ours: what they are made of, and what comes back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.layers import (
    add_labels,
    add_volume,
    convention_of,
    edge_letters,
    image_layer,
    labels_array,
    orient_camera,
    set_labels,
    show_view,
    to_napari,
    to_world,
    volume_of,
)
from napari_mrissl.volumes.volume import Volume


def orientation(viewer) -> tuple[str, ...]:
    return tuple(str(o) for o in viewer.scene.camera.orientation)


def test_world_order_is_reversed_ras():
    points = np.random.default_rng(1).normal(size=(4, 5, 3))
    assert np.array_equal(to_napari(points)[..., 0], points[..., 2])
    assert np.array_equal(to_world(to_napari(points)), points)


def test_an_aligned_volume_is_shown_without_a_copy_in_mm(make_geometry, marker_volume):
    volume = marker_volume(make_geometry((2, 0, 1), (-1, 1, -1), "anisotropic"))
    layer = add_volume(ViewerModel(), volume)
    assert layer.data is volume.data
    assert [str(u) for u in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("S", "A", "R")
    index = np.array([3.0, 20.0, 31.0])
    world = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
    assert np.allclose(layer.data_to_world(index), to_napari(world), atol=1e-9)
    assert volume_of(layer) is volume


@pytest.mark.parametrize(
    "key",
    [
        (slice(9, 10), slice(None), slice(None)),
        (slice(None), 7, slice(None)),
        (Ellipsis, 3),
        (slice(20, 4, -3), slice(1, None, 2), -2),
        (4, 5, 6),
        2,
        (np.array([1, 5, 5]), np.array([2, 0, 9]), np.array([-1, 3, 4])),
        slice(5, 5),
    ],
)
def test_a_lazy_array_indexes_like_its_numpy_array(key, make_geometry, wave_volume):
    layer = add_volume(ViewerModel(), wave_volume(make_geometry(degrees=10.0)))
    whole = np.array(layer.data)
    assert whole.shape == layer.data.shape
    assert np.allclose(layer.data[key], whole[key], atol=1e-5)


def test_a_lazy_array_refuses_what_numpy_refuses(make_geometry, wave_volume):
    data = add_volume(ViewerModel(), wave_volume(make_geometry(degrees=10.0))).data
    for key in (10_000, (0, 0, 0, 0), (None, 0), (np.array([10_000]), 0, 0)):
        with pytest.raises(IndexError):
            data[key]
    mask = np.zeros(data.shape, bool)
    mask[3, 4, 5:7] = True
    assert np.allclose(data[mask], np.array(data)[mask])


def test_a_lazy_array_knows_its_size_and_converts(make_geometry, wave_volume):
    data = add_volume(ViewerModel(), wave_volume(make_geometry(degrees=10.0))).data
    assert len(data) == data.shape[0]
    assert data.nbytes == 4 * data.size == np.asarray(data).nbytes
    assert data.astype(np.int16).dtype == np.int16
    assert np.asarray(data, np.float64).dtype == np.float64
    assert np.max(data) == np.asarray(data).max()


def test_the_grid_of_an_oblique_scan_covers_it_and_stays_bounded(make_geometry, marker_volume):
    from napari_mrissl.ui.layers.lazy import WorldGrid

    volume = marker_volume(make_geometry(spacing="anisotropic", degrees=17.0))
    grid = WorldGrid.around(volume)
    assert grid.step == pytest.approx(0.5)
    corners = np.array(np.meshgrid(*([-0.5, n - 0.5] for n in volume.shape))).reshape(3, -1).T
    corners = corners @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    cells = np.linalg.inv(grid.affine) @ np.c_[corners, np.ones(8)].T
    assert (cells[:3] >= -0.5 - 1e-6).all()
    assert (cells[:3].max(axis=1) <= np.array(grid.shape) - 0.5 + 1e-6).all()
    small = WorldGrid.around(volume, max_cells=50_000)
    assert np.prod(small.shape) <= 50_000


def test_outside_of_an_oblique_scan_is_its_lowest_value(make_geometry):
    geometry = make_geometry(degrees=17.0)
    voxels = np.full(geometry.shape, 7, np.int16)
    voxels[:2] = -1000
    layer = add_volume(ViewerModel(), Volume.from_stored(voxels, geometry.affine))
    assert layer.data[0, 0, 0] == -1000


@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_other_data_put_into_a_layer_are_its_volume(degrees, make_geometry, marker_volume):
    geometry = make_geometry(degrees=degrees)
    layer = add_volume(ViewerModel(), marker_volume(geometry))
    other = Volume.from_stored(np.full(geometry.shape, 7, np.float32), geometry.affine)
    layer.data = image_layer(other)[0]
    found = volume_of(layer)
    np.testing.assert_array_equal(found.data, other.data)
    np.testing.assert_allclose(found.affine, other.affine, atol=1e-9)


@pytest.mark.parametrize("degrees", [0.0, 17.0])
@pytest.mark.parametrize("spacing", ["isotropic", "anisotropic"])
def test_painting_reaches_the_scans_own_voxels_and_is_undone(
    degrees, spacing, make_geometry, marker_volume, no_warnings
):
    volume = marker_volume(make_geometry((1, 2, 0), (1, -1, 1), spacing, degrees))
    truth = np.zeros(volume.shape, np.uint8)
    truth[: volume.shape[0] // 3] = 4
    viewer = ViewerModel()
    with no_warnings():
        layer = add_labels(viewer, volume, truth, "painted")
        assert labels_array(layer) is truth
        states = [truth.copy()]
        middle = tuple(n // 2 for n in layer.data.shape)
        layer.brush_size = 7
        layer.paint(middle, 2)
        states.append(truth.copy())
        world = to_world(layer.data_to_world(middle))
        index = np.round(volume.to_index[:3, :3] @ world + volume.to_index[:3, 3]).astype(int)
        assert truth[tuple(index)] == 2
        layer.paint((middle[0], middle[1] + 4, middle[2]), 3)
        states.append(truth.copy())
        layer.paint(middle, 0)
        states.append(truth.copy())
        layer.fill((middle[0], 2 + middle[1] // 4, middle[2]), 9)
        states.append(truth.copy())
        layer.n_edit_dimensions = 3
        layer.paint(middle, 5)
        states.append(truth.copy())
        layer.data_setitem(tuple(np.array([[m, m + 1] for m in middle]).reshape(3, 2)), 6)
        states.append(truth.copy())
        for before, after in itertools.pairwise(states):
            assert not np.array_equal(before, after)
        for state in reversed(states[:-1]):
            layer.undo()
            assert np.array_equal(truth, state)
        for state in states[1:]:
            layer.redo()
            assert np.array_equal(truth, state)


def test_what_is_painted_is_shown_as_its_voxels_have_it(make_geometry, marker_volume):
    viewer = ViewerModel()
    volume = marker_volume(make_geometry(spacing="anisotropic", degrees=17.0))
    layer = add_labels(viewer, volume, np.zeros(volume.shape, np.uint8), "painted")
    middle = tuple(n // 2 for n in layer.data.shape)
    viewer.dims.point = layer.data_to_world(middle)
    layer.brush_size = 5
    layer.paint(middle, 2)
    plane = layer.data[middle[0]]
    assert (plane == 2).sum() > 21
    for row, column in np.argwhere(plane == 2)[::7]:
        place = layer.data_to_world((middle[0], row, column))
        assert layer.get_value(place, world=True) == 2


def test_labels_outside_the_scan_are_not_written(make_geometry, marker_volume):
    volume = marker_volume(make_geometry(degrees=17.0))
    layer = add_labels(ViewerModel(), volume, np.zeros(volume.shape, np.int32), "painted")
    layer.data[0, 0, 0] = 3
    assert not labels_array(layer).any()


@pytest.mark.parametrize("spacing", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("degrees", [1.0, 17.0, 45.0])
def test_painting_everything_leaves_no_hole(spacing, degrees, make_geometry, marker_volume):
    volume = marker_volume(make_geometry(spacing=spacing, degrees=degrees))
    layer = add_labels(ViewerModel(), volume, np.zeros(volume.shape, np.uint8), "painted")
    layer.data[...] = 3
    assert (labels_array(layer) == 3).all()


def test_set_labels_replaces_and_checks_the_grid(make_geometry, marker_volume):
    viewer = ViewerModel()
    for degrees in (0.0, 17.0):
        volume = marker_volume(make_geometry(degrees=degrees))
        layer = add_labels(viewer, volume, np.zeros(volume.shape, bool), "mask")
        wanted = np.random.default_rng(2).integers(0, 5, volume.shape).astype(np.uint16)
        set_labels(layer, wanted)
        assert np.array_equal(labels_array(layer), wanted)
        assert volume_of(layer) is volume
        with pytest.raises(MrisslError, match="grid"):
            set_labels(layer, wanted[1:])
    with pytest.raises(MrisslError, match="integers"):
        add_labels(viewer, volume, np.zeros(volume.shape), "floats")


def test_read_only_labels_are_copied(make_geometry, marker_volume):
    volume = marker_volume(make_geometry())
    layer = add_labels(ViewerModel(), volume, volume.data, "copy")
    layer.paint((5, 5, 5), 1)
    assert volume.data[5, 5, 5] != 1


@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_a_moved_layer_counts_where_it_is_now(degrees, make_geometry, marker_volume):
    viewer = ViewerModel()
    volume = marker_volume(make_geometry(degrees=degrees))
    layer = add_volume(viewer, volume)
    layer.translate = np.add(layer.translate, (1.0, 2.0, 3.0))
    moved = volume_of(layer)
    assert moved is not volume
    assert moved is volume_of(layer)
    assert np.allclose(moved.affine[:3, 3] - volume.affine[:3, 3], (3.0, 2.0, 1.0))
    assert np.array_equal(moved.data, volume.data)


def test_napari_s_copy_of_a_layer_keeps_the_volume(make_geometry, marker_volume):
    from copy import deepcopy

    from napari.layers import Layer

    viewer = ViewerModel()
    for degrees in (0.0, 17.0):
        volume = marker_volume(make_geometry(degrees=degrees))
        data, state, kind = add_volume(viewer, volume).as_layer_data_tuple()
        assert volume_of(Layer.create(deepcopy(data), state, kind)) is volume
        labels = add_labels(viewer, volume, np.zeros(volume.shape, np.uint8), "a")
        data, state, kind = labels.as_layer_data_tuple()
        copied = Layer.create(deepcopy(data), state, kind)
        assert volume_of(copied) is volume
        copied.data[10, 10, 10] = 5
        assert not labels_array(labels).any()


def test_new_data_in_our_layer_are_seen(make_geometry, marker_volume):
    volume = marker_volume(make_geometry())
    layer = add_volume(ViewerModel(), volume)
    assert volume_of(layer) is volume
    layer.data = volume.data * 0.5
    assert np.allclose(volume_of(layer).data, volume.data * 0.5)
    assert np.allclose(volume_of(layer).affine, volume.affine)


def test_rolling_keeps_every_view_upright(make_geometry, marker_volume):
    viewer = ViewerModel()
    add_volume(viewer, marker_volume(make_geometry()))
    seen = []
    for _ in range(6):
        seen.append("".join(edge_letters(viewer).values()))
        viewer.dims.roll()
    assert seen == ["LRPA", "PAIS", "LRIS"] * 2
    show_view(viewer, "coronal")
    assert orientation(viewer) == ("away", "up", "right")
    viewer.dims.transpose()
    assert viewer.dims.order == (1, 2, 0)
    assert "".join(edge_letters(viewer).values()) == "ISLR"


def test_the_users_own_orientation_stays(make_geometry, marker_volume):
    viewer = ViewerModel()
    volume = marker_volume(make_geometry())
    add_volume(viewer, volume)
    viewer.scene.camera.orientation2d = ("down", "left")
    add_volume(viewer, volume)
    viewer.dims.roll()
    viewer.dims.roll()
    assert orientation(viewer) == ("towards", "down", "left")
    assert viewer.dims.order == (1, 2, 0)
    orient_camera(viewer, "radiological")
    assert orientation(viewer)[1:] == ("up", "left")
    assert convention_of(viewer) == "radiological"


def test_views_and_conventions_have_names(make_geometry, marker_volume):
    viewer = ViewerModel()
    add_volume(viewer, marker_volume(make_geometry()))
    with pytest.raises(MrisslError, match="axial"):
        show_view(viewer, "oblique")
    with pytest.raises(MrisslError, match="2-D"):
        show_view(ViewerModel(), "axial")
    viewer.add_image(np.zeros((2, 9, 9, 9)))
    show_view(viewer, "coronal")
    assert viewer.dims.order == (0, 2, 1, 3)
    assert "".join(edge_letters(viewer).values()) == "LRIS"
    viewer.dims.order = (1, 2, 3, 0)
    assert edge_letters(viewer) == {}
    with pytest.raises(MrisslError, match="radiological"):
        orient_camera(viewer, "nautical")


def test_a_closed_viewer_is_forgotten():
    import gc

    from napari_mrissl.ui.layers import orientation as module

    viewer = ViewerModel()
    orient_camera(viewer)
    key = id(viewer)
    assert key in module._kept
    del viewer
    gc.collect()
    assert key not in module._kept


def test_signalling_voxels_of_a_damaged_file_are_shown_without_a_warning(recwarn):
    numbers = np.zeros((4, 5, 6))
    numbers.view(np.uint64)[1, 2, 3] = 0x7FF0000000000001
    volume = Volume.from_stored(numbers, np.eye(4), slope=2.0, name="damaged")
    shown = np.asarray(image_layer(volume)[0][:, :, :])
    assert np.isnan(shown).sum() == 1
    assert not recwarn.list
