"""Where a linear alignment begins: headers, middles of grids, moments, or landmarks."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.registration.landmark_fit import fitted
from napari_mrissl.registration.settings import Initial
from napari_mrissl.volumes import Volume

_MOST = 400_000
"""Voxels looked at for moments."""

_ROUND = 0.05
"""By how much principal spreads must differ for their axes to be told apart."""


def initial_transform(
    fixed: Volume,
    moving: Volume,
    how: Initial,
    landmarks: NDArray[np.float64] | None = None,
    *,
    rigid: bool = False,
) -> NDArray[np.float64]:
    """(4, 4) from the fixed to the moving world, RAS mm; never a mirror image.

    Moments match the centres of mass of what is brighter than the background, and the principal
    axes by the smallest of the four rotations that do so; axes of alike spreads, which chance
    would turn, are left. Of landmarks (N, 2, 3) in RAS mm those count that agree, see
    `landmark_fit.fitted`; with `rigid` lengths are kept.

    Raises
    ------
    MrisslError
        If moments are asked for and a scan has no contrast, or landmarks and there are none or
        too few.
    """
    matrix = np.eye(4)
    if how == "centres":
        matrix[:3, 3] = moving.center - fixed.center
    elif how == "moments":
        one, other = _moments(fixed), _moments(moving)
        rotation = _smallest_rotation(one, other)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = other[0] - rotation @ one[0]
    elif how == "landmarks":
        if landmarks is None:
            raise MrisslError(
                "no landmarks given", where="initial", expected="a table of places in both scans"
            )
        matrix, _ = fitted(landmarks, rigid=rigid)
    return matrix


Moments = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _moments(volume: Volume) -> Moments:
    """Centre of mass (3,), spreads (3,) and principal axes (3, 3) in columns, RAS mm."""
    step = max(1, round((volume.data.size / _MOST) ** (1 / 3)))
    low, high = volume.value_range()
    sample = volume.data[::step, ::step, ::step]
    values = (volume.slope * sample.astype(np.float64) + volume.intercept - low) / (high - low)
    values = np.clip(np.nan_to_num(values), 0, 1)
    weights = np.where(values > values.mean(), values, 0)
    chosen = np.argwhere(weights)
    if not len(chosen):
        raise MrisslError(
            "all voxels have the same value",
            where=volume.name,
            expected="a scan with some contrast",
        )
    mass = weights[tuple(chosen.T)]
    places = apply_affine(volume.affine, chosen * step)
    centre = np.average(places, axis=0, weights=mass)
    spread = np.cov(places.T, aweights=mass)
    values, axes = np.linalg.eigh(spread)
    return centre, np.sqrt(np.maximum(values, 0)), axes


def _smallest_rotation(fixed: Moments, moving: Moments) -> NDArray[np.float64]:
    for _, spreads, _ in (fixed, moving):
        if np.diff(spreads).min() < _ROUND * spreads.max():
            return np.eye(3)
    rotations = []
    for signs in itertools.product((1.0, -1.0), repeat=3):
        rotation = moving[2] @ np.diag(signs) @ fixed[2].T
        if np.linalg.det(rotation) > 0:
            rotations.append(rotation)
    return np.asarray(max(rotations, key=np.trace), np.float64)
