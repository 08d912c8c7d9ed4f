"""Flights that come from elsewhere: looked at row by row, and stored as a new dataset."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories.columns import VOLUME_FACTS
from napari_mrissl.trajectories.dataset import Dataset
from napari_mrissl.trajectories.entries import SOURCES, is_rate, is_text
from napari_mrissl.trajectories.flight import flight_info
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.trajectories.sampling import MOST_FRAMES, Samples, frame_times
from napari_mrissl.volumes import Volume

FARTHEST_MM = 1e6
"""No scan is a kilometre away."""


@dataclass(frozen=True, eq=False)
class Incoming:
    """A flight as some file says it.

    Attributes
    ----------
    poses
        (T, 8) float64 in the order of `POSE_COLUMNS`.
    hertz
        Frames a second.
    made
        ``identity``, ``task``, ``source``, ``policy``, ``seed``, as far as they are told.
    volume
        ``frame``, ``shape``, ``spacing_mm`` and ``affine`` of the scan, as far as told.
    where
        The file.
    """

    poses: NDArray[np.float64]
    hertz: float
    made: Mapping[str, Any]
    volume: Mapping[str, Any]
    where: Path = field(default=Path("flight"))

    def __post_init__(self) -> None:
        if not is_rate(self.hertz):
            raise MrisslError(
                "rate is not usable", where=self.where, expected="0.01 to 1000 frames a second"
            )
        if not 0 < len(self.poses) <= MOST_FRAMES:
            raise MrisslError(
                f"flight of {len(self.poses)} frames",
                where=self.where,
                expected=f"1 to {MOST_FRAMES} frames",
            )
        for number, row in enumerate(self.poses):
            if np.abs(row).max() > FARTHEST_MM:
                raise MrisslError(
                    f"frame {number}: a number is beyond any scan",
                    where=self.where,
                    expected=f"at most {FARTHEST_MM:g} mm",
                )
            try:
                Pose.from_row(row)
            except MrisslError as error:
                raise MrisslError(f"frame {number}: {error.found}", where=self.where) from error


def rate_of(said: object) -> float:
    """Frames a second as a file says it; no number where it says none."""
    try:
        return float(said) if isinstance(said, int | float | np.number) else float("nan")
    except OverflowError:
        return float("inf")


def store(
    found: tuple[int, Iterable[Incoming]],
    out: Path,
    scans: Sequence[Volume] = (),
    progress: Callable[[float], None] | None = None,
) -> Dataset:
    """Store flights as a new dataset, numbers as they are: all of them, or nothing.

    Parameters
    ----------
    found
        How many flights there are, and the flights, all at one rate.
    out
        A folder that is not there yet.
    scans
        Scans; where there is one, it is that of flights that name none.
    progress
        Called with the fraction done.

    Raises
    ------
    MrisslError
        If there is no flight, rates differ, a flight does not say over which scan it was
        flown, or the folder is there or cannot be written. Nothing is left behind then.
    """
    count, flights = found
    rest = iter(flights)
    first = next(rest, None)
    if first is None:
        raise MrisslError("there is no flight in it", where=out)
    with new_folder(out) as partial:
        dataset = Dataset.create(partial, first.hertz)
        with dataset.together():
            for number, flight in enumerate(itertools.chain([first], rest)):
                if flight.hertz != dataset.hertz:
                    raise MrisslError(
                        f"{flight.hertz:g} frames a second",
                        where=flight.where,
                        expected=f"{dataset.hertz:g}, as the flight before",
                        remedy="import flights of different rates one by one",
                    )
                _add(dataset, flight, scans)
                if progress:
                    progress((number + 1) / count)
    return Dataset.open(out)


def _add(dataset: Dataset, flight: Incoming, scans: Sequence[Volume]) -> None:
    count = len(flight.poses)
    samples = Samples(
        poses=flight.poses,
        times_ns=frame_times(count, dataset.hertz),
        cut_s=0.0,
        cursor=np.full((count, 3), np.nan),
        window=np.full((count, 2), np.nan),
        clicks=[[] for _ in range(count)],
        layers=np.zeros(count, np.int64),
        layer_names=(),
    )
    identity, info = _volume(flight, scans)
    source, policy, seed = (flight.made.get(name) for name in ("source", "policy", "seed"))
    task = flight.made.get("task")
    dataset.add(
        samples,
        identity,
        info,
        task=task if isinstance(task, str) else "",
        source=source if source in SOURCES else "recorded",
        policy=policy if is_text(policy) else None,
        seed=seed if type(seed) is int and abs(seed) < 1 << 63 else None,
    )


def _volume(flight: Incoming, scans: Sequence[Volume]) -> tuple[str, dict[str, Any]]:
    """Identity and facts of the scan that a flight was flown over."""
    identity = flight.made.get("identity")
    known = {volume.identity: volume for volume in scans}
    if not isinstance(identity, str):
        if len(known) != 1:
            raise MrisslError(
                "does not say over which scan it was flown",
                where=flight.where,
                remedy="give the scan (--scan), or open it before the import",
            )
        (identity,) = known
    if identity in known:
        return identity, flight_info(known[identity])
    if len(identity) != 64 or set(identity) - set("0123456789abcdef"):
        raise MrisslError("names a scan by no identity", where=flight.where)
    return identity, {name: flight.volume[name] for name in VOLUME_FACTS if name in flight.volume}
