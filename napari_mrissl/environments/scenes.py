"""What is flown over: a scan, the plane that is sought in it, and where flights begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.navigation.demonstrations import start_of
from napari_mrissl.evaluation.navigation.plane_heads import SIDE, displaced_head
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import BlockedVolume, compiled
from napari_mrissl.volumes import Volume

_KEPT = 64


@dataclass(frozen=True, eq=False)
class Scene:
    """A scan with a plane to be found.

    Attributes
    ----------
    volume
        The scan.
    target
        The plane, as the pose in which it is best seen; its turn within the plane, its place
        along it and its fov say nothing.
    start
        Where flights begin.
    middle
        (3,) world mm: distance is that of the point of the plane next to it.
    """

    volume: Volume
    target: Pose
    start: Pose
    middle: NDArray[np.float64]
    _windows: dict[tuple[float, float], tuple[float, float]] = field(
        default_factory=dict, repr=False
    )

    @cached_property
    def blocked(self) -> BlockedVolume:
        """The scan as it is rendered fastest."""
        compiled.settle("blocked", self.volume.data.dtype)
        return BlockedVolume.of(self.volume)

    def window(self, percentiles: tuple[float, float]) -> tuple[float, float]:
        """Percentiles of the scan's values, which are shown as 0 and 1; found once."""
        if percentiles not in self._windows:
            self._windows[percentiles] = self.volume.value_range(*percentiles)
        return self._windows[percentiles]

    @cached_property
    def mark(self) -> NDArray[np.float64]:
        """(3,) the point of the plane next to the middle."""
        off = (self.middle - self.target.center) @ self.target.normal
        found: NDArray[np.float64] = self.middle - off * self.target.normal
        return found


Scenes = Sequence[Callable[[], Scene]]
"""Scenes by number, each made when it is first flown over."""


def displaced_heads(seed: int, count: int, side: int = SIDE) -> Scenes:
    """Heads whose mid-sagittal plane is known, shifted and turned; see `displaced_head`.

    Parameters
    ----------
    seed
        Of all heads.
    count
        How many.
    side
        Voxels along each side of a head.
    """
    return [_Head(seed, number, side) for number in range(count)]


@dataclass(frozen=True)
class _Head:
    """Makes one scene, once."""

    seed: int
    number: int
    side: int

    def __call__(self) -> Scene:
        return _head(self.seed, self.number, self.side)


@lru_cache(maxsize=_KEPT)
def _head(seed: int, number: int, side: int) -> Scene:
    head = displaced_head(seed, number, side)
    return Scene(head.volume, head.target, start_of(head.volume), head.middle)
