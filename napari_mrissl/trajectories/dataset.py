"""A dataset of flights: a folder with one parquet per episode and a manifest."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import manifest as manifests
from napari_mrissl.trajectories.cleaning import check_cleanable, take_away
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import Entry, cleaned, is_rate
from napari_mrissl.trajectories.episodes import file_digest
from napari_mrissl.trajectories.flight import Flight
from napari_mrissl.trajectories.locks import locked
from napari_mrissl.trajectories.manifest import Manifest
from napari_mrissl.trajectories.places import (
    EPISODES,
    REMOVED,
    aside,
    make_folder,
    removed_name,
)
from napari_mrissl.trajectories.recovering import RecoverableEpisodes
from napari_mrissl.trajectories.restoring import DEFAULT_HERTZ, load
from napari_mrissl.trajectories.sampling import sample


class Dataset(RecoverableEpisodes):
    """The episodes of a folder, to be read and to be added to.

    Reading is in `StoredEpisodes`, adding in `GrowingEpisodes`, recordings that were cut
    off are in `RecoverableEpisodes`; here is how a dataset begins and what can be changed.
    """

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """The dataset in a folder; a damaged manifest is made up for, and `notes` says so.

        Raises
        ------
        MrisslError
            If there is none, or it may be hostile.
        """
        return cls(folder)

    @classmethod
    def create(cls, folder: str | Path, hertz: float = DEFAULT_HERTZ) -> Dataset:
        """A new dataset in a folder that is empty or not there.

        Raises
        ------
        MrisslError
            If the folder holds anything, cannot be made, or the rate is not usable.
        """
        folder = Path(folder)
        if not is_rate(hertz):
            raise MrisslError(f"{hertz} frames a second", expected="0.01 to 1000")
        make_folder(folder)
        with locked(folder):
            _refuse_filled(folder)
            manifests.write(folder, Manifest(float(hertz)))
        return cls(folder)

    def append(
        self,
        flight: Flight,
        *,
        task: str = "",
        source: str = "policy",
        policy: str | None = None,
        seed: int | None = None,
    ) -> Entry:
        """Add a flight as the last episode, at the dataset's rate.

        A flight at another rate is sampled: each frame is the newest pose not after it.

        Parameters
        ----------
        task
            What was to be done, in words.
        source
            ``policy``, ``spline`` or ``recorded``.
        policy, seed
            How it was made; by default as the flight's ``info`` says.

        Raises
        ------
        MrisslError
            If the flight has no pose, its volume's facts are missing, another process
            is writing, or the disk refuses; the dataset is then as it was.
        """
        self._manifest.check_room(cleaned(task))
        events = [
            (int(t), {"pose": pose.to_row().tolist()})
            for t, pose in zip(flight.times_ns, flight.poses, strict=True)
        ]
        samples = sample(events, self.hertz, idle_seconds=None)
        return self.add(
            samples,
            flight.identity,
            flight.info,
            task=task,
            source=source,
            policy=policy if policy is not None else flight.info.get("policy"),
            seed=seed if seed is not None else flight.info.get("seed"),
        )

    def undo_last(self) -> Entry:
        """Take the last episode out; its file is kept in ``removed``.

        Raises
        ------
        MrisslError
            If there is none, another process is writing, or the disk refuses.
        """
        with self._writing():
            if not len(self):
                raise MrisslError("no episode to undo", where=self.folder)
            *kept, last = self._manifest.entries
            removed = (*self._manifest.removed, last)
            self._commit(replace(self._manifest, entries=tuple(kept), removed=removed))
            aside(self.folder, inside(self.folder, last.file), REMOVED, removed_name(last))
            return last

    def redo_last(self) -> Entry:
        """Bring back the episode that was undone last, as the last one.

        Where its number was taken meanwhile its file is written anew.

        Raises
        ------
        MrisslError
            If there is none, another process is writing, or the disk refuses.
        """
        with self._writing():
            if not self._manifest.removed:
                raise MrisslError("no episode to redo", where=self.folder)
            *left, entry = self._manifest.removed
            stored = inside(self.folder, f"{REMOVED}/{removed_name(entry)}")
            if file_digest(stored) != (entry.sha256, entry.bytes):
                raise MrisslError("does not match its checksum", where=stored)
            grown, number = self._manifest.with_task(entry.task)
            grown = replace(grown, removed=tuple(left))
            first = (grown.next_number, grown.next_index)
            if number == entry.task_index and all(
                a >= b for a, b in zip((entry.episode_index, entry.first_index), first, strict=True)
            ):
                aside(self.folder, stored, EPISODES, Path(entry.file).name)
                self._commit(replace(grown, entries=(*grown.entries, entry)))
                return entry
            new = replace(
                entry,
                task_index=number,
                episode_index=first[0],
                first_index=first[1],
                file=self._free_name(first[0]),
            )
            with self._removed_on_error(new.file):
                new = self._rewritten(stored, entry, new)
                self._commit(replace(grown, entries=(*grown.entries, new)))
            return new

    def set_task(self, task: str, n: int = -1) -> Entry:
        """Give an episode another task text; its file is written anew.

        Raises
        ------
        MrisslError
            If there is no such episode, its file is damaged, another process is writing,
            or the disk refuses; the dataset is then as it was.
        """
        with self._writing():
            old = self._entry(n)
            self._manifest.check_room(cleaned(task))
            grown, number = self._manifest.with_task(cleaned(task))
            new = replace(
                old,
                task=cleaned(task),
                task_index=number,
                file=self._free_name(old.episode_index),
            )
            self.verify(n)
            with self._removed_on_error(new.file):
                new = self._rewritten(inside(self.folder, old.file), old, new)
                entries = tuple(new if entry is old else entry for entry in grown.entries)
                self._commit(replace(grown, entries=entries))
            aside(self.folder, inside(self.folder, old.file), REMOVED)
            return new

    def check_task(self, task: str) -> None:
        """Refuse a task text for which the dataset has no room.

        Raises
        ------
        MrisslError
            If it is new and there are too many already.
        """
        self._manifest.check_room(cleaned(task))

    def settle(self) -> None:
        """Finish what a killed process had begun: list whole episodes, remove temporary files.

        Whatever writes into the dataset does so first; this is for those who want to see
        the result before they write.

        Raises
        ------
        MrisslError
            If another process is writing, or the disk refuses.
        """
        with self._writing():
            pass

    def clean(self) -> list[str]:
        """Make the dataset ready to be shared: only its episodes and its manifest stay.

        Undone episodes, earlier writings of episodes, what `repair` set aside, recordings
        that were cut off, and the manifest before are deleted. This cannot be undone.

        Returns
        -------
        list of str
            Names of the files that are gone.

        Raises
        ------
        MrisslError
            If anybody is recording or writing into the dataset, it needs to be repaired
            first, or the disk refuses.
        """
        with self._writing():
            check_cleanable(self.folder, self._manifest)
            self._commit(replace(self._manifest, removed=()))
            return take_away(self.folder)


def open_or_create(folder: str | Path, hertz: float | None = None) -> Dataset:
    """The dataset in a folder, or a new one there.

    Parameters
    ----------
    hertz
        Frames a second; None for those of the dataset, or 20 for a new one.

    Raises
    ------
    MrisslError
        If the dataset has another rate, or as `Dataset.open` and `Dataset.create`.
    """
    folder = Path(folder)
    if not os.path.lexists(folder) or not any(
        os.path.lexists(folder / name)
        for name in (manifests.MANIFEST, manifests.PREVIOUS, EPISODES)
    ):
        return Dataset.create(folder, DEFAULT_HERTZ if hertz is None else hertz)
    dataset = Dataset(folder, load(folder, again=True))
    if hertz is not None and hertz != dataset.hertz:
        raise MrisslError(
            f"dataset has {dataset.hertz:g} frames a second",
            where=folder,
            expected=f"{hertz:g}",
            remedy="record at its rate or choose another folder",
        )
    return dataset


def _refuse_filled(folder: Path) -> None:
    try:
        found = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=folder
        ) from error
    if found:
        raise MrisslError(
            "folder is not empty" if manifests.MANIFEST not in found else "holds a dataset already",
            where=folder,
            remedy="choose an empty folder or a new name",
        )
