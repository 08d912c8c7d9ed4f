"""What the panel of every method offers to the dock around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

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
        self._runners: list[JobRunner] = []

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        return any(runner.running for runner in self._runners)

    def runner(self, *, listed: bool) -> JobRunner:
        """Runs jobs of one kind; those that napari lists tell of their progress."""
        made = JobRunner(self, listed=listed)
        made.failed.connect(self.failed)
        made.idle.connect(self.busy_changed)
        if listed:
            made.progressed.connect(self.progressed)
            made.cancelled.connect(lambda: self.said.emit("Cancelled."))
        self._runners.append(made)
        return made

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        for runner in self._runners:
            runner.cancel()

    def close_runners(self) -> None:
        """End all jobs; nothing is told any more."""
        for runner in self._runners:
            runner.close()
