"""``mrissl demo``: the main job, end to end, in the viewer."""

from __future__ import annotations

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
    from napari_mrissl.ui.demo import run

    run(out, headless)
