"""Rebuild the README's screenshots:  make shots."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from napari_mrissl.assets import asset
from napari_mrissl.ui import demo
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.volumes.samples import mni152

SMALL_SCREEN = (1366, 768)


def shrunk(path: Path, target: Path) -> None:
    """Store a screenshot with 256 colours: a window has few, and git keeps every version."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, kmeans=2).save(target, optimize=True)


def small_screen(folder: Path, scratch: Path) -> None:
    """Both panels in a 1366 x 768 window, in the dark and the light theme."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(*SMALL_SCREEN)
    layer = add_volume(viewer, mni152(2))
    navigator, segmenter = demo.open_widgets(viewer)
    navigator.choose_layer(layer)
    segmenter.load_prompts(asset("demo/clicks.json"))
    segmenter.controller.segment()
    demo.wait_until(lambda: segmenter.result_layer is not None, "the first labels")
    demo.wait_until(lambda: not segmenter.busy, "the segmentation")
    docks = {"navigator": navigator, "segmenter": segmenter}
    for theme in ("dark", "light"):
        viewer.theme = theme
        for name, panel in docks.items():
            panel.parentWidget().raise_()
            demo.settle()
            shot = scratch / "shot.png"
            viewer.screenshot(str(shot), canvas_only=False, flash=False)
            shrunk(shot, folder / f"{name}_{theme}.png")
    viewer.close()


if __name__ == "__main__":
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    docs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        demo.run(Path(made), headless=True)
        shrunk(Path(made) / "screenshot.png", docs / "demo.png")
        small_screen(docs, Path(made))
