"""The moved scan and its labels as layers: one each, replaced by those of the next result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_mrissl.ui.inspector.source_box import is_scan
from napari_mrissl.ui.layers import add_labels, add_volume, image_layer, labels_layer
from napari_mrissl.ui.registration.result import Result

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

_LABELS_OPACITY = 0.45


class ResultLayers:
    """Shows one result; names, and contrast for the same scan, stay as the user set them.

    Attributes
    ----------
    moved, labels : Layer or None
        In the viewer, unless the user deleted them.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.moved: Image | None = None
        self.labels: Labels | None = None
        self._named: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()
        self._window: tuple[float, float] | None = None

    @property
    def shown(self) -> bool:
        """Whether the moved scan is in the viewer."""
        return self.moved is not None and self.moved in self._viewer.layers

    def show(self, result: Result | None) -> None:
        """Show a result instead of the one before; with None, none."""
        if result is None:
            self._remove(self.moved)
            self._remove(self.labels)
            self.forget()
            return
        window = result.scans.moving.display_window()
        name = result.moved.name
        if self._there(self.moved):
            self._replace(self.moved, image_layer(result.moved), name)
            if window != self._window:
                self.moved.contrast_limits = window  # type: ignore[union-attr]
        else:
            self.moved = add_volume(self._viewer, result.moved, contrast_limits=window)
            self._named[self.moved] = name
            self._put_above_scans(self.moved)
        self._window = window
        labels = result.moved_labels
        if labels is None:
            self._remove(self.labels)
            self.labels = None
            return
        title = f"labels of {name}"
        if self._there(self.labels):
            self._replace(self.labels, labels_layer(result.scans.fixed, labels, title), title)
        else:
            self.labels = add_labels(
                self._viewer, result.scans.fixed, labels, title, opacity=_LABELS_OPACITY
            )
            self._named[self.labels] = title

    def forget(self) -> None:
        """Let go of the layers, which stay in the viewer."""
        self.moved = self.labels = None
        self._named.clear()

    def _put_above_scans(self, moved: Image) -> None:
        """Not over labels, points and drawings, which it would hide."""
        layers = self._viewer.layers
        scans = [n for n, layer in enumerate(layers) if is_scan(layer) and layer is not moved]
        if scans:
            layers.move(layers.index(moved), max(scans) + 1)

    def _there(self, layer: Layer | None) -> bool:
        return layer is not None and layer in self._viewer.layers

    def _remove(self, layer: Layer | None) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _replace(self, layer: Any, made: tuple[Any, dict[str, Any]], name: str) -> None:
        data, settings = made
        layer.data = data
        layer.scale, layer.translate = settings["scale"], settings["translate"]
        layer.metadata = settings["metadata"]
        # A name that the user gave stays.
        if layer.name == self._named.get(layer):
            layer.name = self._named[layer] = name
