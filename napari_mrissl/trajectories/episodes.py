"""An episode as a parquet file: written whole or not at all, and able to vouch for itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories.columns import (
    ORDER,
    REQUIRED,
    WIDTHS,
    Moments,
    Table,
    bytes_of,
    schema_of,
    to_arrow,
    to_numpy,
)
from napari_mrissl.trajectories.contained import inside, open_regular
from napari_mrissl.trajectories.entries import Entry, entry_of
from napari_mrissl.volumes.atomic import write_atomically
from napari_mrissl.volumes.budget import check_voxels
from napari_mrissl.volumes.volume import Volume

_FRAMES_TOGETHER = 64
_BYTES_TOGETHER = 1 << 28

_ENTRY_KEY, _CHECKSUM_KEY = b"napari_mrissl.entry", b"napari_mrissl.sha256"
_LARGEST_METADATA = 1 << 22

Pictures = Callable[[int, int], NDArray[np.float32]]
"""Gives the rendered slices from a frame to another, (n, size, size)."""


class _Hashing:
    """A file that knows the SHA-256 and the size of what was written into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, content: Any) -> int:
        self._file.write(content)
        self.digest.update(content)
        self.size += len(content)
        return len(content)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def write_episode(
    folder: Path,
    entry: Entry,
    table: Table,
    pictures: Pictures | None = None,
    progress: Callable[[float], None] | None = None,
) -> Entry:
    """Write an episode's file; the entry comes back with checksums and statistics.

    Raises
    ------
    MrisslError
        If the file is there already, or the system refuses; then nothing is left.
    """
    import pyarrow
    from pyarrow import parquet

    path = inside(folder, entry.file)
    if path.exists():
        raise MrisslError("episode is there already", where=path)
    columns = (*(n for n in ORDER if n in table), *(("frame",) if pictures else ()))
    entry = replace(entry, columns=columns, sha256="", bytes=0)
    moments = {name: Moments() for name in columns if name in ("timestamp", *WIDTHS, "frame")}
    digests = {name: hashlib.sha256() for name in columns}
    done: list[Entry] = []

    def put(file: BinaryIO) -> None:
        counted = _Hashing(file)
        step = _together(entry) if pictures else entry.frames
        schema = schema_of(columns)
        with parquet.ParquetWriter(
            cast("Any", counted),
            schema,
            compression="zstd",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        ) as writer:
            for start in range(0, entry.frames, step):
                stop = min(start + step, entry.frames)
                part = {n: table[n][start:stop] for n in columns if n != "frame"}
                if pictures:
                    part["frame"] = np.ascontiguousarray(pictures(start, stop), "<f4")
                for name, values in part.items():
                    digests[name].update(bytes_of(name, values))
                    if name in moments:
                        moments[name].add(values)
                writer.write_table(to_arrow(part, schema))
                if progress:
                    progress(stop / entry.frames)
            described = replace(
                entry,
                statistics={n: m.found() for n, m in moments.items() if m.count},
                content=_content(columns, digests),
            )
            text = described.json
            writer.add_key_value_metadata(
                {_ENTRY_KEY: text, _CHECKSUM_KEY: hashlib.sha256(text.encode()).hexdigest()}
            )
        done.append(replace(described, sha256=counted.digest.hexdigest(), bytes=counted.size))

    try:
        write_atomically(path, put)
    except pyarrow.ArrowException as error:
        raise MrisslError(f"episode could not be written ({error})", where=path) from error
    return done[-1]


def read_episode(
    path: Path, entry: Entry, columns: Sequence[str] | None = None, start: int = 0, stop: int = -1
) -> Table:
    """Columns of an episode's file, which must hold what its entry says.

    Which columns and frames is chosen as for `StoredEpisodes.table`.

    Raises
    ------
    MrisslError
        If the file cannot be read or holds something else.
    """
    stop = entry.frames if stop < 0 else min(stop, entry.frames)
    names = [n for n in entry.columns if (n != "frame" if columns is None else n in columns)]
    _check_memory(entry, names, max(0, stop - start), path)
    with _opened(path) as file:
        _check_layout(file, entry, path)
        groups, first = _groups(file, start, stop)
        table: Table = {}
        with _translated(path):
            found = file.read_row_groups(groups, columns=names, use_threads=False)
            found = found.slice(start - first, stop - start)
            for name in names:
                table[name] = to_numpy(name, found.column(name), entry.frame_size)
    return table


def read_metadata(path: Path, where: str) -> Entry:
    """The entry that an episode's file holds itself, with the file's own checksum and size.

    Parameters
    ----------
    path
        The file.
    where
        Its name below the dataset, which the entry takes over.

    Raises
    ------
    MrisslError
        If there is none, or it is not as it was written.
    """
    with _opened(path) as file:
        metadata = file.metadata.metadata or {}
    text, checksum = metadata.get(_ENTRY_KEY, b""), metadata.get(_CHECKSUM_KEY, b"")
    if hashlib.sha256(text).hexdigest().encode() != checksum or len(text) > _LARGEST_METADATA:
        raise MrisslError("is not as it was written", where=path, expected="an episode")
    try:
        entry = entry_of(json.loads(text), path)
    except (ValueError, RecursionError) as error:
        if isinstance(error, MrisslError):
            raise
        raise MrisslError("metadata is no JSON", where=path) from error
    digest, size = file_digest(path)
    return entry_of(json.loads(replace(entry, file=where, sha256=digest, bytes=size).json), path)


def check_content(path: Path, entry: Entry) -> None:
    """Refuse a file whose columns are not those that the entry vouches for.

    Raises
    ------
    MrisslError
        If they are not.
    """
    digests = {name: hashlib.sha256() for name in entry.columns}
    step = _together(entry) if "frame" in digests else entry.frames
    for start in range(0, entry.frames, step):
        stop = min(start + step, entry.frames)
        for name, values in read_episode(path, entry, entry.columns, start, stop).items():
            digests[name].update(bytes_of(name, values))
    if _content(entry.columns, digests) != entry.content:
        raise MrisslError("is not as it was written", where=path, expected="an episode")


def _together(entry: Entry) -> int:
    """Frames in a row group with rendered slices, so that a few can be read alone."""
    return max(1, min(_FRAMES_TOGETHER, _BYTES_TOGETHER // (4 * (entry.frame_size or 1) ** 2)))


def file_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file.

    Raises
    ------
    MrisslError
        If it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with open_regular(path) as file:
            while part := file.read(1 << 20):
                digest.update(part)
                size += len(part)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest(), size


def unreadable(path: Path, error: OSError) -> MrisslError:
    """What to raise where the system refuses to read an episode's file."""
    return MrisslError(
        f"could not be read ({error.strerror or type(error).__name__})",
        where=path,
        expected="an episode of the dataset",
    )


def rendered(
    volume: Volume, rows: NDArray[np.float64], size: int
) -> Callable[[int, int], NDArray[np.float32]]:
    """Gives the slices of pose rows, some at a time."""
    from napari_mrissl.slicing import render

    def pictures(start: int, stop: int) -> NDArray[np.float32]:
        poses = [Pose.from_row(row) for row in rows[start:stop]]
        return np.asarray(render(volume, poses, size).values, np.float32)

    return pictures


def _content(columns: Sequence[str], digests: dict[str, Any]) -> str:
    lines = "".join(f"{name}:{digests[name].hexdigest()}\n" for name in columns)
    return hashlib.sha256(lines.encode()).hexdigest()


def _opened(path: Path) -> _Translating:
    return _Translating(path)


class _Translating:
    """An open parquet file; what goes wrong inside is said as a `MrisslError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        from pyarrow import parquet

        try:
            self._file = open_regular(self._path)
        except OSError as error:
            raise unreadable(self._path, error) from error
        try:
            with _translated(self._path):
                return parquet.ParquetFile(
                    self._file,
                    thrift_string_size_limit=_LARGEST_METADATA * 2,
                    thrift_container_size_limit=1_000_000,
                    page_checksum_verification=True,
                )
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _translated:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        import pyarrow

        if isinstance(error, MrisslError):
            raise MrisslError(error.found, where=self._path, expected="an episode") from error
        if isinstance(error, pyarrow.ArrowException | ValueError | KeyError | TypeError | OSError):
            raise MrisslError(
                f"is no readable episode ({type(error).__name__})",
                where=self._path,
                remedy="run mrissl trajectory repair on the dataset",
            ) from error


def _check_layout(file: Any, entry: Entry, path: Path) -> None:
    if file.metadata.num_rows != entry.frames:
        raise MrisslError(
            f"holds {file.metadata.num_rows} frames", where=path, expected=f"{entry.frames}"
        )
    if not set(REQUIRED) <= set(entry.columns) or not file.schema_arrow.equals(
        schema_of(entry.columns)
    ):
        raise MrisslError("has other columns than its entry says", where=path)


def _check_memory(entry: Entry, names: Sequence[str], frames: int, path: Path) -> None:
    row = sum(8 * WIDTHS.get(name, 1) for name in names)
    if "frame" in names:
        row += 4 * (entry.frame_size or 0) ** 2
    check_voxels(row * frames, path)


def _groups(file: Any, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups with these frames, and the first frame of the first of them."""
    groups: list[int] = []
    first = begin = 0
    for number in range(file.metadata.num_row_groups):
        end = begin + file.metadata.row_group(number).num_rows
        if end > start and begin < stop:
            if not groups:
                first = begin
            groups.append(number)
        begin = end
    return groups, first
