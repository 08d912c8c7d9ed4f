"""Letters of directions in the patient: L R, P A, I S."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""Of each world axis, against it and along it."""


def letters(direction: ArrayLike, least: float = 0.2) -> str:
    """Where a direction in world mm points: ``"R"``, or ``"RA"`` for an oblique one.

    The strongest component comes first; components of a unit vector below ``least``
    (11.5 degrees) are left out.
    """
    vector = np.asarray(direction, np.float64)
    vector = vector / np.linalg.norm(vector)
    order = np.argsort(-np.abs(vector), kind="stable")
    return "".join(LETTERS[k][int(vector[k] > 0)] for k in order if abs(vector[k]) >= least)
