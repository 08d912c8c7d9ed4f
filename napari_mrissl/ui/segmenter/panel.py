"""The dock widget "Click segmentation"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_mrissl.segmentation import SegmentSettings, prepare
from napari_mrissl.ui.dock_panel import DockPanel
from napari_mrissl.ui.layers import prepare_renderer
from napari_mrissl.ui.segmenter.actions import FileButtons, MarkButtons
from napari_mrissl.ui.segmenter.classes_box import ClassesBox
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.files import FileJobs
from napari_mrissl.ui.segmenter.mouse_tool import MouseTool
from napari_mrissl.ui.segmenter.next_place import NextPlace
from napari_mrissl.ui.segmenter.next_place_box import NextPlaceBox
from napari_mrissl.ui.segmenter.remembered import remembered, take_up
from napari_mrissl.ui.segmenter.replaying import Replayer
from napari_mrissl.ui.segmenter.run_box import RunBox
from napari_mrissl.ui.segmenter.scan_box import ScanBox
from napari_mrissl.ui.segmenter.settings_box import SettingsBox
from napari_mrissl.ui.segmenter.slice_link import SliceLink
from napari_mrissl.ui.wheel import leave_wheel_alone

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Labels, Points

_LEAST_HEIGHT, _MOST_HEIGHT = 280, 660


class PromptSegmenter(DockPanel, QScrollArea):
    """Clicks and scribbles on a scan become a segmentation while you watch.

    Parameters
    ----------
    viewer
        The napari viewer whose scans are segmented.

    Attributes
    ----------
    segmented : Signal(object)
        A whole `Segmentation` is shown.
    labels_shown : Signal(object)
        The Labels layer of the segmentation, whenever some of it was replaced.
    session_key : str
        Under which the session keeps what `session_state` gives.
    """

    segmented = Signal(object)
    labels_shown = Signal(object)
    session_key = "segmenter"

    # napari looks for this very annotation when it makes the widget.
    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        prepare_renderer()
        prepare()
        self.setObjectName("Click segmentation")
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        # The plugin menu hands over a proxy, in which a layer just added is never the layer
        # that an event names; nothing private is used, so the viewer itself does.
        viewer = getattr(viewer, "__wrapped__", viewer)
        # A child, so that no timer or job outlives the window.
        self.controller = Controller(viewer, self)
        self.files = FileJobs(self.controller)
        self.replayer = Replayer(self.controller)
        self.scan_box = ScanBox(viewer, self.controller)
        self.classes_box = ClassesBox(self.controller)
        self.slice_link = SliceLink(self, self.controller)
        self.mouse_tool = MouseTool(viewer, self.controller, self.slice_link)
        self.mark_buttons = MarkButtons(viewer, self.controller, self.mouse_tool)
        self.run_box = RunBox(self.controller)
        self.next_place = NextPlace(viewer, self.controller, self.scan_box, self.slice_link)
        self.next_place_box = NextPlaceBox(self.next_place)
        self.settings_box = SettingsBox(self.controller)
        self.file_buttons = FileButtons(self.controller, self.files, self.replayer)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        for part in (
            self.scan_box,
            self.classes_box,
            self.mark_buttons,
            self.run_box,
            self.file_buttons,
            self.next_place_box,
            self.settings_box,
        ):
            column.addWidget(part)
        column.addStretch(1)
        self.setWidget(body)
        # Only ever scrolls up and down: it is as wide as its contents need to be.
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        body.installEventFilter(self)
        leave_wheel_alone(self)
        self._closed = False
        self.controller.finished.connect(self.segmented)
        self.controller.labels_shown.connect(self.labels_shown)
        self.destroyed.connect(self.controller.abandon)
        # After the scan was chosen: connected later than the box's own handler.
        self.scan_box.combo.currentIndexChanged.connect(self.slice_link.bring_navigator)
        self.scan_box.refresh()

    @property
    def busy(self) -> bool:
        """Whether something is being computed, read or written."""
        return self.controller.busy

    @property
    def settings(self) -> SegmentSettings:
        """How prompts become a segmentation."""
        return self.controller.settings

    @settings.setter
    def settings(self, settings: SegmentSettings) -> None:
        self.settings_box.show_settings(settings)
        self.controller.set_settings(settings)

    @property
    def clicks_layer(self) -> Points:
        """The current scan's Points layer, made when there is none."""
        return self._session().need_clicks().layer

    @property
    def scribbles_layer(self) -> Labels:
        """The current scan's scribbles, made when there are none."""
        return self._session().need_scribbles().layer

    @property
    def result_layer(self) -> Labels | None:
        """The current scan's segmentation, or None before the first."""
        session = self.controller.session
        return session.results.labels if session is not None else None

    def add_click(self, point_ras: ArrayLike, label: int | None = None) -> None:
        """Place a click (3,), world RAS mm, with a class; by default the current one.

        Raises
        ------
        MrisslError
            If there is no scan or no such class.
        """
        self._session().add_click(point_ras, label)

    def paint_ball(self, point_ras: ArrayLike, radius_mm: float, label: int | None = None) -> None:
        """Scribble the voxels within a ball around a point in world RAS mm; label 0 erases.

        Raises
        ------
        MrisslError
            If there is no scan or no such class.
        """
        self._session().paint_ball(point_ras, radius_mm, label)

    def choose_class(self, label: int) -> None:
        """Make a class the one that clicks and scribbles mark."""
        self.classes_box.choose(label)

    def segment(self) -> None:
        """Segment now; features are computed first when there are none."""
        self.controller.segment()

    def replay(self) -> None:
        """Make the segmentation again from its layer's metadata, and compare."""
        self.replayer.start()

    def undo(self) -> None:
        """Take back the newest click, stroke or class change."""
        self._session().undo()

    def redo(self) -> None:
        """Do again what was undone last."""
        self._session().redo()

    def save_segmentation(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the labels on the scan's own grid, in the background."""
        self.files.save_segmentation(path, overwrite=overwrite)

    def save_prompts(self, path: str | Path) -> None:
        """Write clicks and scribbles as CSV or JSON, in the background."""
        self.files.save_prompts(path)

    def load_prompts(self, path: str | Path) -> None:
        """Replace clicks and scribbles by a file's, in the background."""
        self.files.load_prompts(path)

    def session_state(self) -> dict[str, Any]:
        """What a session keeps: settings, tool, chosen scan and classes; marks are in layers."""
        return remembered(self)

    def restore_session(self, state: dict[str, Any]) -> None:
        """Take up what a session kept, and the marks in the layers that it brought back."""
        if problem := take_up(self, state):
            self.controller.say("error", problem)

    def shut_down(self) -> None:
        """End jobs and let go of the layers; they stay in the viewer."""
        if self._closed:
            return
        self._closed = True
        self.mouse_tool.close()
        self.next_place.close()
        self.slice_link.close()
        self.mark_buttons.unbind()
        self.scan_box.disconnect_viewer()
        self.controller.close()

    def minimumSizeHint(self) -> QSize:
        """As wide as the contents; low, because they scroll beside another dock."""
        needed = self.widget().minimumSizeHint().width()
        return QSize(needed + self.verticalScrollBar().sizeHint().width(), _LEAST_HEIGHT)

    def sizeHint(self) -> QSize:
        """All of the contents, as far as a small screen allows."""
        height = min(self.widget().sizeHint().height() + 8, _MOST_HEIGHT)
        return QSize(self.minimumSizeHint().width(), max(height, _LEAST_HEIGHT))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Never be narrower than what is in the panel, in any theme and font."""
        if (
            event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show)
            and watched is self.widget()
        ):
            needed = self.widget().minimumSizeHint().width()
            self.setMinimumWidth(needed + self.verticalScrollBar().sizeHint().width())
        return bool(super().eventFilter(watched, event))

    def _session(self) -> Any:
        return self.controller.need_session()
