"""The columns of an episode: from samples, to arrow and back, hashed and summed up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.entries import Entry, canonical, check_volume
from napari_mrissl.trajectories.sampling import Click, Samples, actions_between

if TYPE_CHECKING:
    import pyarrow

Table = dict[str, Any]
VOLUME_FACTS = ("shape", "spacing_mm", "affine", "frame")

WIDTHS = {"pose": 8, "action": 7, "cursor_ras": 3, "window": 2}
_WHOLE = ("frame_index", "episode_index", "index", "task_index", "layers")
ORDER = (
    "timestamp", "frame_index", "episode_index", "index", "task_index", "pose", "action",
    "cursor_ras", "window", "clicks", "layers", "frame",
)  # fmt: skip
REQUIRED = ORDER[:7]


def table_of(samples: Samples, entry: Entry, columns: frozenset[str]) -> Table:
    """The columns of sampled frames; the optional ones that were asked for."""
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


def volume_of(identity: str, info: dict[str, Any]) -> dict[str, Any]:
    """What an entry says of its volume.

    Raises
    ------
    MrisslError
        If a fact is missing or cannot be.
    """
    missing = [name for name in VOLUME_FACTS if name != "frame" and name not in info]
    if missing:
        raise MrisslError(
            f"flight does not say its volume's {missing[0]}", expected="the facts of flight_info"
        )
    facts = {name: info.get(name, 0) for name in VOLUME_FACTS}
    check_volume(facts, Path("flight"))
    return {"identity": identity, **facts}


class Moments:
    """Minimum, maximum, mean and standard deviation, gathered in parts."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[tuple[int, Any, Any, Any, Any]] = []

    def add(self, values: NDArray[Any]) -> None:
        """Take in more rows; those that are not finite are left out."""
        rows = np.asarray(values, np.float64).reshape(len(values), -1)
        if values.ndim == 3:  # rendered slices: one number a pixel
            rows = rows.reshape(-1, 1)
        rows = rows[np.isfinite(rows).all(1)]
        if len(rows):
            self.count += len(rows)
            mean = rows.mean(0)
            squares = ((rows - mean) ** 2).sum(0)
            self._parts.append((len(rows), rows.min(0), rows.max(0), mean, squares))

    def found(self) -> dict[str, Any]:
        """All of it, one number a component."""
        counts = np.array([[part[0]] for part in self._parts], np.float64)
        low, high, means, squares = (np.array([p[n] for p in self._parts]) for n in range(1, 5))
        mean = (counts * means).sum(0) / self.count
        spread = (squares.sum(0) + (counts * (means - mean) ** 2).sum(0)) / self.count
        return {
            "min": low.min(0).tolist(),
            "max": high.max(0).tolist(),
            "mean": mean.tolist(),
            "std": np.sqrt(spread).tolist(),
            "count": self.count,
        }


def bytes_of(name: str, values: Any) -> bytes:
    """The one form in which a column is hashed."""
    if name == "clicks":
        return "".join(canonical(clicks) + "\n" for clicks in values).encode()
    if name in _WHOLE:
        return np.ascontiguousarray(values, "<i8").tobytes()
    if name == "frame":
        return np.ascontiguousarray(values, "<f4").tobytes()
    return np.ascontiguousarray(values, "<f8").tobytes()


def schema_of(columns: Sequence[str]) -> pyarrow.Schema:
    """The arrow types of columns."""
    import pyarrow as pa

    click = pa.struct([("x", pa.float64()), ("y", pa.float64()), ("z", pa.float64()),
                       ("label", pa.int64())])  # fmt: skip
    types = {"timestamp": pa.float64(), "clicks": pa.list_(click), "frame": pa.binary()}
    types |= dict.fromkeys(_WHOLE, pa.int64())
    types |= {name: pa.list_(pa.float64(), width) for name, width in WIDTHS.items()}
    return pa.schema([(name, types[name]) for name in columns])


def to_arrow(part: Table, schema: pyarrow.Schema) -> pyarrow.Table:
    """The columns as arrow arrays, made of their buffers: `pyarrow.array` would import pandas."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        values = part[field.name]
        if field.name in WIDTHS:
            absent = np.isnan(values).any(1)
            bits = pa.py_buffer(np.packbits(~absent, bitorder="little")) if absent.any() else None
            flat = _flat(pa.float64(), np.where(absent[:, None], 0.0, values))
            arrays.append(pa.Array.from_buffers(field.type, len(values), [bits], children=[flat]))
        elif field.name == "clicks":
            arrays.append(_click_lists(values, field.type))
        elif field.name == "frame":
            pixels = np.ascontiguousarray(values, "<f4")
            ends = np.arange(len(values) + 1) * (pixels.nbytes // len(values))
            buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(pixels)]
            arrays.append(pa.Array.from_buffers(field.type, len(values), buffers))
        else:
            arrays.append(_flat(field.type, values))
    return pa.Table.from_arrays(arrays, schema=schema)


def _flat(kind: pyarrow.DataType, values: NDArray[Any]) -> pyarrow.Array:
    import pyarrow as pa

    numbers = np.ascontiguousarray(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, numbers.size, [None, pa.py_buffer(numbers)])


def _click_lists(values: list[list[Click]], kind: pyarrow.DataType) -> pyarrow.Array:
    import pyarrow as pa

    every = [click for clicks in values for click in clicks]
    parts = [
        _flat(field.type, np.array([click[n] for click in every]))
        for n, field in enumerate(kind.value_type)
    ]
    ends = np.cumsum([0, *(len(clicks) for clicks in values)]).astype(np.int32)
    inner = pa.Array.from_buffers(kind.value_type, len(every), [None], children=parts)
    buffers = [None, pa.py_buffer(ends)]
    return pa.Array.from_buffers(kind, len(values), buffers, children=[inner])


def to_numpy(name: str, column: Any, frame_size: int | None) -> Any:
    """A column as `Dataset.table` gives it.

    Raises
    ------
    MrisslError
        If it has gaps where it must not, or slices of another size.
    """
    if name in WIDTHS:
        chunk = column.combine_chunks()
        rows = np.full((len(chunk), WIDTHS[name]), np.nan)
        rows[_present(chunk)] = _numbers(chunk.flatten()).reshape(-1, WIDTHS[name])
        return rows
    if column.null_count:
        raise MrisslError(f"column {name} has gaps")
    if name == "clicks":
        return [[_click(click) for click in clicks] for clicks in column.to_pylist()]
    if name == "frame":
        size = frame_size or 0
        pictures = [np.frombuffer(p.as_buffer(), "<f4") for p in column]
        if any(picture.size != size * size for picture in pictures):
            raise MrisslError("column frame has slices of another size")
        return np.array(pictures, np.float32).reshape(-1, size, size)
    return _numbers(column.combine_chunks())


def _numbers(array: Any) -> NDArray[Any]:
    """A numeric arrow array as numpy, by its buffer: arrow's own way would import pandas."""
    kind = np.dtype(array.type.to_pandas_dtype())
    if not len(array):
        return np.empty(0, kind)
    return np.frombuffer(
        array.buffers()[1], kind, count=len(array), offset=array.offset * kind.itemsize
    ).copy()


def _present(array: Any) -> NDArray[np.bool_]:
    """Which rows of an arrow array are not null."""
    bits = array.buffers()[0]
    if bits is None:
        return np.ones(len(array), bool)
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return flags[array.offset : array.offset + len(array)].astype(bool)


def _click(click: dict[str, Any]) -> Click:
    return float(click["x"]), float(click["y"]), float(click["z"]), int(click["label"])
