"""A borrowed viewer is as new: what a test leaves is taken out, or the viewer is."""

import numpy as np
import pytest
from kept_viewer import KeptViewer
from qtpy.QtWidgets import QWidget

pytestmark = pytest.mark.gui


@pytest.fixture
def kept(request, no_kept_viewer, qtbot, imports_frozen):
    kept = KeptViewer(request)
    yield kept
    kept.close()


def borrowed(kept, qtbot):
    viewer = kept.borrow(qtbot, show=False)
    assert not viewer.layers
    assert not viewer.window.dock_widgets
    assert viewer.dims.ndisplay == 2
    assert viewer.theme == "dark"
    return viewer


def test_layers_docks_and_what_napari_can_put_back_are_taken_out(kept, qtbot):
    viewer = borrowed(kept, qtbot)
    viewer.add_image(np.zeros((4, 5, 6)))
    viewer.window.add_dock_widget(QWidget(), name="ours")
    viewer.window.resize(1200, 700)
    viewer.dims.ndisplay = 3
    viewer.theme = "light"
    kept.give_back(failed=False)
    assert borrowed(kept, qtbot) is viewer
    kept.give_back(failed=False)


def test_a_viewer_with_something_left_in_it_is_not_lent_again(kept, qtbot):
    def callback(viewer):
        viewer.layers.events.inserted.connect(lambda event: None)

    leaving = {
        "key": lambda viewer: viewer.bind_key("Shift-Alt-9", lambda _: None),
        "callback": callback,
        "mouse": lambda viewer: viewer.mouse_drag_callbacks.append(lambda viewer, event: None),
        "failure": lambda viewer: None,
    }
    for name, leave in leaving.items():
        viewer = borrowed(kept, qtbot)
        kept.give_back(failed=False)
        assert borrowed(kept, qtbot) is viewer
        leave(viewer)
        kept.give_back(failed=name == "failure")
        assert kept.viewer is None, name


def test_a_widget_that_is_left_is_a_leak(kept, qtbot):
    borrowed(kept, qtbot)
    widget = QWidget()
    # Napari's own words where NAPARI_STRICT_QT is set.
    with pytest.raises((AssertionError, UserWarning), match=r"Widgets leaked|QWidget"):
        kept.give_back(failed=False)
    widget.deleteLater()
