"""The invariance meter: perfect, useless and half-right features, each beside its chance."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.invariance import BINS, measure_invariance

SHAPE = (12, 14, 16)
SPACING = np.array([2.0, 1.0, 1.5])
ALL = np.arange(np.prod(SHAPE))


def noise(seed, channels=24):
    return np.random.default_rng(seed).standard_normal((channels, *SHAPE)).astype(np.float32)


def labels():
    return np.random.default_rng(3).integers(0, 4, SHAPE).astype(np.uint8)


def test_features_that_ignore_the_appearance_find_every_place():
    data = noise(1)
    # Every vector twice as long, in a new array: the direction is what counts.
    found = measure_invariance(data, 2 * data, ALL, SPACING, labels(), places=300)
    assert found.places == 300
    assert (found.found, found.found_near, found.found_label) == (1, 1, 1)
    assert found.distance_mm == 0
    assert found.chance_found == pytest.approx(1 / 300)
    np.testing.assert_allclose(found.correlation, 1, atol=1e-6)
    assert found.same_place[-1] == pytest.approx(1)


def test_features_of_noise_find_no_more_than_chance():
    found = measure_invariance(noise(1), noise(2), ALL, SPACING, labels(), places=1000)
    assert found.found <= 0.01
    assert found.found_near == pytest.approx(found.chance_near, abs=0.02)
    assert found.found_label == pytest.approx(found.chance_label, abs=0.06)
    # Four labels equally often.
    assert found.chance_label == pytest.approx(0.25, abs=0.02)
    middles = (BINS[:-1] + BINS[1:]) / 2
    for shares in (found.same_place, found.same_label, found.other):
        assert shares.sum() == pytest.approx(1)
        assert shares @ middles == pytest.approx(0, abs=0.05)


def test_constant_features_find_nothing():
    """Ties must not be broken in favour of the right place."""
    flat = np.ones((5, *SHAPE), np.float32)
    found = measure_invariance(flat, flat, ALL, SPACING, labels(), places=200)
    assert found.found == 0
    assert found.correlation.tolist() == [0] * 5


def test_features_that_know_the_label_alone():
    known = labels()
    codes = np.random.default_rng(7).standard_normal((4, 24)).astype(np.float32)
    data = np.moveaxis(codes[known], -1, 0)
    one, other = data + 0.01 * noise(1), data + 0.01 * noise(2)
    found = measure_invariance(one, other, ALL, SPACING, known, places=400)
    assert found.found_label == 1
    assert found.found < 0.1
    middles = (BINS[:-1] + BINS[1:]) / 2
    assert found.same_label @ middles > 0.95
    assert found.other @ middles < 0.6


def test_shares_near_by_brute_force():
    data, other = noise(1, 3), noise(1, 3) + 0.5 * noise(2, 3)
    numbers = ALL[::7]
    found = measure_invariance(data, other, numbers, SPACING, near_mm=4.0, places=10_000)
    where = np.stack(np.unravel_index(numbers, SHAPE), axis=1) * SPACING
    hits, near, distances, pairs = 0, 0, [], 0
    for i, number in enumerate(numbers):
        query = data.reshape(3, -1)[:, number].astype(float)
        best, most = -1, -2.0
        for j, candidate in enumerate(numbers):
            vector = other.reshape(3, -1)[:, candidate].astype(float)
            cosine = query @ vector / np.linalg.norm(query) / np.linalg.norm(vector)
            pairs += np.linalg.norm(where[i] - where[j]) <= 4.0
            if cosine > most:
                best, most = j, cosine
        distance = np.linalg.norm(where[i] - where[best])
        hits, near = hits + (best == i), near + (distance <= 4.0)
        distances.append(distance)
    assert found.found == pytest.approx(hits / len(numbers))
    assert found.found_near == pytest.approx(near / len(numbers))
    assert found.chance_near == pytest.approx(pairs / len(numbers) ** 2)
    assert found.distance_mm == pytest.approx(np.median(distances))
    assert found.found_label is None
    assert found.same_label is None


def test_standardising_takes_units_away():
    data = noise(1)
    shifted = data * np.geomspace(1, 1e12, 24, dtype=np.float32)[:, None, None, None] + 100
    plain = measure_invariance(data, shifted, ALL, SPACING, places=200)
    found = measure_invariance(data, shifted, ALL, SPACING, places=200, standardised=True)
    assert plain.found < 0.6
    assert found.found == 1


def test_the_draw_follows_from_the_seed():
    one = [measure_invariance(noise(1), noise(2), ALL, SPACING, places=90, seed=s) for s in (1, 1)]
    np.testing.assert_array_equal(one[0].other, one[1].other)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(MrisslError, match="one grid"):
        measure_invariance(noise(1), noise(1, 3), ALL, SPACING)
    with pytest.raises(MrisslError, match="at least 10"):
        measure_invariance(noise(1), noise(2), ALL[:5], SPACING)
