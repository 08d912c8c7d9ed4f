"""The dock widget "Slice views": axial, coronal, sagittal and the free slice, linked."""

from __future__ import annotations

import logging
from typing import Any

import napari.viewer
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QApplication, QSizePolicy, QVBoxLayout, QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.dock_panel import DockPanel
from napari_mrissl.ui.layers import prepare_renderer
from napari_mrissl.ui.navigator.sharing import real_viewer, state_of
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.navigator.window_level import reset_limits
from napari_mrissl.ui.pictures.scene import Scene
from napari_mrissl.ui.views.arrangement import PaneGrid
from napari_mrissl.ui.views.bars import ALL_PANES, Values, ViewsBar, ViewsSheet
from napari_mrissl.ui.views.gestures import PaneGestures
from napari_mrissl.ui.views.memory import state_of_views, take_state
from napari_mrissl.ui.views.pane import PANE_KINDS, Pane
from napari_mrissl.ui.views.placing import give_room
from napari_mrissl.ui.views.presenter import ViewsPresenter
from napari_mrissl.ui.wheel import leave_wheel_alone

LOGGER = logging.getLogger(__name__)


class SliceViews(DockPanel, QWidget):
    """Axial, coronal, sagittal and the free slice of all visible layers, with one crosshair.

    The crosshair is the centre of the pose that the slice navigator shows too.

    Parameters
    ----------
    viewer
        The main viewer.

    Attributes
    ----------
    session_key : str
        Under which the session keeps what `session_state` gives.
    """

    session_key = "views"

    # napari looks for this very annotation when it makes the widget.
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        prepare_renderer()
        self.setObjectName("Slice views")
        # The plugin menu hands over a proxy, whose layers are never the ones events name.
        self._viewer = real_viewer(viewer)
        self._closed = False
        self._pointed: NDArray[np.float64] | None = None
        self.state: NavigatorState = state_of(viewer)
        self.scene = Scene(self._viewer, self)
        self.panes = {kind: Pane(kind, self.state) for kind in PANE_KINDS}
        self.grid = PaneGrid(self.panes)
        self.bar = ViewsBar()
        self.values = Values()
        self.presenter = ViewsPresenter(self._viewer, self.state, self.scene, self.panes, self)
        for pane in self.panes.values():
            pane.mouse = PaneGestures(pane, self.presenter.target_of)
        self._arrange()
        self._connect()
        self._show_history()

    @property
    def closed(self) -> bool:
        """Whether the widget was shut down."""
        return self._closed

    @property
    def crosshair(self) -> NDArray[np.float64]:
        """World RAS mm (3,)."""
        return self.state.pose.center

    def maximise(self, kind: str | None) -> None:
        """Show one pane alone, or with None all four."""
        self.bar.choose(self.bar.layout_box, kind or ALL_PANES)

    def fit(self) -> None:
        """Show the whole scan in all panes."""
        for pane in self.panes.values():
            pane.mouse.fit()

    def show_keys(self) -> None:
        """Open the sheet of keys and mouse gestures."""
        ViewsSheet(self).show()

    def session_state(self) -> dict[str, Any]:
        """What the session keeps: mode, rate, labels, pane shown alone, zoom and pan."""
        return state_of_views(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what `session_state` gave; what cannot be used is said and left out."""
        problems = take_state(self, state)
        if problems:
            self.values.say(" ".join(problems))
            LOGGER.warning("Slice views: %s", " ".join(problems))

    def shut_down(self) -> None:
        """Stop and let go of the viewer; the widget is of no more use."""
        if self._closed:
            return
        self._closed = True
        self.presenter.close()
        self.scene.close()
        self.state.history_changed.disconnect(self._show_history)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self.shut_down)

    def sizeHint(self) -> QSize:
        """Room for four slices."""
        return QSize(720, 660)

    def minimumSizeHint(self) -> QSize:
        """Room for two columns of small slices; the controls take more rows where it is narrow."""
        return QSize(300, 320)

    def on_docked(self) -> None:
        """Stand beside our other docks, not in their stack of tabs."""
        give_room(self)

    def showEvent(self, event: QEvent) -> None:
        """Seen again: bring the panes up to date."""
        super().showEvent(event)
        if not self._closed:
            self.presenter.request()

    def hideEvent(self, event: QEvent) -> None:
        """Not seen any more: nothing is rendered, and nothing kept."""
        super().hideEvent(event)
        self.presenter.sleep()

    def _arrange(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(3)
        layout.addWidget(self.bar)
        layout.addWidget(self.grid, 1)
        layout.addWidget(self.values)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def _connect(self) -> None:
        leave_wheel_alone(self)
        bar = self.bar
        bar.layout_chosen.connect(self._on_layout)
        bar.mode_chosen.connect(self.presenter.set_mode)
        bar.style_chosen.connect(self.presenter.set_style)
        bar.rate.valueChanged.connect(self.presenter.set_hertz)
        bar.contrast_chosen.connect(self._on_contrast_chosen)
        bar.auto.clicked.connect(self._on_auto)
        bar.fit.clicked.connect(self.fit)
        bar.undo.clicked.connect(self.state.undo)
        bar.redo.clicked.connect(self.state.redo)
        bar.help.clicked.connect(self.show_keys)
        bar.choose(bar.style_box, self.presenter.style)
        for pane in self.panes.values():
            pane.mouse.maximised.connect(self._on_maximised)
            pane.mouse.pointed.connect(self._on_pointed)
            pane.mouse.said.connect(self.values.say)
            pane.mouse.camera_moved.connect(self.presenter.request)
        self.presenter.presented.connect(self._on_presented)
        self.state.history_changed.connect(self._show_history)
        QApplication.instance().aboutToQuit.connect(self.shut_down)

    def _on_layout(self, chosen: str) -> None:
        self.grid.show_only(None if chosen == ALL_PANES else chosen)
        self.presenter.request()

    def _on_maximised(self, kind: str) -> None:
        self.maximise(None if self.grid.alone == kind else kind)
        self.panes[kind].setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_contrast_chosen(self, layer: Any) -> None:
        # The layer list and the panes speak of one active layer.
        self._viewer.layers.selection.active = layer

    def _on_auto(self) -> None:
        layer = self.presenter.target
        if layer is None:
            return
        try:
            reset_limits(layer, self.state)
        except MrisslError as error:
            self.values.say(str(error))

    def _on_pointed(self, point: NDArray[np.float64] | None) -> None:
        self._pointed = point
        self.values.show_point(point, self.scene)

    def _on_presented(self) -> None:
        images = [layer for layer, _ in reversed(self.scene.images)]
        self.bar.show_images(images, self.presenter.target)
        self.values.show_notes(self.scene.loading, self.scene.problems)

    def _show_history(self) -> None:
        self.bar.undo.setEnabled(self.state.can_undo)
        self.bar.redo.setEnabled(self.state.can_redo)
