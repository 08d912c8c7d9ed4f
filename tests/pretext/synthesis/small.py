"""Settings of a run on synthesis that is small enough to be compared between processes."""

from __future__ import annotations

from napari_mrissl.pretext.synthesis.settings import OFFLINE
from napari_mrissl.training.settings import RunSettings


def small_synthesis(**task: object) -> RunSettings:
    """Settings with others of the method's own."""
    return RunSettings.model_validate(
        {
            "method": "synthesis",
            "task": {
                "backbone": {"width": 8, "depth": 3},
                "crop": {"side": 16},
                "samples": 40,
                "hidden": 16,
                "online": OFFLINE,
                **task,
            },
            "data": {"workers": 0, "kind": "ensembles", "engine": {"side": 16}},
            "optimisation": {"batch": 4, "learning_rate": 1e-3, "warmup": 4},
            "device": "cpu",
        }
    )
