"""Pictures of planes through views and chunks: cut out of what the network got."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.ui.inspector.navigation.picture import Sides
from napari_mrissl.ui.navigator.anatomy import Plane, letters

Floats = NDArray[np.float64]

# Of axes (R, A, S): what runs to the right and up in each plane, and what it is cut along.
AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (0, 2, 1),
    "sagittal": (1, 2, 0),
}
_PIXELS = 160


@dataclass(frozen=True, eq=False)
class Block:
    """A box of a scan and what it shows.

    Attributes
    ----------
    name
        What it is called.
    image
        (S, A, R) in [0, 1].
    center_world
        (3,) its middle in world RAS mm.
    edges_mm
        (3,) along the scan's axes (R, A, S).
    axes_world
        (3, 3) rows: unit vectors of the scan's axes (R, A, S) in world RAS.
    """

    name: str
    image: NDArray[np.float32]
    center_world: Floats
    edges_mm: Floats
    axes_world: Floats

    def within(self, world: Floats) -> Floats | None:
        """A world point as mm along (R, A, S) from the middle; None outside of the box."""
        # Scans may be sheared: their axes need not be at right angles.
        offset: Floats = np.linalg.solve(self.axes_world.T, world - self.center_world)
        return offset if (np.abs(offset) <= self.edges_mm / 2 + 1e-6).all() else None

    def world(self, offset_mm: Floats) -> Floats:
        """The inverse of `within`."""
        point: Floats = self.center_world + offset_mm @ self.axes_world
        return point


def side_mm(edges_mm: Floats, plane: Plane) -> float:
    """Side of the square that a plane of a box is drawn in."""
    right, up, _ = AXES[plane]
    return float(max(edges_mm[right], edges_mm[up]))


def picture(block: Block, plane: Plane, depth_mm: float) -> NDArray[np.float32]:
    """(N, N) of a plane, so far from the middle; rows run down, pixels are square.

    Seen by a neurological reader: R, or A in sagittal planes, is on the right.
    """
    right, up, along = AXES[plane]
    side = side_mm(block.edges_mm, plane)
    steps = ((np.arange(_PIXELS) + 0.5) / _PIXELS - 0.5) * side
    voxels = np.array(block.image.shape)[::-1]
    per_mm = voxels / block.edges_mm
    columns = np.floor((steps + block.edges_mm[right] / 2) * per_mm[right]).astype(int)
    rows = np.floor((-steps + block.edges_mm[up] / 2) * per_mm[up]).astype(int)
    depth = int(np.clip(np.floor((depth_mm + block.edges_mm[along] / 2) * per_mm[along]),
                        0, voxels[along] - 1))  # fmt: skip
    # Arrays run along (S, A, R).
    slab = np.take(block.image, depth, axis=2 - along)
    inside = ((rows >= 0) & (rows < voxels[up]))[:, None] & (
        (columns >= 0) & (columns < voxels[right])
    )
    found = slab[np.clip(rows, 0, voxels[up] - 1)][:, np.clip(columns, 0, voxels[right] - 1)]
    return np.where(inside, found, np.float32(0))


def offset_at(block: Block, plane: Plane, depth_mm: float, place: tuple[float, float]) -> Floats:
    """mm along (R, A, S) of a place (row, column) in a picture, given in parts of its sides."""
    right, up, along = AXES[plane]
    side = side_mm(block.edges_mm, plane)
    offset = np.zeros(3)
    offset[right], offset[up] = (place[1] - 0.5) * side, (0.5 - place[0]) * side
    offset[along] = depth_mm
    half = block.edges_mm / 2
    return np.clip(offset, -half, half)


def place_of(block: Block, plane: Plane, offset_mm: Floats) -> tuple[float, float]:
    """The inverse of `offset_at`, but for the depth."""
    right, up, _ = AXES[plane]
    side = side_mm(block.edges_mm, plane)
    return float(0.5 - offset_mm[up] / side), float(0.5 + offset_mm[right] / side)


def sides(block: Block, plane: Plane, *, flipped: bool) -> Sides:
    """The letters of a picture's sides."""
    across, up, _ = (block.axes_world[axis] for axis in AXES[plane])
    across = -across if flipped else across
    return Sides(letters(up), letters(-up), letters(-across), letters(across))
