"""Where the optional real scans are; tests that want one skip cleanly without it."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def shared_data(name: str) -> Path:
    """Path of a real scan, or a skip when the folder is absent."""
    root = Path(os.environ.get("MRISSL_DATA", _ROOT.parent / "shared" / "data"))
    path = root / name
    if not path.exists():
        pytest.skip(f"real data {name} is not here")
    return path
