"""Episodes added to a folder: alone with it, whole or not at all."""

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
from napari_mrissl.trajectories.columns import table_of, volume_of
from napari_mrissl.trajectories.contained import inside
from napari_mrissl.trajectories.entries import SOURCES, Entry, cleaned
from napari_mrissl.trajectories.episodes import Pictures, read_episode, write_episode
from napari_mrissl.trajectories.locks import locked
from napari_mrissl.trajectories.manifest import SOFTWARE, Manifest
from napari_mrissl.trajectories.places import EPISODES, REMOVED, aside, make_folder, removed_name
from napari_mrissl.trajectories.restoring import load, renew, settled
from napari_mrissl.trajectories.sampling import Samples
from napari_mrissl.trajectories.stored import StoredEpisodes


class GrowingEpisodes(StoredEpisodes):
    """The episodes of a folder, and how one more is written.

    Whatever changes them takes the dataset's lock for as long as it takes, and sees first
    what others have written.
    """

    _alone = False

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
        """Add sampled frames as the last episode; see `Dataset.append` and `Recorder.commit`.

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

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Alone with the dataset until the block ends; what is added is listed only then.

        For many episodes at once: else the manifest is read and written for each. Where the
        block ends badly nothing of it is listed, and its files are for `settle` to find.

        Raises
        ------
        MrisslError
            If another process is writing, or the disk refuses.
        """
        with self._writing():
            self._alone = True
            try:
                yield
            finally:
                self._alone = False
            self._commit(self._manifest)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone with the dataset, which is then as the manifest says."""
        if self._alone:
            yield
            return
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
        if not self._alone:
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
