"""Folds go, and what is not near them stays as it is."""

import numpy as np
from warped_pairs import cube_affine, smooth_field

from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.transform import jacobian
from napari_mrissl.registration.unfolding import unfolded

SIDE = 40
GRID = Grid((SIDE,) * 3, cube_affine(SIDE, 1.5))


def test_a_field_without_folds_stays_as_it_is():
    field = smooth_field(SIDE, 4.0, 0, sigma=8).astype(np.float32)
    assert jacobian(field, GRID).min() > 0
    np.testing.assert_array_equal(unfolded(field.copy(), GRID), field)


def test_folds_are_smoothed_away_and_nothing_else():
    field = smooth_field(SIDE, 4.0, 1, sigma=8).astype(np.float32)
    field[18:21, 18:21, 18:21] += np.float32(9)
    before = jacobian(field, GRID)
    assert (before <= 0).sum() > 20
    found = unfolded(field.copy(), GRID)
    assert jacobian(found, GRID).min() > 0
    away = np.ones(GRID.shape, bool)
    away[4:36, 4:36, 4:36] = False
    np.testing.assert_array_equal(found[away], field[away])
    assert np.abs(found - field)[19, 19, 19].min() > 1
