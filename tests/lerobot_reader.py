"""A reader of LeRobot v3.0 folders, from the published layout alone; it imports nothing of ours.

It follows the path templates and indices that the folder itself gives, and refuses whatever
the layout does not allow.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

INFO_KEYS = {
    "codebase_version", "robot_type", "total_episodes", "total_frames", "total_tasks",
    "chunks_size", "data_files_size_in_mb", "video_files_size_in_mb", "fps", "splits",
    "data_path", "video_path", "features",
}  # fmt: skip
DEFAULT_FEATURES = {
    "timestamp": "float32", "frame_index": "int64", "episode_index": "int64",
    "index": "int64", "task_index": "int64",
}  # fmt: skip
STATISTICS = {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"


@dataclass
class Episode:
    """One episode: its row of metadata, its statistics, and its columns."""

    meta: dict
    statistics: dict
    columns: dict


class Reader:
    """All of a folder, read and checked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = json.loads((root / "meta" / "info.json").read_text("utf-8"))
        assert set(self.info) >= INFO_KEYS
        assert self.info["codebase_version"] == "v3.0"
        assert self.info["video_path"] is None
        self.features = self.info["features"]
        for name, dtype in DEFAULT_FEATURES.items():
            assert self.features[name] == {"dtype": dtype, "shape": [1], "names": None}
        for name, feature in self.features.items():
            assert "/" not in name
            assert feature["names"] is None or len(feature["names"]) in (
                len(feature["shape"]), feature["shape"][0],
            )  # fmt: skip
        self.images = [n for n, f in self.features.items() if f["dtype"] == "image"]
        self.statistics = json.loads((root / "meta" / "stats.json").read_text("utf-8"))
        self._check_statistics(self.statistics, self.info["total_frames"])
        self.tasks = self._read_tasks()
        self._tables: dict[tuple[int, int], pa.Table] = {}
        self.episodes = self._read_episodes()
        last = self.episodes[-1].meta["dataset_to_index"]
        assert last == self.info["total_frames"]
        assert len(self.episodes) == self.info["total_episodes"]
        assert self.info["splits"] == {"train": f"0:{len(self.episodes)}"}

    def _read_tasks(self) -> list[str]:
        table = pq.read_table(self.root / "meta" / "tasks.parquet")
        remark = json.loads(table.schema.metadata[b"pandas"])
        (index,) = remark["index_columns"]
        assert set(table.column_names) == {"task_index", index}
        numbers = table["task_index"].to_pylist()
        assert numbers == list(range(self.info["total_tasks"]))
        tasks = table[index].to_pylist()
        assert len(set(tasks)) == len(tasks)
        return tasks

    def _read_episodes(self) -> list[Episode]:
        paths = sorted((self.root / "meta" / "episodes").glob("*/*.parquet"))
        rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
        assert paths, "no episodes"
        episodes, start = [], 0
        for number, row in enumerate(rows):
            assert row["episode_index"] == number
            assert (row["dataset_from_index"], row["dataset_to_index"]) == (
                start, start + row["length"],
            )  # fmt: skip
            where = {k: row[f"meta/episodes/{k}"] for k in ("chunk_index", "file_index")}
            assert self.root / EPISODES_PATH.format(**where) in paths
            assert row["tasks"] == list(dict.fromkeys(row["tasks"]))
            statistics: dict = {}
            for key, value in row.items():
                if key.startswith("stats/"):
                    _, feature, name = key.split("/")
                    statistics.setdefault(feature, {})[name] = value
            self._check_statistics(statistics, row["length"])
            meta = {k: v for k, v in row.items() if not k.startswith("stats/")}
            episodes.append(Episode(meta, statistics, self._columns(meta)))
            start = row["dataset_to_index"]
        return episodes

    def _check_statistics(self, statistics: dict, frames: int) -> None:
        assert set(statistics) == set(self.features)
        for name, found in statistics.items():
            assert set(found) == STATISTICS
            assert found["count"] == [frames]
            shape = (3, 1, 1) if name in self.images else tuple(self.features[name]["shape"])
            for key in STATISTICS - {"count"}:
                assert np.array(found[key]).shape == shape, (name, key)

    def _columns(self, meta: dict) -> dict:
        where = (meta["data/chunk_index"], meta["data/file_index"])
        if where not in self._tables:
            name = self.info["data_path"].format(chunk_index=where[0], file_index=where[1])
            assert where[1] < self.info["chunks_size"]
            table = pq.read_table(self.root / name)
            self._check_schema(table.schema)
            self._tables[where] = table
        table = self._tables[where]
        index = np.asarray(table["index"])
        inside = (index >= meta["dataset_from_index"]) & (index < meta["dataset_to_index"])
        rows = table.filter(pa.array(inside))
        assert len(rows) == meta["length"]
        columns = {
            name: np.array(rows[name].to_pylist())
            for name in self.features
            if name not in self.images
        }
        for name in self.images:
            columns[name] = np.stack([self._picture(cell, name) for cell in rows[name].to_pylist()])
        self._check_columns(columns, meta)
        return columns

    def _check_schema(self, schema: pa.Schema) -> None:
        assert set(schema.names) == set(self.features)
        for name, feature in self.features.items():
            kind, dtype = schema.field(name).type, feature["dtype"]
            if dtype == "image":
                assert {f.name: f.type for f in kind} == {"bytes": pa.binary(), "path": pa.string()}
            elif feature["shape"] == [1]:
                assert str(kind) == {"float32": "float"}.get(dtype, dtype)
            else:
                assert pa.types.is_fixed_size_list(kind)
                assert kind.list_size == feature["shape"][0]
                assert str(kind.value_type) == {"float32": "float"}[dtype]

    def _picture(self, cell: dict, name: str) -> np.ndarray:
        assert Path(cell["path"]).name == cell["path"]
        with Image.open(io.BytesIO(cell["bytes"])) as picture:
            assert picture.format == "PNG"
            assert picture.mode == "RGB"
            values = np.asarray(picture)
        assert list(values.shape) == self.features[name]["shape"]
        return values

    def _check_columns(self, columns: dict, meta: dict) -> None:
        count, start = meta["length"], meta["dataset_from_index"]
        np.testing.assert_array_equal(columns["frame_index"], np.arange(count))
        np.testing.assert_array_equal(columns["index"], start + np.arange(count))
        assert set(columns["episode_index"]) == {meta["episode_index"]}
        due = (np.arange(count) / self.info["fps"]).astype(np.float32)
        np.testing.assert_allclose(columns["timestamp"], due, atol=1e-4)
        assert {self.tasks[n] for n in columns["task_index"]} == set(meta["tasks"])
