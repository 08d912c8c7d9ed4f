"""What tasks share that restore crops: drawing, the network, and the two simplest answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.networks.backbones import build
from napari_mrissl.networks.heads import ImageNetwork
from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext import crops
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.info import TaskSettings
from napari_mrissl.pretext.settings import CropSettings
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import Sample, SampleKey, Shown, Task

CHANCE_SAMPLES = 64
"""How many crops the worth of an answer that learned nothing is measured on."""

_CHANCE_VOXELS = 4096

_SHOWN = 4
_NOT_A_STEP = -1


S = TypeVar("S", bound=TaskSettings)


class RestorationTask(Task[S]):
    """A task whose samples hold ``image``, the spoiled crop, and ``clean``, the target."""

    targets = ("clean",)

    @property
    @abstractmethod
    def backbone_settings(self) -> BackboneSettings:
        """Of the network."""

    @property
    @abstractmethod
    def crop_settings(self) -> CropSettings:
        """Of the crops."""

    @abstractmethod
    def restored(self, raw: torch.Tensor) -> torch.Tensor:
        """Grey values from what the network gives."""

    def network(self) -> ImageNetwork:
        """A backbone and one restored image."""
        return ImageNetwork(build(self.backbone_settings))

    def drawn(
        self, subjects: Subjects, key: SampleKey
    ) -> tuple[Scan, CropRecord, NDArray[np.float32]]:
        """A subject, a crop of it, and the crop's grey values (Z, Y, X)."""
        rng = key.generator("crop")
        scan = subjects.scan(int(rng.integers(len(subjects))))
        crop = self.crop_settings
        record = crops.draw_crop(
            rng, scan, crop.side, crop.edge_mm, crop.scale, crop.element, crop.least_mean
        )
        return scan, record, crops.cut(scan, record)

    def chance_samples(self, subjects: Subjects, seed: int) -> Iterator[Sample]:
        """Samples that no step trains on."""
        for number in range(CHANCE_SAMPLES):
            yield self.sample(subjects, SampleKey(seed, _NOT_A_STEP, number))

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """Middle slices of a few crops: as the network saw them, restored, and clean."""
        images = batch["image"][:_SHOWN]
        with torch.no_grad():
            restored = self.restored(network(images))
        rows = {"input": images, "restored": restored, "clean": batch["clean"][:_SHOWN]}
        middle = images.shape[2] // 2
        tiles = torch.cat([row[:, 0, middle].float().clamp(0, 1) for row in rows.values()])
        captions = tuple(name for name in rows for _ in range(len(images)))
        return [Shown("restored", tiles.cpu().numpy(), captions)]


def apart(restored: torch.Tensor, clean: torch.Tensor, *, squared: bool = False) -> torch.Tensor:
    """Difference at each voxel, absolute or squared, in the more exact type of the two."""
    difference = restored - clean.to(restored.dtype)
    return difference.square() if squared else difference.abs()


def exact(raw: torch.Tensor) -> torch.Tensor:
    """At least float32, for losses that add many voxels up."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))


def thinned(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Some thousands of the values, spread evenly: enough for a mean or a median."""
    # An odd step does not run along with the rows of a crop.
    return values.ravel()[:: max(1, values.size // _CHANCE_VOXELS) | 1]


def constant_error(values: NDArray[np.floating], *, squared: bool = False) -> float:
    """Mean error of the best constant: the median, or the mean for squared errors."""
    exactly = values.astype(np.float64)
    if squared:
        return float(exactly.var())
    return float(np.abs(exactly - np.median(exactly)).mean())
