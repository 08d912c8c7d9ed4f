"""VectorPOSE on one process and on two comes to the same weights (bar D2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_mrissl.training.settings import RunSettings
from tests.training.worlds import assert_worlds_agree


def _settings(**task: object) -> RunSettings:
    return RunSettings.model_validate(
        {
            "method": "vectorpose",
            "task": {
                "backbone": {"width": 8, "depth": 3},
                "crop": {"side": 16, "edge_mm": 10.0},
                "dropout": 0.0,
                **task,
            },
            "data": {"workers": 0},
            "optimisation": {"batch": 4, "learning_rate": 1e-3, "warmup": 4},
            "device": "cpu",
        }
    )


def test_two_processes_agree_with_one_although_painted_voxels_differ(tmp_path: Path) -> None:
    settings = _settings(boundary_in_paint=True, cosine=0.5)
    assert_worlds_agree(settings, tmp_path, steps=6, precisions=("float64",))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "task",
    [
        {"boundary_in_paint": True},
        {"restoration": "weighted", "head": "spatial"},
        {"restoration": "none"},
    ],
)
def test_two_processes_agree_with_one_after_200_steps(
    tmp_path: Path, task: dict[str, object]
) -> None:
    assert_worlds_agree(_settings(**task), tmp_path, limit=1500)
