"""Contrastive pretraining on one process and on two comes to the same weights (bar D2).

A few steps of it are taken in any case, by `tests.training.test_worlds`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pretext.synthesis.small import small_synthesis
from tests.training.worlds import SLOWLY, World, assert_worlds_agree


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("task", [{}, {"rarity": "sqrt", "balanced": True, "on_device": True}])
def test_two_processes_agree_with_one_after_200_steps(
    tmp_path: Path, task: dict[str, object]
) -> None:
    # In single precision weights agree to 6e-5, and running statistics to 0.2 % only.
    world = World(small_synthesis(**task), precisions=("float64",), learning_rate=SLOWLY)
    assert_worlds_agree(world, folder=tmp_path, limit=1500)
