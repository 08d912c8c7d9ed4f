"""Weights that a run starts from: the same file, trained on values scaled alike."""

from pathlib import Path

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weight_library, weights
from napari_mrissl.training import initial
from napari_mrissl.training.data.preprocessing import CT_WINDOW
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import DataSettings, Preprocessing, RunSettings
from tests.networks.foreign_weights import SMALL, state


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


def plain_file(folder: Path, method: str = "imported") -> Path:
    """A plain U-Net alone, as it is exported, imported and shipped: half precision, own scale."""
    halves = {n: t.half() if t.ndim == 5 else t for n, t in state().items()}
    card = {"method": method, "preprocessing": {"kind": "percentile", "low": 0.0, "high": 99.99}}
    path = folder / "contrastive.safetensors"
    weights.save(path, halves, card)
    return path


def settings_of(method: str, digest: str | None = None, **backbone: object) -> RunSettings:
    """Of a run on the network in that file, or another one."""
    size = {"name": "unet", "width": SMALL.width, "depth": SMALL.depth + 1} | backbone
    return RunSettings(method=method, task={"backbone": size}, initial=digest)


def test_a_plain_unet_gets_the_names_of_a_run_whose_method_paints(tmp_path: Path) -> None:
    path, digest = initial.weights_file(plain_file(tmp_path))
    settings = settings_of("synthesis", digest)
    (said,) = initial.remarks(path, settings)
    assert "another scale" in said
    run = Run.create(tmp_path / "run", settings)
    initial.keep(run, path)
    found = initial.of(run)
    assert found.keys() == {f"backbone.{name}" for name in state()}
    for name, tensor in state().items():
        if name.endswith("num_batches_tracked"):
            assert found[f"backbone.{name}"] == 0
        else:
            given = tensor.half() if tensor.ndim == 5 else tensor
            assert torch.equal(found[f"backbone.{name}"], given)


def test_weights_that_were_trained_on_painted_images_begin_any_method(tmp_path: Path) -> None:
    assert initial.remarks(plain_file(tmp_path, "synthesis"), settings_of("masked"))
    with pytest.raises(MrisslError, match=r"initial weights.*preprocessing"):
        initial.remarks(plain_file(tmp_path), settings_of("masked"))


@pytest.mark.parametrize("other", [{"width": 16}, {"depth": 5}, {"name": "residual_unet"}])
def test_a_plain_unet_of_another_size_is_refused_with_its_settings(
    tmp_path: Path, other: dict[str, object]
) -> None:
    told = r"--set backbone.name=unet backbone.width=8 backbone.depth=3"
    with pytest.raises(MrisslError, match=told):
        initial.remarks(plain_file(tmp_path), settings_of("synthesis", **other))


def test_weights_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain_file(tmp_path)
    monkeypatch.setattr(weight_library, "asset", lambda name: tmp_path)
    assert initial.weights_file("default") == initial.weights_file(path)
    assert initial.weights_file("contrastive") == initial.weights_file(path)
    path.unlink()
    with pytest.raises(MrisslError, match="no weights ship"):
        initial.weights_file("default")
