"""Where our docks are: opened once each, sharing one place, described and put back."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari.components import ViewerModel

PLUGIN = "napari-mrissl"
_OURS = "mrissl_panel"
_PLACED = "mrissl_placed"

AREAS = {
    "left": Qt.DockWidgetArea.LeftDockWidgetArea,
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "top": Qt.DockWidgetArea.TopDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}


@dataclass(frozen=True)
class Described:
    """A dock of ours: its title in the plugin menu, its panel, and where it is."""

    title: str
    panel: QWidget
    place: dict[str, Any]


def tab_with_others(panel: QWidget) -> None:
    """Put a panel's dock into one stack of tabs with our other docks, once it is shown.

    From then on the window's session is kept, and the last one is offered.
    """
    panel.setProperty(_OURS, True)
    # A child, so that it ends with the panel.
    timer = QTimer(panel)
    timer.setSingleShot(True)
    timer.timeout.connect(lambda: _join(panel))
    timer.timeout.connect(lambda: keep_session(panel))
    timer.timeout.connect(timer.deleteLater)
    timer.start(0)


def mark_placed(panel: QWidget) -> None:
    """A place was found for a panel: it looks for none by itself when it is docked."""
    panel.setProperty(_PLACED, True)


def keep_session(panel: QWidget) -> None:
    """Keep the session of the window that a panel was docked in, and offer the last one."""
    from napari import current_viewer

    from napari_mrissl.ui.session import keep, offer_in

    owner = getattr(panel, "controller", panel)
    for held in (getattr(owner, "viewer", None), getattr(owner, "_viewer", None), current_viewer()):
        viewer = getattr(held, "__wrapped__", held)
        if viewer is not None and main_window(viewer) is panel.window():
            offer_in(panel, keep(viewer))
            return


def main_window(viewer: ViewerModel) -> QMainWindow | None:
    """A viewer's main window, or None if it has none (any more)."""
    window = getattr(viewer, "window", None)
    bar = getattr(window, "main_menu", None)
    try:
        found = bar.window() if bar is not None else None
    except RuntimeError:  # deleted with its window
        return None
    return found if isinstance(found, QMainWindow) else None


def open_docks(window: QMainWindow) -> dict[str, tuple[QDockWidget, QWidget]]:
    """Our docks in a window, hidden ones too: dock and panel by title."""
    titles = {name: title for name, (title, _) in _widgets().items()}
    found: dict[str, tuple[QDockWidget, QWidget]] = {}
    for dock in window.findChildren(QDockWidget):
        panel = dock.widget()
        title = titles.get(type(panel).__name__)
        if title is not None and type(panel).__module__.startswith("napari_mrissl."):
            found.setdefault(title, (dock, panel))
    return found


def open_dock(viewer: ViewerModel, title: str) -> tuple[QDockWidget, QWidget]:
    """The dock with this title, as the plugin menu calls it; opened if it is not there.

    A dock opened here is the one that the menu then shows and hides.

    Raises
    ------
    MrisslError
        If the viewer has no window or the plugin has no such widget.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    window = main_window(viewer)
    if window is None:
        raise MrisslError("this viewer has no window", remedy="open napari's window first")
    there = open_docks(window).get(title)
    if there is not None:
        there[0].show()
        return there
    made = dict(_widgets().values())
    if title not in made:
        raise MrisslError(f"no widget is called {title!r}", expected=", ".join(sorted(made)))
    from npe2 import PluginManager

    manager = PluginManager.instance()
    panel = manager.commands.get(made[title])(viewer)
    menu_title = f"{title} ({manager.get_manifest(PLUGIN).display_name})"
    dock = viewer.window.add_dock_widget(panel, name=menu_title, area="right")
    return dock, panel


def describe(window: QMainWindow) -> list[Described]:
    """Our docks and where each is, as `arrange` takes it."""
    described = []
    for area, groups in _groups(window).items():
        before: QDockWidget | None = None
        for number, group in enumerate(groups):
            face = next((dock for dock, _, _ in group if _in_front(dock)), group[0][0])
            across = before is not None and face.x() >= before.x() + before.width() // 2
            for dock, title, panel in group:
                place = {
                    "area": area,
                    "group": number,
                    "across": across,
                    "front": dock is face,
                    "shown": not dock.isHidden(),
                    "floating": dock.isFloating(),
                    "size": (dock.width(), dock.height())
                    if dock.isFloating()
                    else (face.width(), face.height()),
                }
                described.append(Described(title, panel, place))
            before = face
    return described


def arrange(window: QMainWindow, places: Mapping[str, Mapping[str, Any]]) -> None:
    """Put docks of ours, by title, where they are said to be; others stay where they are.

    Docks of one area and group become tabs; the groups of an area lie below each other,
    or side by side where ``across``.
    """
    there = open_docks(window)
    wanted = {title: place for title, place in places.items() if title in there}
    for title in wanted:
        dock, panel = there[title]
        mark_placed(panel)
        if dock.isFloating():
            dock.setFloating(False)
        # A dock beside a tab becomes another tab: none may be left of what was before.
        window.removeDockWidget(dock)
    for area, side in AREAS.items():
        groups: dict[int, list[str]] = {}
        for title, place in wanted.items():
            if place["area"] == area:
                groups.setdefault(place["group"], []).append(title)
        _fill(window, side, [groups[number] for number in sorted(groups)], there, wanted)


def _fill(
    window: QMainWindow,
    side: Any,
    groups: list[list[str]],
    there: Mapping[str, tuple[QDockWidget, QWidget]],
    wanted: Mapping[str, Mapping[str, Any]],
) -> None:
    faces: list[QDockWidget] = []
    for group in groups:
        first = there[group[0]][0]
        if not faces:
            window.addDockWidget(side, first)
        else:
            across = wanted[group[0]]["across"]
            along = Qt.Orientation.Horizontal if across else Qt.Orientation.Vertical
            window.splitDockWidget(faces[-1], first, along)
        first.show()
        faces.append(first)
    for group, face in zip(groups, faces, strict=True):
        for title in group[1:]:
            # Removed docks are Python's, and go with its garbage; only adding gives them back.
            window.addDockWidget(side, there[title][0])
            window.tabifyDockWidget(face, there[title][0])
            there[title][0].show()
    for group in groups:
        for title in group:
            dock, place = there[title][0], wanted[title]
            if place["floating"]:
                dock.setFloating(True)
                dock.resize(*place["size"])
            elif place["front"]:
                dock.raise_()
            dock.setVisible(bool(place["shown"]))
    sizes = [tuple(wanted[group[0]]["size"]) for group in groups]
    _resize(window, faces, sizes)
    # Qt has the docks' places only after a turn of the event loop, and until then gives way.
    timer = QTimer(window)
    timer.setSingleShot(True)
    # Weakly: a window that is closed before the time must not be held by its own timer.
    held = [weakref.ref(face) for face in faces]
    timer.timeout.connect(lambda: _resize_later(held, sizes))
    timer.timeout.connect(timer.deleteLater)
    timer.start(0)


def _resize_later(held: list[weakref.ref[QDockWidget]], sizes: list[tuple[int, int]]) -> None:
    kept = [(face(), size) for face, size in zip(held, sizes, strict=True)]
    faces = [face for face, _ in kept if face is not None]
    if faces and isinstance(faces[0].window(), QMainWindow):
        chosen = [size for face, size in kept if face is not None]
        _resize(faces[0].window(), faces, chosen)


def _resize(window: QMainWindow, faces: list[QDockWidget], sizes: list[tuple[int, int]]) -> None:
    there = window.findChildren(QDockWidget)
    for axis, along in enumerate((Qt.Orientation.Horizontal, Qt.Orientation.Vertical)):
        chosen = [
            (face, size[axis])
            for face, size in zip(faces, sizes, strict=True)
            if size[axis] > 0 and face in there
        ]
        if chosen:
            window.resizeDocks([face for face, _ in chosen], [n for _, n in chosen], along)


def _groups(
    window: QMainWindow,
) -> dict[str, list[list[tuple[QDockWidget, str, QWidget]]]]:
    """Our docks by area and stack of tabs, from the left and from the top."""
    names = {side: name for name, side in AREAS.items()}
    groups: dict[str, list[list[tuple[QDockWidget, str, QWidget]]]] = {}
    for title, (dock, panel) in open_docks(window).items():
        area = names.get(window.dockWidgetArea(dock), "right")
        stack = window.tabifiedDockWidgets(dock)
        for group in groups.setdefault(area, []):
            if not dock.isFloating() and any(other in stack for other, _, _ in group):
                group.append((dock, title, panel))
                break
        else:
            groups[area].append([(dock, title, panel)])
    for stacks in groups.values():
        stacks.sort(key=_position)
    return groups


def _position(group: Iterable[tuple[QDockWidget, str, QWidget]]) -> tuple[int, int]:
    # Docks behind others are kept somewhere out of sight.
    places = [(dock.x(), dock.y()) for dock, _, _ in group if dock.x() >= 0 and dock.y() >= 0]
    return min(places, default=(0, 0))


def _in_front(dock: QDockWidget) -> bool:
    return not dock.visibleRegion().isEmpty()


def _join(panel: QWidget) -> None:
    dock, window = _dock_of(panel), panel.window()
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    if panel.property(_PLACED):
        return
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        is_ours = any(child.property(_OURS) for child in other.findChildren(QWidget))
        if other is dock or not is_ours or other.isFloating() or other.isHidden():
            continue
        if window.dockWidgetArea(other) == area and dock not in window.tabifiedDockWidgets(other):
            window.tabifyDockWidget(other, dock)
            dock.raise_()


def _widgets() -> dict[str, tuple[str, str]]:
    """Title and command of each widget of ours, by the name of its class."""
    from npe2 import PluginManager

    try:
        manifest = PluginManager.instance().get_manifest(PLUGIN)
    except KeyError:
        return {}
    commands = {one.id: one.python_name for one in manifest.contributions.commands or ()}
    return {
        commands[widget.command].rpartition(":")[2]: (widget.display_name, widget.command)
        for widget in manifest.contributions.widgets or ()
    }


def _dock_of(widget: QWidget | None) -> QDockWidget | None:
    while widget is not None and not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget
