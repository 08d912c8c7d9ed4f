"""The LeRobot v3.0 layout: features, schemas, statistics and path templates.

Written from the published layout (codebase version v3.0, as lerobot 0.4 to 0.6 read it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.geometry import ACTION_NAMES, POSE_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

CODEBASE_VERSION = "v3.0"
CHUNKS_SIZE = 1000
DATA_FILES_SIZE_IN_MB = 100
VIDEO_FILES_SIZE_IN_MB = 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
IMAGE = "observation.image"

_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_NUMBERS = ("frame_index", "episode_index", "index", "task_index")

Statistics = dict[str, dict[str, Any]]


def features(size: int) -> dict[str, dict[str, Any]]:
    """The features of an export, as ``meta/info.json`` lists them."""
    single = {"shape": [1], "names": None}
    return {
        "observation.state": {"dtype": "float32", "shape": [8], "names": list(POSE_COLUMNS)},
        "action": {"dtype": "float32", "shape": [7], "names": list(ACTION_NAMES)},
        IMAGE: {
            "dtype": "image",
            "shape": [size, size, 3],
            "names": ["height", "width", "channels"],
        },
        "timestamp": {"dtype": "float32", **single},
        **{name: {"dtype": "int64", **single} for name in _NUMBERS},
    }


def info(
    *, size: int, hertz: float, episodes: int, frames: int, tasks: int, rendering: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of ``meta/info.json``; ``rendering`` goes in under a key of our own."""
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": None,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": DATA_FILES_SIZE_IN_MB,
        "video_files_size_in_mb": VIDEO_FILES_SIZE_IN_MB,
        "fps": int(hertz) if float(hertz).is_integer() else hertz,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": None,
        "features": features(size),
        "napari_mrissl": dict(rendering),
    }


def data_schema() -> pa.Schema:
    """The columns of a data file, with the remark by which Hugging Face datasets knows them."""
    import json

    import pyarrow as pa

    value = {"dtype": "float32", "_type": "Value"}
    whole = {"dtype": "int64", "_type": "Value"}
    columns = {
        "observation.state": (
            pa.list_(pa.float32(), 8),
            {"feature": value, "length": 8, "_type": "Sequence"},
        ),
        "action": (
            pa.list_(pa.float32(), 7),
            {"feature": value, "length": 7, "_type": "Sequence"},
        ),
        IMAGE: (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"}),
        "timestamp": (pa.float32(), value),
        **{name: (pa.int64(), whole) for name in _NUMBERS},
    }
    remark = {"info": {"features": {name: remark for name, (_, remark) in columns.items()}}}
    return pa.schema(
        [(name, kind) for name, (kind, _) in columns.items()],
        metadata={"huggingface": json.dumps(remark)},
    )


def tasks_table(tasks: Sequence[str]) -> pa.Table:
    """``meta/tasks.parquet``: a pandas frame whose index is the task's text."""
    import json

    import pyarrow as pa

    table = pa.table(
        {
            "task_index": pa.array(range(len(tasks)), pa.int64()),
            "task": pa.array(tasks, pa.string()),
        }
    )
    whole = {"pandas_type": "int64", "numpy_type": "int64", "metadata": None}
    text = {"pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    remark = {
        "index_columns": ["task"],
        "column_indexes": [{"name": None, "field_name": None, **text}],
        "columns": [
            {"name": "task_index", "field_name": "task_index", **whole},
            {"name": "task", "field_name": "task", **text},
        ],
        "attributes": {},
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(remark)})


def episodes_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """``meta/episodes``: one row an episode, its statistics in columns ``stats/feature/name``."""
    import pyarrow as pa

    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        columns[name] = pa.array(values, _column_type(name))
    return pa.table(columns)


def _column_type(name: str) -> pa.DataType:
    import pyarrow as pa

    if name == "tasks":
        return pa.list_(pa.string())
    if not name.startswith("stats/"):
        return pa.int64()
    if name.endswith("/count"):
        return pa.list_(pa.int64())
    number = pa.list_(pa.float64())
    return pa.list_(pa.list_(number)) if name.startswith(f"stats/{IMAGE}/") else number


def statistics(columns: Mapping[str, NDArray[Any]], histogram: NDArray[np.int64]) -> Statistics:
    """Statistics of all features over some frames.

    Parameters
    ----------
    columns
        Numbers (frames,) or (frames, D) by feature.
    histogram
        How many pixels of the frames have each grey level, (256,).

    Returns
    -------
    dict
        By feature: ``min``, ``max``, ``mean``, ``std``, ``q01`` to ``q99`` as lists of D
        numbers, for the image (3, 1, 1) in 0 to 1; ``count`` of frames.
    """
    found: Statistics = {}
    for name, column in columns.items():
        values = np.asarray(column, np.float64).reshape(len(column), -1)
        found[name] = {
            "min": values.min(axis=0).tolist(),
            "max": values.max(axis=0).tolist(),
            "mean": values.mean(axis=0).tolist(),
            "std": values.std(axis=0).tolist(),
            "count": [len(values)],
            **{q: np.quantile(values, p, axis=0).tolist() for q, p in _QUANTILES.items()},
        }
    frames = len(next(iter(columns.values())))
    found[IMAGE] = {name: [[[value]]] * 3 for name, value in _of_histogram(histogram).items()} | {
        "count": [frames]
    }
    return found


def _of_histogram(histogram: NDArray[np.int64]) -> dict[str, float]:
    """Exact statistics of 8-bit grey levels, scaled to 0 to 1."""
    levels = np.arange(256) / 255
    total = int(histogram.sum())
    seen = levels[histogram > 0]
    mean = float((levels * histogram).sum() / total)
    below = np.cumsum(histogram)
    return {
        "min": float(seen[0]),
        "max": float(seen[-1]),
        "mean": mean,
        "std": float(np.sqrt(((levels - mean) ** 2 * histogram).sum() / total)),
        **{
            q: float(levels[np.searchsorted(below, p * (total - 1), side="right")])
            for q, p in _QUANTILES.items()
        },
    }


@dataclass
class Place:
    """Where the next rows go: chunk and file, a new file once one is full.

    Attributes
    ----------
    chunk, file
        Indices in the path templates.
    bytes
        What the file holds so far.
    """

    chunk: int = 0
    file: int = 0
    bytes: int = field(default=0)

    def take(self, count: int) -> bool:
        """Make room for so many bytes; True if a new file begins."""
        begins = self.bytes > 0 and self.bytes + count > DATA_FILES_SIZE_IN_MB << 20
        if begins:
            self.chunk, self.file = (
                (self.chunk + 1, 0) if self.file == CHUNKS_SIZE - 1 else (self.chunk, self.file + 1)
            )
            self.bytes = 0
        self.bytes += count
        return begins

    def path(self, template: str) -> str:
        """The path of the current file under a template."""
        return template.format(chunk_index=self.chunk, file_index=self.file)
