"""One process and several come to the same weights (bar D2)."""

import pytest

from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.task import LossTerm
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.collective import Alone
from tests.pretext.coordinates.small import small_coordinates
from tests.pretext.diffusion.small import small_diffusion
from tests.pretext.navigation.small import small_run
from tests.pretext.observable.small import small_observable
from tests.pretext.synthesis.small import small_synthesis
from tests.pretext.vectorpose.small import small_vectorpose
from tests.training.toy import Toy, toy_settings
from tests.training.worlds import BOUNDS, Leg, World, assert_worlds_agree, difference, train

WEIGHED = toy_settings(optimisation={"batch": 8, "ema": 0.9, "accumulation": 2})


PLAIN = {"backbone": {"width": 8, "depth": 3}, "learning_rate": 1e-3, "workers": 0}
CROPS = {**PLAIN, "crop": {"side": 16, "edge_mm": 10}}
METHODS = {
    one.method: one
    for one in (
        small_vectorpose(boundary_in_paint=True, cosine=0.5),
        small_synthesis(rarity="raw"),
        small_run("tokenizer"),
        small_run("dynamics"),
        small_observable(),
        small_coordinates(),
        small_diffusion(joint=0.2, film=True),
        settings_for("reconstruction", overrides=CROPS),
        settings_for("masked", overrides={**CROPS, "patch": 4}),
        settings_for("scratch", overrides=PLAIN),
    )
}


# Rounding grows with each step of Adam; after six a denoiser's may just pass the bound.
STEPS = 4


def of_eight(settings):
    """With two samples for each of four processes: what normalises over a batch needs them."""
    options = settings.optimisation.model_copy(update={"batch": 8})
    return settings.model_copy(update={"optimisation": options})


def test_every_method_is_compared_between_worlds():
    assert METHODS.keys() == TASKS.keys()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_agree_with_one_for_every_method(tmp_path, processes):
    """Few steps, as rounding grows with each: 200 of each method are those of its own tests."""
    worlds = [
        World(of_eight(one), steps=STEPS, precisions=("float64",)) for one in METHODS.values()
    ]
    assert_worlds_agree(*worlds, folder=tmp_path, processes=processes, limit=3000)


@pytest.mark.untraced
@pytest.mark.timeout(900)
def test_two_processes_agree_with_one_and_hand_over_to_one(tmp_path):
    """A toy that weighs the whole batch, and methods of which each process paints its own."""
    methods = [
        World(one, steps=STEPS, precisions=("float64",))
        for name, one in METHODS.items()
        if name not in ("reconstruction", "masked", "scratch")
    ]
    assert_worlds_agree(World(WEIGHED, steps=40), *methods, folder=tmp_path, limit=800)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_still_agree_after_two_hundred_steps(tmp_path):
    assert_worlds_agree(World(WEIGHED), folder=tmp_path, limit=800)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_worlds_agree_with_shuffled_targets_too(tmp_path):
    world = World(toy_settings(shuffled=True), steps=20, precisions=("float64",))
    assert_worlds_agree(world, folder=tmp_path, limit=800)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_processes_agree_with_one(tmp_path):
    assert_worlds_agree(World(toy_settings()), folder=tmp_path, processes=4, limit=800)


@pytest.mark.parametrize("mistake", ["mean of means", "negatives of one process"])
def test_the_comparison_sees_the_usual_mistakes(tmp_path, monkeypatch, mistake):
    text = toy_settings(optimisation={"precision": "float64"}).model_dump_json()
    right, again, wrong = (tmp_path / f"{name}.safetensors" for name in ("a", "b", "c"))
    train(Leg(text, 20, 0, 4, str(right)), Alone())
    train(Leg(text, 20, 0, 4, str(again)), Alone())
    assert difference(again, right) == 0
    monkeypatch.setattr(Toy, "losses", with_mistake(mistake, Toy.losses))
    train(Leg(text, 20, 0, 4, str(wrong)), Alone())
    assert difference(wrong, right) > 1e3 * BOUNDS["float64"]


def with_mistake(mistake, right):
    """Losses as if each half of a batch were a process of its own, wrongly joined."""

    def wrong(self, network, batch, collective):
        terms = right(self, network, batch, collective)
        outputs = network(batch["image"])
        halves = []
        for half in (slice(0, 4), slice(4, 8)):
            part = {name: array[half] for name, array in batch.items()}
            own = tuple(output[half] for output in outputs)
            halves.append(right(self, lambda _, own=own: own, part, collective))
        if mistake == "mean of means":
            means = [half["restored"].total / half["restored"].count for half in halves]
            return {**terms, "restored": LossTerm(sum(means), 2)}
        totals = [half["contrast"].total for half in halves]
        return {**terms, "contrast": LossTerm(sum(totals), 8, 0.1)}

    return wrong
