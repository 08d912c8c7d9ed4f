"""Convolutions of a trained U-Net with their batch normalisation folded in.

The half of a decoder's convolution that sees upsampled voxels is done on the coarse grid by
eight kernels of 2x2x2, one for each place within a coarse voxel.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.normalisation import GhostBatchNorm3d
from napari_mrissl.networks.unet import UNet3d
from napari_mrissl.networks.unet_layout import upsamplings

_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Convolution:
    """Weights (O, I, 3, 3, 3) with channels last, and a bias."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __call__(self, planes: torch.Tensor) -> torch.Tensor:
        """(n - 2, Y, X, O) of padded planes (n, Y + 2, X + 2, I)."""
        return _convolved(planes, self.weight, self.bias)


@dataclass(frozen=True)
class Joined:
    """A convolution of the skip and of what was upsampled, each on its own grid."""

    skip: Convolution
    phases: tuple[torch.Tensor, torch.Tensor]

    def __call__(self, skip: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """(2n, Y, X, O) of padded planes of the skip, 2n + 2, and of the coarse map, n + 2."""
        out = self.skip(skip)
        planes, rows, columns, channels = out.shape
        n, y, x = planes // 2, rows // 2, columns // 2
        places = out.view(n, 2, y, 2, x, 2, channels)
        for pz, weight in enumerate(self.phases):
            found = _convolved(coarse[pz : pz + n + 1], weight, None)
            found = found.view(n, y + 1, x + 1, 2, 2, channels)
            for py, px in itertools.product((0, 1), (0, 1)):
                places[:, pz, :, py, :, px] += found[:, py : py + y, px : px + x, py, px]
        return out


def folded(
    network: UNet3d, stop: int, device: torch.device, dtype: torch.dtype
) -> dict[int, Convolution | Joined]:
    """The convolutions of a trained network by the number of their layers.

    Parameters
    ----------
    network
        Its weights are copied.
    stop
        The last layer; it is left without the normalisation behind it.
    device, dtype
        Of the weights.

    Raises
    ------
    MrisslError
        If a convolution before the last is not followed by batch normalisation.
    """

    def ready(weight: torch.Tensor) -> torch.Tensor:
        return weight.to(device, dtype).contiguous(memory_format=torch.channels_last_3d)

    found: dict[int, Convolution | Joined] = {}
    layers = list(network.model)
    for number, layer in enumerate(layers[: stop + 1]):
        if not isinstance(layer, nn.Conv3d):
            continue
        weight = layer.weight.detach().double()
        bias = None
        if number != stop:
            gain, bias = _normalisation(layers[number + 1])
            weight = weight * gain.view(-1, 1, 1, 1, 1)
            bias = bias.to(device, dtype)
        if number - 1 not in upsamplings(network.depth):
            found[number] = Convolution(ready(weight), bias)
            continue
        skip = len(weight)
        below, above = (ready(phases) for phases in _phases(weight[:, skip:]))
        found[number] = Joined(Convolution(ready(weight[:, :skip]), bias), (below, above))
    return found


def _convolved(
    planes: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """A convolution without padding of planes (n, Y, X, I), as planes (m, y, x, O)."""
    image = planes.unsqueeze(0).permute(0, 4, 1, 2, 3)
    if planes.dtype == torch.float32 and planes.device.type == "cpu" and _ONEDNN:
        # With one thread, torch gives small convolutions to a kernel that takes ten times longer.
        found = torch.mkldnn_convolution(image, weight, bias, (0,) * 3, (1,) * 3, (1,) * 3, 1)
    else:
        found = functional.conv3d(image, weight, bias)
    return found.permute(0, 2, 3, 4, 1).squeeze(0).contiguous()


def _normalisation(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and bias, float64, that a trained batch normalisation comes to."""
    if not isinstance(layer, GhostBatchNorm3d | nn.BatchNorm3d):
        raise MrisslError(
            f"a layer of type {type(layer).__name__}",
            where="network",
            expected="batch normalisation after each convolution",
        )
    mean, variance = layer.running_mean, layer.running_var
    assert mean is not None and variance is not None  # noqa: S101, PT018 for mypy
    gain = layer.weight.detach().double() / (variance.double() + layer.eps).sqrt()
    return gain, layer.bias.detach().double() - mean.double() * gain


def _phases(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernels on the coarse grid for even and for odd fine planes, (4 O, I, 2, 2, 2) each.

    Of the fine voxels that a 3x3x3 kernel sees, an even place has one in the coarse voxel
    before and two in its own, an odd one two in its own and one in the next. Channels are
    ordered by the place along rows, then along columns, then as in `weight`.
    """
    sums = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=weight.dtype)
    sums = sums.to(weight.device)
    kernels = torch.einsum("paz,qby,rcx,oizyx->pqroiabc", sums, sums, sums, weight)
    outputs, inputs = weight.shape[:2]
    below, above = kernels.reshape(2, 4 * outputs, inputs, 2, 2, 2)
    return below, above
