"""Libraries that only some formats need, imported when they are."""

from __future__ import annotations

import importlib
from typing import Any

from napari_mrissl.errors import MrisslError


def needed(library: str, extra: str) -> Any:
    """A library of an optional extra.

    Raises
    ------
    MrisslError
        If it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise MrisslError(
            f"{library} is not installed", remedy=f'run: pip install "napari-mrissl[{extra}]"'
        ) from error
