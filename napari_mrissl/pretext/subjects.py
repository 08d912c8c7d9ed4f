"""The subjects of a run: scans that are decoded when needed, in a cache of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.volumes import Volume


@dataclass(frozen=True, eq=False)
class Scan:
    """One decoded subject.

    Attributes
    ----------
    volume
        In its stored type; never converted as a whole.
    low, high
        Values (not stored numbers) that become 0 and 1 by the run's preprocessing.
    subject
        Key by which data are split: scans of one person have the same.
    identity
        Of the volume.
    labels
        (S, A, R) label numbers on the volume's grid, where there are any.
    """

    volume: Volume
    low: float
    high: float
    subject: str
    identity: str
    labels: NDArray[np.integer] | None = None


class Subjects(Protocol):
    """A fixed, ordered set of scans; safe to use from several threads."""

    def __len__(self) -> int:
        """How many scans there are."""

    def scan(self, number: int) -> Scan:
        """The scan of this number, decoded now or taken from the cache."""
