"""The episodes of a folder, to be read: tables, flights, and whether they are as written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories.columns import VOLUME_FACTS, Table
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import Entry
from napari_mrissl.trajectories.episodes import file_digest, read_episode, unreadable
from napari_mrissl.trajectories.flight import Flight
from napari_mrissl.trajectories.manifest import Manifest
from napari_mrissl.trajectories.restoring import DEFAULT_HERTZ, Loaded, load
from napari_mrissl.trajectories.sampling import frame_times


class StoredEpisodes:
    """The episodes of a folder, as they were when it was opened or last reloaded.

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

    def _take(self, loaded: Loaded) -> None:
        self._manifest, self.notes = loaded.manifest, loaded.notes

    def _entry(self, n: int) -> Entry:
        try:
            return self._manifest.entries[n]
        except IndexError:
            raise MrisslError(
                f"no episode {n}", where=self.folder, expected=f"one of {len(self)}"
            ) from None


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        facts = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
