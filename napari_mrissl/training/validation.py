"""Measurements on held-out subjects, the same samples each time."""

from __future__ import annotations

import torch

from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.batches import Part, stacked
from napari_mrissl.training.objective import values, weighted
from napari_mrissl.training.optimisation import autocast, seed_torch
from napari_mrissl.training.trainer import Trainer

SAMPLES = 32
"""How many samples are measured, rounded up to whole batches."""


class Validation:
    """Fixed samples of subjects that the run does not train on.

    They are made once and kept: numbers of two steps differ by the network alone. Targets
    are never shuffled here, so the null control is measured on true ones.

    Parameters
    ----------
    trainer
        Whose network, averaged where it is averaged, is measured.
    subjects
        Held out.
    """

    def __init__(self, trainer: Trainer, subjects: Subjects) -> None:
        self._trainer = trainer
        self._subjects = subjects
        self._parts: list[Part] = []

    def measure(self) -> tuple[dict[str, float], float]:
        """Values of all terms, and the weighted loss, over all processes."""
        trainer = self._trainer
        options = trainer.settings.optimisation
        if not self._parts:
            self._parts = self._made()
        network = trainer.shown.eval()
        seed_torch(trainer.settings.seed, f"validation, process {trainer.collective.rank}")
        weights: dict[str, float] = {}
        sums: torch.Tensor | None = None
        for part in self._parts:
            with torch.no_grad(), autocast(options.precision, trainer.device):
                batch = trainer.task.prepare(trainer.on_device(part), part.keys)
                terms = trainer.task.losses(network, batch, trainer.collective)
            weights = {name: term.weight for name, term in terms.items()}
            exact = torch.float32 if trainer.device.type == "mps" else torch.float64
            found = [
                [torch.as_tensor(x, device=trainer.device).to(exact) for x in (t.total, t.count)]
                for t in terms.values()
            ]
            if not found:
                return {}, 0.0
            pairs = torch.stack([torch.stack(pair) for pair in found])
            sums = pairs if sums is None else sums + pairs
        if sums is None:
            return {}, 0.0
        measured = values(weights, trainer.collective.sum(sums).tolist())
        return measured, weighted(weights, measured)

    def _made(self) -> list[Part]:
        trainer = self._trainer
        options = trainer.settings.optimisation
        parts = []
        for number in range(-(-SAMPLES // options.batch)):
            for share in trainer.numbers:
                # Steps before the first: no training step has these.
                keys = [SampleKey(trainer.settings.seed, -1 - number, n) for n in share]
                samples = [trainer.task.sample(self._subjects, key) for key in keys]
                parts.append(stacked(samples, keys))
        return parts
