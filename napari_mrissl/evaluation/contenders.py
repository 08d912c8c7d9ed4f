"""What a few-shot comparison compares: each learns from labelled scans, and segments others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation import linear_head, nonlinear_head
from napari_mrissl.evaluation.frozen import FrozenSettings, Source, predicted, training_voxels
from napari_mrissl.evaluation.labelled_scans import LabelledScan
from napari_mrissl.metrics import dice
from napari_mrissl.volumes import Volume

LINEAR, NONLINEAR, FULL = "linear", "nonlinear", "full"
REGISTERED = "registered"
"""Nothing is trained: labels are moved."""

Segment = Callable[[Volume], NDArray[np.integer]]
"""A scan to its labels (S, A, R)."""


@dataclass(frozen=True)
class Lesson:
    """What one cell learns from.

    Attributes
    ----------
    training
        The labelled scans.
    spare
        A subject neither among them nor among the test scans, for decisions such as when to
        stop; None where there is none left.
    shots, draw
        Which cell it is.
    labels
        Those that are measured.
    """

    training: tuple[LabelledScan, ...]
    spare: LabelledScan | None
    shots: int
    draw: int
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Learned:
    """What came of a lesson.

    Attributes
    ----------
    segment
        A scan to its labels.
    how
        Steps, learning rate and the like, JSON-ready; no file, no person.
    """

    segment: Segment
    how: Mapping[str, Any] = field(default_factory=dict)


class Contender(Protocol):
    """Something that learns to segment.

    Attributes
    ----------
    name
        What the table calls it.
    mode
        What is trained: ``"linear"``, ``"nonlinear"`` or ``"full"``; or ``"registered"``.
    seed
        Of a random network.
    identity
        All its settings, with the SHA-256 of weights where there are some.
    known
        Identities of the scans it was pretrained on, where that is known.
    silent
        Whether its weights do not say what they were trained on.
    needs_spare
        Whether it decides something on a spare subject.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def mode(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def identity(self) -> str: ...  # noqa: D102
    @property
    def known(self) -> frozenset[str]: ...  # noqa: D102
    @property
    def silent(self) -> bool: ...  # noqa: D102
    @property
    def needs_spare(self) -> bool: ...  # noqa: D102

    def learn(self, lesson: Lesson) -> Learned:
        """Learn from labelled scans."""
        ...

    def clear(self, lesson: Lesson) -> None:
        """Remove what only helps an interrupted comparison to go on."""
        ...


@dataclass(frozen=True, eq=False)
class Frozen:
    """A head on features that stay as they are.

    Attributes
    ----------
    source
        Of the features.
    mode
        ``"linear"`` or ``"nonlinear"``.
    settings
        Voxels of each scan, decision and seed; the rest is not looked at.
    """

    source: Source
    mode: str
    settings: FrozenSettings
    needs_spare: bool = False

    @property
    def name(self) -> str:
        """That of the features."""
        return self.source.name

    @property
    def seed(self) -> int:
        """Of a random network."""
        return self.source.seed

    @property
    def known(self) -> frozenset[str]:
        """Identities of the scans that the features were trained on."""
        return self.source.known

    @property
    def silent(self) -> bool:
        """Whether the weights do not say that."""
        return self.source.silent

    @property
    def identity(self) -> str:
        """Of the features, and how voxels are drawn and decided."""
        chosen = self.settings
        return f"{self.source.identity} {chosen.voxels} {chosen.decision} {chosen.seed}"

    def learn(self, lesson: Lesson) -> Learned:
        """Fit the head."""
        rows, labels = training_voxels(lesson.training, self.source.settings, self.settings)
        head: linear_head.LinearHead | nonlinear_head.NonlinearHead
        if self.mode == NONLINEAR:
            head = nonlinear_head.fit(rows, labels, self.settings.decision, self.settings.seed)
        else:
            head = linear_head.fit(rows, labels, self.settings.decision)

        def segment(volume: Volume) -> NDArray[np.integer]:
            return predicted(head, volume, self.source.settings)

        return Learned(segment, {"voxels": sum(map(len, labels))})

    def clear(self, lesson: Lesson) -> None:
        """Leave the features in their cache: other heads need them."""


def mean_dice(scan: LabelledScan, segment: Segment, labels: tuple[int, ...]) -> float:
    """The mean Dice over labels on one scan."""
    volume, truth = scan.read()
    return float(np.mean(list(dice(segment(volume), truth, labels).values())))
