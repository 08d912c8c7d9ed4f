"""Where on this machine a volume lies: identity to path, in the user's data directory only.

Flights, prompts and runs know volumes by identity, so that they can be shared.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes.atomic import write_text

_IDENTITY = re.compile(r"[0-9a-f]{64}")


def remember(identity: str, path: str | Path) -> None:
    """Note where the volume with this identity lies; a newer place replaces an older one.

    Raises
    ------
    MrisslError
        If the identity is none, or the data directory cannot be written.
    """
    # One small file a volume: two processes never overwrite each other's entries.
    entry = _entry(identity)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MrisslError("scan index could not be written", where=entry.parent) from error
    write_text(entry, json.dumps({"path": os.path.abspath(path)}))


def locate(identity: str) -> Path | None:
    """Where the volume lies, if it is known and something is still there.

    An entry that cannot be read counts as unknown: the index can always be made again.

    Raises
    ------
    MrisslError
        If the identity is none.
    """
    try:
        path = json.loads(_entry(identity).read_text("utf-8")).get("path")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, MrisslError):
            raise
        return None
    if not isinstance(path, str) or "\0" in path or not os.path.exists(path):
        return None
    return Path(path)


def _entry(identity: str) -> Path:
    if not _IDENTITY.fullmatch(identity):
        raise MrisslError("not a volume identity", expected="64 hexadecimal digits")
    return data_directory() / "scans" / f"{identity}.json"
