"""What is chosen for a network from scratch, from curves that are given."""

import pytest

from napari_mrissl.evaluation import tuning


@pytest.mark.parametrize(
    ("curve", "wanted"),
    [
        ({100: 0.5, 200: 0.505}, (200, True)),  # flat, and the better one
        ({100: 0.5, 200: 0.5}, (100, True)),
        ({100: 0.5, 200: 0.4}, (100, True)),
        ({100: 0.5, 200: 0.6, 400: 0.605}, (400, True)),
        ({100: 0.5, 200: 0.6, 400: 0.59}, (200, True)),
        ({100: 0.5, 200: 0.6, 400: 0.7}, (400, False)),
    ],
)
def test_steps_are_doubled_until_that_helps_no_more(curve, wanted, monkeypatch):
    monkeypatch.setattr(tuning, "MOST", 4)
    tried = []

    def validate(steps):
        tried.append(steps)
        return curve[steps]

    assert tuning.flat_steps(validate, 100) == wanted
    assert tried == list(curve)


def test_the_best_rate_is_taken_and_the_lowest_of_equal_ones():
    dice = {1e-3: 0.6, 3e-3: 0.7, 1e-2: 0.7}
    assert tuning.best_rate(dice.__getitem__, [1e-2, 1e-3, 3e-3]) == 3e-3
    assert tuning.best_rate({**dice, 1e-2: 0.8}.__getitem__, list(dice)) == 1e-2
