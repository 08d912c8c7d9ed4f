"""Every test gets its own cache and data directories; compiled kernels are shared."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ.setdefault(
    "NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"mrissl-test-kernels-{os.getuid()}")
)


@pytest.fixture(autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Keep caches, journals and indexes of tests away from the user's."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("MRISSL_DATA_DIR", str(home / "data"))
