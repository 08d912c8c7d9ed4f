"""Whether places are found in another scan by their coordinates, beside an affine alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.features.cancel import Progress as Told
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.pretext.coordinates.field import Field, field_of
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.registration.initial import initial_transform
from napari_mrissl.registration.linear import aligned
from napari_mrissl.registration.settings import Initial, Linear
from napari_mrissl.slicing import render_labels
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.coordinates.inspection import Inspector

Floats = NDArray[np.float64]

_LEAST = 10
_STARTS: tuple[Initial, ...] = ("header", "centres", "moments")
_AROUND_MM = 4.0
_SAMPLES, _BINS = 60_000, 32
_STAGES: tuple[Linear, ...] = ("rigid", "affine")


def alignment(
    fixed: Volume,
    moving: Volume,
    progress: Told | None = None,
    cancelled: IsCancelled | None = None,
) -> Floats:
    """The affine map that places found by coordinates are compared with.

    It begins with headers, middles or moments, whichever share most, and is rigid before it is
    affine. Only the smaller body counts: a brain without its skull is not blown up to a head.

    Parameters
    ----------
    fixed, moving
        The scans.
    progress
        Called with the part done and what is being done.
    cancelled
        Asked now and then.

    Returns
    -------
    numpy.ndarray
        (4, 4) from fixed to moving world, RAS mm.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If SimpleITK is not installed, or the scans cannot be aligned.
    """
    bodies = [_body(fixed), _body(moving)]
    sizes = [
        body.sum() * np.prod(scan.spacing)
        for body, scan in zip(bodies, (fixed, moving), strict=True)
    ]
    swapped = bool(sizes[1] < sizes[0])
    if swapped:
        fixed, moving, bodies = moving, fixed, bodies[::-1]
    stop_if(cancelled)
    starts = [initial_transform(fixed, moving, how) for how in _STARTS]
    found = max(starts, key=lambda start: _shared(fixed, moving, bodies[0], start))
    for number, how in enumerate(_STAGES):
        stop_if(cancelled)

        def tell(part: float, step: str, number: int = number, how: str = how) -> None:
            if progress is not None:
                progress((number + part) / len(_STAGES), f"Aligning, {how}, {step}")

        found = aligned(fixed, moving, found, how, bodies[0], None, tell, cancelled)
    return np.asarray(np.linalg.inv(found) if swapped else found, np.float64)


def _body(volume: Volume) -> NDArray[np.bool_]:
    """(S, A, R) what is not air on the volume's grid, and some millimetres around it."""
    from scipy.ndimage import distance_transform_edt

    known = Foreground.of(volume)
    body = render_labels(known.mask, known.affine, volume.affine, volume.shape) > 0
    found: NDArray[np.bool_] = distance_transform_edt(~body, volume.spacing) <= _AROUND_MM
    return found


def _shared(fixed: Volume, moving: Volume, body: NDArray[np.bool_], matrix: Floats) -> float:
    """Mutual information of grey values in the fixed body, in nats, where scans are laid so."""
    from scipy.ndimage import map_coordinates

    index = np.argwhere(body)
    index = index[:: max(1, len(index) // _SAMPLES)]
    to_moving = moving.to_index @ matrix @ fixed.affine
    first = fixed.data[tuple(index.T)].astype(np.float64)
    second = map_coordinates(
        moving.data, apply_affine(to_moving, index).T, np.float64, order=1, cval=0.0
    )
    counts = np.histogram2d(first, second, _BINS)[0] / len(index)
    alone = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True)
    some = counts > 0
    return float((counts[some] * np.log(counts[some] / alone[some])).sum())


def across(
    world: ArrayLike,
    coordinates: ArrayLike,
    other: Field,
    matrix: ArrayLike,
    seed: int = 0,
) -> dict[str, Any]:
    """How far from their true places points are found in another scan by their coordinates.

    Points whose true place is not in the other scan's body are left out: a head has places that
    a brain without its skull has not.

    Parameters
    ----------
    world, coordinates
        (N, 3) places in world RAS mm of points in one scan, and what a network says of them.
    other
        What it says of the other scan.
    matrix
        (4, 4) from the one scan's world to the other's: the truth, or an `alignment`.
    seed
        Of the random places.

    Returns
    -------
    dict
        ``across_points`` and ``across_outside``, how many points counted and were left out;
        median and 90th percentile of the error in mm, ``across_median_mm`` and
        ``across_p90_mm``, each beside ``chance_`` of it, that of a random place in the other
        body, and ``header_`` of it, that of the same place in the world.

    Raises
    ------
    MrisslError
        If fewer than 10 points are in both scans.
    """
    places = np.asarray(world, np.float64)
    true = apply_affine(matrix, places)
    in_scan = other.lattice.from_world(true)
    counted = np.flatnonzero([other.contains(one) for one in in_scan])
    if len(counted) < _LEAST:
        raise MrisslError(
            f"only {len(counted)} of {len(true)} points are in both scans",
            where="alignment",
            remedy="compare scans of the same part of the body",
        )
    asked = np.asarray(coordinates, np.float64)[counted]
    found = np.array([other.nearest(one)[0] for one in asked])
    rng = np.random.default_rng(seed)
    body = other.lattice.points_mm[other.body.ravel()]
    answers = {
        "": other.lattice.to_world(found),
        "chance_": other.lattice.to_world(body[rng.integers(len(body), size=len(counted))]),
        "header_": places[counted],
    }
    numbers: dict[str, Any] = {
        "across_points": len(counted),
        "across_outside": len(true) - len(counted),
    }
    for prefix, answer in answers.items():
        errors = np.linalg.norm(answer - true[counted], axis=1)
        numbers[f"{prefix}across_median_mm"] = float(np.median(errors))
        numbers[f"{prefix}across_p90_mm"] = float(np.percentile(errors, 90))
    return numbers


def compare(
    network: Inspector,
    scan: Scan,
    points_mm: Floats,
    other: Scan,
    seed: int,
    told: Told | None = None,
) -> dict[str, Any]:
    """Find points of a scan in another one, and say how far an affine alignment is from them.

    Parameters
    ----------
    network
        Says where points are.
    scan, points_mm
        A scan and (N, 3) points of its body, in scan mm (R, A, S).
    other
        The scan that they are sought in.
    seed
        Of random places, and of the control.
    told
        Called with the part done and what is being done.

    Returns
    -------
    dict
        What `across` says, ``other_identity``, ``alignment`` (the matrix), and
        ``across_median_mm`` of the same network untrained as ``untrained_across_median_mm``.

    Raises
    ------
    MrisslError
        As `alignment` and `across`.
    """
    tell = told or (lambda part, step: None)
    matrix = alignment(scan.volume, other.volume, lambda part, step: tell(part / 2, step))
    index = points_mm[:, ::-1] / scan.volume.spacing + (np.array(scan.volume.shape) - 1) / 2
    world = apply_affine(scan.volume.affine, index)
    found = []
    for number, one in enumerate((network, network.untrained(seed))):
        located = one.locate(scan, points_mm)
        field = field_of(one, other)
        found.append(across(world, located.coordinates, field, matrix, seed))
        tell((3 + number) / 4, "Finding points in the other scan")
    numbers, control = found
    numbers["untrained_across_median_mm"] = control["across_median_mm"]
    numbers["other_identity"] = other.identity
    numbers["alignment"] = matrix.tolist()
    return numbers
