"""The feature explorer with real widgets: clicks, matches, undo, scans that come and go."""

from types import SimpleNamespace

import numpy as np
import pytest
from explorer_actions import affine, anatomy, cosines, explored, settle
from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QSlider, QTableWidget

from napari_mrissl.registration.correspondence import corresponding
from napari_mrissl.ui.explorer import FeatureExplorer
from napari_mrissl.ui.explorer.layers import MARKS, SIMILARITY
from napari_mrissl.ui.layers import add_volume, to_napari, volume_of

pytestmark = pytest.mark.gui

VOXEL = (9, 12, 7)


@pytest.fixture
def explorer(qtbot):
    """On a viewer without a window, with two scans of one anatomy."""
    viewer = ViewerModel()
    add_volume(viewer, anatomy("bright"))
    add_volume(viewer, anatomy("dark", inverted=True))
    explorer = FeatureExplorer(viewer)
    qtbot.addWidget(explorer, before_close_func=settle)
    explorer.resize(430, 660)
    explorer.show()
    settle(explorer)
    return explorer


def world(voxel, degrees=0.0):
    return tuple(float(v) for v in (affine(degrees) @ [*voxel, 1])[:3])


def similarity(explorer, number):
    held = explorer.exploration
    return held.layers.layer(SIMILARITY, held.explored[number])


def go_to(viewer, place):
    viewer.dims.set_point(range(3), to_napari(place))


def test_a_click_shows_where_both_scans_are_alike(explorer):
    held, viewer = explored(explorer, "bright", "dark", source="mind"), explorer._viewer
    explorer.scans.choose_comparison("plain")
    settle(explorer)
    viewer.layers.selection.active = viewer.layers["bright"]
    (asked,) = (one for one in held.explored if one.volume.name == "bright")
    (other,) = (one for one in held.explored if one.volume.name == "dark")
    go_to(viewer, world(VOXEL))
    held.pick(world(VOXEL))
    # The slice in view is there before anything else runs.
    expected = cosines(asked.stack.data, VOXEL)
    layer = held.layers.layer(SIMILARITY, asked)
    np.testing.assert_allclose(np.asarray(layer.data)[VOXEL[0]], expected[VOXEL[0]], atol=1e-4)
    assert not np.asarray(layer.data)[VOXEL[0] + 4].any()
    settle(explorer)
    np.testing.assert_allclose(np.asarray(layer.data), expected, atol=1e-4)
    there = cosines(other.stack.data, VOXEL, asked.stack.data)
    np.testing.assert_allclose(held.layers.layer(SIMILARITY, other).data, there, atol=1e-4)
    # MIND is made for this: the same place is the best match in the other contrast.
    assert held.found[other].match.voxel == VOXEL
    assert held.found[other].match.similarity == pytest.approx(there.max(), abs=1e-4)
    assert held.found[asked].match.voxel == VOXEL
    assert len([one for one in viewer.layers if "similarity" in one.name]) == 2


def test_the_volume_waits_until_the_slice_is_painted_and_hidden_scans_wait_with_it(explorer):
    held, viewer = explored(explorer, "bright", "dark", source="intensity"), explorer._viewer
    held.prepare_clicks()
    viewer.layers.selection.active = viewer.layers["bright"]
    viewer.layers["dark"].visible = False
    go_to(viewer, world(VOXEL))
    held.pick(world(VOXEL))
    # Nothing runs beside the painting, and what is not seen is not computed before it.
    assert held.busy
    assert not held.jobs.busy
    (asked,) = (one for one in held.explored if one.volume.name == "bright")
    (hidden,) = (one for one in held.explored if one.volume.name == "dark")
    assert asked.front[VOXEL[0]].any()
    assert not hidden.front.any()
    settle(explorer)
    assert hidden.front.any()
    assert set(held.found) == {asked, hidden}
    # A click that is taken back in that moment leaves nothing to come.
    held.pick(world((5, 6, 20)))
    held.step_back()
    held.ask(None)
    settle(explorer)
    assert held.found == {}


def test_matches_are_marked_in_millimetres_and_their_error_is_known_when_truth_is(explorer):
    held, viewer = explored(explorer, "bright", "dark"), explorer._viewer
    viewer.layers.selection.active = viewer.layers["bright"]
    held.pick(world(VOXEL))
    settle(explorer)
    (other,) = (one for one in held.explored if one.volume.name == "dark")
    found = held.found[other]
    np.testing.assert_allclose(found.world, world(found.match.voxel), atol=1e-9)
    marks = viewer.layers[MARKS]
    places = marks.data * marks.scale + marks.translate
    np.testing.assert_allclose(places, to_napari([world(VOXEL), found.world]), atol=1e-4)
    # On the scan's grid, so that napari shows it on the slice it lies in.
    np.testing.assert_allclose(marks.data[0], VOXEL, atol=1e-4)
    assert list(marks.features["what"]) == ["clicked", "best in dark"]
    table = explorer.match_tab.table
    rows = {table.item(n, 0).text(): n for n in range(table.rowCount())}
    assert table.item(rows["dark"], 3).text() == "–"
    # How far it can be trusted is what the library says, and nothing of the clicked scan itself.
    (asked,) = (one for one in held.explored if one is not other)
    assert found.trust == corresponding(world(VOXEL), asked.described, other.described)
    assert held.found[asked].trust is None
    assert table.item(rows["dark"], 4).text() == f"{found.trust.confidence:.2f}"
    assert f"{found.trust.back_mm:.1f} mm away" in table.item(rows["dark"], 4).toolTip()
    assert table.item(rows["bright"], 4).text() == "–"
    explorer.match_tab.truth.setChecked(True)
    assert held.found[other].trust == found.trust
    away = np.linalg.norm(np.subtract(found.world, world(VOXEL)))
    assert held.found[other].distance == pytest.approx(away)
    assert table.item(rows["dark"], 3).text() == f"{away:.1f} mm"
    explorer.match_tab.go_wanted.emit(rows["dark"])
    np.testing.assert_allclose(viewer.dims.point, to_napari(found.world), atol=3)
    explorer.match_tab.go_wanted.emit(-1)
    np.testing.assert_allclose(viewer.dims.point, to_napari(world(VOXEL)), atol=3)


def test_landmarks_of_two_scans_are_a_pair_of_layers_that_can_be_taken_back(explorer):
    tab, viewer = explorer.match_tab, explorer._viewer
    assert not tab.landmarks.isEnabled()
    held = explored(explorer, "bright", "dark", source="mind")
    before = list(viewer.layers)
    tab.landmarks.click()
    settle(explorer)
    one, other = held.landmarks.layers
    assert {one.name, other.name} == {"landmarks of bright", "landmarks of dark"}
    assert len(one.data) == len(other.data) > 3
    # Both show one anatomy in one place, in two contrasts.
    away = np.linalg.norm(one.data * one.scale - other.data * other.scale, axis=1)
    assert np.median(away) < 2
    assert list(one.features["number"]) == list(other.features["number"])
    assert one.features["confidence"].between(0, 1).all()
    tab.landmarks_undo.click()
    assert list(viewer.layers) == before
    assert not tab.landmarks_undo.isEnabled()
    held.landmarks.find(held.explored[:1])
    assert "two scans" in explorer.message.text()


def test_clicks_can_be_taken_back_and_done_again(explorer):
    held, tab = explored(explorer, "bright", source="intensity"), explorer.match_tab
    shown = []
    for voxel in (VOXEL, (5, 6, 20)):
        held.pick(world(voxel))
        settle(explorer)
        shown.append(np.array(similarity(explorer, 0).data))
    assert not np.allclose(*shown)
    layers = list(explorer._viewer.layers)
    for button, expected in (
        (tab.back, shown[0]),
        (tab.back, np.zeros_like(shown[0])),
        (tab.forward, shown[0]),
        (tab.forward, shown[1]),
        (tab.clear, np.zeros_like(shown[0])),
        (tab.back, shown[1]),
    ):
        assert button.isEnabled()
        button.click()
        settle(explorer)
        np.testing.assert_array_equal(similarity(explorer, 0).data, expected)
        marked = len(explorer._viewer.layers[MARKS].data)
        assert marked == (1 if expected.any() else 0)
    # One layer each, their data replaced.
    assert list(explorer._viewer.layers) == layers


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_oblique_scans_show_cosines_of_their_nearest_voxels_at_once(explorer, order):
    viewer = explorer._viewer
    add_volume(viewer, anatomy("oblique", degrees=17))
    held = explored(explorer, "oblique")
    (one,) = held.explored
    viewer.dims.order = order
    place = world(VOXEL, 17)
    go_to(viewer, place)
    held.pick(place)
    layer = similarity(explorer, 0)
    at = np.rint(layer.world_to_data(viewer.dims.point)).astype(int)
    expected, _ = one.compared.whole(one.compared.at(VOXEL))
    key = [slice(None)] * 3
    key[order[0]] = slice(at[order[0]], at[order[0]] + 1)
    plane = np.asarray(layer.data[tuple(key)])
    cells = np.stack(np.indices(plane.shape).reshape(3, -1), axis=1)
    cells[:, order[0]] = at[order[0]]
    grid = layer.data.grid
    places = cells @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    index = np.rint(places @ one.volume.to_index[:3, :3].T + one.volume.to_index[:3, 3]).astype(int)
    inside = ((index >= 0) & (index < one.volume.shape)).all(axis=1)
    assert inside.mean() > 0.3
    found = plane.reshape(-1)
    np.testing.assert_allclose(found[inside], expected[tuple(index[inside].T)], atol=1e-5)
    assert (found[~inside] == -1).all()
    settle(explorer)
    np.testing.assert_allclose(one.front, expected, atol=1e-6)
    # Whole, it is a rendering of the cosines on the scan's own grid, for other docks too.
    np.testing.assert_array_equal(volume_of(layer).data, one.front)
    assert np.asarray(layer.data[tuple(key)]).max() > 0.8


def test_clicks_of_the_mouse_count_while_the_tool_is_down(explorer):
    held, viewer = explored(explorer, "bright"), explorer._viewer

    def press(position, moved=0.0):
        for callback in list(viewer.mouse_drag_callbacks):
            event = SimpleNamespace(
                button=1, modifiers=(), type="mouse_press", pos=np.zeros(2),
                position=tuple(to_napari(position)), dims_displayed=list(viewer.dims.displayed),
            )  # fmt: skip
            running = callback(viewer, event)
            if running is None:
                continue
            next(running, None)
            event.type, event.pos = "mouse_release", np.full(2, moved)
            next(running, None)

    press(world(VOXEL))
    assert held.place is None
    explorer.match_tab.tool.click()
    assert str(viewer.cursor.style) == "crosshair"
    # The layers are there already: the first click is no slower than the second.
    assert similarity(explorer, 0) is not None
    press(world(VOXEL), moved=30.0)
    assert held.place is None
    press(world(VOXEL))
    settle(explorer)
    assert held.place.scan == "bright"
    np.testing.assert_allclose(held.place.world, world(VOXEL))
    viewer.dims.ndisplay = 3
    press(world((1, 1, 1)))
    assert "has no depth" in explorer.message.text()
    viewer.dims.ndisplay = 2
    explorer.match_tab.tool.click()
    press(world((4, 4, 4)))
    np.testing.assert_allclose(held.place.world, world(VOXEL))
    assert str(viewer.cursor.style) == "standard"


def test_what_cannot_be_asked_is_said(explorer):
    held = explorer.exploration
    held.pick(world(VOXEL))
    assert explorer.message.text() == "Compute features first, then click."
    explorer.scans.choose_scans([])
    explorer.compute()
    assert "Tick at least one scan" in explorer.message.text()
    explored(explorer, "bright")
    held.pick((500.0, 0.0, 0.0))
    assert "outside all scans" in explorer.message.text()
    assert held.place is None


def test_scans_that_leave_take_what_belongs_to_them_along(explorer):
    held, viewer = explored(explorer, "bright", "dark"), explorer._viewer
    held.pick(world(VOXEL))
    settle(explorer)
    viewer.layers.remove("dark")
    settle(explorer)
    assert [one.volume.name for one in held.explored] == ["bright"]
    assert [one.name for one in viewer.layers if "dark" in one.name] == []
    assert explorer.match_tab.table.rowCount() == 1
    viewer.layers.remove("bright")
    settle(explorer)
    assert not explorer.match_tab.tool.isEnabled()
    assert [one.name for one in viewer.layers if one.name != MARKS] == []
    assert len(viewer.layers[MARKS].data) == 0


def test_a_layer_deleted_by_hand_comes_back_with_the_next_click(explorer):
    held, viewer = explored(explorer, "bright"), explorer._viewer
    held.pick(world(VOXEL))
    settle(explorer)
    viewer.layers.remove(similarity(explorer, 0))
    viewer.layers.remove(MARKS)
    held.pick(world((5, 5, 5)))
    settle(explorer)
    assert similarity(explorer, 0) is not None
    assert MARKS in viewer.layers


def test_features_are_cached_and_their_cost_is_said_before(explorer):
    facts = explorer.scans.facts
    explorer.scans.choose_source("mind")
    explorer.scans.choose_scans(["bright", "dark"])
    settle(explorer)
    assert facts.text().startswith("For 2 of 2 scans about 1 s")
    explored(explorer, "bright", "dark", source="mind")
    settle(explorer)
    assert facts.text() == "Computed before: they are read from the cache."


def test_another_way_of_comparing_answers_the_same_click_anew(explorer):
    held = explored(explorer, "bright")
    held.pick(world(VOXEL))
    settle(explorer)
    (one,) = held.explored
    standardised = np.array(one.front)
    assert explorer.scans.choose_comparison("plain")
    settle(explorer)
    np.testing.assert_allclose(one.front, cosines(one.stack.data, VOXEL), atol=1e-4)
    assert not np.allclose(one.front, standardised, atol=0.01)


def test_cancelled_computing_keeps_what_was_there(explorer):
    held = explored(explorer, "bright", source="intensity")
    before = list(held.explored)
    explorer.scans.choose_source("filter bank")
    explorer.scans.choose_scans(["bright", "dark"])
    explorer.compute()
    explorer.cancel.click()
    settle(explorer)
    assert held.explored == before
    assert "Cancelled" in explorer.message.text()


def test_a_session_keeps_choices_and_takes_them_up_without_computing(explorer, qtbot):
    held = explored(explorer, "bright", "dark", source="mind")
    held.pick(world(VOXEL))
    settle(explorer)
    explorer.tabs.setCurrentIndex(2)
    explorer.match_tab.truth.setChecked(True)
    explorer.meter_tab.index.setValue(7)
    state = explorer.session_state()
    other = FeatureExplorer(explorer._viewer)
    qtbot.addWidget(other, before_close_func=settle)
    settle(other)
    other.restore_session(state)
    settle(other)
    assert other.session_state() == state
    assert other.exploration.explored == []
    explored(other, "bright", "dark", source="mind")
    # The click that was kept is answered once there are features.
    assert other.exploration.found
    other.restore_session(
        {"scans": ["gone"], "source": "no\0thing", "tab": 99, "click": [1], "meter": {"seed": "x"}}
    )
    said = other.message.text()
    assert said == "Not restored, because not usable: scan, source, tab, click, meter."


def test_controls_are_explained_and_fit_a_narrow_dock(explorer):
    for kind in (QAbstractButton, QAbstractSpinBox, QComboBox, QSlider, QTableWidget):
        for one in explorer.findChildren(kind):
            parent = type(one.parent()).__name__
            inner = isinstance(one.parent(), QTableWidget) or one.objectName().startswith("qt_")
            framed = "Scroll" in parent or parent == "QTabBar"
            assert one.toolTip() or inner or framed, (type(one).__name__, parent)
    assert explorer.minimumSizeHint().width() <= 400


def test_similarity_lies_on_its_scan_and_comes_and_goes_with_it(explorer):
    held, viewer = explored(explorer, "bright", "dark", source="intensity"), explorer._viewer
    viewer.layers["dark"].visible = False
    held.pick(world(VOXEL))
    settle(explorer)
    names = [layer.name for layer in viewer.layers]
    assert names == ["bright", "similarity in bright", "dark", "similarity in dark", MARKS]
    assert [layer.visible for layer in viewer.layers] == [True, True, False, False, True]
    viewer.layers["dark"].visible = True
    assert viewer.layers["similarity in dark"].visible
    viewer.layers["bright"].visible = False
    assert not viewer.layers["similarity in bright"].visible


def test_a_network_is_explored_in_a_process_of_its_own(explorer):
    """At its end and at one of its layers; here one that learned nothing."""
    assert "Network: random, learned nothing" in [
        explorer.scans.source.itemText(n) for n in range(explorer.scans.source.count())
    ]
    explorer.scans.choose_source("network:random")
    settle(explorer)
    taps = [explorer.scans.tap.itemText(n) for n in range(explorer.scans.tap.count())]
    assert taps == ["last", "27, at 1/8", "31, at 1/16", "38, at 1/8", "45, at 1/4", "52, at 1/2"]
    explorer.scans.choose_tap(52)
    held = explored(explorer, "bright", source="network:random")
    assert len(held.names) == 32
    held.pick(world(VOXEL))
    settle(explorer)
    (one,) = held.explored
    np.testing.assert_allclose(one.front, cosines(one.stack.data, VOXEL), atol=1e-4)
    assert held.found[one].match.voxel == VOXEL
