"""What features of any trained network share: weights, values that become 0 and 1, torch."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.networks.weight_library import WeightFile
from napari_mrissl.networks.weight_places import is_identity, place_of, remember
from napari_mrissl.volumes import Volume

RANDOM = "random"
"""The name of weights that are drawn: a network that learned nothing."""

TORCH_BYTES = 250 << 20
"""What torch and its libraries take in memory."""

Percent = Annotated[float, Field(ge=0, le=100)]
Range = tuple[float, float]
T = TypeVar("T")

_busy = threading.Lock()


class WeightSettings(BaseModel, ABC):
    """Which weights, and what of a scan becomes 0 and 1.

    Attributes
    ----------
    weights
        A SHA-256. A run's folder or a file may be given too: this user's private index
        remembers its place, and here stands its SHA-256.
    percentiles
        Of the scan, that become 0 and 1. None with `window` None too: what the weights' card
        says.
    window
        Values of the scan that become 0 and 1 instead.

    Raises
    ------
    MrisslError
        If a place is given that holds no such weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(min_length=1, max_length=4096)
    percentiles: tuple[Percent, Percent] | None = None
    window: tuple[float, float] | None = None

    def __init__(self, **content: Any) -> None:
        # Not a validator: pydantic would make a long story of the sentence about a file.
        weights = content.get("weights")
        if isinstance(weights, str | Path) and self.is_place(weights):
            file = self.opened(weights)
            remember(file.identity, file.path)
            content["weights"] = file.identity
        super().__init__(**content)

    @classmethod
    def is_place(cls, weights: str | Path) -> bool:
        """Whether this is a folder or a file, and no name."""
        return not is_identity(str(weights))

    @classmethod
    @abstractmethod
    def opened(cls, place: str | Path) -> WeightFile:
        """The weights of a place.

        Raises
        ------
        MrisslError
            If they are of another network.
        """

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for low, high in filter(None, (self.percentiles, self.window)):
            if not low < high:
                raise ValueError(f"{low:g} to {high:g} is no range")
        return self


class ByTorch(ABC):
    """A source of features that imports torch when it computes, one volume at a time."""

    @abstractmethod
    def pass_of_torch(self) -> Callable[..., None]:
        """What `compute_into` does, from a module that imports torch."""

    def compute_into(
        self,
        volume: Volume,
        out: NDArray[np.float32],
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> None:
        """Fill `out`, (C, S, A, R) float32; asks `cancelled` between parts of the work.

        Raises
        ------
        Cancelled
            If `cancelled` answered True; `out` is half filled.
        MrisslError
            If all voxels have the same value, torch is not installed, or the weights cannot
            be read.
        """
        by_torch(self.pass_of_torch, cancelled, self, volume, out, progress, cancelled)


def by_torch(load: Callable[[], Callable[..., T]], cancelled: IsCancelled | None, *given: Any) -> T:
    """What a function that imports torch makes of something, one call at a time.

    Parameters
    ----------
    load
        Gives the function.
    cancelled
        Asked while another call is at work.
    given
        To the function.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If torch is not installed.
    """
    try:
        compute = load()
    except ModuleNotFoundError as error:
        raise MrisslError(
            "features of networks need torch, which is not installed",
            remedy='run: pip install "napari-mrissl[train]"',
        ) from error
    while not _busy.acquire(timeout=0.05):
        stop_if(cancelled)
    try:
        return compute(*given)
    finally:
        _busy.release()


def as_in_training(known: Any, otherwise: Range) -> dict[str, Range]:
    """What of a scan becomes 0 and 1, as a field of the settings.

    Parameters
    ----------
    known
        What the weights' card says of it, or None.
    otherwise
        Percentiles where it says nothing usable.
    """
    match known:
        case {"kind": "window", "low": float(low), "high": float(high)} if low < high:
            return {"window": (low, high)}
        case {"kind": "percentile", "low": float(low), "high": float(high)} if (
            0 <= low < high <= 100
        ):
            return {"percentiles": (low, high)}
    return {"percentiles": otherwise}


def file_of(weights: str, named: Callable[[str | Path], WeightFile]) -> WeightFile:
    """The file of a name or a SHA-256, by what opens names and places.

    Raises
    ------
    MrisslError
        If there is none, or another one lies in its place now.
    """
    if not is_identity(weights):
        return named(weights)
    file = named(place_of(weights))
    if file.identity != weights:
        raise MrisslError(
            "has changed since it was chosen", where="weights", remedy="choose the weights again"
        )
    return file


def without_contrast(volume: Volume, remedy: str = "choose another scan") -> MrisslError:
    """That a scan is the same everywhere."""
    return MrisslError(
        "all voxels have the same value",
        where=volume.name,
        expected="a scan with some contrast",
        remedy=remedy,
    )
