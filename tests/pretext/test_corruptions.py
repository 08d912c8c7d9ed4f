"""Corruptions do what they say, as often as they say, the same for the same generator."""

import numpy as np
import pytest

from napari_mrissl.pretext.corruption_kernels import shuffle
from napari_mrissl.pretext.corruptions import bezier_curve, corrupt, paint, shuffle_windows
from napari_mrissl.pretext.settings import CorruptionSettings

NOTHING = {"shuffle": 0, "intensity": 0, "paint": 0}


@pytest.fixture(scope="module")
def crop():
    return np.random.default_rng(5).random((24, 24, 24), np.float32)


def only(**changes):
    return CorruptionSettings(**(NOTHING | changes))


def test_nothing_chosen_changes_nothing(crop):
    result = corrupt(crop, only(), np.random.default_rng(0))
    np.testing.assert_array_equal(result.image, crop)
    assert not result.mask.any()


def test_the_same_generator_gives_the_same_and_leaves_the_crop(crop):
    before = crop.copy()
    settings = CorruptionSettings(shuffle=1, intensity=1, paint=1)
    first, second, other = (corrupt(crop, settings, np.random.default_rng(n)) for n in (1, 1, 2))
    np.testing.assert_array_equal(first.image, second.image)
    assert first.record == second.record
    assert not np.array_equal(first.image, other.image)
    np.testing.assert_array_equal(crop, before)
    assert first.image.dtype == np.float32
    assert 0 <= first.image.min() < first.image.max() <= 1


def test_stages_do_not_change_each_others_draws(crop):
    alone = corrupt(crop, only(paint=1), np.random.default_rng(4))
    together = corrupt(crop, only(paint=1, shuffle=1, intensity=1), np.random.default_rng(4))
    assert alone.record["boxes"] == together.record["boxes"]
    np.testing.assert_array_equal(alone.mask, together.mask)


def test_shuffling_moves_voxels_no_further_than_a_window_and_loses_none(crop):
    numbered = np.arange(crop.size, dtype=np.float32).reshape(crop.shape)
    one_window = numbered.copy()
    shuffle_windows(one_window, only(windows=1, window=0.25), np.random.default_rng(0))
    moved = np.argwhere(one_window != numbered)
    assert len(moved)
    assert np.all(np.ptp(moved, axis=0) < 6)  # a quarter of 24

    many = numbered.copy()
    shuffle_windows(many, only(), np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(many, axis=None), numbered.ravel())
    assert np.mean(many != numbered) > 0.4


def test_all_orders_of_a_window_are_equally_likely():
    counts = {}
    for seed in range(1200):
        row = np.arange(3, dtype=np.float32).reshape(1, 1, 3)

        shuffle(row, np.zeros((1, 3), np.int64), np.array([[1, 1, 3]]), np.uint64(seed * 7919))
        counts[tuple(row.ravel())] = counts.get(tuple(row.ravel()), 0) + 1
    assert len(counts) == 6
    # 200 expected, standard deviation 13.
    assert all(140 < count < 260 for count in counts.values())


@pytest.mark.parametrize("falling", [False, True])
def test_curves_are_monotonic_over_the_whole_range(falling):
    for seed in range(50):
        before, after = bezier_curve(np.random.default_rng(seed), falling=falling)
        assert np.all(np.diff(before) >= 0)
        assert np.all(np.diff(after) * (-1 if falling else 1) >= 0)
        np.testing.assert_allclose([before[0], before[-1]], [0, 1])
        np.testing.assert_allclose([after[0], after[-1]], [1, 0] if falling else [0, 1])


def test_recolouring_keeps_the_order_of_grey_values(crop):
    for inverted, sign in ((0, 1), (1, -1)):
        settings = only(intensity=1, inverted=inverted)
        image = corrupt(crop, settings, np.random.default_rng(3)).image
        ordered = image.ravel()[np.argsort(crop, axis=None)]
        assert np.all(sign * np.diff(ordered) >= -1e-6)
        assert np.abs(image - crop).mean() > 0.01


def test_painted_boxes_are_constant_and_the_mask_knows_them_all(crop):
    for seed in range(20):
        image, mask, boxes = paint(crop, "inside", only(), np.random.default_rng(seed))
        expected = np.zeros(crop.shape, bool)
        for z, y, x, depth, height, width in boxes:
            assert {depth, height, width} <= set(range(4, 9))  # 24/6 ... 24/3
            expected[z : z + depth, y : y + height, x : x + width] = True
        assert 1 <= len(boxes) <= 10
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(image[~mask], crop[~mask])
        z, y, x, depth, height, width = boxes[-1]
        assert len(np.unique(image[z : z + depth, y : y + height, x : x + width])) == 1
        assert len(np.unique(image[mask])) <= len(boxes)


def test_boxes_that_are_left_are_left_and_the_rest_is_noise(crop):
    for seed in range(20):
        image, mask, boxes = paint(crop, "outside", only(), np.random.default_rng(seed))
        left = np.zeros(crop.shape, bool)
        for z, y, x, depth, height, width in boxes:
            assert {depth, height, width} <= set(range(10, 15))  # 24 x 3/7 ... 24 x 4/7
            left[z : z + depth, y : y + height, x : x + width] = True
        np.testing.assert_array_equal(mask, ~left)
        np.testing.assert_array_equal(image[left], crop[left])
        assert image[mask].mean() == pytest.approx(0.5, abs=0.05)
        assert np.mean(image[mask] == crop[mask]) < 0.01


def test_each_corruption_happens_as_often_as_published():
    tiny = np.random.default_rng(0).random((8, 8, 8), np.float32)
    count = 1000
    records = [
        corrupt(tiny, CorruptionSettings(windows=1), np.random.default_rng(n)).record
        for n in range(count)
    ]
    shares = {
        "shuffled": (sum(r["shuffled"] for r in records), 0.25),
        "recoloured": (sum(r["curve"] is not None for r in records), 0.5),
        "inverted": (sum(r["curve"] is not None and r["curve"][1][0] == 1 for r in records), 0.25),
        "painted inside": (sum(r["painted"] == "inside" for r in records), 0.375),
        "painted outside": (sum(r["painted"] == "outside" for r in records), 0.375),
    }
    for name, (found, share) in shares.items():
        spread = (share * (1 - share) / count) ** 0.5
        assert abs(found / count - share) < 4.5 * spread, name
