"""Settings of a run of body coordinates that is small enough for quick tests."""

from __future__ import annotations

from napari_mrissl.training.settings import RunSettings

SMALL = {
    "backbone": {"width": 8, "depth": 3},
    "crop": {
        "side": 16,
        "spacing": (1.0, 2.0),
        "pairs": 2,
        "points": 6,
        "anywhere": 3,
        "masked": 0.5,
    },
}


def small_coordinates(**task: object) -> RunSettings:
    """Settings with others of the method's own."""
    return RunSettings.model_validate(
        {
            "method": "coordinates",
            "task": {**SMALL, **task},
            "data": {"workers": 0},
            "optimisation": {"batch": 4, "learning_rate": 1e-3, "warmup": 4},
            "device": "cpu",
        }
    )
