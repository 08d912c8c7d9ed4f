"""Do features survive another appearance of the same anatomy? Retrieval and histograms.

The question of the contrastive method (arXiv:2411.02372): in two images of one anatomy,
features of one place should be alike and features of other places not. Every number
comes with what features that know nothing would get.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.similarity import channels_at

BINS = np.linspace(-1, 1, 61)
"""Edges of the histograms of cosines."""

_LEAST = 10


@dataclass(frozen=True, eq=False)
class Invariance:
    """How alike the features of two images of one anatomy are.

    Attributes
    ----------
    places
        How many voxels were looked at; each was searched among all of them.
    found
        Share of voxels whose best match in the other image is the very same place.
    chance_found
        One over the number of places.
    found_near, chance_near
        Share whose best match lies within `near_mm`, and that of a random match.
    near_mm
        Millimetres that count as near.
    found_label, chance_label
        Share whose best match has the same label, and that of a random match; None without
        labels.
    distance_mm
        Median distance from a voxel to its best match.
    same_place, same_label, other
        Histograms over `BINS`, as shares: cosines of a place with itself in the other image;
        of other places with the same label (None without labels); and of all others.
    correlation
        (C,) of each channel between the images, over the places; 0 for a constant channel.
    """

    places: int
    found: float
    chance_found: float
    found_near: float
    chance_near: float
    near_mm: float
    found_label: float | None
    chance_label: float | None
    distance_mm: float
    same_place: NDArray[np.float64]
    same_label: NDArray[np.float64] | None
    other: NDArray[np.float64]
    correlation: NDArray[np.float64]


def measure_invariance(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    numbers: NDArray[np.int64],
    spacing: NDArray[np.float64],
    labels: NDArray[np.integer] | None = None,
    *,
    places: int = 1000,
    near_mm: float = 5.0,
    standardised: bool = False,
    seed: int = 0,
) -> Invariance:
    """Search places of one image in the other, by the cosine of their features.

    Parameters
    ----------
    one, other
        (C, S, A, R) features of two images on one grid, where the same voxel is the same
        place.
    numbers
        Flat numbers of the voxels to draw places from, as of the foreground.
    spacing
        (3,) mm along (S, A, R).
    labels
        (S, A, R) what each voxel is, where that is known.
    places
        How many voxels are drawn, at most; the matrix of all pairs is computed.
    near_mm
        Millimetres within which a match counts as near.
    standardised
        Whether each image's channels are first centred and divided by their spread.
    seed
        Of the draw.

    Raises
    ------
    MrisslError
        If the features differ in shape or there are too few places.
    """
    if one.shape != other.shape:
        raise MrisslError(
            f"features of shapes {one.shape} and {other.shape}", expected="one grid and channels"
        )
    drawn = drawn_places(numbers, places, seed)
    return compare_places(
        channels_at(one, drawn),
        channels_at(other, drawn),
        drawn,
        one.shape[1:],
        spacing,
        labels,
        near_mm=near_mm,
        standardised=standardised,
    )


def drawn_places(numbers: NDArray[np.int64], places: int, seed: int = 0) -> NDArray[np.int64]:
    """At most so many of some voxels, drawn at random, in ascending order.

    Raises
    ------
    MrisslError
        If there are too few to say anything.
    """
    if len(numbers) > places:
        drawn = np.random.default_rng(seed).choice(numbers, places, replace=False)
        numbers = np.sort(drawn)
    if len(numbers) < _LEAST:
        raise MrisslError(f"{len(numbers)} voxels to compare", expected=f"at least {_LEAST}")
    return numbers


def compare_places(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    numbers: NDArray[np.int64],
    shape: tuple[int, ...],
    spacing: NDArray[np.float64],
    labels: NDArray[np.integer] | None = None,
    *,
    near_mm: float = 5.0,
    standardised: bool = False,
) -> Invariance:
    """As `measure_invariance`, of features (C, N) of the N voxels with these flat numbers.

    Parameters
    ----------
    one, other
        (C, N) features of two images on one grid.
    numbers
        (N,) flat numbers of the voxels.
    shape
        (S, A, R) of the grid.
    spacing, labels, near_mm, standardised
        As of `measure_invariance`.
    """
    count = len(numbers)
    chosen = [features.astype(np.float64) for features in (one, other)]
    correlation = _correlations(*chosen)
    cosines = directions(chosen[0], standardised).T @ directions(chosen[1], standardised)
    index = np.stack(np.unravel_index(numbers, shape), axis=1)
    where = np.asarray(index * np.asarray(spacing), np.float64)
    best = _best(cosines)
    distances = np.linalg.norm(where - where[best], axis=1)
    itself = np.eye(count, dtype=bool)
    near = _near(where, near_mm)
    found_label = chance_label = None
    same_label, apart = None, ~itself
    if labels is not None:
        known = labels.reshape(-1)[numbers]
        alike = known[:, None] == known[None, :]
        found_label, chance_label = float((known == known[best]).mean()), float(alike.mean())
        same_label = _shares(cosines[alike & ~itself])
        apart = ~alike
    return Invariance(
        places=count,
        found=float((best == np.arange(count)).mean()),
        chance_found=1 / count,
        found_near=float((distances <= near_mm).mean()),
        chance_near=near,
        near_mm=near_mm,
        found_label=found_label,
        chance_label=chance_label,
        distance_mm=float(np.median(distances)),
        same_place=_shares(np.diag(cosines)),
        same_label=same_label,
        other=_shares(cosines[apart]),
        correlation=correlation,
    )


def directions(features: NDArray[np.floating], standardised: bool) -> NDArray[np.float64]:
    """Features (C, N) of length 1, zeros where there is no length.

    Standardised, each channel is first centred and divided by its spread over the N.
    """
    features = features.astype(np.float64)
    if standardised:
        spread = features.std(axis=1, keepdims=True)
        features = (features - features.mean(axis=1, keepdims=True)) / np.where(
            spread > 0, spread, 1
        )
    lengths = np.linalg.norm(features, axis=0)
    return features / np.where(lengths > 0, lengths, 1)


def _best(cosines: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column with the largest entry of each row.

    Of columns equally good, the row's own comes last: features that are the same everywhere
    must not find the right place by the order in which places are looked at.
    """
    count = len(cosines)
    shift = (np.arange(count)[None, :] + np.arange(count)[:, None] + 1) % count
    turned = np.take_along_axis(cosines, shift, axis=1)
    return np.take_along_axis(shift, turned.argmax(axis=1)[:, None], axis=1)[:, 0]


def _near(where: NDArray[np.float64], near_mm: float) -> float:
    """Share of all pairs of places, a place with itself included, that are near."""
    total = 0
    for rows in np.array_split(where, max(1, len(where) // 256)):
        away = np.linalg.norm(rows[:, None] - where[None, :], axis=2)
        total += int((away <= near_mm).sum())
    return total / len(where) ** 2


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.histogram(np.clip(values, -1, 1), BINS)[0]
    return np.asarray(counts / max(int(counts.sum()), 1), np.float64)


def _correlations(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (one, other))
    lengths = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.where(lengths > 0, lengths, np.inf), np.float64)
