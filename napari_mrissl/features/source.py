"""What a source of dense features is, and the registry in which new ones are entered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.volumes import Volume


class Estimate(NamedTuple):
    """What computing features will take.

    Attributes
    ----------
    ram_bytes
        Memory in use at the peak, beside the volume itself.
    disk_bytes
        Size of the cache entry.
    seconds
        Time on two cores of an ordinary machine.
    """

    ram_bytes: int
    disk_bytes: int
    seconds: float


@dataclass(frozen=True, eq=False)
class FeatureStack:
    """Dense features on a volume's grid.

    Attributes
    ----------
    data
        (C, S, A, R) float32, C-contiguous, read-only, possibly memory-mapped.
    names
        One name per channel.
    identity
        Identity of the volume the features belong to.
    settings
        What computed them.
    """

    data: NDArray[np.float32]
    names: tuple[str, ...]
    identity: str
    settings: BaseModel


class FeatureSource(Protocol):
    """Something that turns a volume into channels: the filter bank, later networks."""

    @property
    def name(self) -> str:
        """A word for logs and messages."""
        ...

    @property
    def version(self) -> int:
        """Raised whenever the same settings give other numbers, so that caches end."""
        ...

    @property
    def settings(self) -> BaseModel:
        """Everything the numbers depend on."""
        ...

    def channel_names(self) -> tuple[str, ...]:
        """One name per channel, in order."""
        ...

    def estimate(self, volume: Volume) -> Estimate:
        """What `compute_into` will take on this volume."""
        ...

    def compute_into(
        self,
        volume: Volume,
        out: NDArray[np.float32],
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> None:
        """Fill `out`, (C, S, A, R) float32; `Cancelled` may leave it half filled."""
        ...


_factories: dict[type[BaseModel], Callable[[Any], FeatureSource]] = {}


def register_source(settings: type[BaseModel], factory: Callable[[Any], FeatureSource]) -> None:
    """Enter a source: settings of this type are handed to `factory`."""
    _factories[settings] = factory


def source_for(settings: BaseModel) -> FeatureSource:
    """The source that computes what these settings describe.

    Raises
    ------
    MrisslError
        If no source is registered for settings of this type.
    """
    factory = _factories.get(type(settings))
    if factory is None:
        known = ", ".join(sorted(t.__name__ for t in _factories))
        raise MrisslError(f"features by {type(settings).__name__}", expected=f"one of {known}")
    return factory(settings)
