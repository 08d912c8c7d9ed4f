"""Matches and landmarks of pairs with a known map, against brute force and chance."""

import numpy as np
import pytest
from turned_pairs import turned_pair

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.features.similarity import Compared
from napari_mrissl.geometry import apply_affine
from napari_mrissl.registration import correspondence, landmark_fit
from napari_mrissl.registration.correspondence import corresponding, matches_of, mutual_landmarks
from napari_mrissl.registration.described import Described, common_spacing, described, upright
from napari_mrissl.registration.landmarks import read_landmarks
from napari_mrissl.registration.match_files import errors, landmarks_text
from napari_mrissl.registration.match_settings import MatchSettings
from napari_mrissl.volumes import Volume

MIND = MatchSettings(features="mind", count=60, mutual_mm=2)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Features of its own."""
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "cache"))


def both(pair, settings=MIND):
    side = common_spacing((pair.fixed, pair.moving), settings.spacing_mm)
    return [described(volume, settings, side) for volume in (pair.fixed, pair.moving)]


def random_scan(seed: int, channels: int = 5, shape=(9, 8, 10)) -> Described:
    """Features that are noise, on an oblique grid of anisotropic voxels."""
    rng = np.random.default_rng(seed)
    affine = np.array([[0, 0.2, 1.5, 3], [0.1, 2.0, 0, -4], [3.0, 0, 0.1, 5], [0, 0, 0, 1]])
    values = 50 + rng.random(shape, np.float32)
    volume = Volume.from_stored(values.transpose(2, 1, 0), affine[:, [2, 1, 0, 3]], name="noise")
    data = rng.standard_normal((channels, *volume.shape)).astype(np.float32)
    mask = np.ones(volume.shape, bool)
    return Described.of(volume, Compared.of(data, volume), mask)


@pytest.mark.parametrize(("axes", "oblique", "spacing"), [("RAS", 0, 1.0), ("PIR", 14, 1.2)])
def test_matches_lie_where_the_known_map_takes_them_and_chance_does_not(axes, oblique, spacing):
    pair = turned_pair(axes, oblique, spacing=spacing)
    one, other = both(pair)
    known = np.stack([pair.body, apply_affine(pair.truth, pair.body)], axis=1)
    found = errors(known, one, other, MIND)
    assert found["median_mm"] < 2.0
    assert found["chance_median_mm"] > 5 * found["median_mm"]
    # The confidence says which to believe.
    assert found["surest_third_mean_mm"] <= found["mean_mm"]
    assert found["within_5_mm"] > 0.5 > 2 * found["chance_within_5_mm"]
    marks = mutual_landmarks(one, other, MIND)
    assert 20 <= len(marks) <= 60
    away = np.linalg.norm(apply_affine(pair.truth, marks.points[:, 0]) - marks.points[:, 1], axis=1)
    assert np.median(away) < 1.5
    assert marks.back_mm.max() <= 2
    assert (np.diff(marks.confidence) <= 0).all()
    fit, counted = landmark_fit.fitted(marks.points)
    reached = apply_affine(fit, pair.body) - apply_affine(pair.truth, pair.body)
    assert np.linalg.norm(reached, axis=1).max() < 2.0
    assert counted.mean() > 0.5


def test_a_scan_matches_itself_and_says_so():
    pair = turned_pair()
    one, _ = both(pair)
    place = pair.body[7]
    found = corresponding(place, one, one)
    np.testing.assert_allclose(found.place, place, atol=1e-9)
    assert found.similarity == pytest.approx(1, abs=1e-5)
    assert found.back_mm == 0
    assert found.confidence == pytest.approx(1 - found.ratio)
    assert found.confidence > 0.9


def test_a_twin_elsewhere_takes_the_confidence_away():
    scan = random_scan(0)
    data = scan.compared.data.copy()
    data[:, 8, 7, 9] = data[:, 0, 0, 0]
    twin = Described.of(scan.volume, Compared.of(data, scan.volume), np.ones((9, 8, 10), bool))
    place = scan.volume.affine[:3, 3]
    assert corresponding(place, scan, scan, apart_mm=5).confidence > 0.9
    found = corresponding(place, scan, twin, apart_mm=5)
    assert found.ratio == pytest.approx(1, abs=1e-3)
    assert found.confidence == pytest.approx(0, abs=1e-3)


def test_matches_and_rivals_are_those_of_a_whole_matrix():
    """However small the blocks are."""
    one, other = random_scan(1), random_scan(2)
    apart = 9.0
    vectors = [scan.vectors(scan.searched) for scan in (one, other)]
    cosines = vectors[0].astype(float) @ vectors[1].T.astype(float)
    places = [scan.world_of(scan.searched) for scan in (one, other)]
    best = cosines.argmax(axis=1)
    near = np.linalg.norm(places[1][None] - places[1][best][:, None], axis=-1) <= apart
    rivals = np.where(near, -1, cosines).max(axis=1)
    ratio = np.sqrt((1 - cosines.max(axis=1)) / (1 - rivals))
    back_mm = np.linalg.norm(places[0][cosines.argmax(axis=0)[best]] - places[0], axis=1)
    settings = MatchSettings(features="mind", apart_mm=apart, memory_mib=1)
    found = matches_of(places[0], one, other, settings)
    np.testing.assert_allclose(found.points[:, 1], places[1][best])
    np.testing.assert_allclose(found.similarity, cosines.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.back_mm, back_mm, atol=1e-9)
    np.testing.assert_allclose(found.ratio, ratio, atol=1e-4)
    single = corresponding(places[0][17], one, other, apart)
    np.testing.assert_allclose(single.place, places[1][best][17])
    assert single.ratio == pytest.approx(ratio[17], abs=1e-4)
    assert single.back_mm == pytest.approx(back_mm[17])


def test_no_block_takes_more_memory_than_allowed(monkeypatch):
    one, other = random_scan(1, shape=(30, 30, 30)), random_scan(2, shape=(30, 30, 30))
    sizes = []
    vectors = Described.vectors

    def watched(self, numbers):
        sizes.append(len(numbers))
        return vectors(self, numbers)

    monkeypatch.setattr(Described, "vectors", watched)
    places = one.world_of(one.searched[::30])
    matches_of(places, one, other, MatchSettings(features="mind", memory_mib=1))
    blocks = [size for size in sizes if size != len(places)]
    assert max(blocks) * len(places) * 4 <= 1 << 20
    assert len(blocks) > 3 * 20


def test_voxels_between_the_searched_ones_are_found_too():
    one, other = random_scan(3, shape=(21, 20, 22)), random_scan(3, shape=(21, 20, 22))
    coarse = Described(other.volume, other.compared, other.searched[:1], np.array([21, 20, 22]))
    found = matches_of(one.world_of(one.searched[55:58]), one, coarse)
    np.testing.assert_allclose(found.points[:, 0], found.points[:, 1])


def test_landmarks_lie_apart_and_in_the_mask():
    pair = turned_pair()
    half = np.zeros(pair.fixed.shape, bool)
    half[:, :, : pair.fixed.shape[2] // 2] = True
    side = common_spacing((pair.fixed, pair.moving))
    one = described(pair.fixed, MIND, side, half)
    marks = mutual_landmarks(one, described(pair.moving, MIND, side), MIND)
    assert (marks.points[:, 0, 0] < 0).all()
    apart = np.linalg.norm(marks.points[:, None, 0] - marks.points[None, :, 0], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() >= 0.5 * (half.sum() / 60) ** (1 / 3)


def test_cubes_along_the_axes_of_world_show_the_same_places():
    pair = turned_pair("PIR", 14, spacing=1.2)
    brought, mask = upright(pair.moving, 1.0, np.ones(pair.moving.shape, bool))
    assert not brought.oblique
    np.testing.assert_allclose(brought.spacing, 1.0)
    places = apply_affine(pair.truth, pair.body)
    index = tuple(np.rint(apply_affine(brought.to_index, places)).astype(int).T)
    own = tuple(np.rint(apply_affine(pair.moving.to_index, places)).astype(int).T)
    assert np.corrcoef(brought.data[index], pair.moving.data[own])[0, 1] > 0.9
    assert mask[index].all()
    assert not mask[0, 0, 0]
    again, _ = upright(brought, 1.0)
    assert again is brought


def test_the_table_is_what_registration_reads(tmp_path):
    pair = turned_pair()
    marks = mutual_landmarks(*both(pair), MIND)
    path = tmp_path / "marks.csv"
    path.write_text(landmarks_text(marks), "utf-8")
    np.testing.assert_allclose(read_landmarks(path), marks.points, atol=1e-4)


def test_bad_input_is_one_sentence():
    scan, other = random_scan(0), random_scan(1, channels=4)
    middle = scan.volume.center
    with pytest.raises(MrisslError, match="place in the scan"):
        corresponding((500, 0, 0), scan, scan)
    with pytest.raises(MrisslError, match="place in the scan"):
        matches_of([middle, (500, 0, 0)], scan, scan)
    with pytest.raises(MrisslError, match="4 channels"):
        corresponding(middle, scan, other)
    with pytest.raises(MrisslError, match="4 channels"):
        mutual_landmarks(scan, other)
    empty = Compared.of(np.zeros_like(scan.compared.data), scan.volume)
    with pytest.raises(MrisslError, match="all zero"):
        corresponding(middle, Described(scan.volume, empty, scan.searched, scan.steps), scan)
    with pytest.raises(MrisslError, match="is empty"):
        Described.of(scan.volume, scan.compared, np.zeros(scan.volume.shape, bool))
    with pytest.raises(MrisslError, match="shape"):
        Described.of(scan.volume, scan.compared, np.ones((2, 2, 2), bool))
    lonely = random_scan(5)
    with pytest.raises(MrisslError, match="match of its match"):
        mutual_landmarks(scan, lonely, MatchSettings(features="mind", least_confidence=0.99))
    with pytest.raises(Cancelled):
        mutual_landmarks(scan, scan, cancelled=lambda: True)
    assert correspondence.MatchSettings().comparison == "plain"
