"""The renderer in torch: batched, on the voxels' device, differentiable in the poses.

Importing this module imports torch; `napari_mrissl.slicing` does not import it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import POSE_COLUMNS
from napari_mrissl.geometry.affines import as_affine
from napari_mrissl.slicing.gather import TOLERANCE
from napari_mrissl.slicing.render import Interpolation

_SIGNED_TWIN = {
    torch.uint16: (torch.int16, 1 << 16),
    torch.uint32: (torch.int32, 1 << 32),
    torch.uint64: (torch.int64, 1 << 64),
}


def render_torch(
    voxels: Tensor,
    affine: ArrayLike,
    poses: Tensor,
    size: int,
    interpolation: Interpolation = "linear",
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Render square slices; the rules are those of `napari_mrissl.slicing.render`.

    Parameters
    ----------
    voxels
        (S, A, R) of any real dtype, in any layout; eight voxels a pixel are read and
        converted, never the volume.
    affine
        (4, 4) from index (s, a, r) to world RAS mm.
    poses
        (N, 8) floating point in the order of `POSE_COLUMNS`; quaternions are normalised.
    size
        Pixels along each side.
    interpolation
        ``"linear"`` (differentiable with respect to poses and floating point voxels) or
        ``"nearest"``.
    slope, intercept
        Value = slope * stored number + intercept.

    Returns
    -------
    values, valid
        (N, size, size) float32 (float64 for voxels that float32 would round), 0 outside;
        and bool. Both lie on the voxels' device.

    Raises
    ------
    MrisslError
        If an argument is not as described.
    """
    _check(voxels, poses, size, interpolation)
    number = torch.float64 if voxels.device.type == "cpu" else torch.float32
    whole, part = _coordinates(voxels.device, as_affine(affine), poses, size, number)
    valid = torch.ones(part.shape[:-1], dtype=torch.bool, device=voxels.device)
    below, above, weights = [], [], []
    edge = 0.5 + TOLERANCE
    for axis, side in enumerate(voxels.shape):
        cell, rest = whole[..., axis], part[..., axis]
        valid &= (cell + rest >= -edge) & (cell - (side - 1) + rest <= edge)
        if interpolation == "nearest":
            index = cell + torch.floor(rest + 0.5).long()
            below.append(index.clamp(0, side - 1))
            continue
        carried = torch.floor(rest.detach())
        index = cell + carried.long()
        weight = torch.where(index < 0, 0.0, torch.where(index < side - 1, rest - carried, 1.0))
        weights.append(weight)
        index = index.clamp(0, max(side - 2, 0))
        below.append(index)
        above.append((index + 1).clamp(max=side - 1))
    if interpolation == "nearest":
        found = _read(voxels, below)
    else:
        found = _trilinear(voxels, below, above, weights)
    values = slope * found + intercept
    return torch.where(
        valid, values, torch.zeros((), dtype=values.dtype, device=values.device)
    ), valid


def _check(voxels: Tensor, poses: Tensor, size: int, interpolation: str) -> None:
    if voxels.ndim != 3 or voxels.numel() == 0 or voxels.is_complex():
        raise MrisslError(
            f"voxels {voxels.dtype} of shape {tuple(voxels.shape)}", expected="real (S, A, R)"
        )
    if poses.ndim != 2 or poses.shape[1] != 8 or not poses.is_floating_point():
        raise MrisslError(
            f"poses {poses.dtype} of shape {tuple(poses.shape)}",
            expected=f"floating point (N, 8): {', '.join(POSE_COLUMNS)}",
        )
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise MrisslError(f"slice size {size!r}", expected="a whole number of pixels >= 1")
    if interpolation not in ("linear", "nearest"):
        raise MrisslError(f"interpolation {interpolation!r}", expected='"linear" or "nearest"')


def _coordinates(
    device: torch.device,
    affine: NDArray[np.float64],
    poses: Tensor,
    size: int,
    number: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Voxel coordinates (N, size, size, 3) as whole voxels plus a part in [0, 2).

    Rows' and columns' shares are split in float64 (float32 where the device has no other)
    before they are added per pixel in ``number``: float32 is then exact to 1e-6 voxels
    however large the volume, and only the part carries gradients.
    """
    exact = torch.float32 if device.type == "mps" else torch.float64
    to_index = torch.as_tensor(np.linalg.inv(affine), dtype=exact, device=device)
    rows = poses.to(device=device, dtype=exact)
    center, quaternion, fov = rows[:, :3], rows[:, 3:7], rows[:, 7:]
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=1).unbind(1)
    right = torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], 1)
    up = torch.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], 1)
    linear = to_index[:3, :3].T
    middle = center @ linear + to_index[:3, 3]
    down, across = -(fov * up) @ linear, (fov * right) @ linear
    steps = ((torch.arange(size, dtype=exact, device=device) + 0.5) / size - 0.5)[:, None]
    by_row = middle[:, None] + steps * down[:, None]
    by_column = steps * across[:, None]
    row_cell, column_cell = torch.floor(by_row.detach()), torch.floor(by_column.detach())
    part = (by_row - row_cell).to(number)[:, :, None] + (by_column - column_cell).to(number)[
        :, None
    ]
    return row_cell.long()[:, :, None] + column_cell.long()[:, None], part


def _trilinear(
    voxels: Tensor, below: list[Tensor], above: list[Tensor], weights: list[Tensor]
) -> Tensor:
    planes = []
    for s in (below[0], above[0]):
        lines = []
        for a in (below[1], above[1]):
            low = _read(voxels, [s, a, below[2]])
            high = _read(voxels, [s, a, above[2]])
            lines.append(low + weights[2].to(low.dtype) * (high - low))
        planes.append(lines[0] + weights[1].to(lines[0].dtype) * (lines[1] - lines[0]))
    return planes[0] + weights[0].to(planes[0].dtype) * (planes[1] - planes[0])


def _read(voxels: Tensor, index: list[Tensor]) -> Tensor:
    """Voxels at an index, as float32, or float64 where float32 would round them."""
    wide = voxels.element_size() > (4 if voxels.is_floating_point() else 2)
    number = torch.float64 if wide and voxels.device.type != "mps" else torch.float32
    if voxels.dtype not in _SIGNED_TWIN:
        return voxels[index[0], index[1], index[2]].to(number)
    # Unsigned types wider than a byte cannot be indexed everywhere: read their signed twins.
    twin, span = _SIGNED_TWIN[voxels.dtype]
    found = voxels.view(twin)[index[0], index[1], index[2]].to(number)
    return torch.where(found < 0, found + float(span), found)
