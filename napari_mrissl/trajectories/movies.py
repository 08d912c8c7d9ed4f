"""Flights as pictures: an animated GIF to look at, or all values as one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing import Slices, render
from napari_mrissl.slicing.pictures import gray
from napari_mrissl.trajectories.flight import Flight
from napari_mrissl.volumes import Volume

MOVIE_SUFFIXES = (".gif", ".npy")

_AT_ONCE = 16


def slices_along(
    volume: Volume, flight: Flight, size: int, progress: Callable[[float], None] | None = None
) -> Iterator[Slices]:
    """The slices of a flight, a few (K, N, N) at a time, so that memory stays small.

    Raises
    ------
    MrisslError
        If the flight was flown over another scan.
    """
    if flight.identity != volume.identity:
        raise MrisslError(
            "the flight was flown over another scan",
            where=volume.name,
            expected=f"the scan with identity {flight.identity}",
        )
    for start in range(0, len(flight.poses), _AT_ONCE):
        yield render(volume, flight.poses[start : start + _AT_ONCE], size)
        if progress:
            progress(min(start + _AT_ONCE, len(flight.poses)) / len(flight.poses))


def write_movie(
    path: str | Path,
    volume: Volume,
    flight: Flight,
    size: int,
    *,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Render a flight into a file.

    ``.gif`` holds 8-bit frames over `Volume.value_range` in the flight's own time,
    ``.npy`` (frames, N, N) float32 values.

    Raises
    ------
    MrisslError
        If the suffix is another, the file is there and ``overwrite`` is not set, the
        flight has no pose or belongs to another scan, or the system refuses.
    """
    from napari_mrissl.volumes.atomic import write_atomically

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MOVIE_SUFFIXES:
        raise MrisslError(f"suffix {suffix!r}", where=path, expected=" or ".join(MOVIE_SUFFIXES))
    if path.exists() and not overwrite:
        raise MrisslError("file is there already", where=path, remedy="give another name")
    if not flight.poses:
        raise MrisslError("the flight has no pose", expected="one pose or more")
    parts = slices_along(volume, flight, size, progress)
    if suffix == ".npy":
        write_atomically(path, lambda file: _write_values(file, flight, size, parts))
    else:
        window = volume.value_range()
        write_atomically(path, lambda file: _write_gif(file, flight, window, parts))
    return path


def figures(parts: Iterator[Slices]) -> dict[str, float]:
    """What the slices of a flight amount to: how many, and values of the pixels inside."""
    frames = pixels = inside = 0
    total, lowest, highest = 0.0, np.inf, -np.inf
    for part in parts:
        seen = part.values[part.valid]
        frames += len(part.values)
        pixels += part.valid.size
        inside += seen.size
        if seen.size:
            total += float(seen.sum(dtype=np.float64))
            lowest, highest = min(lowest, float(seen.min())), max(highest, float(seen.max()))
    some = inside > 0
    return {
        "frames": frames,
        "part_inside": inside / pixels if pixels else 0.0,
        "mean": total / inside if some else 0.0,
        "lowest": lowest if some else 0.0,
        "highest": highest if some else 0.0,
    }


def frame_durations(times_ns: NDArray[np.int64]) -> list[int]:
    """How long each frame is shown, in ms: whole hundredths of a second, 20 ms at least.

    Viewers slow frames below 20 ms down to 100 ms; the last one is shown like the one
    before.
    """
    steps = np.diff(times_ns) / 1e6
    steps = np.append(steps, steps[-1] if len(steps) else 40.0)
    durations: list[int] = (np.rint(np.clip(steps, 20, 60_000) / 10) * 10).astype(int).tolist()
    return durations


def _write_values(file: BinaryIO, flight: Flight, size: int, parts: Iterator[Slices]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(flight.poses), size, size)}
    np.lib.format.write_array_header_1_0(file, header)
    for part in parts:
        file.write(np.ascontiguousarray(part.values, "<f4").tobytes())


def _write_gif(
    file: BinaryIO, flight: Flight, window: tuple[float, float], parts: Iterator[Slices]
) -> None:
    from PIL import Image

    def pictures() -> Iterator[Any]:
        for part in parts:
            yield from (Image.fromarray(frame) for frame in gray(part, window))

    frames = pictures()
    next(frames).save(
        file,
        format="GIF",
        save_all=True,
        append_images=frames,
        duration=frame_durations(np.asarray(flight.times_ns)),
        loop=0,
    )
