import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.metrics import dice


def brute_force(predicted, truth, label):
    both = either = 0
    for p, t in zip(predicted.ravel(), truth.ravel(), strict=True):
        both += (p == label) and (t == label)
        either += int(p == label) + int(t == label)
    return 2 * both / either if either else 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_every_label_is_counted_exactly(dtype):
    rng = np.random.default_rng(0)
    predicted, truth = rng.integers(0, 5, (2, 7, 8, 9)).astype(dtype)
    found = dice(predicted, truth)
    assert sorted(found) == [1, 2, 3, 4]
    for label, value in found.items():
        assert value == brute_force(predicted, truth, label)


def test_two_empty_maps_agree_and_one_empty_map_does_not():
    empty, full = np.zeros((3, 3), np.uint8), np.ones((3, 3), np.uint8)
    assert dice(empty, empty) == {}
    assert dice(empty, empty, [1]) == {1: 1.0}
    assert dice(empty, full) == {1: 0.0}
    assert dice(full, full, [1, 2]) == {1: 1.0, 2: 1.0}


def test_counts_do_not_overflow_small_types():
    same = np.full((100, 100), 255, np.uint8)
    assert dice(same, same) == {255: 1.0}
    assert dice(same > 0, same > 0) == {1: 1.0}


def test_maps_that_cannot_be_compared_are_refused():
    with pytest.raises(MrisslError, match="shapes"):
        dice(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(MrisslError, match="float"):
        dice(np.zeros((2, 2)), np.zeros((2, 2), int))
