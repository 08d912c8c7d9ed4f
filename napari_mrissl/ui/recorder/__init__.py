"""The flight recorder: flights as episodes of a dataset, replayed, made and looked after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_mrissl.ui.recorder.widget import FlightRecorder

__all__ = ["FlightRecorder"]


def __getattr__(name: str) -> Any:
    # The navigator's deck needs the player and the shelf from here, but not the dock.
    if name == "FlightRecorder":
        from napari_mrissl.ui.recorder.widget import FlightRecorder

        return FlightRecorder
    raise AttributeError(name)
