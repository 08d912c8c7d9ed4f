"""What the explorer does off the GUI thread: plain functions of a `Control`, no layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import (
    Estimate,
    FeatureStack,
    cached,
    source_for,
)
from napari_mrissl.features.apart import compute_apart
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.features.network import NetworkFeatures
from napari_mrissl.features.projections import Projection, fit_projection
from napari_mrissl.features.similarity import (
    Compared,
    Comparison,
    channels_at,
    foreground_sample,
    prepare,
)
from napari_mrissl.registration.correspondence import (
    Landmarks,
    corresponding,
    mutual_landmarks,
)
from napari_mrissl.registration.described import Described
from napari_mrissl.registration.match_settings import MatchSettings
from napari_mrissl.ui.explorer.explored import Explored
from napari_mrissl.ui.explorer.sources import layers_of
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.ui.jobs import Control

Settings = Callable[[], BaseModel]
_SHOWN = (1.0, 99.0)
_LANDMARKS, _BACK_MM = 60, 3.0
"""How many are wanted, and how far from where it began the way back may end."""


class Ready(NamedTuple):
    """A scan whose features are computed.

    Attributes
    ----------
    number
        Which of the scans that were asked for.
    """

    number: int
    volume: Volume
    stack: FeatureStack
    compared: Compared


class Cost(NamedTuple):
    """What computing will take.

    Attributes
    ----------
    missing
        How many of the scans have no such features yet.
    scans
        How many were asked for.
    needed
        For those that are missing: time and disk summed up, memory of the largest.
    layers
        Number and stride of the layers that a network can give features of.
    remarks
        What should be known before such features of these scans are trusted.
    first_seconds
        Of computing features of the first scan, whether they are there already or not.
    """

    missing: int
    scans: int
    needed: Estimate
    layers: tuple[tuple[int, int], ...]
    remarks: tuple[str, ...]
    first_seconds: float

    @property
    def sentence(self) -> str:
        """Time, memory and disk in words."""
        if not self.missing:
            return "Computed before: they are read from the cache."
        needed = self.needed
        scans = "the scan" if self.scans == 1 else f"{self.missing} of {self.scans} scans"
        return (
            f"For {scans} about {max(needed.seconds, 1):.0f} s, "
            f"{needed.ram_bytes / 2**30:.1f} GiB of memory and "
            f"{needed.disk_bytes / 2**30:.2f} GiB of disk."
        )


class ChannelShown(NamedTuple):
    """One number per voxel, and the ends of the range to show."""

    values: NDArray[np.float32]
    title: str
    limits: tuple[float, float]


class PlaneShown(NamedTuple):
    """A plane of voxels as the main view shows it.

    Attributes
    ----------
    axis, index
        Of the voxels (S, A, R).
    up, mirrored
        Whether the vertical axis points up, and the horizontal one to the left.
    """

    axis: int
    index: int
    up: bool
    mirrored: bool


class Grid(NamedTuple):
    """The slice of every channel.

    Attributes
    ----------
    images
        Names, and (H, W) from 0 to 1.
    aspect
        Height over width, in millimetres.
    """

    images: list[tuple[str, NDArray[np.float32]]]
    aspect: float


def cost(control: Control, reads: Sequence[Callable[[], Volume]], settings: Settings) -> Cost:
    """What computing the features of some scans will take, and how many are there already."""
    found = settings()
    source = source_for(found)
    missing, ram, disk, seconds, first_seconds = 0, 0, 0, 0.0, 0.0
    remarks: dict[str, None] = {}
    for number, read in enumerate(reads):
        _stop_if(control)
        volume = read()
        if isinstance(source, NetworkFeatures):
            remarks |= dict.fromkeys(source.remarks(volume))
        needed = source.estimate(volume)
        if number == 0:
            first_seconds = needed.seconds
        if cached(volume, found) is not None:
            continue
        missing += 1
        ram, disk = max(ram, needed.ram_bytes), disk + needed.disk_bytes
        seconds += needed.seconds
    total = Estimate(ram, disk, seconds)
    return Cost(missing, len(reads), total, layers_of(found), tuple(remarks), first_seconds)


def compute(
    control: Control,
    scans: Sequence[tuple[str, Callable[[], Volume]]],
    settings: Settings,
    comparison: Comparison,
) -> int:
    """Compute the features of some scans, one after the other, and send each when it is ready.

    Raises
    ------
    MrisslError
        With the name of the scan whose features cannot be computed.
    """
    control.progress(0.0, "Reading the scans")
    found = settings()
    prepare()
    for number, (name, read) in enumerate(scans):
        _stop_if(control)

        def tell(part: float, step: str, number: int = number, name: str = name) -> None:
            control.progress((number + 0.95 * part) / len(scans), f"{name}: {step}")

        try:
            volume = read()
            stack = compute_apart(volume, found, tell, control.cancelled)
            tell(1.0, "lengths")
            compared = Compared.of(stack.data, volume, comparison, control.cancelled)
        except MrisslError as error:
            raise MrisslError(str(error), where=name) from error
        control.send(Ready(number, volume, stack, compared))
    return len(scans)


def compare(control: Control, explored: Sequence[Explored], query: NDArray[np.float32]) -> None:
    """Compare a feature vector with all voxels of all scans; sends each scan and its match."""
    for one in explored:
        _, match = one.compared.whole(query, one.spare, control.cancelled)
        control.send((one, match))


def judge(
    control: Control,
    asked: Explored,
    others: Sequence[Explored],
    place: tuple[float, float, float],
) -> None:
    """How far the match of a place in each scan can be trusted; sends each scan and that."""
    for one in others:
        found = corresponding(place, asked.described, one.described, cancelled=control.cancelled)
        control.send((one, found))


def landmarks(control: Control, one: Explored, other: Explored) -> Landmarks:
    """Places of two scans that are each other's match by their features."""
    control.progress(0.0, "Bodies")
    voxel = float(max(one.volume.spacing.max(), other.volume.spacing.max()))
    settings = MatchSettings(count=_LANDMARKS, mutual_mm=max(_BACK_MM, 1.5 * voxel))
    scans = [Described.of(scan.volume, scan.compared) for scan in (one, other)]
    return mutual_landmarks(scans[0], scans[1], settings, control.progress, control.cancelled)


def recompare(
    control: Control, explored: Sequence[Explored], comparison: Comparison
) -> list[Compared]:
    """Make features ready for another way of comparing them."""
    made = []
    for number, one in enumerate(explored):
        control.progress(number / len(explored), f"{one.name}: lengths")
        made.append(Compared.of(one.stack.data, one.volume, comparison, control.cancelled))
    return made


def colour(control: Control, explored: Sequence[Explored], standardised: bool) -> Projection:
    """Fit one basis to all scans and send the colours of each."""
    control.progress(0.0, "Finding the directions")
    pairs = [(one.volume, one.stack.data) for one in explored]
    projection = fit_projection(pairs, standardised=standardised, cancelled=control.cancelled)
    for number, one in enumerate(explored):
        control.progress((1 + number) / (1 + len(explored)), f"Colours of {one.name}")
        control.send((one, projection.colours(one.stack.data, control.cancelled)))
    return projection


def channel(
    control: Control, explored: Sequence[Explored], number: int | None
) -> list[tuple[Explored, ChannelShown]]:
    """One channel of all scans, or with None the length of the features; one range for all."""
    made, samples = [], []
    for one in explored:
        _stop_if(control)
        numbers = foreground_sample(one.volume)
        if number is None:
            values = one.compared.lengths()
            samples.append(values.reshape(-1)[numbers])
        else:
            values = np.asarray(one.stack.data[number])
            samples.append(channels_at(values[None], numbers)[0])
        title = "length of features" if number is None else one.stack.names[number]
        made.append((one, values, title))
    low, high = (float(v) for v in np.percentile(np.concatenate(samples), _SHOWN))
    if low < 0 < high:
        high = max(-low, high)
        low = -high
    if high <= low:
        high = low + 1.0
    return [(one, ChannelShown(values, title, (low, high))) for one, values, title in made]


def grid(control: Control, one: Explored, plane: PlaneShown) -> Grid:
    """The slice of each channel through a voxel plane, each on its own range, 0 to 1."""
    made = []
    for name, values in zip(one.stack.names, one.stack.data, strict=True):
        _stop_if(control)
        shown = np.asarray(np.take(values, plane.index, axis=plane.axis), np.float32)
        low, high = (float(v) for v in np.percentile(shown, _SHOWN))
        shown = (shown - low) / (high - low if high > low else 1.0)
        made.append((name, shown[:: -1 if plane.up else 1, :: -1 if plane.mirrored else 1]))
    height, width = np.delete(one.volume.spacing * one.volume.shape, plane.axis)
    return Grid(made, float(height / width))


def _stop_if(control: Control) -> None:
    if control.cancelled():
        raise Cancelled
