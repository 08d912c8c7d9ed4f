"""What the tab "Invariance" does off the GUI thread: plain functions of a `Control`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from napari_mrissl.features import FilterBankSettings, source_for
from napari_mrissl.features.apart import compute_apart
from napari_mrissl.features.cancel import Progress, stop_if
from napari_mrissl.features.drift import Drift, Series, measure_drift
from napari_mrissl.features.invariance import Invariance, measure_invariance
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.features.similarity import foreground_sample
from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.ui.jobs import Control

Settings = Callable[[], BaseModel]
_PLACES = 1000


@dataclass(frozen=True, eq=False)
class Measured:
    """What the invariance meter found.

    Attributes
    ----------
    what
        The two images, in words.
    before, after
        The images.
    labels
        (S, A, R) where the anatomy is known.
    result
        The numbers.
    names
        Of the channels.
    """

    what: str
    before: Volume
    after: Volume
    labels: NDArray[np.uint8] | None
    result: Invariance
    names: tuple[str, ...]


class Drifted(NamedTuple):
    """How far the features of a scan moved.

    Attributes
    ----------
    title
        What the features are called.
    scan
        Name of the scan.
    result
        The curve.
    """

    title: str
    scan: str
    result: Drift


def measure_pair(
    control: Control, settings: Settings, seed: int, index: int, side: int, standardised: bool
) -> Measured:
    """Two views of one label map of the data engine, and what features make of them."""
    control.progress(0.0, "Painting a pair of views")
    engine = Engine(Templates.procedural(seed=seed), EngineSettings.of_side(side), seed)
    pair = engine.pair(index)
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = affine[3, 3] = 1
    affine[:3, 3] = -(side - 1) / 2
    views = [
        Volume.from_stored(view, affine, name=f"pair {index}, view {number}")
        for number, view in enumerate(pair.views, 1)
    ]
    numbers = np.flatnonzero(pair.labels).astype(np.int64)
    what = f"pair {index} of seed {seed}, {side} voxels a side"
    return _measured(control, settings, what, views, pair.labels, numbers, standardised)


def measure_recoloured(
    control: Control,
    settings: Settings,
    read: Callable[[], Volume],
    change: Recolouring,
    standardised: bool,
) -> Measured:
    """A scan and the same scan with another appearance, and what features make of them."""
    control.progress(0.0, "Changing the appearance")
    volume = read()
    after = recoloured(volume, change, control.cancelled)
    numbers = foreground_sample(volume)
    what = f"{volume.name}, as it is and recoloured"
    return _measured(control, settings, what, [volume, after], None, numbers, standardised)


def _measured(
    control: Control,
    settings: Settings,
    what: str,
    images: Sequence[Volume],
    labels: NDArray[np.uint8] | None,
    numbers: NDArray[np.int64],
    standardised: bool,
) -> Measured:
    found = settings()
    stacks = []
    for number, image in enumerate(images):

        def tell(part: float, step: str, number: int = number) -> None:
            control.progress(0.05 + 0.45 * (number + part), f"{step} of image {number + 1}")

        stacks.append(_features(control, image, found, tell))
    stop_if(control.cancelled)
    control.progress(0.96, "Searching every place in the other image")
    result = measure_invariance(
        stacks[0],
        stacks[1],
        numbers,
        images[0].spacing,
        labels,
        places=_PLACES,
        standardised=standardised,
    )
    names = source_for(found).channel_names()
    return Measured(what, images[0], images[1], labels, result, names)


def _features(
    control: Control, image: Volume, settings: BaseModel, tell: Progress
) -> NDArray[np.float32]:
    """Features of an image that is looked at once: filters leave nothing in the cache."""
    if not isinstance(settings, FilterBankSettings):
        return compute_apart(image, settings, tell, control.cancelled).data
    source = source_for(settings)
    out = np.empty((len(source.channel_names()), *image.shape), np.float32)
    source.compute_into(image, out, tell, control.cancelled)
    return out


def drift(
    control: Control,
    settings: Settings,
    read: Callable[[], Volume],
    series: Series,
    standardised: bool,
    title: str,
) -> Drifted:
    """How far a scan's features move as one change of its appearance grows."""
    control.progress(0.0, "Reading the scan")
    found, volume = settings(), read()
    result = measure_drift(
        volume,
        lambda image, tell: _features(control, image, found, tell),
        series,
        standardised=standardised,
        progress=control.progress,
        cancelled=control.cancelled,
    )
    return Drifted(title, volume.name, result)
