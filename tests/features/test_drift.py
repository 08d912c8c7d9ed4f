"""Feature drift against loops voxel by voxel, and what it says of features that know nothing."""

import csv

import numpy as np
import pytest
from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.features.drift import CHANGES, Series, drift_table, measure_drift
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.features.similarity import foreground_sample
from napari_mrissl.volumes import Volume


def scan(shape=(10, 11, 12)):
    values = np.random.default_rng(3).integers(0, 1000, shape).astype(np.int16)
    return Volume.from_stored(values, np.diag([2.0, 1.5, 1.0, 1.0]), name="noise")


def greys(image, numbers, tell):
    """Two channels: the grey value in [0, 1], and its square root less a third."""
    low, high = image.value_range()
    share = np.clip((np.asarray(image.data, np.float32) - low) / (high - low), 0, 1)
    tell(1.0, "greys")
    both = np.stack([share, np.sqrt(share) - 1 / 3]).astype(np.float32)
    return both.reshape(2, -1)[:, numbers]


def cosine(a, b):
    return (
        sum(x * y for x, y in zip(a, b, strict=True))
        / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    )


def test_strengths_begin_with_none_and_gamma_grows_by_equal_factors():
    assert Series(change="noise", strongest=0.3, steps=3).strengths == pytest.approx(
        (0, 0.1, 0.2, 0.3)
    )
    assert Series(change="gamma", strongest=4, steps=2).strengths == pytest.approx((1, 2, 4))
    assert Series(change="blur", strongest=2).recolouring(1.5) == Recolouring(blur_mm=1.5)
    assert Series(change="gamma", seed=4).recolouring(2) == Recolouring(gamma=2, seed=4)
    for change in CHANGES:
        series = Series(change=change, strongest=2)
        neutral = series.recolouring(series.strengths[0])
        assert neutral == Recolouring()
    for wrong in ({"strongest": 0}, {"steps": 0}, {"change": "hue"}, {"strongest": 9}):
        with pytest.raises(ValidationError):
            Series(**wrong)


@pytest.mark.parametrize("standardised", [False, True])
def test_it_is_one_less_the_mean_cosine_over_tissue(standardised):
    volume, series = scan(), Series(change="gamma", strongest=3, steps=2, seed=1)
    found = measure_drift(volume, greys, series, standardised=standardised)
    numbers = foreground_sample(volume)
    assert found.voxels == len(numbers)

    def vectors(image):
        flat = greys(image, numbers, lambda *_: None).astype(float)
        if standardised:
            flat = np.array([(c - c.mean()) / c.std() for c in flat])
        return flat.T.tolist()

    before = vectors(volume)
    for strength, drift in zip((1, 3**0.5, 3), found.drift, strict=True):
        after = vectors(recoloured(volume, Recolouring(gamma=strength, seed=1)))
        cosines = [cosine(a, b) for a, b in zip(before, after, strict=True)]
        assert drift == pytest.approx(1 - np.mean(cosines), abs=1e-5)
    assert found.drift[0] < found.drift[1] < found.drift[2]


def test_chance_is_what_random_pairs_of_voxels_are_apart():
    volume, series = scan(), Series(steps=1)
    white = np.random.default_rng(5).standard_normal((16, volume.data.size)).astype(np.float32)
    # Features that hear nothing of the image never move, and are far apart by chance.
    found = measure_drift(volume, lambda image, numbers, tell: white[:, numbers], series)
    np.testing.assert_allclose(found.drift, 0, atol=1e-12)
    assert found.chance == pytest.approx(1, abs=0.05)
    # Features that are the same everywhere never move either; chance says why.
    same = np.ones_like(white)
    found = measure_drift(volume, lambda image, numbers, tell: same[:, numbers], series)
    np.testing.assert_allclose(found.drift, 0, atol=1e-12)
    assert found.chance == pytest.approx(0, abs=1e-12)


def test_progress_grows_and_it_can_be_cancelled_between_steps():
    told, asked = [], []
    measure_drift(scan(), greys, Series(steps=2), progress=lambda part, step: told.append(part))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)

    def features(image, numbers, tell):
        asked.append(image.name)
        return greys(image, numbers, tell)

    with pytest.raises(Cancelled):
        measure_drift(scan(), features, Series(steps=5), cancelled=lambda: len(asked) >= 2)
    assert len(asked) == 2


def test_too_little_tissue_is_refused():
    with pytest.raises(MrisslError, match="8 voxels of tissue"):
        measure_drift(scan((2, 2, 2)), greys, Series(steps=1))


def test_curves_become_a_table():
    found = measure_drift(scan(), greys, Series(change="bias", strongest=1, steps=2))
    curves = [('a, "b"', "plain", 1, found), ("c", "standardised", 2, found)]
    rows = list(csv.DictReader(drift_table(curves).splitlines()))
    assert [row["features"] for row in rows] == ['a, "b"'] * 3 + ["c"] * 3
    assert [(row["comparison"], row["scan"]) for row in rows[2:4]] == [
        ("plain", "1"), ("standardised", "2")
    ]  # fmt: skip
    assert [float(row["strength"]) for row in rows] == [0, 0.5, 1] * 2
    np.testing.assert_allclose([float(row["drift"]) for row in rows[:3]], found.drift, atol=1e-6)
    assert {row["change"] for row in rows} == {"bias"}
    assert {float(row["chance"]) for row in rows} == {round(found.chance, 6)}
