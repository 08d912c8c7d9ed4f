"""Letters of directions, as nibabel names them, and of oblique ones the strongest first."""

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_mrissl.geometry import letters


@pytest.mark.parametrize("seed", range(10))
def test_the_first_letter_is_that_of_nibabel(seed):
    rotation = Rotation.random(random_state=seed).as_matrix()
    strongest = np.abs(rotation).argmax(axis=0)
    codes = nibabel.aff2axcodes(np.block([[rotation, np.zeros((3, 1))], [0, 0, 0, 1]]))
    for column in range(3):
        # nibabel names each axis once, which need not be that of the largest component.
        if np.bincount(strongest, minlength=3).max() == 1:
            assert letters(rotation[:, column])[0] == codes[column]


def test_weak_components_are_left_out():
    assert letters((3, 0, 0)) == "R"
    assert letters((-1, 0.19, 0)) == "L"
    assert letters((0, 0.5, -0.9)) == "IA"
