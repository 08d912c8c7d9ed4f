"""The napari layers in which a scan's prompts are placed, and reading them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.layers import (
    AXIS_LABELS,
    METADATA_KEY,
    UNITS,
    add_labels,
    image_layer,
    labels_array,
    to_napari,
    to_world,
)
from napari_mrissl.ui.segmenter.colors import label_colors
from napari_mrissl.ui.segmenter.state import Click, Scribble
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer, Points

ROLE = "role"
CLICKS, SCRIBBLES = "clicks", "scribbles"

_SIZE_VOXELS = 3.0
# Not below 0: an empty view is drawn as one point of size 0, which a limit would make seen.
_CANVAS_PIXELS = (0, 18)


def role_of(layer: Layer) -> tuple[str | None, Volume | None]:
    """What a layer is to us and the volume it belongs to."""
    ours = layer.metadata.get(METADATA_KEY, {})
    return ours.get(ROLE), ours.get("volume")


def find_layer(viewer: ViewerModel, role: str, volume: Volume) -> Layer | None:
    """The layer with this role for this volume, as left by an earlier widget."""
    for layer in viewer.layers:
        if role_of(layer) == (role, volume):
            return layer
    return None


def free_name(viewer: ViewerModel, wanted: str, volume: Volume) -> str:
    """A plain name, or one with the scan's where another scan has that already."""
    taken = {layer.name for layer in viewer.layers}
    return wanted if wanted not in taken else f"{wanted} ({volume.name})"


class ClicksLayer:
    """One scan's clicks as a Points layer, coloured by class.

    The layer has the scan's voxel grid, so that a click is shown on the slice nearest to
    it however thick the slices are.
    """

    def __init__(self, viewer: ViewerModel, volume: Volume) -> None:
        found: Any = find_layer(viewer, CLICKS, volume)
        self.layer: Points = found if found is not None else _add_points(viewer, volume)
        self.muted = False

    def read(self) -> tuple[Click, ...]:
        """World RAS mm and label of every point."""
        data = np.asarray(self.layer.data, np.float64)
        places = to_world(data * self.layer.scale + self.layer.translate)
        labels = self.layer.features["label"].to_numpy()
        return tuple(
            (x, y, z, int(label))
            for (x, y, z), label in zip(places.tolist(), labels.tolist(), strict=True)
        )

    def show(self, clicks: tuple[Click, ...], classes: tuple[PromptClass, ...]) -> None:
        """Show these clicks instead of those there."""
        places = to_napari(np.array([c[:3] for c in clicks], np.float64).reshape(-1, 3))
        with self._mute():
            self.layer.selected_data = set()
            self.layer.data = (places - self.layer.translate) / self.layer.scale
            self._label([click[3] for click in clicks], classes)
        self.layer.refresh()

    def recolor(self, classes: tuple[PromptClass, ...]) -> None:
        """Give the points the names and colours of their classes."""
        with self._mute():
            self._label([int(n) for n in self.layer.features["label"]], classes)

    def use(self, one: PromptClass) -> None:
        """New points get this class; points that are selected keep theirs."""
        with self._mute():
            self.layer.feature_defaults = {"label": one.label, "class": _title(one)}

    def _label(self, labels: list[int], classes: tuple[PromptClass, ...]) -> None:
        titles = {one.label: _title(one) for one in classes}
        current = int(self.layer.feature_defaults["label"].iloc[0])
        self.layer.face_color_cycle = {_title(one): one.color for one in classes} or {"": "white"}
        self.layer.features = {
            "label": np.array(labels, np.int64),
            "class": np.array([titles.get(n, str(n)) for n in labels], dtype=object),
        }
        self.layer.feature_defaults = {
            "label": current,
            "class": titles.get(current, str(current)),
        }

    @contextmanager
    def _mute(self) -> Iterator[None]:
        before, self.muted = self.muted, True
        try:
            yield
        finally:
            self.muted = before


class ScribblesLayer:
    """One scan's scribbles as a Labels layer on the scan's own grid.

    What napari changed is found by comparing with what was there: that also catches
    its undo, a fill, and data set by a script, which napari does not announce.
    """

    def __init__(self, viewer: ViewerModel, volume: Volume) -> None:
        found: Any = find_layer(viewer, SCRIBBLES, volume)
        self.layer: Labels = found if found is not None else _add_scribbles(viewer, volume)
        self._seen = np.zeros(volume.shape, np.uint8)
        self.muted = False

    def changes(self) -> Scribble:
        """Voxels painted since the last call, with their new labels."""
        truth = labels_array(self.layer)
        if truth.shape != self._seen.shape:
            return Scribble()
        voxels = changed_voxels(self._seen, truth)
        new = truth.reshape(-1)[voxels].astype(np.uint8)
        self._seen.reshape(-1)[voxels] = new
        return Scribble(voxels, new)

    def at(self, voxels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The labels at these voxels, by flat number."""
        return self._seen.reshape(-1)[voxels]

    def show(self, scribble: Scribble) -> None:
        """Write these labels, 0 to erase."""
        truth = labels_array(self.layer)
        for array in (truth, self._seen):
            np.put(array, scribble.voxels, scribble.labels)
        self.muted = True
        try:
            self.layer.refresh(extent=False)
        finally:
            self.muted = False

    def recolor(self, classes: tuple[PromptClass, ...]) -> None:
        """Give the labels the colours of their classes."""
        self.layer.colormap = label_colors(classes)

    def use(self, one: PromptClass) -> None:
        """The brush paints this class."""
        self.muted = True
        try:
            self.layer.selected_label = one.label
        finally:
            self.muted = False


def changed_voxels(before: NDArray[np.uint8], after: NDArray[Any]) -> NDArray[np.int64]:
    """Flat numbers of the voxels in which two equally shaped arrays differ.

    Eight voxels are compared at a time where the layout allows it, which takes about a
    millisecond for seven million.
    """
    old, new = before.reshape(-1), np.ascontiguousarray(after).reshape(-1)
    whole = len(old) // 8 * 8 if new.dtype.itemsize == 1 else 0
    words = np.flatnonzero(old[:whole].view(np.uint64) != new[:whole].view(np.uint64))
    candidates = np.concatenate(
        [(words[:, None] * 8 + np.arange(8)).reshape(-1), np.arange(whole, len(old))]
    )
    return candidates[old[candidates] != new[candidates]].astype(np.int64)


def _title(one: PromptClass) -> str:
    return f"{one.label} {one.name}"


def _add_points(viewer: ViewerModel, volume: Volume) -> Points:
    # The grid on which the scan itself is shown.
    _, placement = image_layer(volume)
    return viewer.add_points(
        np.zeros((0, 3)),
        ndim=3,
        name=free_name(viewer, "clicks", volume),
        scale=placement["scale"],
        translate=placement["translate"],
        units=UNITS,
        axis_labels=AXIS_LABELS,
        features={"label": np.zeros(0, np.int64), "class": np.zeros(0, dtype=object)},
        feature_defaults={"label": 1, "class": ""},
        face_color="class",
        face_color_cycle={"": "white"},
        border_color="white",
        border_width=0.12,
        size=_SIZE_VOXELS,
        canvas_size_limits=_CANVAS_PIXELS,
        metadata={METADATA_KEY: {"volume": volume, ROLE: CLICKS}},
    )


def _add_scribbles(viewer: ViewerModel, volume: Volume) -> Labels:
    layer = add_labels(
        viewer,
        volume,
        np.zeros(volume.shape, np.uint8),
        free_name(viewer, "scribbles", volume),
        opacity=0.9,
    )
    layer.metadata[METADATA_KEY][ROLE] = SCRIBBLES
    layer.brush_size = 3
    return layer
