"""A dataset of flights: a folder with one parquet per episode and a manifest."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import manifest as manifests
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import SOURCES, Entry, check_volume, cleaned, is_rate
from napari_mrissl.trajectories.episodes import (
    Pictures,
    Table,
    file_digest,
    read_episode,
    rendered,
    write_episode,
)
from napari_mrissl.trajectories.flight import Flight
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
from napari_mrissl.trajectories.restoring import DEFAULT_HERTZ, Loaded, load, renew, settled
from napari_mrissl.trajectories.sampling import Samples, actions_between, frame_times, sample
from napari_mrissl.trajectories.unfinished import (
    Unfinished,
    live,
    read_interrupted,
    unfinished_in,
)
from napari_mrissl.volumes.volume import Volume

VOLUME_FACTS = ("shape", "spacing_mm", "affine", "frame")


class Dataset:
    """The episodes of a folder, as they were when it was opened or last reloaded.

    Whatever changes it takes the dataset's lock for as long as it takes, and sees first
    what others have written.

    Attributes
    ----------
    folder
        The folder.
    notes
        Sentences about what was not as it should be, to be shown.
    """

    def __init__(self, folder: str | Path, loaded: Loaded | None = None) -> None:
        self.folder = Path(folder)
        self.notes: tuple[str, ...] = ()
        self._verified: dict[str, tuple[int, int, int]] = {}
        self._manifest = Manifest(DEFAULT_HERTZ)
        self._take(load(self.folder) if loaded is None else loaded)

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

    @property
    def hertz(self) -> float:
        """Frames a second of all episodes."""
        return self._manifest.hertz

    @property
    def tasks(self) -> tuple[str, ...]:
        """Texts that ``task_index`` counts in."""
        return self._manifest.tasks

    @property
    def entries(self) -> list[Entry]:
        """What is known of each episode, in order."""
        return list(self._manifest.entries)

    @property
    def undone(self) -> list[Entry]:
        """Episodes that `redo_last` can bring back, the next one last."""
        return list(self._manifest.removed)

    def __len__(self) -> int:
        return len(self._manifest.entries)

    def reload(self) -> None:
        """See what others have written since.

        Raises
        ------
        MrisslError
            As `open`.
        """
        self._take(load(self.folder))

    def table(
        self, n: int, columns: Sequence[str] | None = None, start: int = 0, stop: int = -1
    ) -> Table:
        """Columns of an episode by name, after its checksum was found to be right.

        Arrays of float64 or int64: ``timestamp``, ``frame_index``, ``episode_index``,
        ``index``, ``task_index``, ``pose`` (frames, 8), ``action`` (frames, 7), and where
        recorded ``cursor_ras`` (frames, 3) and ``window`` (frames, 2), NaN where absent,
        ``layers``, ``clicks`` as one list of (x, y, z, label) a frame, and ``frame``
        (frames, size, size) float32.

        Parameters
        ----------
        n
            Which episode; negative numbers count from the end.
        columns
            Names; None for all but ``frame``.
        start, stop
            Frames; all by default.

        Raises
        ------
        MrisslError
            If there is no such episode, or its file is damaged.
        """
        entry = self._entry(n)
        self.verify(n)
        return read_episode(inside(self.folder, entry.file), entry, columns, start, stop)

    def verify(self, n: int, *, again: bool = False) -> None:
        """Refuse an episode whose file is not as it was written.

        Once it was right, it is read again only if the file has changed, or on demand.

        Raises
        ------
        MrisslError
            If it is damaged or missing.
        """
        entry = self._entry(n)
        path = inside(self.folder, entry.file)
        signature = _signature(path)
        if not again and self._verified.get(entry.file) == signature:
            return
        if file_digest(path) != (entry.sha256, entry.bytes):
            raise MrisslError(
                "does not match its checksum",
                where=path,
                remedy="run mrissl trajectory repair on the dataset, or use a copy",
            )
        self._verified[entry.file] = signature

    def flight(self, n: int) -> Flight:
        """An episode as a flight, to be replayed.

        Raises
        ------
        MrisslError
            As `table`.
        """
        entry = self._entry(n)
        table = self.table(n, ("pose",))
        facts = {name: entry.volume[name] for name in VOLUME_FACTS}
        made = {"policy": entry.policy, "seed": entry.seed, "task": entry.task}
        return Flight(
            entry.identity,
            [Pose.from_row(row) for row in table["pose"]],
            frame_times(entry.frames, entry.hertz),
            {**facts, "software": entry.software, "source": entry.source}
            | {name: value for name, value in made.items() if value not in (None, "")},
        )

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
        progress: Callable[[float], None] | None = None,
    ) -> Entry:
        """Add sampled frames as the last episode; see `append` and `Recorder.commit`."""
        if source not in SOURCES:
            raise MrisslError(f"source {source!r}", expected=", ".join(SOURCES))
        with self._writing():
            if uid is not None and (known := self._listed(uid)) is not None:
                return known
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
                volume=_volume(identity, info),
                software=SOFTWARE,
                source=source,
                policy=None if policy is None else cleaned(str(policy)),
                seed=None if seed is None else int(seed),
                columns=(),
                layers=samples.layer_names if "layers" in columns else (),
                frame_size=frame_size,
                statistics={},
                content="",
            )
            make_folder(inside(self.folder, EPISODES))
            table = _table(samples, entry, columns)
            with self._removed_on_error(entry.file):
                entry = write_episode(self.folder, entry, table, pictures, progress)
                self._commit(replace(grown, entries=(*grown.entries, entry), removed=()))
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
        """Bring back the episode that was undone last.

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
            aside(self.folder, stored, EPISODES, Path(entry.file).name)
            entries = (*self._manifest.entries, entry)
            self._commit(replace(self._manifest, entries=entries, removed=tuple(left)))
            return entry

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
            grown, number = self._manifest.with_task(cleaned(task))
            new = replace(
                old,
                task=cleaned(task),
                task_index=number,
                file=self._free_name(old.episode_index),
            )
            table = self.table(n)
            table["task_index"] = np.full(old.frames, number, np.int64)
            pictures = None
            if "frame" in old.columns:

                def pictures(start: int, stop: int) -> Any:
                    return self.table(n, ("frame",), start, stop)["frame"]

            with self._removed_on_error(new.file):
                new = write_episode(self.folder, new, table, pictures)
                entries = tuple(new if entry is old else entry for entry in grown.entries)
                self._commit(replace(grown, entries=entries))
            aside(self.folder, inside(self.folder, old.file), REMOVED)
            return new

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
            The scan, needed only where rendered slices were to be stored; without it
            the episode has none, and `notes` says so.

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
            size, pictures = told.header["frame_size"], None
            if size is not None and volume is None:
                self.notes += ("The recovered episode has no stored slices: no scan was given.",)
                size = None
            if size is not None and volume is not None:
                if volume.identity != told.identity:
                    raise MrisslError("is another scan", where=volume.name, expected=told.identity)
                pictures = rendered(volume, samples.poses, size)
            entry = self.add(
                samples,
                told.identity,
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

    def _take(self, loaded: Loaded) -> None:
        self._manifest, self.notes = loaded.manifest, loaded.notes

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
        manifests.write(self.folder, manifest)
        self._manifest = manifest

    def _entry(self, n: int) -> Entry:
        try:
            return self._manifest.entries[n]
        except IndexError:
            raise MrisslError(
                f"no episode {n}", where=self.folder, expected=f"one of {len(self)}"
            ) from None

    def _listed(self, uid: str) -> Entry | None:
        return next((entry for entry in self._manifest.entries if entry.uid == uid), None)

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


def _table(samples: Samples, entry: Entry, columns: frozenset[str]) -> Table:
    frames = np.arange(entry.frames, dtype=np.int64)
    table: Table = {
        "timestamp": frames / entry.hertz,
        "frame_index": frames,
        "episode_index": np.full(entry.frames, entry.episode_index, np.int64),
        "index": frames + entry.first_index,
        "task_index": np.full(entry.frames, entry.task_index, np.int64),
        "pose": samples.poses,
        "action": actions_between(samples.poses),
    }
    optional = {
        "cursor": ("cursor_ras", samples.cursor),
        "window": ("window", samples.window),
        "clicks": ("clicks", samples.clicks),
        "layers": ("layers", samples.layers),
    }
    return table | dict(optional[name] for name in optional if name in columns)


def _volume(identity: str, info: dict[str, Any]) -> dict[str, Any]:
    missing = [name for name in VOLUME_FACTS if name != "frame" and name not in info]
    if missing:
        raise MrisslError(
            f"flight does not say its volume's {missing[0]}", expected="the facts of flight_info"
        )
    facts = {name: info.get(name, 0) for name in VOLUME_FACTS}
    check_volume(facts, Path("flight"))
    return {"identity": identity, **facts}


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        facts = os.stat(path)
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})",
            where=path,
            expected="an episode of the dataset",
        ) from error
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


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
