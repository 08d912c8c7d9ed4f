"""The slice in view goes with the user to the run that is trained, for its next picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.ui.finetuning import work
from napari_mrissl.ui.jobs import JobRunner

if TYPE_CHECKING:
    from napari_mrissl.ui.finetuning.scene import Scene
    from napari_mrissl.ui.pretraining.follower import Follower
    from napari_mrissl.volumes import Volume

_REST_MS = 300
"""So long after the last move the run is told."""

_DIMS_EVENTS = ("point", "order", "ndisplay")


class _Told(NamedTuple):
    folder: Path
    scan: Volume
    place: tuple[float, float, float]
    axis: int


class PreviewLink(QObject):
    """Tells the run that is followed where the user looks; see `work.show_slice`.

    Parameters
    ----------
    scene
        Whose slice is in view.
    follower
        Of the run.

    Attributes
    ----------
    failed : Signal(str)
        The run's folder cannot be written, in one sentence.
    """

    failed = Signal(str)

    def __init__(self, scene: Scene, follower: Follower, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scene, self._follower = scene, follower
        self._told: _Told | None = None
        self._jobs = JobRunner(self, listed=False)
        self._jobs.failed.connect(self.failed)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self._tell)
        for emitter in self._emitters():
            emitter.connect(self._on_moved)
        follower.state_changed.connect(self._on_moved)

    @property
    def running(self) -> bool:
        """Whether the run is being told, or is about to be."""
        return self._timer.isActive() or self._jobs.running

    def close(self) -> None:
        """Tell nothing any more."""
        self._timer.stop()
        self._jobs.close()
        for emitter in self._emitters():
            emitter.disconnect(self._on_moved)

    def _emitters(self) -> list[Any]:
        viewer = self._scene.viewer
        events = [getattr(viewer.dims.events, name) for name in _DIMS_EVENTS]
        return [*events, viewer.layers.selection.events.active]

    @property
    def _heard(self) -> bool:
        """Whether a process of this machine looks for what is asked; else nothing is written."""
        state = self._follower.state
        return state is not None and state.here and self._follower.alive

    def _on_moved(self, _: Any = None) -> None:
        if self._heard:
            self._timer.start()

    def _tell(self) -> None:
        run, look = self._follower.run, self._scene.in_view()
        if run is None or look is None or not self._heard:
            return
        told = _Told(run.folder, *look)
        if told == self._told:
            return
        self._told = told
        self._jobs.start(
            lambda control: work.show_slice(control, run, look), title="slice of the preview"
        )
