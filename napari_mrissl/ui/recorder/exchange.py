"""Datasets written in the formats of others, and datasets made of what others wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.viewer
from napari.layers import Image
from qtpy.QtCore import QObject

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.trajectories import Dataset, remember
from napari_mrissl.trajectories.places import make_folder
from napari_mrissl.ui.jobs import Control
from napari_mrissl.ui.layers import METADATA_KEY, reading_of
from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.navigator.sharing import real_viewer
from napari_mrissl.ui.recorder import work
from napari_mrissl.ui.recorder.background import DeckWork, telling
from napari_mrissl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari_mrissl.trajectories.exchange.formats import Exported, Imported

Reading = tuple[tuple[int, ...] | None, Callable[[], Volume]]
"""Sides of a layer in any order, None where reading it costs nothing; and what reads it."""


class Exchange(DeckWork):
    """Exports the dataset at hand, and imports others, in the background.

    Parameters
    ----------
    deck
        Its dataset is exported; one that was imported becomes its dataset.
    viewer
        Scans that are open in it need not be found on this machine.
    """

    def __init__(
        self, deck: FlightDeck, viewer: napari.viewer.Viewer, parent: QObject | None = None
    ) -> None:
        super().__init__(deck, "", parent)
        self._viewer = real_viewer(viewer)

    def export(self, to: Exported, out: Path, size: int) -> None:
        """Write the dataset to a path that is not there yet, images of so many pixels a side."""
        folder, readings = self._deck.shelf.folder, self._readings()
        self._left = "nothing was exported"

        def write(control: Control) -> int:
            from napari_mrissl.trajectories.exchange import formats
            from napari_mrissl.trajectories.frames import Scans

            dataset = Dataset.open(folder)
            scans = Scans(fitting(readings, (entry.volume for entry in dataset.entries)))
            formats.export(to, dataset, out, size, scans=scans, progress=telling(control))
            self._left = f"{printable(out.name)} had been written before"
            return len(dataset)

        def done(count: int) -> None:
            self._deck.said.emit(f"Exported {_episodes(count)} to {printable(out.name)}.")

        self._jobs.start(write, title="Exporting the dataset", done=done)
        self.changed.emit()

    def load(self, source_format: Imported, source: Path) -> None:
        """Make a new dataset of a file or folder, and use it from then on.

        Flights that name no scan count as flown over the scan of the deck.
        """
        deck = self._deck
        volume, out = deck.volume, work.new_folder(but=deck.shelf.folder)
        self._left = "nothing was imported"

        def read(control: Control) -> int:
            from napari_mrissl.trajectories.exchange import formats

            make_folder(out.parent)
            scans = [] if volume is None else [volume]
            dataset = formats.load(
                source_format, source, out, scans=scans, progress=telling(control)
            )
            self._left = f"the dataset {out.name} had been made before"
            identities = {entry.identity for entry in dataset.entries}
            if volume is not None and volume.source and volume.identity in identities:
                remember(volume.identity, volume.source)
            work.note_recent(out)
            return len(dataset)

        def done(count: int) -> None:
            said = f"Imported {_episodes(count)} as {out.name}."
            if deck.recording or deck.saving:
                deck.said.emit(f"{said} Choose it once the recording has ended.")
                return
            deck.said.emit(said)
            deck.choose_dataset(out)

        self._jobs.start(read, title="Importing a dataset", done=done)
        self.changed.emit()

    def _readings(self) -> list[Reading]:
        """How the open scans are read, in any thread."""
        found: list[Reading] = []
        if self._deck.volume is not None:
            volume = self._deck.volume
            found.append((None, lambda: volume))
        for layer in self._viewer.layers:
            if not isinstance(layer, Image):
                continue
            try:
                read = reading_of(layer)
            except MrisslError:
                # Not a picture of a scan.
                continue
            sides = None if METADATA_KEY in layer.metadata else tuple(sorted(layer.data.shape))
            found.append((sides, read))
        return found


def fitting(readings: Iterable[Reading], wanted: Iterable[Mapping[str, Any]]) -> list[Volume]:
    """The scans whose shape is that of one that is wanted; no other lazy data are computed.

    Parameters
    ----------
    readings
        Of the open scans.
    wanted
        Facts about volumes, with their ``shape``.
    """
    shapes = {tuple(facts["shape"]) for facts in wanted}
    sorted_shapes = {tuple(sorted(shape)) for shape in shapes}
    found = []
    for sides, read in readings:
        if sides is not None and sides not in sorted_shapes:
            continue
        try:
            volume = read()
        except MrisslError:
            # Then it is looked up on this machine, which says what is wrong.
            continue
        if volume.shape in shapes:
            found.append(volume)
    return found


def _episodes(count: int) -> str:
    return f"{count} episode{'' if count == 1 else 's'}"
