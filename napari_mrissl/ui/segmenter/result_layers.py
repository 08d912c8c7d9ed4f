"""The napari layers that show a scan's segmentation; one each, their data replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.segmentation import Segmentation
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.layers import (
    METADATA_KEY,
    add_labels,
    add_volume,
    image_layer,
    labels_array,
    set_labels,
)
from napari_mrissl.ui.segmenter.colors import label_colors
from napari_mrissl.ui.segmenter.planes import Plane, write_plane
from napari_mrissl.ui.segmenter.prompt_layers import ROLE, find_layer, free_name
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

RESULT, UNCERTAINTY, PROBABILITY = "segmentation", "uncertainty", "probability of label "
RECORD = "segmentation"


class ResultLayers:
    """Segmentation, and on demand probability and uncertainty, of one scan."""

    def __init__(self, viewer: ViewerModel, volume: Volume) -> None:
        self._viewer = viewer
        self._volume = volume
        self.labels: Labels | None = self._find(RESULT)

    def ensure(self, classes: tuple[PromptClass, ...], hidden: Collection[int]) -> Labels:
        """The Labels layer, made when there is none."""
        if self.labels is None or self.labels not in self._viewer.layers:
            active = self._viewer.layers.selection.active
            self.labels = add_labels(
                self._viewer,
                self._volume,
                np.zeros(self._volume.shape, np.uint8),
                free_name(self._viewer, RESULT, self._volume),
                opacity=0.45,
            )
            self.labels.metadata[METADATA_KEY][ROLE] = RESULT
            self._place_below_prompts(self.labels, active)
            self.recolor(classes, hidden)
            # Corrections are scribbles; paint on the result would be gone with the next click.
            self.labels.editable = False
        return self.labels

    def array(self) -> NDArray[Any] | None:
        """The labels shown, (S, A, R), or None before the first segmentation."""
        if self.labels is None or self.labels not in self._viewer.layers:
            return None
        return labels_array(self.labels)

    def show_planes(self, planes: list[tuple[Plane, NDArray[np.uint8]]]) -> None:
        """Write predicted planes into the labels shown, and draw them."""
        if self.labels is None:
            return
        truth = labels_array(self.labels)
        for plane, predicted in planes:
            write_plane(truth, self._volume, plane, predicted)
        # In 3D the whole volume would go to the graphics card; it follows in a moment.
        if self._viewer.dims.ndisplay == 2:
            self.labels.refresh(thumbnail=False, highlight=False, extent=False)

    def show(self, result: Segmentation) -> None:
        """Show a whole result and keep in the layer's metadata how it was made."""
        if self.labels is None:
            return
        set_labels(self.labels, result.labels)
        self.labels.editable = False
        self.labels.metadata[METADATA_KEY][RECORD] = result.metadata

    def clear(self) -> None:
        """Show nothing: the prompts no longer say anything."""
        if self.labels is not None:
            labels_array(self.labels).fill(0)
            self.labels.metadata[METADATA_KEY].pop(RECORD, None)
            self.labels.refresh(extent=False)

    def show_maps(
        self, result: Segmentation, labels: tuple[int, ...], classes: tuple[PromptClass, ...]
    ) -> None:
        """Show probability and uncertainty where the result has them; remove them where not."""
        wanted: dict[str, tuple[str, NDArray[np.float32], str]] = {}
        if result.uncertainty is not None:
            wanted[UNCERTAINTY] = ("uncertainty", result.uncertainty, "magma")
        if result.probability is not None:
            names = {one.label: one.name for one in classes}
            for label, values in zip(labels, result.probability, strict=True):
                title = f"probability of {names.get(label, label)}"
                wanted[f"{PROBABILITY}{label}"] = (title, values, "viridis")
        for layer in list(self._viewer.layers):
            role = self._role_here(layer)
            if role and role.startswith((UNCERTAINTY, PROBABILITY)) and role not in wanted:
                self._viewer.layers.remove(layer)
        for role, (title, values, colormap) in wanted.items():
            self._show_map(role, title, values, colormap)

    def recolor(self, classes: tuple[PromptClass, ...], hidden: Collection[int]) -> None:
        """Give the labels the colours of their classes."""
        if self.labels is not None:
            self.labels.colormap = label_colors(classes, hidden)

    def record(self) -> dict[str, Any] | None:
        """How the result shown was made, or None."""
        if self.labels is None or self.labels not in self._viewer.layers:
            return None
        record = self.labels.metadata.get(METADATA_KEY, {}).get(RECORD)
        return record if isinstance(record, dict) else None

    def _show_map(self, role: str, title: str, values: NDArray[np.float32], colormap: str) -> None:
        volume = self._like_volume(values, title)
        layer: Image | None = self._find(role)
        if layer is not None:
            layer.data = image_layer(volume)[0]
            return
        active = self._viewer.layers.selection.active
        layer = add_volume(
            self._viewer,
            volume,
            name=free_name(self._viewer, title, self._volume),
            colormap=colormap,
            contrast_limits=(0.0, 1.0),
            blending="additive",
            opacity=0.7,
            visible=False,
        )
        layer.metadata[METADATA_KEY] |= {"volume": self._volume, ROLE: role}
        self._place_below_prompts(layer, active)

    def _like_volume(self, values: NDArray[np.float32], name: str) -> Volume:
        data = np.ascontiguousarray(values, np.float32)
        data.flags.writeable = False
        return replace(self._volume, data=data, slope=1.0, intercept=0.0, name=name, notes=())

    def _find(self, role: str) -> Any:
        return find_layer(self._viewer, role, self._volume)

    def _role_here(self, layer: Layer) -> str | None:
        ours = layer.metadata.get(METADATA_KEY, {})
        return ours.get(ROLE) if ours.get("volume") is self._volume else None

    def _place_below_prompts(self, layer: Layer, active: Layer | None) -> None:
        """Prompts stay on top and keep the mouse: they are what the user works on."""
        layers = self._viewer.layers
        above = [n for n, other in enumerate(layers) if self._role_here(other) in _PROMPT_ROLES]
        if above and layers.index(layer) > min(above):
            layers.move(layers.index(layer), min(above))
        if active is not None:
            layers.selection.active = active


_PROMPT_ROLES = ("clicks", "scribbles")
