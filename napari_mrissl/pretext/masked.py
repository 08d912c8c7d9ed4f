"""The control ``masked``: a masked autoencoder of crops on the same backbone.

After He et al. (arXiv:2111.06377) for convolutional networks in three dimensions, as in
arXiv:2410.23132: three quarters of the patches become 0, and the squared error counts at
hidden voxels alone. Inferred: patches of one size, on a grid that begins at the crop's corner.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.masked_settings import INFO, MaskedSettings
from napari_mrissl.pretext.restoration import RestorationTask, apart, constant_error, exact, thinned
from napari_mrissl.pretext.settings import CropSettings
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey


class Masked(RestorationTask[MaskedSettings]):
    """Fill in hidden patches.

    Terms: ``hidden``, the mean squared error at hidden voxels, and ``seen``, a metric: the
    same at the others, which nobody asks the network to copy.
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
        """Grey values as they come: squared errors of a linear output."""
        return exact(raw)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """A crop with hidden patches, the clean one, and where it is hidden."""
        scan, record, clean = self.drawn(subjects, key)
        hidden = self.draw_hidden(key.generator("patches"))
        image = np.where(hidden, np.float32(0), clean)
        return Sample(
            {"image": image[None], "clean": clean[None], "hidden": hidden[None]},
            scan.subject,
            {"crop": record.plain()},
        )

    def draw_hidden(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """(Z, Y, X) where a crop is hidden: whole patches, the same number in every crop."""
        settings = self.settings
        along = settings.crop.side // settings.patch
        patches = np.zeros(settings.patches, np.bool_)
        patches[rng.permutation(settings.patches)[: settings.hidden]] = True
        voxels = np.ones((settings.patch,) * 3, np.bool_)
        hidden: NDArray[np.bool_] = np.kron(patches.reshape((along,) * 3), voxels)
        return hidden

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``hidden`` and ``seen``."""
        errors = apart(self.restored(network(batch["image"])), batch["clean"], squared=True)
        hidden = batch["hidden"].to(errors.dtype)
        seen = 1 - hidden
        return {
            "hidden": LossTerm((errors * hidden).sum(), hidden.sum()),
            "seen": LossTerm((errors.detach() * seen).sum(), seen.sum(), weight=0.0),
        }

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """What the better of two answers is worth at hidden voxels.

        One grey value for all crops, or for each crop the mean of what is seen of it.
        """
        clean, own = [], []
        for sample in self.chance_samples(subjects, seed):
            image, hidden = sample.arrays["clean"], sample.arrays["hidden"]
            clean.append(thinned(image[hidden]))
            own.append(np.square(image[hidden] - image[~hidden].mean()).mean(dtype=np.float64))
        return {"hidden": min(constant_error(np.stack(clean), squared=True), float(np.mean(own)))}
