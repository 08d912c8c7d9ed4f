"""Which run is inspected, and on which of the viewer's scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QWidget

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.ui.inspector.work import RunChoice
from napari_mrissl.ui.layers import METADATA_KEY, reading_of
from napari_mrissl.ui.recorder.parts import button, label_of
from napari_mrissl.ui.segmenter.prompt_layers import ROLE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_mrissl.volumes import Volume

_EVENTS = ("inserted", "removed", "renamed", "reordered")


class SourceBox(QWidget):
    """Choices of run and scan.

    Parameters
    ----------
    viewer
        Whose 3-D images can be chosen.

    Attributes
    ----------
    load_wanted : Signal(str)
        Folder of the run whose weights are to be loaded.
    folder_chosen : Signal(str)
        A run that may not be in the list.
    refresh_wanted : Signal()
        The list of runs is to be read again.
    scan_changed : Signal()
        Another scan was chosen, or the chosen one has gone.
    """

    load_wanted = Signal(str)
    folder_chosen = Signal(str)
    refresh_wanted = Signal()
    scan_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._scans: list[Image] = []
        self.runs: tuple[RunChoice, ...] = ()
        self.run = _combo("The run whose network is inspected; those with weights, newest first")
        self.load = button("Load", "Load the newest weights of this run")
        self.folder = button("Folder...", "Choose the folder of a run that is not in the list")
        self.refresh = button("Refresh", "Read the list of runs again")
        self.scan = _combo("The scan that the network is shown: any 3-D image of the viewer")
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 4, 6, 0)
        grid.setSpacing(4)
        grid.addWidget(label_of("Run", self.run), 0, 0)
        grid.addWidget(self.run, 0, 1, 1, 2)
        grid.addWidget(self.load, 0, 3)
        grid.addWidget(label_of("Scan", self.scan), 1, 0)
        grid.addWidget(self.scan, 1, 1)
        grid.addWidget(self.folder, 1, 2)
        grid.addWidget(self.refresh, 1, 3)
        grid.setColumnStretch(1, 1)
        self.load.clicked.connect(self._on_load)
        self.folder.clicked.connect(self._on_folder)
        self.refresh.clicked.connect(self.refresh_wanted)
        self.scan.currentIndexChanged.connect(lambda _: self.scan_changed.emit())
        for name in _EVENTS:
            getattr(viewer.layers.events, name).connect(self._on_layers)
        self._on_layers()
        self.present(())

    @property
    def layer(self) -> Image | None:
        """The chosen scan's layer."""
        number = self.scan.currentIndex()
        return self._scans[number] if 0 <= number < len(self._scans) else None

    @property
    def chosen(self) -> RunChoice | None:
        """The chosen run."""
        number = self.run.currentIndex()
        return self.runs[number] if 0 <= number < len(self.runs) else None

    def present(self, runs: Sequence[RunChoice]) -> None:
        """List these runs; the chosen one stays chosen, wherever it came from."""
        chosen = self.chosen
        listed = list(runs)
        if chosen is not None and chosen.folder not in [one.folder for one in listed]:
            listed.append(chosen)
        self.runs = tuple(listed)
        with QSignalBlocker(self.run):
            self.run.clear()
            for number, one in enumerate(self.runs):
                self.run.addItem(_words(one))
                self.run.setItemData(number, printable(str(one.folder)), 3)
            self.run.setCurrentIndex(0 if self.runs else -1)
            if chosen is not None:
                self.choose_run(chosen.folder)
        self.run.setEnabled(bool(self.runs))
        self.load.setEnabled(bool(self.runs))
        self.run.setPlaceholderText("no run has weights yet")

    def add(self, run: RunChoice) -> None:
        """Put a run in front and choose it."""
        self.present([run, *(one for one in self.runs if one.folder != run.folder)])
        self.choose_run(run.folder)

    def choose_run(self, folder: Path) -> bool:
        """Choose a run by its folder; False if it is not in the list."""
        folders = [one.folder for one in self.runs]
        if folder in folders:
            self.run.setCurrentIndex(folders.index(folder))
        return folder in folders

    def choose_scan(self, name: str) -> bool:
        """Choose a scan by its layer's name; False if there is none."""
        names = [layer.name for layer in self._scans]
        if name in names:
            self.scan.setCurrentIndex(names.index(name))
        return name in names

    def disconnect_viewer(self) -> None:
        """Stop following the viewer's layers, and let go of them."""
        for name in _EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self._on_layers)
        self._scans = []

    def _on_load(self) -> None:
        if self.chosen is not None:
            self.load_wanted.emit(str(self.chosen.folder))

    def _on_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "The folder of a run")
        if found:
            self.folder_chosen.emit(found)

    def _on_layers(self, _: Any = None) -> None:
        before = self.layer
        self._scans = [layer for layer in self._viewer.layers if is_scan(layer)]
        with QSignalBlocker(self.scan):
            self.scan.clear()
            self.scan.addItems([layer.name for layer in self._scans])
            # With a placeholder, a combo box chooses nothing by itself.
            number = self._scans.index(before) if before in self._scans else 0
            self.scan.setCurrentIndex(number if self._scans else -1)
        self.scan.setEnabled(bool(self._scans))
        self.scan.setPlaceholderText("open a scan first")
        if self.layer is not before:
            self.scan_changed.emit()


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(10)
    return combo


def _words(run: RunChoice) -> str:
    shuffled = ", shuffled targets" if run.shuffled else ""
    return printable(f"{run.folder.name}  ({run.method}, step {run.step}{shuffled})")


def is_scan(layer: Any) -> bool:
    """Whether a layer is a 3-D image that can be inspected, and no map that a dock made."""
    from napari.layers import Image

    if not isinstance(layer, Image) or layer.ndim != 3 or layer.rgb:
        return False
    return layer.metadata.get(METADATA_KEY, {}).get(ROLE) is None


def other_scans(
    viewer: ViewerModel, layer: Image | None, most: int
) -> list[tuple[str, Callable[[], Volume]]]:
    """The topmost other scans of a viewer, with what reads them."""
    found: list[tuple[str, Callable[[], Volume]]] = []
    for other in reversed(viewer.layers):
        if other is layer or not is_scan(other) or len(found) == most:
            continue
        try:
            found.append((other.name, reading_of(other)))
        except MrisslError:
            continue  # An image that is no scan is not compared.
    return found
