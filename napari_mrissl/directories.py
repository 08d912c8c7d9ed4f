"""Where this user's caches and private data live, outside every project folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_APP = "napari-mrissl"


def cache_directory() -> Path:
    """Folder for things that can be made again; ``$MRISSL_CACHE_DIR`` overrides."""
    return _made(os.environ.get("MRISSL_CACHE_DIR") or platformdirs.user_cache_path(_APP))


def data_directory() -> Path:
    """Folder for journals, indexes and locks; ``$MRISSL_DATA_DIR`` overrides."""
    return _made(os.environ.get("MRISSL_DATA_DIR") or platformdirs.user_data_path(_APP))


def _made(folder: str | Path) -> Path:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path
