"""Image and labels of a crop are of the same places, and left stays left."""

import numpy as np
import pytest

from napari_mrissl.features import filters
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.segmentation.finetuning.samples import (
    Centres,
    cut,
    draw_place,
    draw_turn,
    recoloured,
    scaled,
    upright,
)
from napari_mrissl.segmentation.finetuning.task_settings import (
    UNLABELLED,
    AppearanceSettings,
    FinetuneTaskSettings,
    LabelClass,
    SpatialSettings,
)
from napari_mrissl.volumes import Volume
from tests.segmentation.finetuning.balls import scan

CLASSES = tuple(LabelClass(label=n, name=str(n)) for n in range(3))


def settings(patch=(16, 16, 16), **changes) -> FinetuneTaskSettings:
    backbone = {"name": "residual_unet", "width": 8, "depth": 4}
    return FinetuneTaskSettings(classes=CLASSES, patch=patch, backbone=backbone, **changes)


def halves(shape=(20, 22, 24)):
    """A smooth image along R, and labels that say which third of it."""
    r = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
    image = np.broadcast_to(r, shape)
    return image, np.minimum(np.floor(image * 3), 2).astype(np.uint8)


def test_an_upright_crop_is_the_scan_and_nothing_beyond_it():
    rng = np.random.default_rng(0)
    image, labels = rng.random((9, 10, 30), np.float32), rng.integers(0, 3, (9, 10, 30), np.uint8)
    one = scan(image, labels)
    # Axes are S, A, R: in the middle of an even number of voxels, between two of them.
    place = upright(one, np.array([19.5, 4.5, 4.5]), settings(patch=(16, 24, 16)))
    grey, known = cut(one, place)
    expected = np.zeros((16, 24, 16), np.float32)
    expected[:, 7:17, 3:12] = image.transpose(2, 1, 0)[12:28]
    np.testing.assert_allclose(grey, expected, atol=1e-6)
    wanted = np.full((16, 24, 16), UNLABELLED, np.uint8)
    wanted[:, 7:17, 3:12] = labels.transpose(2, 1, 0)[12:28]
    np.testing.assert_array_equal(known, wanted)


def test_image_and_labels_are_turned_alike():
    image, labels = halves()
    one = scan(image, labels)
    centres = Centres(3)
    seen = 0
    for number in range(6):
        grey, known = cut(one, draw_place(one, centres, settings(), SampleKey(1, 0, number)))
        inside = known != UNLABELLED
        # A voxel that lies well within a third has that third's label.
        thirds = grey * 3
        clear = inside & (np.abs(thirds - np.rint(thirds)) > 0.25) & (grey > 0.05) & (grey < 0.95)
        np.testing.assert_array_equal(known[clear], np.floor(thirds[clear]).astype(np.uint8))
        seen += int(clear.sum())
    assert seen > 3000


def test_left_never_becomes_right():
    rng = np.random.default_rng(0)
    for mirror in ("none", "safe"):
        spatial = SpatialSettings(degrees=20, mirror=mirror)
        turns = np.array([draw_turn(rng, spatial) for _ in range(200)])
        # How much of R in the crop is R of the scan.
        assert (turns[:, 2, 2] > 0.5).all()
        mirrored = np.linalg.det(turns) < 0
        assert mirrored.any() == (mirror == "safe")


def test_a_turn_of_nothing_is_none():
    still = SpatialSettings(degrees=0, scale=0, shear=0, probability=1)
    np.testing.assert_allclose(draw_turn(np.random.default_rng(1), still), np.eye(3), atol=1e-12)


def test_every_class_is_met_as_often_as_any_other():
    image, labels = halves((30, 30, 30))
    labels[:] = 0
    labels[10, 10, 10] = 1
    labels[20:22, 20:22, 20:22] = 2
    centres, rng = Centres(3), np.random.default_rng(0)
    one = scan(image, labels)
    drawn = [one.labels[tuple(centres.drawn(one, rng).astype(int))] for _ in range(300)]
    assert np.bincount(drawn, minlength=3).min() > 70


def test_crops_hold_the_labels_they_are_drawn_for():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[3, 36, 20] = 1
    one = scan(np.zeros_like(labels, np.float32), labels)
    hit = 0
    for number in range(40):
        key = SampleKey(0, -1, number)
        _, known = cut(one, draw_place(one, Centres(3), settings(), key))
        assert not (known == UNLABELLED).any()  # the crop fits the scan
        hit += (known == 1).any()
    assert 10 <= hit < 40


def test_another_spacing_shows_the_same_millimetres():
    distance = np.linalg.norm(
        np.indices((24, 24, 12)) - np.reshape([12, 12, 6], (3, 1, 1, 1)), axis=0
    )
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    labels = (distance < 5).astype(np.uint8)
    one = scan(labels.astype(np.float32), labels, affine)
    wanted = settings(spacing=(1.0, 1.0, 1.0))
    _, known = cut(one, upright(one, np.array([6.0, 12.0, 12.0]), wanted))
    ml = (known == 1).sum()
    assert ml == pytest.approx(labels.sum() * 2, rel=0.1)
    assert (known == 1).any(axis=(1, 2)).sum() > 1.5 * (known == 1).any(axis=(0, 1)).sum()


def test_what_is_not_a_class_is_not_labelled():
    labels = np.full((16, 16, 16), 7, np.uint8)
    labels[8] = 1
    one = scan(np.ones((16, 16, 16), np.float32), labels)
    _, known = cut(one, upright(one, np.array([7.5] * 3), settings()))
    assert set(np.unique(known)) == {1, 7}


def test_recolouring_keeps_shape_range_and_what_was_drawn():
    rng = np.random.default_rng(5)
    image = rng.uniform(0.2, 0.7, (8, 12, 10)).astype(np.float32)
    changed = 0
    for number in range(12):
        key = SampleKey(2, 7, number)
        quiet = AppearanceSettings(noise=0)
        found = recoloured(image, quiet, key)
        assert found.shape == image.shape
        assert found.min() >= 0.2 - 1e-5
        assert found.max() <= 0.7 + 1e-5
        np.testing.assert_array_equal(found, recoloured(image, quiet, key))
        changed += not np.allclose(found, image, atol=1e-3)
    assert 4 <= changed <= 12
    flat = np.full((8, 8, 8), 0.3, np.float32)
    np.testing.assert_array_equal(recoloured(flat, AppearanceSettings(), SampleKey(0, 0, 0)), flat)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (-2.0, 30.0)])
def test_training_sees_the_grey_values_that_prediction_sees(slope, intercept):
    values = np.random.default_rng(3).normal(100, 60, (7, 6, 5))
    values[0, 0, :4] = np.nan, np.inf, -np.inf, 1e300
    volume = Volume.from_stored(values, np.eye(4), slope=slope, intercept=intercept)
    low, high = sorted(slope * np.array([60.0, 190.0]) + intercept)
    one = Scan(volume, low, high, "subject-001", volume.identity, None)
    box = (slice(0, 4), slice(0, 6), slice(0, 7))
    found = scaled(one, box)
    expected = filters.scaled(volume, (low, high), (0.0, 1.0))
    np.testing.assert_allclose(found, expected[box], atol=1e-5)
    # Along (S, A, R): what is not finite is as dark as can be, what is large is not.
    ends = np.array([0, 0, 0, 1.0 if slope > 0 else 0.0])
    np.testing.assert_array_equal(found[:4, 0, 0], ends)
