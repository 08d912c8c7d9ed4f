"""What the panel of every method offers to the dock around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.job_group import JobGroup
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.pretraining.curves import Look

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


@runtime_checkable
class MethodPanel(Protocol):
    """A widget that shows what a network of one method knows of one scan.

    Attributes
    ----------
    said, failed : Signal(str)
        A sentence for the user.
    progressed : Signal(float, str)
        Of what is being done in the background.
    busy_changed : Signal()
        Something began or ended.
    """

    said: Any
    failed: Any
    progressed: Any
    busy_changed: Any

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""

    def open(self, run: Path, layer: Image | None) -> None:
        """Load the weights of a run in the background, and look at a scan with them."""

    def set_layer(self, layer: Image | None) -> None:
        """Look at another scan with the same weights."""

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""

    def cancel(self) -> None:
        """Stop what goes on in the background."""

    def state(self) -> dict[str, Any]:
        """What a session keeps, as plain data."""

    def take_state(self, state: dict[str, Any]) -> list[str]:
        """Take up what `state` gave; names of what is not usable."""

    def shut_down(self) -> None:
        """End all work and remove the layers; the panel is of no more use."""


class JobPanel(QWidget):
    """The signals of a `MethodPanel`, and jobs in the background that tell them.

    Parameters
    ----------
    viewer
        Where results are drawn as layers.
    """

    said = Signal(str)
    failed = Signal(str)
    progressed = Signal(float, str)
    busy_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.jobs = JobGroup(self)
        self.jobs.failed.connect(self.failed)
        self.jobs.progressed.connect(self.progressed)
        self.jobs.idle.connect(self.busy_changed)
        self.jobs.cancelled.connect(lambda: self.said.emit("Cancelled."))

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        return self.jobs.busy

    def runner(self, *, listed: bool) -> JobRunner:
        """Runs jobs of one kind; those that napari lists tell of their progress."""
        return self.jobs.runner(listed=listed)

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        self.jobs.cancel()

    def close_runners(self) -> None:
        """End all jobs; nothing is told any more."""
        self.jobs.close()
