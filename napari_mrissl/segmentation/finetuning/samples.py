"""Crops around labels: where, how image and labels are turned together, how grey values change.

Geometry is in the scan's own axis frame, index times spacing: a crop is upright in the scan's
axes (S, A, R), turned and stretched about its middle. Values beyond the scan are 0 and not
labelled.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.segmentation.finetuning.task_settings import (
    UNLABELLED,
    AppearanceSettings,
    FinetuneTaskSettings,
    SpatialSettings,
)
from napari_mrissl.synthesis.augmentation import draw_augmentation
from napari_mrissl.synthesis.operations import Scaled
from napari_mrissl.synthesis.views import augmented, operations_on

_KEPT = 4096
"""Voxels of a class among which centres of crops are drawn."""

_SAME_SPACING = 1e-3

_JITTER = 0.25
"""How far a crop's middle may lie from the drawn voxel, as a share of its sides."""


@dataclass(frozen=True, eq=False)
class CropPlace:
    """Where a crop lies.

    Attributes
    ----------
    matrix, offset
        From index in the crop to index in the scan: (3, 3) and (3,).
    shape
        Voxels of the crop along (Z, Y, X).
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: tuple[int, int, int]

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {"matrix": self.matrix.tolist(), "offset": self.offset.tolist()}


class Centres:
    """Labelled voxels of scans, by class; safe to use from several threads.

    Parameters
    ----------
    classes
        How many there are.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._known: dict[str, list[tuple[int, NDArray[np.intp]]]] = {}
        self._lock = threading.Lock()

    def drawn(self, scan: Scan, rng: np.random.Generator) -> NDArray[np.float64]:
        """(3,) index of a voxel of a class that is drawn first, all alike.

        Raises
        ------
        MrisslError
            If nothing of the scan is labelled.
        """
        known = self._of(scan)
        _, voxels = known[int(rng.integers(len(known)))]
        return np.asarray(voxels[int(rng.integers(len(voxels)))], np.float64)

    def middle(self, scan: Scan) -> NDArray[np.float64]:
        """(3,) index in the middle of what is labelled as no background, or of all labels."""
        known = self._of(scan)
        inside = [voxels for number, voxels in known if number > 0] or [known[0][1]]
        middle: NDArray[np.float64] = np.concatenate(inside).mean(axis=0)
        return middle

    def _of(self, scan: Scan) -> list[tuple[int, NDArray[np.intp]]]:
        with self._lock:
            if scan.identity not in self._known:
                self._known[scan.identity] = self._found(scan)
            return self._known[scan.identity]

    def _found(self, scan: Scan) -> list[tuple[int, NDArray[np.intp]]]:
        if scan.labels is None:
            raise MrisslError("no labels", where=scan.subject)
        flat, found = scan.labels.reshape(-1), []
        for number in range(self._classes):
            places = np.flatnonzero(flat == number)
            if len(places):
                # Spread over all of them, not drawn: nothing random is kept between samples.
                evenly = np.linspace(0, len(places) - 1, min(_KEPT, len(places))).astype(np.intp)
                found.append(
                    (number, np.stack(np.unravel_index(places[evenly], scan.labels.shape), axis=1))
                )
        if not found:
            raise MrisslError("no voxel is labelled", where=scan.subject)
        return found


def upright(scan: Scan, center: NDArray[np.float64], settings: FinetuneTaskSettings) -> CropPlace:
    """The crop about an index of the scan, neither turned nor moved."""
    return _place(scan, center, np.eye(3), settings)


def draw_place(
    scan: Scan, centres: Centres, settings: FinetuneTaskSettings, key: SampleKey
) -> CropPlace:
    """Where the crop of a sample lies; samples to measure on are upright."""
    rng = key.generator("place")
    patch = np.array(settings.patch, np.float64)
    reach = patch * _spacing(scan, settings) / scan.volume.spacing
    center = centres.drawn(scan, rng) + rng.uniform(-_JITTER, _JITTER, 3) * reach
    sides = np.array(scan.volume.shape, np.float64)
    # Within the scan where it is larger than the crop; about its middle where it is not.
    slack = np.abs(sides - reach) / 2
    center = np.clip(center, (sides - 1) / 2 - slack, (sides - 1) / 2 + slack)
    turn = np.eye(3) if key.step < 0 else draw_turn(key.generator("turn"), settings.spatial)
    return _place(scan, center, turn, settings)


def draw_turn(rng: np.random.Generator, settings: SpatialSettings) -> NDArray[np.float64]:
    """(3, 3) of mm to mm: turned, stretched, sheared; never mirrored left to right."""
    acts = rng.random() < settings.probability
    angles = np.radians(rng.uniform(-settings.degrees, settings.degrees, 3))
    stretch = 1 + rng.uniform(-settings.scale, settings.scale, 3)
    shears = rng.uniform(-settings.shear, settings.shear, 3)
    mirrors = rng.random(2) < 0.5
    matrix = np.eye(3)
    if acts:
        sheared = np.eye(3)
        sheared[[0, 0, 1], [1, 2, 2]] = shears
        matrix = np.diag(stretch) @ sheared
        for axis, angle in enumerate(angles):
            first, second = (axis + 1) % 3, (axis + 2) % 3
            turn = np.eye(3)
            turn[first, first] = turn[second, second] = np.cos(angle)
            turn[second, first], turn[first, second] = np.sin(angle), -np.sin(angle)
            matrix = turn @ matrix
    if settings.mirror == "safe":
        # Axes are S, A, R: the last one stays as it is.
        matrix = matrix @ np.diag([*np.where(mirrors, -1.0, 1.0), 1.0])
    return matrix


def cut(scan: Scan, place: CropPlace) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Grey values in [0, 1], trilinear, and class numbers of the nearest voxel, (Z, Y, X) each."""
    corners = np.stack(np.meshgrid(*[(0, side - 1) for side in place.shape], indexing="ij"))
    reached = place.matrix @ corners.reshape(3, -1) + place.offset[:, None]
    sides = np.array(scan.volume.shape)
    first = np.clip(np.floor(reached.min(axis=1)).astype(int), 0, sides - 1)
    last = np.clip(np.ceil(reached.max(axis=1)).astype(int) + 1, first + 1, sides)
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    # Coordinates outside the box are outside the scan, or it would reach further.
    options: dict[str, Any] = {
        "offset": place.offset - first,
        "output_shape": place.shape,
        "mode": "constant",
        "prefilter": False,
    }
    image = ndimage.affine_transform(scaled(scan, box), place.matrix, order=1, cval=0.0, **options)
    if scan.labels is None:
        return image, np.full(place.shape, UNLABELLED, np.uint8)
    labels = np.where(scan.labels[box] < UNLABELLED, scan.labels[box], UNLABELLED).astype(np.uint8)
    labels = ndimage.affine_transform(labels, place.matrix, order=0, cval=UNLABELLED, **options)
    return image, labels


def scaled(scan: Scan, box: tuple[slice, ...]) -> NDArray[np.float32]:
    """A part of the scan with the run's values at 0 and 1, clipped; NaN and infinities are 0.

    As prediction has it (`napari_mrissl.features.filters.scaled`).
    """
    volume = scan.volume
    # Large values that float32 cannot hold are bright, not unknown.
    with np.errstate(over="ignore"):
        values = volume.data[box].astype(np.float32)
    # Value = slope * stored + intercept, and low and high are values.
    origin = (scan.low - volume.intercept) / volume.slope
    values = (values - np.float32(origin)) * np.float32(volume.slope / (scan.high - scan.low))
    known = np.isfinite(volume.data[box])
    return np.where(known, np.clip(values, 0.0, 1.0), np.float32(0.0))


def recoloured(
    image: NDArray[np.float32], settings: AppearanceSettings, key: SampleKey
) -> NDArray[np.float32]:
    """A crop with other grey values of the same range, by the data engine's operations."""
    rng = key.generator("noise")
    acts, strength = rng.random() < settings.noise, rng.uniform(0, settings.noise_std)
    side = max(image.shape)
    chain = draw_augmentation(key.seed, key.step, key.number, settings.chain, side)
    low, high = float(image.min()), float(image.max())
    if not high > low:
        return image
    if any(stage is not None for stage in vars(chain).values()):
        # The engine's operations are those of a cube; what is added is air.
        cube = np.full((side,) * 3, low, np.float32)
        box = tuple(slice((side - n) // 2, (side - n) // 2 + n) for n in image.shape)
        cube[box] = image
        run = operations_on("cpu")
        image = run.to_numpy(augmented(run, Scaled(cube, low, high), chain))[box]
        least, most = float(image.min()), float(image.max())
        stretch = (high - low) / (most - least) if most > least else 0.0
        image = low + (image - np.float32(least)) * np.float32(stretch)
    if acts:
        noise = rng.standard_normal(image.shape, np.float32)
        image = np.clip(image + np.float32(strength) * noise, 0.0, 1.0)
    return np.ascontiguousarray(image, np.float32)


def _place(
    scan: Scan,
    center: NDArray[np.float64],
    turn: NDArray[np.float64],
    settings: FinetuneTaskSettings,
) -> CropPlace:
    matrix = turn * _spacing(scan, settings) / scan.volume.spacing[:, None]
    middle = (np.array(settings.patch) - 1) / 2
    return CropPlace(matrix, center - matrix @ middle, settings.patch)


def _spacing(scan: Scan, settings: FinetuneTaskSettings) -> NDArray[np.float64]:
    own = scan.volume.spacing
    if settings.spacing is None:
        return own
    wanted = np.array(settings.spacing, np.float64)
    # A header's last digits would put the outermost voxels just outside.
    return np.where(np.isclose(wanted, own, rtol=_SAME_SPACING), own, wanted)
