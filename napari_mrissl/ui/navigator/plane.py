"""The slice in the main viewer: a textured plane in 3D, a line where it cuts a 2D view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Surface, Vectors

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.layers import AXIS_LABELS, METADATA_KEY, UNITS, to_napari
from napari_mrissl.ui.layers.attaching import attach
from napari_mrissl.ui.navigator.colors import PlaneTexture
from napari_mrissl.ui.navigator.units import millimetres

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_mrissl.volumes.volume import Volume

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
    names
        Of the plane and of the line.
    color
        RGB of outline and line, in [0, 1].
    """

    def __init__(
        self,
        viewer: ViewerModel,
        size: int,
        names: tuple[str, str] = (PLANE_NAME, LINE_NAME),
        color: tuple[float, float, float] = _COLOR,
    ) -> None:
        self._viewer = viewer
        self._texture = PlaneTexture(size, color)
        self._wanted = True
        self._box: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        shared = {"units": UNITS, "axis_labels": AXIS_LABELS, "metadata": {METADATA_KEY: {}}}
        self.plane = Surface(
            (np.zeros((4, 3)), _FACES, np.ones(4)),
            name=names[0],
            texture=np.zeros((size, size, 4), np.uint8),
            texcoords=_TEXTURE_CORNERS,
            contrast_limits=(0, 1),
            shading="none",
            blending="translucent",
            **shared,
        )
        self.line = Vectors(
            np.zeros((0, 2, 3)),
            name=names[1],
            ndim=3,
            edge_color=[color],
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
        if attach(self._viewer, (self.plane, self.line)):
            self.adapt()

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        for layer in (self.plane, self.line):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def set_volume(self, volume: Volume, units: tuple[str, ...] = UNITS) -> None:
        """Take the scan's units, and keep the line inside it: it must not stretch sliders."""
        for layer in (self.plane, self.line):
            layer.units = units
        center, half = to_napari(volume.center), to_napari(volume.extent) / 2
        self._box = center - half, center + half

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
        if self._viewer.dims.ndisplay == 3 and self.plane.visible:
            self.plane.texture = self._texture.fill(values, valid, limits, table)
            # The plane must not stretch the viewer's sliders, nor pay for that.
            with self.plane.events.extent.blocker():
                self.plane.vertices = to_napari(pose.corners())

    def update_line(self, pose: Pose) -> None:
        """Draw where a pose cuts the main viewer's 2D view."""
        dims = self._viewer.dims
        hidden = [axis for axis in dims.not_displayed if axis >= dims.ndim - 3]
        if not self.line.visible or len(hidden) != 1 or self.line not in self._viewer.layers:
            return
        axis = hidden[0] - (dims.ndim - 3)
        point = float(dims.point[hidden[0]]) * millimetres(self._viewer)
        vectors = cut(to_napari(pose.corners()), axis, point)
        if self._box:
            inside = within(vectors, *self._box)
            # An outline that leaves the scan would be shown as loose lines at its edges.
            cropped = len(vectors) == 4 and not np.array_equal(inside, vectors)
            vectors = inside[:0] if cropped else inside
        with self.line.events.extent.blocker():
            self.line.data = vectors


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


def within(
    vectors: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The parts of vectors (K, 2, 3), start and direction, inside a box (Liang and Barsky)."""
    start, direction = vectors[:, 0], vectors[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low, to_high = (low - start) / direction, (high - start) / direction
    still = direction == 0
    enters = np.where(still, -np.inf, np.minimum(to_low, to_high)).max(axis=1).clip(0, 1)
    leaves = np.where(still, np.inf, np.maximum(to_low, to_high)).min(axis=1).clip(0, 1)
    inside = (~still | ((start >= low) & (start <= high))).all(axis=1) & (enters < leaves)
    clipped = np.stack(
        [start + enters[:, None] * direction, (leaves - enters)[:, None] * direction], axis=1
    )
    return clipped[inside]
