"""Cosines with one voxel against scikit-learn-like brute force, in planes, boxes and volumes."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.features.similarity import Compared, channels_at, foreground_sample, prepare
from napari_mrissl.volumes import Volume

SHAPE = (23, 31, 37)
"""No multiple of a block of 2,048 voxels, and more than ten blocks."""


def a_volume(shape=SHAPE, seed=0):
    voxels = np.random.default_rng(seed).integers(0, 200, shape).astype(np.int16)
    return Volume.from_stored(voxels, np.diag([1.0, 1.0, 1.0, 1.0]), name="noise", copy=False)


def features_of(volume, channels=7, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((channels, *volume.shape)) + 0.5).astype(np.float32)


def canonical():
    volume = a_volume()
    assert volume.shape != SHAPE  # axes are reordered to (S, A, R)
    return volume


def cosines(vectors, voxel):
    """(S, A, R) by scipy, in double precision; `vectors` are (C, S, A, R)."""
    rows = vectors.reshape(len(vectors), -1).T.astype(np.float64)
    query = vectors[(slice(None), *voxel)].astype(np.float64)[None]
    return (1 - cdist(rows, query, "cosine")[:, 0]).reshape(vectors.shape[1:])


@pytest.mark.parametrize("comparison", ["plain", "standardised"])
def test_cosines_with_one_voxel_are_scipys(comparison):
    volume = canonical()
    data = features_of(volume)
    data[2] = (3 if comparison == "plain" else 1000) * data[2] + 40 * (comparison != "plain")
    vectors = data.astype(np.float64)
    if comparison == "standardised":
        chosen = channels_at(data, foreground_sample(volume)).astype(np.float64)
        vectors = vectors - chosen.mean(axis=1)[:, None, None, None]
        vectors /= chosen.std(axis=1)[:, None, None, None]
    made = Compared.of(data, volume, comparison)
    voxel = (5, 30, 11)
    expected = cosines(vectors, voxel)
    query = made.at(voxel)
    np.testing.assert_allclose(np.linalg.norm(query), 1, atol=1e-5)
    whole, match = made.whole(query)
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    assert match.voxel == voxel
    assert match.similarity == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(made.lengths(), np.linalg.norm(vectors, axis=0), rtol=1e-3)
    # A plane across each axis, a box, and voxels by number are the same numbers.
    for axis in range(3):
        ranges = [range(n) for n in volume.shape]
        ranges[axis] = range(7, 8)
        where = tuple(slice(r.start, r.stop) for r in ranges)
        np.testing.assert_allclose(made.box(query, tuple(ranges)), whole[where], atol=1e-5)
    box = (range(3, 9), range(2, 30), range(4, 5))
    np.testing.assert_allclose(made.box(query, box), whole[3:9, 2:30, 4:5], atol=1e-5)
    numbers = np.array([[0, 17, -1], [whole.size - 1, -1, 99]])
    found = made.voxels(query, numbers)
    assert np.isnan(found).tolist() == (numbers < 0).tolist()
    np.testing.assert_allclose(
        found[numbers >= 0], whole.reshape(-1)[numbers[numbers >= 0]], atol=1e-5
    )


def test_the_best_match_in_another_volume():
    volume, other = canonical(), a_volume(seed=5)
    data, far = features_of(volume), features_of(other, seed=2)
    far[:, 20, 3, 9] = 3.5 * data[:, 6, 6, 6]  # the same direction, another length
    query = Compared.of(data, volume).at((6, 6, 6))
    whole, match = Compared.of(far, other).whole(query)
    assert match.voxel == (20, 3, 9)
    assert match.similarity == pytest.approx(1, abs=1e-5)
    assert whole.max() == np.float32(match.similarity)


def test_results_go_where_they_are_wanted_and_features_are_not_copied():
    volume = canonical()
    data = features_of(volume)
    data.flags.writeable = False
    made = Compared.of(data, volume)
    assert np.shares_memory(made.data, data)
    out = np.full(volume.shape, 9, np.float32)
    whole, _ = made.whole(made.at((0, 0, 0)), out)
    assert whole is out
    plane = np.empty((1, *volume.shape[1:]), np.float32)
    ranges = (range(4, 5), range(volume.shape[1]), range(volume.shape[2]))
    assert made.box(made.at((0, 0, 0)), ranges, plane) is plane
    np.testing.assert_allclose(plane[0], whole[4], atol=1e-6)


def test_empty_voxels_are_similar_to_nothing():
    volume = canonical()
    data = features_of(volume)
    data[:, :4] = 0
    made = Compared.of(data, volume)
    assert not made.at((1, 1, 1)).any()
    whole, _ = made.whole(made.at((10, 10, 10)))
    assert not whole[:4].any()
    assert (made.lengths()[:4] == 0).all()


def test_a_channel_that_is_the_same_everywhere_does_not_count():
    volume = canonical()
    data = features_of(volume)
    constant = np.concatenate([data, np.full((1, *volume.shape), 1e4, np.float32)])
    one = Compared.of(data, volume, "standardised")
    two = Compared.of(constant, volume, "standardised")
    np.testing.assert_allclose(
        one.whole(one.at((3, 3, 3)))[0], two.whole(two.at((3, 3, 3)))[0], atol=1e-5
    )


def test_what_cannot_be_compared_is_refused():
    volume = canonical()
    with pytest.raises(MrisslError, match="on the volume's grid"):
        Compared.of(np.ones((2, 3, 4, 5), np.float32), volume)
    for value in (np.inf, -np.inf, np.nan, 1e30):
        data = features_of(volume)
        data[1, 2, 3, 4] = value
        with pytest.raises(MrisslError, match="finite"):
            Compared.of(data, volume)
    made = Compared.of(features_of(volume), volume)
    with pytest.raises(MrisslError, match="within"):
        made.at((0, 0, 99))


def test_cancelled_work_ends():
    volume = canonical()
    data = features_of(volume)
    with pytest.raises(Cancelled):
        Compared.of(data, volume, cancelled=lambda: True)
    made = Compared.of(data, volume)
    with pytest.raises(Cancelled):
        made.whole(made.at((1, 1, 1)), cancelled=lambda: True)


def test_the_sample_is_of_the_foreground_and_always_the_same():
    voxels = np.zeros((60, 50, 40), np.uint8)
    voxels[20:40, 10:40, 10:30] = 180
    volume = Volume.from_stored(voxels, np.eye(4))
    numbers = foreground_sample(volume, 3000)
    assert (volume.data.reshape(-1)[numbers] == 180).all()
    assert 1000 < len(numbers) < 30_000
    np.testing.assert_array_equal(numbers, foreground_sample(volume, 3000))
    flat = Volume.from_stored(np.full((9, 9, 9), 7, np.uint8), np.eye(4))
    assert len(foreground_sample(flat)) == 729


def test_a_falling_scale_turns_the_foreground_around():
    voxels = np.full((40, 40, 40), 200, np.uint8)
    voxels[10:20, 10:20, 10:20] = 10
    volume = Volume.from_stored(voxels, np.eye(4), slope=-1.0, intercept=255.0)
    assert (volume.data.reshape(-1)[foreground_sample(volume)] == 10).all()


def test_preparing_compiles_what_a_click_needs():
    prepare()
    from napari_mrissl.features import similarity_kernels

    for name in ("similarity", "similarity_box", "similarity_at", "inverse_lengths"):
        assert getattr(similarity_kernels, name).signatures
