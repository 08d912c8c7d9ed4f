"""The main viewer's visible Image and Labels layers as parts to draw, kept up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.layers import METADATA_KEY, volume_of
from napari_mrissl.ui.layers.foreign import layer_affine
from napari_mrissl.ui.layers.lazy import LazyGrid, RenderedLabels
from napari_mrissl.ui.layers.world import layer_matrix, swap_world
from napari_mrissl.ui.pictures.compose import SHADES
from napari_mrissl.ui.pictures.parts import (
    ColoursPart,
    ImagePart,
    LabelColors,
    LabelsPart,
    Part,
    packed,
    unpacked,
)
from napari_mrissl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_LIST = ("inserted", "removed", "reordered", "renamed")
_SOURCE = ("data", "scale", "translate", "rotate", "shear", "affine", "units")
_LOOK = ("visible", "opacity", "blending", "colormap")
_IMAGE_LOOK = (*_LOOK, "contrast_limits", "gamma")
_LABELS_LOOK = (*_LOOK, "contour", "selected_label", "show_selected_label", "features")
# `set_data` comes with every refresh: a script that writes labels has no other way to say so.
_VOXELS = ("paint", "labels_update", "set_data")


class _Watched:
    """A layer, its part, and the connections that tell when the part is out of date."""

    def __init__(self, scene: Scene, layer: Layer) -> None:
        self._scene = scene
        self.layer = layer
        self.part: Part | None = None
        self.problem = ""
        self.loading = False
        self.source: Any = None
        self.version = 0
        self._connections = [(name, self.on_source) for name in _SOURCE]
        if isinstance(layer, Labels):
            self._connections += [(name, self.on_look) for name in _LABELS_LOOK]
            self._connections += [(name, self.on_voxels) for name in _VOXELS]
        else:
            self._connections += [(name, self.on_look) for name in _IMAGE_LOOK]
        for name, react in self._connections:
            getattr(layer.events, name).connect(react)

    def release(self) -> None:
        """Let go of the layer."""
        for name, react in self._connections:
            getattr(self.layer.events, name).disconnect(react)

    def on_source(self, event: Any = None) -> None:
        """Voxels or place were replaced."""
        self.source, self.part, self.problem = None, None, ""
        self._scene.touch()

    def on_look(self, event: Any = None) -> None:
        """Colours, contrast, opacity or visibility changed."""
        self.part = None
        self._scene.touch()

    def on_voxels(self, event: Any = None) -> None:
        """Labels may have been changed in place."""
        self.version += 1
        if isinstance(self.part, LabelsPart):
            self.part.version = self.version
        self._scene.touch()


class Scene(QObject):
    """What is drawn, from the lowest layer to the highest.

    Attributes
    ----------
    touched : Signal()
        Something changed; `refresh` finds out what.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    labels_only
        Whether images are left out.
    """

    touched = Signal()

    def __init__(
        self, viewer: ViewerModel, parent: QObject | None = None, *, labels_only: bool = False
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._kinds = Labels if labels_only else (Image, Labels)
        self._watched: dict[int, _Watched] = {}
        self._listed = False
        self._jobs = JobRunner(self)
        self._jobs.failed.connect(self._on_failed)
        self._jobs.idle.connect(self.touch)
        self._loading: _Watched | None = None
        self.parts: list[tuple[Layer, Part]] = []
        for name in _LIST:
            getattr(viewer.layers.events, name).connect(self._on_list)

    @property
    def images(self) -> list[tuple[Image, ImagePart]]:
        """The visible images, the lowest first."""
        return [(layer, part) for layer, part in self.parts if isinstance(part, ImagePart)]

    @property
    def labels(self) -> list[tuple[Labels, LabelsPart]]:
        """The visible label maps, the lowest first."""
        return [
            (layer, part)
            for layer, part in self.parts
            if isinstance(part, LabelsPart) and not isinstance(part, ColoursPart)
        ]

    @property
    def problems(self) -> list[str]:
        """Why visible layers are not drawn, a sentence each."""
        return [w.problem for w in self._watched.values() if w.problem and w.layer.visible]

    @property
    def loading(self) -> list[str]:
        """Names of layers whose voxels are being computed."""
        return [w.layer.name for w in self._watched.values() if w.loading]

    def touch(self) -> None:
        """Say that something changed."""
        self.touched.emit()

    def refresh(self) -> None:
        """Bring `parts` up to date with the layers as they are now."""
        if not self._listed:
            self._watch_layers()
        self.parts = []
        for layer in self._viewer.layers:
            watched = self._watched.get(id(layer))
            if watched is None or not layer.visible:
                continue
            if watched.part is None and not watched.problem and not watched.loading:
                self._find_part(watched)
            if watched.part is not None:
                self.parts.append((layer, watched.part))

    def close(self) -> None:
        """Let go of viewer and layers."""
        for name in _LIST:
            getattr(self._viewer.layers.events, name).disconnect(self._on_list)
        for watched in self._watched.values():
            watched.release()
        self._watched.clear()
        self.parts = []
        self._jobs.close()

    def _on_list(self, event: Any = None) -> None:
        self._listed = False
        self.touch()

    def _watch_layers(self) -> None:
        present = {id(layer): layer for layer in self._viewer.layers if self._is_drawn(layer)}
        for gone in set(self._watched) - set(present):
            self._watched.pop(gone).release()
        for key, layer in present.items():
            if key not in self._watched:
                self._watched[key] = _Watched(self, layer)
            elif (part := self._watched[key].part) is not None and part.name != layer.name:
                self._watched[key].part = None
        self._listed = True

    def _is_drawn(self, layer: Layer) -> bool:
        """Whether a layer belongs here; what cannot be drawn of these is explained."""
        return isinstance(layer, self._kinds) and layer.ndim >= 3

    def _find_part(self, watched: _Watched) -> None:
        layer = watched.layer
        try:
            if watched.source is None:
                if not _is_at_hand(layer):
                    self._load(watched)
                    return
                watched.source = _source(layer)
            watched.part = _part(layer, watched.source)
        except MrisslError as error:
            watched.problem = str(error)
            return
        if isinstance(watched.part, LabelsPart):
            watched.part.version = watched.version

    def _load(self, watched: _Watched) -> None:
        """Compute lazy voxels off the GUI thread; several layers one after the other."""
        if self._loading is not None:
            return
        watched.loading, self._loading = True, watched
        layer, data = watched.layer, watched.layer.data
        self._jobs.start(
            lambda control: _source(layer),
            title=f"Loading {layer.name}",
            done=lambda source: self._loaded(watched, data, source),
            queue=True,
        )

    def _loaded(self, watched: _Watched, data: Any, source: Any) -> None:
        # Other data may have come meanwhile; they are loaded in their turn.
        watched.source = source if watched.layer.data is data else None
        self._end_loading()

    def _on_failed(self, sentence: str) -> None:
        if self._loading is not None:
            self._loading.problem = sentence
        self._end_loading()

    def _end_loading(self) -> None:
        if self._loading is not None:
            self._loading.loading = False
        self._loading = None
        self.touch()


def _is_at_hand(layer: Layer) -> bool:
    if _is_colours(layer):
        return False
    data = layer.data[0] if layer.multiscale else layer.data
    return layer.ndim != 3 or isinstance(data, np.ndarray | LazyGrid)


def _is_colours(layer: Layer) -> bool:
    """Whether a layer is a colour image of ours, which lies in RAS mm."""
    return isinstance(layer, Image) and layer.rgb and METADATA_KEY in layer.metadata


def _source(layer: Layer) -> Volume | tuple[NDArray[Any], NDArray[np.float64]]:
    """The volume of an image, or array and affine of labels or of packed colours."""
    if _is_colours(layer):
        return packed(np.asarray(layer.data)), swap_world(layer_matrix(layer))
    if isinstance(layer, Image):
        return volume_of(layer)
    affine = layer_affine(layer)[0]
    data = layer.data[0] if layer.multiscale else layer.data
    if not isinstance(data, RenderedLabels):
        return np.asarray(data), affine
    # What napari shows is a rendering: the labels lie on the scan's own, oblique grid.
    motion = swap_world(layer_matrix(layer)) @ np.linalg.inv(data.grid.affine)
    return data.labels, motion @ data.volume.affine


def _part(layer: Layer, source: Any) -> Part:
    look = {"opacity": float(layer.opacity), "blending": _blending(layer)}
    if _is_colours(layer):
        return ColoursPart(layer.name, *source, LabelColors(unpacked), **look)
    if isinstance(layer, Image):
        low, high = (float(limit) for limit in layer.contrast_limits)
        ramp = np.linspace(0, 1, SHADES) ** float(layer.gamma)
        return ImagePart(
            layer.name,
            source,
            (low, high),
            np.asarray(layer.colormap.map(ramp), np.float64),
            np.asarray(layer.colormap.nan_color, np.float64),
            **look,
        )
    return LabelsPart(
        layer.name,
        *source,
        LabelColors(_colors_of(layer)),
        contour=int(layer.contour),
        names=_label_names(layer),
        **look,
    )


def _blending(layer: Layer) -> str:
    name = str(layer.blending)
    return "translucent" if name == "translucent_no_depth" else name


def _colors_of(layer: Labels) -> Any:
    colormap = layer.colormap
    if not isinstance(colormap, DirectLabelColormap):
        return colormap.map
    known = dict(colormap.color_dict)
    default = np.asarray(colormap.default_color, np.float64)
    chosen = int(colormap.selection) if colormap.use_selection else None

    def colors_of(labels: NDArray[Any]) -> NDArray[np.float64]:
        # napari's own way goes through Python for every label of a large type.
        colors = np.tile(default, (len(labels), 1))
        for label, color in known.items():
            if label is not None:
                colors[labels == label] = color
        if chosen is not None:
            colors[labels != chosen] = 0
        return colors

    return colors_of


def _label_names(layer: Labels) -> dict[int, str]:
    features = layer.features
    if "index" not in features or "name" not in features:
        return {}
    return {
        int(label): str(name)
        for label, name in zip(features["index"], features["name"], strict=True)
    }
