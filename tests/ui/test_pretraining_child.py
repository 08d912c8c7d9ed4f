"""The pretraining panel with the real training process: a small run from form to live curve."""

import os
import subprocess
import sys

import pytest

from napari_mrissl.networks import weights
from napari_mrissl.training import launch
from napari_mrissl.training.run import Run
from napari_mrissl.ui import docks
from napari_mrissl.ui.pretraining import work
from tests.packed import pack_of, served, volume_of

pytestmark = pytest.mark.gui
WAIT = 120_000

OPENS_WITHOUT_TORCH = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari_mrissl.ui.pretraining import Pretraining, work
work.devices = lambda control: []
panel = Pretraining(ViewerModel())
for number in range(panel.form.method.count()):
    panel.form.method.setCurrentIndex(number)
while panel.busy:
    application.processEvents()
panel.close()
print(sorted({"torch", "monai", "pyqtgraph"} & set(sys.modules)))
"""

SMALL = {
    "task": {
        "backbone.width": 8, "backbone.depth": 3, "crop.side": 16, "crop.edge_mm": 60.0,
        "corruption.windows": 20,
    },
    "run": {
        "optimisation.batch": 2, "optimisation.warmup": 1, "data.heads": 2, "data.workers": 0,
        "checkpoint.every": 3, "checkpoint.images_every": 3, "checkpoint.validate_every": 3,
    },
    "engine": {"side": 32},
}  # fmt: skip


@pytest.fixture
def panel(make_napari_viewer_proxy, qtbot, monkeypatch):
    """With a run in the form that takes a fraction of a second a step."""
    monkeypatch.setattr(work, "devices", lambda control: [])
    _, panel = docks.open_dock(make_napari_viewer_proxy(show=True), "Pretraining")
    form = panel.form
    form.method.setCurrentIndex(form.method.findData("reconstruction"))
    form.preset.setCurrentIndex(form.preset.findData("tiny"))
    forms = {"task": form.task_form, "run": form.run_form, "engine": form.engine_form}
    for name, values in SMALL.items():
        for path, value in values.items():
            forms[name].fields[path].parts[0].setValue(value)
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    yield panel
    if panel.follower.folder is not None:
        launch.stop(panel.follower.folder, 0.0)


def set_run(panel, path, value):
    panel.form.run_form.fields[path].parts[0].setValue(value)


def reaches(panel, qtbot, *names):
    def there():
        return panel.follower.state is not None and panel.follower.state.name in names

    qtbot.waitUntil(there, timeout=WAIT)


@pytest.mark.usefixtures("traced_children")
def test_a_small_run_from_the_form_to_weights(panel, qtbot):
    set_run(panel, "optimisation.steps", 3000)
    panel.start_box.start.click()
    qtbot.waitUntil(lambda: panel.follower.alive, timeout=WAIT)
    history = panel.follower.history
    qtbot.waitUntil(lambda: history.step >= 4, timeout=WAIT)
    panel.run_box.stop.click()
    reaches(panel, qtbot, "stopped")
    qtbot.waitUntil(lambda: not panel.busy and not panel.follower.following, timeout=WAIT)
    panel.run_box.refresh()
    plot = panel.run_box.curves.plots["restored"]
    assert plot.chance.isVisible()
    steps, losses = plot.training.getData()
    assert steps[-1] == history.step == panel.follower.state.step
    assert (losses > 0).all()
    assert len(plot.validation.getData()[0]) >= 1
    assert panel.run_box.pictures.shown
    state, card = weights.load(panel.follower.folder / "weights.safetensors")
    # On a slow machine the process is ended 5 s after the click, and what was saved stays.
    assert card["step"] == panel.follower.state.checkpoint >= 3
    assert any(key.startswith("backbone.") for key in state)


def test_a_run_on_a_pack_behind_a_url(panel, qtbot, tmp_path):
    pytest.importorskip("aiohttp")
    panel.data_box.kind.setCurrentIndex(panel.data_box.kind.findData("scans"))
    set_run(panel, "optimisation.steps", 3)
    pack = pack_of(tmp_path / "pack", *(volume_of(seed) for seed in (1, 2, 3)))
    with served(tmp_path) as (url, sent):
        panel.data_box.add(f"{url}/pack")
        panel.start_box.start.click()
        reaches(panel, qtbot, "finished", "failed")
        assert panel.run_box.state.text() == "Finished", panel.run_box.reason.text()
    assert sum(sent) > 0
    run = Run.open(panel.follower.folder)
    assert run.settings.data.packs == (pack.manifest.uuid,)
    assert url not in run.settings.model_dump_json()


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_a_failed_run_with_its_subjects(panel, qtbot):
    for path, value in (("learning_rate", 900_000.0), ("clip", 0.0), ("steps", 500)):
        set_run(panel, f"optimisation.{path}", value)
    set_run(panel, "optimisation.warmup", 0)
    panel.start_box.start.click()
    reaches(panel, qtbot, "failed")
    box = panel.run_box
    assert box.state.text() == "Failed"
    assert "is not a finite number at step" in box.reason.text()
    assert "subject" in box.reason.text() or "mni" in box.reason.text()
    qtbot.waitUntil(lambda: not panel.follower.alive, timeout=WAIT)
    assert box.resume.isEnabled()


def test_opening_the_panel_imports_no_torch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", OPENS_WITHOUT_TORCH], capture_output=True,
        encoding="utf-8", timeout=240, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
