"""The explorer's colours, channels, grid and invariance meter."""

import numpy as np
import pytest
from explorer_actions import anatomy, explored, settle
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_mrissl.features import compute, filters
from napari_mrissl.features.drift import Series, measure_drift
from napari_mrissl.features.invariance import measure_invariance
from napari_mrissl.features.projections import fit_projection
from napari_mrissl.features.similarity import channels_at
from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.ui.explorer import FeatureExplorer
from napari_mrissl.ui.explorer.layers import CHANNEL, COLOURS
from napari_mrissl.ui.explorer.widget import INVARIANCE, LOOK
from napari_mrissl.ui.layers import add_volume, volume_of
from napari_mrissl.ui.layers.lazy import WorldGrid
from napari_mrissl.ui.layers.orientation import orient_camera
from napari_mrissl.ui.pictures.parts import ColoursPart, unpacked
from napari_mrissl.ui.pictures.scene import Scene

pytestmark = pytest.mark.gui


@pytest.fixture
def explorer(qtbot):
    """On a viewer without a window, with two scans and an oblique one."""
    viewer = ViewerModel()
    add_volume(viewer, anatomy("bright"))
    add_volume(viewer, anatomy("dark", inverted=True))
    add_volume(viewer, anatomy("oblique", degrees=17))
    explorer = FeatureExplorer(viewer)
    qtbot.addWidget(explorer, before_close_func=settle)
    explorer.resize(430, 660)
    explorer.show()
    settle(explorer)
    return explorer


def layer(explorer, role, name):
    held = explorer.exploration
    (one,) = (one for one in held.explored if one.volume.name == name)
    return held.layers.layer(role, one)


def test_colours_of_several_scans_are_on_one_basis(explorer):
    held = explored(explorer, "bright", "dark")
    explorer.colour_tab.colours.click()
    settle(explorer)
    pairs = [(one.volume, one.stack.data) for one in held.explored]
    projection = fit_projection(pairs, standardised=True)
    for one in held.explored:
        shown = layer(explorer, COLOURS, one.volume.name)
        assert shown.rgb
        np.testing.assert_array_equal(shown.data, projection.colours(one.stack.data))
        np.testing.assert_allclose(shown.scale, one.layer.scale)
        np.testing.assert_allclose(shown.translate, one.layer.translate)
    share = round(100 * float(projection.explained[0]))
    assert f"hold {share}, " in explorer.colour_tab.facts.text()
    assert "2 scans together" in explorer.colour_tab.facts.text()


def test_colours_of_an_oblique_scan_lie_where_the_scan_lies(explorer):
    held = explored(explorer, "oblique")
    explorer.exploration.showing.show_colours()
    settle(explorer)
    (one,) = held.explored
    shown = layer(explorer, COLOURS, "oblique")
    grid = WorldGrid.around(one.volume)
    assert shown.data.shape == (*grid.shape, 3)
    colours = fit_projection([(one.volume, one.stack.data)]).colours(one.stack.data)
    for voxel in ((9, 12, 7), (6, 8, 20)):
        world = (one.volume.affine @ [*voxel, 1])[:3]
        cell = np.rint((np.linalg.inv(grid.affine) @ [*world, 1])[:3]).astype(int)
        box = colours[tuple(slice(v - 1, v + 2) for v in voxel)].reshape(-1, 3).astype(int)
        found = np.asarray(shown.data[tuple(cell)]).astype(int)
        assert (found >= box.min(axis=0) - 1).all()
        assert (found <= box.max(axis=0) + 1).all()
    # As napari asks for it.
    assert shown.data[3:4, :, :].shape == (1, *grid.shape[1:], 3)


def test_a_channel_is_shown_on_one_range_for_all_scans(explorer):
    explored(explorer, "bright", "dark")
    tab = explorer.colour_tab
    tab.slider.setValue(1)
    settle(explorer)
    shown = [layer(explorer, CHANNEL, name) for name in ("bright", "dark")]
    assert tab.name.text() == "2 of 11: gaussian 1 mm"
    image = filters.normalised(anatomy("bright"))
    expected = filters.gaussian(image, 1.0, anatomy("bright").spacing)
    np.testing.assert_allclose(shown[0].data, expected, atol=1e-5)
    assert shown[0].contrast_limits == shown[1].contrast_limits
    assert shown[0].name == "gaussian 1 mm of bright"
    before = list(explorer._viewer.layers)
    tab.slider.setValue(3)
    settle(explorer)
    assert list(explorer._viewer.layers) == before
    assert shown[0].name == "hessian 1 mm least of bright"
    low, high = shown[0].contrast_limits
    assert low == pytest.approx(-high)
    tab.hide_all.click()
    assert not shown[0].visible
    tab.one.click()
    settle(explorer)
    assert shown[0].visible


def test_the_length_of_features(explorer):
    held = explored(explorer, "bright", "oblique", source="intensity")
    explorer.scans.choose_comparison("plain")
    settle(explorer)
    explorer.colour_tab.length.click()
    settle(explorer)
    for one in held.explored:
        shown = layer(explorer, CHANNEL, one.volume.name)
        expected = np.linalg.norm(np.asarray(one.stack.data, np.float64), axis=0)
        values = volume_of(shown).data
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-6)


def test_the_grid_shows_every_channel_of_the_slice_in_view(explorer):
    held = explored(explorer, "bright")
    viewer = explorer._viewer
    explorer.tabs.setCurrentIndex(LOOK)
    settle(explorer)
    images = explorer.colour_tab.grid.images
    assert list(images) == list(held.names)
    assert images["intensity"].height() == 24
    first = images["intensity"].copy()
    viewer.dims.order = (2, 0, 1)
    explorer._draw_grid()
    settle(explorer)
    again = explorer.colour_tab.grid.images["intensity"]
    assert (again.width(), again.height()) == (24, 20)
    viewer.dims.order = (0, 1, 2)
    viewer.dims.set_point(0, float(held.explored[0].layer.data_to_world((4, 0, 0))[0]))
    explorer._draw_grid()
    settle(explorer)
    assert explorer.colour_tab.grid.images["intensity"] != first


@pytest.mark.parametrize("convention", ["neurological", "radiological"])
def test_the_grid_lies_as_the_main_view_does(explorer, convention):
    held = explored(explorer, "bright", source="intensity")
    orient_camera(explorer._viewer, convention)
    explorer.tabs.setCurrentIndex(LOOK)
    explorer._draw_grid()
    settle(explorer)
    (one,) = held.explored
    plane = held.showing._plane_of(one)
    values = one.stack.data[0][plane.index]
    image = explorer.colour_tab.grid.images[held.names[0]]
    shown = np.array([[image.pixelColor(x, y).red() for x in range(28)] for y in range(24)], float)
    # Anterior is up; the patient's right is where the convention has it.
    expected = values[::-1] if convention == "neurological" else values[::-1, ::-1]
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.98
    assert explorer.colour_tab.grid._aspect == pytest.approx(24 * 2 / (28 * 1.5))


def test_the_meter_says_what_features_of_a_pair_find_and_what_chance_would(explorer):
    explorer.tabs.setCurrentIndex(INVARIANCE)
    explorer.scans.choose_source("mind")
    settle(explorer)
    tab = explorer.meter_tab
    tab.side.setCurrentIndex(0)
    tab.index.setValue(3)
    tab.measure.click()
    settle(explorer)
    measured = tab.measured
    pair = Engine(Templates.procedural(seed=0), EngineSettings.of_side(32), 0).pair(3)
    np.testing.assert_array_equal(measured.labels, pair.labels)
    for volume, view in zip((measured.before, measured.after), pair.views, strict=True):
        np.testing.assert_array_equal(volume.data, view)
    stacks = []
    for view in (measured.before, measured.after):
        image = filters.normalised(view)
        stacks.append(filters.mind_ssc(image, view.spacing))
    numbers = np.flatnonzero(pair.labels)
    expected = measure_invariance(
        *stacks, numbers, np.ones(3), pair.labels, places=1000, standardised=True
    )
    assert measured.result.found == pytest.approx(expected.found)
    assert measured.result.found_label == pytest.approx(expected.found_label)
    # It is what MIND is for.
    assert measured.result.found_near > 2 * measured.result.chance_near
    assert tab.table.item(0, 1).text() == f"{100 / measured.result.places:.1f} %"
    for name in ("same place", "same label", "other"):
        x, y = tab.histograms.lines[name].getData()
        assert len(x) == 60
        assert max(y) == pytest.approx(1)


def test_the_measured_pair_can_be_explored_and_its_truth_is_known(explorer):
    explorer.scans.choose_source("mind")
    tab = explorer.meter_tab
    tab.side.setCurrentIndex(0)
    tab.measure.click()
    settle(explorer)
    tab.show_images.click()
    settle(explorer)
    names = ["pair 0, view 1", "pair 0, view 2"]
    assert sorted(one.name for one in explorer.scans.ticked) == names
    assert explorer.match_tab.truth.isChecked()
    explorer.compute()
    settle(explorer)
    held = explorer.exploration
    explorer._viewer.layers.selection.active = explorer._viewer.layers[names[0]]
    held.pick((0.5, 0.5, 0.5))
    settle(explorer)
    assert all(found.distance is not None for found in held.found.values())


def test_a_recoloured_scan_is_measured_against_itself(explorer):
    tab = explorer.meter_tab
    explorer.scans.choose_scans(["bright"])
    explorer.scans.choose_source("intensity")
    explorer.scans.choose_comparison("plain")
    tab.images.setCurrentIndex(1)
    for field, value in ((tab.gamma, 1.0), (tab.bias, 0.0), (tab.noise, 0.0)):
        field.set_value(value)
    tab.measure.click()
    settle(explorer)
    # Only the brightest voxels were clipped.
    assert tab.measured.result.found > 0.9
    assert tab.table.item(2, 0).text() == "–"
    tab.inverted.setChecked(True)
    tab.measure.click()
    settle(explorer)
    inverted = tab.measured.result
    assert inverted.found < 0.5
    assert inverted.correlation[0] < -0.9
    explorer.scans.choose_scans([])
    tab.measure.click()
    assert "Tick a scan" in explorer.message.text()


def test_drift_of_features_is_drawn_by_strength_copied_and_exported(explorer, qtbot, tmp_path):
    tab = explorer.meter_tab
    explorer.scans.choose_scans(["bright"])
    explorer.scans.choose_source("intensity")
    explorer.scans.choose_comparison("standardised")
    tab.images.setCurrentIndex(2)
    assert not tab.show_images.isVisible()
    tab.series.take(Series(change="noise", strongest=0.2, steps=2))
    tab.measure.click()
    settle(explorer)
    (curve,) = tab.drift.shown
    assert curve.called == ("Intensity", "bright", True)
    settings = explorer.scans.choice.settings
    expected = measure_drift(
        anatomy("bright"),
        lambda image, numbers, tell: channels_at(compute(image, settings).data, numbers),
        Series(change="noise", strongest=0.2, steps=2), standardised=True,
    )  # fmt: skip
    np.testing.assert_allclose(curve.result.drift, expected.drift, atol=1e-5)
    np.testing.assert_allclose(curve.result.strengths, [0, 0.1, 0.2])
    x, y = tab.drift.plot.canvas.getPlotItem().listDataItems()[0].getData()
    np.testing.assert_allclose(x, [0, 0.1, 0.2])
    np.testing.assert_allclose(y, expected.drift, atol=1e-5)
    assert "Intensity, standardised: bright" in tab.drift.plot.legend.text()
    # Another source beside it; the same again takes the place of the first.
    explorer.scans.choose_source("mind")
    for _ in range(2):
        tab.measure.click()
        settle(explorer)
    assert [one.called.title for one in tab.drift.shown] == ["Intensity", "MIND"]
    tab.drift.copy.click()
    assert QApplication.clipboard().text() == tab.drift.table
    # What leaves the viewer names no scan.
    assert "bright" not in tab.drift.table
    tab.drift.export_wanted.emit(tmp_path / "curves.csv", tab.drift.table)
    settle(explorer)
    assert (tmp_path / "curves.csv").read_text(encoding="utf-8") == tab.drift.table
    assert explorer.message.text() == "Written: curves.csv"
    tab.series.change.setCurrentIndex(0)
    assert tab.drift.shown == []
    assert tab.drift.plot.isHidden()
    tab.series.change.setCurrentIndex(1)
    tab.drift.clear.click()
    assert tab.drift.shown == []
    assert tab.drift.clear.text() == "Bring back"
    tab.drift.clear.click()
    assert len(tab.drift.shown) == 2


def test_drift_can_be_cancelled(explorer):
    tab = explorer.meter_tab
    explorer.scans.choose_scans(["bright"])
    tab.images.setCurrentIndex(2)
    tab.measure.click()
    explorer.cancel.click()
    settle(explorer)
    assert tab.drift.curves == []
    assert "Cancelled" in explorer.message.text()


@pytest.mark.parametrize("name", ["bright", "oblique"])
def test_colours_are_drawn_where_scenes_are(explorer, qtbot, name):
    explored(explorer, name)
    explorer.colour_tab.colours.click()
    settle(explorer)
    shown = layer(explorer, COLOURS, name)
    scene = Scene(explorer._viewer)
    scene.refresh()
    scene.touched.connect(scene.refresh)
    qtbot.waitUntil(
        lambda: any(isinstance(part, ColoursPart) for _, part in scene.parts), timeout=60_000
    )
    (part,) = (part for _, part in scene.parts if isinstance(part, ColoursPart))
    assert not scene.labels
    assert not scene.problems
    assert part.opacity == shown.opacity
    # Where the layer lies, in RAS mm; its colours but for the last bits.
    corner = shown.data_to_world((1, 2, 3, 0)[:3])[::-1]
    np.testing.assert_allclose((part.affine @ [1, 2, 3, 1])[:3], corner, atol=1e-6)
    found = 255 * unpacked(part.labels.reshape(-1))[:, :3]
    wanted = np.asarray(shown.data).reshape(-1, 3).astype(float)
    assert np.abs(found - wanted).max() <= 8
    scene.close()
