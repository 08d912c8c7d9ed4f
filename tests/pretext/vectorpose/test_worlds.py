"""VectorPOSE on one process and on two comes to the same weights (bar D2).

A few steps of it are taken in any case, by `tests.training.test_worlds`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pretext.vectorpose.small import small_vectorpose
from tests.training.worlds import SLOWLY, World, assert_worlds_agree


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
    assert_worlds_agree(
        World(small_vectorpose(**task), learning_rate=SLOWLY), folder=tmp_path, limit=1500
    )
