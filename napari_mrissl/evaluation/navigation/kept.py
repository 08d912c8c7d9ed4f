"""Measures on disk beside all that they depend on; those of anything else are made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from napari_mrissl.volumes.atomic import write_text

T = TypeVar("T")

MEASURED = "measured"
"""The folder of such files in that of a comparison."""


def keep(place: Path, key: Mapping[str, Any], measures: Any) -> None:
    """Write measures, JSON-ready, whole or not at all.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    place.parent.mkdir(exist_ok=True)
    content = {"key": dict(key), "measures": measures}
    write_text(place, json.dumps(content, indent=1, allow_nan=False) + "\n")


def kept(place: Path, key: Mapping[str, Any], made: Callable[[Any], T]) -> T | None:
    """What was measured before; None where it is missing, damaged, or of something else.

    Parameters
    ----------
    place
        The file.
    key
        All that the measures depend on.
    made
        Makes them of plain data.
    """
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        return made(content["measures"]) if content["key"] == dict(key) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
