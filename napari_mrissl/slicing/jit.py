"""Numba's compiler, with its cache in the user's cache directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

from numba import config, njit

from napari_mrissl.directories import cache_directory


def jit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Decorate a kernel: no GIL, no exceptions for division, cached on disk where possible.

    Compiled code goes to ``$NUMBA_CACHE_DIR``, or else to the user's cache directory;
    without a writeable place it is compiled in every process. A cached kernel is only
    recompiled when its own file changes, so everything it calls belongs into that file.
    """
    if function is None:
        return lambda kernel: jit(kernel, **options)
    folder = _cache_folder()
    settings: Any = {"nogil": True, "error_model": "numpy", "cache": folder is not None} | options
    numba_config: Any = config
    before = numba_config.CACHE_DIR
    # Other packages' kernels keep their own place.
    numba_config.CACHE_DIR = folder or before
    try:
        return njit(**settings)(function)
    finally:
        numba_config.CACHE_DIR = before


def _cache_folder() -> str | None:
    try:
        folder = os.environ.get("NUMBA_CACHE_DIR") or str(cache_directory() / "numba")
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None
