"""ConvexAdam on two prepared scans: features, search both ways, refinement; a field in world mm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.registration.costs import Cost
from napari_mrissl.registration.prepared import Prepared
from napari_mrissl.registration.settings import RegistrationSettings
from napari_mrissl.registration.torch_adam import matching_of, refined
from napari_mrissl.registration.torch_convex import made_consistent, search
from napari_mrissl.registration.torch_descriptors import descriptors, reduced
from napari_mrissl.registration.transform import Field
from napari_mrissl.registration.unfolding import unfolded

_FEATURES, _SEARCH = 0.4, 0.6
"""Parts of the work at which the features are there, and the search is done."""


def deformed(
    fixed: Prepared,
    moving: Prepared,
    settings: RegistrationSettings,
    told: Callable[[Cost], object],
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Field:
    """Displacements (Z, Y, X, 3) in RAS mm at the nodes of `settings.adam_grid` voxels.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If the device is not there, or its memory does not suffice.
    """
    device = _device(settings.device)
    try:
        with torch.no_grad():
            return _deformed(fixed, moving, settings, device, told, progress, cancelled)
    except torch.OutOfMemoryError as error:
        raise MrisslError(
            "the memory of the GPU does not suffice",
            where="registration",
            remedy="choose fewer channels, a coarser grid, or the CPU",
        ) from error


def _deformed(
    fixed: Prepared,
    moving: Prepared,
    settings: RegistrationSettings,
    device: torch.device,
    told: Callable[[Cost], object],
    progress: Progress | None,
    cancelled: IsCancelled | None,
) -> Field:
    def say(part: float, step: str) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(part, step)

    coarse, fine = settings.grid, settings.adam_grid
    pools = []
    for number, scan in enumerate((fixed, moving)):
        begin = _FEATURES * number / 2

        def part_of_features(part: float, _: str, begin: float = begin) -> None:
            say(begin + _FEATURES / 2 * part, "features")

        part_of_features(0.0, "")
        pools.append(
            descriptors(scan, settings, (coarse, fine), device, part_of_features, cancelled)
        )
    one, other = reduced(pools[0], pools[1], settings.channels, fine)
    del pools
    seen = torch.from_numpy((fixed.seen & moving.seen).astype(np.float32))[None].to(device)
    weights = {step: functional.avg_pool3d(seen, step)[0] for step in {coarse, fine}}
    del seen

    def found(first: torch.Tensor, second: torch.Tensor, begin: float) -> torch.Tensor:
        width = (_SEARCH - _FEATURES) / (1 + settings.inverse_consistent)
        return search(
            first,
            second,
            weights[coarse],
            settings.search,
            lambda part: say(_FEATURES + (begin + part) * width, "search"),
        )

    field = found(one[coarse], other[coarse], 0.0)
    if settings.inverse_consistent:
        field = made_consistent(field, found(other[coarse], one[coarse], 1.0))
    start = functional.interpolate(
        field[None], size=one[fine].shape[1:], mode="trilinear", align_corners=False
    )[0] * (coarse / fine)
    del field

    def tell(step: int, data: float, rough: float) -> None:
        told(Cost(step, data, rough))
        part = step / max(settings.iterations, 1)
        say(_SEARCH + (1 - _SEARCH) * part, f"refining, cost {data + rough:.4f}")

    result = refined(
        start,
        matching_of(one[fine], other[fine], weights[fine]),
        iterations=settings.iterations,
        smoothness=settings.smoothness,
        learning_rate=settings.learning_rate,
        told=tell,
    )
    smooth = _smoothed(result, settings.field_smoothing / fine)
    del result
    return unfolded(
        _in_mm(smooth.permute(1, 2, 3, 0), fine, fixed.grid.affine), fixed.grid.nodes(fine)
    )


def _smoothed(field: torch.Tensor, sigma: float) -> torch.Tensor:
    """A field (3, Z, Y, X) through a Gaussian of this standard deviation in nodes."""
    if sigma == 0:
        return field
    values = field.float().cpu().numpy()
    parts = [ndimage.gaussian_filter(part, sigma, mode="nearest") for part in values]
    return torch.from_numpy(np.stack(parts))


def _in_mm(field: torch.Tensor, step: int, affine: NDArray[np.float64]) -> Field:
    """A field (Z, Y, X, 3) in nodes of so many voxels in RAS mm; double only slice by slice."""
    found = np.empty(tuple(field.shape), np.float32)
    for out, here in zip(found, field, strict=True):
        out[:] = (step * here.double().cpu().numpy()) @ affine[:3, :3].T
    return found


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MrisslError(
            f"{name!r} is not there", where="device", expected="auto, cpu or a GPU of this machine"
        ) from error
    return device
