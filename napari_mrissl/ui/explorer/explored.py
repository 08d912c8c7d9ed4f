"""A scan with its features, made ready for clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack
from napari_mrissl.features.similarity import Compared, Match
from napari_mrissl.geometry import apply_affine
from napari_mrissl.registration.correspondence import Correspondence
from napari_mrissl.registration.described import Described
from napari_mrissl.ui.layers import METADATA_KEY, volume_of
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import LayerList
    from napari.layers import Image


class Place(NamedTuple):
    """A click.

    Attributes
    ----------
    scan
        Name of the layer whose features are asked for.
    world
        RAS mm.
    """

    scan: str
    world: tuple[float, float, float]


class Found(NamedTuple):
    """What one scan answers to a click.

    Attributes
    ----------
    match
        Its voxel most like the one that was clicked.
    world
        RAS mm of that voxel.
    distance
        Millimetres from the click, where both scans show one anatomy in one place.
    trust
        How far the match can be trusted; None in the scan that was clicked, or not known yet.
    """

    match: Match
    world: tuple[float, float, float]
    distance: float | None
    trust: Correspondence | None = None


@dataclass(eq=False)
class Explored:
    """A scan of the viewer with computed features.

    Attributes
    ----------
    layer
        That shows the scan.
    volume
        The scan.
    stack
        Its features, of which a few numbers per voxel may be memory-mapped.
    compared
        The same, ready for comparisons.
    front, spare
        (S, A, R) cosines that are shown, and what the next ones are written into.
    """

    layer: Image
    volume: Volume
    stack: FeatureStack
    compared: Compared
    front: NDArray[np.float32] = field(init=False)
    spare: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.front = np.zeros(self.volume.shape, np.float32)
        self.spare = np.zeros(self.volume.shape, np.float32)

    @property
    def described(self) -> Described:
        """The same, as what finds correspondences takes it; nothing is copied."""
        return Described(self.volume, self.compared, np.zeros(0, np.int64), np.ones(3, np.int64))

    @property
    def name(self) -> str:
        """Of its layer: scans may share a name, layers do not."""
        return str(self.layer.name)

    def voxel_at(self, world: ArrayLike) -> tuple[int, int, int] | None:
        """The voxel (s, a, r) that holds a place in RAS mm, or None outside."""
        index = np.rint(apply_affine(self.volume.to_index, world)).astype(int)
        if not ((index >= 0) & (index < self.volume.shape)).all():
            return None
        s, a, r = (int(n) for n in index)
        return s, a, r

    def world_of(self, voxel: tuple[int, int, int]) -> tuple[float, float, float]:
        """RAS mm of the centre of a voxel."""
        r, a, s = (float(v) for v in apply_affine(self.volume.affine, voxel))
        return r, a, s

    def swap(self) -> None:
        """Show what was written into the spare array."""
        self.front, self.spare = self.spare, self.front


def shows(layer: Image, volume: Volume) -> bool:
    """Whether a layer shows this very volume, whatever it is called."""
    data = layer.data
    # Of others' lazy data nothing is computed for this.
    alike = isinstance(data, np.ndarray) and data.size == volume.data.size
    if METADATA_KEY not in layer.metadata and not alike:
        return False
    try:
        held = volume_of(layer)
    except MrisslError:
        return False  # nothing that can be explored
    grids = [(v.shape, v.data.dtype, v.affine.tobytes()) for v in (held, volume)]
    return held is volume or (grids[0] == grids[1] and held.identity == volume.identity)


def asked_by(place: Place, explored: Sequence[Explored]) -> Explored | None:
    """The scan that a click asks; by its name, else any that has the place."""
    named = [one for one in explored if one.layer.name == place.scan]
    for one in [*named, *explored]:
        if one.voxel_at(place.world) is not None:
            return one
    return None


def clicked_in(
    world: ArrayLike, explored: Sequence[Explored], layers: LayerList
) -> Explored | None:
    """The scan that a click at a place in RAS mm means: the active one, or the topmost."""
    inside = [one for one in explored if one.voxel_at(world) is not None]
    chosen = [one for one in inside if one.layer is layers.selection.active]
    if chosen:
        return chosen[0]
    seen = [one for one in inside if one.layer.visible] or inside
    order = list(layers)
    return max(seen, key=lambda one: order.index(one.layer), default=None)
