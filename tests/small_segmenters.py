"""Networks whose segmentation is known without them, as prediction sees a finetuned one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_mrissl.networks import weights
from napari_mrissl.segmentation.finetuning import FinetuneTaskSettings, LabelClass
from napari_mrissl.volumes import Volume

CLASSES = {0: "background", 1: "grey", 2: "bright"}
CENTRES = (0.0, 0.5, 1.0)


class Bands(nn.Module):
    """The class whose centre is nearest to the voxel's own value; neighbours do not matter."""

    def __init__(self, centres=CENTRES, sharpness=50.0):
        super().__init__()
        self.register_buffer("centres", torch.tensor(centres).view(1, -1, 1, 1, 1))
        self.sharpness = sharpness
        self.seen: list[tuple[int, ...]] = []

    def forward(self, image):
        self.seen.append(tuple(image.shape[2:]))
        return -self.sharpness * (image - self.centres) ** 2


@dataclass
class StandIn:
    """A segmenter around any module."""

    module: nn.Module = field(default_factory=Bands)
    classes: dict[int, str] = field(default_factory=lambda: dict(CLASSES))
    spacing: tuple[float, float, float] | None = None
    patch: tuple[int, int, int] = (16, 16, 16)
    stride: int = 4
    least_side: int = 4
    mirrored: tuple[int, ...] = ()
    ends: tuple[float, float] = (0.0, 1.0)
    loaded: Callable[[], Any] = lambda: None

    def limits(self, volume: Volume) -> tuple[float, float]:
        return self.ends

    def network(self) -> nn.Module:
        self.loaded()
        return self.module


def volume_of(values, spacing=(1.0, 1.0, 1.0)) -> Volume:
    """An upright volume of (S, A, R) values."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = spacing
    affine[3, 3] = 1
    return Volume.from_stored(np.asarray(values), affine)


def nearest_band(values: np.ndarray, centres=CENTRES) -> np.ndarray:
    """What `Bands` says, by numpy."""
    distance = np.abs(np.clip(values, 0, 1)[..., None] - np.array(centres))
    return distance.argmin(axis=-1)


def saved(path: Path, classes=CLASSES, seed: int = 0, **task: Any) -> Path:
    """A file of a finetuned network that learned nothing, as a run would leave it."""
    from napari_mrissl.segmentation.finetuning.network import SegmentationNetwork
    from napari_mrissl.training.settings import Preprocessing

    content = {"backbone": {"name": "unet", "width": 8, "depth": 3}, "patch": (16, 16, 16), **task}
    named = tuple(LabelClass(label=label, name=name) for label, name in classes.items())
    settings = FinetuneTaskSettings.model_validate({**content, "classes": named})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SegmentationNetwork(settings)
        # As drawn, the head is so small that all classes are nearly alike.
        for parameter in network.head.parameters():
            nn.init.normal_(parameter, std=1.0)
    card = {
        "method": "finetune",
        "step": 7,
        "task": settings.model_dump(mode="json"),
        "preprocessing": Preprocessing().model_dump(mode="json"),
    }
    weights.save(path, network.state_dict(), card)
    return path
