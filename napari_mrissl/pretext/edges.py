"""Where the boundaries of a crop are: the second target of boundary-focused reconstruction.

B = clip(gain * (scharr(median(y)) - threshold), 0, 1), arXiv:2211.08533 (faithful to the
authors' code). The filters are those of scipy and scikit-image in three dimensions, with
reflected borders; on other devices than the CPU torch does the same. Targets need no
gradient of their own, so none is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext.settings import EdgeSettings

if TYPE_CHECKING:
    import torch


def gradient(image: NDArray[np.floating], median: int = 5) -> NDArray[np.float32]:
    """Scharr's filter after a median filter, in the scale of scikit-image.

    A ramp along one axis that rises by s from voxel to voxel gives 2 s / sqrt(3).

    Parameters
    ----------
    image
        (Z, Y, X) in [0, 1].
    median
        Side of the median filter in voxels, odd; 1 leaves it out.
    """
    from scipy.ndimage import median_filter
    from skimage.filters import scharr

    smooth = np.asarray(image, np.float32)
    if median > 1:
        smooth = median_filter(smooth, size=median)
    lengths: NDArray[np.float32] = scharr(smooth)  # type: ignore[no-untyped-call]
    return lengths


def boundary(lengths: Any, settings: EdgeSettings) -> Any:
    """Boundary in [0, 1] of gradient lengths, an array or a tensor: the part of the sliders."""
    return (settings.gain * (lengths - settings.threshold)).clip(0, 1)


def edges(image: NDArray[np.floating], settings: EdgeSettings) -> NDArray[np.float32]:
    """The boundary map B (Z, Y, X), float32 in [0, 1], of an image (Z, Y, X) in [0, 1]."""
    found: NDArray[np.float32] = boundary(gradient(image, settings.median), settings)
    return found


def batch_edges(images: torch.Tensor, settings: EdgeSettings) -> torch.Tensor:
    """The boundary maps of images (..., Z, Y, X) in [0, 1], on their device, in their type.

    One image after the other: on a GPU the median of 5 needs 500 bytes for each voxel.
    """
    import torch

    flat = images.detach().reshape(-1, *images.shape[-3:])
    if images.device.type == "cpu":
        maps = [torch.from_numpy(edges(image.float().numpy(), settings)) for image in flat]
    else:
        maps = [
            boundary(torch_gradient(image.float(), settings.median), settings) for image in flat
        ]
    return torch.stack(maps).reshape(images.shape).to(images.dtype)


def torch_gradient(image: torch.Tensor, median: int = 5) -> torch.Tensor:
    """What `gradient` gives, of a tensor (Z, Y, X) on any device.

    Sums of slices, not a convolution: those of CUDA may round to TF32.
    """
    import torch

    with torch.no_grad():
        if median > 1:
            padded = _reflect(image, median // 2)
            for axis in range(3):
                padded = padded.unfold(axis, median, 1)
            image = padded.reshape(*image.shape, -1).median(dim=-1).values
        padded = _reflect(image, 1)
        squares = torch.zeros_like(image)
        for axis in range(3):
            slope = padded
            for other in range(3):
                before, middle, after = (
                    slope.narrow(other, first, image.shape[other]) for first in range(3)
                )
                if other == axis:
                    slope = after - before
                else:
                    slope = (3 * before + 10 * middle + 3 * after) / 16
            squares += slope**2
        return (squares / 3).sqrt()


def _reflect(image: torch.Tensor, width: int) -> torch.Tensor:
    """Mirror about the outer faces: ``b a | a b c d | d c``."""
    import torch

    for axis in range(3):
        extent = image.shape[axis]
        places = torch.arange(-width, extent + width, device=image.device) % (2 * extent)
        places = torch.minimum(places, 2 * extent - 1 - places)
        image = image.index_select(axis, places)
    return image
