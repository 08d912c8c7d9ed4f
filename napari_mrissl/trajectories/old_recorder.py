"""Record a flight while it is flown: every pose goes to a journal at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories.flight import (
    FLIGHT_FILE,
    JOURNAL_FILE,
    Flight,
    flight_info,
    header_of,
    make_folder,
    read_flight,
    refuse_existing,
)
from napari_mrissl.trajectories.journal import Journal
from napari_mrissl.volumes.volume import Volume


class FlightRecorder:
    """Writes poses to a folder as they come; at most the last second can be lost.

    Parameters
    ----------
    folder
        Made if need be; must not hold a flight yet.
    volume
        The scan flown through. Its identity is found in the journal's thread.
    on_error
        Called once, in the journal's thread, if the disk refuses.
    **info
        JSON-able facts to keep beside the volume's geometry; no paths, no names.

    Attributes
    ----------
    folder, volume
        As given.

    Raises
    ------
    MrisslError
        If the folder holds a flight or cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        volume: Volume,
        *,
        on_error: Callable[[MrisslError], None] | None = None,
        **info: Any,
    ) -> None:
        self.folder = Path(folder)
        self.volume = volume
        self._frames = 0
        refuse_existing(self.folder)
        make_folder(self.folder)
        facts = flight_info(volume, **info)
        self._journal = Journal(
            self.folder / JOURNAL_FILE,
            lambda: header_of(volume.identity, facts),
            on_error=on_error,
        )

    @property
    def frames(self) -> int:
        """How many poses were recorded."""
        return self._frames

    def record(self, pose: Pose) -> int:
        """Record a pose, stamped now, and return its index; never waits for the disk.

        Raises
        ------
        MrisslError
            If the recording was stopped, or the disk refused an earlier pose.
        """
        index = self._journal.append({"pose": pose.to_row().tolist()})
        self._frames = index + 1
        return index

    def stop(self) -> Flight:
        """Finish: the journal becomes the flight's file, which is read back and returned.

        Raises
        ------
        MrisslError
            If the disk refused; what was written stays in the journal.
        """
        self._journal.close()
        journal = self.folder / JOURNAL_FILE
        if journal.exists():
            try:
                os.replace(journal, self.folder / FLIGHT_FILE)
            except OSError as error:
                raise MrisslError(
                    f"flight could not be finished ({error.strerror or type(error).__name__})",
                    where=journal,
                ) from error
        return read_flight(self.folder)
