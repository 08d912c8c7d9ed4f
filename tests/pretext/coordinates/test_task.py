"""The task: samples by their key alone, chance by answers that know no anatomy, the card."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.pretext.coordinates.body_axes import BodyAxes
from napari_mrissl.pretext.coordinates.settings import CoordinateSettings
from napari_mrissl.pretext.coordinates.task import Coordinates
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.batches import made, stacked
from napari_mrissl.training.collective import Alone
from tests.pretext.coordinates.small import SMALL
from tests.pretext.painted import Blobs

OBJECTIVES = ("distance", "order")


def _task(**changes):
    return Coordinates(CoordinateSettings.model_validate({**SMALL, **changes}))


def _batch(task, count=16, *, shuffled=False):
    keys = [SampleKey(3, 5, number) for number in range(count)]
    samples = [made(task, Blobs(), key, count, shuffled=shuffled) for key in keys]
    arrays = stacked(samples, keys).arrays
    return task.prepare({n: torch.from_numpy(a) for n, a in arrays.items()}, keys), samples


class _Knows(torch.nn.Module):
    """Answers with what a test puts in; it is no network of coordinates."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def forward(self, image, places, *, whole=False):
        found = {"points": self.answers.flatten(0, 2)}
        return found | ({"cells": torch.zeros((len(image), 3, 4, 4, 4))} if whole else {})


def _values(task, network, batch):
    terms = task.losses(network, batch, Alone())
    return {name: float(t.total) / float(t.count) for name, t in terms.items()}


def test_a_sample_follows_from_its_key():
    first, again = (_task().sample(Blobs(), SampleKey(0, 4, 2)) for _ in range(2))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
        assert array.dtype == np.float32
    assert first.arrays["image"].shape == (2, 2, 16, 16, 16)
    assert first.arrays["positions"].shape == first.arrays["places"].shape == (2, 2, 9, 3)
    other = _task().sample(Blobs(), SampleKey(0, 4, 3))
    assert not np.array_equal(first.arrays["image"], other.arrays["image"])
    centers = np.array(first.record["centers_mm"])
    half = np.array(first.record["edges_mm"]) / 2
    away = np.abs(100 * first.arrays["positions"] - centers[:, :, None])
    assert (away <= half[:, :, None] + 1e-3).all()


def test_shuffled_samples_are_told_of_the_places_of_others():
    task = _task()
    batch, samples = _batch(task, 4, shuffled=True)
    true, _ = _batch(task, 4)
    assert torch.equal(batch["image"], true["image"])
    assert torch.equal(batch["places"], true["places"])
    for number, sample in enumerate(samples):
        other = sample.record["targets of"]
        assert other != number
        assert torch.equal(batch["positions"][number], true["positions"][other])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_chance_is_met_by_answers_that_know_no_anatomy(objective):
    """Measured by the loss itself, on other draws: nothing, or where in its crop a point is."""
    task = _task(objective=objective)
    chance = task.chance(Blobs(), 0)
    batch, _ = _batch(task, 96)
    positions = batch["positions"].double()
    nothing = _values(task, _Knows(positions * 0), batch)
    truth = _values(task, _Knows(positions), batch)
    assert set(chance) == {objective, "distance_mm"}
    for name, value in chance.items():
        assert truth[name] < 0.01 * value
        assert value < 1.2 * nothing[name]
    assert truth["apart_mm"] < 1e-4


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_terms_of_an_objective_reach_every_weight_that_is_used(objective):
    task = _task(objective=objective)
    network = task.network().train()
    batch, _ = _batch(task, 2)
    terms = task.losses(network, batch, Alone())
    trained = {name for name, term in terms.items() if term.weight}
    assert trained == ({"distance", "same"} if objective == "distance" else {"order", "even"})
    sum(t.total / t.count for t in terms.values() if t.weight).backward()
    lacking = {n.split(".")[1] for n, p in network.named_parameters() if p.grad is None}
    # Of the decoder, only what is above the cells' scale.
    assert lacking <= {"up"}
    assert network.coordinates.scale.grad.abs().min() > 0


def test_the_card_keeps_body_axes_that_fit_the_network():
    task = _task()
    torch.manual_seed(0)
    network = task.network().eval()
    told = task.told(network, Blobs(), 0)
    assert told == task.told(network, Blobs(), 0)
    axes = BodyAxes.from_plain(told["body_axes"])
    assert axes.scans == 3
    singular = np.linalg.svd(axes.matrix, compute_uv=False)
    np.testing.assert_allclose(singular, singular[0], rtol=1e-9)
    torch.nn.init.zeros_(network.coordinates.axes.weight)
    assert task.told(network, Blobs(), 0) == {"body_axes": None}


def test_pictures_show_crops_and_coordinates():
    task = _task()
    batch, _ = _batch(task, 2)
    (shown,) = task.show(task.network().eval(), batch)
    assert shown.tiles.shape == (8, 16, 16)
    np.testing.assert_allclose(shown.tiles[0], batch["image"][0, 0, 0, 8])
    assert shown.captions[1] == "coordinate 1"


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValidationError, match="multiple of 16"):
        _task(backbone={"width": 8, "depth": 5}, crop={"side": 24})
    with pytest.raises(ValidationError, match="spacing"):
        _task(crop={"side": 16, "spacing": (3.0, 1.0)})


def test_defaults_are_as_published():
    crop = CoordinateSettings().crop
    assert (crop.pairs, crop.points, crop.anywhere) == (8, 512, 512)
    assert (crop.masked, crop.hidden) == (0.5, 0.6)
    assert CoordinateSettings().objective == "distance"
