"""The 48 ways a cube can be turned and mirrored, acting on arrays and vectors alike.

An element is a signed permutation matrix in the order of the array's axes (z, y, x): what
lies at p from the middle of an array lies at M p afterwards, and a vector v becomes M v.
One matrix for both is the point: the reference of arXiv:2211.08533 turns images and
vectors by separate routines, which disagree about one axis (corrected here).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError


def _elements() -> NDArray[np.int8]:
    matrices = np.zeros((48, 3, 3), np.int8)
    signed = itertools.product(
        itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    )
    for matrix, (axes, signs) in zip(matrices, signed, strict=True):
        matrix[range(3), axes] = signs
    # Turns first, mirror images after them, each in the order above: number 0 stays identity.
    turned = np.rint(np.linalg.det(matrices)) > 0
    ordered = np.concatenate([matrices[turned], matrices[~turned]])
    ordered.flags.writeable = False
    return ordered


ELEMENTS: NDArray[np.int8] = _elements()
"""(48, 3, 3) the matrices; 0 is the identity, 0 to 23 are rotations, 24 to 47 mirror too."""

IDENTITY = 0
ROTATIONS = 24
"""How many elements, counted from 0, are rotations."""


def checked(element: int) -> int:
    """The element's number.

    Raises
    ------
    MrisslError
        If it is not 0 to 47.
    """
    if isinstance(element, bool) or not isinstance(element, int | np.integer):
        raise MrisslError(f"cube element {element!r}", expected="a whole number from 0 to 47")
    if not 0 <= element < len(ELEMENTS):
        raise MrisslError(f"cube element {element}", expected="0 to 47")
    return int(element)


def act(array: NDArray[Any], element: int) -> NDArray[Any]:
    """A view of an array (..., Z, Y, X) with its last three axes turned.

    The sides are permuted with the axes where they differ.
    """
    axes, signs = signed_axes(element)
    first = array.ndim - 3
    turned = array.transpose(*range(first), *(first + axis for axis in axes))
    mirrored = tuple(first + axis for axis, sign in enumerate(signs) if sign < 0)
    return np.flip(turned, mirrored)


def act_vectors(vectors: ArrayLike, element: int) -> NDArray[Any]:
    """Vectors (..., 3) in the order (z, y, x), turned as `act` turns an array."""
    matrix = ELEMENTS[checked(element)].astype(np.float64)
    turned: NDArray[Any] = np.asarray(vectors) @ matrix.T
    return turned


def signed_axes(element: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Which axis each axis of the turned array was before, and whether it runs against it (-1)."""
    matrix = ELEMENTS[checked(element)]
    axes = np.abs(matrix).argmax(axis=1)
    signs = matrix.sum(axis=1)
    return (int(axes[0]), int(axes[1]), int(axes[2])), (
        int(signs[0]),
        int(signs[1]),
        int(signs[2]),
    )


def compose(second: int, first: int) -> int:
    """The element that does ``first``, then ``second``: the product of their matrices."""
    return _number(ELEMENTS[checked(second)] @ ELEMENTS[checked(first)])


def inverse(element: int) -> int:
    """The element that undoes another one."""
    return _number(ELEMENTS[checked(element)].T)


def nearest(matrix: ArrayLike) -> int:
    """The element whose matrix is nearest to a (3, 3) matrix, in the Frobenius norm.

    Raises
    ------
    MrisslError
        If it is no finite (3, 3) matrix.
    """
    given = np.asarray(matrix, np.float64)
    if given.shape != (3, 3) or not np.isfinite(given).all():
        raise MrisslError(f"matrix of shape {given.shape}", expected="3 x 3 finite numbers")
    # All elements have the same norm, so the nearest one has the largest inner product.
    return int(np.einsum("kij,ij->k", ELEMENTS, given).argmax())


def _number(matrix: NDArray[np.int8]) -> int:
    return int((matrix == ELEMENTS).all(axis=(1, 2)).argmax())
