"""The 48 elements act on arrays and vectors alike, and make a group."""

import numpy as np
import pytest
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import cube

EVERY = range(48)


def test_there_are_48_different_signed_permutations_with_the_identity_first() -> None:
    assert len({matrix.tobytes() for matrix in cube.ELEMENTS}) == 48
    gram = np.einsum("kij,klj->kil", cube.ELEMENTS, cube.ELEMENTS)
    assert (gram == np.eye(3)).all()
    assert (cube.ELEMENTS[cube.IDENTITY] == np.eye(3)).all()
    signs = np.rint(np.linalg.det(cube.ELEMENTS.astype(float)))
    assert (signs[: cube.ROTATIONS] == 1).all()
    assert (signs[cube.ROTATIONS :] == -1).all()


@pytest.mark.parametrize("element", EVERY)
def test_a_bright_voxel_goes_where_its_vector_goes(element: int) -> None:
    shape = (5, 7, 10)
    place = np.array([1, 6, 2])
    array = np.zeros(shape)
    array[tuple(place)] = 1
    turned = cube.act(array, element)
    from_middle = place - (np.array(shape) - 1) / 2
    (found,) = np.argwhere(turned)
    expected = cube.act_vectors(from_middle, element)
    np.testing.assert_array_equal(found - (np.array(turned.shape) - 1) / 2, expected)
    np.testing.assert_array_equal(turned.shape, np.abs(cube.act_vectors(shape, element)))


@pytest.mark.parametrize("element", EVERY)
def test_scipy_turns_an_image_by_the_same_matrix(element: int) -> None:
    image = np.random.default_rng(element).random((6, 6, 6))
    back = cube.ELEMENTS[element].T.astype(float)
    middle = np.full(3, 2.5)
    expected = ndimage.affine_transform(image, back, middle - back @ middle, order=0)
    np.testing.assert_array_equal(cube.act(image, element), expected)


def test_leading_axes_stay_and_nothing_is_copied() -> None:
    batch = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    for element in EVERY:
        turned = cube.act(batch, element)
        assert np.shares_memory(turned, batch)
        np.testing.assert_array_equal(turned[1, 2], cube.act(batch[1, 2], element))


def test_composition_and_inverse_are_those_of_the_group() -> None:
    image = np.arange(60).reshape(3, 4, 5)
    for first in EVERY:
        there_and_back = cube.act(cube.act(image, first), cube.inverse(first))
        np.testing.assert_array_equal(there_and_back, image)
        assert {cube.compose(second, first) for second in EVERY} == set(EVERY)
        for second in range(0, 48, 7):
            np.testing.assert_array_equal(
                cube.act(cube.act(image, first), second),
                cube.act(image, cube.compose(second, first)),
            )


def test_the_nearest_element_to_a_disturbed_one_is_itself() -> None:
    rng = np.random.default_rng(0)
    for element in EVERY:
        disturbed = 3 * cube.ELEMENTS[element] + rng.normal(0, 0.4, (3, 3))
        assert cube.nearest(disturbed) == element


@pytest.mark.parametrize("wrong", [-1, 48, 1.0, True, None])
def test_what_is_no_element_is_refused(wrong: object) -> None:
    with pytest.raises(MrisslError, match="cube element"):
        cube.act(np.zeros((2, 2, 2)), wrong)


@pytest.mark.parametrize("wrong", [np.eye(2), np.full((3, 3), np.nan)])
def test_what_is_no_matrix_has_no_nearest_element(wrong: np.ndarray) -> None:
    with pytest.raises(MrisslError, match="matrix"):
        cube.nearest(wrong)
