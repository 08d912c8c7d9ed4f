"""How far features move as one change of a scan's appearance grows, the anatomy unchanged.

The "feature drift" of an image under bias field, noise, gamma and blur, which contrastive
pretraining on painted anatomy (arXiv:2411.02372) is meant to keep small. Our own measure
(inferred): the paper reports what features are worth, not how far they move.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.invariance import directions
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.features.similarity import Comparison, foreground_sample
from napari_mrissl.volumes import Volume

Change = Literal["bias", "noise", "gamma", "blur"]
"""A field of brightness, noise, an exponent of the grey values, a Gaussian blur."""

CHANGES: tuple[Change, ...] = ("bias", "noise", "gamma", "blur")
STRONGEST: dict[Change, float] = {"bias": 1.5, "noise": 0.3, "gamma": 3.0, "blur": 5.0}
"""The strongest that makes sense of each."""

_VOXELS = 20_000
_LEAST = 10


class Series(BaseModel):
    """One change of appearance at several strengths.

    Attributes
    ----------
    change
        What is changed.
    strongest
        The last strength, in the units of `Recolouring`: the exponent itself for gamma.
    steps
        How many strengths besides the neutral one.
    seed
        Of the bias field and the noise, which keep their form while they grow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: Change = "noise"
    strongest: Annotated[float, Field(gt=0, le=5)] = 0.2
    steps: Annotated[int, Field(ge=1, le=20)] = 5
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def strengths(self) -> tuple[float, ...]:
        """The neutral strength first (0, for gamma 1), evenly spaced; gamma by equal factors."""
        if self.change == "gamma":
            return tuple(float(v) for v in np.geomspace(1, self.strongest, self.steps + 1))
        return tuple(float(v) for v in np.linspace(0, self.strongest, self.steps + 1))

    def recolouring(self, strength: float) -> Recolouring:
        """The change at one strength."""
        field = "blur_mm" if self.change == "blur" else self.change
        return Recolouring.model_validate({field: strength, "seed": self.seed})


@dataclass(frozen=True, eq=False)
class Drift:
    """How far features moved, by strength of a change.

    Attributes
    ----------
    change
        What was changed.
    strengths
        (N,) of the change, the neutral one first.
    drift
        (N,) one less the mean cosine of a voxel's features with those that the unchanged scan
        has there. At the neutral strength only what lies beyond the display's range is
        clipped.
    chance
        The same of voxels drawn at random in the unchanged scan: as far as features that have
        forgotten where they are.
    voxels
        How many voxels of tissue were looked at.
    """

    change: Change
    strengths: NDArray[np.float64]
    drift: NDArray[np.float64]
    chance: float
    voxels: int


def measure_drift(
    volume: Volume,
    features_of: Callable[[Volume, NDArray[np.int64], Progress], NDArray[np.float32]],
    series: Series,
    *,
    standardised: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Drift:
    """Change a scan's appearance step by step and follow its features.

    Parameters
    ----------
    volume
        The scan; tissue is what `foreground_sample` finds in it.
    features_of
        Features (C, N) of a volume's voxels with these flat numbers; tells how far it is.
    series
        The change and its strengths.
    standardised
        Whether each image's channels are first centred and divided by their spread over the
        tissue, as the comparison does between scans.
    progress
        Told of the part done and the step.
    cancelled
        Asked between and within steps.

    Raises
    ------
    MrisslError
        If there is too little tissue.
    Cancelled
        If `cancelled` answered True.
    """
    rng = np.random.default_rng(series.seed)
    numbers = foreground_sample(volume)
    if len(numbers) > _VOXELS:
        numbers = np.sort(rng.choice(numbers, _VOXELS, replace=False))
    if len(numbers) < _LEAST:
        raise MrisslError(f"{len(numbers)} voxels of tissue", expected=f"at least {_LEAST}")
    strengths = series.strengths

    def features_at(image: Volume, number: int, words: str) -> NDArray[np.float64]:
        stop_if(cancelled)

        def tell(part: float, step: str) -> None:
            if progress is not None:
                progress((number + part) / (len(strengths) + 1), f"{words}: {step}")

        tell(0.0, "features")
        return directions(features_of(image, numbers, tell), standardised)

    before = features_at(volume, 0, "unchanged scan")
    drift = []
    for number, strength in enumerate(strengths, 1):
        stop_if(cancelled)
        image = recoloured(volume, series.recolouring(strength), cancelled)
        after = features_at(image, number, f"{series.change} {strength:.3g}")
        drift.append(1 - float((before * after).sum(axis=0).mean()))
    # A voxel with itself is no chance: everyone moves on by at least one place.
    shift = rng.integers(1, len(numbers), len(numbers))
    others = (np.arange(len(numbers)) + shift) % len(numbers)
    chance = 1 - float((before * before[:, others]).sum(axis=0).mean())
    return Drift(series.change, np.array(strengths), np.array(drift), chance, len(numbers))


def drift_table(drifts: Sequence[tuple[str, Comparison, int, Drift]]) -> str:
    """Curves as CSV text, one line for each strength.

    Parameters
    ----------
    drifts
        Of each curve what the features are called, how they were compared, a number by which
        its scan is told from others (a name would not be for others' eyes), and the curve.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("features", "comparison", "scan", "change", "strength", "drift", "chance", "voxels")
    )
    for title, comparison, scan, one in drifts:
        for strength, drift in zip(one.strengths, one.drift, strict=True):
            writer.writerow(
                (title, comparison, scan, one.change, f"{strength:.6g}", f"{drift:.6f}",
                 f"{one.chance:.6f}", one.voxels)
            )  # fmt: skip
    return text.getvalue()
