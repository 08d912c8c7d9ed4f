"""One process and several come to the same weights (bar D2)."""

import pytest
import torch

from tests.training.toy import ToySettings, toy_settings
from tests.training.worlds import assert_worlds_agree


def test_two_processes_agree_with_one_and_hand_over_to_one(tmp_path):
    settings = toy_settings(optimisation={"batch": 8, "ema": 0.9, "accumulation": 2})
    assert_worlds_agree(settings, tmp_path)


def test_worlds_agree_with_shuffled_targets_too(tmp_path):
    settings = toy_settings(shuffled=True)
    assert_worlds_agree(settings, tmp_path, steps=20, precisions=("float64",))


@pytest.mark.slow
def test_four_processes_agree_with_one(tmp_path):
    assert_worlds_agree(toy_settings(), tmp_path, processes=4)


@pytest.mark.parametrize("mistake", ["mean of means", "negatives of one process"])
def test_the_test_sees_the_usual_mistakes(tmp_path, monkeypatch, mistake):
    from tests.training import worlds

    # What torchrun starts is right; what runs in this process makes the mistake.
    monkeypatch.setattr(worlds, "train", with_mistake(mistake, worlds.train))
    with pytest.raises(AssertionError, match="float64"):
        assert_worlds_agree(toy_settings(), tmp_path, steps=4, precisions=("float64",))


def with_mistake(mistake, train):
    """Training as if each half of a batch were a process of its own, wrongly joined."""
    from tests.training.toy import Toy

    right = Toy.losses

    def wrong(self, network, batch, collective):
        halves = []
        terms = right(self, network, batch, collective)
        image, embedding, metric = network(batch["image"])
        for half in (slice(0, 4), slice(4, 8)):
            part = {name: array[half] for name, array in batch.items()}
            outputs = (image[half], embedding[half], metric[half])
            halves.append(right(self, lambda _, outputs=outputs: outputs, part, collective))
        if mistake == "mean of means":
            means = [half["restored"].total / half["restored"].count for half in halves]
            terms["restored"] = type(terms["restored"])(sum(means), 2)
        else:
            totals = [half["contrast"].total for half in halves]
            terms["contrast"] = type(terms["contrast"])(sum(totals), 8, 0.1)
        return terms

    def training(leg, collective):
        Toy.losses = wrong
        try:
            train(leg, collective)
        finally:
            Toy.losses = right

    return training


def test_dropout_is_switchable_in_the_toy():
    settings = ToySettings(dropout=0.5)
    from tests.training.toy import Toy

    assert any(
        isinstance(layer, torch.nn.Dropout3d) and layer.p == 0.5
        for layer in Toy(settings).network().modules()
    )
