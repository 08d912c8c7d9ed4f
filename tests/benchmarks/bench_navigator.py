"""From a pose change to new layer data in both viewers, and the canvas redraws beside it.

``xvfb-run -a python tests/benchmarks/bench_navigator.py [--quick]``

Needs a display with OpenGL. A 256^3 int16 volume, slices of 256^2; the main viewer in 3D
(textured plane) and in 2D (line and slider).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from measure import Table, measure, save  # first: it says how idle threads wait
from qtpy.QtWidgets import QApplication

from napari_mrissl.slicing import compiled, render
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator import SliceNavigator
from napari_mrissl.volumes.volume import Volume

BAR_MS = 16.0
MOVES = {
    "pan": (0.003, 0.002, 0, 0, 0, 0, 0),
    "along the normal": (0, 0, 0.004, 0, 0, 0, 0),
    "rotate": (0, 0, 0, 0.02, 0.015, 0, 0),
    "spin": (0, 0, 0, 0, 0, 0.02, 0),
    "zoom": (0, 0, 0, 0, 0, 0, 0.01),
}


def volume() -> Volume:
    """256^3 voxels of 1 mm, int16, smooth noise."""
    rng = np.random.default_rng(0)
    coarse = rng.random((64, 64, 64), np.float32)
    fine = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    affine = np.eye(4)
    affine[:3, 3] = -127.5
    return Volume.from_stored((2000 * fine).astype(np.int16), affine, name="noise")


def settle() -> None:
    """Let both canvases draw what is waiting."""
    for _ in range(5):
        QApplication.instance().processEvents()


def mover(navigator: SliceNavigator, action: tuple[float, ...]) -> Callable[[int], None]:
    """From the event's action to layer data; there and back, so that every round is alike."""
    there = np.array(action)

    def move(number: int) -> None:
        navigator.state.move(there if number % 2 else -there)
        navigator.presenter.present()

    return move


def main() -> None:
    """Measure both layouts and say whether the bar is kept."""
    rounds = 30 if "--quick" in sys.argv else 150
    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    scan = volume()
    layer = add_volume(viewer, scan)
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator")
    while compiled.kernel("linear", scan.data.dtype, 1 << 20) is None:
        settle()
    values, valid = navigator.view.values, navigator.view.valid
    others = {
        "the rendering alone": lambda _: render(
            scan, navigator.pose, 256, out=values, valid_out=valid
        ),
        "the main view's slider and line, 25 ms later": lambda _: navigator.presenter.follow(),
        "redraw of the slice canvas": lambda _: navigator.view.canvas.repaint(),
    }
    tables, medians = [], []
    for ndisplay in (3, 2):
        # The scan's own volume rendering is no work of ours and slow in software GL.
        layer.visible = ndisplay == 2
        viewer.dims.ndisplay = ndisplay
        navigator.state.reset()
        navigator.state.move((0, 0, 0, 0.3, 0.2, 0.1, -0.2))
        settle()
        candidates = {name: mover(navigator, action) for name, action in MOVES.items()}
        candidates |= others
        rows = measure(candidates, rounds=rounds, warm_up=5)
        tables.append(
            Table(
                f"event to layer data, main viewer in {ndisplay}D",
                rows,
                notes=["redraw: software GL where there is no GPU; not in the other rows"],
            )
        )
        medians += [row.median_ms for row in rows if row.name in MOVES]
    worst = max(medians)
    save(Path(__file__).stem, tables, bar_ms=BAR_MS, worst_median_ms=round(worst, 2))
    viewer.close()
    if worst > BAR_MS:
        raise SystemExit(f"bar missed: {worst:.1f} ms > {BAR_MS} ms")


if __name__ == "__main__":
    main()
