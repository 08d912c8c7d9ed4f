"""What a trained run is worth on held-out subjects, on more samples than validation takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import SampleKey, Task
from napari_mrissl.training.batches import Part, stacked
from napari_mrissl.training.building import task_of
from napari_mrissl.training.collective import Alone
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.training.objective import values
from napari_mrissl.training.optimisation import seed_torch
from napari_mrissl.training.run import Run

# No training step and no validation has these samples.
_NOT_A_STEP = -1_000_000


@dataclass(frozen=True)
class Worth:
    """One term on held-out subjects.

    Attributes
    ----------
    value
        Of the trained network.
    chance
        Of an answer that learned nothing, chosen best for these very subjects; None where
        the method knows none.
    """

    value: float
    chance: float | None

    @property
    def below_chance(self) -> float | None:
        """The share by which the value is below chance, e.g. 0.2; negative above it."""
        return None if not self.chance else 1 - self.value / self.chance


def held_out_worth(
    run: Run,
    registry: Mapping[str, TaskInfo],
    subjects: Subjects,
    samples: int = 512,
    seed: int = 0,
) -> dict[str, Worth]:
    """Measure the newest committed weights of a run, on the CPU.

    Parameters
    ----------
    run, registry
        The run, and the methods there are.
    subjects
        That it was not trained on.
    samples
        Drawn as in training, with true targets also for a run on shuffled ones; a method
        may measure on other inputs than it trains on, see `Task.measures`.
    seed
        Of the samples and of chance: the same for runs that are compared.

    Raises
    ------
    MrisslError
        If the run has no weights yet, or nothing is to be measured.
    """
    if samples < 1 or not len(subjects):
        raise MrisslError("nothing to measure on", where="held-out subjects")
    task = task_of(run.settings, registry)
    state, _ = weights.load(run.folder / WEIGHTS)
    network = task.network()
    network.load_state_dict(state)
    options = run.settings.optimisation
    return worth(task, network, subjects, samples, seed, options.batch // options.accumulation)


def worth(
    task: Task[Any],
    network: torch.nn.Module,
    subjects: Subjects,
    samples: int = 512,
    seed: int = 0,
    at_once: int = 8,
) -> dict[str, Worth]:
    """Measure a network that need not be that of a run, e.g. one that was never trained.

    Parameters
    ----------
    task, network
        What is measured; the network goes into evaluation mode and single precision.
    subjects, samples, seed
        As for `held_out_worth`.
    at_once
        Samples that are worked through together.
    """
    network.float().eval()
    seed_torch(seed, "held-out measurement")
    names: dict[str, float] = {}
    sums: torch.Tensor | None = None
    at_once = max(1, at_once)
    for keys, part in parts(task, subjects, samples, seed, at_once):
        batch = {name: torch.from_numpy(array) for name, array in part.arrays.items()}
        with torch.no_grad():
            terms = task.measures(network, task.prepare(batch, keys), Alone())
        names = {name: term.weight for name, term in terms.items()}
        found = torch.tensor(
            [[float(t.total), float(t.count)] for t in terms.values()], dtype=torch.float64
        )
        sums = found if sums is None else sums + found
    measured = values(names, [] if sums is None else sums.tolist())
    chance = task.chance_with(network, subjects, seed)
    return {name: Worth(value, chance.get(name)) for name, value in measured.items()}


def parts(
    task: Task[Any], subjects: Subjects, samples: int, seed: int, at_once: int
) -> Iterator[tuple[list[SampleKey], Part]]:
    """The samples that are measured, some at a time: the same for all that are compared."""
    for first in range(0, samples, at_once):
        numbers = range(first, min(first + at_once, samples))
        keys = [SampleKey(seed, _NOT_A_STEP, number) for number in numbers]
        yield keys, stacked([task.sample(subjects, key) for key in keys], keys)
