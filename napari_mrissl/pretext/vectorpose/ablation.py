"""The arms of VectorPOSE's ablation: what each of its two tasks is worth, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARMS: Mapping[str, Mapping[str, Any]] = {
    "vectors": {"vectors": True, "restoration": "none"},
    "boundary": {"vectors": False, "restoration": "predict_boundary"},
    "both": {"vectors": True, "restoration": "predict_boundary"},
    "reconstruction": {"vectors": False, "restoration": "plain"},
}
"""Changes to the task's settings; everything else is the same for all arms.

Vector prediction alone, boundary-focused reconstruction alone, both as published
(arXiv:2211.08533), and restoration without boundaries. Errors of vectors are measured on clean
crops for every arm (`VectorPose.measures`), those of restoration on spoiled ones.
"""
