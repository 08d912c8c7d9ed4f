"""The data engine studio with real widgets: stages, settings, templates, presets, sessions."""

import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, QPointF, Qt, QThreadPool
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollArea,
    QSlider,
)

from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.synthesis.label_maps import MOST_VOXELS
from napari_mrissl.synthesis.presets import load_preset
from napari_mrissl.ui.layers import add_labels, labels_array, volume_of
from napari_mrissl.ui.layers.lazy import RenderedLabels
from napari_mrissl.ui.studio import DataEngineStudio, work
from napari_mrissl.ui.studio.groups import GROUPS
from napari_mrissl.ui.studio.sample import STAGES
from napari_mrissl.volumes import Volume

pytestmark = pytest.mark.gui
SIDE = 32


def settle(studio, qtbot):
    qtbot.waitUntil(lambda: not studio.busy, timeout=120_000)


def at_side(studio, qtbot):
    studio.sample_bar.side.setCurrentIndex(studio.sample_bar.side.findData(SIDE))
    settle(studio, qtbot)


@pytest.fixture
def studio(qtbot):
    """On a viewer without a window: the studio asks it for layers only."""
    studio = DataEngineStudio(ViewerModel())
    qtbot.addWidget(studio, before_close_func=lambda studio: settle(studio, qtbot))
    studio.resize(520, 640)
    studio.show()
    at_side(studio, qtbot)
    return studio


@pytest.fixture
def held(monkeypatch):
    """The next samples wait in their thread until this is set."""
    event = threading.Event()
    make = work.make_sample

    def slow(*arguments):
        assert event.wait(60)
        return make(*arguments)

    monkeypatch.setattr(work, "make_sample", slow)
    yield event
    event.set()


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
        assert studio.stage_bar.facts.text()
        assert "key" not in studio.stage_bar.facts.text()
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
        ("ensemble.scale", 1.9, "Scale (factor): the lower limit 1.9 is above the upper limit 1.5"),
        ("ensemble.side", 70, "Side (voxels): input should be a multiple of 16"),
    ):
        fields[path].parts[0].setValue(value)
        assert words in studio.status.message.text()
        assert studio.settings == good
        box.show_settings(good)
    line = fields["ensemble.warp_scales"].line
    line.setText("8, x")
    line.editingFinished.emit()
    assert "no list of whole numbers" in studio.status.message.text()
    line.setText("4, 64")
    line.editingFinished.emit()
    assert studio.settings.ensemble.warp_scales == (4, 64)
    assert studio.status.message.text() == ""
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
    assert "stay as they are" in studio.status.message.text()
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
    assert "settings, seed, stage, source" in studio.status.message.text()
    assert studio.session_state() == state


def test_the_settings_of_a_stage_are_in_view(studio, qtbot):
    view = studio.panes.findChild(QScrollArea).viewport()

    def in_view(field):
        top = field.mapTo(view, QPoint(0, 0)).y()
        return top >= 0 and top + field.height() <= view.height()

    for group in (GROUPS[2], GROUPS[1], GROUPS[-1], GROUPS[4], GROUPS[0]):
        studio.stage_bar.choose(group.stages[0])
        field = studio.settings_box.fields[group.paths[0]]
        qtbot.waitUntil(lambda field=field: in_view(field), timeout=20_000)


def test_template_sources_and_refusals(studio, qtbot, tmp_path):
    viewer, sampler = studio._viewer, studio.sampler
    assert "120 templates from procedural" in studio.templates_box.facts.text()
    pool = sampler.templates
    studio.templates_box.layers.click()
    assert "no Labels layer" in studio.status.message.text()
    (tmp_path / "empty").mkdir()
    studio.use_folder(str(tmp_path / "empty"))
    settle(studio, qtbot)
    assert "no label maps" in studio.status.message.text()
    assert str(tmp_path) not in studio.status.message.text()
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
    assert "the one label 3 everywhere" in studio.status.message.text()
    assert sampler.templates.identity == expected.identity
    studio.templates_box.procedural.click()
    # The newest wins; what is cancelled changes nothing.
    studio.sample_bar.new.click()
    studio.status.cancel.click()
    settle(studio, qtbot)
    assert sampler.templates.identity == expected.identity
    assert "Cancelled" in studio.status.message.text()


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
    assert "Published: " in studio.settings_box.fields["appearance.mean"].toolTip()
    assert studio.minimumSizeHint().width() <= 560


def test_many_quick_clicks_show_the_last_sample_only(studio, qtbot, held):
    made = []
    studio.sampler.made.connect(lambda sample: made.append(sample.request))
    shown = studio.sample
    for _ in range(30):
        studio.sample_bar.new.click()
    # The clicks came back while nothing was made: they do not wait for the engine.
    assert studio.busy
    assert studio.sample is shown
    held.set()
    settle(studio, qtbot)
    assert [request.index for request in made] == [30]
    assert studio.sample.request.index == 30
    expected = Engine(studio.sampler.templates, EngineSettings.of_side(SIDE)).pair(30)
    np.testing.assert_array_equal(studio.sample.labels, expected.labels)


def test_what_was_asked_for_before_the_settings_changed_never_lands(studio, qtbot, held):
    made = []
    studio.sampler.made.connect(lambda sample: made.append(sample.request))
    studio.sample_bar.new.click()
    studio.settings_box.fields["ensemble.median"].box.setCurrentIndex(0)
    studio.settings_box.undo.click()
    studio.sample_bar.seed.setValue(9)
    studio.settings_box.fields["augmentation.gibbs.probability"].parts[0].setValue(1)
    held.set()
    settle(studio, qtbot)
    assert [(request.seed, request.index) for request in made] == [(9, 1)]
    assert made[0].settings == studio.settings
    assert studio.settings.augmentation.gibbs.probability == 1
    assert studio.settings.ensemble.median == 3
    assert studio.sample.request == made[0]


def test_a_dock_closed_while_it_computes(make_napari_viewer_proxy, qtbot, held):
    viewer = make_napari_viewer_proxy(show=True)
    dock, studio = viewer.window.add_plugin_dock_widget("napari-mrissl", "Data engine studio")
    made = []
    studio.sampler.made.connect(made.append)
    qtbot.waitUntil(lambda: studio.busy)
    studio.sample_bar.new.click()
    with qtbot.waitSignal(studio.destroyed, timeout=60_000):
        viewer.window.remove_dock_widget(dock)
    held.set()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=60_000)
    qtbot.wait(50)
    assert made == []
    # Another one of the same viewer starts afresh.
    _, again = viewer.window.add_plugin_dock_widget("napari-mrissl", "Data engine studio")
    settle(again, qtbot)
    assert again.sample is not None


def ball(shape, middle, radius, label):
    away = np.stack([(n - m) for n, m in zip(np.indices(shape), middle, strict=True)])
    return np.where((away**2).sum(axis=0) <= radius**2, label, 0).astype(np.uint16)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_label_layers_of_different_grids(studio, qtbot):
    """Straight, flat, turned about and oblique: each counts with its own voxels."""
    viewer = studio._viewer
    straight = ball((24, 24, 24), (12, 12, 12), 8, 3)
    viewer.add_labels(straight, name="straight")
    flat = ball((24, 24, 24), (12, 12, 12), 8, 5)[::4]
    viewer.add_labels(flat, scale=(4, 1, 1), name="flat")
    # The flat axis is the last of the array, though the first of the world.
    turned = np.ascontiguousarray(flat.transpose(1, 2, 0))
    matrix = np.array([[0, 0, 4.0], [1, 0, 0], [0, 1, 0]])
    affine = np.eye(4)
    affine[:3, :3] = matrix
    viewer.add_labels(turned, affine=affine, name="turned")
    angle = np.radians(20)
    oblique = np.eye(4)
    oblique[:3, :3] = [
        [np.cos(angle), -np.sin(angle), 0],
        [np.sin(angle), np.cos(angle), 0],
        [0, 0, 1],
    ]
    voxels = ball((20, 30, 40), (10, 15, 20), 9, 1) + ball((20, 30, 40), (4, 5, 6), 3, 7)
    volume = Volume.from_stored(voxels.astype(np.float32), oblique, name="oblique")
    layer = add_labels(viewer, volume, np.ascontiguousarray(volume.data).astype(np.uint16))
    assert isinstance(layer.data, RenderedLabels)
    studio.templates_box.layers.click()
    settle(studio, qtbot)
    assert studio.status.message.text() == ""
    pool = studio.sampler.templates
    assert "5 templates from 4 Labels layers" in studio.templates_box.facts.text()
    assert pool[0].sum() == (straight > 0).sum()
    for number in (1, 2):
        # 4 mm by 1 by 1 mm become cubes of 1.6 mm: as wide as high.
        assert np.ptp(pool.extents[number]) <= 2
        assert pool.extents[number].max() <= 13
    found = labels_array(layer)
    assert [int(pool[k].sum()) for k in (3, 4)] == [(found == label).sum() for label in (1, 7)]
    # What is painted afterwards counts when the layers are taken again.
    found[:3, :3, :3] = 9
    studio.templates_box.layers.click()
    settle(studio, qtbot)
    assert len(studio.sampler.templates) == 6


def test_layers_that_are_no_label_map_get_a_sentence(studio, qtbot):
    viewer, pool = studio._viewer, studio.sampler.templates
    dask = pytest.importorskip("dask.array")
    side = round((1.1 * MOST_VOXELS) ** (1 / 3))
    large = dask.zeros((side,) * 3, dtype=np.uint8, chunks=64)
    for data, words in (
        (np.ones((9, 9), np.uint8), "bad: 2-D data; expected one 3-D volume"),
        (np.ones((1, 9, 9), np.uint8), "bad: a size of 1 x 9 x 9 voxels; expected a 3-D label map"),
        (np.ones((2, 9, 9, 9), np.uint8), "bad: 4-D data"),
        (np.zeros((9, 9, 9), np.uint8), "no labels; expected label maps with labels"),
        (np.full((9, 9, 9), 4, np.uint8), "bad: the one label 4 everywhere"),
        (large, "expected at most 512 million voxels; crop it"),
    ):
        layer = viewer.add_labels(data, name="bad")
        studio.templates_box.layers.click()
        settle(studio, qtbot)
        assert words in studio.status.message.text()
        assert studio.status.message.text().count("\n") == 0
        assert studio.sampler.templates is pool
        assert studio.sampler.source.kind == "procedural"
        viewer.layers.remove(layer)
