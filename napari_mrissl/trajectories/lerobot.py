"""Export of a dataset of flights as a finalized LeRobot v3.0 folder.

LeRobot reads images as 8-bit RGB, so frames lose grey levels here, and nowhere else: black
and white of each scan are kept in ``meta/info.json`` under ``napari_mrissl``, with
value = black + (white - black) * grey / 255. Frames in full are had from the dataset itself.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing.pictures import gray
from napari_mrissl.trajectories import lerobot_layout as layout
from napari_mrissl.trajectories.frames import Episodes, Frames, Scans
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.trajectories.sampling import actions_between
from napari_mrissl.volumes.atomic import write_text

if TYPE_CHECKING:
    from napari_mrissl.trajectories.dataset import Dataset

LARGEST_SIZE = 2048

_AT_ONCE = 32
_ROW_GROUP_BYTES = 256 << 20

Progress = Callable[[float], None]


def export(
    dataset: Dataset,
    out: str | Path,
    size: int = 256,
    *,
    scans: Scans | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a dataset as a LeRobot v3.0 folder: all of it, or nothing.

    ``observation.state`` is the pose (8), ``action`` the action (7) to the next frame (zeros
    in an episode's last), ``observation.image`` the slice in 8 bits, three equal channels.
    Episodes at another rate than the dataset's are held to its rate.

    Parameters
    ----------
    dataset
        What to export.
    out
        A folder that is not there yet, outside the dataset's.
    size
        Pixels along a side of the images.
    scans
        Where the scans come from; without it, they are looked up on this machine.
    progress
        Called with the fraction done. What it raises ends the export and passes through.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    MrisslError
        If there is no episode, one is damaged, a scan is not found, or the folder is
        there or cannot be written. Nothing is left behind then.
    """
    out = Path(out)
    _check_out(out, Path(dataset.folder))
    if not 1 <= size <= LARGEST_SIZE:
        raise MrisslError(f"image size {size}", expected=f"1 to {LARGEST_SIZE} pixels")
    if not len(dataset):
        raise MrisslError("the dataset has no episode", where=Path(dataset.folder))
    with new_folder(out) as partial:
        _Export(dataset, partial, size, scans or Scans(), progress).run()
    return out


def _check_out(out: Path, source: Path) -> None:
    inside, whole = os.path.realpath(out), os.path.realpath(source)
    if os.path.commonpath([inside, whole]) == whole:
        raise MrisslError("lies in the dataset itself", where=out, remedy="give another folder")


class _Export:
    """One export under way: what the layout needs to know from episode to episode."""

    def __init__(
        self, dataset: Dataset, folder: Path, size: int, scans: Scans, progress: Progress | None
    ) -> None:
        self.hertz = dataset.hertz
        self.episodes = Episodes(dataset)
        self.folder = folder
        self.frames = Frames(self.episodes, size, scans)
        self.progress = progress
        self.done = 0
        self.total = sum(entry.frames for entry in self.episodes.entries)
        # Tasks that no episode has any more stay at home.
        self.tasks = list(dict.fromkeys(entry.task for entry in self.episodes.entries))
        self.grey: dict[str, tuple[float, float]] = {}

    def run(self) -> None:
        """Write all files of the layout."""
        import pyarrow.parquet as pq

        rows, numbers, histograms = [], [], []
        place, start, writer = layout.Place(), 0, None
        try:
            for episode in range(len(self.episodes)):
                columns, pictures, histogram = self._episode(episode, start)
                begins = place.take(sum(map(len, pictures)))
                if writer is None or begins:
                    if writer is not None:
                        writer.close()
                    path = self._made(place.path(layout.DATA_PATH))
                    writer = pq.ParquetWriter(path, layout.data_schema())
                for table in _row_groups(columns, pictures):
                    writer.write_table(table)
                count = len(pictures)
                row = self._about(episode, start, count, place)
                statistics = layout.statistics(columns, histogram)
                for name, found in statistics.items():
                    row |= {f"stats/{name}/{key}": value for key, value in found.items()}
                rows.append(row)
                numbers.append(columns)
                histograms.append(histogram)
                start += count
        finally:
            if writer is not None:
                writer.close()
        pq.write_table(
            layout.episodes_table(rows), self._made(layout.Place().path(layout.EPISODES_PATH))
        )
        pq.write_table(layout.tasks_table(self.tasks), self.folder / "meta" / "tasks.parquet")
        together = {name: np.concatenate([n[name] for n in numbers]) for name in numbers[0]}
        summary = layout.statistics(together, np.sum(histograms, axis=0))
        self._write_json("stats.json", summary)
        self._write_json("info.json", self._info(start))

    def _episode(
        self, episode: int, start: int
    ) -> tuple[dict[str, NDArray[Any]], list[bytes], NDArray[np.int64]]:
        """Numbers by feature, PNG files, and a histogram of grey levels."""
        kept = self.episodes.rows_at(episode, self.hertz)
        poses = self.episodes.table(episode)["pose"][kept]
        count = len(kept)
        window = self._grey(episode)
        histogram = np.zeros(256, np.int64)
        pictures = []
        for first in range(0, count, _AT_ONCE):
            (slices,) = self.frames.of([(episode, kept[first : first + _AT_ONCE])])
            for picture in gray(slices, window):
                histogram += np.bincount(picture.reshape(-1), minlength=256)
                pictures.append(_png(picture))
            part = min(first + _AT_ONCE, count) / count
            if self.progress:
                frames = self.episodes.entries[episode].frames
                self.progress((self.done + part * frames) / self.total)
        self.done += self.episodes.entries[episode].frames
        columns = {
            "observation.state": poses.astype(np.float32),
            "action": actions_between(poses).astype(np.float32),
            "timestamp": (np.arange(count) / self.hertz).astype(np.float32),
            "frame_index": np.arange(count),
            "episode_index": np.full(count, episode),
            "index": start + np.arange(count),
            "task_index": np.full(count, self.tasks.index(self.episodes.entries[episode].task)),
        }
        return columns, pictures, histogram

    def _grey(self, episode: int) -> tuple[float, float]:
        """The values shown as black and white for an episode: one pair a scan."""
        facts = self.episodes.entries[episode].volume
        identity = facts["identity"]
        if identity not in self.grey:
            try:
                self.grey[identity] = self.frames.scans.volume(facts).display_window()
            except MrisslError:
                # Somebody else's scan: its stored frames say enough.
                if not self.frames.stored(episode):
                    raise
                self.grey[identity] = self.frames.value_range(episode)
        return self.grey[identity]

    def _about(self, episode: int, start: int, count: int, place: layout.Place) -> dict[str, Any]:
        return {
            "episode_index": episode,
            "tasks": [self.episodes.entries[episode].task],
            "length": count,
            "data/chunk_index": place.chunk,
            "data/file_index": place.file,
            "dataset_from_index": start,
            "dataset_to_index": start + count,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }

    def _info(self, frames: int) -> dict[str, Any]:
        entries = self.episodes.entries
        volumes = {}
        for entry in entries:
            identity = entry.volume["identity"]
            low, high = self.grey[identity]
            geometry = {name: entry.volume[name] for name in ("shape", "spacing_mm", "affine")}
            volumes[identity] = {"black": low, "white": high, **geometry}
        rendering = {
            "software": f"napari-mrissl {__version__}",
            "value": "black + (white - black) * grey / 255",
            "volumes": volumes,
            "volume_of_episode": [entry.volume["identity"] for entry in entries],
        }
        return layout.info(
            size=self.frames.size,
            hertz=self.hertz,
            episodes=len(entries),
            frames=frames,
            tasks=len(self.tasks),
            rendering=rendering,
        )

    def _made(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        write_text(self._made(f"meta/{name}"), json.dumps(content, indent=4, allow_nan=False))


def _row_groups(columns: dict[str, NDArray[Any]], pictures: list[bytes]) -> Iterator[Any]:
    """Tables of at most so many bytes: one an episode, unless it is very long."""
    import pyarrow as pa

    schema = layout.data_schema()
    largest = max(map(len, pictures))
    step = max(1, _ROW_GROUP_BYTES // largest)
    for first in range(0, len(pictures), step):
        rows = slice(first, first + step)
        arrays = []
        for name, kind in zip(schema.names, schema.types, strict=True):
            if name == layout.IMAGE:
                files = [
                    {"bytes": content, "path": f"frame-{first + k:06d}.png"}
                    for k, content in enumerate(pictures[rows])
                ]
                arrays.append(pa.array(files, kind))
            elif columns[name].ndim == 2:
                flat = pa.array(columns[name][rows].reshape(-1), kind.value_type)
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, kind.list_size))
            else:
                arrays.append(pa.array(columns[name][rows], kind))
        yield pa.Table.from_arrays(arrays, schema=schema)


def _png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).convert("RGB").save(file, format="PNG")
    return file.getvalue()
