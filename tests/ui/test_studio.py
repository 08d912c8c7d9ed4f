"""The data engine studio with real widgets: stages, settings, templates, presets, sessions."""

import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider

from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.synthesis.presets import load_preset
from napari_mrissl.ui.layers import volume_of
from napari_mrissl.ui.studio import DataEngineStudio
from napari_mrissl.ui.studio.groups import GROUPS
from napari_mrissl.ui.studio.sample import STAGES

pytestmark = pytest.mark.gui
SIDE = 32


def settle(studio, qtbot):
    qtbot.waitUntil(lambda: not studio.busy, timeout=120_000)


@pytest.fixture
def studio(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    viewer = make_napari_viewer_proxy(show=True)
    studio = DataEngineStudio(viewer)
    viewer.window.add_dock_widget(studio, name="Data engine studio")
    studio.sample_bar.side.setCurrentIndex(studio.sample_bar.side.findData(SIDE))
    settle(studio, qtbot)
    yield studio
    settle(studio, qtbot)


def test_stages_samples_and_layers_are_those_of_the_engine(studio, qtbot):
    bar, slices = studio.sample_bar, studio.slices
    engine = Engine(Templates.procedural(), EngineSettings.of_side(SIDE), seed=5)
    bar.seed.setValue(5)
    for _ in range(3):
        bar.new.click()
    settle(studio, qtbot)
    assert studio.sample.request.index == 3
    pair = engine.pair(3)
    np.testing.assert_array_equal(studio.sample.stages["final"].arrays, pair.views)
    np.testing.assert_array_equal(studio.sample.labels, pair.labels)
    assert studio.sample.kind == pair.kind
    made = {(one.name, one.view): one for one in engine.stages(3)}
    studio.stage_bar.choose(STAGES[0])
    assert not studio.stage_bar.before.isEnabled()
    for name in STAGES:
        assert studio.stage_bar.stage == name
        shown = studio.sample.stages[name]
        for view, array in enumerate(shown.arrays):
            stage = made.get((name, view)) or made.get((name, None))
            if stage is not None:
                np.testing.assert_array_equal(array, stage.array)
        studio.stage_bar.next.click()
    assert not studio.stage_bar.next.isEnabled()

    # A click in one picture moves all; the voxel read is the array's.
    rects = slices.tile_rects()
    assert len(rects) == 6
    qtbot.mouseClick(
        slices, Qt.MouseButton.LeftButton, pos=(rects[4].center() + QPointF(9, 5)).toPoint()
    )
    s, a, r = slices.place
    assert a == SIDE // 2
    assert r > SIDE // 2
    assert s < SIDE // 2
    view_a, view_b = pair.views[:, s, a, r]
    assert f"A {view_a:.3f}  B {view_b:.3f}  label {pair.labels[s, a, r]}" in (
        studio.readings.text()
    )
    before = slices.grab().toImage()
    bar.overlay.setChecked(True)
    assert slices.grab().toImage() != before
    qtbot.keyClick(slices, Qt.Key.Key_Plus)
    assert slices.zoom > 1
    bar.whole.click()
    assert slices.zoom == 1
    bar.planes.setCurrentIndex(2)
    assert len(slices.tile_rects()) == 2
    qtbot.keyClick(slices, Qt.Key.Key_Up)
    assert slices.place == (s, a + 1, r)

    bar.add.click()
    layers = studio._viewer.layers
    assert [layer.name for layer in layers] == [
        "synthetic 5-3 A",
        "synthetic 5-3 B",
        "synthetic 5-3 labels",
    ]
    np.testing.assert_array_equal(layers[1].data, pair.views[1])
    volume = volume_of(layers[0])
    np.testing.assert_allclose(volume.spacing, 1)
    np.testing.assert_allclose(volume.center, 0, atol=1e-9)
    layers[2].data[:] = 7
    np.testing.assert_array_equal(studio.sample.labels, pair.labels)


def test_settings_undo_invalid_presets_and_session(studio, qtbot):
    box, fields = studio.settings_box, studio.settings_box.fields
    scale = fields["ensemble.scale"]
    scale.parts[0].setValue(0.75)
    settle(studio, qtbot)
    # What was not touched is exactly as published, though the box rounds it.
    assert studio.settings.ensemble.mask_probability == 2 / 3
    assert studio.settings.ensemble.scale == (0.75, 1.5)
    assert studio.sample.request.settings == studio.settings
    good = studio.settings
    for path, value, words in (
        ("ensemble.scale", 1.9, "Scale: the lower limit 1.9 is above the upper limit 1.5"),
        ("ensemble.side", 70, "Side: input should be a multiple of 16"),
    ):
        fields[path].parts[0].setValue(value)
        assert words in studio.message.text()
        assert studio.settings == good
        box.show_settings(good)
    line = fields["ensemble.warp_scales"].line
    line.setText("8, x")
    line.editingFinished.emit()
    assert "no list of whole numbers" in studio.message.text()
    line.setText("4, 64")
    line.editingFinished.emit()
    assert studio.settings.ensemble.warp_scales == (4, 64)
    assert studio.message.text() == ""
    fields["ensemble.median"].box.setCurrentIndex(0)
    assert studio.settings.ensemble.median == 1
    last = studio.settings
    for _ in range(3):
        box.undo.click()
    assert studio.settings == EngineSettings()
    assert scale.parts[0].value() == 0.5
    assert not box.undo.isEnabled()
    for _ in range(3):
        box.redo.click()
    assert studio.settings == last

    presets = studio.presets_box
    presets.name.setText("mine / 1")
    presets.save.click()
    assert load_preset("mine 1") == last
    presets.name.setText("published")
    presets.save.click()
    assert "stay as they are" in studio.message.text()
    box.published.click()
    assert studio.settings == EngineSettings()
    presets.load.click()
    assert studio.settings == last
    presets.remove.click()
    assert presets.names.count() == 1

    studio.stage_bar.choose("gibbs")
    assert box.sections["Gibbs ringing"].isExpanded()
    state = studio.session_state()
    box.published.click()
    studio.stage_bar.choose("median")
    studio.restore_session({**state, "unknown": 1})
    settle(studio, qtbot)
    assert studio.session_state() == state
    studio.restore_session({"seed": -1, "settings": {"x": 1}, "stage": 3, "source": "moon"})
    assert "settings, seed, stage, source" in studio.message.text()
    assert studio.session_state() == state


def test_template_sources_and_refusals(studio, qtbot, tmp_path):
    viewer, sampler = studio._viewer, studio.sampler
    assert "120 templates from procedural" in studio.templates_box.facts.text()
    pool = sampler.templates
    studio.templates_box.layers.click()
    assert "no Labels layer" in studio.message.text()
    (tmp_path / "empty").mkdir()
    studio.use_folder(str(tmp_path / "empty"))
    settle(studio, qtbot)
    assert "no label maps" in studio.message.text()
    assert str(tmp_path) not in studio.message.text()
    assert sampler.templates is pool
    assert sampler.source.kind == "procedural"

    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:9, 3:12, 4:10] = 1
    labels[12:18, 5:15, 2:19] = 4
    layer = viewer.add_labels(labels, scale=(1, 1, 2))
    studio.templates_box.layers.click()
    settle(studio, qtbot)
    assert len(sampler.templates) == 2
    expected = Templates.from_arrays([(labels, (1, 1, 2))])
    assert sampler.templates.identity == expected.identity
    assert "1 Labels layer" in studio.templates_box.facts.text()
    layer.data[:] = 3
    studio.templates_box.layers.click()
    settle(studio, qtbot)
    assert "the one label 3 everywhere" in studio.message.text()
    assert sampler.templates.identity == expected.identity
    studio.templates_box.procedural.click()
    # The newest wins; what is cancelled changes nothing.
    studio.sample_bar.new.click()
    studio.sample_bar.cancel.click()
    settle(studio, qtbot)
    assert sampler.templates.identity == expected.identity
    assert "Cancelled" in studio.message.text()


def test_every_setting_has_a_field_and_every_control_a_tooltip(studio):
    def leaves(values, prefix=""):
        for name, value in values.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{name}.")
            else:
                yield prefix + name

    wanted = set(leaves(EngineSettings().model_dump())) - {"version"}
    assert {path for group in GROUPS for path in group.paths} == wanted
    assert set(studio.settings_box.fields) == wanted
    assert {stage for group in GROUPS for stage in group.stages} == set(STAGES) - {"final"}
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider)
    for kind in kinds:
        for control in studio.findChildren(kind):
            assert control.toolTip() or control.parent().toolTip(), control
    assert "MB" in studio.sample_bar.memory.text()
    assert studio.minimumSizeHint().width() <= 560


def test_no_torch_is_imported_for_the_dock():
    code = "import sys, napari_mrissl.ui.studio; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
