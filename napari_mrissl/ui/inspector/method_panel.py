"""What the panel of every method offers to the dock around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_mrissl.ui.pretraining.curves import Look

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class MethodPanel(QWidget):
    """Shows what a network of one method knows of one scan.

    Parameters
    ----------
    viewer
        Where results are drawn as layers.

    Attributes
    ----------
    said, failed : Signal(str)
        A sentence for the user.
    progressed : Signal(float, str)
        Of what is being done in the background.
    busy_changed : Signal()
        Something began or ended.
    """

    said = Signal(str)
    failed = Signal(str)
    progressed = Signal(float, str)
    busy_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        raise NotImplementedError

    def open(self, run: Path, layer: Image | None) -> None:
        """Load the weights of a run in the background, and look at a scan with them."""
        raise NotImplementedError

    def set_layer(self, layer: Image | None) -> None:
        """Look at another scan with the same weights."""
        raise NotImplementedError

    def set_look(self, look: Look) -> None:
        """Take the colours of a theme."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stop what goes on in the background."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What a session keeps, as plain data."""
        raise NotImplementedError

    def take_state(self, state: dict[str, Any]) -> list[str]:
        """Take up what `state` gave; names of what is not usable."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """End all work and remove the layers; the panel is of no more use."""
        raise NotImplementedError
