"""The control ``reconstruction``: crops are spoiled and the network restores them.

What Models Genesis made known, with the corruptions of `pretext.corruptions`, and the
boundary-focused reconstruction of arXiv:2211.08533 without its boundaries.
"""

from __future__ import annotations

import numpy as np
import torch

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.corruptions import corrupt
from napari_mrissl.pretext.reconstruction_settings import INFO, ReconstructionSettings
from napari_mrissl.pretext.restoration import RestorationTask, apart, constant_error, exact, thinned
from napari_mrissl.pretext.settings import CropSettings
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey


class Reconstruction(RestorationTask[ReconstructionSettings]):
    """Restore corrupted crops.

    Terms: ``restored``, the error at all voxels, and ``painted``, a metric: the error
    where something was painted over.
    """

    info = INFO

    @property
    def backbone_settings(self) -> BackboneSettings:
        """Of the network."""
        return self.settings.backbone

    @property
    def crop_settings(self) -> CropSettings:
        """Of the crops."""
        return self.settings.crop

    def restored(self, raw: torch.Tensor) -> torch.Tensor:
        """Grey values in (0, 1): the sigmoid, as published."""
        return torch.sigmoid(exact(raw))

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """A corrupted crop, the clean one, and where it is painted over."""
        scan, record, clean = self.drawn(subjects, key)
        spoiled = corrupt(clean, self.settings.corruption, key.generator("corruption"))
        return Sample(
            {"image": spoiled.image[None], "clean": clean[None], "painted": spoiled.mask[None]},
            scan.subject,
            {"crop": record.plain(), "corruption": dict(spoiled.record)},
        )

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``restored`` and ``painted``."""
        restored = self.restored(network(batch["image"]))
        errors = apart(restored, batch["clean"], squared=self.settings.loss == "mse")
        painted = batch["painted"].to(errors.dtype)
        within = (errors.detach() * painted).sum()
        return {
            "restored": LossTerm(errors.sum(), float(errors.numel())),
            "painted": LossTerm(within, painted.sum(), weight=0.0),
        }

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """What the better of two answers is worth: the best constant, or the input itself.

        Where something is painted over, the input says nothing: there it is the constant.
        """
        names = ("image", "clean", "painted")
        samples = [
            [thinned(sample.arrays[name]) for name in names]
            for sample in self.chance_samples(subjects, seed)
        ]
        spoiled, clean, painted = (np.stack(arrays) for arrays in zip(*samples, strict=True))
        squared = self.settings.loss == "mse"
        copied = np.abs(spoiled.astype(np.float64) - clean) ** (2 if squared else 1)
        found = {"restored": min(constant_error(clean, squared=squared), float(copied.mean()))}
        if painted.any():
            found["painted"] = constant_error(clean[painted], squared=squared)
        return found
