"""The observable tasks on one process and on two, and after a break (bars D1 and D2).

A few steps on two processes are taken in any case, by `tests.training.test_worlds`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_mrissl.training.collective import Alone
from tests.pretext.observable.small import small_observable
from tests.training.worlds import SLOWLY, Leg, World, assert_worlds_agree, difference, train


@pytest.mark.untraced
def test_the_copy_that_follows_goes_on_bit_for_bit(tmp_path: Path) -> None:
    text = small_observable().model_dump_json()
    whole, half, rest = (tmp_path / f"{name}.safetensors" for name in ("whole", "half", "rest"))
    train(Leg(text, 20, 0, 4, str(whole)), Alone())
    train(Leg(text, 20, 0, 2, str(half)), Alone())
    train(Leg(text, 20, 2, 4, str(rest), str(half)), Alone())
    assert difference(rest, whole) == 0
    assert difference(half, whole) > 1e-5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "task", [{"grad_views": "all", "pool": True}, {"vector_head": "potential", "views": 4}]
)
def test_two_processes_agree_with_one_after_200_steps(
    tmp_path: Path, task: dict[str, object]
) -> None:
    world = World(small_observable(**task), precisions=("float64",), learning_rate=SLOWLY)
    assert_worlds_agree(world, folder=tmp_path, limit=1500)
