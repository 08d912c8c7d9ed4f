"""Flights out of BIDS motion data: ours, or those of others that say centre, turn and side."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import POSE_COLUMNS
from napari_mrissl.trajectories.exchange.bids import CHANNELS, TOLD
from napari_mrissl.trajectories.exchange.incoming import Incoming, rate_of

_LARGEST_BYTES = 1 << 30
_LARGEST_SIDECAR = 1 << 24
_MM = {"mm": 1.0, "m": 1000.0, "cm": 10.0}
_SUFFIX = "_motion.tsv"
_FOLDERS = ("sub-*/motion", "sub-*/ses-*/motion")


def flights(source: Path) -> tuple[int, Iterator[Incoming]]:
    """How many flights there are, and the flights.

    Each ``_motion.tsv`` with its ``_motion.json`` and ``_channels.tsv`` beside it is a flight.
    Channels are found by component, the side of the square as ``fov`` of type ``MISC``;
    lengths may be in mm, cm or m. Those of our own export come back bit for bit.

    Raises
    ------
    MrisslError
        If there is no flight in it, or a file is not as BIDS says or lacks a channel.
    """
    paths = [path for folder in _FOLDERS for path in source.glob(f"{folder}/*{_SUFFIX}")]
    if not paths:
        raise MrisslError("has no motion data", where=source, expected=f"files *{_SUFFIX}")
    runs = sorted((_Run(path) for path in paths), key=lambda run: run.order)
    return len(runs), (run.flight() for run in runs)


class _Run:
    """One run: its table and what lies beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        stem = path.name.removesuffix(_SUFFIX)
        self.sidecar = _json(path.with_name(f"{stem}_motion.json"))
        self.channels = path.with_name(f"{stem}_channels.tsv")
        told = self.sidecar.get(TOLD)
        self.told: Mapping[str, Any] = told if isinstance(told, dict) else {}

    @property
    def order(self) -> tuple[int, str]:
        """Where it comes: as it was in the dataset that was exported, then by name."""
        number = self.told.get("stretch")
        return (number if type(number) is int else 1 << 62, self.path.as_posix())

    def flight(self) -> Incoming:
        """Its poses, with what is told of them."""
        volume = self.told.get("volume")
        task = self.sidecar.get("TaskName")
        return Incoming(
            self._poses(),
            rate_of(self.sidecar.get("SamplingFrequency")),
            {"task": task, **self.told},
            volume if isinstance(volume, dict) else {},
            self.path,
        )

    def _poses(self) -> NDArray[np.float64]:
        places, factors = self._places()
        text = _text(self.path, _LARGEST_BYTES)
        if not text.strip():
            raise MrisslError("has no line", where=self.path)
        try:
            table = np.loadtxt(io.StringIO(text), delimiter="\t", ndmin=2, comments=None)
            poses = table[:, places]
        except (ValueError, IndexError) as error:
            raise MrisslError(
                "is no table of numbers as its channels say",
                where=self.path,
                expected="one column a channel, no heading, no n/a",
            ) from error
        # Where the unit is mm already, not a bit may change.
        poses[:, factors != 1] *= factors[factors != 1]
        return np.ascontiguousarray(poses)

    def _places(self) -> tuple[list[int], NDArray[np.float64]]:
        """Columns of the table in the order of `POSE_COLUMNS`, and what makes them mm."""
        text = _text(self.channels, _LARGEST_SIDECAR)
        try:
            rows = list(csv.DictReader(io.StringIO(text), dialect="excel-tab"))
        except csv.Error as error:
            raise MrisslError("is no table", where=self.channels) from error
        places, factors = [], []
        for name in POSE_COLUMNS:
            component, kind, unit = CHANNELS[name]
            fitting = [
                number
                for number, row in enumerate(rows)
                if row.get("type") == kind
                and (
                    row.get("component") == component if kind != "MISC" else row.get("name") == name
                )
            ]
            if len(fitting) != 1:
                raise MrisslError(
                    f"has {len(fitting)} channels of type {kind} for {name}",
                    where=self.channels,
                    expected="one tracked point with x, y, z, quat_w to quat_z and a fov",
                )
            places.append(fitting[0])
            said = rows[fitting[0]].get("units")
            if unit == "mm" and said not in _MM:
                raise MrisslError(
                    f"unit of {name} is {str(said)[:20]!r}", where=self.channels, expected="mm"
                )
            factors.append(_MM[str(said)] if unit == "mm" else 1.0)
        return places, np.array(factors)


def _text(path: Path, most: int) -> str:
    try:
        # A link may lead to a device that never ends.
        if not path.is_file():
            raise MrisslError("is not there, or is no file", where=path)
        if path.stat().st_size > most:
            raise MrisslError("is too large", where=path, expected=f"at most {most >> 20} MB")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MrisslError(
            f"could not be read ({getattr(error, 'strerror', None) or 'not UTF-8'})", where=path
        ) from error


def _json(path: Path) -> dict[str, Any]:
    text = _text(path, _LARGEST_SIDECAR)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        # A number may have more digits than Python takes.
        raise MrisslError("is not JSON", where=path) from error
    if not isinstance(content, dict):
        raise MrisslError("is no JSON object", where=path)
    return content
