"""Places found in another scan by coordinates: errors against a known map, and the alignment."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.same_places import across, alignment
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.geometry import apply_affine
from napari_mrissl.pretext.coordinates.body_axes import BodyAxes
from napari_mrissl.pretext.coordinates.field import Field
from napari_mrissl.pretext.lattices import Lattice
from napari_mrissl.registration.initial import initial_transform
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.samples import mni152

COUNT = 300
RADIUS = 30.0


def known_map():
    """A turn, a stretch and a shift, in world RAS mm."""
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", (6, -8, 11), degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.diag([1.05, 0.95, 1.0])
    matrix[:3, 3] = (14.0, -9.0, 6.0)
    return matrix


@pytest.fixture
def other():
    """A ball whose coordinates are its places, in hundreds of mm of the world."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40
    lattice = Lattice.filling(Volume.from_stored(np.zeros((41,) * 3), affine), 4.0, 10**6)
    places = lattice.to_world(lattice.points_mm)
    body = (np.linalg.norm(places, axis=1) < RADIUS).reshape(lattice.shape)
    axes = BodyAxes(100 * np.eye(3), np.zeros(3), 1, 0.0)
    said = (places / 100).reshape(*lattice.shape, 3)
    return Field(lattice, said, body, axes, own_axes=False)


@pytest.fixture
def world():
    """Points of the one scan whose true places fill a cube about the ball."""
    true = np.random.default_rng(1).uniform(-RADIUS, RADIUS, (COUNT, 3))
    return apply_affine(np.linalg.inv(known_map()), true)


def test_errors_are_those_of_the_answers(other, world):
    true = apply_affine(known_map(), world)
    inner = np.linalg.norm(true, axis=1) < RADIUS - 6
    found = across(world[inner], true[inner] / 100, other, known_map())
    # Places are sought in steps of an eighth of a cell of 4 mm.
    assert found["across_p90_mm"] < 0.5
    assert found["across_points"] == inner.sum()
    away = np.linalg.norm(world[inner] - true[inner], axis=1)
    assert found["header_across_median_mm"] == pytest.approx(np.median(away))
    assert found["header_across_p90_mm"] == pytest.approx(np.percentile(away, 90))
    # Answers that are 6 mm off are said to be.
    off = (true[inner] + (6.0, 0.0, 0.0)) / 100
    missed = across(world[inner], off, other, known_map())
    assert missed["across_median_mm"] == pytest.approx(6.0, abs=0.3)
    # Two points of a ball are 36/35 of its radius from each other in the mean.
    assert 0.6 * RADIUS < missed["chance_across_median_mm"] < 1.2 * RADIUS


def test_places_that_the_other_body_has_not_are_left_out(other, world):
    true = apply_affine(known_map(), world)
    found = across(world, true / 100, other, known_map())
    inside = (np.linalg.norm(true, axis=1) < RADIUS).sum()
    # The edge of the body is one of cells.
    assert found["across_points"] == pytest.approx(inside, rel=0.1)
    assert found["across_points"] + found["across_outside"] == COUNT
    far = np.eye(4)
    far[:3, 3] = 500
    with pytest.raises(MrisslError, match="only 0 of 300 points are in both scans"):
        across(world, true / 100, other, far)


def small_head():
    """The template in voxels of 4 mm, and the same moved by the known map."""
    head = mni152(2)
    to_coarse = np.diag([2.0, 2.0, 2.0, 1.0])
    voxels, affine = head.data[::2, ::2, ::2], head.affine @ to_coarse
    return Volume.from_stored(voxels, affine), Volume.from_stored(voxels, known_map() @ affine)


def test_the_alignment_finds_a_known_map():
    fixed, moving = small_head()
    told = []
    found = alignment(fixed, moving, lambda part, step: told.append((part, step)))
    places = apply_affine(fixed.affine, np.argwhere(fixed.data > 0)[::50])
    apart = np.linalg.norm(apply_affine(found, places) - apply_affine(known_map(), places), axis=1)
    # A quarter of a voxel.
    assert np.median(apart) < 1.0
    assert {step.split(",")[0] + step.split(",")[1] for _, step in told} == {
        "Aligning rigid", "Aligning affine",
    }  # fmt: skip
    with pytest.raises(Cancelled):
        alignment(fixed, moving, cancelled=lambda: True)


def test_a_brain_is_found_in_a_head_that_moments_would_turn():
    brain, _ = small_head()
    neck = 30
    voxels = np.zeros((brain.shape[0] + neck, *brain.shape[1:]), np.uint8)
    voxels[neck:] = brain.data
    voxels[: neck + 4, 10:-10, 8:-8] = np.maximum(voxels[: neck + 4, 10:-10, 8:-8], 90)
    affine = brain.affine.copy()
    affine[:3, 3] = apply_affine(brain.affine, (-neck, 0, 0))
    head = Volume.from_stored(voxels, affine)
    # Its longest axis is not the brain's.
    assert np.trace(initial_transform(brain, head, "moments")[:3, :3]) < 2
    found = alignment(head, brain)
    places = apply_affine(brain.affine, np.argwhere(brain.data > 0)[::50])
    apart = np.linalg.norm(apply_affine(found, places) - places, axis=1)
    assert np.median(apart) < 1.0
