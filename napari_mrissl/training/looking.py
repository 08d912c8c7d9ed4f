"""Where somebody who watches a run looks now, in a small file that its process reads again."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_mrissl.errors import MrisslError
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
    path = Path(folder) / _FILE
    temporary = path.with_name(f".mrissl-{secrets.token_hex(8)}.tmp")
    try:
        # Not synced to disk: nothing is lost with it.
        temporary.write_text(json.dumps(dict(look)), "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise MrisslError(
            f"could not be written ({error.strerror or type(error).__name__})",
            where=path,
            expected="the folder of a run that can be written",
        ) from error


def look_of(folder: str | Path) -> dict[str, Any] | None:
    """What `look_at` asked for last; what is nothing of that kind is None."""
    try:
        content = json.loads(read_bytes(Path(folder) / _FILE, _MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
