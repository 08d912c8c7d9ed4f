"""Coordinates and diffusion on one process and on two come to the same weights (bar D2).

A few steps of both are taken in any case, by `tests.training.test_worlds`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_mrissl.training.settings import RunSettings
from tests.pretext.coordinates.small import small_coordinates
from tests.pretext.diffusion.small import small_diffusion
from tests.training.worlds import SLOWLY, World, assert_worlds_agree


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "settings",
    [
        small_coordinates(),
        small_coordinates(objective="order"),
        small_diffusion(),
        small_diffusion(coordinates="shuffled", prediction="v", schedule="cosine"),
        small_diffusion(coordinates="none"),
    ],
)
def test_two_processes_agree_with_one_after_200_steps(
    tmp_path: Path, settings: RunSettings
) -> None:
    world = World(settings, precisions=("float64",), learning_rate=SLOWLY)
    assert_worlds_agree(world, folder=tmp_path, limit=1500)
