"""How many threads a run takes: one core stays free for the viewer."""

import pytest
import torch

from napari_mrissl.training import cores
from napari_mrissl.training.trainer import Trainer
from tests.training.runs_of_toys import trained
from tests.training.toy import toy_settings


@pytest.mark.parametrize(
    ("wanted", "usual", "environment", "expected"),
    [
        (0, 1, {}, 1),
        (0, 2, {}, 2),
        (0, 3, {}, 2),
        (0, 16, {}, 15),
        (5, 16, {}, 5),
        (40, 16, {}, 40),
        # The user has said so already.
        (0, 16, {"OMP_NUM_THREADS": "16"}, 16),
        (5, 16, {"OMP_NUM_THREADS": "16"}, 5),
        # torchrun sets the variable itself.
        (0, 1, {"LOCAL_WORLD_SIZE": "3", "OMP_NUM_THREADS": "1"}, 5),
        (6, 1, {"LOCAL_WORLD_SIZE": "2"}, 3),
        (0, 1, {"LOCAL_WORLD_SIZE": "32"}, 1),
        (0, 16, {"LOCAL_WORLD_SIZE": "1"}, 15),
    ],
)
def test_one_core_of_many_is_left_and_processes_share(
    monkeypatch, wanted, usual, environment, expected
):
    monkeypatch.setattr(cores, "_cores", lambda: 16)
    assert cores.threads_for(wanted, usual, environment) == expected


def test_a_run_computes_with_the_threads_of_its_settings(tmp_path, monkeypatch):
    before = torch.get_num_threads()
    seen = set()
    step = Trainer.step

    def watched(self, *words):
        seen.add(torch.get_num_threads())
        return step(self, *words)

    monkeypatch.setattr(Trainer, "step", watched)
    settings = toy_settings(optimisation={"steps": 2, "threads": 3, "warmup": 0})
    _, state = trained(tmp_path / "run", settings)
    assert state.name == "finished"
    assert seen == {3}
    assert torch.get_num_threads() == before
