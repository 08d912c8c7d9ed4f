"""Scans that are always at hand: the MNI152 template, its tissues, and a phantom."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.geometry.rotations import matrix_from_axis_angle
from napari_mrissl.volumes.errors import ScanError, UnreadableFile
from napari_mrissl.volumes.reading import read
from napari_mrissl.volumes.volume import Volume

TISSUE_NAMES = {1: "grey matter", 2: "white matter", 3: "CSF"}
"""Names of the labels of `mni152_tissues`."""

_MNI_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
# The threshold of nilearn's load_mni152_brain_mask, on values scaled to 0..1.
_BRAIN = 0.2


def mni152(resolution: int = 1) -> Volume:
    """The skull-stripped MNI152 T1 template that nilearn ships (ICBM 2009a, 1 mm).

    Parameters
    ----------
    resolution
        1 or 2 mm; at 2 mm each voxel is the mean of eight.

    Raises
    ------
    ScanError
        If the resolution is another one or nilearn lacks the file.
    """
    t1 = replace(_shipped("t1"), name=f"MNI152 T1 {_checked(resolution)} mm")
    return t1 if resolution == 1 else _halved(t1, np.rint(_block_means(t1.data)).astype(np.uint8))


def mni152_tissues(resolution: int = 1) -> Volume:
    """Tissue labels on the grid of `mni152`, uint8: see `TISSUE_NAMES`, 0 elsewhere.

    1 where nilearn's grey matter map is >= 0.5 of its maximum, 2 where its white matter
    map is, the larger of the two where both are (grey if equal). 3, CSF, is not a map of
    its own: it is the brain mask (T1 > 0.2 of its maximum) where grey < 0.5 and
    white < 0.5, so it includes whatever else is neither, vessels and meninges too. At
    2 mm the maps are averaged over eight voxels first.
    """
    _checked(resolution)
    maps = [_shipped(kind) for kind in ("t1", "gm", "wm")]
    arrays = [v.data if resolution == 1 else _block_means(v.data) for v in maps]
    t1, grey, white = (
        a.astype(np.float32) / float(v.data.max()) for a, v in zip(arrays, maps, strict=True)
    )
    labels = np.zeros(t1.shape, np.uint8)
    labels[t1 > _BRAIN] = 3
    labels[white >= 0.5] = 2
    labels[(grey >= 0.5) & (grey >= white)] = 1
    named = replace(maps[0], name=f"MNI152 tissues {resolution} mm", file_sha256=None)
    return _halved(named, labels) if resolution == 2 else replace(named, data=_frozen(labels))


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """A body of the phantom, in world RAS mm.

    Attributes
    ----------
    name
        What it stands for.
    center
        (3,) mm.
    radii
        Semi-axes (3,) mm.
    turn
        Axis-angle vector (3,) in radians that turns the semi-axes from x, y, z.
    value
        Voxel value inside, before the ramp.
    """

    name: str
    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn: tuple[float, float, float]
    value: float

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 3) in RAS mm lie inside."""
        axes = matrix_from_axis_angle(self.turn)
        local = (np.asarray(points, np.float64) - self.center) @ axes / self.radii
        inside: NDArray[np.bool_] = (local**2).sum(axis=-1) <= 1
        return inside


PHANTOM_BODIES = (
    Ellipsoid("head", (2.0, -4.0, 6.0), (52.0, 62.0, 56.0), (0.1, -0.2, 0.15), 300.0),
    Ellipsoid("core", (4.0, -8.0, 8.0), (26.0, 34.0, 24.0), (0.4, 0.1, -0.3), 700.0),
    Ellipsoid("nose", (2.0, 52.0, 2.0), (8.0, 9.0, 8.0), (0.0, 0.0, 0.0), 500.0),
    Ellipsoid("left marker", (-34.0, 2.0, 22.0), (9.0, 9.0, 9.0), (0.0, 0.0, 0.0), 1100.0),
)
"""The bodies of `phantom`; where they overlap the later one counts."""

PHANTOM_RAMP = (0.5, -0.25, 0.75)
"""Value per mm along R, A and S inside the bodies: linear, so interpolation is exact."""

_PHANTOM_SHAPE = (120, 108, 44)
_PHANTOM_SPACING = (1.2, 1.3, 3.0)


def phantom() -> Volume:
    """A generated scan of exactly known geometry: anisotropic, oblique, stored (P, I, R).

    float32, 1.2 x 1.3 x 3 mm, turned by about 17 degrees; a voxel's value is
    `phantom_values` at its centre.
    """
    affine = _phantom_affine()
    values = phantom_values(_centers(affine)).astype(np.float32)
    return Volume.from_stored(values, affine, name="phantom")


def phantom_labels() -> Volume:
    """Which body each voxel of `phantom` belongs to: 1 + index in `PHANTOM_BODIES`, uint8."""
    affine = _phantom_affine()
    regions = phantom_regions(_centers(affine)).astype(np.uint8)
    return Volume.from_stored(regions, affine, name="phantom labels")


def phantom_regions(points: ArrayLike) -> NDArray[np.int64]:
    """1 + index of the body at points (..., 3) in RAS mm, 0 outside all."""
    points = np.asarray(points, np.float64)
    regions = np.zeros(points.shape[:-1], np.int64)
    for number, body in enumerate(PHANTOM_BODIES, 1):
        regions[body.contains(points)] = number
    return regions


def phantom_values(points: ArrayLike) -> NDArray[np.float64]:
    """The phantom's value at points (..., 3) in RAS mm: body value plus ramp, 0 outside."""
    points = np.asarray(points, np.float64)
    regions = phantom_regions(points)
    levels = np.array([0.0, *(body.value for body in PHANTOM_BODIES)])
    values: NDArray[np.float64] = levels[regions] + np.where(regions, points @ PHANTOM_RAMP, 0)
    return values


def _phantom_affine() -> NDArray[np.float64]:
    turn = matrix_from_axis_angle(np.radians([9.0, -6.0, 13.0]))
    # Columns: stored axes run to P, I and R before the turn.
    stored_axes = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ stored_axes * _PHANTOM_SPACING
    middle = (np.array(_PHANTOM_SHAPE) - 1) / 2
    affine[:3, 3] = np.array([2.0, -2.0, 5.0]) - affine[:3, :3] @ middle
    return affine


def _centers(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return apply_affine(affine, np.moveaxis(np.indices(_PHANTOM_SHAPE), 0, -1))


def _checked(resolution: int) -> int:
    if resolution not in (1, 2):
        raise ScanError(f"{resolution} mm", field="resolution", expected="1 or 2 mm")
    return resolution


def _shipped(kind: str) -> Volume:
    # Read as a file: importing nilearn takes a second and its loaders warn.
    spec = importlib.util.find_spec("nilearn")
    folders = spec.submodule_search_locations if spec else None
    name = _MNI_FILE.format(kind)
    path = Path(folders[0], "datasets", "data", name) if folders else Path(name)
    if not path.exists():
        raise UnreadableFile(
            "not in the installed nilearn",
            where=name,
            expected="nilearn >= 0.11 with its packaged template",
            remedy="run: pip install --force-reinstall nilearn",
        )
    return read(path)


def _block_means(data: NDArray[Any]) -> NDArray[np.float32]:
    """Means over 2 x 2 x 2 voxels; an odd last plane is left out."""
    s, a, r = (n // 2 for n in data.shape)
    blocks = data[: 2 * s, : 2 * a, : 2 * r].reshape(s, 2, a, 2, r, 2)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return means


def _halved(volume: Volume, data: NDArray[Any]) -> Volume:
    """A volume of 2 x 2 x 2 blocks of another, stored in canonical order."""
    to_blocks = np.diag([2.0, 2.0, 2.0, 1.0])
    to_blocks[:3, 3] = 0.5
    # Stored axes R, A, S, as in the template's own file.
    affine = (volume.affine @ to_blocks)[:, [2, 1, 0, 3]]
    return Volume.from_stored(data.transpose(2, 1, 0), affine, name=volume.name)


def _frozen(data: NDArray[Any]) -> NDArray[Any]:
    data.flags.writeable = False
    return data
