"""A flight: poses with time stamps over one volume, in memory and as a folder on disk.

The folder holds ``flight.jsonl``; or, when the recording was cut off, the
``journal.jsonl`` that was being written. Nothing in it says where a scan lies or whose
it is: the volume is known by its identity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.geometry.affines import as_affine
from napari_mrissl.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from napari_mrissl.trajectories.journal import Record, journal_bytes, read_records
from napari_mrissl.volumes.atomic import write_atomically
from napari_mrissl.volumes.volume import Volume

FLIGHT_FILE = "flight.jsonl"
JOURNAL_FILE = "journal.jsonl"
KIND = "flight"
_LONGEST_LINE = 1 << 20
_IDENTITY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Flight:
    """Poses with time stamps over one volume.

    Attributes
    ----------
    identity
        The volume's identity: 64 hexadecimal digits.
    poses
        One pose a frame.
    times_ns
        (frames,) int64, nanoseconds since the flight began; never falling.
    info
        JSON-able facts: the volume's ``shape``, ``spacing_mm``, ``affine``
        (index (s, a, r) to world RAS mm) and ``frame``, ``software``, and what the maker adds.
    """

    identity: str
    poses: list[Pose]
    times_ns: NDArray[np.int64]
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.identity, str) or not _IDENTITY.fullmatch(self.identity):
            raise MrisslError("flight has no volume identity", expected="64 hexadecimal digits")
        times = np.array(self.times_ns)
        if times.size == 0:
            times = times.astype(np.int64)
        if times.shape != (len(self.poses),) or times.dtype.kind not in "iu":
            raise MrisslError(
                f"{len(self.poses)} poses with time stamps {times.dtype} {times.shape}",
                expected="one whole number of nanoseconds a pose",
            )
        times = times.astype(np.int64)
        if times.size and (times[0] < 0 or (np.diff(times) < 0).any()):
            raise MrisslError("time stamps fall", expected="times >= 0 that never fall")
        times.flags.writeable = False
        object.__setattr__(self, "times_ns", times)

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last pose."""
        return float(self.times_ns[-1] - self.times_ns[0]) / 1e9 if len(self) else 0.0


def flight_info(volume: Volume, **more: Any) -> dict[str, Any]:
    """The facts a flight keeps about its volume, beside its identity."""
    return {
        "shape": list(volume.shape),
        "spacing_mm": [float(step) for step in volume.spacing],
        "affine": volume.affine.tolist(),
        "frame": volume.frame,
        "software": f"napari-mrissl {__version__}",
        **more,
    }


def flight_of(volume: Volume, poses: list[Pose], hertz: float = 30.0, **info: Any) -> Flight:
    """A flight of poses at a steady rate, as a navigation policy gives them."""
    if not hertz > 0:
        raise MrisslError(f"rate of {hertz} poses a second", expected="a rate > 0")
    times = np.round(np.arange(len(poses)) * (1e9 / hertz)).astype(np.int64)
    return Flight(volume.identity, list(poses), times, flight_info(volume, **info))


def header_of(identity: str, info: dict[str, Any]) -> dict[str, Any]:
    """The journal header of a flight."""
    return {"kind": KIND, "identity": identity, "info": info}


def has_flight(folder: str | Path) -> bool:
    """Whether a folder holds a flight, finished or cut off."""
    return any((Path(folder) / name).exists() for name in (FLIGHT_FILE, JOURNAL_FILE))


def refuse_existing(folder: Path) -> None:
    """Raise a `MrisslError` if the folder holds a flight, finished or cut off."""
    if has_flight(folder):
        raise MrisslError(
            "folder holds a flight already", where=folder, remedy="choose another folder"
        )


def write_flight(folder: str | Path, flight: Flight, *, overwrite: bool = False) -> Path:
    """Write a flight as ``flight.jsonl`` into a folder, made if need be; whole or not at all.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    MrisslError
        If the folder holds a flight and ``overwrite`` is false, or cannot be written.
    """
    folder = Path(folder)
    if not overwrite:
        refuse_existing(folder)
    path = folder / FLIGHT_FILE
    records = [
        Record(index, int(t_ns), {"pose": pose.to_row().tolist()})
        for index, (pose, t_ns) in enumerate(zip(flight.poses, flight.times_ns, strict=True))
    ]
    content = journal_bytes(header_of(flight.identity, flight.info), records, path)
    make_folder(folder)

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(path, write)
    return path


def read_flight(folder: str | Path) -> Flight:
    """Read the flight in a folder, finished or cut off; a torn last line is left out.

    Raises
    ------
    MrisslError
        If there is none, or anything in it is not what a flight holds.
    """
    folder = Path(folder)
    path = next((folder / n for n in (FLIGHT_FILE, JOURNAL_FILE) if (folder / n).exists()), None)
    if path is None:
        raise MrisslError("no flight here", where=folder, expected=f"a folder with {FLIGHT_FILE}")
    header, records = read_records(path, _LONGEST_LINE)
    identity, info = header.get("identity"), header.get("info")
    if header.get("kind") != KIND or not isinstance(identity, str) or not isinstance(info, dict):
        raise MrisslError("journal holds no flight", where=path, expected=f'"kind": "{KIND}"')
    _check_geometry(info, path)
    poses = [_pose(record, path) for record in records]
    try:
        return Flight(identity, poses, np.array([r.t_ns for r in records], np.int64), info)
    except MrisslError as error:
        raise MrisslError(error.found, where=path, expected=error.expected) from error


def pose_at(flight: Flight, t_ns: float) -> Pose:
    """The pose at a time, in nanoseconds since the flight began; the ends are held.

    Between two poses the centre moves on a straight line, the rotation on the shortest
    arc and the logarithm of the fov evenly.

    Raises
    ------
    MrisslError
        If the flight has no poses.
    """
    if not len(flight):
        raise MrisslError("flight has no poses")
    after = int(np.searchsorted(flight.times_ns, t_ns, side="right"))
    if after == 0 or after == len(flight):
        return flight.poses[max(after - 1, 0)]
    start, end = flight.poses[after - 1], flight.poses[after]
    begin, finish = (int(t) for t in flight.times_ns[after - 1 : after + 1])
    part = (t_ns - begin) / (finish - begin)
    turn = axis_angle_from_matrix(start.rotation.T @ end.rotation)
    return Pose(
        start.center + part * (end.center - start.center),
        start.rotation @ matrix_from_axis_angle(part * turn),
        start.fov * (end.fov / start.fov) ** part,
    )


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, or raise a `MrisslError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MrisslError(
            f"folder could not be made ({error.strerror or type(error).__name__})", where=folder
        ) from error


def _pose(record: Record, path: Path) -> Pose:
    row = record.event.get("pose")
    line = record.index + 2
    if not isinstance(row, list) or not all(type(n) in (int, float) for n in row):
        raise MrisslError(f"line {line} holds no pose", where=path, expected="eight numbers")
    try:
        return Pose.from_row(row)
    except (MrisslError, OverflowError) as error:
        found = error.found if isinstance(error, MrisslError) else "number too large"
        raise MrisslError(f"line {line}: {found}", where=path) from error


def _check_geometry(info: dict[str, Any], path: Path) -> None:
    """Refuse a geometry that no volume could have."""
    frame = info.get("frame", 0)
    if type(frame) is not int or not 0 <= frame < 1 << 31:
        raise MrisslError("frame is not usable", where=path, expected="a whole number from 0")
    shape, spacing = info.get("shape", [1, 1, 1]), info.get("spacing_mm", [1, 1, 1])
    good_shape = (
        isinstance(shape, list)
        and len(shape) == 3
        and all(type(n) is int and 0 < n < 1 << 31 for n in shape)
    )
    good_spacing = (
        isinstance(spacing, list)
        and len(spacing) == 3
        and all(type(n) in (int, float) and 0 < n < 1e6 for n in spacing)
    )
    if not (good_shape and good_spacing):
        raise MrisslError(
            "shape or spacing_mm of the volume is not usable",
            where=path,
            expected="three whole numbers and three lengths > 0",
        )
    try:
        as_affine(info.get("affine", np.eye(4)))
    except (TypeError, ValueError, OverflowError) as error:
        raise MrisslError(
            "affine of the volume is not usable",
            where=path,
            expected="a finite, invertible 4x4 matrix",
        ) from error
