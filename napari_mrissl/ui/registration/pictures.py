"""Pictures of a registration as plain arrays: checkerboard, deformed grid, arrows, Jacobian."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.registration import Transform
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.transform import jacobian
from napari_mrissl.ui.registration.result import Result, field_alone
from napari_mrissl.volumes import Volume

Part = Literal["field", "whole"]
"""What is drawn of a transform: what the field adds to the linear part, or all of it."""

Floats = NDArray[np.float32]

_LINE_VOXELS = 0.7
"""Half the width of a grid's lines, in the fixed scan's longest voxel side."""

_DARK = 0.1
"""Share of the range of values below which there is air, which has no arrows."""

_MOST_ARROWS = 60_000


class Arrows(NamedTuple):
    """Displacements on a lattice along world's axes.

    Attributes
    ----------
    starts, steps
        (N, 3) RAS mm.
    origin
        (3,) RAS mm of one of the lattice's places.
    step_mm
        Between its places.
    """

    starts: NDArray[np.float64]
    steps: NDArray[np.float64]
    origin: NDArray[np.float64]
    step_mm: float


def part_of(result: Result, part: Part) -> Transform:
    """The transform of which a picture is drawn; without a field there is the linear one."""
    transform = result.found.transform
    return field_alone(transform) if part == "field" and result.deformable else transform


def checkerboard(result: Result, side_mm: float, cancelled: IsCancelled | None = None) -> Floats:
    """(S, A, R) from 0 to 1: cubes of the fixed and of the moved scan in turn.

    Each scan is scaled to its own display window.
    """
    fixed, moved = result.scans.fixed, result.moved
    out = _scaled(fixed, fixed.display_window())
    stop_if(cancelled)
    other = _scaled(moved, result.scans.moving.display_window())
    odd = np.zeros((1, 1, 1), bool)
    for axis, (count, spacing) in enumerate(zip(fixed.shape, fixed.spacing, strict=True)):
        shape = [1, 1, 1]
        shape[axis] = count
        cells = np.floor(np.arange(count) * spacing / side_mm).astype(int) % 2 == 1
        odd = odd ^ cells.reshape(shape)
    np.copyto(out, other, where=odd)
    return out


def deformed_grid(
    result: Result, part: Part, step_mm: float, through: int, cancelled: IsCancelled | None = None
) -> Floats:
    """(S, A, R) from 0 to 1: where straight lines through the moving scan come to lie.

    Parameters
    ----------
    result, part
        What is drawn.
    step_mm
        Between the lines.
    through
        World axis (R, A, S) that is looked along: lines that run through the picture are left out.
    """
    grid = Grid.of(result.scans.fixed)
    field = part_of(result, part).displacements(grid)
    half = _LINE_VOXELS * float(grid.spacing.max())
    out = np.zeros(grid.shape, np.float32)
    _, a, r = grid.shape
    plane = np.indices((1, a, r)).reshape(3, -1).T.astype(np.float64)
    for number in range(grid.shape[0]):
        stop_if(cancelled)
        plane[:, 0] = number
        places = apply_affine(grid.affine, plane) + field[number].reshape(-1, 3)
        lines = np.zeros(len(places))
        for axis in {0, 1, 2} - {through}:
            turns = places[:, axis] / step_mm
            away = np.abs(turns - np.rint(turns)) * step_mm
            np.maximum(lines, np.clip(1.5 - away / half, 0, 1), out=lines)
        out[number] = lines.reshape(a, r)
    return out


def arrows(result: Result, part: Part, step_mm: float) -> Arrows:
    """Displacements where the fixed scan is brighter than air, or within its mask."""
    fixed = result.scans.fixed
    grid = Grid.of(fixed)
    corners = apply_affine(
        grid.affine, np.stack(np.meshgrid(*([0, n - 1] for n in grid.shape)), -1).reshape(-1, 3)
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    # A picture of so many arrows is black, and takes the viewer seconds to draw.
    step = max(step_mm, float((np.prod(high - low) / _MOST_ARROWS) ** (1 / 3)))
    origin = low + np.mod((high - low) / 2, step)
    axes = [np.arange(origin[n], high[n] + 1e-6, step) for n in range(3)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    index = np.rint(apply_affine(grid.to_index, places)).astype(int)
    inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
    places, index = places[inside], index[inside]
    voxels = tuple(index.T)
    mask = result.scans.extras.fixed_mask
    if mask is not None:
        kept = mask[voxels]
    else:
        least, most = fixed.value_range()
        values = fixed.slope * fixed.data[voxels].astype(np.float64) + fixed.intercept
        kept = values > least + _DARK * (most - least)
    places = places[kept]
    return Arrows(places, part_of(result, part)(places) - places, origin, step)


def determinants(result: Result, part: Part) -> Floats:
    """(S, A, R): 1 keeps volume, below 0 space folds."""
    grid = Grid.of(result.scans.fixed)
    return jacobian(part_of(result, part).displacements(grid), grid)


def _scaled(volume: Volume, window: tuple[float, float]) -> Floats:
    low, high = window
    values = np.float32(volume.slope) * volume.data.astype(np.float32)
    values += np.float32(volume.intercept - low)
    values /= np.float32(max(high - low, 1e-12))
    return np.clip(np.nan_to_num(values, copy=False), 0, 1, out=values)
