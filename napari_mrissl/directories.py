"""Where this user's caches and private data live, outside every project folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from napari_mrissl.errors import MrisslError

_APP = "napari-mrissl"


def cache_directory() -> Path:
    """Folder for things that can be made again; ``$MRISSL_CACHE_DIR`` overrides."""
    return made_directory(os.environ.get("MRISSL_CACHE_DIR") or platformdirs.user_cache_path(_APP))


def data_directory() -> Path:
    """Folder for journals, indexes and locks; ``$MRISSL_DATA_DIR`` overrides."""
    return made_directory(os.environ.get("MRISSL_DATA_DIR") or platformdirs.user_data_path(_APP))


_REMEDY = "set MRISSL_CACHE_DIR and MRISSL_DATA_DIR to such folders"


def made_directory(folder: str | Path, *, remedy: str = _REMEDY) -> Path:
    """The folder, made with those above it where it was not there.

    Raises
    ------
    MrisslError
        If the system refuses.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MrisslError(
            f"folder could not be made ({error.strerror or type(error).__name__})",
            where=path,
            expected="a folder that can be written",
            remedy=remedy,
        ) from error
    return path
