"""Export of a dataset of flights as a finalized LeRobot v3.0 folder.

LeRobot reads images as 8-bit RGB, so frames lose grey levels here, and nowhere else: black
and white of each scan are kept in ``meta/info.json`` under ``napari_mrissl``, with
value = black + (white - black) * grey / 255. Frames in full are had from the dataset itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.trajectories import lerobot_layout as layout
from napari_mrissl.trajectories.exchange import formats
from napari_mrissl.trajectories.exchange.stretches import Progress, Stretch, Stretches
from napari_mrissl.trajectories.frames import Scans
from napari_mrissl.volumes.atomic import write_text

if TYPE_CHECKING:
    from napari_mrissl.trajectories.dataset import Dataset

_ROW_GROUP_BYTES = 256 << 20


def export(
    dataset: Dataset,
    out: str | Path,
    size: int = 256,
    *,
    scans: Scans | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a dataset as a LeRobot v3.0 folder; see `formats.export`."""
    return formats.export("lerobot", dataset, out, size, scans=scans, progress=progress)


def write(stretches: Stretches, partial: Path) -> None:
    """Fill the folder.

    ``observation.state`` is the pose (8), ``action`` the action (7) to the next frame (zeros
    in an episode's last), ``observation.image`` the slice in 8 bits, three equal channels.
    Episodes at another rate than the dataset's are held to its rate.
    """
    _Export(stretches, partial).run()


class _Export:
    """One export under way: what the layout needs to know from episode to episode."""

    def __init__(self, stretches: Stretches, folder: Path) -> None:
        self.stretches = stretches
        self.folder = folder

    def run(self) -> None:
        """Write all files of the layout."""
        import pyarrow.parquet as pq

        rows, numbers, histograms = [], [], []
        place, start, writer = layout.Place(), 0, None
        try:
            for stretch in self.stretches:
                columns, pictures, histogram = self._episode(stretch, start)
                begins = place.take(sum(map(len, pictures)))
                if writer is None or begins:
                    if writer is not None:
                        writer.close()
                    path = self._made(place.path(layout.DATA_PATH))
                    writer = pq.ParquetWriter(path, layout.data_schema())
                for table in _row_groups(columns, pictures):
                    writer.write_table(table)
                row = self._about(stretch, start, place)
                statistics = layout.statistics(columns, histogram)
                for name, found in statistics.items():
                    row |= {f"stats/{name}/{key}": value for key, value in found.items()}
                rows.append(row)
                numbers.append(columns)
                histograms.append(histogram)
                start += len(stretch)
        finally:
            if writer is not None:
                writer.close()
        pq.write_table(
            layout.episodes_table(rows), self._made(layout.Place().path(layout.EPISODES_PATH))
        )
        pq.write_table(
            layout.tasks_table(self.stretches.tasks), self.folder / "meta" / "tasks.parquet"
        )
        together = {name: np.concatenate([n[name] for n in numbers]) for name in numbers[0]}
        summary = layout.statistics(together, np.sum(histograms, axis=0))
        self._write_json("stats.json", summary)
        self._write_json("info.json", self._info(start))

    def _episode(
        self, stretch: Stretch, start: int
    ) -> tuple[dict[str, NDArray[Any]], list[bytes], NDArray[np.int64]]:
        """Numbers by feature, PNG files, and a histogram of grey levels."""
        count = len(stretch)
        histogram = np.zeros(256, np.int64)
        pictures = []
        for part in self.stretches.pictures(stretch):
            histogram += np.bincount(part.reshape(-1), minlength=256)
            pictures += [_png(picture) for picture in part]
        columns: dict[str, NDArray[Any]] = {
            "observation.state": stretch.poses.astype(np.float32),
            "action": stretch.actions.astype(np.float32),
            "timestamp": (np.arange(count) / self.stretches.hertz).astype(np.float32),
            "frame_index": np.arange(count),
            "episode_index": np.full(count, stretch.number),
            "index": start + np.arange(count),
            "task_index": np.full(count, self.stretches.tasks.index(stretch.entry.task)),
        }
        return columns, pictures, histogram

    def _about(self, stretch: Stretch, start: int, place: layout.Place) -> dict[str, Any]:
        return {
            "episode_index": stretch.number,
            "tasks": [stretch.entry.task],
            "length": len(stretch),
            "data/chunk_index": place.chunk,
            "data/file_index": place.file,
            "dataset_from_index": start,
            "dataset_to_index": start + len(stretch),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }

    def _info(self, frames: int) -> dict[str, Any]:
        return layout.info(
            size=self.stretches.size,
            hertz=self.stretches.hertz,
            episodes=len(self.stretches),
            frames=frames,
            tasks=len(self.stretches.tasks),
            rendering=self.stretches.told(),
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
