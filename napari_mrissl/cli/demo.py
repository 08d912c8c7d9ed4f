"""``mrissl demo``: the main job, end to end, in the viewer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from napari_mrissl.cli.arguments import Flag
from napari_mrissl.errors import MrisslError

_VIEWER = ("napari", "qtpy", "pyqtgraph")
_BINDINGS = ("PyQt6", "PySide6")


def demo(*, out: Path = Path("demo_output"), headless: Flag = False) -> None:
    """Open the MNI152 T1, replay a flight, click, segment, and save all of it.

    Parameters
    ----------
    out
        Folder for the screenshot, the flight, the segmentation and the figures.
    headless
        Close the window at the end.
    """
    missing = [name for name in _VIEWER if find_spec(name) is None]
    if missing or not any(find_spec(name) for name in _BINDINGS):
        raise MrisslError(
            "the viewer is not installed", remedy='run pip install "napari-mrissl[app]"'
        )
    if headless and _no_display() and (screen := shutil.which("xvfb-run")) is not None:
        _on_virtual_screen(screen, out)
        return
    from napari_mrissl.ui.demo import run

    run(out, headless)


def _no_display() -> bool:
    known = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return sys.platform == "linux" and not any(os.environ.get(name) for name in known)


def _on_virtual_screen(screen: str, out: Path) -> None:
    """Run the same command again under Xvfb, which ends with it."""
    again = [sys.executable, "-m", "napari_mrissl.cli", "demo", "--headless", "--out", str(out)]
    command = [screen, "-a", "-s", "-screen 0 1600x1000x24", *again]
    ended = subprocess.run(command, check=False).returncode  # noqa: S603 our own words
    if ended:
        raise SystemExit(ended)
