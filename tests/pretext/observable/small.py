"""Settings of an observable run that is small enough to be compared between processes."""

from __future__ import annotations

from napari_mrissl.training.settings import RunSettings


def small_observable(**task: object) -> RunSettings:
    """Settings with others of the method's own."""
    return RunSettings.model_validate(
        {
            "method": "observable",
            "task": {
                "backbone": {"width": 8, "depth": 3},
                "view": {"side": 16, "edge_mm": 10.0, "body": 0.1},
                "scale_mm": 10.0,
                "width": 8,
                "vector_head": "edge",
                **task,
            },
            "data": {"workers": 0},
            "optimisation": {"batch": 4, "learning_rate": 1e-3, "warmup": 4},
            "device": "cpu",
        }
    )
