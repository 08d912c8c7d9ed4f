"""The 192 grids on which geometry is tested: orientations x spacings x obliqueness."""

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

SPACINGS = {"iso": (1.0, 1.0, 1.0), "aniso": (0.5, 0.7, 5.0)}
TILTS = {"straight": 0.0, "oblique": 17.0}
SHAPE = (5, 6, 7)


def grids() -> Iterator[tuple[str, np.ndarray]]:
    """Names and index-to-RAS affines of all 48 x 2 x 2 grids."""
    for spacing, tilt in itertools.product(SPACINGS, TILTS):
        turn = Rotation.from_rotvec(np.radians(TILTS[tilt]) * np.array([2, -1, 2]) / 3)
        for order in itertools.permutations(range(3)):
            for signs in itertools.product((1, -1), repeat=3):
                axes = np.zeros((3, 3))
                axes[list(order), range(3)] = signs
                affine = np.eye(4)
                affine[:3, :3] = turn.as_matrix() @ axes * SPACINGS[spacing]
                affine[:3, 3] = (-12.5, 20.25, 3.0)
                letters = "".join("xyz"[o] + "-+"[s > 0] for o, s in zip(order, signs, strict=True))
                yield f"{letters} {spacing} {tilt}", affine


def numbered(shape: tuple[int, ...] = SHAPE, dtype: str = "int16") -> np.ndarray:
    """An array in which every voxel has its own value."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)
