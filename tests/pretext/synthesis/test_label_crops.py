"""The label map of a sample: new ones of the engine, or cut out of a scan's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import cube
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.synthesis.label_crops import (
    draw_places,
    index_of,
    label_crop,
    rotation,
    turned,
)
from napari_mrissl.pretext.synthesis.settings import OFFLINE, MapCropSettings, OnlineSettings
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.training.data.engine_subjects import painted_subjects, procedural_shapes
from napari_mrissl.training.settings import DataSettings
from napari_mrissl.volumes import Volume
from tests.pretext.vectorpose.scans import Held

ENSEMBLES = DataSettings(kind="ensembles", engine={"side": 32}, heads=2)
STILL = OnlineSettings(**OFFLINE)


def scan_with(labels, name="someone"):
    volume = Volume.from_stored(np.zeros(labels.shape[::-1], np.uint8), np.diag([2, 2, 2, 1.0]))
    assert volume.shape == labels.shape
    return Scan(volume, 0.0, 1.0, name, volume.identity, labels)


@pytest.fixture(scope="module")
def train():
    return painted_subjects(ENSEMBLES, 7, "train")


def test_every_key_has_a_new_map_of_the_engine(train):
    settings = MapCropSettings(side=32, element="none")
    keys = [SampleKey(7, step, number) for step in (-1, 0, 1) for number in (0, 1)]
    crops = [label_crop(train, key, settings, STILL) for key in keys]
    pool = procedural_shapes()
    shapes = Templates(pool.bits, pool.starts[:90], pool.extents[:90])
    engine = Engine(shapes, EngineSettings.of_side(32), 7)
    for key, crop in zip(keys, crops, strict=True):
        pair = engine.pair(index_of(key))
        np.testing.assert_array_equal(crop.labels, pair.labels)
        assert crop.labels.dtype == np.uint8
    assert len({crop.labels.tobytes() for crop in crops}) == len(keys)
    again = label_crop(train, keys[2], settings, STILL)
    np.testing.assert_array_equal(again.labels, crops[2].labels)


def test_held_out_maps_are_made_of_other_shapes(train):
    settings = MapCropSettings(side=32, element="none")
    held = painted_subjects(ENSEMBLES, 7, "validation")
    key = SampleKey(7, 3, 0)
    one, other = (label_crop(part, key, settings, STILL).labels for part in (train, held))
    assert (one != other)[(one > 0) | (other > 0)].mean() > 0.3


def test_crops_are_smaller_and_turned_where_settings_say_so(train):
    whole = label_crop(train, SampleKey(7, 0, 0), MapCropSettings(side=32, element="none"), STILL)
    any_way = MapCropSettings(side=16, element="any")
    seen = set()
    for number in range(6):
        crop = label_crop(train, SampleKey(7, 0, number), any_way, STILL)
        assert crop.labels.shape == (16, 16, 16)
        seen.add(crop.record.element)
        if number == 0:
            lower = [round(low + 0.5) for low in crop.record.lower]
            fits = np.array(crop.record.lower) + 0.5 == pytest.approx(lower, abs=0.51)
            assert fits
            places = [
                np.floor(low + 0.5 + np.arange(16) + 0.5).astype(int) for low in crop.record.lower
            ]
            expected = cube.act(whole.labels[np.ix_(*places)], crop.record.element)
            np.testing.assert_array_equal(crop.labels, expected)
    assert len(seen) > 3


def test_labels_of_scans_are_taken_as_they_are_and_renumbered_where_large():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 200, (20, 20, 20)).astype(np.uint8)
    large = (rng.integers(0, 3, (20, 20, 20)) * 700 + 5).astype(np.uint16)
    settings = MapCropSettings(side=16, element="none", scale=(1.25, 1.25))
    for labels in (small, large):
        crop = label_crop(Held([scan_with(labels)]), SampleKey(0, 0, 0), settings, STILL)
        # 16 voxels over all 20: each is the nearest to its middle.
        places = np.floor((np.arange(16) + 0.5) * 20 / 16).astype(int)
        expected = labels[np.ix_(places, places, places)]
        if labels is large:
            expected = (expected - 5) // 700
        np.testing.assert_array_equal(crop.labels, expected)
        assert crop.labels.dtype == np.uint8


def test_scans_without_labels_or_with_too_many_are_refused():
    settings = MapCropSettings(side=16)
    many = np.arange(16**3, dtype=np.uint16).reshape(16, 16, 16)
    bare = Scan(scan_with(many).volume, 0.0, 1.0, "subject-001", "0" * 64)
    with pytest.raises(MrisslError, match=r"subject-001: no labels.*--data heads or ensembles"):
        label_crop(Held([bare]), SampleKey(0, 0, 0), settings, STILL)
    with pytest.raises(MrisslError, match="4096 different labels"):
        label_crop(Held([scan_with(many)]), SampleKey(0, 0, 0), settings, STILL)


def test_crops_of_hardly_anything_but_air_are_drawn_again():
    labels = np.zeros((64, 64, 64), np.uint8)
    labels[:32, :32, :32] = 1
    subjects = Held([scan_with(labels)])
    settings = MapCropSettings(side=16)
    shares = [
        np.bincount(label_crop(subjects, SampleKey(0, 0, n), settings, STILL).labels.ravel()).max()
        / 16**3
        for n in range(40)
    ]
    assert np.mean([share > 0.95 for share in shares]) < 0.2


def test_places_are_different_voxels_or_all_of_them():
    rng = np.random.default_rng(0)
    some = draw_places(rng, 20, 500)
    assert len(set(some.tolist())) == 500
    assert some.min() >= 0
    assert some.max() < 8000
    assert sorted(draw_places(rng, 3, 500).tolist()) == list(range(27))


def test_turns_are_those_of_scipy():
    angles = np.array([0.3, -1.1, 2.0])
    np.testing.assert_allclose(rotation(angles), Rotation.from_euler("xyz", angles).as_matrix())


def test_an_affine_map_acts_about_the_middle():
    labels = np.random.default_rng(1).integers(1, 9, (8, 8, 8)).astype(np.uint8)
    assert turned(labels, np.random.default_rng(0), STILL) is labels
    same = OnlineSettings(affine=1.0, degrees=0.0, stretch=(1.0, 1.0))
    np.testing.assert_array_equal(turned(labels, np.random.default_rng(0), same), labels)
    half = OnlineSettings(affine=1.0, degrees=0.0, stretch=(0.5, 0.5))
    smaller = turned(labels, np.random.default_rng(0), half)
    assert (smaller[2:6, 2:6, 2:6] > 0).all()
    smaller[2:6, 2:6, 2:6] = 0
    assert not smaller.any()


def test_rare_labels_are_in_as_many_crops_as_frequent_ones():
    labels = np.zeros((64, 64, 64), np.uint8)
    labels[:, :, 32:] = 1
    labels[5:9, 5:9, 5:9] = 2
    subjects = Held([scan_with(labels)])
    share = {}
    for about in ("anything", "labels"):
        settings = MapCropSettings(side=16, about=about, element="none")
        keys = [SampleKey(0, 0, number) for number in range(200)]
        found = [label_crop(subjects, key, settings, STILL).labels for key in keys]
        share[about] = np.mean([2 in one for one in found])
    assert share["anything"] < 0.1
    # A third are drawn about it, and half of the others again, being of one label only.
    assert 0.3 < share["labels"] < 0.9
