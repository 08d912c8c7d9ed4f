"""A flight: poses with time stamps over one volume, in memory; on disk it is an episode.

Nothing in it says where a scan lies or whose it is: the volume is known by its identity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from napari_mrissl.volumes.volume import Volume

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
