"""Finetuning as a task of the run engine: crops around labels, Dice and cross entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_mrissl.geometry import apply_affine
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Shown, Task
from napari_mrissl.segmentation.finetuning.losses import (
    CROSS_ENTROPY,
    DICE,
    OVERLAP,
    segmentation_terms,
)
from napari_mrissl.segmentation.finetuning.network import SegmentationNetwork
from napari_mrissl.segmentation.finetuning.samples import (
    Centres,
    cut,
    draw_place,
    recoloured,
    upright,
)
from napari_mrissl.segmentation.finetuning.task_settings import (
    INFO,
    FinetuneTaskSettings,
    PreviewSettings,
)

PREVIEW = "prediction"
"""Name of the picture of a scan with what the network makes of it."""

_CHANCE_SAMPLES = 16
_NOT_A_STEP = -10_000


class Finetune(Task[FinetuneTaskSettings]):
    """Learn a segmentation from label maps or prompts.

    Terms: ``cross entropy`` and ``overlap`` (the soft Dice loss), and the metric ``dice``, all
    of labelled voxels only; see `segmentation_terms`. On held-out scans they are measured in
    upright crops around labels with their own grey values, which is kinder than whole scans
    where these are larger than a crop.
    """

    info = INFO
    targets = ("labels",)

    def __init__(self, settings: FinetuneTaskSettings) -> None:
        super().__init__(settings)
        self.rates = {"backbone.": settings.backbone_rate}
        self._centres = Centres(len(settings.classes))
        self._look = settings.preview

    def network(self) -> SegmentationNetwork:
        """A backbone and its head."""
        return SegmentationNetwork(self.settings)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """A crop (1, Z, Y, X) of a scan, and the class numbers of its voxels (Z, Y, X)."""
        scan = subjects.scan(int(key.generator("scan").integers(len(subjects))))
        place = draw_place(scan, self._centres, self.settings, key)
        image, labels = cut(scan, place)
        if key.step >= 0:
            image = recoloured(image, self.settings.appearance, key)
        return Sample({"image": image[None], "labels": labels}, scan.subject, place.plain())

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """See `segmentation_terms`."""
        return segmentation_terms(network(batch["image"]), batch["labels"], self.settings)

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """What constant answers are worth: the classes' shares, or the best single class."""
        classes = len(self.settings.classes)
        counts = np.zeros((_CHANCE_SAMPLES, classes))
        for number in range(_CHANCE_SAMPLES):
            sample = self.sample(subjects, SampleKey(seed, _NOT_A_STEP, number))
            counts[number] = np.bincount(sample.arrays["labels"].ravel(), minlength=256)[:classes]
        shares = counts.sum(axis=0) / counts.sum()
        entropy = -sum(share * np.log(share) for share in shares if share > 0)
        first = 1 if self.settings.classes[0].label == 0 else 0
        present = (counts[:, first:] > 0).sum()
        if not present:
            return {CROSS_ENTROPY: float(entropy)}
        sizes = counts.sum(axis=1)
        # Of an answer that is one class everywhere: its own Dice, and 0 for all others.
        alone = (2 * counts / (sizes[:, None] + counts).clip(min=1))[:, first:].sum(axis=0)
        dice = float(alone.max() / present)
        return {CROSS_ENTROPY: float(entropy), OVERLAP: 1 - dice, DICE: dice}

    def preview(
        self, network: torch.nn.Module, train: Subjects, validation: Subjects | None
    ) -> list[Shown]:
        """A slice of a scan, what the network makes of it, and its labels.

        Grey values of the last two are numbers of classes over that of the last class; what
        is not labelled is background. The slice goes through the middle of the labels of the
        first held-out scan, or else training scan, unless the settings or `look_at` say
        otherwise. Of a scan that the run does not have nothing can be shown.
        """
        wanted = self._look
        parts = [part for part in (validation, train) if part is not None and len(part)]
        chosen = None
        if wanted.identity is not None:
            scans = (part.scan(number) for part in parts for number in range(len(part)))
            chosen = next((scan for scan in scans if scan.identity == wanted.identity), None)
            if chosen is None:
                # A place in another scan means nothing in this one.
                wanted = PreviewSettings(axis=wanted.axis)
        scan = chosen or parts[0].scan(0)
        center = self._centres.middle(scan)
        if wanted.at_mm is not None:
            place = apply_affine(scan.volume.to_index, wanted.at_mm)
            # What is beyond the scan shows its edge.
            center = np.clip(place, 0, np.array(scan.volume.shape) - 1.0)
        return [self._picture(network, scan, center, wanted.axis)]

    def look_at(self, look: Mapping[str, Any]) -> None:
        """Show another slice from now on; what is no `PreviewSettings` is ignored."""
        try:
            self._look = PreviewSettings.model_validate(dict(look))
        except ValidationError:
            return

    def _picture(
        self, network: torch.nn.Module, scan: Scan, center: NDArray[np.float64], axis: int
    ) -> Shown:
        image, labels = cut(scan, upright(scan, center, self.settings))
        weight = next(network.parameters())
        batch = torch.from_numpy(image)[None, None].to(device=weight.device, dtype=weight.dtype)
        with torch.no_grad():
            predicted = network(batch)[0].argmax(dim=0).cpu().numpy()
        middle = self.settings.patch[axis] // 2
        last = len(self.settings.classes) - 1
        known = np.where(labels <= last, labels.astype(np.float32) / last, np.nan)
        tiles = [image, predicted.astype(np.float32) / last, known]
        # Seen as scans are shown: up is up.
        cuts = [np.flip(np.take(tile, middle, axis=axis), axis=0) for tile in tiles]
        captions = ("scan", "predicted", "labels")
        return Shown(PREVIEW, np.stack(cuts), captions, scan.identity)
