"""Contrastive pretraining on synthesis as a pretext task (arXiv:2411.02372).

Faithful: the network, its taps and heads, how voxels are drawn and compared, equal weights of
all taps. Corrected: a voxel of a coarse grid has the label in its middle, where the reference
takes that in its corner, half a voxel off. Inferred: crops with hardly any labels are drawn
again, which whole label ensembles never need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_mrissl.networks.unet_layout import halvings_at, taps
from napari_mrissl.pretext.restoration import exact
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.synthesis.label_crops import (
    LabelCrop,
    Painted,
    draw_places,
    index_of,
    label_crop,
)
from napari_mrissl.pretext.synthesis.losses import contrast, nearest_in_other_view
from napari_mrissl.pretext.synthesis.network import ContrastiveNetwork
from napari_mrissl.pretext.synthesis.online import augmented
from napari_mrissl.pretext.synthesis.settings import INFO, SynthesisSettings
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Shown, Task
from napari_mrissl.synthesis.settings import AppearanceSettings, AugmentationSettings
from napari_mrissl.synthesis.views import Painter

CHANCE_SAMPLES = 64
"""How many label maps the worth of an answer that learned nothing is measured on."""

_SHOWN = 3
_NOT_A_STEP = -1


class Synthesis(Task[SynthesisSettings]):
    """Tell voxels of one label from all others, in two views that share nothing but labels.

    Terms: ``tap27`` and so on, the contrastive loss at each tapped layer, by its published
    number. Metrics, on the output without a head: ``misplaced``, the share of voxels whose
    most similar voxel in the other view is another one, and ``mislabelled``, the share of
    those for which it has another label.
    """

    info = INFO
    targets = ("labels",)

    def __init__(self, settings: SynthesisSettings) -> None:
        super().__init__(settings)
        self._depth = settings.backbone.depth - 1
        self.taps = taps(self._depth)
        side = settings.crop.side
        self._sides = tuple(side >> halvings_at(tap, self._depth) for tap in self.taps)
        self._look: tuple[AppearanceSettings, AugmentationSettings] | None = None
        self._painters: dict[str, Painter] = {}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, side, side, side)."""
        return (1, *(self.settings.crop.side,) * 3)

    def network(self) -> ContrastiveNetwork:
        """A new network with its heads."""
        width = self.settings.backbone.width
        return ContrastiveNetwork(width, self._depth, self.settings.hidden)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """Two views of a label map, the map, and the voxels to compare at each tap."""
        if isinstance(subjects, Painted):
            self._look = subjects.look
        crop = self._crop(subjects, key)
        arrays: dict[str, NDArray[np.generic]] = {"labels": crop.labels}
        if self.settings.on_device:
            # What is painted, also where the labels become those of another sample.
            arrays["painted"] = crop.labels
        else:
            arrays["views"] = self._views(torch.from_numpy(crop.labels), key).numpy()
        rng = key.generator("places")
        for tap, side in zip(self.taps, self._sides, strict=True):
            arrays[f"places{tap}"] = draw_places(rng, side, self.settings.samples)
        return Sample(arrays, crop.subject, {"crop": crop.record.plain()})

    def prepare(
        self, batch: dict[str, torch.Tensor], keys: Sequence[SampleKey]
    ) -> dict[str, torch.Tensor]:
        """Add the labels of the voxels that are compared, and the views if they are not there."""
        if "painted" in batch:
            batch["views"] = torch.stack(
                [
                    self._views(labels, key)
                    for labels, key in zip(batch["painted"], keys, strict=True)
                ]
            )
        for tap, side in zip(self.taps, self._sides, strict=True):
            step = self.settings.crop.side // side
            middles = batch["labels"][:, *(slice(step // 2, None, step),) * 3]
            classes = middles.flatten(1).gather(1, batch[f"places{tap}"])
            batch[f"classes{tap}"] = classes
        return batch

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """One term for each tap, and two metrics."""
        settings = self.settings
        kind = next(network.parameters()).dtype
        views = batch["views"].to(kind)
        embedded, features = network(views, [batch[f"places{tap}"] for tap in self.taps])
        terms = {}
        # Cosines of a thousand voxels in half precision would blur the temperature.
        with torch.autocast(views.device.type, enabled=False):
            for tap, one in zip(self.taps, embedded, strict=True):
                losses = contrast(
                    exact(one),
                    batch[f"classes{tap}"].repeat(1, 2),
                    settings.temperature,
                    rarity=settings.rarity,
                    balanced=settings.balanced,
                )
                weight = 1 / len(self.taps)
                terms[f"tap{tap}"] = LossTerm(losses.sum(), float(losses.numel()), weight)
            terms |= _retrieval(exact(features.detach()), batch[f"classes{self.taps[-1]}"])
        return terms

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """Of identical embeddings; of a random voxel; and of one with the most frequent label."""
        found, labels = {}, []
        for number in range(CHANCE_SAMPLES):
            key = SampleKey(seed, _NOT_A_STEP, number)
            labels.append(self._crop(subjects, key).labels)
        shares = [np.bincount(one.ravel()) / one.size for one in labels]
        for tap, side in zip(self.taps, self._sides, strict=True):
            count = min(self.settings.samples, side**3)
            found[f"tap{tap}"] = math.log(2 * count - 1)
            if self.settings.balanced:
                found[f"tap{tap}"] = float(np.mean([_log_labels(one, count) for one in shares]))
        count = min(self.settings.samples, self._sides[-1] ** 3)
        found["misplaced"] = 1 - 1 / count
        found["mislabelled"] = 1 - float(np.mean([one.max() for one in shares]))
        return found

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """Middle slices of a few pairs: views, and where both are like the middle of the first."""
        views = batch["views"][:_SHOWN]
        middle = views.shape[2] // 2
        with torch.no_grad():
            features = network.backbone(views.flatten(0, 1)[:, None])  # type: ignore[operator]
        units = functional.normalize(exact(features), dim=1)
        units = units.reshape(len(views), 2, *units.shape[1:])
        asked = units[:, 0, :, middle, middle, middle]
        similar = torch.einsum("pc,pvcyx->pvyx", asked, units[:, :, :, middle]).clamp(0, 1)
        rows = {
            "first view": views[:, 0, middle],
            "like its middle": similar[:, 0],
            "second view": views[:, 1, middle],
            "like the first's middle": similar[:, 1],
        }
        tiles = torch.cat([row.float().clamp(0, 1) for row in rows.values()])
        captions = tuple(name for name in rows for _ in range(len(views)))
        return [Shown("views", tiles.cpu().numpy(), captions)]

    def _crop(self, subjects: Subjects, key: SampleKey) -> LabelCrop:
        return label_crop(subjects, key, self.settings.crop, self.settings.online)

    def _views(self, labels: torch.Tensor, key: SampleKey) -> torch.Tensor:
        """(2, Z, Y, X) painted where the labels are."""
        index = index_of(key)
        if labels.device.type == "cpu":
            views = torch.from_numpy(self._painter("cpu").stacked(labels.numpy(), key.seed, index))
        else:
            views = torch.stack(self._painter(str(labels.device)).views(labels, key.seed, index))
        for number, view in enumerate(views):
            rng = key.generator(f"view {number}, on-line")
            views[number] = augmented(view, rng, self.settings.online)
        return views

    def _painter(self, device: str) -> Painter:
        if device not in self._painters:
            appearance, augmentation = self._look or (None, None)
            self._painters[device] = Painter(appearance, augmentation, device)
        return self._painters[device]


def _retrieval(features: torch.Tensor, classes: torch.Tensor) -> dict[str, LossTerm]:
    """Errors of the nearest neighbour in the other view, which nothing is trained for."""
    found = nearest_in_other_view(features)
    here = torch.arange(found.shape[1], device=found.device)
    wrong = {
        "misplaced": found != here,
        "mislabelled": classes.gather(1, found) != classes,
    }
    return {
        name: LossTerm(one.sum().to(features.dtype), float(one.numel()), weight=0.0)
        for name, one in wrong.items()
    }


def _log_labels(shares: NDArray[np.float64], count: int) -> float:
    """About the logarithm of how many labels are among some voxels."""
    return math.log(float((1 - (1 - shares) ** count).sum()))
