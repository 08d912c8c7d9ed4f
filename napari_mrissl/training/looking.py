"""Where somebody who watches a run looks now, in a small file that its process reads again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_mrissl.training.control import leave
from napari_mrissl.trajectories.contained import read_bytes

_FILE = "look.json"
_MOST_BYTES = 4096


def look_at(folder: str | Path, look: Mapping[str, Any]) -> None:
    """Ask that the run's next pictures show a place; it is no setting and changes no result.

    Parameters
    ----------
    folder
        Of the run.
    look
        Plain data of a few values, as the run's task understands them.

    Raises
    ------
    MrisslError
        If the file cannot be written.
    """
    leave(Path(folder) / _FILE, look)


def look_of(folder: str | Path) -> dict[str, Any] | None:
    """What `look_at` asked for last; what is nothing of that kind is None."""
    try:
        content = json.loads(read_bytes(Path(folder) / _FILE, _MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
