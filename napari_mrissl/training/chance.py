"""The chance values of a run, from a few of its scans, and ended where the run is to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import Task

if TYPE_CHECKING:
    import torch

MOST_SCANS = 16
"""Each has to be decoded, and what all of them could add to a mean is small."""


class Unwanted(Exception):
    """The run is to stop."""


class SomeSubjects:
    """At most `MOST_SCANS` of other subjects, evenly chosen.

    Parameters
    ----------
    subjects
        To choose from.
    look
        Called before each scan; what it raises ends what is going on.
    """

    def __init__(self, subjects: Subjects, look: Callable[[], object]) -> None:
        self._subjects = subjects
        self._look = look
        count = min(len(subjects), MOST_SCANS)
        self.chosen = tuple(number * len(subjects) // count for number in range(count))

    def __len__(self) -> int:
        return len(self.chosen)

    def scan(self, number: int) -> Scan:
        """See `Subjects.scan`."""
        self._look()
        return self._subjects.scan(self.chosen[number])


def chance_of(
    task: Task[Any],
    network: torch.nn.Module,
    subjects: Subjects,
    seed: int,
    look: Callable[[], bool],
) -> Mapping[str, float] | None:
    """What each term is worth by chance; None if ``look`` says that the run is to stop.

    Parameters
    ----------
    task, network
        Of the run.
    subjects
        That it is trained on.
    seed
        Of the run.
    look
        Called before each draw; true to stop.
    """

    def stopping() -> None:
        if look():
            raise Unwanted

    try:
        return task.chance_with(network, SomeSubjects(subjects, stopping), seed)
    except Unwanted:
        return None
