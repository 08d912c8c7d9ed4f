"""From a pose to what is seen: one rendering, shown in both viewers, once per event-loop turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import render
from napari_mrissl.ui.navigator.colors import color_table
from napari_mrissl.ui.navigator.labels_overlay import LabelsOverlay
from napari_mrissl.ui.navigator.main_view import MainViewLink
from napari_mrissl.ui.navigator.plane import PlaneLayers
from napari_mrissl.ui.navigator.slice_view import SliceView
from napari_mrissl.ui.navigator.state import NavigatorState

if TYPE_CHECKING:
    from napari.layers import Image

FOLLOW_MILLISECONDS = 25
"""The main viewer's 2D view slices all layers when its slider moves: it follows a little later."""

_LOOK = ("contrast_limits", "colormap", "gamma")


class Presenter(QObject):
    """Renders the slice of a state and shows it.

    Attributes
    ----------
    presented : Signal()
        A new slice is shown.

    Parameters
    ----------
    state, view, plane, link
        What is shown, and the places where it is shown.
    labels
        The label layers over the slice; None: none are drawn.
    """

    presented = Signal()

    def __init__(
        self,
        state: NavigatorState,
        view: SliceView,
        plane: PlaneLayers,
        link: MainViewLink,
        labels: LabelsOverlay | None = None,
    ) -> None:
        super().__init__(view)
        self._labels = labels
        if labels is not None:
            labels.scene.touched.connect(self.request_labels)
        self._state, self._view, self._plane, self._link = state, view, plane, link
        self._source: Image | None = None
        self._limits = (0.0, 1.0)
        self._table = color_table(np.linspace([0, 0, 0, 1], [1, 1, 1, 1], 256))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.present)
        self._labels_timer = QTimer(self)
        self._labels_timer.setSingleShot(True)
        self._labels_timer.setInterval(0)
        self._labels_timer.timeout.connect(self._present_labels)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(FOLLOW_MILLISECONDS)
        self._later.timeout.connect(self.follow)
        state.pose_changed.connect(self._on_pose)

    def set_source(self, layer: Image | None) -> None:
        """Take contrast limits, colormap and gamma from a layer, now and when they change."""
        if self._source is not None:
            for name in _LOOK:
                getattr(self._source.events, name).disconnect(self._on_look)
        self._source = layer
        if layer is not None:
            for name in _LOOK:
                getattr(layer.events, name).connect(self._on_look)
            self._on_look()

    def request(self) -> None:
        """Show the state in the next turn of the event loop; many requests are one."""
        if not self._timer.isActive():
            self._timer.start()

    def request_labels(self) -> None:
        """Draw the labels again in the next turn of the event loop, the slice as it is."""
        if not self._labels_timer.isActive():
            self._labels_timer.start()

    def present(self) -> None:
        """Render the slice and hand it to both viewers, now."""
        self._timer.stop()
        volume, pose = self._state.volume, self._state.pose
        values, valid = self._view.values, self._view.valid
        if volume is None:
            values.fill(0)
            valid.fill(False)
        else:
            render(
                volume, pose, len(values), self._state.interpolation, out=values, valid_out=valid
            )
            # Nothing is there: in a CT the renderer's 0 would look like water.
            np.copyto(values, self._limits[0], where=~valid)
        self._view.show_pose(pose)
        self._present_labels()
        self.presented.emit()
        if volume is not None:
            self._plane.update(pose, values, valid, self._limits, self._table)
            if not self._later.isActive():
                self._later.start()

    def follow(self) -> None:
        """Bring the main viewer's 2D slider and line along, now."""
        self._later.stop()
        if self._state.volume is not None:
            self._link.follow(self._state.pose)
            self._plane.update_line(self._state.pose)

    def close(self) -> None:
        """Stop; nothing is shown any more."""
        self._timer.stop()
        self._labels_timer.stop()
        self._later.stop()
        if self._labels is not None:
            self._labels.close()
        self._state.pose_changed.disconnect(self._on_pose)
        self.set_source(None)

    def _present_labels(self) -> None:
        self._labels_timer.stop()
        if self._labels is not None:
            self._labels.update()

    def _on_pose(self, pose: Pose) -> None:
        self.request()

    def _on_look(self) -> None:
        layer = self._source
        if layer is None:
            return
        low, high = (float(limit) for limit in layer.contrast_limits)
        if not low < high:
            high = low + 1.0
        self._limits = (low, high)
        ramp = np.linspace(0, 1, 256) ** layer.gamma
        self._table = color_table(layer.colormap.map(ramp))
        shown = self._view.layer
        shown.colormap = layer.colormap
        shown.gamma = layer.gamma
        shown.contrast_limits_range = (low, high)
        shown.contrast_limits = (low, high)
        self.request()
