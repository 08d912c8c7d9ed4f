"""Fields of body coordinates: gradients, folds and places, of coordinates that are known."""

import numpy as np
import pytest

from napari_mrissl.pretext.coordinates.body_axes import BodyAxes
from napari_mrissl.pretext.coordinates.field import Field
from napari_mrissl.pretext.lattices import Lattice
from napari_mrissl.volumes import Volume

MATRIX = np.array([[1.0, 0.2, 0.0], [0.0, 0.8, -0.1], [0.1, 0.0, 1.2]])
"""mm of coordinates for each mm along (R, A, S)."""


def field_with(coordinates_of, center=(0.0, 0.0, 0.0)):
    volume = Volume.from_stored(np.zeros((20, 24, 28), np.uint8), np.diag([2.0, 2.5, 3.0, 1.0]))
    lattice = Lattice.filling(volume, 4.0, 10**6)
    points = lattice.points_mm
    said = coordinates_of(points).reshape(*lattice.shape, 3)
    body = (np.linalg.norm(points, axis=1) < 22).reshape(lattice.shape)
    axes = BodyAxes(100 * np.eye(3), np.array(center), 1, 0.0)
    return Field(lattice, said, body, axes, own_axes=False)


def test_gradients_are_those_of_a_linear_map():
    field = field_with(lambda points: points @ MATRIX.T / 100)
    np.testing.assert_allclose(field.jacobian, np.broadcast_to(MATRIX, field.jacobian.shape))
    assert field.folded == 0


def test_mirrored_coordinates_are_folds_everywhere_and_noise_of_half_the_body():
    mirror = np.diag([-1.0, 1.0, 1.0])
    assert field_with(lambda points: points @ mirror.T / 100).folded == 1
    rng = np.random.default_rng(0)
    noise = field_with(lambda points: rng.random(points.shape))
    assert 0.35 < noise.folded < 0.65


def test_a_place_is_found_by_its_coordinates():
    field = field_with(lambda points: points @ MATRIX.T / 100)
    place = np.array([5.3, -7.1, 9.9])
    found, off = field.nearest(place @ MATRIX.T / 100)
    # Between the points of the field it is sought in steps of an eighth of a cell.
    assert np.abs(found - place).max() < 4.0 / 8
    assert off < 0.01
    np.testing.assert_allclose(field.at(place[None])[0], place @ MATRIX.T / 100)
    # What is nowhere in the body is told by how far off it is.
    _, off = field.nearest([2.0, 0.0, 0.0])
    assert off == pytest.approx(2.0 - 0.22, abs=0.08)


def test_what_is_looked_at_has_its_colours_and_bands_in_finer_steps():
    field = field_with(lambda points: points @ MATRIX.T / 100)
    drawn = field.drawn()
    points = drawn.lattice.points_mm.reshape(*drawn.lattice.shape, 3)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(drawn.mm[inner], (points @ MATRIX.T)[inner], atol=1e-3)
    colours = drawn.colours()
    assert colours[~drawn.body].max() == 0
    along = colours[drawn.lattice.shape[0] // 2, drawn.lattice.shape[1] // 2, :, 0].astype(int)
    body = drawn.body[drawn.lattice.shape[0] // 2, drawn.lattice.shape[1] // 2]
    assert (np.diff(along[body]) >= 0).all()
    bands = drawn.bands(2, 10.0)
    heights = drawn.mm[..., 2]
    assert all(np.ptp(heights[bands == n]) <= 10 for n in range(1, bands.max() + 1))
    assert bands[drawn.body].min() == 1
