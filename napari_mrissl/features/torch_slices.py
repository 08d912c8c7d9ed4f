"""The pass of a network for slices over a volume: cut, encoded, brought to the voxels, averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.features import kernels
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.slice_stacks import STACKS, stack_poses
from napari_mrissl.features.torch_patches import ends_of
from napari_mrissl.geometry import Pose
from napari_mrissl.networks.slice_encoder import SliceEncoder
from napari_mrissl.slicing import compiled, render
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.features.slice_stacks import SliceStacks

Image = NDArray[np.float32]

_AT_ONCE = 32
_ENCODING = 0.8
"""How much of the work of a stack the network is."""


def compute_into(
    source: SliceStacks,
    volume: Volume,
    out: Image,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> None:
    """Fill `out`; see `SliceStacks.compute_into`."""
    settings = source.settings
    ends = ends_of(volume, settings.percentiles, settings.window)
    encoder = _encoder(source)
    for number, stack in enumerate(STACKS):

        def tell(part: float, number: int = number) -> None:
            stop_if(cancelled)
            if progress is not None:
                progress((number + part) / len(STACKS), "network")

        tokens = _tokens(source, encoder, volume, stack, ends, tell)
        own = source.network.channels
        each = source.settings.joined == "each"
        target = out[number * own : (number + 1) * own] if each else out
        _to_voxels(source, volume, tokens, number, target, added=not each and number > 0)
        tell(1.0)
    if settings.normalise != "none":
        standardised = settings.normalise == "standardised"
        over_rows(
            lambda first, last: kernels.normalise_channels(out, standardised, first, last),
            out.shape[1],
            out.size,
        )
    elif settings.joined == "mean":
        out /= len(STACKS)


def _encoder(source: SliceStacks) -> SliceEncoder:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if source.file is None:
        return SliceEncoder.drawn(source.network, source.settings.seed).to(device)
    return SliceEncoder.open(source.file.path, device)


def _tokens(
    source: SliceStacks,
    encoder: SliceEncoder,
    volume: Volume,
    stack: str,
    ends: tuple[float, float],
    tell: Callable[[float], None],
) -> Image:
    """(slices, 2 grid, 2 grid, C) tokens of a stack, half a patch apart in rows and columns."""
    shape = source.network.slices
    levels = source.levels(volume, STACKS.index(stack))
    poses = stack_poses(volume, stack, levels, source.side_mm(volume))
    found = np.empty((len(poses), 2 * shape.grid, 2 * shape.grid, encoder.channels), np.float32)
    for first in range(0, len(poses), _AT_ONCE):
        some = poses[first : first + _AT_ONCE]
        for down in (0, 1):
            for across in (0, 1):
                moved = [_moved(pose, down, across, shape.grid) for pose in some]
                tokens = encoder.tokens(_images(volume, moved, shape.size, ends, encoder))
                found[first : first + len(some), down::2, across::2] = tokens.float().cpu().numpy()
        tell(_ENCODING * min(1.0, (first + len(some)) / len(poses)))
    return found


def _moved(pose: Pose, down: int, across: int, grid: int) -> Pose:
    """A pose a quarter of a patch up or down, and left or right."""
    step = pose.fov / grid / 4
    way = (2 * across - 1) * step * pose.right - (2 * down - 1) * step * pose.up
    return Pose(pose.center + way, pose.rotation, pose.fov)


def _images(
    volume: Volume,
    poses: list[Pose],
    size: int,
    ends: tuple[float, float],
    encoder: SliceEncoder,
) -> torch.Tensor:
    """(K, 1, 2, size, size) slices as the network saw them in training."""
    compiled.settle("linear", volume.data.dtype)
    values, valid = render(volume, poses, size)
    valid &= np.isfinite(values)
    low, high = ends
    grey = np.where(valid, ((values - low) / (high - low)).clip(0, 1), 0)
    images = torch.from_numpy(np.stack([grey, valid], axis=1).astype(np.float32))
    return images[:, None].to(next(encoder.parameters()).device)


def _to_voxels(
    source: SliceStacks, volume: Volume, tokens: Image, number: int, out: Image, *, added: bool
) -> None:
    """Bring tokens of a stack to the grid (C, S, A, R) by linear interpolation, axis by axis."""
    # Axes of the lattice (slices, rows, columns) among those of the volume, and their signs:
    # rows run along -up, which is -A in axial slices and -S in the others.
    rows, columns = ((1, 2), (0, 2), (0, 1))[number]
    half = source.side_mm(volume) / 2
    count = tokens.shape[1]
    places = ((np.arange(count) + 0.5) / count * 2 - 1) * half
    middle = (np.array(volume.shape) - 1) / 2
    mixes: dict[int, Image] = {number: _mix(source.levels(volume, number), volume.shape[number])}
    for axis, sign in ((rows, -1), (columns, 1)):
        at = middle[axis] + sign * places / volume.spacing[axis]
        mixes[axis] = _mix(at, volume.shape[axis])
    # Axis k of the volume is axis order[k] of the lattice.
    order = np.argsort([number, rows, columns])
    for channel in range(tokens.shape[-1]):
        lattice = tokens[..., channel].transpose(order)
        fine = np.einsum("xi,ijk->xjk", mixes[0], lattice, optimize=True)
        fine = np.einsum("yj,xjk->xyk", mixes[1], fine, optimize=True)
        fine = np.matmul(fine, mixes[2].T)
        if added:
            out[channel] += fine
        else:
            out[channel] = fine


def _mix(places: NDArray[np.float64], length: int) -> Image:
    """(length, n) what each of n places along an axis adds to each voxel; ends are held."""
    rising = places if len(places) < 2 or places[0] < places[-1] else places[::-1]
    index = np.arange(length)
    found = np.stack([np.interp(index, rising, one) for one in np.eye(len(places))], axis=1)
    if rising is not places:
        found = found[:, ::-1]
    mixed: Image = np.ascontiguousarray(found, np.float32)
    return mixed
