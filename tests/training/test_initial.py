"""Weights that a run starts from: the same file, trained on values scaled alike."""

from pathlib import Path

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training import initial
from napari_mrissl.training.data.preprocessing import CT_WINDOW
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import DataSettings, Preprocessing, RunSettings


def run_from(folder: Path, trained_on: Preprocessing | None) -> Run:
    """A run on percentiles that starts from weights trained on something else."""
    source = folder / "source.safetensors"
    card = {} if trained_on is None else {"preprocessing": trained_on.model_dump(mode="json")}
    weights.save(source, {"backbone.weight": torch.ones(2)}, card)
    path, digest = initial.weights_file(source)
    settings = RunSettings(method="toy", data=DataSettings(kind="heads"), initial=digest)
    run = Run.create(folder / "run", settings)
    initial.keep(run, path)
    return run


def test_weights_of_the_same_scale_are_loaded(tmp_path: Path) -> None:
    state = initial.of(run_from(tmp_path, Preprocessing()))
    assert torch.equal(state["backbone.weight"], torch.ones(2))


@pytest.mark.parametrize("other", [CT_WINDOW, Preprocessing(low=1.0), None])
def test_weights_of_another_scale_are_refused(tmp_path: Path, other: Preprocessing | None) -> None:
    with pytest.raises(MrisslError, match=r"initial weights.*preprocessing"):
        initial.of(run_from(tmp_path, other))


def test_weights_that_were_exchanged_are_refused(tmp_path: Path) -> None:
    run = run_from(tmp_path, Preprocessing())
    weights.save(run.folder / "initial.safetensors", {"backbone.weight": torch.zeros(2)}, {})
    with pytest.raises(MrisslError, match="others than the settings say"):
        initial.of(run)
