"""Real pairs: a displaced scan of the same person comes back to the same place."""

import numpy as np
import pytest
from data import shared_data
from real_pairs import MOVE_MM, same_person

from napari_mrissl.registration import register

WITHIN_MM = 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_displaced_proton_density_scan_comes_back_onto_the_t1(seed):
    shared_data("brain/chris_t1.nii.gz")
    pair = same_person(shared_data("brain/chris_PD.nii.gz").parents[1], seed)
    places, there = pair.truth
    assert np.linalg.norm(places - there, axis=-1).mean() > 0.6 * MOVE_MM
    settings = pair.settings.model_copy(update={"deformable": False})
    found = register(pair.fixed, pair.moving, settings).transform
    errors = np.linalg.norm(found(places) - there, axis=-1)
    assert errors.mean() <= WITHIN_MM
