"""The restoring control: what it is given, what it is asked, what knowing nothing is worth."""

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.reconstruction import Reconstruction
from napari_mrissl.pretext.reconstruction_settings import ReconstructionSettings
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.data import cohort
from napari_mrissl.training.loop import fit
from napari_mrissl.training.measuring import held_out_worth
from napari_mrissl.training.run import Run
from tests.pretext.painted import Blobs
from tests.pretext.restoring import batch_of, terms_of, train

SMALL = {"backbone": {"width": 8, "depth": 3}, "crop": {"side": 16, "edge_mm": 60}}


def task(**changes):
    return Reconstruction(ReconstructionSettings.model_validate({**SMALL, **changes}))


def test_a_sample_is_the_same_for_the_same_key_and_spoiled():
    first, again, other = (task().sample(Blobs(), SampleKey(7, 3, number)) for number in (0, 0, 1))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
        assert array.shape == (1, 16, 16, 16)
    assert first.record == again.record
    assert not np.array_equal(first.arrays["clean"], other.arrays["clean"])
    assert first.subject.startswith("subject-")


def test_terms_are_the_mean_error_of_the_sigmoid_everywhere_and_where_painted():
    for loss, power in (("l1", 1), ("mse", 2)):
        tried = task(loss=loss)
        batch = batch_of(tried, Blobs(), 0, 6)
        raw = torch.randn(batch["image"].shape, requires_grad=True)
        found = terms_of(tried, lambda image: raw, batch)  # noqa: B023
        errors = np.abs(1 / (1 + np.exp(-raw.detach().double().numpy())) - batch["clean"].numpy())
        errors = errors**power
        assert found["restored"] == pytest.approx(errors.mean(), rel=1e-5)
        assert found["painted"] == pytest.approx(errors[batch["painted"].numpy()].mean(), rel=1e-5)


def test_chance_is_what_the_better_ignorant_answer_gets():
    settings = {"corruption": {"shuffle": 0, "intensity": 0, "paint": 1, "inside": 1, "boxes": 1}}
    # One small box: copying the input is far better than any constant.
    tried = task(**settings)
    chance = tried.chance(Blobs(), 0)
    batch = batch_of(tried, Blobs(), 0, 64)
    copied = (batch["image"] - batch["clean"]).abs().mean().item()
    assert chance["restored"] == pytest.approx(copied, rel=0.5)
    assert chance["painted"] > 5 * chance["restored"]
    # Everything but few voxels is noise: a constant is better than copying.
    settings["corruption"] |= {"inside": 0, "outside_edge": (0.1, 0.1)}
    tried = task(**settings)
    clean = batch_of(tried, Blobs(), 0, 64)["clean"]
    constant = min(float((clean - grey).abs().mean()) for grey in np.linspace(0, 1, 101))
    assert tried.chance(Blobs(), 0)["restored"] == pytest.approx(constant, rel=0.3)


def test_a_network_learns_to_restore():
    # Every crop is turned to its negative: no constant and no copy is of use.
    tried = task(corruption={"shuffle": 0, "intensity": 1, "inverted": 1, "paint": 0})
    subjects = Blobs()
    network = train(tried, subjects, steps=60, rate=1e-2)
    with torch.no_grad():
        found = terms_of(tried, network, batch_of(tried, subjects, 1000, 16))
    assert found["restored"] < 0.8 * tried.chance(subjects, 0)["restored"]


def test_how_bright_a_crop_is_reaches_the_answer_of_the_smallest_preset():
    """Without it no restored grey value can be right; at width 8 it hardly does."""
    changes = {}
    for width in (8, tiny().task["backbone"]["width"]):
        tried = task(backbone={**tiny().task["backbone"], "width": width})
        torch.manual_seed(0)
        network = tried.network().eval()
        image = torch.rand(1, 1, 48, 48, 48)
        with torch.no_grad():
            first, brighter = (
                network(one)[..., 20:28, 20:28, 20:28] for one in (image, 0.5 * image + 0.2)
            )
        changes[width] = float((first - brighter).abs().mean() / first.std())
    assert changes[8] < 0.12
    assert changes[16] > 2 * changes[8]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_smallest_preset_restores_heads_it_has_not_seen_better_than_chance(tmp_path):
    run = Run.create(tmp_path / "run", tiny())
    subjects = {split: cohort.subjects(run.settings, split) for split in ("train", "validation")}
    assert fit(run, TASKS, subjects["train"], None).name == "finished"
    worth = held_out_worth(run, TASKS, subjects["validation"], 256)
    print(worth)
    # Chance is the better of the best constant and the spoiled crop itself.
    assert worth["restored"].below_chance > 0.05


def tiny():
    return settings_for("reconstruction", preset="tiny", overrides={"device": "cpu"})


def test_pictures_are_the_input_the_answer_and_the_truth():
    tried = task()
    batch = batch_of(tried, Blobs(), 0, 3)
    (shown,) = tried.show(tried.network().eval(), batch)
    assert shown.tiles.shape == (9, 16, 16)
    assert shown.captions == ("input",) * 3 + ("restored",) * 3 + ("clean",) * 3
    np.testing.assert_array_equal(shown.tiles[-1], batch["clean"][-1, 0, 8])


def test_the_control_has_the_budget_of_what_it_is_compared_with():
    control = settings_for("reconstruction", preset="gpu")
    stage = settings_for("vectorpose", preset="published_1")
    assert control.optimisation == stage.optimisation
    assert control.data == stage.data
    for name in ("backbone", "crop", "corruption"):
        assert control.task[name] == stage.task[name]


def test_crops_that_the_network_cannot_halve_are_refused():
    with pytest.raises(ValueError, match=r"crops of 48 voxels a side.*multiple of 32"):
        ReconstructionSettings(backbone={"depth": 6}, crop={"side": 48})


def test_crops_too_small_for_batch_statistics_are_refused():
    with pytest.raises(ValueError, match=r"crops of 32 voxels a side are too small.*needs 64"):
        ReconstructionSettings(backbone={"name": "res2unet_101"}, crop={"side": 32})
