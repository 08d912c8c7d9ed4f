"""The banner over the canvas while a scan is shown that programs put in different places.

Which side is left must not hang on a notification that fades after four seconds. The banner
stays as long as such a scan is in the viewer and visible, does not block anything, and is
hidden and shown again by a command.
"""

from __future__ import annotations

import textwrap
import weakref
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import printable
from napari_mrissl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

OVERLAY = "readings"
_LINE = 60
_AMBER, _BLACK = "#ffb74d", "#000000"
_banners: dict[int, _Banner] = {}


def watch_readings(viewer: ViewerModel) -> None:
    """Show the banner in a viewer whenever one of its layers calls for it; once is enough."""
    _banner(viewer).refresh()


def toggle_readings(viewer: ViewerModel) -> bool:
    """Hide the banner, or show it again; a scan opened later brings it back.

    Returns
    -------
    bool
        Whether any of the viewer's scans calls for a banner.
    """
    return _banner(viewer).toggle()


class _Banner:
    """What is said about the visible scans of one viewer."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._read: frozenset[str] = frozenset()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            layer.events.visible.connect(self.refresh)

    def refresh(self, event: Any = None) -> None:
        """Say what holds for the layers as they are now."""
        viewer = self._viewer()
        if viewer is None:
            return
        said = [line for line in _sentences(viewer) if line not in self._read]
        overlays = viewer.canvas.overlays
        if OVERLAY not in overlays:
            if not said:
                return
            from napari.components.overlays import TextOverlay

            overlays[OVERLAY] = TextOverlay(
                position="top_center", color=_BLACK, box=True, box_color=_AMBER, font_size=8
            )
        overlays[OVERLAY].text = "\n".join(textwrap.fill(line, _LINE) for line in said)
        overlays[OVERLAY].visible = bool(said)

    def toggle(self) -> bool:
        """Count everything said now as read, or nothing if all of it was."""
        viewer = self._viewer()
        said = frozenset(_sentences(viewer)) if viewer is not None else frozenset()
        self._read = frozenset() if said <= self._read else self._read | said
        self.refresh()
        return bool(said)

    def _on_inserted(self, event: Any) -> None:
        event.value.events.visible.connect(self.refresh)
        # The same scan opened anew is news again.
        self._read -= set(_of_layer(event.value))
        self.refresh()

    def _on_removed(self, event: Any) -> None:
        event.value.events.visible.disconnect(self.refresh)
        self.refresh()


def _banner(viewer: ViewerModel) -> _Banner:
    # A plugin menu hands out a proxy of the viewer.
    viewer = getattr(viewer, "__wrapped__", viewer)
    key = id(viewer)
    if key not in _banners:
        _banners[key] = _Banner(viewer)
        weakref.finalize(viewer, _banners.pop, key, None)
    return _banners[key]


def _sentences(viewer: ViewerModel) -> list[str]:
    """What is to be said of the visible layers, each sentence once."""
    found = (line for layer in viewer.layers if layer.visible for line in _of_layer(layer))
    return list(dict.fromkeys(found))


def _of_layer(layer: Layer) -> list[str]:
    known = layer.metadata.get("mrissl")
    volume = known.get("volume") if isinstance(known, dict) else None
    if not isinstance(volume, Volume):
        return []
    return [printable(f"{volume.name}: {line}.") for line in volume.disagreements]
