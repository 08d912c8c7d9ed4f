"""The loss of a part of a batch, normalised over all processes."""

from __future__ import annotations

from typing import Any

import torch

from napari_mrissl.pretext.task import Collective, Task
from napari_mrissl.training.optimisation import autocast
from napari_mrissl.training.settings import Precision


class Objective(torch.nn.Module):
    """A task's terms as one scalar, whose gradient torch's DDP can average.

    Each term is its sum over all processes divided by its count over all processes: a mean
    of the processes' means would weigh the same voxel differently when masks differ. DDP
    wraps this module and not the network, so that it sees exactly which parameters the
    loss depends on, however the task calls the network.

    Parameters
    ----------
    task, network, collective
        Whose terms, of what, over which processes.
    parts
        In how many parts a batch is worked through; the loss is divided by it.
    """

    def __init__(
        self,
        task: Task[Any],
        network: torch.nn.Module,
        collective: Collective,
        *,
        parts: int,
        precision: Precision,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.network = network
        self._task = task
        self._collective = collective
        self._parts = parts
        self._precision: Precision = precision
        self._device = device
        self.weights: dict[str, float] = {}
        """Of the terms of the latest call, in their order."""

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and this process's (terms, 2) contributions to the terms' values.

        The columns are the term (0 where the count of all processes is 0), and whether it
        was measured; both add up over processes and parts, see `values`.
        """
        with autocast(self._precision, self._device):
            terms = self._task.losses(self.network, batch, self._collective)
        self.weights = {name: term.weight for name, term in terms.items()}
        exact = torch.float32 if self._device.type == "mps" else torch.float64
        loss = torch.zeros((), dtype=exact, device=self._device)
        if not terms:
            return loss, torch.zeros((0, 2), dtype=exact, device=self._device)
        counts = self._collective.sum(
            torch.stack(
                [torch.as_tensor(t.count, dtype=exact, device=self._device) for t in terms.values()]
            )
        )
        share = torch.where(counts > 0, 1 / counts.clamp(min=1e-30), torch.zeros_like(counts))
        for number, term in enumerate(terms.values()):
            if term.weight:
                # DDP divides by the number of processes: it is taken out here.
                scale = term.weight * self._collective.world_size / self._parts
                loss = loss + term.total.to(exact) * share[number] * scale
        totals = torch.stack([term.total.detach().to(exact) for term in terms.values()])
        measured = (counts > 0).to(exact) / self._collective.world_size
        return loss, torch.stack([totals * share, measured], dim=1)


def values(weights: dict[str, float], contributions: list[list[float]]) -> dict[str, float]:
    """The terms' values from the sum of all contributions; what nobody measured is left out."""
    return {
        name: total / measured
        for name, (total, measured) in zip(weights, contributions, strict=True)
        if measured
    }


def weighted(weights: dict[str, float], terms: dict[str, float]) -> float:
    """The total loss of measured terms."""
    return sum(weights[name] * value for name, value in terms.items() if weights[name])
