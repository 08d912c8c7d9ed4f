"""Anatomy upright in napari's own views: camera orientation, rolled axes, letters.

napari draws array axes; which way they point is the camera's orientation, never a
negative scale. With the world (S, A, R) and the vertical axis up, every view is upright
as long as S is vertical where it is shown, else A.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.preferences import CONVENTIONS, on_display_change, preferences

if TYPE_CHECKING:
    from napari.components import ViewerModel

VIEW_ORDERS = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
"""Displayed axes of each upright view: sliced axis, vertical axis, horizontal axis."""

_LETTERS = (("I", "S"), ("P", "A"), ("L", "R"))
_SIDES = {
    "left": "middle_left",
    "right": "middle_right",
    "bottom": "bottom_center",
    "top": "top_center",
}
_kept: dict[int, _Upright] = {}


def orient_camera(viewer: ViewerModel, convention: str | None = None) -> None:
    """Show anatomy upright, with the patient's right on the right or on the left.

    Parameters
    ----------
    viewer
        The viewer; its camera's orientation is set.
    convention
        ``"neurological"`` (the patient's right on the right; sagittal looks towards
        anterior on the right) or ``"radiological"``; without one, the preference.
        The depth axis follows, so that 3D is never a mirror image.

    Raises
    ------
    MrisslError
        If there is no such convention.
    """
    chosen = convention or preferences().convention
    if chosen not in CONVENTIONS:
        raise MrisslError(f"convention {chosen!r}", expected=" or ".join(CONVENTIONS))
    _state(viewer).apply(chosen)


def orient_once(viewer: ViewerModel) -> None:
    """Orient a viewer by preference, unless that was done: what the user set since stays."""
    if not _state(viewer).applied:
        orient_camera(viewer)


def convention_of(viewer: ViewerModel) -> str:
    """The convention in which a viewer shows the patient now."""
    horizontal = str(viewer.scene.camera.orientation[2])
    return CONVENTIONS[0] if horizontal == "right" else CONVENTIONS[1]


def show_view(viewer: ViewerModel, view: str) -> None:
    """Turn a viewer's 2D display to the ``"axial"``, ``"coronal"`` or ``"sagittal"`` view.

    Raises
    ------
    MrisslError
        If there is no such view, or the viewer has fewer than three axes.
    """
    if view not in VIEW_ORDERS:
        raise MrisslError(f"view {view!r}", expected=" or ".join(VIEW_ORDERS))
    extra = viewer.dims.ndim - 3
    if extra < 0:
        raise MrisslError("the viewer shows 2-D layers only", remedy="open a scan first")
    viewer.dims.ndisplay = 2
    viewer.dims.order = (*range(extra), *(axis + extra for axis in VIEW_ORDERS[view]))
    viewer.reset_view()


def edge_letters(viewer: ViewerModel) -> dict[str, str]:
    """The patient's directions at the edges ``left, right, bottom, top`` of the 2D view.

    Empty for a 3D display and while an axis other than the last three is shown.
    """
    order, ndim = viewer.dims.order, viewer.dims.ndim
    axes = [axis - (ndim - 3) for axis in order[-2:]]
    if viewer.dims.ndisplay != 2 or ndim < 3 or min(axes) < 0:
        return {}
    _, vertical, horizontal = (str(o) for o in viewer.scene.camera.orientation)
    low, high = _LETTERS[axes[1]][:: 1 if horizontal == "right" else -1]
    below, above = _LETTERS[axes[0]][:: 1 if vertical == "up" else -1]
    return {"left": low, "right": high, "bottom": below, "top": above}


class _Upright:
    """Keeps one viewer upright: depth follows the order of axes, letters follow the view."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._order = tuple(viewer.dims.order)
        self._set: tuple[str, ...] = ()
        self._horizontal = "right"
        viewer.dims.events.order.connect(self._on_order)
        viewer.dims.events.ndisplay.connect(self._show_letters)
        viewer.dims.events.ndim.connect(self._on_order)
        viewer.scene.camera.events.orientation.connect(self._show_letters)
        on_display_change(self._on_preference)

    @property
    def applied(self) -> bool:
        """Whether an orientation was set here before."""
        return bool(self._set)

    def apply(self, convention: str) -> None:
        """Set the camera's orientation for a convention."""
        self._horizontal = "right" if convention == CONVENTIONS[0] else "left"
        self._orient()
        self._show_letters()

    def _orient(self) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        # The displayed axes (d, v, h) of (S, A, R) make a right-handed screen in the
        # order (S, A, R) itself; an odd exchange of two axes mirrors it.
        toward = (self._horizontal == "right") == _even(viewer.dims.order[-3:])
        self._set = ("towards" if toward else "away", "up", self._horizontal)
        viewer.scene.camera.orientation = self._set

    @property
    def _kept(self) -> bool:
        """Whether the camera still is as we set it, not as the user did."""
        viewer = self._viewer()
        if viewer is None or not self._set:
            return False
        return self._set == tuple(str(o) for o in viewer.scene.camera.orientation)

    def _on_preference(self, event: Any) -> None:
        if event.type == "convention" and self._kept:
            self.apply(preferences().convention)
        self._show_letters()

    def _on_order(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        before, self._order = self._order, tuple(viewer.dims.order)
        if self._kept:
            if len(before) == 3 and self._order == (before[2], *before[:2]):
                self._roll_upright(viewer, before)
            self._orient()
        self._show_letters()

    def _roll_upright(self, viewer: ViewerModel, before: tuple[int, ...]) -> None:
        """After napari's roll of an upright view, show the next anatomical view upright.

        Rolling (S, A, R) alone would lay the coronal view on its side; transposing, or
        rolling from a view that the user transposed, is left as it is.
        """
        views = [VIEW_ORDERS[name] for name in ("axial", "sagittal", "coronal")]
        if before in views:
            self._order = views[(views.index(before) + 1) % 3]
            viewer.dims.order = self._order

    def _show_letters(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is None or not self._set:
            return
        from napari.components.overlays import TextOverlay

        letters = edge_letters(viewer) if preferences().letters else {}
        overlays = viewer.canvas.overlays
        for side, position in _SIDES.items():
            name = f"patient_{side}"
            if name not in overlays:
                if not letters:
                    continue
                overlays[name] = TextOverlay(position=position, font_size=11, box=True)
            overlays[name].text = letters.get(side, "")
            overlays[name].visible = bool(letters)
        if "patient_right" in overlays and letters:
            overlays["patient_top"].text = f"{letters['top']}\n{convention_of(viewer)}"


def _state(viewer: ViewerModel) -> _Upright:
    key = id(viewer)
    if key not in _kept:
        _kept[key] = _Upright(viewer)
        weakref.finalize(viewer, _kept.pop, key, None)
    return _kept[key]


def _even(order: tuple[int, ...]) -> bool:
    swaps = sum(a > b for n, a in enumerate(order) for b in order[n + 1 :])
    return swaps % 2 == 0
