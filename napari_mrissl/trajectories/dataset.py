"""A dataset of flights: a folder with one parquet per episode and a manifest."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import manifest as manifests
from napari_mrissl.trajectories.cleaning import check_cleanable, take_away
from napari_mrissl.trajectories.columns import table_of, volume_of
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import SOURCES, Entry, cleaned, is_rate
from napari_mrissl.trajectories.episodes import (
    Pictures,
    file_digest,
    read_episode,
    rendered,
    write_episode,
)
from napari_mrissl.trajectories.flight import Flight, check_geometry
from napari_mrissl.trajectories.locks import holder, locked
from napari_mrissl.trajectories.manifest import SOFTWARE, Manifest
from napari_mrissl.trajectories.places import (
    EPISODES,
    OPEN,
    QUARANTINE,
    REMOVED,
    aside,
    make_folder,
    removed_name,
)
from napari_mrissl.trajectories.restoring import DEFAULT_HERTZ, load, renew, settled
from napari_mrissl.trajectories.sampling import Samples, sample
from napari_mrissl.trajectories.stored import StoredEpisodes
from napari_mrissl.trajectories.unfinished import (
    Interrupted,
    Unfinished,
    live,
    read_interrupted,
    unfinished_in,
)
from napari_mrissl.volumes.volume import Volume


class Dataset(StoredEpisodes):
    """The episodes of a folder, to be read and to be added to.

    Whatever changes it takes the dataset's lock for as long as it takes, and sees first
    what others have written.

    Attributes
    ----------
    folder
        The folder.
    notes
        Sentences about what was not as it should be, to be shown.
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

    def add(
        self,
        samples: Samples,
        identity: str,
        info: dict[str, Any],
        *,
        task: str = "",
        source: str = "recorded",
        policy: str | None = None,
        seed: int | None = None,
        columns: frozenset[str] = frozenset(),
        uid: str | None = None,
        frame_size: int | None = None,
        pictures: Pictures | None = None,
        undone: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Entry:
        """Add sampled frames as the last episode; see `append` and `Recorder.commit`.

        With ``undone`` it is put where `undo_last` would have put it, for `redo_last` to
        bring back; what was undone before can still be brought back after it.
        """
        if source not in SOURCES:
            raise MrisslError(f"source {source!r}", expected=", ".join(SOURCES))
        with self._writing():
            known = next((entry for entry in self._manifest.entries if entry.uid == uid), None)
            if known is not None and self._holds(known, samples, frame_size):
                return known
            # The same recording, but more or less of it: recovered while it went on.
            if uid in {entry.uid for entry in (*self._manifest.entries, *self._manifest.removed)}:
                uid = None
            grown, number = self._manifest.with_task(cleaned(task))
            count = len(samples.poses)
            entry = Entry(
                file=self._free_name(grown.next_number),
                sha256="",
                bytes=0,
                uid=uid or secrets.token_hex(16),
                episode_index=grown.next_number,
                first_index=grown.next_index,
                frames=count,
                hertz=self.hertz,
                duration_s=(count - 1) / self.hertz,
                cut_s=samples.cut_s,
                task_index=number,
                task=cleaned(task),
                volume=volume_of(identity, info),
                software=SOFTWARE,
                source=source,
                policy=None if policy is None else cleaned(str(policy)),
                seed=None if seed is None else int(seed),
                columns=(),
                layers=samples.layer_names if "layers" in columns else (),
                frame_size=frame_size,
                statistics={},
                content="",
                cuts=samples.cuts,
            )
            make_folder(inside(self.folder, EPISODES))
            table = table_of(samples, entry, columns)
            with self._removed_on_error(entry.file):
                entry = write_episode(self.folder, entry, table, pictures, progress)
                if undone:
                    self._commit(replace(grown, removed=(*grown.removed, entry)))
                else:
                    self._commit(replace(grown, entries=(*grown.entries, entry), removed=()))
            if undone:
                path = inside(self.folder, entry.file)
                aside(self.folder, path, REMOVED, removed_name(entry))
            if samples.layers_left_out and "layers" in columns:
                count, room = samples.layers_left_out, len(samples.layer_names)
                self.notes += (f"{count} layers were left out: an episode has room for {room}.",)
            return entry

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

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone with the dataset, which is then as the manifest says."""
        with locked(self.folder):
            loaded = load(self.folder, again=True)
            if loaded.damaged:
                renew(self.folder, loaded.manifest)
            self._manifest = settled(self.folder, loaded.manifest)
            yield

    @contextlib.contextmanager
    def _removed_on_error(self, name: str) -> Iterator[None]:
        """A new file that no manifest came to list is not left to be listed later."""
        try:
            yield
        except BaseException:
            # Where even this is refused, the error that led here is the one to be told.
            with contextlib.suppress(OSError, MrisslError):
                if all(entry.file != name for entry in manifests.read(self.folder).entries):
                    inside(self.folder, name).unlink(missing_ok=True)
            raise

    def _commit(self, manifest: Manifest) -> None:
        manifest = manifest.trimmed()
        manifests.write(self.folder, manifest)
        self._manifest = manifest

    def _holds(self, entry: Entry, samples: Samples, frame_size: int | None) -> bool:
        """Whether an episode is that of these samples."""
        if (entry.frames, entry.frame_size) != (len(samples.poses), frame_size):
            return False
        path = inside(self.folder, entry.file)
        return np.array_equal(read_episode(path, entry, ("pose",))["pose"], samples.poses)

    def _rewritten(self, path: Path, old: Entry, new: Entry) -> Entry:
        """Write an episode anew with other numbers."""
        table = read_episode(path, old)
        table["episode_index"] = np.full(old.frames, new.episode_index, np.int64)
        table["index"] = np.arange(old.frames, dtype=np.int64) + new.first_index
        table["task_index"] = np.full(old.frames, new.task_index, np.int64)
        pictures = None
        if "frame" in old.columns:

            def pictures(start: int, stop: int) -> Any:
                return read_episode(path, old, ("frame",), start, stop)["frame"]

        return write_episode(self.folder, new, table, pictures)

    def _free_name(self, number: int) -> str:
        name, writing = f"{EPISODES}/episode_{number:06d}.parquet", 0
        while os.path.lexists(self.folder / name):
            writing += 1
            name = f"{EPISODES}/episode_{number:06d}-{writing}.parquet"
        return name


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
