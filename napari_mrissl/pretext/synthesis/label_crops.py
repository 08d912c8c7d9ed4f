"""The label map of a sample: a fresh ensemble or a scan's labels, cut and turned."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import crops
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.synthesis.settings import MapCropSettings, OnlineSettings
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.synthesis.settings import AppearanceSettings, AugmentationSettings
from napari_mrissl.volumes import Volume

_MOST_OF_ONE = 0.95
_TRIES = 10
_LABELS = 256
_DRAWN = 20_000
"""Voxels among which a label is looked for: a structure of half a millilitre in a head is there."""


@runtime_checkable
class Endless(Protocol):
    """Subjects that can also make a new label map for every sample."""

    def fresh(self, index: int) -> NDArray[np.uint8]:
        """The label map (S, S, S) of an index, any number from 0; its voxels are 1 mm cubes."""


@runtime_checkable
class Painted(Protocol):
    """Subjects of the data engine, which know how label maps are to be painted."""

    look: tuple[AppearanceSettings, AugmentationSettings]


@dataclass(frozen=True, eq=False)
class LabelCrop:
    """A crop of a label map.

    Attributes
    ----------
    labels
        (side, side, side) uint8.
    subject
        Whose.
    record
        How it was cut.
    """

    labels: NDArray[np.uint8]
    subject: str
    record: CropRecord


def index_of(key: SampleKey) -> int:
    """The number under which the data engine makes a sample: its own for every key."""
    text = f"{key.seed}/{key.step}/{key.number}/pair"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def label_crop(
    subjects: Subjects, key: SampleKey, settings: MapCropSettings, online: OnlineSettings
) -> LabelCrop:
    """The crop of a sample: of a new label map where there are new ones, else of a scan's.

    It lies anywhere, or holds a voxel of a label that is drawn first, all alike, so that small
    structures are seen as often as large ones. A crop of which more than 95 % has one label, or
    all where labels were drawn first, is drawn again, up to ten times. In the end it may be
    turned and scaled, see `turned`.

    Raises
    ------
    MrisslError
        If a scan has no labels, or more than 256 different ones in a crop.
    """
    rng = key.generator("crop")
    scan = _scan(subjects, key, rng)
    if scan.labels is None:
        raise MrisslError(
            "no labels",
            where=scan.subject,
            expected="scans with label maps, or --data heads or ensembles",
        )
    edge = settings.side * float(np.prod(scan.volume.spacing)) ** (1 / 3)
    most = 1 - 1 / settings.side**3 if settings.about == "labels" else _MOST_OF_ONE
    for _ in range(_TRIES):
        record = crops.draw_crop(
            rng,
            scan,
            settings.side,
            edge,
            settings.scale,
            settings.element,
            least_mean=0,
            about_mm=_of_any_label(rng, scan) if settings.about == "labels" else None,
        )
        labels = crops.cut_labels(scan, record)
        if np.bincount(labels.ravel()).max() <= most * labels.size:
            break
    labels = turned(_in_bytes(labels, scan.subject), key.generator("affine"), online)
    return LabelCrop(labels, scan.subject, record)


def turned(
    labels: NDArray[np.uint8], rng: np.random.Generator, online: OnlineSettings
) -> NDArray[np.uint8]:
    """A label map (S, S, S) turned and scaled about its middle; 0 comes in from outside."""
    if rng.random() >= online.affine:
        return labels
    angles = np.radians(rng.uniform(-online.degrees, online.degrees, 3))
    matrix = rotation(angles) / rng.uniform(*online.stretch, 3)
    middle = (np.array(labels.shape) - 1) / 2
    found: NDArray[np.uint8] = ndimage.affine_transform(
        labels, matrix, middle - matrix @ middle, order=0, mode="constant", cval=0
    )
    return found


def rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) about the first, then the second, then the third axis, in radians."""
    product = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[other, one], turn[one, other] = np.sin(angle), -np.sin(angle)
        product = turn @ product
    return product


def draw_places(rng: np.random.Generator, side: int, count: int) -> NDArray[np.int64]:
    """(n,) different voxels of a grid with ``side`` voxels along each axis; all if it has less."""
    voxels = side**3
    return rng.choice(voxels, size=min(count, voxels), replace=False, shuffle=False)


def _of_any_label(rng: np.random.Generator, scan: Scan) -> NDArray[np.float64]:
    """A voxel's middle in the axis frame; each label that is not very rare is as likely."""
    assert scan.labels is not None  # noqa: S101 - its only caller has asked
    places = rng.integers(scan.labels.size, size=_DRAWN)
    found, numbers = np.unique(scan.labels.ravel()[places], return_inverse=True)
    chosen = places[rng.choice(np.flatnonzero(numbers == rng.integers(len(found))))]
    index = np.array(np.unravel_index(chosen, scan.labels.shape))
    return index * scan.volume.spacing


def _scan(subjects: Subjects, key: SampleKey, rng: np.random.Generator) -> Scan:
    if not isinstance(subjects, Endless):
        return subjects.scan(int(rng.integers(len(subjects))))
    index = index_of(key)
    labels = subjects.fresh(index)
    name = f"ensemble {index}"
    volume = Volume.from_stored(labels.T, np.eye(4), name=name, copy=False)
    return Scan(volume, 0.0, 1.0, name, f"{index:064x}", labels)


def _in_bytes(labels: NDArray[np.integer[Any]], subject: str) -> NDArray[np.uint8]:
    """Labels as they are, or numbered in their order where some are too large for a byte."""
    if labels.dtype == np.uint8:
        return labels.astype(np.uint8, copy=False)
    found = np.unique(labels)
    if len(found) > _LABELS:
        raise MrisslError(
            f"{len(found)} different labels in a crop",
            where=subject,
            expected=f"at most {_LABELS}",
        )
    numbers: NDArray[np.uint8] = np.searchsorted(found, labels).astype(np.uint8)
    return numbers
