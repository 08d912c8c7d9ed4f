"""Which scans are open and what is labelled in them: marks, label layers, corrections."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.layers import METADATA_KEY, labels_array, reading_of
from napari_mrissl.ui.segmenter.presets import is_background
from napari_mrissl.ui.segmenter.prompt_layers import CLICKS, SCRIBBLES, ClicksLayer, role_of
from napari_mrissl.ui.segmenter.result_layers import RECORD
from napari_mrissl.ui.segmenter.result_layers import RESULT as CLICK_RESULT
from napari_mrissl.ui.segmenter.state import Click
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from napari_mrissl.ui.jobs import Control

RESULT, ACCEPTED = "finetuned", "accepted"
"""Roles of layers: what a finetuned network made, and such a result as labels to learn from."""

Origin = Literal["labels", "accepted result", "corrected result"]
"""Of a label layer: from somebody else, from a network as it is, or corrected by the user."""

_CLASSES = "classes"
_ACCEPTED_AS, _CORRECTED = "accepted", "corrected"
_SAME_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Marks:
    """What was clicked and scribbled in a scan.

    Attributes
    ----------
    clicks
        World RAS mm and label.
    scribbles
        (S, A, R) labels, 0 where nothing was painted; None without any.
    classes
        Of the marks.
    """

    clicks: tuple[Click, ...] = ()
    scribbles: NDArray[Any] | None = None
    classes: tuple[PromptClass, ...] = ()

    @property
    def background(self) -> frozenset[int]:
        """Labels of classes that mean nothing in particular: they are 0 in what is learned."""
        return frozenset(one.label for one in self.classes if is_background(one))


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A Labels layer on a scan's grid.

    Attributes
    ----------
    layer
        To choose it by.
    labels
        (S, A, R), as they are when this is read.
    counts
        Voxels by label.
    names
        By label, where the layer's features say them.
    origin
        Whether a finetuned network made it: what agrees with it then agrees with that network.
    """

    layer: Labels
    labels: NDArray[Any]
    counts: Mapping[int, int]
    names: Mapping[int, str]
    origin: Origin = "labels"


@dataclass(frozen=True, eq=False)
class ScanFacts:
    """An open scan and what is labelled in it.

    Attributes
    ----------
    maps
        Labels layers on its grid.
    likely
        The one of them that is its own as far as can be told.
    problem
        Why it cannot be used, in a sentence.
    identity
        Of the volume.
    """

    layer: Image
    name: str
    volume: Volume | None = None
    marks: Marks = field(default_factory=Marks)
    mark_counts: Mapping[int, int] = field(default_factory=dict)
    maps: tuple[LabelMap, ...] = ()
    likely: Labels | None = None
    problem: str = ""
    identity: str = ""

    def map_of(self, layer: Labels | None) -> LabelMap | None:
        """The label map of a layer."""
        return next((one for one in self.maps if one.layer is layer), None)


class Seen:
    """What the GUI thread sees of a viewer's layers, to be read by another one.

    Parameters
    ----------
    viewer
        Whose layers are looked at now.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        from napari.layers import Image, Labels

        self._scans: list[tuple[Image, str, Callable[[], Volume] | str]] = []
        self._maps: list[tuple[Labels, Volume | None, Any, Callable[[], Volume]]] = []
        self._marks: dict[int, dict[str, Any]] = {}
        for layer in viewer.layers:
            role, volume = role_of(layer)
            if role in (CLICKS, SCRIBBLES) and volume is not None:
                self._add_marks(viewer, layer, role, volume)
            elif isinstance(layer, Labels) and role not in (RESULT, CLICK_RESULT):
                read = _reading(layer)
                if not isinstance(read, str):
                    array = labels_array(layer) if volume is not None else None
                    self._maps.append((layer, volume, array, read))
            elif isinstance(layer, Image) and role is None and _is_scan(layer):
                self._scans.append((layer, layer.name, _reading(layer)))

    def facts(self, control: Control) -> tuple[ScanFacts, ...]:
        """Read and count; not for the GUI thread."""
        maps = []
        for layer, own, array, read in self._maps:
            stop_if(control.cancelled)
            try:
                volume = read()
            except MrisslError:
                continue  # a layer of which no volume can be had is no label map of a scan
            labels = array if volume is own else volume.data
            if labels.shape == volume.shape and labels.dtype.kind in "bui":
                origin = _origin(layer, labels)
                found = LabelMap(layer, labels, counted(labels), label_names(layer), origin)
                maps.append((volume, found))
        facts = [self._facts_of(*one, maps, control) for one in self._scans]
        volumes = [one.volume for one in facts if one.volume is not None]
        grids = {found.layer: grid for grid, found in maps}
        return tuple(replace(one, likely=_likely(one, grids, volumes)) for one in facts)

    def _facts_of(
        self,
        layer: Image,
        name: str,
        read: Callable[[], Volume] | str,
        maps: list[tuple[Volume, LabelMap]],
        control: Control,
    ) -> ScanFacts:
        stop_if(control.cancelled)
        if isinstance(read, str):
            return ScanFacts(layer, name, problem=read)
        try:
            volume = read()
        except MrisslError as error:
            return ScanFacts(layer, name, problem=str(error))
        marks = Marks(**self._marks.get(id(volume), {}))
        own = tuple(found for grid, found in maps if _same_grid(grid, volume))
        counts, identity = _marked(marks), volume.identity
        return ScanFacts(layer, name, volume, marks, counts, own, identity=identity)

    def _add_marks(self, viewer: ViewerModel, layer: Layer, role: str, volume: Volume) -> None:
        known = self._marks.setdefault(id(volume), {})
        if role == CLICKS:
            known["clicks"] = ClicksLayer(viewer, volume).read()
        else:
            known["scribbles"] = labels_array(layer)
        classes = layer.metadata[METADATA_KEY].get(_CLASSES)
        if classes:
            known["classes"] = tuple(classes)


def counted(labels: NDArray[Any]) -> dict[int, int]:
    """Voxels by label."""
    if labels.dtype.itemsize <= 2 and labels.dtype.kind in "bu":
        counts = np.bincount(labels.reshape(-1))
        return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}
    values, counts = np.unique(labels, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def as_accepted(labels: NDArray[Any], corrected: int) -> dict[str, Any]:
    """What an accepted result's layer keeps: what it held then, by which later strokes are told.

    Parameters
    ----------
    labels
        The result.
    corrected
        In how many of its voxels the user had corrected it before.
    """
    return {_ACCEPTED_AS: _checksum(labels), _CORRECTED: corrected}


def _origin(layer: Labels, labels: NDArray[Any]) -> Origin:
    made = layer.metadata.get(METADATA_KEY, {}).get(RECORD)
    accepted = made.get(_ACCEPTED_AS) if isinstance(made, dict) else None
    if accepted is None:
        # One of an earlier version says no more than its role.
        return "accepted result" if role_of(layer)[0] == ACCEPTED else "labels"
    as_it_was = not made.get(_CORRECTED) and accepted == _checksum(labels)
    return "accepted result" if as_it_was else "corrected result"


def _checksum(labels: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(labels).view(np.uint8).reshape(-1))


def _marked(marks: Marks) -> dict[int, int]:
    """Clicks and scribbled voxels by label, background as 0."""
    found = counted(marks.scribbles) if marks.scribbles is not None else {}
    found.pop(0, None)
    for click in marks.clicks:
        found[click[3]] = found.get(click[3], 0) + 1
    nothing = sum(found.pop(label, 0) for label in marks.background)
    return {0: nothing, **found} if nothing else found


def _is_scan(layer: Image) -> bool:
    return layer.ndim == 3 and not layer.rgb and not layer.multiscale


def _reading(layer: Layer) -> Callable[[], Volume] | str:
    try:
        return reading_of(layer)
    except MrisslError as error:
        return str(error)


def _likely(
    scan: ScanFacts, grids: Mapping[Labels, Volume], volumes: Sequence[Volume]
) -> Labels | None:
    """Labels made for the scan, or called like it, or the only ones for the only such scan."""
    if scan.volume is None:
        return None
    made_for = [one.layer for one in scan.maps if grids[one.layer] is scan.volume]
    if made_for:
        return made_for[0] if len(made_for) == 1 else None
    free = [one.layer for one in scan.maps if not any(grids[one.layer] is v for v in volumes)]
    called = [layer for layer in free if scan.name.casefold() in layer.name.casefold()]
    if len(called) == 1:
        return called[0]
    alone = sum(_same_grid(scan.volume, other) for other in volumes) == 1
    return free[0] if alone and len(free) == 1 else None


def _same_grid(one: Volume, other: Volume) -> bool:
    if one is other:
        return True
    return one.shape == other.shape and np.allclose(one.affine, other.affine, atol=_SAME_MM)


def label_names(layer: Labels) -> dict[int, str]:
    """Names by label, where the layer's features say them."""
    table = layer.features
    if "index" not in table or "name" not in table:
        return {}
    return {
        int(label): str(name)[:200]
        for label, name in zip(table["index"], table["name"], strict=True)
        if isinstance(label, int | np.integer)
    }
