"""Prompts and result on the navigator's oblique slice: shown there, and placed there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, apply_affine
from napari_mrissl.ui.segmenter.colors import label_colors
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.planes import Plane, plane_voxels, pose_plane
from napari_mrissl.ui.segmenter.state import Scribble

if TYPE_CHECKING:
    from napari.layers import Labels, Points

    from napari_mrissl.ui.navigator import SliceNavigator

SLICE_SIZE = 256
# How often to look whether a navigator was opened or closed: napari does not say.
_LOOK_MS = 500
_BRUSH_PIXELS = 7


class SliceLink(QObject):
    """Draws segmentation, scribbles and clicks on the oblique slice and takes new ones there.

    The layers live in the slice's own viewer. While one of them has a tool other than
    pan-zoom, the navigator leaves the mouse to it.

    Parameters
    ----------
    panel
        A widget of the window in which a navigator may be docked.
    controller
        Whose current scan is shown, when the navigator cuts the same one.
    """

    def __init__(self, panel: QWidget, controller: Controller) -> None:
        super().__init__(controller)
        self._panel = panel
        self._controller = controller
        self._tool = "pan_zoom"
        self._busy = False
        self.navigator: SliceNavigator | None = None
        self.result: Labels | None = None
        self.scribbles: Labels | None = None
        self.clicks: Points | None = None
        self._drawn = np.zeros((SLICE_SIZE, SLICE_SIZE), np.uint8)
        self._drawn_at: Pose | None = None
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(0)
        self._redraw.timeout.connect(self.refresh)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self.find)
        self._look.start()
        controller.session_changed.connect(self._redraw.start)
        controller.prompts_changed.connect(self._redraw.start)
        controller.labels_shown.connect(self._redraw.start)
        controller.slice_pose = lambda: self.pose

    @property
    def pose(self) -> Pose | None:
        """Of the slice, when it cuts the current scan."""
        session, navigator = self._controller.session, self.navigator
        if navigator is None or session is None or navigator.volume is not session.volume:
            return None
        return navigator.pose

    def find(self) -> None:
        """Take up a navigator that was opened, and let go of one that was closed."""
        found = find_navigator(self._panel)
        if found is self.navigator:
            return
        if self.navigator is not None:
            self.navigator.pose_changed.disconnect(self._on_pose)
        self.navigator = found
        self.result = self.scribbles = self.clicks = None
        if found is not None:
            found.pose_changed.connect(self._on_pose)
            self._add_layers(found.slice_viewer)
            self.refresh()
            self.use(self._tool)

    def use(self, tool: str) -> None:
        """Let the mouse on the slice ``"add"`` clicks, ``"paint"``, ``"erase"``, or navigate."""
        self._tool = tool
        if self.navigator is None or self.clicks is None or self.scribbles is None:
            return
        layers = self.navigator.slice_viewer.layers
        self.clicks.mode = "add" if tool == "add" else "pan_zoom"
        self.scribbles.mode = tool if tool in ("paint", "erase") else "pan_zoom"
        chosen = {"add": self.clicks, "paint": self.scribbles, "erase": self.scribbles}
        layers.selection.active = chosen.get(tool, self.navigator.view.layer)

    def bring_navigator(self) -> None:
        """Let the navigator cut the current scan, where it cuts another one."""
        self.find()
        session, navigator = self._controller.session, self.navigator
        if session is None or navigator is None or navigator.volume is session.volume:
            return
        navigator.choose_layer(session.layer)

    def refresh(self) -> None:
        """Draw what the slice cuts, after taking what was painted on it."""
        self._take_stroke()
        pose, session = self.pose, self._controller.session
        if self.result is None or self.scribbles is None or self.clicks is None:
            return
        shown = pose is not None and session is not None
        for layer in (self.result, self.scribbles, self.clicks):
            if layer.visible != shown:
                layer.visible = shown
        if not shown:
            return
        self._busy = True
        try:
            self._draw(pose_plane(pose, SLICE_SIZE), pose, session)
        finally:
            self._busy = False

    def close(self) -> None:
        """Take our layers off the slice."""
        self._look.stop()
        self._redraw.stop()
        navigator, self.navigator = self.navigator, None
        if navigator is None:
            return
        navigator.pose_changed.disconnect(self._on_pose)
        layers = navigator.slice_viewer.layers
        for layer in (self.result, self.scribbles, self.clicks):
            if layer in layers:
                layers.remove(layer)
        layers.selection.active = navigator.view.layer

    def _draw(self, plane: Plane, pose: Pose, session: Any) -> None:
        classes = session.state.classes
        pixel = pose.fov / SLICE_SIZE
        place = {"scale": (pixel, pixel), "translate": ((pixel - pose.fov) / 2,) * 2}
        labels = session.results.array()
        voxels = plane_voxels(session.volume, plane)[0]
        inside = voxels >= 0
        result = np.zeros(voxels.shape, np.uint8)
        if labels is not None:
            result[inside] = labels.reshape(-1)[voxels[inside]]
        drawn = np.zeros(voxels.shape, np.uint8)
        if session.sync.scribbles is not None:
            drawn[inside] = session.sync.scribbles.at(voxels[inside])
        for layer, data, hidden in (
            (self.result, result, session.hidden),
            (self.scribbles, drawn, ()),
        ):
            _place(layer, place)
            layer.data[:] = data
            _recolor(layer, classes, hidden)
            layer.refresh(thumbnail=False, highlight=False, extent=False)
        self._drawn, self._drawn_at = drawn.copy(), pose
        self.scribbles.selected_label = session.current
        self._draw_clicks(pose, session)

    def _draw_clicks(self, pose: Pose, session: Any) -> None:
        colors = {one.label: one.color for one in session.state.classes}
        places = np.array([c[:3] for c in session.state.clicks], np.float64).reshape(-1, 3)
        away = (places - pose.center) @ pose.rotation
        near = np.abs(away[:, 2]) <= session.volume.spacing.max() / 2
        labels = [
            click[3] for click, shown in zip(session.state.clicks, near, strict=True) if shown
        ]
        data = np.stack([-away[near, 1], away[near, 0]], axis=1)
        looks = [colors.get(label, "white") for label in labels]
        drawn = (data.tobytes(), tuple(looks))
        if self.clicks.metadata.get("drawn") != drawn:
            # Points are slow to replace; most poses cut none.
            self.clicks.metadata["drawn"] = drawn
            self.clicks.selected_data = set()
            self.clicks.data = data
            if looks:
                self.clicks.face_color = looks
        self.clicks.current_face_color = colors.get(session.current, "white")

    def _add_layers(self, slice_viewer: Any) -> None:
        shape, shared = (SLICE_SIZE, SLICE_SIZE), {"units": ("mm", "mm")}
        active = slice_viewer.layers.selection.active
        shared["axis_labels"] = tuple(slice_viewer.dims.axis_labels)
        self.result = slice_viewer.add_labels(
            np.zeros(shape, np.uint8), name="segmentation", opacity=0.45, **shared
        )
        self.scribbles = slice_viewer.add_labels(
            np.zeros(shape, np.uint8), name="scribbles", opacity=0.9, **shared
        )
        self.scribbles.brush_size = _BRUSH_PIXELS
        self.clicks = slice_viewer.add_points(
            np.zeros((0, 2)), ndim=2, name="clicks", size=3.0, border_color="white", **shared
        )
        slice_viewer.layers.selection.active = active
        self.scribbles.events.paint.connect(self._on_paint)
        self.clicks.events.data.connect(self._on_click)

    def _on_pose(self, _: Pose) -> None:
        self._redraw.start()

    def _on_click(self, event: Any) -> None:
        pose = self.pose
        if self._busy or pose is None or str(event.action) != "added":
            return
        row, column = self.clicks.data[-1]
        point = pose.center + column * pose.right - row * pose.up
        self._do(lambda session: session.add_click(point))

    def _on_paint(self, _: Any) -> None:
        # A stroke of the mouse is whole by now; one painted by a script is announced first.
        self._redraw.start()

    def _take_stroke(self) -> None:
        """Paint into the scan what was painted on the slice since it was drawn."""
        # Where the slice was when it was painted on; it may have moved on since.
        pose, session = self._drawn_at, self._controller.session
        if self.pose is None or pose is None or session is None or self.scribbles is None:
            return
        new = np.asarray(self.scribbles.data)
        painted = new != self._drawn
        if not painted.any():
            return
        stroke = stroke_voxels(session.volume, pose, painted, new)
        self._drawn = new.copy()
        self._do(lambda session: session.paint_voxels(stroke.voxels, stroke.labels))

    def _do(self, what: Any) -> None:
        try:
            what(self._controller.session)
        except MrisslError as error:
            self._controller.say("error", str(error))
        self._redraw.start()


def find_navigator(panel: QWidget) -> SliceNavigator | None:
    """A slice navigator docked in the same window as a panel, or None.

    Qt is asked, not napari: the viewer that napari hands to plugins wraps every widget
    anew, so that none is ever the one seen before.
    """
    from napari_mrissl.ui.navigator import SliceNavigator

    return next((n for n in panel.window().findChildren(SliceNavigator) if not n.closed), None)


def stroke_voxels(
    volume: Any, pose: Pose, painted: NDArray[np.bool_], labels: NDArray[Any]
) -> Scribble:
    """The voxels under painted pixels of a slice, without holes where pixels are coarse.

    Parameters
    ----------
    volume
        The scan.
    pose
        Of the slice.
    painted, labels
        (N, N) which pixels were painted, and with what.
    """
    size = len(painted)
    finer = max(1, int(np.ceil(2 * pose.fov / size / volume.spacing.min())))
    rows, columns = np.nonzero(painted)
    plane = pose_plane(pose, size)
    steps = (np.arange(finer) + 0.5) / finer - 0.5
    row, column = np.meshgrid(steps, steps, indexing="ij")
    i = (rows[:, None] + row.reshape(-1)).reshape(-1)
    j = (columns[:, None] + column.reshape(-1)).reshape(-1)
    places = apply_affine(plane.affine, np.stack([np.zeros_like(i), i, j], axis=1))
    index = np.rint(apply_affine(volume.to_index, places)).astype(np.int64)
    inside = ((index >= 0) & (index < volume.shape)).all(axis=1)
    voxels: Any = np.ravel_multi_index(tuple(index[inside].T), volume.shape)
    chosen = np.repeat(labels[rows, columns], finer * finer)[inside]
    unique, first = np.unique(voxels, return_index=True)
    return Scribble(unique.astype(np.int64), chosen[first].astype(np.uint8))


def _place(layer: Any, place: dict[str, Any]) -> None:
    if not np.allclose(layer.scale, place["scale"]):
        layer.scale = place["scale"]
        layer.translate = place["translate"]


def _recolor(layer: Any, classes: Any, hidden: Any) -> None:
    key = (classes, frozenset(hidden))
    if layer.metadata.get("colors") != key:
        layer.metadata["colors"] = key
        layer.colormap = label_colors(classes, hidden)
