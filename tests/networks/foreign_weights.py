"""Files of weights as other programs leave them."""

import collections
from pathlib import Path

import torch

from napari_mrissl.networks.unet_layout import UNetSize

SMALL = UNetSize(width=8, depth=2)


def state(size: UNetSize = SMALL, seed: int = 0) -> "collections.OrderedDict[str, torch.Tensor]":
    """Random tensors by the published names."""
    generator = torch.Generator().manual_seed(seed)
    return collections.OrderedDict(
        (name, torch.rand(shape, generator=generator))
        if not name.endswith("num_batches_tracked")
        else (name, torch.tensor(3))
        for name, shape in size.shapes().items()
    )


def saved(path: Path, content: object) -> Path:
    """A file of torch."""
    torch.save(content, path)
    return path
