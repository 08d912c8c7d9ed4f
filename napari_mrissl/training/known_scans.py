"""What tells the scans that weights were trained on, and whether that is all there were."""

from __future__ import annotations

import contextlib
import weakref
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.weight_library import DEFAULT, names, weights_named
from napari_mrissl.training import card
from napari_mrissl.training.data.facts import facts_of, values_sha256
from napari_mrissl.training.data.known_packs import values_of
from napari_mrissl.trajectories.scan_index import locate
from napari_mrissl.volumes import Volume

UNTOLD = (
    "the weights it starts from do not say what they were trained on: they may know any scan that "
    "it is measured on"
)
"""Of a run that began from such weights."""

_VALUES: weakref.WeakKeyDictionary[Volume, str] = weakref.WeakKeyDictionary()
"""Digests of values: a window asks again after every stroke."""


def trained_on(place: str | Path) -> frozenset[str]:
    """What tells the scans and label maps that weights saw: identities, and values of those here.

    Of a run, or a file in its folder, those it was trained on, held-out ones too, and those
    that the weights it began from saw; of another file, or weights with a name, those that their
    card lists. A copy of a scan that was saved with another header has another identity, but the
    same values; they are looked at where this machine knows the scan. Weights whose card says
    nothing, such as those of others, give nothing.

    Raises
    ------
    MrisslError
        If the run's settings, or the weights, cannot be read.
    """
    return with_values(card.seen_in(_file(place)))


def with_values(identities: frozenset[str]) -> frozenset[str]:
    """Identities of scans, and the SHA-256 of the values of those that this machine knows."""
    values = set()
    for identity in identities:
        path = locate(identity)
        # What cannot be read any more is told by its identity alone.
        with contextlib.suppress(MrisslError):
            if path is not None and (facts := facts_of(path)).identity == identity:
                values.add(facts.values)
    return frozenset(identities | values | values_of(identities))


def is_among(volume: Volume, known: frozenset[str]) -> bool:
    """Whether a scan, or a copy of it with another header, is among those that `known` tells."""
    return bool(known) and (volume.identity in known or _values_of(volume) in known)


def silent(place: str | Path) -> bool:
    """Whether weights, or those they began from, do not say what they were trained on.

    Then `trained_on` may give some of it, but that a scan is not among it shows nothing.

    Raises
    ------
    MrisslError
        If the run's settings, or the weights, cannot be read.
    """
    return not card.says_in(_file(place))


def saw(place: str | Path, volume: Volume) -> bool | None:
    """Whether weights were trained on a scan, or a copy of it with another header.

    None where they do not say what they were trained on, and it is not among what they tell.

    Raises
    ------
    MrisslError
        If the run's settings, or the weights, cannot be read.
    """
    if is_among(volume, trained_on(place)):
        return True
    return None if silent(place) else False


def _values_of(volume: Volume) -> str:
    if volume not in _VALUES:
        _VALUES[volume] = values_sha256(volume)
    return _VALUES[volume]


def _file(place: str | Path) -> Path:
    """The file of weights with a name; any other place as it is."""
    if isinstance(place, str) and (place == DEFAULT or place in names()):
        return weights_named(place).path
    return Path(place)
