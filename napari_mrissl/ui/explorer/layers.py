"""What the explorer draws in the viewer: one layer of each kind per scan, its data replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.ui.explorer.explored import Explored
from napari_mrissl.ui.explorer.rendered import LiveSimilarity, RenderedColours
from napari_mrissl.ui.layers import (
    AXIS_LABELS,
    METADATA_KEY,
    UNITS,
    add_volume,
    image_layer,
    prepare_viewer,
    to_napari,
)
from napari_mrissl.ui.navigator.units import matching_units
from napari_mrissl.ui.segmenter.prompt_layers import ROLE
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points

SIMILARITY, COLOURS, CHANNEL, MARKS = "similarity", "colours", "channel", "feature matches"
"""Roles of our layers."""

_SIZE_VOXELS = 5.0
# Not below 0: an empty view is drawn as one point of size 0, which a limit would make seen.
_CANVAS_PIXELS = (0, 24)
_CLICK, _MATCH = "#ffd43b", "#3bc9db"


class ExplorerLayers:
    """The explorer's layers in a viewer; they go with the explorer."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._shown: dict[tuple[str, int], tuple[Explored, Image]] = {}
        self._marks: Points | None = None

    def layer(self, role: str, one: Explored) -> Image | None:
        """The layer of this kind for a scan, if the user has not deleted it."""
        held = self._shown.get((role, id(one)))
        return held[1] if held is not None and held[1] in self._viewer.layers else None

    def marks(self) -> Points | None:
        """The layer of clicked place and matches, if it is there."""
        there = self._marks is not None and self._marks in self._viewer.layers
        return self._marks if there else None

    def show_similarity_plane(self, one: Explored, query: NDArray[np.float32]) -> None:
        """Show cosines with a feature vector in the plane in view, at once.

        Of a hidden scan nothing is computed until the volume is. On an oblique scan every
        plane shows the nearest voxels until the volume is there.
        """
        layer = self._need_similarity(one)
        if self._viewer.dims.ndisplay == 3 or not layer.visible:
            return
        if isinstance(layer.data, LiveSimilarity):
            layer.data.live = (one.compared, query)
        else:
            ranges = self._plane_in_view(layer, one)
            where = tuple(slice(r.start, r.stop) for r in ranges)
            one.front[where] = one.compared.box(query, ranges)
        layer.refresh(thumbnail=False, highlight=False, extent=False)

    def show_similarity(self, one: Explored) -> None:
        """Show the cosines of all voxels that are in front now."""
        layer = self._need_similarity(one)
        volume = _like(one.volume, one.front, layer.name)
        data = LiveSimilarity(volume) if volume.oblique else one.front
        self._replace(layer, volume, data, SIMILARITY, one)

    def show_colours(self, one: Explored, colours: NDArray[np.uint8]) -> None:
        """Show red, green and blue (S, A, R, 3) on a scan's grid."""
        volume = one.volume
        data = RenderedColours(volume, colours) if volume.oblique else colours
        layer = self.layer(COLOURS, one)
        if layer is not None:
            layer.data = data
            layer.visible = True
            return
        _, settings = image_layer(_like(volume, colours[..., 0], ""))
        placed = {key: settings[key] for key in ("scale", "translate")}
        active = self._viewer.layers.selection.active
        prepare_viewer(self._viewer)
        layer = self._viewer.add_image(
            data,
            rgb=True,
            name=self._free(f"feature colours of {one.name}"),
            opacity=0.75,
            units=UNITS,
            axis_labels=AXIS_LABELS,
            metadata={METADATA_KEY: {"volume": volume, ROLE: COLOURS}},
            **placed,
        )
        self._keep(COLOURS, one, layer, active)

    def show_channel(
        self, one: Explored, values: NDArray[np.float32], title: str, limits: tuple[float, float]
    ) -> None:
        """Show one number per voxel: a channel, or the length of the features.

        Parameters
        ----------
        one
            The scan.
        values
            (S, A, R).
        title
            What the numbers are.
        limits
            Shown as the ends of the colormap; symmetric about 0 for numbers of both signs.
        """
        volume = _like(one.volume, values, title)
        colormap = "PiYG" if limits[0] < 0 < limits[1] else "gray"
        layer = self.layer(CHANNEL, one)
        if layer is None:
            active = self._viewer.layers.selection.active
            name = self._free(f"{title} of {one.name}")
            layer = add_volume(
                self._viewer, volume, name=name, colormap=colormap, contrast_limits=limits
            )
            layer.metadata[METADATA_KEY] |= {"volume": one.volume, ROLE: CHANNEL}
            self._keep(CHANNEL, one, layer, active)
            return
        self._replace(layer, volume, image_layer(volume)[0], CHANNEL, one)
        layer.colormap = colormap
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
        name = f"{title} of {one.name}"
        if layer.name != name:
            layer.name = self._free(name)
        layer.visible = True

    def show_marks(
        self,
        clicked: tuple[str, tuple[float, float, float]] | None,
        matches: Mapping[str, tuple[float, float, float]],
        beside: Layer | None,
    ) -> None:
        """Mark the clicked place and the best matches, in RAS mm, with the scans' names."""
        places = [] if clicked is None else [("clicked", clicked[1])]
        places += [(f"best in {name}", world) for name, world in matches.items()]
        layer = self.marks()
        if layer is None and not places:
            return
        if layer is None:
            layer = self._add_marks(beside)
        if beside is not None and places:
            # The scan's grid: a mark is seen on the slice nearest to it, however thick.
            layer.scale, layer.translate = beside.scale, beside.translate
        data = to_napari(np.array([world for _, world in places], np.float64).reshape(-1, 3))
        data = (data - layer.translate) / layer.scale
        layer.selected_data = set()
        with layer.events.extent.blocker():
            layer.data = data
        layer.features = {"what": [text for text, _ in places]}
        if places:
            layer.face_color = [_CLICK if text == "clicked" else _MATCH for text, _ in places]
        layer.refresh()

    def clear_similarity(self, explored: Sequence[Explored]) -> None:
        """Show no similarity and no marks: there is no click."""
        for one in explored:
            if self.layer(SIMILARITY, one) is not None:
                one.front.fill(0)
                self.show_similarity(one)
        self.show_marks(None, {}, None)

    def need_marks(self, beside: Layer) -> None:
        """Have the layer of marks, so that the first click need not make it."""
        if self.marks() is None:
            self._add_marks(beside)

    def hide(self, *roles: str) -> None:
        """Hide all layers of some kinds; they keep their place in the list."""
        for (role, _), (_, layer) in self._shown.items():
            if role in roles and layer in self._viewer.layers:
                layer.visible = False

    def forget(self, one: Explored) -> None:
        """Take away what is shown of a scan."""
        for key in [key for key, held in self._shown.items() if held[0] is one]:
            _, layer = self._shown.pop(key)
            if key[0] == SIMILARITY:
                one.layer.events.visible.disconnect(self._follow)
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def remove(self) -> None:
        """Take away all layers."""
        for one, _ in list(self._shown.values()):
            self.forget(one)
        if (marks := self.marks()) is not None:
            self._viewer.layers.remove(marks)
        self._marks = None

    def _plane_in_view(self, layer: Layer, one: Explored) -> tuple[range, range, range]:
        """The voxels that a layer on the scan's own grid shows now."""
        dims = self._viewer.dims
        extra = dims.ndim - 3
        point = np.rint(layer.world_to_data(dims.point[-3:])).astype(int)
        point = np.clip(point, 0, np.array(one.volume.shape) - 1)
        ranges = [range(n) for n in one.volume.shape]
        for axis in dims.not_displayed:
            if axis >= extra:
                at = int(point[axis - extra])
                ranges[axis - extra] = range(at, at + 1)
        return ranges[0], ranges[1], ranges[2]

    def _need_similarity(self, one: Explored) -> Image:
        layer = self.layer(SIMILARITY, one)
        if layer is not None:
            return layer
        name = self._free(f"similarity in {one.name}")
        volume = _like(one.volume, one.front, name)
        active = self._viewer.layers.selection.active
        layer = add_volume(
            self._viewer,
            volume,
            name=name,
            colormap="inferno",
            contrast_limits=(0.0, 1.0),
            # Not additive: on a bright scan all would be white.
            blending="translucent",
            opacity=0.6,
            visible=one.layer.visible,
        )
        layer.contrast_limits_range = (-1.0, 1.0)
        layer.metadata[METADATA_KEY] |= {"volume": one.volume, ROLE: SIMILARITY}
        self._keep(SIMILARITY, one, layer, active)
        layers = self._viewer.layers
        # Right above its scan, with which it comes and goes: of several scans that lie on each
        # other, one is seen at a time.
        layers.move(layers.index(layer), layers.index(one.layer) + 1)
        one.layer.events.visible.connect(self._follow)
        if volume.oblique:
            layer.data = LiveSimilarity(volume)
        return layer

    def _follow(self, event: Any) -> None:
        for (role, _), (one, layer) in self._shown.items():
            if role == SIMILARITY and one.layer is event.source:
                layer.visible = one.layer.visible

    def _replace(self, layer: Image, volume: Volume, data: Any, role: str, one: Explored) -> None:
        """New data, and what they are made of, so that other docks read them rightly."""
        made = layer.metadata[METADATA_KEY]
        origin = replace(made["origin"], volume=volume, data=data)
        layer.metadata[METADATA_KEY] = {"volume": one.volume, "origin": origin, ROLE: role}
        layer.data = data

    def _keep(self, role: str, one: Explored, layer: Image, active: Layer | None) -> None:
        self._shown[(role, id(one))] = (one, layer)
        marks = self.marks()
        if marks is not None:
            # What is clicked stays on top.
            layers = self._viewer.layers
            layers.move(layers.index(marks), len(layers))
        if active is not None:
            self._viewer.layers.selection.active = active

    def _add_marks(self, beside: Layer | None) -> Points:
        from napari.layers import Points

        layer = Points(
            np.zeros((0, 3)),
            ndim=3,
            name=self._free(MARKS),
            size=_SIZE_VOXELS,
            symbol="cross",
            border_width=0.1,
            border_color="black",
            canvas_size_limits=_CANVAS_PIXELS,
            features={"what": np.zeros(0, object)},
            text={"string": "{what}", "size": 9, "color": "white", "anchor": "lower_left"},
            units=UNITS if beside is None else matching_units(beside),
            axis_labels=AXIS_LABELS,
            metadata={METADATA_KEY: {}},
        )
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._marks = layer
        if active is not None:
            self._viewer.layers.selection.active = active
        return layer

    def _free(self, wanted: str) -> str:
        taken = {layer.name for layer in self._viewer.layers}
        number, name = 2, wanted
        while name in taken:
            name, number = f"{wanted} {number}", number + 1
        return name


def _like(volume: Volume, values: NDArray[Any], name: str) -> Volume:
    """A volume of other numbers on the same grid; the array is not copied."""
    data = np.ascontiguousarray(values).view()
    data.flags.writeable = False
    return replace(
        volume, data=data, slope=1.0, intercept=0.0, name=name, notes=(), disagreements=(),
        file_sha256=None, source=None,
    )  # fmt: skip
