"""What the finetuning dock is made of, without a window."""

import numpy as np
import pytest
from qtpy.QtGui import QImage

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.finetuning.task_settings import LabelClass
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.training.pictures import tiled
from napari_mrissl.ui.finetuning.corrections import Corrections, changed
from napari_mrissl.ui.finetuning.learning import NOTHING, Given, labelled, table_for
from napari_mrissl.ui.finetuning.naming import Named, check_names
from napari_mrissl.ui.finetuning.painted import Packed
from napari_mrissl.ui.finetuning.run_tab import coloured
from napari_mrissl.ui.finetuning.seen import Marks
from napari_mrissl.ui.finetuning.table_file import TableRow, write_table
from napari_mrissl.ui.finetuning.work import Measured, Model
from napari_mrissl.volumes import Volume

RED = PromptClass(label=1, name="lesion", color="#ff0000")
AIR = PromptClass(label=4, name="Background", color="#00ff00")


def volume(shape=(4, 5, 6)):
    rng = np.random.default_rng(0)
    return Volume.from_stored(rng.random(shape, np.float32), np.diag([2, 3, 4, 1.0]), name="made")


def index_of(scan, voxel):
    """World RAS mm of a voxel (s, a, r), by the affine alone."""
    return tuple((scan.affine @ [*voxel, 1])[:3].tolist())


def test_corrections_later_ones_win_and_come_back_from_text():
    first = Corrections().and_then(np.array([7, 3]), np.array([2, 1]))
    both = first.and_then(np.array([3, 100]), np.array([0, 5]))
    assert both.voxels.tolist() == [3, 7, 100]
    assert both.labels.tolist() == [0, 2, 5]
    back = Corrections.unpacked(both.packed())
    assert np.array_equal(back.voxels, both.voxels)
    assert np.array_equal(back.labels, both.labels)
    labels = np.full((2, 5), 9)
    both.put(labels)
    # Voxel 100 is beyond this map.
    assert labels.ravel().tolist() == [9, 9, 9, 0, 9, 9, 9, 2, 9, 9]


@pytest.mark.parametrize("text", [None, 3, "", "!!", "AAAA", "eJwDAAAAAAE="])
def test_what_is_no_packed_corrections_is_none(text):
    found = Corrections.unpacked(text)
    assert found is None or len(found) == 0


def test_changed_voxels_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    before, after = rng.integers(0, 3, (2, 3, 4, 5))
    expected = [n for n in range(60) if before.ravel()[n] != after.ravel()[n]]
    assert changed(before, after).tolist() == expected


def test_a_packed_label_map_is_the_same_again():
    labels = np.random.default_rng(2).integers(0, 900, (3, 4, 5)).astype(np.uint16)
    back = Packed.of(labels[:, ::-1]).labels()
    assert np.array_equal(back, labels[:, ::-1])
    assert back.dtype == labels.dtype
    back[0] = 1


def test_corrections_win_over_clicks_over_scribbles_over_the_label_layer():
    scan = volume()
    whole = np.full(scan.shape, 1, np.uint8)
    whole[0] = 0
    scribbles = np.zeros(scan.shape, np.uint8)
    scribbles[1, 1, 1:4] = 4
    clicks = (
        (*index_of(scan, (1, 1, 2)), 1),
        (*index_of(scan, (2, 2, 2)), 4),
        (*index_of(scan, (2, 3, 3)), 4),
    )
    fixed = Corrections(np.array([np.ravel_multi_index((2, 3, 3), scan.shape)]), np.array([1]))
    given = Given(scan, Marks(clicks, scribbles, (RED, AIR)), whole, fixed)
    expected = whole.astype(int)
    expected[1, 1, 1] = expected[1, 1, 3] = 0
    expected[2, 2, 2] = 0
    assert np.array_equal(labelled(given, zero_is_nothing=False).labels, expected)
    expected = np.where(whole == 0, NOTHING, expected)
    assert np.array_equal(labelled(given, zero_is_nothing=True).labels, expected)


def test_marks_alone_leave_all_else_unknown_and_unmarked_classes_are_said():
    scan = volume()
    given = Given(scan, Marks(((*index_of(scan, (5, 4, 3)), 1),), None, (RED, AIR)))
    one = labelled(given, zero_is_nothing=False)
    assert (one.labels == NOTHING).sum() == scan.data.size - 1
    assert one.labels[5, 4, 3] == 1
    table = (LabelClass(label=1, name="lesion"), LabelClass(label=2, name="cyst"))
    classes, notes = table_for([one], table)
    assert classes == table[:1]
    assert "cyst" in notes[0]


@pytest.mark.parametrize(
    ("first", "second", "given", "reason"),
    [
        ({1: "liver"}, {1: "kidney"}, (), "label 1 is 'liver' in a and 'kidney' in b"),
        ({1: "liver"}, {2: "liver"}, (), "'liver' is label 1 in a and label 2 in b"),
        ({1: "liver"}, {1: "kidney"}, (1,), None),
        ({1: "liver"}, {2: "liver"}, (2,), None),
        ({1: "liver"}, {1: "class 1", 2: ""}, (), None),
        ({1: "liver", 2: "kidney"}, {1: "liver", 3: "spleen"}, (), None),
        # An atlas may call both sides the same, and a scan hold one of them only.
        ({1: "hippocampus", 2: "hippocampus"}, {2: "hippocampus"}, (), None),
    ],
)
def test_one_label_has_one_name_in_all_scans(first, second, given, reason):
    places = [Named("a", first), Named("b", second)]
    if reason is None:
        check_names(places, given)
    else:
        with pytest.raises(MrisslError) as caught:
            check_names(places, given)
        assert f"classes: {reason}; expected one" in str(caught.value)


def test_the_picture_of_a_run_is_painted_over_the_scan():
    tiles = np.zeros((3, 6, 6), np.float32)
    tiles[0] = 0.4
    tiles[1, :3] = 0.5
    tiles[2, 3:] = 1.0
    grey = np.ascontiguousarray(tiled(tiles, 3))
    image = QImage(grey.data, grey.shape[1], 6, grey.shape[1], QImage.Format.Format_Grayscale8)
    classes = [
        {"label": 0, "name": "background"},
        {"label": 3, "name": "a", "color": "#ff0000"},
        {"label": 7, "name": "b", "color": "#0000ff"},
    ]
    found = coloured(image, classes)
    ground = round(0.4 * 255)
    assert found.pixelColor(1, 1).getRgb()[:3] == (ground,) * 3
    mixed = round(0.45 * ground + 0.55 * 255), round(0.45 * ground)
    assert found.pixelColor(9, 1).getRgb()[:3] == (mixed[0], mixed[1], mixed[1])
    assert found.pixelColor(9, 4).getRgb()[:3] == (ground,) * 3
    assert found.pixelColor(17, 4).getRgb()[:3] == (mixed[1], mixed[1], mixed[0])
    assert coloured(image, classes[:1]) is image


def test_a_table_names_scans_by_file_and_no_cell_is_a_formula(tmp_path):
    model = Model(
        tmp_path, "secret name", "finetune 12345678",
        (LabelClass(label=0, name="background"), LabelClass(label=2, name="=1+1")),
        frozenset(), frozenset(), 5,
    )  # fmt: skip
    scan = volume()
    sizes = Measured(
        scan.identity, "new", {2: 10}, {2: 0.24}, {2: 0.5}, dice_against="corrected result"
    )
    path = write_table(tmp_path / "a.csv", model, [TableRow(scan, sizes, "corrected")])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == (
        "scan,identity,part,state,label,class,voxels,volume_ml,dice,dice_of,dice_against,model"
    )
    assert lines[1] == (
        f"made,{scan.identity},new,corrected,2,'=1+1,10,0.24,0.500000,whole scan,corrected result,"
        "finetune 12345678"
    )
    assert "secret" not in path.read_text(encoding="utf-8")
