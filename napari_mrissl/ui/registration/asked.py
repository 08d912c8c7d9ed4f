"""What is to be registered, as the GUI's thread sees it and another thread reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.registration import RegistrationSettings
from napari_mrissl.registration.landmark_fit import FEWEST
from napari_mrissl.registration.outputs import Extras
from napari_mrissl.ui.finetuning.seen import label_names
from napari_mrissl.ui.layers import labels_array, reading_of
from napari_mrissl.ui.layers.foreign import affine_in_millimetres
from napari_mrissl.ui.segmenter.prompt_layers import role_of
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.labels import check_grid, whole_numbers

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Points

Floats = NDArray[np.float64]
_Labels = tuple[Volume, NDArray[Any], str]


@dataclass(frozen=True, eq=False)
class Side:
    """The layers chosen of one scan."""

    scan: Image | None = None
    labels: Labels | None = None
    mask: Labels | None = None
    points: Points | None = None


@dataclass(frozen=True, eq=False)
class Scans:
    """Two scans, and what is known of them.

    Attributes
    ----------
    fixed, moving
        As they were when they were read.
    extras
        Labels, mask and landmarks.
    moving_mask
        (S, A, R) on the moving scan's grid.
    names
        Of labels, where a layer says them.
    """

    fixed: Volume
    moving: Volume
    extras: Extras = field(default_factory=Extras)
    moving_mask: NDArray[np.bool_] | None = None
    names: dict[int, str] = field(default_factory=dict)


class Asked:
    """Reads layers in the GUI's thread now, and their voxels in another one later.

    Parameters
    ----------
    fixed, moving
        What is chosen.

    Raises
    ------
    MrisslError
        In one sentence, if the choice is none that can be registered.
    """

    def __init__(self, fixed: Side, moving: Side) -> None:
        if fixed.scan is None or moving.scan is None:
            raise MrisslError("no two scans are chosen", remedy="open a fixed and a moving scan")
        if fixed.scan is moving.scan:
            raise MrisslError(
                "the fixed and the moving scan are the same layer",
                where=fixed.scan.name,
                remedy="choose two scans",
            )
        self.fixed, self.moving = fixed.scan, moving.scan
        self._places = [_place_of(layer) for layer in (fixed.scan, moving.scan)]
        self._volumes = reading_of(fixed.scan), reading_of(moving.scan)
        self._labels = _labels_reading(fixed.labels), _labels_reading(moving.labels)
        self._masks = _labels_reading(fixed.mask), _labels_reading(moving.mask)
        self._names: dict[int, str] = {}
        for layer in (moving.labels, fixed.labels):
            if layer is not None:
                self._names |= label_names(layer)
        self._landmarks = _landmarks(fixed.points, moving.points)

    def check(self, settings: RegistrationSettings) -> None:
        """Refuse settings that need more than is chosen.

        Raises
        ------
        MrisslError
            If landmarks are to begin with, and fewer than three pairs are chosen.
        """
        count = 0 if self._landmarks is None else len(self._landmarks)
        if settings.initial == "landmarks" and count < FEWEST:
            raise MrisslError(
                f"it is to begin with landmarks, and {count or 'none'} are chosen",
                expected=f"at least {FEWEST} pairs of points",
                remedy="place landmarks in both scans, or begin another way",
            )

    @property
    def displaced(self) -> list[str]:
        """Names of the scans' layers that lie elsewhere now than when this was made."""
        layers = (self.fixed, self.moving)
        return [
            layer.name
            for layer, place in zip(layers, self._places, strict=True)
            if not np.array_equal(_place_of(layer), place)
        ]

    def read(self) -> Scans:
        """The voxels of all that is chosen; not for the GUI's thread.

        Raises
        ------
        MrisslError
            If something cannot be read, or is on another grid than its scan.
        """
        fixed, moving = (read() for read in self._volumes)
        volumes = fixed, moving
        labels = [_on(read, one) for read, one in zip(self._labels, volumes, strict=True)]
        masks = [_on(read, one) for read, one in zip(self._masks, volumes, strict=True)]
        fixed_mask, moving_mask = (None if one is None else one != 0 for one in masks)
        return Scans(
            fixed,
            moving,
            Extras(labels[0], labels[1], fixed_mask, self._landmarks),
            moving_mask,
            self._names,
        )


def _labels_reading(layer: Labels | None) -> Callable[[], _Labels] | None:
    if layer is None:
        return None
    read, name = reading_of(layer), layer.name
    # A layer of ours gives the scan it belongs to, and has its labels on that grid.
    own = role_of(layer)[1]
    array = labels_array(layer) if own is not None else None

    def found() -> _Labels:
        volume = read()
        if array is not None and volume is own:
            return volume, array, name
        return volume, whole_numbers(volume, name), name

    return found


def _on(read: Callable[[], _Labels] | None, volume: Volume) -> NDArray[Any] | None:
    if read is None:
        return None
    grid, labels, name = read()
    check_grid(grid, volume, name, f"its scan {volume.name}")
    if labels.size and int(labels.min()) < 0:
        raise MrisslError("holds labels below 0", where=name, expected="whole numbers from 0")
    return labels


def _landmarks(fixed: Points | None, moving: Points | None) -> Floats | None:
    """(N, 2, 3) RAS mm."""
    if fixed is None and moving is None:
        return None
    if fixed is None or moving is None:
        raise MrisslError(
            "points are chosen for one of the scans only", remedy="choose them for both or none"
        )
    if fixed is moving:
        raise MrisslError(
            "the same points are chosen twice", where=fixed.name, remedy="choose two layers"
        )
    if len(fixed.data) != len(moving.data):
        raise MrisslError(
            f"has {len(moving.data)} points",
            where=moving.name,
            expected=f"as many as {fixed.name}, {len(fixed.data)}, in the same order",
        )
    if not len(fixed.data):
        raise MrisslError("has no points", where=fixed.name, remedy="place some or choose none")
    return np.stack([_places(layer) for layer in (fixed, moving)], axis=1)


def _place_of(layer: Image) -> Floats:
    """(4, 3) where the origin and a step along each axis of the data are in napari's world."""
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    return np.array([layer.data_to_world(corner) for corner in corners])


def _places(layer: Points) -> Floats:
    if layer.ndim != 3:
        raise MrisslError(f"{layer.ndim}-D points", where=layer.name, expected="3-D points")
    affine, _ = affine_in_millimetres(layer)
    return apply_affine(affine, np.asarray(layer.data, np.float64))
