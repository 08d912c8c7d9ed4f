"""What the mouse does follows the panel, napari's own controls, scans, layers and views."""

import pytest
import ui.segmenter_actions as user

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator import SliceNavigator

pytestmark = pytest.mark.gui


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def panel(viewer, qtbot):
    """A panel on one scan, ready."""
    add_volume(viewer, user.ball())
    return user.docked(viewer, qtbot)


@pytest.fixture
def navigator(viewer, panel):
    """A navigator on the panel's scan, tilted."""
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator", area="right")
    panel.slice_link.find()
    navigator.pose = Pose.from_normal_up((1, 2, 3), (0.2, 0.4, 0.9), (0, 1, 0), 44.0)
    yield navigator
    navigator.shut_down()


def lit(panel):
    return panel.mark_buttons.tools.checkedButton().text()


def test_in_3d_the_main_views_prompt_layers_rest(panel, viewer, qtbot):
    panel.mark_buttons.click.click()
    clicks = panel.clicks_layer
    viewer.dims.ndisplay = 3
    assert str(clicks.mode) == "pan_zoom"
    qtbot.wait(5)
    assert lit(panel) == "Click"
    clicks.mode = "add"
    qtbot.waitUntil(lambda: str(clicks.mode) == "pan_zoom")
    viewer.dims.ndisplay = 2
    assert str(clicks.mode) == "add"
    panel.mark_buttons.scribble.click()
    viewer.dims.ndisplay = 3
    assert str(panel.scribbles_layer.mode) == "pan_zoom"
    panel.mark_buttons.erase.click()
    assert viewer.dims.ndisplay == 2
    assert str(panel.scribbles_layer.mode) == "erase"
    panel.mark_buttons.move.click()
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    assert str(panel.scribbles_layer.mode) == str(clicks.mode) == "pan_zoom"


def test_in_3d_the_slice_keeps_its_tool(panel, navigator, viewer, qtbot):
    viewer.dims.ndisplay = 3
    panel.mark_buttons.click.click()
    qtbot.wait(5)
    assert viewer.dims.ndisplay == 3
    assert str(panel.clicks_layer.mode) == "pan_zoom"
    assert str(panel.slice_link.clicks.mode) == "add"
    panel.slice_link.clicks.add((2.0, 3.0))
    assert len(panel.controller.session.state.clicks) == 1
    viewer.layers.selection.active = viewer.layers["ball"]
    qtbot.wait(5)
    assert lit(panel) == "Click"
    viewer.dims.ndisplay = 2
    assert viewer.layers.selection.active is panel.clicks_layer
    assert str(panel.clicks_layer.mode) == "add"


@pytest.mark.parametrize(("button", "mode"), [("click", "add"), ("erase", "erase")])
def test_the_tool_goes_along_to_another_scan(panel, viewer, qtbot, button, mode):
    add_volume(viewer, user.ball("other", seed=5))
    getattr(panel.mark_buttons, button).click()
    first = panel.clicks_layer if button == "click" else panel.scribbles_layer
    panel.scan_box.combo.setCurrentText("other")
    assert str(first.mode) == "pan_zoom"
    qtbot.waitUntil(lambda: str(viewer.layers.selection.active.mode) == mode)
    second = panel.clicks_layer if button == "click" else panel.scribbles_layer
    assert viewer.layers.selection.active is second is not first
    assert str(first.mode) == "pan_zoom"
    user.settle(panel, qtbot)
    assert lit(panel).lower() == button
    panel.scan_box.combo.setCurrentText("ball")
    qtbot.waitUntil(lambda: viewer.layers.selection.active is first)
    assert (str(first.mode), str(second.mode)) == (mode, "pan_zoom")


def test_a_removed_scan_takes_its_tool_along(panel, viewer, qtbot):
    panel.mark_buttons.click.click()
    clicks = panel.clicks_layer
    viewer.layers.remove("ball")
    assert str(clicks.mode) == "pan_zoom"
    qtbot.waitUntil(lambda: lit(panel) == "Look")


@pytest.mark.parametrize("button", ["click", "scribble"])
def test_a_closed_panel_leaves_no_tool_on(panel, viewer, button):
    getattr(panel.mark_buttons, button).click()
    layer = viewer.layers.selection.active
    assert str(layer.mode) != "pan_zoom"
    viewer.window.remove_dock_widget(panel)
    assert str(layer.mode) == "pan_zoom"


def test_a_viewer_closed_with_a_tool_on_ends_quietly(panel, viewer):
    panel.mark_buttons.scribble.click()
    viewer.close()


@pytest.mark.parametrize(("button", "mode"), [("click", "add"), ("scribble", "paint")])
def test_a_deleted_layer_made_anew_on_the_slice_has_the_tool(
    panel, navigator, viewer, qtbot, button, mode
):
    getattr(panel.mark_buttons, button).click()
    link, session = panel.slice_link, panel.controller.session
    old = viewer.layers.selection.active
    viewer.layers.remove(old)
    qtbot.wait(5)
    assert lit(panel).lower() == button
    if button == "click":
        link.clicks.add((2.0, 3.0))
    else:
        link.scribbles.paint((128, 128), link.scribbles.selected_label)
    user.settle(panel, qtbot)
    holder = session.sync.clicks if button == "click" else session.sync.scribbles
    assert holder.layer is not old
    assert viewer.layers.selection.active is holder.layer
    assert str(holder.layer.mode) == mode


def test_the_lit_button_follows_what_is_chosen_by_hand(panel, navigator, viewer, qtbot):
    panel.mark_buttons.click.click()
    clicks = panel.clicks_layer
    viewer.layers.selection.active = viewer.layers["ball"]
    qtbot.waitUntil(lambda: lit(panel) == "Look")
    assert str(panel.slice_link.clicks.mode) == "pan_zoom"
    viewer.layers.selection.active = clicks
    qtbot.waitUntil(lambda: lit(panel) == "Click")
    assert str(panel.slice_link.clicks.mode) == "add"
    clicks.mode = "select"
    qtbot.waitUntil(lambda: lit(panel) == "Look")
    scribbles = panel.scribbles_layer
    viewer.layers.selection.active = scribbles
    scribbles.mode = "erase"
    qtbot.waitUntil(lambda: lit(panel) == "Erase")
    assert str(panel.slice_link.scribbles.mode) == "erase"
    viewer.layers.selection.active = None
    qtbot.waitUntil(lambda: lit(panel) == "Look")


def test_the_navigator_follows_to_the_scan_chosen_in_the_panel(panel, navigator, viewer, qtbot):
    other = add_volume(viewer, user.ball("other", seed=5))
    assert navigator.volume is panel.controller.session.volume
    panel.scan_box.combo.setCurrentText("other")
    user.settle(panel, qtbot)
    assert panel.controller.session.layer is other
    assert navigator.volume is panel.controller.session.volume
    assert panel.slice_link.pose is not None
