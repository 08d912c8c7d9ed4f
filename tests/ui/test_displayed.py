"""What napari's model slices and shows (bar O2), read back value by value."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_mrissl.ui.layers import add_volume, edge_letters, show_view, to_napari, to_world

CENTER = np.array([11.0, -7.0, 23.0])
MARKERS = {"L": (250, (-15.0, 0, 0)), "A": (170, (0, 15.0, 0)), "S": (110, (0, 0, 15.0))}
SEEN = {"axial": "LA", "coronal": "LS", "sagittal": "AS"}


def shown(layer, point) -> float | None:
    """The value that napari has sliced for the canvas at a RAS point."""
    return layer.get_value(tuple(to_napari(point)), world=True)


def go_to(viewer, point) -> None:
    viewer.dims.point = tuple(to_napari(point))


@pytest.mark.untraced
@pytest.mark.parametrize("spacing", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_markers_lie_where_they_are_in_all_views(
    spacing, degrees, geometries, marker_volume, no_warnings
):
    chosen = [g for g in geometries if (g.spacing, g.degrees) == (spacing, degrees)]
    assert len(chosen) == 48
    viewer = ViewerModel()
    with no_warnings():
        for geometry in chosen:
            viewer.layers.clear()
            layer = add_volume(viewer, marker_volume(geometry))
            for view, letters in SEEN.items():
                show_view(viewer, view)
                go_to(viewer, CENTER)
                for letter in letters:
                    value, offset = MARKERS[letter]
                    assert shown(layer, CENTER + offset) == pytest.approx(value, abs=1)
                    assert shown(layer, CENTER - offset) == pytest.approx(40, abs=1)
                sides = edge_letters(viewer)
                across = "LR" if view != "sagittal" else "PA"
                assert sides["left"] + sides["right"] == across
                assert sides["bottom"] + sides["top"] == ("PA" if view == "axial" else "IS")


@pytest.mark.parametrize("degrees", [0, 1, 5, 10, 20])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_planes_agree_with_the_world(degrees, order, make_geometry, wave, wave_volume, no_warnings):
    viewer = ViewerModel()
    volume = wave_volume(make_geometry(order=order, signs=(-1, 1, -1), degrees=degrees))
    with no_warnings():
        layer = add_volume(viewer, volume)
        for view in SEEN:
            show_view(viewer, view)
            sliced = viewer.dims.order[0]
            at = viewer.dims.range[sliced]
            viewer.dims.set_point(sliced, at.start + at.step * 12)
            plane = 2 - sliced
            offsets = np.mgrid[-14:15:2, -14:15:2].reshape(2, -1).T
            points = np.insert(offsets, plane, 0.0, axis=1) + CENTER
            points[:, plane] = viewer.dims.point[sliced]
            # The screen's pixels are the layer's cells: compare at their centres.
            cells = [np.round(layer.world_to_data(to_napari(p))) for p in points]
            points = np.array([to_world(layer.data_to_world(c)) for c in cells])
            seen = [shown(layer, p) for p in points]
            assert np.corrcoef(seen, wave(points))[0, 1] >= 0.99


@pytest.mark.parametrize("spacing", ["isotropic", "anisotropic"])
def test_two_scans_of_one_phantom_overlay(spacing, make_geometry, marker_volume, no_warnings):
    viewer = ViewerModel()
    straight = make_geometry()
    tilted = make_geometry((2, 0, 1), (-1, 1, 1), spacing, 17.0)
    with no_warnings():
        layers = [add_volume(viewer, marker_volume(g)) for g in (straight, tilted)]
        show_view(viewer, "axial")
        go_to(viewer, CENTER)
        steps = np.arange(-10, 10.5, 1.0)
        near = np.stack(np.meshgrid(steps, steps, [0.0], indexing="ij"), -1).reshape(-1, 3)
        for letter in "LA":
            value, offset = MARKERS[letter]
            points = CENTER + offset + near
            places = []
            for layer in layers:
                seen = np.array([shown(layer, p) or 0 for p in points])
                inside = np.abs(seen - value) < 0.25 * value
                places.append(points[inside].mean(axis=0))
            smallest = float(min(layers[1].scale))
            assert np.linalg.norm(places[0] - places[1]) <= max(1.0, smallest)


def test_values_are_shown_in_value_units(make_geometry, no_warnings):
    from napari_mrissl.volumes.volume import Volume

    geometry = make_geometry()
    stored = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
    volume = Volume.from_stored(stored, geometry.affine, slope=0.5, intercept=-3.0)
    viewer = ViewerModel()
    with no_warnings():
        layer = add_volume(viewer, volume)
        center = geometry.affine[:3, :3] @ (10, 11, 12) + geometry.affine[:3, 3]
        go_to(viewer, center)
        assert shown(layer, center) == 0.5 * stored[10, 11, 12] - 3.0
        viewer.dims.ndisplay = 3
        assert np.asarray(layer.data).dtype == np.float32


def test_a_view_in_3d_and_back_costs_one_rendering(make_geometry, wave_volume, no_warnings):
    viewer = ViewerModel()
    with no_warnings():
        layer = add_volume(viewer, wave_volume(make_geometry(degrees=17.0)))
        viewer.dims.ndisplay = 3
        first = layer.data[:, :, :]
        assert np.shares_memory(first, layer.data[:, :, :])
        kept = weakref.ref(first if first.base is None else first.base)
        del first
        assert kept() is not None
        viewer.dims.ndisplay = 2
        gc.collect()
        assert kept() is None
