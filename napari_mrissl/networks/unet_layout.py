"""The numbered layers of the plain U-Net of arXiv:2411.02372: sizes and names, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from napari_mrissl.errors import MrisslError

DEPTH = 4
WIDTH = 16
OUT_CHANNELS = 16
"""As published."""

MOST_DEPTH, MOST_WIDTH, MOST_CHANNELS = 6, 64, 256
"""Of networks that are read from files."""

_STEM = 3
_LEVEL = 7
"""Layers of the stem, and of a level: two of convolution, normalisation and ReLU, one of scale."""


def encoder_ends(depth: int = DEPTH) -> tuple[int, ...]:
    """Numbers of the layers whose results skip to the decoder, finest first: 8, 15, 22, 29."""
    return tuple(_STEM + _LEVEL * level + 5 for level in range(depth))


def upsamplings(depth: int = DEPTH) -> tuple[int, ...]:
    """Numbers of the layers that double the sides, deepest first: 37, 44, 51, 58."""
    first = _STEM + _LEVEL * depth + 6
    return tuple(first + _LEVEL * level for level in range(depth))


def final(depth: int = DEPTH) -> int:
    """Number of the last layer: 65."""
    return upsamplings(depth)[-1] + _LEVEL


def taps(depth: int = DEPTH) -> tuple[int, ...]:
    """Numbers of the convolutions that are trained by contrast: 27, 31, 38, 45, 52 and 65.

    The last of the encoder, the first of the bottleneck, the first of each level of the
    decoder but the finest, and the output.
    """
    bottleneck = _STEM + _LEVEL * depth
    decoder = tuple(number + 1 for number in upsamplings(depth)[:-1])
    return (bottleneck - 4, bottleneck, *decoder, final(depth))


TAPS = taps()
"""Those of the published network."""


def halvings_at(number: int, depth: int = DEPTH) -> int:
    """How often the sides of an image were halved in the result of a layer."""
    if number >= upsamplings(depth)[0]:
        return max(0, depth - 1 - (number - upsamplings(depth)[0]) // _LEVEL)
    return max(0, (number - _STEM + 1) // _LEVEL)


class Layer(NamedTuple):
    """One numbered layer.

    Attributes
    ----------
    kind
        A convolution, a normalisation, a ReLU, a halving or a doubling of the sides.
    channels
        Before and after, of a convolution; of a normalisation; nothing of others.
    """

    kind: Literal["conv", "norm", "relu", "pool", "up"]
    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class UNetSize:
    """How large a plain U-Net is; the published one by default.

    Attributes
    ----------
    in_channels
        Of the image.
    out_channels
        Features of a voxel.
    width
        Channels at full resolution; doubled at each scale.
    depth
        How often the sides are halved.
    """

    in_channels: int = 1
    out_channels: int = OUT_CHANNELS
    width: int = WIDTH
    depth: int = DEPTH

    @property
    def stride(self) -> int:
        """What every side of an image must be a multiple of."""
        return 1 << self.depth

    @property
    def least_side(self) -> int:
        """Shortest side of an image: the deepest map is mirrored, which takes two voxels."""
        return 2 * self.stride

    def layers(self) -> tuple[Layer, ...]:
        """All layers in order; a doubling is followed by ``cat((skip, doubled))``."""
        widths = [self.width * 2**level for level in range(self.depth + 1)]
        found = [*_convolved(self.in_channels, self.width)]
        before = self.width
        for after in widths[:-1]:
            found += [*_convolved(before, after), *_convolved(after, after), Layer("pool")]
            before = after
        found += [*_convolved(before, widths[-1]), *_convolved(widths[-1], widths[-1])]
        for deep, after in zip(widths[:0:-1], widths[-2::-1], strict=True):
            found += [Layer("up"), *_convolved(after + deep, after), *_convolved(after, after)]
        return (*found, Layer("conv", (self.width, self.out_channels)))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all tensors: 115 of them in the published network."""
        found: dict[str, tuple[int, ...]] = {}
        for number, (kind, channels) in enumerate(self.layers()):
            if kind == "conv":
                before, after = channels
                found[f"model.{number}.weight"] = (after, before, 3, 3, 3)
            elif kind == "norm":
                for name in ("weight", "bias", "running_mean", "running_var"):
                    found[f"model.{number}.{name}"] = channels
                found[f"model.{number}.num_batches_tracked"] = ()
        return found


def size_of(shapes: Mapping[str, tuple[int, ...]], where: str | None = None) -> UNetSize:
    """The size of the network whose tensors have these names and shapes.

    Parameters
    ----------
    shapes
        Shapes by name, such as `UNetSize.shapes` gives; all of a network and no others.
    where
        Name of the file, for the message.

    Raises
    ------
    MrisslError
        If they are not those of such a network.
    """
    convolutions = [
        (int(part), shape)
        for name, shape in shapes.items()
        if (part := name.removeprefix("model.").removesuffix(".weight")).isdecimal()
        and len(part) < 4
        and name == f"model.{part}.weight"
        and len(shape) == 5
    ]
    first, last = (min(convolutions, default=None), max(convolutions, default=None))
    if first is None or last is None or first[0] != 0 or (last[0] - 9) % 14:
        raise _odd(f"{len(shapes)} tensors that are not its layers", where)
    width, in_channels = first[1][:2]
    size = UNetSize(in_channels, last[1][0], width, (last[0] - 9) // 14)
    limits = (MOST_CHANNELS, MOST_CHANNELS, MOST_WIDTH, MOST_DEPTH)
    found = (size.in_channels, size.out_channels, size.width, size.depth)
    if not all(1 <= number <= most for number, most in zip(found, limits, strict=True)):
        raise _odd("layers of an impossible size", where)
    wanted = size.shapes()
    for name in sorted(set(wanted) ^ set(shapes)):
        raise _odd(f"tensor {name[:80]} is {'missing' if name in wanted else 'too many'}", where)
    for name, shape in wanted.items():
        if tuple(shapes[name]) != shape:
            raise _odd(f"tensor {name} has shape {tuple(shapes[name])}, not {shape}", where)
    return size


def _convolved(before: int, after: int) -> tuple[Layer, Layer, Layer]:
    return Layer("conv", (before, after)), Layer("norm", (after,)), Layer("relu")


def _odd(found: str, where: str | None) -> MrisslError:
    return MrisslError(
        f"not the weights of a plain U-Net ({found})",
        where=where,
        expected="the tensors of the published layout, such as 115 of depth 4",
        remedy="use a file of weights of that network",
    )
