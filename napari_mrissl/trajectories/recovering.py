"""Recordings that were cut off become episodes after all, or are put away."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import Entry
from napari_mrissl.trajectories.episodes import rendered
from napari_mrissl.trajectories.flight import check_geometry
from napari_mrissl.trajectories.growing import GrowingEpisodes
from napari_mrissl.trajectories.locks import holder
from napari_mrissl.trajectories.places import OPEN, QUARANTINE, REMOVED, aside
from napari_mrissl.trajectories.unfinished import (
    Interrupted,
    Unfinished,
    live,
    read_interrupted,
    unfinished_in,
)
from napari_mrissl.volumes.volume import Volume


class RecoverableEpisodes(GrowingEpisodes):
    """The episodes of a folder, and the recordings in it that were never finished."""

    def unfinished(self) -> list[Unfinished]:
        """Recordings that were cut off and that no living recorder is writing.

        None while another process writes into the dataset: they may be its own.
        """
        if holder(self.folder) not in (None, os.getpid()):
            return []
        return unfinished_in(self.folder)

    def recover(
        self,
        unfinished: Unfinished,
        volume: Volume | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Entry:
        """Make an episode of a recording that was cut off, as `Recorder.commit` would have.

        Parameters
        ----------
        unfinished
            One of `unfinished`.
        volume
            The scan. Needed where the recording was cut off before it knew its scan's
            identity (then it must have the geometry noted there), and where rendered slices
            were to be stored; without it the episode has none, and `notes` says so.

        Raises
        ------
        MrisslError
            If its journal is gone or unusable, the volume is another, another process is
            writing, or the disk refuses; the journal is then still there.
        """
        with self._writing():
            path = self._own_journal(unfinished)
            told = read_interrupted(path)
            samples = told.samples(self.hertz)
            identity = _identity_of(told, volume)
            size, pictures = told.header["frame_size"], None
            if size is not None and volume is None:
                self.notes += ("The recovered episode has no stored slices: no scan was given.",)
                size = None
            if size is not None and volume is not None:
                if volume.identity != identity:
                    raise MrisslError("is another scan", where=volume.name, expected=identity)
                pictures = rendered(volume, samples.poses, size)
            entry = self.add(
                samples,
                identity,
                told.header["info"],
                task=told.task,
                columns=told.columns,
                uid=path.stem,
                frame_size=size,
                pictures=pictures,
                progress=progress,
            )
            # A damaged journal may hold more than could be had from it.
            aside(self.folder, path, QUARANTINE if told.damage else REMOVED)
            return entry

    def dismiss(self, unfinished: Unfinished) -> None:
        """Put the journal of a recording that was cut off into ``removed``.

        Raises
        ------
        MrisslError
            If it is gone, another process is writing, or the disk refuses.
        """
        with self._writing():
            aside(self.folder, self._own_journal(unfinished), REMOVED)

    def _own_journal(self, unfinished: Unfinished) -> Path:
        path = inside(self.folder, f"{OPEN}/{unfinished.path.name}")
        if not path.exists() or os.path.realpath(path) in live:
            raise MrisslError("is no unfinished recording", where=path)
        return path


def _identity_of(told: Interrupted, volume: Volume | None) -> str:
    """Which scan an unfinished recording was flown over; where it does not say, the given one."""
    if told.identity is not None:
        return told.identity
    if volume is None:
        raise MrisslError(
            "the recording was cut off before it knew its scan",
            remedy="open the scan it was flown over, and recover it over that one",
        )
    check_geometry(volume, told.header["info"])
    return volume.identity
