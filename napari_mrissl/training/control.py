"""Commands to a running training, in a small file that its process looks at between steps."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import read_bytes

Command = Literal["stop", "pause", "resume"]

_FILE = "control.json"
_MOST_BYTES = 4096


def request(folder: str | Path, command: Command) -> None:
    """Ask the run's process for something; the newest request replaces the one before.

    A stop stays: only a new start takes it away. Returns at once.

    Raises
    ------
    MrisslError
        If the file cannot be written.
    """
    path = Path(folder) / _FILE
    if command not in get_args(Command):
        raise ValueError(command)
    if pending(folder) == "stop":
        return
    leave(path, {"command": command, "id": secrets.token_hex(8)})


def leave(path: Path, content: Mapping[str, Any]) -> None:
    """Write a message into a run's folder: whole or not at all.

    Raises
    ------
    MrisslError
        If the file cannot be written.
    """
    temporary = path.with_name(f".mrissl-{secrets.token_hex(8)}.tmp")
    try:
        # Not synced to disk: a message means nothing any more once the machine is off.
        temporary.write_text(json.dumps(dict(content)), "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise MrisslError(
            f"could not be written ({error.strerror or type(error).__name__})",
            where=path,
            expected="the folder of a run that can be written",
        ) from error


def pending(folder: str | Path) -> Command | None:
    """The newest request, whether or not its process has seen it."""
    found = _read(Path(folder) / _FILE)
    return found[1] if found else None


def forget(folder: str | Path) -> None:
    """Take the newest request away, before a process starts.

    Raises
    ------
    MrisslError
        If the file cannot be removed.
    """
    path = Path(folder) / _FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise MrisslError(
            f"could not be removed ({error.strerror or type(error).__name__})", where=path
        ) from error


class Control:
    """The commands to a run, as its own process sees them.

    Parameters
    ----------
    folder
        Of the run.
    """

    def __init__(self, folder: str | Path) -> None:
        self._path = Path(folder) / _FILE
        self._seen: tuple[int, int, int] | None = None
        self._known: str | None = None

    def poll(self) -> Command | None:
        """The newest request that was not returned before, or None; cheap."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return None
        found = _read(self._path)
        self._seen = seen
        if found is None or found[0] == self._known:
            return None
        self._known = found[0]
        return found[1]


def _read(path: Path) -> tuple[str, Command] | None:
    """Id and command; what is no command is no request."""
    try:
        content = json.loads(read_bytes(path, _MOST_BYTES))
        name, command = content["id"], content["command"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(name, str) or command not in get_args(Command):
        return None
    return name, command
