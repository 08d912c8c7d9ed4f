"""The cost curve of a refinement."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """What the field costs before a step of the refinement, and after the last.

    Attributes
    ----------
    step
        From 0.
    data
        Mean squared difference of the features, times 12.
    smoothness
        Weighted differences of neighbouring nodes.
    """

    step: int
    data: float
    smoothness: float

    @property
    def total(self) -> float:
        """What Adam lowers."""
        return self.data + self.smoothness
