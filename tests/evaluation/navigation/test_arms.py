"""Arms: the same budget, one tokenizer for all dynamics, and flights only where they belong."""

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation import arms as plans
from napari_mrissl.evaluation.navigation.arms import arms, budgets


@pytest.mark.parametrize("preset", ["tiny", "cpu", "gpu"])
def test_budgets_are_equal_and_all_dynamics_begin_from_one_tokenizer(preset):
    runs = arms(None, preset, {"steps": 7})
    start, full = runs[plans.START].settings, runs[plans.FULL].settings
    expected = 7 * (
        start.optimisation.batch * start.task["flights"]["frames"]
        + full.optimisation.batch * full.task["flights"]["frames"]
    )
    found = budgets(runs)
    of_tokenizer = 7 * start.optimisation.batch * start.task["flights"]["frames"]
    assert found.pop(plans.DRAWN) == {"steps": 7, "slices": of_tokenizer}
    assert found == {name: {"steps": 14, "slices": expected} for name in plans.COMPARED}
    for name in (plans.NO_ACTION, plans.SHUFFLED, plans.FULL, plans.TOKENIZER_ONLY):
        assert runs[name].begins_from == plans.START
    assert runs[plans.STATIC].begins_from == plans.STATIC_START


def test_arms_differ_in_what_they_are_named_for_alone():
    runs = arms(None, "tiny", {})
    full = runs[plans.FULL].settings
    assert runs[plans.SHUFFLED].settings == full.model_copy(update={"shuffled": True})
    zero = runs[plans.NO_ACTION].settings
    assert zero == full.model_copy(update={"task": {**full.task, "actions": "zero"}})
    static, other = runs[plans.STATIC].settings, runs[plans.TOKENIZER_ONLY].settings
    assert static.optimisation == other.optimisation
    weights = {"scroll", "rotate", "zoom", "pan", "walk", "stack"}
    flights = static.task["flights"]
    assert {name: flights[name] for name in weights} == {
        **dict.fromkeys(weights, 0.0), "stack": 1.0
    }  # fmt: skip
    assert other.task["flights"]["stack"] == 0.0


def test_changes_go_to_the_runs_that_know_them():
    runs = arms(None, "tiny", {"backbone.latent": "8", "rollout": "1", "flights.frames": "3"})
    assert runs[plans.START].settings.task["backbone"]["latent"] == 8
    assert runs[plans.FULL].settings.task["rollout"] == 1
    assert runs[plans.STATIC].settings.task["flights"]["frames"] == 3
    with pytest.raises(MrisslError, match="nonsense"):
        arms(None, "tiny", {"nonsense": "1"})
    with pytest.raises(MrisslError, match="no kinds of flights"):
        arms(None, "tiny", {"flights.walk": "1"})
    with pytest.raises(MrisslError, match="preset"):
        arms(None, "huge", {})
