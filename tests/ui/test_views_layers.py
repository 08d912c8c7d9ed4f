"""The panes follow the layer list: order, looks, painting, other readers' layers, lazy data."""

import sys

import dask.array
import numpy as np
import pytest
from napari.utils.colormaps import DirectLabelColormap

sys.path.insert(0, __file__.rpartition("/")[0])
import navigator_actions
import views_actions as user

from napari_mrissl.ui.layers import add_labels, add_volume, labels_array, to_napari, volume_of
from napari_mrissl.ui.pictures.scene import Scene

pytestmark = pytest.mark.gui
RED = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0), 1: (1, 0, 0, 1), 2: (0, 0, 1, 1)}


@pytest.fixture
def viewer(scan_model):
    return scan_model


def names(views):
    return [part.name for _, part in views.scene.parts]


def test_order_visibility_and_names_follow_the_list(views, viewer, qtbot):
    volume = volume_of(viewer.layers[0])
    labels = add_labels(viewer, volume, np.ones(volume.shape, np.uint8), "tissue", opacity=1.0)
    labels.colormap = DirectLabelColormap(color_dict=RED)
    views.bar.choose(views.bar.style_box, "filled")
    add_volume(viewer, navigator_actions.small_volume("other"))
    user.settle(views, qtbot)
    assert names(views) == ["scan", "tissue", "other"]
    pane, point = views.panes["axial"], views.crosshair + 1
    assert len(set(user.pixel(pane, point))) == 1
    viewer.layers.move(2, 0)
    user.settle(views, qtbot)
    assert names(views) == ["other", "scan", "tissue"]
    assert user.pixel(pane, point).tolist() == [255, 0, 0]
    labels.visible = False
    viewer.layers["scan"].name = "renamed"
    user.settle(views, qtbot)
    assert names(views) == ["other", "renamed"]
    assert views.bar.contrast_box.findText("renamed") >= 0
    viewer.layers.remove("other")
    viewer.layers.remove("tissue")
    user.settle(views, qtbot)
    assert names(views) == ["renamed"]
    viewer.layers.clear()
    user.settle(views, qtbot)
    assert names(views) == []
    assert views.state.volume is None
    assert not pane.images


def test_looks_follow_the_layer(views, viewer, qtbot):
    layer, pane, point = viewer.layers[0], views.panes["axial"], views.crosshair + 1

    def shown():
        user.settle(views, qtbot)
        return user.pixel(pane, point)

    gray = shown()
    layer.colormap = "red"
    assert shown().tolist() == [gray[0], 0, 0]
    layer.opacity = 0.5
    assert shown()[0] == pytest.approx(gray[0] / 2, abs=1)
    layer.opacity, layer.gamma = 1.0, 2.0
    assert shown()[0] == pytest.approx(255 * (gray[0] / 255) ** 2, abs=2)
    layer.gamma = 1.0
    layer.contrast_limits = (0, 1)
    assert shown().tolist() == [255, 0, 0]


def test_painting_updates_the_panes_that_show_it(views, viewer, qtbot):
    volume = volume_of(viewer.layers[0])
    layer = add_labels(viewer, volume, np.zeros(volume.shape, np.uint8), opacity=1.0)
    layer.colormap = DirectLabelColormap(color_dict=RED)
    views.bar.choose(views.bar.style_box, "filled")
    user.settle(views, qtbot)
    pane = views.panes["axial"]
    index = np.rint(volume.to_index[:3] @ [*views.crosshair, 1]).astype(int)
    point = volume.affine[:3] @ [*index, 1]
    assert user.pixel(pane, point).tolist() != [255, 0, 0]
    layer.brush_size = 3
    layer.selected_label = 1
    layer.paint(tuple(int(n) for n in index), 1)
    user.settle(views, qtbot)
    for kind in ("axial", "coronal", "sagittal"):
        assert user.pixel(views.panes[kind], point).tolist() == [255, 0, 0]
    layer.undo()
    user.settle(views, qtbot)
    assert user.pixel(pane, point).tolist() != [255, 0, 0]
    # Another slice in the main viewer refreshes its layers, but changes nothing here.
    composed = pane.pictures.composed
    viewer.dims.set_point(0, 3.0)
    layer.refresh()
    user.settle(views, qtbot)
    assert pane.pictures.composed == composed


def test_label_looks_follow_the_layer(views, viewer, qtbot):
    volume = volume_of(viewer.layers[0])
    labels = np.ones(volume.shape, np.uint8)
    labels[:, :, 20:] = 2
    layer = add_labels(viewer, volume, labels, opacity=1.0)
    layer.colormap = DirectLabelColormap(color_dict=RED)
    pane = views.panes["axial"]

    def share(color):
        user.settle(views, qtbot)
        return (pane.images[0][..., :3] == color).all(axis=-1).mean()

    filled = share((255, 0, 0))
    assert filled > 0.1
    layer.contour = 1
    outlined = share((255, 0, 0))
    assert 0 < outlined < filled / 4
    layer.contour = 4
    assert share((255, 0, 0)) > 2 * outlined
    layer.contour = 0
    views.bar.choose(views.bar.style_box, "contours")
    assert 0 < share((255, 0, 0)) < filled / 4
    views.bar.choose(views.bar.style_box, "filled")
    layer.show_selected_label = True
    layer.selected_label = 2
    assert share((255, 0, 0)) == 0
    assert share((0, 0, 255)) > 0.1
    layer.opacity = 0.0
    assert share((0, 0, 255)) == 0


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_a_marker_is_where_it_is_in_every_pane(
    viewer, qtbot, make_geometry, marker_volume, degrees
):
    """Ours and another reader's layer, straight and oblique, image and labels."""
    viewer.layers.clear()
    geometry = make_geometry((1, 2, 0), (1, -1, -1), "anisotropic", degrees)
    volume = marker_volume(geometry)
    add_volume(viewer, volume)
    labels = (volume.data == 250).astype(np.uint8)
    ours = add_labels(viewer, volume, labels, opacity=1.0)
    ours.colormap = DirectLabelColormap(color_dict=RED)
    views = user.open_views(viewer, qtbot)
    views.bar.choose(views.bar.style_box, "filled")
    left = np.array([11.0 - 15.0, -7.0, 23.0])
    views.state.go_to(left)
    user.settle(views, qtbot)
    for pane in views.panes.values():
        assert user.pixel(pane, left).tolist() == [255, 0, 0]
        assert user.pixel(pane, left + pane.raster.right * 12).tolist() != [255, 0, 0]
    if degrees:
        labels_array(ours)[...] = 0
        ours.refresh()
        user.settle(views, qtbot)
        assert user.pixel(views.panes["free"], left).tolist() != [255, 0, 0]
    ours.visible = False
    user.settle(views, qtbot)
    bright = [user.pixel(pane, left)[0] for pane in views.panes.values()]
    # The same voxels as any other reader's layer: its affine goes from index to (S, A, R).
    viewer.layers[0].visible = False
    foreign = np.eye(4)
    foreign[:3, :3] = volume.affine[[2, 1, 0], :3]
    foreign[:3, 3] = to_napari(volume.affine[:3, 3])
    viewer.add_image(
        np.ascontiguousarray(volume.data), affine=foreign, name="foreign", units=("mm",) * 3,
        contrast_limits=viewer.layers[0].contrast_limits,
    )  # fmt: skip
    user.settle(views, qtbot)
    assert [user.pixel(pane, left)[0] for pane in views.panes.values()] == bright
    assert min(bright) > 200
    views.shut_down()


def test_lazy_data_are_computed_in_the_background(views, viewer, qtbot):
    volume = volume_of(viewer.layers[0])
    lazy = dask.array.from_array(volume.data[::-1], chunks=8)
    layer = viewer.add_image(lazy, name="lazy", scale=volume.spacing, units=("mm",) * 3)
    labels = viewer.add_labels(
        dask.array.ones((8, 8, 8), dtype=np.uint8), name="lazy labels", units=("mm",) * 3
    )
    qtbot.waitUntil(lambda: names(views) == ["scan", "lazy", "lazy labels"])
    part = views.scene.parts[1][1]
    np.testing.assert_array_equal(part.volume.data, volume.data[::-1])
    # Replaced while it is loading: what is shown is what is there in the end.
    layer.data = lazy + 1
    layer.data = lazy + 2
    qtbot.waitUntil(
        lambda: (
            len(views.scene.images) == 2
            and np.array_equal(views.scene.images[1][1].volume.data, volume.data[::-1] + 2)
        )
    )
    labels.data = dask.array.zeros((8, 8, 8), dtype=np.uint8)
    qtbot.waitUntil(lambda: bool(views.scene.labels) and views.scene.labels[0][1].labels.max() == 0)
    assert not views.values.note.isVisible()


def test_layers_that_are_no_volumes_are_said(views, viewer, qtbot):
    viewer.add_image(np.zeros((2, 8, 8, 8), np.uint8), name="series", units=("mm",) * 4)
    viewer.add_image(np.zeros((8, 8, 8, 3), np.uint8), rgb=True, name="colours")
    viewer.add_points(np.zeros((1, 3)))
    viewer.add_image(np.zeros((8, 8), np.uint8), name="flat")
    user.settle(views, qtbot)
    assert names(views) == ["scan"]
    assert views.values.note.text() == "2 layers not shown"
    assert "time point" in views.values.note.toolTip()
    viewer.layers["series"].visible = False
    user.settle(views, qtbot)
    assert views.values.note.text() == "1 layer not shown"


def test_another_scan_in_the_same_layer_is_shown(views, viewer, qtbot):
    layer = viewer.layers[0]
    before = views.state.volume
    layer.data = np.full((10, 12, 14), 7, np.float32)
    layer.contrast_limits = (0, 14)
    user.settle(views, qtbot)
    assert views.state.volume is not before
    assert views.state.volume.shape == (10, 12, 14)
    inside = views.state.volume.center
    assert user.pixel(views.panes["axial"], inside).tolist() == [128, 128, 128]
    layer.translate = (5.0, 5.0, 5.0)
    user.settle(views, qtbot)
    np.testing.assert_allclose(views.state.volume.affine[:3, 3], 5.0)


def test_a_scene_lets_go_of_every_layer(viewer):
    before = user.callbacks(viewer)
    volume = volume_of(viewer.layers[0])
    scene = Scene(viewer)
    scene.refresh()
    gone = add_labels(viewer, volume, np.zeros(volume.shape, np.uint8))
    scene.refresh()
    assert user.callbacks(viewer) > before
    viewer.layers.remove(gone)
    scene.refresh()
    assert not any("scene" in repr(c) for e in gone.events.emitters.values() for c in e.callbacks)
    scene.close()
    assert user.callbacks(viewer) == before
