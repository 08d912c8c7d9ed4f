"""From the dock to a real training and a real prediction, as layers."""

import numpy as np
import pytest

from napari_mrissl.segmentation.finetuning import FinetuneSettings, SavedSegmenter
from napari_mrissl.training import launch
from napari_mrissl.ui import docks
from napari_mrissl.ui.layers import add_labels, add_volume, labels_array
from napari_mrissl.ui.pretraining import work as runs
from napari_mrissl.volumes import read
from tests.segmentation.finetuning.balls import TINY, arrays, write

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.timeout(900)]
WAIT = 300_000
STEPS = 60


@pytest.fixture
def panel(make_napari_viewer_proxy, tmp_path, qtbot):
    """The dock on three scans, two of them with label layers."""
    viewer = make_napari_viewer_proxy(show=True)
    for who, given in enumerate(write(tmp_path, 3)):
        add_volume(viewer, read(given.image), name=f"scan {who}")
        if who < 2:
            labels = np.asarray(read(given.labels).data).astype(np.uint8)
            add_labels(viewer, read(given.image), labels, f"truth of scan {who}")
    _, panel = docks.open_dock(viewer, "Finetuning")
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    yield panel
    for run in runs.index.runs():
        launch.stop(run.folder, 0.0)


def test_a_real_training_segments_every_open_scan(panel, qtbot):
    rows = panel.scene.rows
    assert [row.use for row in rows] == ["learn", "learn", "none"]
    panel.start_box.show_settings(
        FinetuneSettings(
            weights="scratch",
            preset="tiny",
            device="cpu",
            steps=STEPS,
            changes={**TINY, "appearance.noise": 0, "appearance.chain.bias.probability": 0},
        )
    )
    panel.start_box.start.click()

    def there():
        assert panel.follower.state is None or panel.follower.state.name != "failed", (
            panel.follower.state.reason
        )
        return panel.scene.results.model is not None and not panel.busy

    qtbot.waitUntil(there, timeout=WAIT)
    saved = SavedSegmenter.load(panel.scene.results.model.folder)
    assert saved.classes == {0: "background", 1: "class 1", 2: "class 2"}
    assert panel.scene.results.model.step == STEPS
    scores = []
    for number, (_, volume) in enumerate(panel.scene.pairs):
        layer = panel.scene.results.layer_of(volume)
        assert layer is not None
        found, truth = labels_array(layer), arrays(number)[1].T
        for label in (1, 2):
            both = ((found == label) & (truth == label)).sum()
            scores.append(2 * both / ((found == label).sum() + (truth == label).sum()))
    # One class everywhere has a Dice below 0.25 of either; the last scan was never seen.
    assert np.mean(scores[-2:]) > 0.5
    assert np.mean(scores) > 0.5
    assert "prediction" in panel.run_box.pictures.shown
