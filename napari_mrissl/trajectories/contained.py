"""Files of a dataset are regular files inside its folder, whatever its manifest says."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from napari_mrissl.errors import MrisslError


def inside(folder: Path, name: str) -> Path:
    """The path of a file below a folder, which it does not leave, not even by a link.

    Raises
    ------
    MrisslError
        If it does.
    """
    path = folder / name
    root = os.path.realpath(folder)
    try:
        leaves = os.path.commonpath([root, os.path.realpath(path)]) != root
    except ValueError:  # another drive, or a NUL character
        leaves = True
    if leaves or os.path.islink(path):
        raise MrisslError(
            "leads out of the dataset's folder",
            where=Path(name),
            expected="a file of the dataset",
            remedy="do not use this dataset; it may be hostile",
        )
    return path


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading; a pipe or device is never waited for.

    Raises
    ------
    MrisslError
        If it is no regular file.
    OSError
        If the system refuses.
    """
    # Without O_NONBLOCK a pipe would block before it could be recognised.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise MrisslError("is no regular file", where=path, expected="a file of the dataset")
    return file


def read_bytes(path: Path, most: int) -> bytes:
    """Content of a regular file of at most ``most`` bytes; see `open_regular`.

    Raises
    ------
    MrisslError
        If it is no regular file, or larger.
    OSError
        If the system refuses.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise MrisslError(f"is larger than {most} bytes", where=path)
        return file.read(size)
