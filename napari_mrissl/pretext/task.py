"""The shape of a pretext task: samples, a network, named loss terms, their chance values, views."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.synthesis.draws import generator

if TYPE_CHECKING:
    import torch

    from napari_mrissl.pretext.subjects import Subjects


@dataclass(frozen=True)
class SampleKey:
    """Which sample of a run: all of its randomness follows from these three numbers.

    Attributes
    ----------
    seed
        Of the run.
    step
        Of the optimiser, from 0.
    number
        Within the step's global batch, from 0, whichever process makes it.
    """

    seed: int
    step: int
    number: int

    def generator(self, stage: str) -> np.random.Generator:
        """The generator of one stage of this sample's making."""
        return generator(self.seed, self.step, f"{self.number}/{stage}")


@dataclass(frozen=True, eq=False)
class Sample:
    """One training example.

    Attributes
    ----------
    arrays
        By name; the same shapes and types for every sample of a run, so that they stack.
    subject
        Key of the subject it was drawn from; what a failed step is reported with.
    record
        How it was drawn, as plain data.
    """

    arrays: Mapping[str, NDArray[Any]]
    subject: str
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LossTerm:
    """One named term: a sum over this process's part of the batch, and what to divide it by.

    The loop divides the sum over all processes by the count over all processes, so a run
    means the same on one process and on many.

    Attributes
    ----------
    total
        0-d tensor, with a gradient unless ``weight`` is 0.
    count
        What this process adds to the denominator, e.g. its valid voxels.
    weight
        In the total loss; 0 for a metric that is only shown.
    """

    total: torch.Tensor
    count: torch.Tensor | float
    weight: float = 1.0


class Collective(Protocol):
    """The other processes of a run; a single process is a world of one."""

    @property
    def rank(self) -> int:
        """This process's number."""

    @property
    def world_size(self) -> int:
        """How many processes there are."""

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Stack a tensor of all processes along its first axis, by rank, with gradients."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add a tensor up over all processes, without gradients."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture of what the network does, for the events of a run.

    Attributes
    ----------
    name
        E.g. ``"restored"``; the same name replaces the picture before.
    tiles
        (N, H, W) grey values in [0, 1]; NaN shows as background.
    captions
        One for each tile.
    scan
        Identity of the only scan that is shown; empty where there are several.
    """

    name: str
    tiles: NDArray[np.float32]
    captions: tuple[str, ...]
    scan: str = ""


S = TypeVar("S", bound=TaskSettings)


class Task(ABC, Generic[S]):
    """A pretext task; what can be said of it without torch is in ``info``.

    Attributes
    ----------
    targets
        Arrays of a `Sample` that the network is to predict and never sees, or what else must
        fit to learn anything. A run whose settings say ``shuffled`` takes them from another
        sample of the batch; a task that names none has no such null control.
    begun
        How names of parameters begin that a run takes over from the weights it begins from.
    rates
        Learning rates as shares of the run's, by how names of parameters begin; 1 for others.
    """

    info: ClassVar[TaskInfo]
    targets: tuple[str, ...] = ()
    begun: tuple[str, ...] = ("backbone.",)
    rates: Mapping[str, float] = MappingProxyType({})

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @abstractmethod
    def network(self) -> torch.nn.Module:
        """A new network with its heads; weights are drawn from torch's generator.

        Parameters of the backbone, which finetuning takes over, have names that begin with
        ``backbone.``
        """

    @abstractmethod
    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """Make one sample on the CPU; the same for the same key. May be called by threads."""

    def prepare(
        self, batch: dict[str, torch.Tensor], keys: Sequence[SampleKey]
    ) -> dict[str, torch.Tensor]:
        """Finish a stacked batch on its device, where that is faster than in `sample`."""
        return batch

    @abstractmethod
    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """The named terms of a batch; ``network`` is called exactly once, as ``network(...)``."""

    def measures(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """The terms as a comparison of finished runs counts them, without gradients.

        `losses`, unless these depend on what else a run is trained for.
        """
        return self.losses(network, batch, collective)

    @abstractmethod
    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """What terms are worth, by name, for a predictor that learned nothing.

        Measured on samples where no closed form is known; terms without such a value are
        left out.
        """

    def chance_with(
        self, network: torch.nn.Module, subjects: Subjects, seed: int
    ) -> dict[str, float]:
        """As `chance`, for terms that are measured by a part of the network that is frozen."""
        return self.chance(subjects, seed)

    def told(self, network: torch.nn.Module, subjects: Subjects, seed: int) -> dict[str, Any]:
        """What the card of the weights is to keep of the trained network, JSON-able.

        Measured on subjects of the training, the same for the same seed; the network is in
        evaluation mode.
        """
        return {}

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """Pictures of a few samples of a batch; the network is in evaluation mode."""
        return []

    def preview(
        self, network: torch.nn.Module, train: Subjects, validation: Subjects | None
    ) -> list[Shown]:
        """Pictures of whole subjects, where a task has any; as `show` otherwise."""
        return []

    def look_at(self, look: Mapping[str, Any]) -> None:
        """Somebody who watches asks for another place in the next `preview`.

        Parameters
        ----------
        look
            Plain data from a file that anybody may have written: what is not usable is ignored.
        """
