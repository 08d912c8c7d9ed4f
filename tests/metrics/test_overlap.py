"""Dice is counted exactly, with a fixed answer for empty labels."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.metrics import dice


def test_dice_equals_sets_of_voxels():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 9, 8, 7))
    for label, value in dice(a, b).items():
        one = set(map(tuple, np.argwhere(a == label)))
        other = set(map(tuple, np.argwhere(b == label)))
        assert value == 2 * len(one & other) / (len(one) + len(other))


def test_same_maps_score_one_and_background_is_left_out():
    a = np.array([0, 1, 300], np.uint16)
    assert dice(a, a) == {1: 1.0, 300: 1.0}


def test_empty_labels():
    a = np.array([0, 1], np.uint8)
    b = np.array([0, 0], np.int64)
    assert dice(a, b, (1, 2)) == {1: 0.0, 2: 1.0}


def test_booleans_are_labels():
    assert dice(np.array([True, False]), np.array([True, True])) == {1: 2 / 3}


@pytest.mark.parametrize("other", [np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.float32)])
def test_wrong_maps_are_refused(other):
    with pytest.raises(MrisslError):
        dice(np.zeros((3, 2), np.uint8), other)
