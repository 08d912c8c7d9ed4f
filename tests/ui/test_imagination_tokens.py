"""A token that was clicked is sought in other slices, in other scans, and by other networks."""

import numpy as np
import pytest
from imagination_actions import SECONDS, SHIFT, TURN, inspected
from navigator_actions import small_volume

from napari_mrissl.geometry import relative_action
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.navigation.panel import LATENTS
from napari_mrissl.ui.layers import add_volume
from tests.imagined import dynamics_run

pytestmark = pytest.mark.gui

CLICKED, TOKEN = (0.4, 0.6), (1, 2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    return dynamics_run(folder / "flown"), dynamics_run(folder / "larger", 48)


@pytest.fixture
def inspector(qtbot, runs):
    """With a token that was clicked in the slice in view."""
    inspector = inspected(qtbot, runs[0])
    panel = inspector.panel
    panel.tabs.setCurrentIndex(LATENTS)
    qtbot.waitUntil(lambda: panel.latent_tab.colours.image is not None, timeout=SECONDS)
    panel.latent_tab.slice.clicked.emit(*CLICKED)
    compared(panel, qtbot)
    return inspector


def compared(panel, qtbot):
    """The slice in view was compared with the token."""

    def done():
        alike, pose = panel.look.alike, panel.slice_state.pose
        return bool(alike) and alike[0].pose == pose and not panel.jobs.busy

    qtbot.waitUntil(done, timeout=SECONDS)


def cosines(panel, clicked, seen):
    """By loops over tokens, standardised by the colours of the scan in view."""
    palette = panel.look._palette

    def direction(vector):
        centred = (vector - palette.mean) * palette.weight
        return centred / np.linalg.norm(centred)

    grid = len(seen)
    each = [[direction(clicked) @ direction(seen[r, c]) for c in range(grid)] for r in range(grid)]
    return np.array(each)


def middle(pose, token, grid=4):
    """World mm of a token's middle."""
    down, along = ((n + 0.5) / grid - 0.5 for n in token)
    return pose.center + pose.fov * (along * pose.right - down * pose.up)


def parts(token, grid=4):
    return tuple((n + 0.5) / grid for n in token)


def latents(panel, pose):
    return panel.loaded.opened.encode(panel.loaded.scan, [pose])[0]


def test_the_token_that_was_clicked_is_sought_where_the_slice_goes(inspector, qtbot):
    panel, tab, state = inspector.panel, inspector.panel.latent_tab, inspector.panel.slice_state
    start = state.pose
    assert panel.look.alike[0].home
    assert tab.slice.mark == pytest.approx(parts(TOKEN))
    assert tab.facts.text().startswith("Token at row 2, column 3; its nearest in this slice")
    clicked = latents(panel, start)[TOKEN]
    state.move(SHIFT + TURN)
    compared(panel, qtbot)
    found = panel.look.alike[0]
    expected = cosines(panel, clicked, latents(panel, state.pose))
    np.testing.assert_allclose(found.cosines, expected, atol=1e-4)
    assert not found.home
    assert found.best == np.unravel_index(expected.argmax(), (4, 4))
    for picture in (tab.slice, tab.colours, tab.similar):
        assert picture.mark == pytest.approx(parts(found.best))
    apart = np.linalg.norm(middle(state.pose, found.best) - middle(start, TOKEN))
    moved = np.linalg.norm(state.pose.center - start.center)
    turned = np.degrees(np.linalg.norm(relative_action(start, state.pose)[3:6]))
    said = tab.facts.text()
    assert f"a slice {moved:.0f} mm and {turned:.0f}° from here" in said
    assert f"{expected.max():.2f} at row {found.best[0] + 1}, column {found.best[1] + 1}" in said
    assert f"lies {apart:.0f} mm from it" in said
    state.undo()
    compared(panel, qtbot)
    assert panel.look.alike[0].home
    assert panel.look.alike[0].cosines[TOKEN] == pytest.approx(1, abs=1e-4)
    tab.forget.click()
    assert (panel.look.token, tab.slice.mark) == (None, None)


def test_it_is_sought_in_another_scan_that_is_chosen(inspector, qtbot):
    panel, tab, state = inspector.panel, inspector.panel.latent_tab, inspector.panel.slice_state
    clicked = latents(panel, state.pose)[TOKEN]
    first = panel.look.token
    other = add_volume(inspector._viewer, small_volume(offset=6), name="other")
    inspector.sources.choose_scan("other")
    qtbot.waitUntil(lambda: panel.loaded is not None and panel.layer is other, timeout=SECONDS)
    state.set_volume(other.metadata["mrissl"]["volume"], other)
    state.move(SHIFT)
    compared(panel, qtbot)
    assert panel.look.token is first
    expected = cosines(panel, clicked, latents(panel, state.pose))
    np.testing.assert_allclose(panel.look.alike[0].cosines, expected, atol=1e-4)
    assert "from here" not in tab.facts.text()
    assert tab.facts.text().startswith("Token of ")
    # It is no place of the scan that a session would open.
    assert panel.state()["token"] is None


def test_another_network_reads_the_same_place_anew(inspector, runs, qtbot):
    panel, state = inspector.panel, inspector.panel.slice_state
    start = state.pose
    state.move(SHIFT)
    compared(panel, qtbot)
    inspector.load(runs[1])
    qtbot.waitUntil(
        lambda: panel.loaded is not None and panel.loaded.opened.size == 48, timeout=SECONDS
    )
    compared(panel, qtbot)
    token = panel.look.token
    assert (token.pose, token.place) == (start, (2, 3))
    np.testing.assert_allclose(token.latents, latents(panel, start)[2, 3], atol=1e-5)


def test_a_session_keeps_where_the_token_is(inspector, qtbot):
    panel, state = inspector.panel, inspector.panel.slice_state
    start, token = state.pose, panel.look.token
    state.move(SHIFT)
    compared(panel, qtbot)
    kept = inspector.session_state()
    again = Inspector(inspector._viewer)
    qtbot.addWidget(again, before_close_func=lambda one: one.shut_down())
    again.restore_session(kept)
    qtbot.waitUntil(lambda: bool(again.panel and again.panel.loaded), timeout=SECONDS)
    compared(again.panel, qtbot)
    found = again.panel.look.token
    np.testing.assert_allclose(found.pose.to_row(), start.to_row(), atol=1e-6)
    np.testing.assert_allclose(found.latents, token.latents, atol=1e-4)
    assert again.session_state() == kept
