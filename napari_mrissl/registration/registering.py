"""`register`: from two scans to a transform; torch and SimpleITK come in when they are needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.source import Estimate
from napari_mrissl.registration.costs import Cost
from napari_mrissl.registration.initial import initial_transform
from napari_mrissl.registration.linear import aligned, simpleitk
from napari_mrissl.registration.planning import plan
from napari_mrissl.registration.prepared import prepared
from napari_mrissl.registration.settings import RegistrationSettings
from napari_mrissl.registration.transform import Transform
from napari_mrissl.volumes import Volume

Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]

_LINEAR_PART = 0.3


@dataclass(frozen=True, eq=False)
class Registration:
    """What registering two scans found.

    Attributes
    ----------
    transform
        From fixed to moving world.
    initial
        (4, 4) where the linear part began, RAS mm.
    settings
        As given.
    spacing_mm
        Of the grid on which features were compared; None without a deformable part.
    costs
        The cost curve of the refinement.
    seconds
        By stage.
    """

    transform: Transform
    initial: NDArray[np.float64]
    settings: RegistrationSettings
    spacing_mm: float | None = None
    costs: tuple[Cost, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def linear(self) -> NDArray[np.float64]:
        """(4, 4) from fixed to moving world, RAS mm."""
        return self.transform.linear


def estimate(fixed: Volume, settings: RegistrationSettings) -> Estimate:
    """Memory and time on one core that the deformable part takes.

    Raises
    ------
    MrisslError
        If the allowed memory suffices for no grid.
    """
    return plan(fixed, settings)[1] if settings.deformable else Estimate(0, 0, 0.0)


def register(
    fixed: Volume,
    moving: Volume,
    settings: RegistrationSettings | None = None,
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    landmarks: NDArray[np.float64] | None = None,
    told: Callable[[Cost], object] = lambda cost: None,
    aligned_as: Callable[[Matrix, Matrix], object] = lambda linear, initial: None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Registration:
    """Find where in a moving scan the anatomy of each place of a fixed scan is.

    Scans may have any size, spacing and orientation: they meet in world mm, on a grid of cubes
    along the fixed scan's axes.

    Parameters
    ----------
    fixed, moving
        The scans.
    settings
        Defaults where left out.
    fixed_mask, moving_mask
        (S, A, R) on the scans' own grids: what is outside is not compared.
    landmarks
        (N, 2, 3) places in the fixed and in the moving scan, RAS mm; for `settings.initial`
        ``"landmarks"``, else not looked at.
    told
        Is told the cost of every step of the refinement.
    aligned_as
        Is told the linear part, and where it began, before a displacement field is looked for.
    progress
        Called with the part done and what is being done.
    cancelled
        Asked now and then.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If a scan has no contrast, a mask is on another grid or empty, landmarks are wanted and
        missing, scans do not overlap, a package is not installed, or memory does not suffice.
    """
    settings = settings or RegistrationSettings()
    for mask, volume in ((fixed_mask, fixed), (moving_mask, moving)):
        check_mask(mask, volume)
    # What is not installed is said before minutes have gone into the linear part.
    if settings.linear != "none":
        simpleitk()
    deform = _deformable() if settings.deformable else None
    grid = plan(fixed, settings)[0] if deform is not None else None
    seconds: dict[str, float] = {}
    begun = time.perf_counter()
    linear_part = (_LINEAR_PART if grid is not None else 1.0) * (settings.linear != "none")

    def linear_progress(part: float, step: str) -> None:
        if progress is not None:
            progress(linear_part * part, f"{settings.linear}, {step}")

    stop_if(cancelled)
    rigid = settings.linear == "rigid"
    initial = initial_transform(fixed, moving, settings.initial, landmarks, rigid=rigid)
    linear = aligned(
        fixed,
        moving,
        initial,
        settings.linear,
        fixed_mask,
        moving_mask,
        linear_progress,
        cancelled,
    )
    seconds["linear"] = time.perf_counter() - begun
    if grid is None or deform is None:
        return Registration(Transform.of_linear(linear), initial, settings, seconds=seconds)
    aligned_as(linear, initial)
    begun = time.perf_counter()
    costs: list[Cost] = []

    def tell(cost: Cost) -> None:
        costs.append(cost)
        told(cost)

    def deformable_progress(part: float, step: str) -> None:
        if progress is not None:
            progress(linear_part + (1 - linear_part) * part, step)

    still, to_moving = (Transform.of_linear(matrix) for matrix in (np.eye(4), linear))
    scans = (
        prepared(fixed, still, grid, settings.fixed_window, fixed_mask),
        prepared(moving, to_moving, grid, settings.moving_window, moving_mask),
    )
    nodes = deform(*scans, settings, tell, deformable_progress, cancelled)
    seconds["deformable"] = time.perf_counter() - begun
    return Registration(
        Transform(linear, grid.nodes(settings.adam_grid), nodes),
        initial,
        settings,
        float(grid.spacing.mean()),
        tuple(costs),
        seconds,
    )


def _deformable() -> Callable[..., NDArray[np.float32]]:
    try:
        from napari_mrissl.registration.torch_deformable import deformed
    except ModuleNotFoundError as error:
        raise MrisslError(
            f"deformable registration needs {error.name}, which is not installed",
            remedy='run: pip install "napari-mrissl[register]"',
        ) from error
    return deformed


def check_mask(mask: Mask | None, volume: Volume) -> None:
    """Refuse a mask that cannot be one of a scan; None is none.

    Raises
    ------
    MrisslError
        If it is empty or on another grid.
    """
    if mask is None:
        return
    if mask.shape != volume.shape:
        raise MrisslError(
            f"has shape {mask.shape}",
            where=f"mask of {volume.name}",
            expected=f"that of its scan, {volume.shape}",
        )
    if not mask.any():
        raise MrisslError(
            "is empty", where=f"mask of {volume.name}", expected="a mask over the body"
        )
