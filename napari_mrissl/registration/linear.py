"""Rigid and affine alignment by SimpleITK; what comes out is a matrix in world RAS mm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.interrupts import held_back
from napari_mrissl.registration.grids import Grid, working_grid
from napari_mrissl.registration.settings import Linear
from napari_mrissl.registration.transform import Transform, warped, warped_labels
from napari_mrissl.slicing.threads import threads
from napari_mrissl.volumes import Volume

_FINEST_MM, _MOST_VOXELS = 1.5, 3_000_000
"""The grids on which images are compared: no finer, and no larger."""

_SHRINK, _SMOOTH_MM = (4, 2, 1), (4.0, 2.0, 0.0)
_ITERATIONS, _BINS, _SHARE, _SEED = 120, 48, 0.2, 20
_LEVELS = len(_SHRINK)

_LESS = 1e-4
"""By how much the cost must fall for a result to be better than where it began."""

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def aligned(
    fixed: Volume,
    moving: Volume,
    initial: NDArray[np.float64],
    how: Linear,
    fixed_mask: NDArray[np.bool_] | None = None,
    moving_mask: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> NDArray[np.float64]:
    """The rigid or affine map from fixed to moving world with the most mutual information.

    Parameters
    ----------
    fixed, moving
        The scans.
    initial
        (4, 4) where to begin; returned as it is where nothing better is found, or for ``"none"``.
    how
        Kind of map.
    fixed_mask, moving_mask
        (S, A, R) on the scans' grids: only what lies in them counts.
    progress, cancelled
        As everywhere.

    Returns
    -------
    numpy.ndarray
        (4, 4), RAS mm, of positive determinant: left stays left.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If SimpleITK is not installed, the scans do not overlap, or the result is none.
    """
    if how == "none":
        return initial
    sitk = simpleitk()
    images = [
        _image(sitk, volume, mask) for volume, mask in ((fixed, fixed_mask), (moving, moving_mask))
    ]
    stop_if(cancelled)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(threads())
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SHARE, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, _ITERATIONS, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(_SHRINK)
    method.SetSmoothingSigmasPerLevel(_SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    for (_, mask), setter in zip(
        images, (method.SetMetricFixedMask, method.SetMetricMovingMask), strict=True
    ):
        if mask is not None:
            setter(mask)
    found = _euler(sitk, fixed) if how == "rigid" else sitk.AffineTransform(3)
    if how == "affine":
        found.SetCenter(_lps(fixed.center))
    method.SetInitialTransform(found, True)
    method.SetMovingInitialTransform(_as_itk(sitk, initial))
    stopped = _watched(sitk, method, progress, cancelled)
    try:
        before = method.MetricEvaluate(images[0][0], images[1][0])
        with held_back(lambda: stopped.append(KeyboardInterrupt())):
            method.Execute(images[0][0], images[1][0])
        after = method.MetricEvaluate(images[0][0], images[1][0])
    except RuntimeError as error:
        if stopped:
            raise stopped[0] from None
        raise MrisslError(
            "the scans do not overlap enough to be aligned",
            where="linear",
            remedy="begin with centres or moments instead of the header",
        ) from error
    if stopped:
        raise stopped[0]
    result = initial @ _as_matrix(found)
    if not (np.isfinite(result).all() and np.linalg.det(result[:3, :3]) > 0):
        raise MrisslError(
            "no alignment was found", where="linear", remedy="begin another way, or give masks"
        )
    return result if after < before - _LESS else initial


def simpleitk() -> Any:
    """SimpleITK, which is an extra.

    Raises
    ------
    MrisslError
        If it is not installed.
    """
    try:
        import SimpleITK
    except ModuleNotFoundError as error:
        raise MrisslError(
            "rigid and affine alignment need SimpleITK, which is not installed",
            where="linear",
            remedy='run: pip install "napari-mrissl[register]", or choose none',
        ) from error
    return SimpleITK


def _image(sitk: Any, volume: Volume, mask: NDArray[np.bool_] | None) -> tuple[Any, Any]:
    """A scan, and its mask, on a grid of cubes that ITK knows and that is not too fine."""
    extent = float(np.prod(np.array(volume.shape) * volume.spacing))
    own = float(np.prod(volume.spacing) ** (1 / 3))
    side = max(own, _FINEST_MM, (extent / _MOST_VOXELS) ** (1 / 3))
    grid = working_grid(volume, side, 1)
    still = Transform.of_linear(np.eye(4)).displacements(grid)
    low, high = volume.value_range()
    values = np.clip(np.nan_to_num(warped(volume, still, grid, edge=True)), low, high)
    image = _on(sitk, values, grid)
    if mask is None:
        return image, None
    inside = warped_labels(mask.view(np.uint8), volume, still, grid)
    return image, _on(sitk, inside, grid)


def _on(sitk: Any, values: NDArray[Any], grid: Grid) -> Any:
    image = sitk.GetImageFromArray(values)
    # ITK's axes run the other way round: its first is the last of the array.
    columns = (_TO_RAS @ grid.affine)[:3, [2, 1, 0]]
    spacing = grid.spacing[::-1]
    image.SetSpacing(spacing.tolist())
    image.SetDirection((columns / spacing).reshape(-1).tolist())
    image.SetOrigin(_lps(grid.affine[:3, 3]))
    return image


def _lps(place: NDArray[np.float64]) -> list[float]:
    found: list[float] = apply_affine(_TO_RAS, place).tolist()
    return found


def _euler(sitk: Any, fixed: Volume) -> Any:
    transform = sitk.Euler3DTransform()
    transform.SetCenter(_lps(fixed.center))
    return transform


def _as_itk(sitk: Any, matrix: NDArray[np.float64]) -> Any:
    lps = _TO_RAS @ matrix @ _TO_RAS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].reshape(-1).tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def _as_matrix(transform: Any) -> NDArray[np.float64]:
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    centre = np.array(transform.GetCenter())
    lps[:3, 3] = np.array(transform.GetTranslation()) + centre - lps[:3, :3] @ centre
    return np.asarray(_TO_RAS @ lps @ _TO_RAS, np.float64)


def _watched(
    sitk: Any, method: Any, progress: Progress | None, cancelled: IsCancelled | None
) -> list[BaseException]:
    """Tell how far it is after every step; what the list then holds is to be raised."""
    stopped: list[BaseException] = []

    def look() -> None:
        try:
            if stopped:
                raise stopped[0]
            if progress is not None:
                level = method.GetCurrentLevel()
                part = min(method.GetOptimizerIteration() / _ITERATIONS, 1.0)
                progress((level + part) / _LEVELS, f"cost {method.GetMetricValue():.4f}")
            stop_if(cancelled)
        except BaseException as error:  # noqa: BLE001 - raised again below ITK
            # ITK would print it and say only that there was one.
            stopped.append(error)
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, look)
    return stopped
