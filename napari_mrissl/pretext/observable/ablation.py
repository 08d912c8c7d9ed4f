"""What the observable tasks are compared with: arms of an ablation, draws; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARMS: Mapping[str, Mapping[str, Any]] = {
    "coarse": {"chunks": False, "vectors": False, "routes": False},
    "chunks": {"chunks": True, "vectors": False, "routes": False},
    "vectors": {"chunks": True, "vectors": True, "routes": False, "vector_head": "potential"},
    "routes": {"chunks": True, "vectors": True, "routes": True, "vector_head": "potential"},
    "vectors_edge": {"chunks": True, "vectors": True, "routes": False, "vector_head": "edge"},
    "routes_edge": {"chunks": True, "vectors": True, "routes": True, "vector_head": "edge"},
}
"""Changes to the task's settings; everything else is the same.

Gaps alone; with chunks; with vectors; with routes, as published (arXiv:2509.05967), where they
only weigh the vectors anew: each with all of the one before. Then the edge head, first with
vectors and next with routes, loops and the way back too, which constrain it. What routes add is
the difference of the two arms of one head, what the head adds that of the arms without routes.
"""

UNTRAINED_DRAWS = 5
"""Draws of weights that an untrained control is taken of, mean and best.

One draw says little: of seven of one network the accuracies of chunks were 15 to 45 %.
"""
