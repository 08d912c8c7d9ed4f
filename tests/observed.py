"""Small runs of the observable tasks with random weights, for tests of panels."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_mrissl.networks import weights
from napari_mrissl.pretext.observable.settings import ObservableSettings
from napari_mrissl.pretext.observable.task import Observable

Floats = NDArray[np.float64]

EDGE_MM = 16.0
AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
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


def turned(degrees: float) -> Floats:
    """The scan's axes R, A, S in the world, as columns."""
    return Rotation.from_rotvec(np.radians(degrees) * AXIS).as_matrix()


def drawn(panel: Any, name: str) -> Floats:
    """Start and way of each line of a layer, as RAS mm; the layer must be in the viewer."""
    layer = panel.layers.layers[name]
    assert layer in panel.viewer.layers
    # napari's world is (S, A, R) mm; the layer adds nothing of its own.
    np.testing.assert_allclose(layer.data_to_world((1.0, 2.0, 3.0)), (1, 2, 3))
    return layer.data[..., ::-1]


def corners_of(vectors: Floats) -> Floats:
    """Ends of all lines, each once."""
    ends = np.concatenate([vectors[:, 0], vectors.sum(axis=1)])
    return np.unique(ends.round(3), axis=0)


def corners_by_hand(center: Floats, edges: Floats, turn: Floats) -> Floats:
    """Corners of a turned box, in the order of `corners_of`."""
    signs = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    return np.unique((center + signs * edges @ turn.T).round(3), axis=0)


def assert_same_points(found: Floats, wanted: Floats) -> None:
    """Fail unless both are the same points in any order."""
    assert len(found) == len(wanted)
    apart = np.linalg.norm(found[:, None] - wanted, axis=-1)
    assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 5e-3
