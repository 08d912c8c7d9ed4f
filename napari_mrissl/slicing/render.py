"""Cut slices out of a volume: by pose, on any grid, or out of a label map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, Poses
from napari_mrissl.geometry.affines import as_affine
from napari_mrissl.slicing import compiled, gather
from napari_mrissl.slicing.blocks import BlockedVolume
from napari_mrissl.slicing.planes import planes_of_grid, planes_of_poses
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.slicing.voxels import Voxels
from napari_mrissl.volumes.volume import Volume

_FARTHEST = 1e9
Interpolation = Literal["linear", "nearest"]


class Slices(NamedTuple):
    """Rendered slices; ``numpy.asarray`` of it gives the values.

    Attributes
    ----------
    values
        float32, in value units (after slope and intercept); 0 outside the volume.
    valid
        Whether a pixel lies in the volume, up to half a voxel beyond the outer centres.
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)


def render(
    volume: Volume | BlockedVolume,
    poses: Pose | Sequence[Pose] | Poses,
    size: int,
    interpolation: Interpolation = "linear",
    out: NDArray[np.float32] | None = None,
    valid_out: NDArray[np.bool_] | None = None,
) -> Slices:
    """Render square slices of ``size`` x ``size`` pixels at one pose or at many.

    Parameters
    ----------
    volume
        The scan; its voxels are read in their stored dtype. For thousands of slices,
        a `BlockedVolume` of it is faster.
    poses
        One pose gives arrays (N, N), K poses, in a sequence or in arrays, give (K, N, N).
    size
        Pixels N along each side; pixel (i, j) lies at center + ((j + .5)/N - .5) fov
        right - ((i + .5)/N - .5) fov up.
    interpolation
        ``"linear"`` (trilinear) or ``"nearest"``.
    out, valid_out
        C-contiguous float32 and bool arrays to fill instead of new ones.

    Returns
    -------
    Slices
        Values and validity. A pixel with a NaN voxel among those it is made of is NaN,
        and valid, since it lies inside.

    Raises
    ------
    MrisslError
        If an argument is not as described.
    """
    single = isinstance(poses, Pose)
    several: Sequence[Pose] | Poses = [poses] if isinstance(poses, Pose) else poses
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise MrisslError(f"slice size {size!r}", expected="a whole number of pixels >= 1")
    shape = (len(several), int(size), int(size))
    shown = shape[1:] if single else shape
    values = _array(out, shown, np.float32, "out").reshape(shape)
    valid = _array(valid_out, shown, np.bool_, "valid_out").reshape(shape)
    to_index = _scan(volume).to_index
    planes = planes_of_poses(to_index, several, size) if shape[0] else np.empty((0, 3, 3))
    _fill(volume, planes, interpolation, values, valid)
    return Slices(values.reshape(shown), valid.reshape(shown))


def render_grid(
    volume: Volume | BlockedVolume,
    affine: ArrayLike,
    shape: tuple[int, int, int],
    interpolation: Interpolation = "linear",
    out: NDArray[np.float32] | None = None,
    valid_out: NDArray[np.bool_] | None = None,
) -> Slices:
    """Sample a volume on any 3-D grid: a stack of slices, a rotated crop, another scan's grid.

    Parameters
    ----------
    affine
        (4, 4) from output index (k, i, j) to world RAS mm.
    shape
        Output shape (K, I, J).

    Other parameters, the result and the errors are those of `render`.
    """
    count, height, width = _grid_shape(shape)
    values = _array(out, (count, height, width), np.float32, "out")
    valid = _array(valid_out, (count, height, width), np.bool_, "valid_out")
    planes = planes_of_grid(_scan(volume).to_index, as_affine(affine), count)
    _fill(volume, planes, interpolation, values, valid)
    return Slices(values, valid)


def render_labels(
    labels: NDArray[Any],
    labels_affine: ArrayLike,
    affine: ArrayLike,
    shape: tuple[int, int, int],
) -> NDArray[Any]:
    """Sample a label map on any 3-D grid: the nearest label, 0 outside.

    Parameters
    ----------
    labels
        3-D array of any integer dtype, in any memory layout.
    labels_affine
        (4, 4) from index of ``labels`` to world RAS mm.
    affine, shape
        (4, 4) from output index (k, i, j) to world RAS mm, and the output shape.

    Returns
    -------
    numpy.ndarray
        (K, I, J) of the labels' dtype.

    Raises
    ------
    MrisslError
        If the labels are not a 3-D integer array, or an affine or the shape is unusable.
    """
    labels = np.asarray(labels)
    if labels.ndim != 3 or 0 in labels.shape or labels.dtype.kind not in "bui":
        raise MrisslError(
            f"label map of shape {labels.shape} and type {labels.dtype}",
            expected="a 3-D array of integers with voxels",
        )
    count, height, width = _grid_shape(shape)
    to_index = np.asarray(np.linalg.inv(as_affine(labels_affine)), np.float64)
    planes = planes_of_grid(to_index, as_affine(affine), count)
    _check_reach(planes)
    found = np.empty((count, height, width), labels.dtype.newbyteorder("="))
    voxels = Voxels.of(labels.view(np.uint8) if labels.dtype == bool else labels)
    target = found.view(voxels.flat.dtype)
    kernel = compiled.kernel("labels", target.dtype, found.size)
    if kernel is None:
        gather.gather_labels(voxels, planes, target)
    else:
        run = kernel
        over_rows(
            lambda first, last: run(*voxels, planes, target, first, last),
            count * height,
            found.size,
        )
    return found


def _fill(
    volume: Volume | BlockedVolume,
    planes: NDArray[np.float64],
    interpolation: str,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    if interpolation not in ("linear", "nearest"):
        raise MrisslError(f"interpolation {interpolation!r}", expected='"linear" or "nearest"')
    _check_reach(planes)
    scan = _scan(volume)
    dtype = scan.data.dtype
    in_blocks = isinstance(volume, BlockedVolume) and interpolation == "linear"
    kernel = compiled.kernel("blocked" if in_blocks else interpolation, dtype, values.size)
    if kernel is None:
        fill = gather.gather_linear if interpolation == "linear" else gather.gather_nearest
        # What single precision cannot hold is infinite, as the compiled kernels have it.
        with np.errstate(over="ignore", invalid="ignore"):
            fill(Voxels.of(scan.data), planes, scan.slope, scan.intercept, values, valid)
        return
    if isinstance(volume, BlockedVolume) and in_blocks:
        where: tuple[Any, ...] = (volume.flat, volume.places, scan.shape)
    else:
        where = Voxels.of(scan.data)
    number: type[np.float32] | type[np.float64] = np.float64
    if interpolation == "linear":
        number = gather.number_type(dtype)
    arguments = (*where, planes, number(scan.slope), number(scan.intercept), values, valid)
    rows = values.shape[0] * values.shape[1]
    over_rows(lambda first, last: kernel(*arguments, first, last), rows, values.size)


def _scan(volume: Volume | BlockedVolume) -> Volume:
    return volume.volume if isinstance(volume, BlockedVolume) else volume


def _check_reach(planes: NDArray[np.float64]) -> None:
    # Further out float64 no longer tells neighbouring pixels apart, and may overflow.
    if not (np.abs(planes) < _FARTHEST).all():
        raise MrisslError(
            "plane lies too far from the volume, or is too large",
            expected=f"less than {_FARTHEST:g} voxels",
        )


def _array(
    given: NDArray[Any] | None, shape: tuple[int, ...], dtype: DTypeLike, name: str
) -> NDArray[Any]:
    if given is None:
        return np.empty(shape, dtype)
    usable = isinstance(given, np.ndarray) and given.flags.c_contiguous and given.flags.writeable
    if not usable or given.shape != shape or given.dtype != dtype:
        found = (
            f"{given.dtype} array {given.shape}" if isinstance(given, np.ndarray) else "no array"
        )
        raise MrisslError(
            f"{name} is {found}",
            expected=f"a writeable C-contiguous {np.dtype(dtype)} array of shape {shape}",
        )
    return given


def _grid_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    numbers = tuple(shape)
    if len(numbers) != 3 or not all(isinstance(n, int | np.integer) and n >= 0 for n in numbers):
        raise MrisslError(f"grid shape {shape!r}", expected="three whole numbers (K, I, J)")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])
