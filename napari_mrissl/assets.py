"""One lookup for shipped files: first inside the installed package, then the checkout."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.errors import MrisslError

_HERE = Path(__file__).resolve().parent


def asset(name: str) -> Path:
    """Path of a shipped file or folder, e.g. ``"demo/clicks.csv"``.

    Raises
    ------
    MrisslError
        If neither the wheel nor the checkout holds it.
    """
    for root in (_HERE / "resources", _HERE.parent / "resources"):
        candidate = root / name
        if candidate.exists():
            return candidate
    raise MrisslError("shipped file is missing", where=name, remedy="install napari-mrissl again")
