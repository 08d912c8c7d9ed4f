"""The user's preferences: napari's Preferences page, with defaults while it has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PLUGIN = "napari-mrissl"
CONVENTIONS = ("neurological", "radiological")


class Preferences(BaseModel):
    """What the user chose; the manifest's ``configurations`` declare the same fields.

    Attributes
    ----------
    convention
        ``"neurological"`` (the patient's right on the right) or ``"radiological"``.
    letters
        Whether the main canvas shows the patient's directions at its edges.
    threads
        Threads of our own computing; 0 means one per processor.
    feature_cache_gib
        Size on disk, GiB, beyond which the oldest cached features are removed.
    training_at_close
        ``"keep"`` lets a training go on when napari is closed; ``"stop"`` stops it.
    """

    model_config = ConfigDict(frozen=True)

    convention: str = CONVENTIONS[0]
    letters: bool = True
    threads: int = Field(default=0, ge=0)
    feature_cache_gib: float = Field(default=8.0, gt=0)
    training_at_close: Literal["keep", "stop"] = "keep"


def preferences() -> Preferences:
    """The preferences now; defaults where the plugin is not registered with napari."""
    from napari.settings import get_plugin_settings

    try:
        stored = get_plugin_settings(PLUGIN)
    except KeyError:
        return Preferences()
    return Preferences(
        convention=stored.display.convention,
        letters=stored.display.letters,
        threads=stored.computing.threads,
        feature_cache_gib=stored.computing.feature_cache_gib,
        training_at_close=stored.computing.training_at_close,
    )


def on_display_change(callback: Callable[[Any], None]) -> None:
    """Call back (a bound method is held weakly) when a display preference changes."""
    from napari.settings import get_plugin_settings

    try:
        display = get_plugin_settings(PLUGIN).display
    except KeyError:
        return
    display.events.convention.connect(callback)
    display.events.letters.connect(callback)
