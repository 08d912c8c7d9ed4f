"""Small runs of the observable tasks with random weights, for tests of panels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_mrissl.networks import weights
from napari_mrissl.pretext.observable.settings import ObservableSettings
from napari_mrissl.pretext.observable.task import Observable

EDGE_MM = 16.0
_PREPROCESSING = {"kind": "percentile", "low": 0.5, "high": 99.5}


def observable_run(folder: Path, **task: Any) -> Path:
    """A folder with weights whose answers are some mm long; ``task`` are settings of the method."""
    settings = ObservableSettings.model_validate(
        {
            "backbone": {"width": 8, "depth": 3},
            "view": {"side": 16, "edge_mm": EDGE_MM, "body": 0.0},
            "width": 4,
            **task,
        }
    )
    torch.manual_seed(0)
    network = Observable(settings).network()
    with torch.no_grad():
        network.gap_head.axis.weight *= 8
    folder.mkdir(parents=True)
    card = {
        "method": "observable",
        "step": 7,
        "task": settings.model_dump(mode="json"),
        "preprocessing": _PREPROCESSING,
    }
    weights.save(folder / "weights.safetensors", network.state_dict(), card)
    return folder
