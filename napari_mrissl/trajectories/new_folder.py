"""Whole folders and files or none: all goes to a place beside, which gets its name at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from napari_mrissl.errors import MrisslError


def check_new_folder(path: Path) -> None:
    """Refuse a name that is taken, or whose folder is not there.

    Raises
    ------
    MrisslError
        If it is so.
    """
    # os.path answers "no" where pathlib raises, e.g. for names that are too long.
    if os.path.lexists(path):
        raise MrisslError("is there already", where=path, remedy="give another name")
    if not os.path.isdir(path.absolute().parent):
        raise MrisslError(
            "folder is not there", where=path.absolute().parent, remedy="make the folder first"
        )


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``path`` when the block ends well; else it is removed.

    Raises
    ------
    MrisslError
        If the name is taken, or the system refuses. What the block raises passes through,
        but an `OSError` is said as a `MrisslError`.
    """
    with new_file(path) as partial:
        partial.mkdir()
        yield partial


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name for a file to write, which becomes ``path`` when the block ends well.

    Raises
    ------
    MrisslError
        As `new_folder`.
    """
    check_new_folder(path)
    partial = path.absolute().parent / f".mrissl-{secrets.token_hex(8)}.tmp"
    try:
        yield partial
        # A rename would replace what somebody put there meanwhile.
        check_new_folder(path)
        partial.rename(path)
    except OSError as error:
        raise MrisslError(
            f"could not be written ({error.strerror or type(error).__name__})",
            where=path,
            expected="a writable folder with enough space",
            remedy="choose another folder or free some space",
        ) from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                partial.unlink()
