"""The slice navigator's dock widget: puts canvas, controls and the main viewer together."""

from __future__ import annotations

import weakref

import napari.viewer
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QApplication,
    QLabel,
    QSizePolicy,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.dock_panel import DockPanel
from napari_mrissl.ui.layers.shown import prepare_renderer
from napari_mrissl.ui.navigator.bars import MoveBar, ReadOut, row, section
from napari_mrissl.ui.navigator.flight_panel import FlightPanel
from napari_mrissl.ui.navigator.flights import deck_of
from napari_mrissl.ui.navigator.keys import KeyHandler, KeySheet
from napari_mrissl.ui.navigator.labels_overlay import LabelsOverlay
from napari_mrissl.ui.navigator.main_view import MainViewLink
from napari_mrissl.ui.navigator.mouse import SliceMouse
from napari_mrissl.ui.navigator.plane import PlaneLayers
from napari_mrissl.ui.navigator.pose_panel import PosePanel
from napari_mrissl.ui.navigator.presenter import Presenter
from napari_mrissl.ui.navigator.remembered import remembered, take_up
from napari_mrissl.ui.navigator.sharing import real_viewer, state_of
from napari_mrissl.ui.navigator.slice_view import SliceView
from napari_mrissl.ui.navigator.source import SourceBox
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.navigator.units import matching_units
from napari_mrissl.ui.recorder.parts import scrolled
from napari_mrissl.ui.wheel import leave_wheel_alone
from napari_mrissl.ui.window_watch import WindowWatch
from napari_mrissl.volumes.volume import Volume

SLICE_SIZE = 256


_open: weakref.WeakSet[SliceNavigator] = weakref.WeakSet()


class SliceNavigator(DockPanel, QWidget):
    """Fly an oblique slice through a scan.

    A second navigator on the same viewer shares volume, pose and history with the first.

    Parameters
    ----------
    viewer
        The main viewer.

    Attributes
    ----------
    pose_changed : psygnal.Signal(Pose)
        Every change of the pose, as it happens.
    session_key : str
        Under which the session keeps what `session_state` gives.
    """

    pose_changed = Signal(Pose)
    session_key = "navigator"

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        prepare_renderer()
        self._viewer = viewer
        self._closed = False
        self._window = WindowWatch(self, self._on_quit)
        self.state: NavigatorState = state_of(viewer)
        plane_shown = any(
            not other.closed and real_viewer(other._viewer) is real_viewer(viewer)
            for other in _open
        )
        _open.add(self)
        self.view = SliceView(SLICE_SIZE)
        self.plane = PlaneLayers(viewer, SLICE_SIZE)
        self.link = MainViewLink(viewer, self.state)
        self.labels = LabelsOverlay(viewer, self.state, self.view)
        self.presenter = Presenter(self.state, self.view, self.plane, self.link, self.labels)
        self.mouse = SliceMouse(self.view, self.state, self._on_cursor)
        self.mouse.on_gone = self._on_gone
        self.source = SourceBox(viewer)
        self.pose_panel = PosePanel(self.state)
        self.deck = deck_of(viewer)
        self.deck.enter()
        self.flight_panel = FlightPanel(self.deck, viewer)
        self.moves = MoveBar(self.state)
        self.read_out = ReadOut(self.state, self.view)
        self.message = QLabel()
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        self.message.setWordWrap(True)
        self.message.setToolTip("What to know about this scan")
        self._arrange()
        self._keys = KeyHandler(self.state, self._commands())
        self._connect()
        if plane_shown:
            # One plane for one pose: the first navigator shows it.
            self.pose_panel.show_plane.setChecked(False)
        # What another widget shows already is not exchanged for the topmost scan.
        before = self.state.volume
        self.source.refresh(self.state.source)
        if before is not None and self.state.volume is before:
            # Nothing changed for the state, but this widget has yet to hear of it.
            self._on_volume(before)
        self._show_settings()
        self._show_pose(self.state.pose)

    @property
    def closed(self) -> bool:
        """Whether the widget was shut down."""
        return self._closed

    @property
    def volume(self) -> Volume | None:
        """The scan that is cut, or None."""
        return self.state.volume

    @property
    def pose(self) -> Pose:
        """The plane in world mm; setting it is one undo step."""
        return self.state.pose

    @pose.setter
    def pose(self, pose: Pose) -> None:
        self.state.set_pose(pose)

    @property
    def slice_viewer(self) -> object:
        """The slice's own viewer, whose world is mm (row, column) from the slice's middle."""
        return self.view.viewer

    def choose_layer(self, layer: Image) -> None:
        """Cut a layer of the viewer."""
        self.source.choose(layer)

    def show_keys(self) -> None:
        """Open the sheet of keys and mouse gestures."""
        KeySheet(self).show()

    def session_state(self) -> dict[str, object]:
        """What a session keeps: scan, pose, and how the slice is shown."""
        return remembered(self)

    def restore_session(self, state: dict[str, object]) -> None:
        """Take up what `session_state` gave; what cannot be used is said and left out."""
        if problem := take_up(self, state):
            self.message.setText(problem)
            self.message.setVisible(True)

    def shut_down(self, *, remove_layers: bool = True) -> None:
        """Stop, keep a recording, and let go of the viewer; the widget is of no more use."""
        if self._closed:
            return
        self._closed = True
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self._on_quit)
        self._window.leave()
        self.source.disconnect_layers()
        self.flight_panel.let_go()
        self.deck.leave(wait=not remove_layers)
        self.presenter.close()
        self.link.disconnect()
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self.state.pose_changed.disconnect(self._on_pose)
        self.state.volume_changed.disconnect(self._on_volume)
        self.state.settings_changed.disconnect(self._show_settings)
        self.moves.disconnect_state()
        if remove_layers:
            self.plane.remove()
        self.view.close_viewer()

    def minimumSizeHint(self) -> QSize:
        """Never narrower than the controls; low, because they scroll."""
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        return QSize(self._inner.minimumSizeHint().width() + bar, 240)

    def sizeHint(self) -> QSize:
        """Wide enough for the fields, and no higher than a small screen."""
        return QSize(self.minimumSizeHint().width() + 8, 660)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that no field took, while the dock has the focus."""
        if not self._keys.handle(event):
            super().keyPressEvent(event)

    def on_undocked(self) -> None:
        """End; it lives on for as long as someone holds it."""
        self.shut_down()

    def on_docked(self) -> None:
        """Watch the window: its end ends the slice's canvas."""
        self._window.look()
        super().on_docked()

    def _arrange(self) -> None:
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(6, 2, 6, 4)
        layout.setSpacing(4)
        layout.addLayout(row((QLabel("Scan"), 0), (self.source, 1), (self.moves.help, 0)))
        layout.addWidget(self.moves)
        layout.addWidget(self.message)
        self.view.setMinimumHeight(220)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.read_out)
        self.position_box = section("Position", self.pose_panel)
        self.flight_box = section("Flight", self.flight_panel)
        layout.addWidget(self.position_box)
        layout.addWidget(self.flight_box)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolled(inner))
        self._inner = inner
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _commands(self) -> dict:
        return {
            **{plane: button.click for plane, button in self.moves.presets.items()},
            "reset": self.state.reset,
            "undo": self.state.undo,
            "redo": self.state.redo,
            "go_to_click": self.moves.go_to.toggle,
            "record": self.flight_panel.toggle_recording,
            "replay": self.flight_panel.toggle_replay,
            "sheet": self.show_keys,
        }

    def _connect(self) -> None:
        leave_wheel_alone(self)
        self.view.key_pressed.connect(self._keys.handle)
        self.presenter.presented.connect(self.read_out.refresh)
        self.source.chosen.connect(self._on_source)
        self.pose_panel.show_plane.toggled.connect(self._on_show_plane)
        self.pose_panel.follow.toggled.connect(self._on_follow)
        self.state.pose_changed.connect(self._on_pose)
        self.state.volume_changed.connect(self._on_volume)
        self.state.settings_changed.connect(self._show_settings)
        self.moves.go_to.toggled.connect(self._on_go_to)
        self.moves.help.clicked.connect(self.show_keys)
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        QApplication.instance().aboutToQuit.connect(self._on_quit)

    def _on_source(self, layer: Image | None, volume: Volume | None, sentence: str) -> None:
        self.message.setText(sentence)
        self.message.setVisible(bool(sentence))
        self.state.set_volume(volume, layer if volume is not None else None)
        if volume is None:
            self._on_volume(None)

    def _on_volume(self, volume: Volume | None) -> None:
        if volume is not None and self.source.layer is not self.state.source:
            self.source.choose(self.state.source)
        self.presenter.set_source(self.state.source)
        if volume is None:
            self.plane.remove()
        else:
            self.plane.set_volume(volume, matching_units(self.state.source))
            if self.plane.shown:
                self.plane.attach()
        self.moves.set_scan(volume is not None)
        self.pose_panel.setEnabled(volume is not None)
        self.flight_panel.update_buttons()
        self.presenter.request()

    def _on_pose(self, pose: Pose) -> None:
        self._show_pose(pose)
        self.pose_changed.emit(pose)

    def _show_pose(self, pose: Pose) -> None:
        self.pose_panel.show_pose(pose)
        self.read_out.show_pose(pose)

    def _show_settings(self) -> None:
        self.pose_panel.show_settings()
        self.pose_panel.show_pose(self.state.pose)

    def _on_cursor(self, position: tuple[float, float]) -> None:
        self.read_out.show_cursor(position)

    def _on_go_to(self, wanted: bool) -> None:
        self.mouse.click_goes = wanted
        self.view.canvas.setCursor(
            Qt.CursorShape.CrossCursor if wanted else Qt.CursorShape.ArrowCursor
        )

    def _on_gone(self) -> None:
        self.moves.go_to.setChecked(False)

    def _on_show_plane(self, wanted: bool) -> None:
        if self.state.volume is not None or not wanted:
            self.plane.shown = wanted
        self.presenter.request()

    def _on_follow(self, wanted: bool) -> None:
        self.link.enabled = wanted
        self.presenter.request()

    def _on_ndisplay(self) -> None:
        self.plane.adapt()
        self.presenter.request()

    def _on_quit(self) -> None:
        self.shut_down(remove_layers=False)
