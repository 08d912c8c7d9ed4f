"""One command per task opens its docks in a tidy arrangement: slices large, panels as tabs."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari import current_viewer
from qtpy.QtCore import QTimer

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui import docks
from napari_mrissl.ui.session import keep

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QMainWindow

VIEWS, NAVIGATOR = "Slice views", "Slice navigator"
RECORDER, SEGMENTER = "Flight recorder", "Click segmentation"
STUDIO, PRETRAINING = "Data engine studio", "Pretraining"
INSPECTOR, EXPLORER = "Inspector", "Feature explorer"
FINETUNING, REGISTRATION = "Finetuning", "Registration"

WIDE = 1500
"""Pixels of window width from which slices and navigator stand side by side."""

_SHARE_OF_SLICES = 0.6
_PANEL_WIDTH = 370
_LEAST_SLICES = 380


@dataclass(frozen=True)
class Workspace:
    """The docks of one task.

    Attributes
    ----------
    key
        By which the session remembers it.
    slices
        Titles of what shows slices, the largest first: they get the large place.
    panels
        Titles of what is operated, the most important first.
    """

    key: str
    slices: tuple[str, ...]
    panels: tuple[str, ...] = ()


WORKSPACES = {
    one.key: one
    for one in (
        Workspace("look", (VIEWS, NAVIGATOR)),
        Workspace("record", (VIEWS, NAVIGATOR), (RECORDER,)),
        Workspace("label", (VIEWS, NAVIGATOR), (SEGMENTER,)),
        Workspace("synthesize", (VIEWS,), (STUDIO,)),
        Workspace("pretrain", (VIEWS,), (PRETRAINING,)),
        Workspace("inspect", (VIEWS,), (INSPECTOR,)),
        Workspace("explore", (VIEWS,), (EXPLORER,)),
        Workspace("finetune", (VIEWS,), (FINETUNING, SEGMENTER)),
        Workspace("register", (VIEWS,), (REGISTRATION,)),
    )
}
"""A task with docks of its own joins by one entry here and one command in the manifest."""


def look() -> None:
    """Slice views and navigator of the current viewer."""
    open_workspace(_viewer(), "look")


def record() -> None:
    """Slice views, navigator and flight recorder of the current viewer."""
    open_workspace(_viewer(), "record")


def label() -> None:
    """Slice views, navigator and click segmentation of the current viewer."""
    open_workspace(_viewer(), "label")


def synthesize() -> None:
    """Slice views and data engine studio of the current viewer."""
    open_workspace(_viewer(), "synthesize")


def pretrain() -> None:
    """Slice views and pretraining of the current viewer."""
    open_workspace(_viewer(), "pretrain")


def inspect() -> None:
    """Slice views and Inspector of the current viewer."""
    open_workspace(_viewer(), "inspect")


def explore() -> None:
    """Slice views and feature explorer of the current viewer."""
    open_workspace(_viewer(), "explore")


def finetune() -> None:
    """Slice views, finetuning and click segmentation of the current viewer."""
    open_workspace(_viewer(), "finetune")


def register() -> None:
    """Slice views and registration of the current viewer."""
    open_workspace(_viewer(), "register")


def open_workspace(viewer: ViewerModel, key: str) -> None:
    """Open a task's docks and put them in place.

    Docks that are open already are moved, not opened again; other docks of ours become
    tabs behind the panels, so that nothing that goes on in them is lost from sight.

    Raises
    ------
    MrisslError
        If there is no such workspace, or the viewer has no window.
    """
    if key not in WORKSPACES:
        raise MrisslError(f"no workspace {key!r}", expected=" or ".join(WORKSPACES))
    workspace = WORKSPACES[key]
    window = docks.main_window(getattr(viewer, "__wrapped__", viewer))
    if window is None:
        raise MrisslError("this viewer has no window", remedy="open napari's window first")
    others = {
        title: dock for title, (dock, _) in docks.open_docks(window).items() if not dock.isHidden()
    }
    for title in (*workspace.slices, *workspace.panels):
        _, panel = docks.open_dock(viewer, title)
        # It gets its place here, whatever it does by itself when it is docked.
        docks.mark_placed(panel)
        others.pop(title, None)
    canvas = window.centralWidget()
    before = canvas.width() if canvas is not None else 0
    docks.arrange(window, places(workspace, window, tuple(others)))
    _fit_later(viewer, window, before)
    keeper = keep(viewer)
    if keeper is not None:
        keeper.workspace = key


def places(
    workspace: Workspace, window: QMainWindow, others: tuple[str, ...] = ()
) -> dict[str, dict[str, Any]]:
    """Where each dock of a workspace goes, as `docks.arrange` takes it.

    In a wide window the slices stand beside one stack of panels, to which the navigator
    belongs. A narrow one, as of 1366 pixels, has no room for two columns beside the canvas:
    all are tabs of one stack, with the task's own panel in front.
    """
    canvas = window.centralWidget()
    free = window.width() - (canvas.x() if canvas is not None else 0)
    if window.width() >= WIDE:
        panels = [*workspace.panels, *workspace.slices[1:], *others]
        width = max(_LEAST_SLICES, round(_SHARE_OF_SLICES * (free - _PANEL_WIDTH)))
        groups = [(list(workspace.slices[:1]), width), (panels, _PANEL_WIDTH)]
    else:
        stack = [*workspace.panels, *workspace.slices, *others]
        share = 0.5 if workspace.panels else _SHARE_OF_SLICES
        groups = [(stack, round(share * free))]
    return {
        title: {
            "area": "right",
            "group": number,
            "across": number > 0,
            "front": place == 0,
            "shown": True,
            "floating": False,
            "size": (wanted, 0),
        }
        for number, (titles, wanted) in enumerate(groups)
        for place, title in enumerate(titles)
    }


def _fit_later(viewer: ViewerModel, window: QMainWindow, before: int) -> None:
    """Show scans whole again once the main canvas has its new width, if that is another."""

    # Weakly: a window that is closed before the time must not be held by its own timer.
    held, shown = weakref.ref(window), weakref.ref(getattr(viewer, "__wrapped__", viewer))

    def fit() -> None:
        window, viewer = held(), shown()
        canvas = window.centralWidget() if window is not None and viewer is not None else None
        if canvas is not None and len(viewer.layers) and abs(canvas.width() - before) > 40:
            viewer.reset_view()

    timer = QTimer(window)
    timer.setSingleShot(True)
    timer.timeout.connect(fit)
    timer.timeout.connect(timer.deleteLater)
    timer.start(100)


def _viewer() -> ViewerModel:
    viewer = current_viewer()
    if viewer is None:
        raise MrisslError("no napari window is open", remedy="open one first")
    return viewer
