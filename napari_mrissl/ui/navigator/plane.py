"""The slice in the main viewer: a textured plane in 3D, a line where it cuts a 2D view."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Surface, Vectors

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, UNITS, to_napari
from napari_mrissl.ui.navigator.colors import PlaneTexture

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

PLANE_NAME = "slice plane"
LINE_NAME = "slice line"
_FACES = np.array([[0, 1, 2], [0, 2, 3]])
# Texture corners in the order of Pose.corners: top left, top right, bottom right, bottom left.
_TEXTURE_CORNERS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
_COLOR = (1.0, 0.83, 0.2)


class PlaneLayers:
    """Two layers that are added once and whose data are replaced at every move.

    Parameters
    ----------
    viewer
        The main viewer.
    size
        Pixels along each side of the texture.
    """

    def __init__(self, viewer: ViewerModel, size: int) -> None:
        self._viewer = viewer
        self._texture = PlaneTexture(size, _COLOR)
        self._wanted = True
        shared = {"units": UNITS, "axis_labels": AXIS_LABELS, "metadata": {METADATA_KEY: {}}}
        self.plane = Surface(
            (np.zeros((4, 3)), _FACES, np.ones(4)),
            name=PLANE_NAME,
            texture=np.zeros((size, size, 4), np.uint8),
            texcoords=_TEXTURE_CORNERS,
            contrast_limits=(0, 1),
            shading="none",
            blending="translucent",
            **shared,
        )
        self.line = Vectors(
            np.zeros((0, 2, 3)),
            name=LINE_NAME,
            ndim=3,
            edge_color=[_COLOR],
            edge_width=1.0,
            vector_style="line",
            opacity=0.9,
            **shared,
        )

    @property
    def shown(self) -> bool:
        """Whether the user wants to see the plane in the main viewer."""
        return self._wanted

    @shown.setter
    def shown(self, wanted: bool) -> None:
        self._wanted = wanted
        if wanted:
            self.attach()
        self.adapt()

    def attach(self) -> None:
        """Add the layers where they are missing; selection and view stay as they are."""
        missing = [layer for layer in (self.plane, self.line) if layer not in self._viewer.layers]
        if not missing:
            return
        active = self._viewer.layers.selection.active
        for layer in missing:
            self._viewer.add_layer(layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        self.adapt()

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        for layer in (self.plane, self.line):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def owns(self, layer: Layer) -> bool:
        """Whether a layer is one of the two."""
        return layer is self.plane or layer is self.line

    def adapt(self) -> None:
        """The plane belongs to 3D, the line to 2D."""
        in_3d = self._viewer.dims.ndisplay == 3
        self.plane.visible = self._wanted and in_3d
        self.line.visible = self._wanted and not in_3d
        if not in_3d:
            # A tilted plane would stretch the sliders beyond the scan.
            self.plane.vertices = np.repeat(self.plane.vertices.mean(axis=0)[None], 4, axis=0)

    def update(
        self,
        pose: Pose,
        values: NDArray[np.float32],
        valid: NDArray[np.bool_],
        limits: tuple[float, float],
        table: NDArray[np.uint32],
    ) -> None:
        """Move the plane and show the slice on it."""
        if not self._wanted or self.plane not in self._viewer.layers:
            return
        if self._viewer.dims.ndisplay == 3:
            if self.plane.visible:
                self.plane.texture = self._texture.fill(values, valid, limits, table)
                self.plane.vertices = to_napari(pose.corners())
        elif self.line.visible and self.line in self._viewer.layers:
            self._update_line(pose)

    def _update_line(self, pose: Pose) -> None:
        hidden = list(self._viewer.dims.not_displayed)
        axis = hidden[-1] - (self._viewer.dims.ndim - 3) if hidden else 0
        if axis < 0:
            return
        point = float(self._viewer.dims.point[axis + self._viewer.dims.ndim - 3])
        self.line.data = cut(to_napari(pose.corners()), axis, point)
        if self.line.data.size:
            self.line.edge_width = pose.fov / 150


def cut(corners: NDArray[np.float64], axis: int, point: float) -> NDArray[np.float64]:
    """Where a square's corners (4, 3) cut the plane ``x[axis] == point``.

    Returns
    -------
    numpy.ndarray
        Vectors (K, 2, 3), start and direction: one for a cut, the four edges when the
        square lies in the plane, none when it misses it.
    """
    height = corners[:, axis] - point
    following = np.roll(corners, -1, axis=0)
    if np.abs(height).max() < 1e-6 * max(1.0, np.ptp(corners)):
        flat = corners.copy()
        flat[:, axis] = point
        return np.stack([flat, np.roll(flat, -1, axis=0) - flat], axis=1)
    next_height = np.roll(height, -1)
    crossed = (height < 0) != (next_height < 0)
    if crossed.sum() != 2:
        return np.zeros((0, 2, 3))
    share = (height[crossed] / (height[crossed] - next_height[crossed]))[:, None]
    ends = corners[crossed] + share * (following[crossed] - corners[crossed])
    ends[:, axis] = point
    return np.stack([ends[0], ends[1] - ends[0]])[None]


def shared_state(viewer: ViewerModel) -> object | None:
    """The state of a navigator that is already open on a viewer, or None."""
    for layer in viewer.layers:
        held = layer.metadata.get(METADATA_KEY, {}).get("navigator")
        if held is not None and held() is not None:
            return held()
    return None


def share_state(layers: PlaneLayers, state: object) -> None:
    """Let a second navigator on the same viewer find this one's state."""
    for layer in (layers.plane, layers.line):
        layer.metadata[METADATA_KEY] = {"navigator": weakref.ref(state)}
