"""Where on this machine a file of weights lies: a private index, so that settings need no path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.weight_library import available
from napari_mrissl.volumes.atomic import write_atomically

_IDENTITY = re.compile(r"[0-9a-f]{64}")


def is_identity(text: str) -> bool:
    """Whether a text is the SHA-256 of a file, in hexadecimal."""
    return _IDENTITY.fullmatch(text) is not None


def remember(identity: str, place: Path) -> None:
    """Note where the file with this SHA-256 lies, in the user's data directory.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    content = str(place.resolve()).encode("utf-8", "surrogateescape")
    made_directory(_folder())
    note = _folder() / identity
    if not note.is_file() or note.read_bytes() != content:

        def write(file: BinaryIO) -> None:
            file.write(content)

        write_atomically(note, write)


def place_of(identity: str) -> Path:
    """Where the file with this SHA-256 lies, among those remembered and those with a name.

    Raises
    ------
    MrisslError
        If it is not known here.
    """
    try:
        content = (_folder() / identity).read_bytes()
    except FileNotFoundError:
        content = b""
    place = Path(content.decode("utf-8", "surrogateescape")) if content else None
    if place is not None and place.is_file():
        return place
    for file in available():
        if file.identity == identity:
            return file.path
    raise MrisslError(
        f"weights {identity[:8]} are not on this machine",
        where="weights",
        remedy="choose their file or run again, or other weights",
    )


def _folder() -> Path:
    return data_directory() / "weight-places"
