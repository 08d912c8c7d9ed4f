"""What a user does with the panel "Click segmentation", for several test modules."""

import numpy as np

from napari_mrissl.segmentation import segment
from napari_mrissl.ui.layers import labels_array
from napari_mrissl.ui.segmenter import PromptSegmenter
from napari_mrissl.volumes import Volume

SIDE = 20
CENTER, SHELL, OUTSIDE = (0.0, 0.0, 0.0), (0.0, 13.0, 0.0), (0.0, 0.0, 19.0)


def ball(name="ball", seed=0, angle=0.0):
    """A bright ball in a grey shell in the dark, about 40 mm wide, noisy."""
    random = np.random.default_rng(seed)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, (SIDE - 1) / 2)
    index = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1)
    radius = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3], axis=-1)
    values = np.where(radius < 9, 200, np.where(radius < 16, 110, 10))
    noisy = values + random.normal(0, 6, radius.shape)
    return Volume.from_stored(noisy.clip(0, 255).astype(np.uint8), affine, name=name)


def docked(viewer, qtbot):
    widget = PromptSegmenter(viewer)
    viewer.window.add_dock_widget(widget, name="Click segmentation", area="right")
    settle(widget, qtbot)
    return widget


def settle(panel, qtbot):
    qtbot.wait(5)
    qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)


def said(panel):
    return panel.run_box.status.text()


def two_clicks(panel, qtbot):
    panel.add_click(CENTER, 1)
    panel.add_click(SHELL, 2)
    settle(panel, qtbot)


def expected(panel):
    session = panel.controller.session
    prompts = session.state.snapshot().prompts(session.volume.identity)
    return segment(session.volume, prompts, panel.settings).labels


def shown(panel):
    return labels_array(panel.result_layer)
