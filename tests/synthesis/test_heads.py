"""Painted heads: where the labels lie, what the grey values are, and who is in which split."""

import numpy as np
import pytest
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.deformation import DeformationSettings, Sampler, draw_deformation
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.synthesis.head_templates import (
    cubic_affine,
    head_template,
    subjects_of_folder,
    subjects_of_mni152,
)
from napari_mrissl.synthesis.heads import Heads, HeadSettings
from napari_mrissl.synthesis.tissues import FREESURFER_TISSUES, LEFT_OF_RIGHT, LOOKS, SOFT_TISSUE
from napari_mrissl.volumes import Volume
from tests.data import shared_data
from tests.synthesis.label_heads import MIDDLE, write_label_heads

SIDE = 48


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    return subjects_of_folder(write_label_heads(tmp_path_factory.mktemp("maps") / "heads", 4))


def painted(subjects, contrast="realistic", seed=7, **changes):
    return Heads(subjects, HeadSettings(side=SIDE, contrast=contrast, **changes), seed)


def world(head, *labels):
    """Mean place in RAS mm of the voxels with these labels."""
    places = np.argwhere(np.isin(head.labels, labels))
    return (places @ head.image.affine[:3, :3].T + head.image.affine[:3, 3]).mean(axis=0)


@pytest.mark.parametrize("contrast", ["realistic", "random"])
def test_a_head_is_a_function_of_seed_and_index(subjects, contrast):
    first, again = painted(subjects, contrast), painted(subjects, contrast)
    again.head(2)
    a, b = first.head(5), again.head(5)
    np.testing.assert_array_equal(a.image.data, b.image.data)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.record == b.record
    assert a.subject == b.subject == "head-02"  # the fifth after the fourth is the second
    other = painted(subjects, contrast, seed=8).head(5)
    assert (other.labels != a.labels).mean() > 0.01


def test_image_and_labels(subjects):
    head = painted(subjects).head(0)
    assert head.image.data.dtype == np.float32
    assert head.image.shape == head.labels.shape == (SIDE,) * 3
    assert (head.image.data.min(), head.image.data.max()) == (0.0, 1.0)
    assert set(np.unique(head.labels)) == {0, 2, 3, 24, 41, 42, 507, 511, 515}
    # The whole head is in the picture, and it fills most of it.
    shell = np.ones(head.labels.shape, bool)
    shell[1:-1, 1:-1, 1:-1] = False
    assert (head.labels[shell] > 0).mean() < 0.02
    assert head.image.spacing == pytest.approx([head.record["spacing_mm"]] * 3)


def test_left_stays_left_and_the_head_stays_in_place(subjects):
    heads = painted(subjects)
    for index in range(4):
        head = heads.head(index)
        left, right = world(head, 2, 3), world(head, 41, 42)
        assert right[0] - left[0] > 15
        assert head.image.stored.orientation == "RAS"
        np.testing.assert_allclose(world(head, 2, 3, 41, 42), MIDDLE, atol=12)


def test_without_deformation_the_grid_is_the_templates(subjects):
    still = DeformationSettings(degrees=0, scale=0, shear=0, shift=0, elastic_std=(0, 0))
    head = painted(subjects, deformation=still, spacing=4.0).head(1)
    # A fresh look at the file's own voxels, by nibabel's rule.
    template = subjects[1].load()
    for place in np.random.default_rng(0).integers(0, SIDE, (400, 3)):
        point = head.image.affine @ [*place, 1]
        near = np.floor((template.to_index @ point)[:3] + 0.5).astype(int)
        inside = np.all((near >= 0) & (near < template.numbers.shape))
        expected = template.labels[template.numbers[tuple(near)]] if inside else 0
        assert head.labels[tuple(place)] == expected


def test_a_deformation_never_folds():
    side = 32
    affine = cubic_affine(np.zeros(3), side, 240 / side)
    # Linear interpolation of a ramp gives back the place that was looked up.
    ramps = np.indices((3 * side,) * 3, np.float32)
    to_index = np.linalg.inv(cubic_affine(np.zeros(3), 3 * side, 240 / side))
    for index in range(20):
        move = draw_deformation(generator(1, index, "test"), DeformationSettings())
        sampler = Sampler(to_index, affine, side, move)
        places = np.stack([sampler.linear(ramp) for ramp in ramps])
        assert places.min() > 0
        steps = np.stack([np.gradient(place) for place in places.astype(float)])
        volumes = np.linalg.det(np.moveaxis(steps, (0, 1), (-2, -1)))
        assert volumes.min() > 0.2
        assert volumes.max() < 3


def test_a_deformed_template_is_scipys(subjects):
    """Displacements by torch's upsampling, look-up by scipy."""
    torch = pytest.importorskip("torch")
    side, rng = 32, np.random.default_rng(4)
    affine = cubic_affine(np.array([3.0, -4, 5]), side, 7.0)
    oblique = np.array([[0.3, -0.1, 4, -80], [0.2, 4, 0.1, -90], [4, 0, 0.2, -85], [0, 0, 0, 1]])
    to_index = np.linalg.inv(oblique)
    move = draw_deformation(generator(1, 3, "test"), DeformationSettings())
    shifts, start = np.zeros((3, side, side, side)), 0
    for n in move.nodes:
        field = torch.from_numpy(move.coarse[:, start : start + n**3]).view(1, 3, n, n, n)
        shifts += torch.nn.functional.interpolate(field, size=(side,) * 3, mode="trilinear")[
            0
        ].numpy()
        start += n**3
    grid = np.moveaxis(np.indices((side,) * 3), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    middle = affine[:3, :3] @ ([(side - 1) / 2] * 3) + affine[:3, 3]
    points = (grid - middle) @ move.matrix.T + middle + move.shift + np.moveaxis(shifts, 0, -1)
    places = np.moveaxis(points @ to_index[:3, :3].T + to_index[:3, 3], -1, 0)
    values = rng.random((40, 50, 45)).astype(np.float32)
    labels = rng.integers(1, 9, values.shape).astype(np.uint8)
    sampler = Sampler(to_index, affine, side, move)
    expected = ndimage.map_coordinates(values, places, order=1)
    made = sampler.linear(values)
    assert 0.3 < (expected > 0).mean() < 0.95
    # Places on the border to a ten-thousandth may fall to either side.
    assert np.count_nonzero(np.abs(made - expected) > 1e-4) <= 5
    near = np.floor(places + 0.5).astype(int)
    inside = np.all((near >= 0) & (labels.shape > near.T).T, axis=0)
    expected = np.where(inside, labels[tuple(np.where(inside, near, 0))], 0)
    assert np.count_nonzero(sampler.nearest(labels) != expected) <= 10


def test_realistic_contrast_orders_tissues_and_shares_sides(subjects):
    stages = ("bias", "spike", "contrast", "smooth", "gibbs", "sharpen", "low_resolution")
    chain = {stage: {"probability": 0.0} for stage in stages}
    flat = {"noise_amplitude": 0}
    heads = painted(subjects, augmentation=chain, appearance=flat, noise=(2, 2))
    seen = set()
    for index in range(12):
        head = heads.head(index)
        values = {k: head.image.data[head.labels == k].mean() for k in (0, 2, 3, 24, 41, 42, 515)}
        assert values[2] == pytest.approx(values[41], abs=0.01)
        assert values[3] == pytest.approx(values[42], abs=0.01)
        assert values[0] < 0.05 > values[515] - 0.1
        contrast = head.record["appearance"]["contrast"]
        order = [values[2], values[3], values[24]]
        assert order == sorted(order, reverse=contrast == "t1"), contrast
        seen.add(contrast)
    assert seen == {"t1", "t2", "pd"}


def test_random_contrast_is_independent_of_tissue(subjects):
    heads = painted(subjects, "random")
    levels = [heads.head(index).record["appearance"]["means"][1:] for index in range(8)]
    assert np.std(levels, axis=0).min() > 25
    assert 25 <= np.min(levels) < 80 < 200 < np.max(levels) <= 255


def test_a_quarter_of_the_subjects_is_for_tests(subjects):
    assert [s.split for s in subjects] == ["train", "train", "train", "test"]
    for split, names in (("train", {"head-01", "head-02", "head-03"}), ("test", {"head-04"})):
        heads = Heads(subjects, HeadSettings(side=16), split=split)
        assert {heads.head(index).subject for index in range(5)} == names
    with pytest.raises(MrisslError, match="none of 3 label maps is for test"):
        Heads(subjects[:3], split="test")


def test_bad_label_maps_get_a_sentence():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 900, (20, 20, 20))
    for values, words in (
        (np.zeros((8, 8, 8), np.uint8), "0 labels; expected 1 to 254 beside"),
        (np.ones((8, 8, 8), np.uint8), "the one label 1 everywhere"),
        (rng.random((8, 8, 8)).astype(np.float32), "no whole numbers"),
        (grey.astype(np.int16), "this looks like an image"),
        (np.arange(512, dtype=np.int16).reshape(8, 8, 8).repeat(4, axis=0), "511 labels"),
    ):
        with pytest.raises(MrisslError, match=words):
            head_template(Volume.from_stored(values, np.eye(4)), "a", "train")


def test_every_tissue_has_a_look_and_every_right_label_a_left_one():
    assert set(FREESURFER_TISSUES.values()) - {SOFT_TISSUE} <= set(LOOKS)
    assert set(LEFT_OF_RIGHT.values()) <= set(FREESURFER_TISSUES)


def test_mni152_stands_in():
    subjects = subjects_of_mni152()
    assert [s.split for s in subjects].count("train") == 8
    heads = Heads(subjects[:1], HeadSettings(side=SIDE), seed=1)
    head = heads.head(0)
    assert head.subject == "mni152-01"
    assert set(np.unique(head.labels)) == {0, 1, 2, 3}
    white, grey, fluid = (head.image.data[head.labels == k].mean() for k in (2, 1, 3))
    assert white > grey > fluid > head.image.data[head.labels == 0].mean()


def test_real_templates_train_on_nine_and_test_on_three():
    subjects = subjects_of_folder(shared_data("label_templates"))
    splits = [s.split for s in subjects]
    assert splits == ["train"] * 9 + ["test"] * 3
    heads = Heads(subjects[8:10], HeadSettings(side=64), seed=3)
    for index, name in ((0, "head-09"), (1, "head-10")):
        head = heads.head(index)
        assert head.subject == name
        assert world(head, 41)[0] - world(head, 2)[0] > 30
        assert world(head, 506)[1] > world(head, 8, 47)[1] + 80  # eyes before cerebellum
        assert None not in heads._template(index).tissues
        # Of the adult brain, cerebral white and grey matter take about a litre.
        litres = np.isin(head.labels, (2, 3, 41, 42)).sum() * head.record["spacing_mm"] ** 3 / 1e6
        assert 0.6 < litres < 1.4
