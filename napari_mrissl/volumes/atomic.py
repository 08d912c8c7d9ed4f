"""Whole files or none: temporary file in the same folder, fsync, rename, folder fsync."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from napari_mrissl.volumes.errors import WriteError


def write_atomically(path: str | Path, write: Callable[[BinaryIO], None]) -> None:
    """Create or replace a file so that a reader sees the old or the new one, whole.

    Parameters
    ----------
    path
        The file; a symbolic link is followed, so that the link stays a link.
    write
        Receives the open temporary file and writes all of the content.

    Raises
    ------
    WriteError
        If the system refuses; the old file is then as it was (or, should only the
        folder's own sync fail, the new one is there) and nothing is left beside it.
        Other exceptions that ``write`` raises pass through, with the same guarantee.
    """
    target = Path(os.path.realpath(path))
    # Short on purpose: a suffix on a 250-letter name would exceed the limit.
    temporary = target.parent / f".mrissl-{secrets.token_hex(8)}.tmp"
    renamed = False
    try:
        with os.fdopen(_create(temporary), "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        renamed = True
        sync_folder(target.parent)
    except OSError as error:
        raise WriteError(
            f"could not be written ({error.strerror or type(error).__name__})",
            where=target,
            expected="a writable folder with enough space",
            remedy="choose another folder or free some space",
        ) from error
    finally:
        if not renamed:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Create or replace a UTF-8 text file atomically; see `write_atomically`."""
    content = text.encode()

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(path, write)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk, where the system can.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder; the rename stands all the same.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
