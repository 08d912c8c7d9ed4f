"""The plain 3-D U-Net of contrastive pretraining, with the published layout of layers and weights.

Written from what arXiv:2411.02372 and its description tell, for files of weights that others
have trained: one flat sequence of numbered layers, 3x3x3 convolutions with mirrored borders and
without bias, batch normalisation, ReLU, maximum pooling, nearest upsampling, and in front of
each decoder level the skip **before** what was upsampled. Of depth 4 and width 16 it has
5,899,344 parameters in 115 tensors.

Corrected: in training, batch statistics are those of neighbouring pairs of samples, so that a
run means the same on any number of processes; with one pair, the published batch, that is the
same. Every operation has a deterministic backward on CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.backbones import Backbone
from napari_mrissl.networks.normalisation import GhostBatchNorm3d
from napari_mrissl.networks.resampling import mirrored, pooled, repeated
from napari_mrissl.networks.unet_layout import (
    DEPTH,
    OUT_CHANNELS,
    TAPS,
    WIDTH,
    UNetSize,
    encoder_ends,
    final,
    taps,
    upsamplings,
)

__all__ = ["TAPS", "UNet3d", "UNetBackbone", "UNetSize", "encoder_ends", "final", "taps",
           "upsamplings"]  # fmt: skip


class UNet3d(nn.Module):
    """The published network: features of every voxel, raw, without a normalisation.

    Faithful to arXiv:2411.02372 in names and shapes of its tensors and in what it computes.

    Parameters
    ----------
    in_channels
        Of the image.
    out_channels
        Features of a voxel.
    width
        Channels at full resolution; doubled at each scale.
    depth
        How often the sides are halved.

    Attributes
    ----------
    size
        The parameters above.
    model
        All layers, by their published numbers.
    stride, least_side
        What every side of an image must be a multiple of, and at least: 16 and 32.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = OUT_CHANNELS,
        width: int = WIDTH,
        depth: int = DEPTH,
    ) -> None:
        super().__init__()
        self.size = UNetSize(in_channels, out_channels, width, depth)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.width, self.depth = width, depth
        self.stride, self.least_side = self.size.stride, self.size.least_side
        self.model = _model(self.size)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, out_channels, Z, Y, X) of an image (N, in_channels, Z, Y, X).

        Raises
        ------
        MrisslError
            If a side is no multiple of ``stride`` or less than ``least_side``.
        """
        return _through(self.model, self.depth, image, ())[0]

    def forward_taps(
        self, image: torch.Tensor, layers: Sequence[int] | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """What `forward` gives, and what some convolutions gave on the way.

        Parameters
        ----------
        image
            (N, in_channels, Z, Y, X).
        layers
            Numbers of convolutions, ascending; by default those of `taps`.

        Raises
        ------
        MrisslError
            If a side does not suit, or a number is not that of a convolution.
        """
        wanted = tuple(taps(self.depth) if layers is None else layers)
        convolutions = {n for n, layer in enumerate(self.model) if isinstance(layer, nn.Conv3d)}
        if list(wanted) != sorted(set(wanted)) or not set(wanted) <= convolutions:
            raise MrisslError(
                ", ".join(map(str, wanted)) or "none",
                where="layers",
                expected="ascending numbers of convolutions: "
                + ", ".join(map(str, sorted(convolutions))),
            )
        return _through(self.model, self.depth, image, wanted)


class UNetBackbone(Backbone):
    """The same network, with the maps of all its scales; its weights have the same names.

    The finest map is the output of `UNet3d`, the others are the ends of the bottleneck and of
    the levels of the decoder.

    Parameters
    ----------
    image_channels
        Of the image.
    width, depth
        As for `UNet3d`.
    """

    def __init__(self, image_channels: int = 1, width: int = WIDTH, depth: int = DEPTH) -> None:
        super().__init__()
        self.depth = depth
        self.stride = 2**depth
        self.channels = (*(width * 2**scale for scale in range(depth, 0, -1)), OUT_CHANNELS)
        self.model = _model(UNetSize(image_channels, OUT_CHANNELS, width, depth))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps (N, channels, Z, Y, X), deepest first, of an image (N, C, Z, Y, X)."""
        return self.deepest(image, len(self.channels))

    def deepest(self, image: torch.Tensor, scales: int) -> tuple[torch.Tensor, ...]:
        """The first maps that `forward` gives; layers above them do nothing."""
        ends = [*(number - 1 for number in upsamplings(self.depth)), final(self.depth)][:scales]
        _, maps = _through(self.model, self.depth, image, ends, last=ends[-1])
        return tuple(maps)


def _through(
    model: nn.Sequential,
    depth: int,
    image: torch.Tensor,
    wanted: Sequence[int],
    last: int | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The result of the layers up to the last, and the results of those wanted."""
    _check_sides(image, depth)
    kept, joined = encoder_ends(depth), upsamplings(depth)
    skips: list[torch.Tensor] = []
    found = []
    for number, layer in enumerate(model):
        image = layer(image)
        if number in wanted:
            found.append(image)
        if number in kept:
            skips.append(image)
        elif number in joined:
            image = torch.cat((skips.pop(), image), dim=1)
        if number == last:
            break
    return image, found


def _check_sides(image: torch.Tensor, depth: int) -> None:
    size = UNetSize(depth=depth)
    sides = tuple(image.shape[2:])
    if image.ndim != 5 or any(side % size.stride or side < size.least_side for side in sides):
        raise MrisslError(
            f"{' x '.join(map(str, sides))} voxels do not suit this network",
            where="image",
            expected=f"three sides, each a multiple of {size.stride} and at least "
            f"{size.least_side}",
            remedy="pad or crop it",
        )


def _model(size: UNetSize) -> nn.Sequential:
    return nn.Sequential(*(_MODULES[kind](*channels) for kind, channels in size.layers()))


class _Convolution(nn.Conv3d):
    """3x3x3, with mirrored borders, no bias."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, padding="same", padding_mode="reflect", bias=False)
        nn.init.kaiming_normal_(self.weight)

    def _conv_forward(
        self,
        input: torch.Tensor,  # noqa: A002 torch's name
        weight: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        return functional.conv3d(mirrored(input), weight, bias)


def _normalisation(channels: int) -> GhostBatchNorm3d:
    layer = GhostBatchNorm3d(channels, counted=True)
    nn.init.normal_(layer.weight, 1.0, 0.02)
    return layer


class _Rectified(nn.Module):
    """ReLU; in place where no gradient will ask for what came before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x, inplace=not torch.is_grad_enabled())


class _Pooled(nn.Module):
    """Half the sides."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return pooled(x)


class _Repeated(nn.Module):
    """Twice the sides."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return repeated(x)


_MODULES: Mapping[str, Callable[..., nn.Module]] = {
    "conv": _Convolution,
    "norm": _normalisation,
    "relu": _Rectified,
    "pool": _Pooled,
    "up": _Repeated,
}
