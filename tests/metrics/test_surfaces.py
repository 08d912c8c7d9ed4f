"""Surface distances against scipy's k-d tree and closed forms; the policy for empty masks."""

import numpy as np
import pytest
from scipy import ndimage, spatial

from napari_mrissl.errors import MrisslError
from napari_mrissl.metrics import dice, surface_scores

SPACING = (2.0, 0.9, 1.2)


def blob(seed, shape=(12, 20, 16)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.5)
    middle = np.zeros(shape, bool)
    middle[2:-2, 3:-3, 3:-3] = True
    return ((noise > 0) & middle).astype(np.uint8)


def corners(mask):
    """Places in voxels where the eight voxels around a corner are not all alike."""
    padded = np.pad(mask.astype(int), 1)
    around = sum(
        padded[a : a + s[0], b : b + s[1], c : c + s[2]]
        for s in [tuple(n + 1 for n in mask.shape)]
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    )
    return np.argwhere((around > 0) & (around < 8))


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_a_tree_of_surface_points(seed):
    """With a tolerance beyond which nothing lies, and with one at the largest distance."""
    truth, predicted = blob(seed), blob(seed + 10)
    one, other = corners(truth) * SPACING, corners(predicted) * SPACING
    there = spatial.KDTree(other).query(one)[0]
    back = spatial.KDTree(one).query(other)[0]
    largest = max(there.max(), back.max())
    (score,) = surface_scores(predicted, truth, SPACING, [1], largest + 1e-6).values()
    assert score.nsd == pytest.approx(1.0)
    (near,) = surface_scores(predicted, truth, SPACING, [1], largest - 1e-6).values()
    assert near.nsd < 1
    # Weighted by area, not by point, so between the percentiles around the 95th.
    wide = max(np.percentile(there, 99.5), np.percentile(back, 99.5))
    assert max(np.percentile(there, 85), np.percentile(back, 85)) <= score.hd95_mm <= wide
    assert score.empty == "neither"


def test_a_box_that_is_moved_has_the_distance_of_the_move():
    truth = np.zeros((20, 30, 30), np.uint8)
    truth[5:15, 5:25, 5:25] = 3
    predicted = np.roll(truth, 2, axis=1)
    (score,) = surface_scores(predicted, truth, SPACING, [3]).values()
    assert score.hd95_mm == pytest.approx(1.8)
    # Two of six faces moved further than 1 mm; rims are shared among faces.
    across, along = 10 * 2.0 * 20 * 1.2, 2 * (20 * 0.9 * 20 * 1.2 + 10 * 2.0 * 20 * 0.9)
    assert score.nsd == pytest.approx(along / (along + 2 * across), abs=0.05)
    assert surface_scores(predicted, truth, SPACING, [3], 1.9)[3].nsd == pytest.approx(1.0)


def test_spacing_belongs_to_its_axis():
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[5:10, 5:10, 5:10] = 1
    for axis, side in enumerate(SPACING):
        moved = np.roll(truth, 3, axis=axis)
        assert surface_scores(moved, truth, SPACING)[1].hd95_mm == pytest.approx(3 * side)


def test_the_policy_for_empty_masks():
    empty, full = np.zeros((4, 5, 6), np.uint8), np.zeros((4, 5, 6), np.uint8)
    full[1:3, 1:3, 1:3] = 2
    diagonal = np.sqrt((4 * 2.0) ** 2 + (5 * 0.9) ** 2 + (6 * 1.2) ** 2)
    for predicted, truth, hd95, nsd, overlap, said in (
        (empty, empty, 0.0, 1.0, 1.0, "both"),
        (empty, full, diagonal, 0.0, 0.0, "predicted"),
        (full, empty, diagonal, 0.0, 0.0, "truth"),
        (full, full, 0.0, 1.0, 1.0, "neither"),
    ):
        score = surface_scores(predicted, truth, SPACING, [2])[2]
        assert (score.hd95_mm, score.nsd, score.empty) == (pytest.approx(hd95), nsd, said)
        assert dice(predicted, truth, [2])[2] == overlap


def test_one_voxel_at_the_border_is_measured():
    truth = np.zeros((5, 5, 5), np.uint8)
    predicted = truth.copy()
    truth[0, 0, 0] = predicted[4, 4, 4] = 1
    score = surface_scores(predicted, truth, (1, 1, 1))[1]
    assert score.hd95_mm == pytest.approx(4 * np.sqrt(3), abs=np.sqrt(3))
    assert score.nsd == 0


def test_labels_are_those_of_both_maps_and_may_be_negative():
    truth = np.zeros((6, 6, 6), np.int16)
    predicted = truth.copy()
    truth[1:3], predicted[1:3], predicted[4] = -3, -3, 7
    scores = surface_scores(predicted, truth, (1, 1, 1))
    assert {label: score.empty for label, score in scores.items()} == {-3: "neither", 7: "truth"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"truth": np.zeros((2, 3, 5), np.uint8)}, "shapes"),
        ({"truth": np.zeros((2, 3, 4))}, "float64"),
        ({"spacing_mm": (1, 1)}, "spacing"),
        ({"spacing_mm": (1, 0, 1)}, "spacing"),
        ({"tolerance_mm": float("nan")}, "tolerance"),
    ],
)
def test_what_makes_no_sense_is_refused(change, sentence):
    given = {
        "predicted": np.zeros((2, 3, 4), np.uint8),
        "truth": np.zeros((2, 3, 4), np.uint8),
        "spacing_mm": (1, 1, 1),
    }
    with pytest.raises(MrisslError, match=sentence):
        surface_scores(**{**given, **change})
