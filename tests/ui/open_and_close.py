"""Open and close in one viewer, many times, and say how much the process has grown.

Called with what to open (``image``, ``labels``, ``canvas`` and ``plane`` are napari's own;
``volume``, or the name of a dock widget of ours) and how often. The last line says in JSON
what there is more of in the last tenth of the cycles than in the second.
"""

import gc
import json
import os
import sys
import threading
import time

import napari
import numpy as np
import psutil
from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_mrissl.ui.layers import add_volume
from napari_mrissl.volumes import Volume

VOXELS = np.indices((64,) * 3, np.float32).sum(axis=0)
NAPARIS_OWN = ("image", "labels", "canvas", "plane")
AFFINE = np.diag([2, 2, 2, 1.0])


class Canvas(QWidget):
    """A second canvas of napari's with one picture and letters, as our navigator has.

    Letters are what it costs most: of each canvas vispy keeps the texture of their font.
    """

    def __init__(self) -> None:
        super().__init__()
        self.viewer = ViewerModel()
        self.viewer.add_image(np.zeros((256, 256), np.float32))
        self.viewer.text_overlay.text = "L"
        self.viewer.text_overlay.visible = True
        self.canvas = QtViewer(self.viewer)
        QVBoxLayout(self).addWidget(self.canvas)

    def shut_down(self) -> None:
        """As napari's documentation asks of those who embed one."""
        self.canvas.close()
        self.canvas.setParent(None)
        self.canvas = None


def add_plane(viewer: napari.Viewer) -> None:
    """A textured Surface layer and a Vectors layer, as our navigator adds and takes away."""
    corners = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    mesh = (np.zeros((4, 3)), np.array([[0, 1, 2], [0, 2, 3]]), np.ones(4))
    viewer.add_surface(
        mesh, texture=np.zeros((256, 256, 4), np.uint8), texcoords=corners, shading="none"
    )
    viewer.add_vectors(np.zeros((0, 2, 3)), ndim=3)


def settle(seconds: float = 0.03) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, 52)
        time.sleep(0.002)


def cycle(viewer: napari.Viewer, what: str, number: int) -> None:
    voxels = VOXELS + number
    if what in NAPARIS_OWN:
        viewer.add_image(voxels, scale=(2, 2, 2))
    else:
        add_volume(viewer, Volume.from_stored(voxels, AFFINE))
    dock = None
    if what == "labels":
        viewer.add_labels(np.zeros(voxels.shape, np.uint8), scale=(2, 2, 2))
        viewer.add_points(np.zeros((1, 3)), scale=(2, 2, 2))
    if what in ("canvas", "plane"):
        if what == "plane":
            add_plane(viewer)
        dock = viewer.window.add_dock_widget(Canvas(), name=what)
    elif what not in (*NAPARIS_OWN, "volume"):
        dock, widget = viewer.window.add_plugin_dock_widget("napari-mrissl", what)
        while getattr(widget, "busy", False):
            settle()
    settle(0.06)
    if what in ("canvas", "plane"):
        dock.widget().shut_down()
    if dock is not None:
        viewer.window.remove_dock_widget(dock)
    while viewer.layers:
        viewer.layers.pop()
    settle()
    gc.collect()


def state() -> dict[str, float]:
    process = psutil.Process()
    return {
        "megabytes": process.memory_info().rss / 1e6,
        "threads": threading.active_count(),
        "files": process.num_fds(),
        "children": len(process.children(recursive=True)),
        "widgets": len(QApplication.allWidgets()),
    }


def main(what: str, count: int) -> None:
    viewer = napari.Viewer()
    states = []
    for number in range(count):
        cycle(viewer, what, number)
        states.append(state())
    tenth = max(1, count // 10)
    # The first tenth compiles kernels, imports and fills napari's own caches.
    first, last = (
        {name: float(np.median([one[name] for one in part])) for name in states[0]}
        for part in (states[tenth : 2 * tenth], states[-tenth:])
    )
    viewer.close()
    print(json.dumps({name: round(last[name] - first[name], 1) for name in last}), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("NAPARI_ASYNC", "0")
    main(sys.argv[1], int(sys.argv[2]))
