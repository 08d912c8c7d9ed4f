"""Results, corrections and where the user looks, in a viewer without a window."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QImage

from napari_mrissl.networks import weights
from napari_mrissl.segmentation.finetuning import FinetuneTaskSettings, prepare
from napari_mrissl.segmentation.finetuning.network import SegmentationNetwork
from napari_mrissl.segmentation.finetuning.task_settings import LabelClass
from napari_mrissl.training.card import weights_card
from napari_mrissl.training.looking import look_of
from napari_mrissl.training.states import RunState
from napari_mrissl.ui.finetuning.corrections import Corrections
from napari_mrissl.ui.finetuning.preview_link import PreviewLink
from napari_mrissl.ui.finetuning.results import Results
from napari_mrissl.ui.finetuning.results_box import Line, ResultsBox
from napari_mrissl.ui.finetuning.run_tab import FinetuneRunBox
from napari_mrissl.ui.finetuning.scans_box import ScansBox
from napari_mrissl.ui.finetuning.scene import Scene
from napari_mrissl.ui.finetuning.seen import ScanFacts
from napari_mrissl.ui.finetuning.table_file import TableRow, write_table
from napari_mrissl.ui.finetuning.work import Measured, Model, ToMeasure, measure, model_of
from napari_mrissl.ui.layers import add_volume, labels_array
from napari_mrissl.ui.name_box import NameBox
from napari_mrissl.ui.pretraining.follower import Follower
from napari_mrissl.ui.pretraining.history import Picture
from napari_mrissl.ui.segmenter.prompt_layers import role_of
from napari_mrissl.volumes import Volume, read
from tests.segmentation.finetuning.balls import arrays, save, tiny, write

pytestmark = pytest.mark.gui
SHAPE = (6, 8, 7)
WAIT = 180_000


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def scan(viewer):
    """A scan's layer and its volume."""
    rng = np.random.default_rng(0)
    volume = Volume.from_stored(rng.random(SHAPE, np.float32), np.eye(4), name="made")
    return add_volume(viewer, volume, name="scan"), volume


@pytest.fixture
def results(viewer, scan, tmp_path):
    """Of a network that says 1 in the lower half."""
    results = Results(viewer)
    results.adopt(model(tmp_path / "first"), [scan])
    results.show(*scan, answer())
    results.harvest(*scan)
    return results


def model(folder, step=100):
    classes = (LabelClass(label=0, name="background"), LabelClass(label=1, name="lesion"))
    return Model(folder, folder.name, "finetune 1", classes, frozenset(), frozenset(), step)


def answer(until=3):
    labels = np.zeros(SHAPE[::-1], np.uint8)
    labels[:until] = 1
    return labels


def stroke(layer, where, label):
    layer.brush_size = 1
    layer.paint(where, label)


def corrected(results, scan):
    held = results.corrections.get(scan[0], Corrections())
    return dict(zip(held.voxels.tolist(), held.labels.tolist(), strict=True))


def flat(*where):
    return int(np.ravel_multi_index(where, SHAPE[::-1]))


def test_an_undone_stroke_is_no_correction(results, scan):
    layer = results.layer_of(scan[1])
    stroke(layer, (5, 5, 4), 1)
    results.harvest(*scan)
    assert corrected(results, scan) == {flat(5, 5, 4): 1}
    layer.undo()
    results.harvest(*scan)
    assert scan[0] not in results.corrections
    layer.redo()
    results.harvest(*scan)
    assert corrected(results, scan) == {flat(5, 5, 4): 1}
    stroke(layer, (5, 5, 4), 2)
    results.harvest(*scan)
    assert corrected(results, scan) == {flat(5, 5, 4): 2}


def test_an_undone_bucket_fill_leaves_the_corrections_of_before(results, scan):
    layer = results.layer_of(scan[1])
    stroke(layer, (0, 0, 0), 0)
    results.harvest(*scan)
    layer.n_edit_dimensions = 3
    layer.fill((5, 5, 4), 1)
    assert results.harvest(*scan) > 100
    layer.undo()
    results.harvest(*scan)
    assert corrected(results, scan) == {flat(0, 0, 0): 0}


def test_a_correction_that_the_next_network_learned_outlives_an_undone_stroke(
    results, scan, tmp_path
):
    layer = results.layer_of(scan[1])
    stroke(layer, (5, 5, 4), 1)
    results.adopt(model(tmp_path / "second"), [scan])
    # The next network says so itself.
    learned = answer()
    learned[5, 5, 4] = 1
    results.show(*scan, learned)
    stroke(layer, (5, 5, 4), 2)
    results.harvest(*scan)
    assert corrected(results, scan) == {flat(5, 5, 4): 2}
    layer.undo()
    results.harvest(*scan)
    assert corrected(results, scan) == {flat(5, 5, 4): 1}


def test_a_stroke_on_an_older_result_cannot_be_undone_on_a_newer_one(results, scan, tmp_path):
    layer = results.layer_of(scan[1])
    layer.mode = "paint"
    stroke(layer, (5, 5, 4), 1)
    results.adopt(model(tmp_path / "second"), [scan])
    results.show(*scan, answer(5))
    layer.undo()
    results.harvest(*scan)
    assert labels_array(layer)[5, 5, 4] == 1
    assert corrected(results, scan) == {flat(5, 5, 4): 1}
    assert layer.mode == "paint"


def test_corrections_are_forgotten_with_what_is_shown_and_brought_back(results, scan, tmp_path):
    layer = results.layer_of(scan[1])
    stroke(layer, (5, 5, 4), 1)
    results.adopt(model(tmp_path / "second"), [scan])
    results.show(*scan, answer(2))
    stroke(layer, (4, 1, 1), 1)
    assert results.forget(*scan)
    assert scan[0] not in results.corrections
    assert np.array_equal(labels_array(layer), answer(2))
    assert results.harvest(*scan) == 0

    # Also where an earlier finetuning comes back, nothing is shown that is not learned.
    results.undo([scan])
    assert np.array_equal(labels_array(results.layer_of(scan[1])), answer())
    results.redo([scan])
    results.bring_back(*scan)
    expected = answer(2)
    expected[5, 5, 4] = expected[4, 1, 1] = 1
    assert np.array_equal(labels_array(layer), expected)
    assert corrected(results, scan) == {flat(5, 5, 4): 1, flat(4, 1, 1): 1}
    assert scan[0] not in results.forgotten
    assert results.forget(*scan)
    assert np.array_equal(labels_array(layer), answer(2))


def test_what_lay_under_corrections_of_another_session_is_not_known(viewer, results, scan):
    layer = results.layer_of(scan[1])
    stroke(layer, (5, 5, 4), 1)
    results.harvest(*scan)
    again = Results(viewer)
    again.go_on_with(results.model, [scan])
    again.corrections[scan[0]] = results.corrections[scan[0]]
    again.harvest(*scan)
    assert again.is_of_model(scan[0])
    assert not again.forget(*scan)
    assert not again.is_of_model(scan[0])
    assert scan[0] not in again.corrections


def test_newer_weights_of_a_finetuning_are_no_step_to_undo(results, scan, tmp_path):
    for step in (200, 300, 300):
        results.adopt(model(tmp_path / "first", step), [scan])
        assert results.model.step == step
        results.show(*scan, answer())
        assert results.is_of_model(scan[0])
    results.undo([scan])
    assert results.model is None
    assert not results.can_undo
    results.redo([scan])
    assert results.model.step == 300
    results.adopt(model(tmp_path / "second"), [scan])
    results.undo([scan])
    assert results.model.folder == tmp_path / "first"
    # Results of older weights are not taken for those of newer ones.
    assert results.is_of_model(scan[0])
    results.adopt(model(tmp_path / "first", 400), [scan])
    assert not results.is_of_model(scan[0])


def test_a_scan_that_fails_again_keeps_what_is_known_of_it(viewer, scan, tmp_path, qtbot):
    scene, box = Scene(viewer), ResultsBox()
    qtbot.addWidget(box)
    scene.scans = (ScanFacts(scan[0], "scan", scan[1]),)
    scene.results.adopt(model(tmp_path), [scan])
    scene.results.show(*scan, answer())
    scene.results.accept(*scan)
    scene.problems[scan[0]] = "no contrast"
    (line,) = scene.lines
    assert line.state == "accepted, failed"
    box.present(scene.lines, scene.results.model, can_undo=True, can_redo=False)
    box.tree.topLevelItem(0).setSelected(True)
    assert box.take_back.isEnabled()
    assert box.problem.text() == "no contrast"
    scene.close()


def test_forgetting_is_a_button_that_takes_itself_back(scan, tmp_path, qtbot):
    box, asked = ResultsBox(), []
    qtbot.addWidget(box)
    box.forget_wanted.connect(lambda layer: asked.append(("forget", layer)))
    box.restore_wanted.connect(lambda layer: asked.append(("restore", layer)))
    for count, forgotten in ((0, False), (3, False), (0, True), (3, True)):
        line = Line(scan[0], "scan", corrected=count, forgotten=forgotten)
        box.present([line], None, can_undo=False, can_redo=False)
        box.tree.topLevelItem(0).setSelected(True)
        assert box.forget.isEnabled() == bool(count or forgotten)
        box.forget.click()
    words = [what for what, _ in asked]
    assert words == ["forget", "restore", "forget"]


def test_a_copy_of_a_learned_scan_is_not_called_new(tmp_path):
    given = write(tmp_path, 2)
    run = prepare(tiny(), given[:1], tmp_path / "run")
    weights.save(
        run.folder / "weights.safetensors",
        SegmentationNetwork(FinetuneTaskSettings.model_validate(run.settings.task)).state_dict(),
        weights_card(run.folder, 1),
    )
    control = SimpleNamespace(cancelled=lambda: False, progress=lambda *_: None)
    one = model_of(control, run.folder)
    volumes = [read(each.image) for each in given]
    copy = save(tmp_path / "copy.nii.gz", arrays(0)[0], np.diag([2.0, 2, 2, 1]))
    volumes.append(read(copy))
    assert volumes[2].identity != volumes[0].identity
    wanted = [ToMeasure(volume, np.zeros(volume.shape, np.uint8), None) for volume in volumes]
    found = measure(control, one, wanted, zero_is_nothing=False)
    assert [each.part for each in found] == ["learned from", "new", "learned from"]


def test_dice_of_labelled_voxels_alone_says_so(scan, tmp_path, qtbot):
    truth = answer(1)
    control = SimpleNamespace(cancelled=lambda: False, progress=lambda *_: None)
    one, rows = model(tmp_path), []
    box = ResultsBox()
    qtbot.addWidget(box)
    for zero, score, text in ((False, 0.5, "0.500"), (True, 1.0, "1.000*")):
        wanted = [ToMeasure(scan[1], answer(3), truth)]
        (found,) = measure(control, one, wanted, zero_is_nothing=zero)
        # One of three layers is right: 2 * 1 / (3 + 1).
        assert found.dice == {1: pytest.approx(score)}
        box.present([Line(scan[0], "scan", found)], one, can_undo=False, can_redo=False)
        item = box.tree.topLevelItem(0)
        assert [item.text(2), item.child(0).text(2)] == [text, text]
        assert box.partial.isHidden() != zero
        rows.append(TableRow(scan[1], found, "predicted"))
    path = write_table(tmp_path / "a.csv", one, rows)
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["dice_of"] for row in table] == ["whole scan", "labelled voxels"]


def test_a_class_that_is_not_labelled_in_a_scan_has_no_dice_there(scan, tmp_path, qtbot):
    classes = tuple(LabelClass(label=n, name=name) for n, name in enumerate(("bg", "one", "two")))
    one = replace(model(tmp_path), classes=classes)
    truth = np.zeros(SHAPE[::-1], np.uint8)
    truth[:4, :, :3] = 1
    control = SimpleNamespace(cancelled=lambda: False, progress=lambda *_: None)
    (found,) = measure(control, one, [ToMeasure(scan[1], answer(3), truth)], zero_is_nothing=True)
    # Three of four labelled layers: 2 * 3 / (3 + 4).
    assert found.dice == {1: pytest.approx(6 / 7)}
    assert found.mean_dice == pytest.approx(6 / 7)
    box = ResultsBox()
    qtbot.addWidget(box)
    box.present([Line(scan[0], "scan", found)], one, can_undo=False, can_redo=False)
    item = box.tree.topLevelItem(0)
    assert [item.text(2), *(item.child(n).text(2) for n in range(2))] == ["0.857*", "0.857*", "–"]
    assert "Not measured" in item.child(1).toolTip(2)
    path = write_table(tmp_path / "a.csv", one, [TableRow(scan[1], found, "predicted")])
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["dice"], row["dice_of"], row["dice_against"]) for row in table] == [
        ("0.857143", "labelled voxels", "labels"),
        ("", "", ""),
    ]
    # Where 0 is background, empty in both is right.
    (found,) = measure(control, one, [ToMeasure(scan[1], answer(3), truth)], zero_is_nothing=False)
    assert found.dice[2] == 1
    (found,) = measure(
        control, one, [ToMeasure(scan[1], answer(3), 0 * truth)], zero_is_nothing=True
    )
    assert (found.dice, found.mean_dice) == ({}, None)


def test_dice_against_an_accepted_result_is_said_to_be_agreement(viewer, scan, tmp_path, qtbot):
    scene, box, scans = Scene(viewer), ResultsBox(), ScansBox()
    for widget in (box, scans):
        qtbot.addWidget(widget)

    def looked():
        scene.look()
        qtbot.waitUntil(lambda: not scene.busy, timeout=WAIT)
        box.present(scene.lines, scene.results.model, can_undo=True, can_redo=False)
        scans.present(scene.rows)
        measured = scene.lines[0].measured
        return measured and measured.dice_against, box.tree.topLevelItem(0).text(2)

    looked()
    scene.results.adopt(model(tmp_path / "first"), [scan])
    scene.results.show(*scan, answer(3))
    assert looked() == (None, "")
    accepted = scene.results.accept(*scan)
    scene.choices.set_map(scan[0], accepted)
    second = replace(model(tmp_path / "second"), measured_on=frozenset({scan[1].identity}))
    scene.results.adopt(second, [scan])
    scene.results.show(*scan, answer(5))
    # Three layers of both: 2 * 3 / (3 + 5).
    assert looked() == ("accepted result", "0.750†")
    assert "accepted result" in box.tree.topLevelItem(0).toolTip(2)
    assert not box.agreement.isHidden()
    assert "held-out" in box.agreement.text()
    assert scans.untested.isHidden()
    scene.choices.set_use(scan[0], "held out")
    looked()
    assert scans.untested.text().startswith("scan is held out, but labelled by an accepted result")
    path = write_table(tmp_path / "a.csv", second, scene.table)
    with path.open(encoding="utf-8", newline="") as file:
        assert [row["dice_against"] for row in csv.DictReader(file)] == ["accepted result"]

    # What is painted on it afterwards is somebody's word, until it is undone.
    stroke(accepted, (5, 5, 4), 1)
    assert looked()[0] == "corrected result"
    assert "†" not in box.tree.topLevelItem(0).text(2)
    assert "corrected result" in box.tree.topLevelItem(0).toolTip(2)
    assert (box.agreement.isHidden(), scans.untested.isHidden()) == (True, True)
    accepted.undo()
    assert looked()[0] == "accepted result"
    # Under another name it is still what a network made.
    scene.results.take_back(*scan)
    assert role_of(accepted)[0] is None
    assert looked()[0] == "accepted result"
    scene.close()


def test_a_result_that_was_corrected_before_it_was_accepted_is_a_corrected_one(
    viewer, results, scan, qtbot
):
    stroke(results.layer_of(scan[1]), (5, 5, 4), 1)
    accepted = results.accept(*scan)
    scene = Scene(viewer)
    scene.look()
    qtbot.waitUntil(lambda: not scene.busy, timeout=WAIT)
    assert scene.scans[0].map_of(accepted).origin == "corrected result"
    scene.close()


def test_without_labels_there_is_no_dice_to_be_explained(scan, tmp_path):
    sizes = Measured(scan[1].identity, "new", {1: 10}, {1: 0.24}, {})
    path = write_table(tmp_path / "a.csv", model(tmp_path), [TableRow(scan[1], sizes, "predicted")])
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["dice"], row["dice_of"]) == ("", "")


def test_the_run_tab_says_which_weights_it_uses(qtbot):
    box = FinetuneRunBox(Follower(), lambda _: "")
    qtbot.addWidget(box)
    assert "best weights on held-out scans" in box.use.toolTip()


def test_a_picture_says_which_scan_it_shows(viewer, scan, qtbot, tmp_path):
    scene = Scene(viewer)
    scene.look()
    qtbot.waitUntil(lambda: not scene.busy, timeout=WAIT)
    follower = Follower()
    follower.run = prepare(tiny(), write(tmp_path, 1), tmp_path / "run")
    box = FinetuneRunBox(follower, scene.name_of)
    qtbot.addWidget(box)
    captions, image = ("scan", "predicted", "labels"), QImage(8, 4, QImage.Format.Format_RGB888)
    for identity, expected in (
        (scan[1].identity, "prediction of scan, step 3: scan, predicted, labels"),
        ("0" * 64, "prediction of a scan that is not open, step 3: scan, predicted, labels"),
        ("", "prediction, step 3: scan, predicted, labels"),
    ):
        follower.pictured.emit(Picture("prediction", 3, "a.png", captions, identity), image)
        assert box.pictures.shown["prediction"].caption.text() == expected
    scene.close()


def test_long_names_of_label_layers_keep_both_ends(qtbot):
    box = NameBox()
    qtbot.addWidget(box)
    name = "sub-01_ses-02_acq-highres_T1w hippocampus, second rater"
    box.addItems(["none", name])
    box.resize(140, 26)
    assert box.shown_name() == "none"
    box.setCurrentIndex(1)
    start, _, end = box.shown_name().partition("\N{HORIZONTAL ELLIPSIS}")
    assert min(len(start), len(end)) > 2
    assert name.startswith(start)
    assert name.endswith(end)
    assert len(start) + len(end) < len(name)
    box.resize(900, 26)
    assert box.shown_name() == name


class Following(QObject):
    """A follower of a run that is trained."""

    state_changed = Signal()

    def __init__(self, run):
        super().__init__()
        self.state = RunState("running", 1, 2, alive=True, here=True)
        self.run, self.alive = run, True


def test_the_run_is_told_which_slice_is_in_view(viewer, tmp_path, qtbot):
    inputs = write(tmp_path, 2)
    run = prepare(tiny(), inputs[:1], tmp_path / "run")
    volumes = [read(one.image) for one in inputs]
    layers = [add_volume(viewer, v, name=f"scan {n}") for n, v in enumerate(volumes)]
    scene = Scene(viewer)
    pairs = zip(layers, volumes, strict=True)
    scene.scans = tuple(ScanFacts(layer, layer.name, volume) for layer, volume in pairs)
    for layer in layers:
        scene.choices.set_use(layer, "learn")
    follower = Following(run)
    link = PreviewLink(scene, follower)

    def rests():
        qtbot.waitUntil(lambda: not link.running, timeout=WAIT)

    viewer.layers.selection.active = layers[0]
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point((0, 1, 2), scene_point(viewer, (4.0, 7.0, 9.0)))
    rests()
    look = look_of(run.folder)
    assert look["identity"] == volumes[0].identity
    assert look["axis"] == 1
    assert look["at_mm"] == pytest.approx(list(scene.in_view()[1]))
    assert look["at_mm"][1] == pytest.approx(7.0)
    viewer.dims.set_point((0, 1, 2), scene_point(viewer, (4.0, 11.0, 9.0)))
    rests()
    assert look_of(run.folder)["at_mm"][1] == pytest.approx(11.0)
    # The run does not have the other scan: its picture stays where it was.
    viewer.layers.selection.active = layers[1]
    viewer.dims.set_point((0, 1, 2), scene_point(viewer, (4.0, 3.0, 9.0)))
    rests()
    assert look_of(run.folder)["at_mm"][1] == pytest.approx(11.0)
    # One that another machine trains is only watched.
    here, follower.state = follower.state, replace(follower.state, here=False)
    viewer.layers.selection.active = layers[0]
    viewer.dims.set_point((0, 1, 2), scene_point(viewer, (4.0, 5.0, 9.0)))
    rests()
    assert look_of(run.folder)["at_mm"][1] == pytest.approx(11.0)
    follower.state, follower.alive = here, False
    rests()
    assert look_of(run.folder)["at_mm"][1] == pytest.approx(11.0)
    link.close()
    scene.close()


def scene_point(viewer, world):
    """Where the viewer's dims are at a place in world RAS mm."""
    from napari_mrissl.ui.navigator.units import position_of

    return tuple(position_of(viewer, world))
