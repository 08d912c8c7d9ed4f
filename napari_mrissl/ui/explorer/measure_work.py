"""What the tab "Invariance" does off the GUI thread: plain functions of a `Control`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from napari_mrissl.features import FilterBankSettings, cached, discard, source_for
from napari_mrissl.features.apart import compute_apart
from napari_mrissl.features.cancel import Progress, stop_if
from napari_mrissl.features.drift import Drift, Series, measure_drift
from napari_mrissl.features.invariance import Invariance, compare_places, drawn_places
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.features.similarity import Comparison, channels_at, foreground_sample
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


class Called(NamedTuple):
    """What a curve is of.

    Attributes
    ----------
    title
        What the features are called.
    scan
        Name of the scan's layer.
    standardised
        Whether each channel counts by its spread.
    """

    title: str
    scan: str
    standardised: bool

    @property
    def comparison(self) -> Comparison:
        """How features are compared."""
        return "standardised" if self.standardised else "plain"


class Drifted(NamedTuple):
    """How far the features of a scan moved.

    Attributes
    ----------
    called
        What the curve is of.
    result
        The curve.
    """

    called: Called
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
    drawn = drawn_places(numbers, _PLACES)
    vectors = []
    for number, image in enumerate(images):

        def tell(part: float, step: str, number: int = number) -> None:
            control.progress(0.05 + 0.45 * (number + part), f"{step} of image {number + 1}")

        # A whole stack may take a gigabyte: no more than one is held.
        vectors.append(_features(control, image, found, drawn, tell))
        stop_if(control.cancelled)
        _ = image.identity  # known by now where the images may be added to the viewer
    stop_if(control.cancelled)
    control.progress(0.96, "Searching every place in the other image")
    result = compare_places(
        vectors[0],
        vectors[1],
        drawn,
        images[0].shape,
        images[0].spacing,
        labels,
        standardised=standardised,
    )
    names = source_for(found).channel_names()
    return Measured(what, images[0], images[1], labels, result, names)


def _features(
    control: Control,
    image: Volume,
    settings: BaseModel,
    numbers: NDArray[np.int64],
    tell: Progress,
) -> NDArray[np.float32]:
    """Features (C, N) of some voxels of an image that is looked at once.

    What was in the cache before stays there, and nothing else: the images of a measurement
    would push out features of scans.
    """
    if isinstance(settings, FilterBankSettings):
        source = source_for(settings)
        out = np.empty((len(source.channel_names()), *image.shape), np.float32)
        source.compute_into(image, out, tell, control.cancelled)
        return channels_at(out, numbers)
    kept = cached(image, settings)
    if kept is not None:
        return channels_at(kept.data, numbers)
    try:
        return channels_at(compute_apart(image, settings, tell, control.cancelled).data, numbers)
    finally:
        discard(image, settings)


def drift(
    control: Control,
    settings: Settings,
    read: Callable[[], Volume],
    series: Series,
    called: Called,
) -> Drifted:
    """How far a scan's features move as one change of its appearance grows."""
    control.progress(0.0, "Reading the scan")
    found, volume = settings(), read()
    result = measure_drift(
        volume,
        lambda image, numbers, tell: _features(control, image, found, numbers, tell),
        series,
        standardised=called.standardised,
        progress=control.progress,
        cancelled=control.cancelled,
    )
    return Drifted(called, result)
