"""Flights as pictures: an animated GIF to look at, or all values, lossless."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing import Slices, render
from napari_mrissl.slicing.pictures import gray
from napari_mrissl.trajectories.flight import Flight
from napari_mrissl.trajectories.sampling import actions_between
from napari_mrissl.volumes import Volume

MOVIE_SUFFIXES = (".gif", ".npy", ".npz")

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
    """Render a flight into a file; see `write_slices` for what the suffixes give.

    Raises
    ------
    MrisslError
        If the suffix is another, the file is there and ``overwrite`` is not set, the
        flight has no pose or belongs to another scan, or the system refuses.
    """
    parts = slices_along(volume, flight, size, progress)
    return write_slices(path, flight, size, parts, volume.value_range, overwrite=overwrite)


def write_slices(
    path: str | Path,
    flight: Flight,
    size: int,
    parts: Iterator[Slices],
    window: Callable[[], tuple[float, float]],
    *,
    overwrite: bool = False,
) -> Path:
    """Write the slices of a flight into a file, whole or not at all.

    ``.gif`` holds 8-bit frames over the window in the flight's own time; ``.npy``
    (frames, N, N) float32 values; ``.npz`` these as ``frames``, ``valid`` (whether a
    pixel lies in the scan), ``poses`` (frames, 8), ``actions`` (frames, 7, the last zeros)
    and ``times_s``, uncompressed.

    Parameters
    ----------
    size
        Pixels N along a side.
    parts
        The slices in order, a few (K, N, N) at a time.
    window
        Gives the values shown as black and white; asked only for a ``.gif``.

    Raises
    ------
    MrisslError
        As for `write_movie`, and whatever ``parts`` raises.
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
    if suffix == ".npy":
        write_atomically(path, lambda file: _write_values(file, flight, size, parts))
    elif suffix == ".npz":
        write_atomically(path, lambda file: _write_arrays(file, flight, size, parts))
    else:
        write_atomically(path, lambda file: _write_gif(file, flight, window(), parts))
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


def _write_arrays(file: BinaryIO, flight: Flight, size: int, parts: Iterator[Slices]) -> None:
    """An ``.npz`` in one pass: frames as they come, then what is small."""
    seen: list[NDArray[np.uint8]] = []

    def noting() -> Iterator[Slices]:
        for part in parts:
            seen.append(np.packbits(part.valid, axis=-1))
            yield part

    poses = np.array([pose.to_row() for pose in flight.poses])
    times_s = np.asarray(flight.times_ns) / 1e9
    small = {"poses": poses, "actions": actions_between(poses), "times_s": times_s}
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        with archive.open("frames.npy", "w", force_zip64=True) as member:
            _write_values(member, flight, size, noting())
        with archive.open("valid.npy", "w", force_zip64=True) as member:
            _write_header(member, "|b1", (len(poses), size, size))
            for bits in seen:
                member.write(np.unpackbits(bits, axis=-1, count=size).tobytes())
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_header(file: Any, kind: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )


def _write_values(file: Any, flight: Flight, size: int, parts: Iterator[Slices]) -> None:
    _write_header(file, "<f4", (len(flight.poses), size, size))
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
