"""Label ensembles: templates painted over each other, a foreground mask, an envelope.

Step 1 of the reference (arXiv:2411.02372, ``step1_generate_labels.py``). Faithful: the
first template is label 0, later ones overwrite earlier ones, the affine map goes from
output to template about the array's corner, and templates repeat periodically. Corrected:
lengths scale with the side (the reference once had 128 built in), a template voxel being
1/128 of the side, so that a small volume is a coarse one rather than a cutting. Inferred:
a template is padded by half of what it lacks, rounded down, before its box; the ball is
warped with its last voxel's centre as the mirror; noise is upsampled without aligned
corners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.synthesis.draws import generator
from napari_mrissl.synthesis.noise import draw_fields, nodes_of
from napari_mrissl.synthesis.operations import WHOLE, Placements
from napari_mrissl.synthesis.settings import REFERENCE_SIDE, EnsembleSettings
from napari_mrissl.synthesis.templates import Templates

Kind = Literal["plain", "masked", "enveloped"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Placement:
    """One template and where it goes.

    Attributes
    ----------
    template
        Its number in the pool.
    matrix, shift
        Template voxel = matrix @ (output voxel * 128 / side) + shift, counted from the
        corner of the padded template.
    """

    template: int
    matrix: tuple[Triple, Triple, Triple]
    shift: Triple


@dataclass(frozen=True, eq=False)
class MaskDraw:
    """The deformed ball, in voxels of the volume.

    Attributes
    ----------
    centre, radius
        Of the ball before the warp.
    stds
        Standard deviation of the noise fields, scale after scale.
    coarse
        (3, nodes) the noise fields; not part of the record, the seed gives them.
    """

    centre: Triple
    radius: float
    stds: tuple[float, ...]
    coarse: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class EnsembleDraw:
    """All that makes one label map."""

    placements: tuple[Placement, ...]
    mask: MaskDraw | None
    envelope: float | None

    @property
    def kind(self) -> Kind:
        """What the map is: plain, masked, or masked with an envelope."""
        if self.mask is None:
            return "plain"
        return "masked" if self.envelope is None else "enveloped"

    def record(self) -> dict[str, object]:
        """The drawn numbers, as plain data."""
        return {
            "kind": self.kind,
            "placements": [vars(placement) for placement in self.placements],
            "mask": None
            if self.mask is None
            else {name: value for name, value in vars(self.mask).items() if name != "coarse"},
            "envelope": self.envelope,
        }


def draw_ensemble(
    seed: int, index: int, settings: EnsembleSettings, templates: int
) -> EnsembleDraw:
    """Draw a label map's parameters, out of a pool of ``templates`` shapes."""
    rng = generator(seed, index, "templates")
    low, high = settings.templates
    count = int(rng.integers(low, high + 1))
    placements = _placements(rng, settings, templates, count)

    rng = generator(seed, index, "mask")
    masked = rng.random() < settings.mask_probability
    enveloped = rng.random() < settings.envelope_probability
    width = float(rng.choice(settings.envelope_widths))
    unit = settings.side / REFERENCE_SIDE
    if not masked:
        return EnsembleDraw(placements, None, None)
    radius = float(rng.integers(settings.ball_radius[0], settings.ball_radius[1] + 1)) * unit
    reach = settings.ball_shift
    moves = rng.integers(-reach, reach, 3) if reach else np.zeros(3)
    z, y, x = (float(unit * (REFERENCE_SIDE // 2 + move)) for move in moves)
    stds, coarse = draw_fields(rng, settings.warp_scales, settings.warp_std, 3)
    mask = MaskDraw((z, y, x), radius, stds, coarse * np.float32(unit))
    # Below one voxel a shell would be empty.
    return EnsembleDraw(placements, mask, max(1.0, width * unit) if enveloped else None)


def _placements(
    rng: np.random.Generator, settings: EnsembleSettings, templates: int, count: int
) -> tuple[Placement, ...]:
    numbers = rng.integers(templates, size=count)
    scales = rng.uniform(*settings.scale, (count, 3))
    scales[rng.random((count, 3)) < settings.reflect] *= -1
    angles = np.radians(rng.uniform(-settings.degrees, settings.degrees, (count, 3)))
    shears = np.tile(np.eye(3), (count, 1, 1))
    shears[:, [0, 0, 1], [1, 2, 2]] = rng.uniform(-settings.shear, settings.shear, (count, 3))
    shifts = rng.uniform(-settings.shift, settings.shift, (count, 3))
    about = [_rotations(axis, angles[:, axis]) for axis in range(3)]
    matrices = scales[:, :, None] * (about[0] @ about[1] @ about[2] @ shears)
    return tuple(
        Placement(number, (tuple(rows[0]), tuple(rows[1]), tuple(rows[2])), tuple(shift))
        for number, rows, shift in zip(
            numbers.tolist(), matrices.tolist(), shifts.tolist(), strict=True
        )
    )


def _rotations(axis: int, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3, 3) right-handed rotations about one axis, angles in radians."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.tile(np.eye(3), (len(angles), 1, 1))
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angles)
    matrices[:, second, first] = np.sin(angles)
    matrices[:, first, second] = -np.sin(angles)
    return matrices


def place(placements: tuple[Placement, ...], templates: Templates, side: int) -> Placements:
    """The affine maps as whole numbers; see `Placements`."""
    numbers = np.array([p.template for p in placements], np.int64)
    extents = templates.extents[numbers]
    periods = np.maximum(extents, REFERENCE_SIDE)
    matrices = np.array([p.matrix for p in placements]) * (REFERENCE_SIDE / side)
    shifts = np.array([p.shift for p in placements])
    # Half a voxel on, so that rounding down finds the nearest template voxel.
    corners = (shifts + 0.5 - (periods - extents) // 2) / periods
    return Placements(
        numbers,
        np.rint((corners - np.floor(corners)) * WHOLE).astype(np.int64) % WHOLE,
        np.rint(matrices / periods[:, :, None] * WHOLE).astype(np.int64),
        -((-extents * WHOLE) // periods),
        periods,
    )


def mask_nodes(settings: EnsembleSettings) -> tuple[int, ...]:
    """Sides of the noise fields that warp the ball."""
    return nodes_of(settings.warp_scales)
