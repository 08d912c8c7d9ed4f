"""Bad labels are refused in one sentence, odd but right ones are taken."""

from dataclasses import replace

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import PromptClass, Prompts
from napari_mrissl.segmentation.finetuning import LabelClass, LabelledInput
from napari_mrissl.segmentation.finetuning.reading import class_table, encoded, read_scans
from napari_mrissl.volumes import read
from tests.segmentation.finetuning.balls import arrays, save, write


@pytest.fixture
def pair(tmp_path):
    (given,) = write(tmp_path, 1)
    return given


def relabelled(given: LabelledInput, change) -> LabelledInput:
    labels = arrays(0)[1]
    path = save(given.labels.with_name("changed.nii.gz"), change(labels))
    return replace(given, labels=path)


def refusal(*inputs: LabelledInput, classes=(), unlabelled=None) -> str:
    with pytest.raises(MrisslError) as caught:
        class_table(read_scans(inputs, unlabelled), classes)
    said = str(caught.value)
    assert "\n" not in said
    assert "/" not in said
    return said


def test_labels_are_read_on_the_scan_s_own_axes(tmp_path, pair):
    (scan,) = read_scans([pair])
    np.testing.assert_array_equal(scan.labels, arrays(0)[1].transpose(2, 1, 0))
    # The same label map in another order of axes in the file is on the same grid.
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = arrays(0)[1].shape[0] - 1
    turned = save(tmp_path / "turned.nii.gz", arrays(0)[1][::-1].copy(), flipped)
    (again,) = read_scans([replace(pair, labels=turned)])
    np.testing.assert_array_equal(again.labels, scan.labels)


def test_another_grid_is_refused(tmp_path, pair):
    labels = arrays(0)[1]
    moved = np.eye(4)
    moved[2, 3] = 0.5
    shifted = save(tmp_path / "shifted.nii.gz", labels, moved)
    assert "another grid than s0" in refusal(replace(pair, labels=shifted))
    smaller = save(tmp_path / "smaller.nii.gz", labels[1:])
    assert "another grid" in refusal(replace(pair, labels=smaller))
    assert "array of shape" in refusal(replace(pair, labels=labels.transpose(2, 1, 0)[1:]))
    # As in an evaluation, a hundredth of a voxel is no other grid.
    moved[2, 3] = 0.01
    save(tmp_path / "nearly.nii.gz", labels, moved)
    read_scans([replace(pair, labels=tmp_path / "nearly.nii.gz")])


def test_one_map_for_each_label_is_refused(tmp_path, pair):
    parts = np.stack([arrays(0)[1] == label for label in (0, 1, 2)], axis=-1)
    frames = save(tmp_path / "frames.nii.gz", parts.astype(np.uint8))
    assert "has 3 frames" in refusal(replace(pair, labels=frames))


def test_whole_numbers_as_floats_are_labels_and_fractions_are_not(pair):
    whole = relabelled(pair, lambda labels: labels.astype(np.float32))
    assert set(np.unique(read_scans([whole])[0].labels)) == {0, 1, 2}
    fractions = relabelled(pair, lambda labels: labels.astype(np.float32) * 0.75)
    assert "holds 0.75, which is no label" in refusal(fractions)
    missing = relabelled(pair, lambda labels: np.where(labels == 2, np.nan, labels))
    assert "holds nan, which is no label" in refusal(missing)


def test_labels_out_of_range_are_refused(pair):
    negative = relabelled(pair, lambda labels: labels.astype(np.int16) - 1)
    assert "holds the label -1" in refusal(negative)
    huge = relabelled(pair, lambda labels: labels.astype(np.int32) * 70_000)
    assert "holds the label 140000" in refusal(huge)
    grey = relabelled(
        pair, lambda labels: (np.arange(labels.size).reshape(labels.shape) % 900).astype(np.int16)
    )
    assert "900 different labels" in refusal(grey)


def test_one_class_is_too_few_and_a_missing_class_is_named(pair):
    empty = relabelled(pair, np.zeros_like)
    assert "labels of one class only (0)" in refusal(empty)
    wanted = (LabelClass(label=9, name="hilus"),)
    assert "class 9 (hilus) is labelled in no training scan" in refusal(pair, classes=wanted)


def test_a_class_may_be_absent_in_one_scan_or_have_one_voxel(tmp_path):
    first, second = write(tmp_path, 2)
    labels = np.where(arrays(1)[1] == 2, 1, arrays(1)[1]).astype(np.uint8)
    second = replace(second, labels=save(tmp_path / "few.nii.gz", labels))
    classes = class_table(read_scans([first, second]), ())
    assert [entry.label for entry in classes] == [0, 1, 2]
    single = np.zeros_like(labels)
    single[8, 9, 7] = 5
    (scan,) = read_scans([replace(first, labels=save(tmp_path / "one.nii.gz", single))])
    classes = class_table([scan], ())
    assert [(entry.label, entry.name) for entry in classes] == [(0, "background"), (5, "class 5")]
    assert (encoded(scan.labels, classes) == 1).sum() == 1


def test_a_label_has_one_name(tmp_path):
    scans = [
        replace(scan, classes=(LabelClass(label=1, name=name),))
        for scan, name in zip(
            read_scans(write(tmp_path, 2)), ("hippocampus", "amygdala"), strict=True
        )
    ]
    with pytest.raises(MrisslError, match="label 1 is 'hippocampus' in one scan and 'amygdala'"):
        class_table(scans, ())
    given = (LabelClass(label=1, name="hippocampus"),)
    assert [entry.name for entry in class_table(scans, given)][1] == "hippocampus"


def test_a_class_of_held_out_scans_only_is_refused(tmp_path):
    first, second = write(tmp_path, 2)
    labels = np.where(arrays(1)[1] == 2, 4, arrays(1)[1]).astype(np.uint8)
    second = replace(second, labels=save(tmp_path / "new.nii.gz", labels), held_out=True)
    assert "class 4 occurs in held-out scans only" in refusal(first, second)


def test_a_value_can_stand_for_not_labelled(pair):
    given = relabelled(pair, lambda labels: np.where(labels == 0, 255, labels).astype(np.uint8))
    (scan,) = read_scans([given], 255)
    assert set(np.unique(scan.labels)) == {-1, 1, 2}
    classes = class_table([scan], ())
    assert [entry.label for entry in classes] == [1, 2]
    assert set(np.unique(encoded(scan.labels, classes))) == {0, 1, 255}
    nothing = relabelled(pair, lambda labels: np.full_like(labels, 255))
    assert "no voxel is labelled" in refusal(nothing, unlabelled=255)


def test_prompts_alone_label_their_voxels_and_beside_a_map_they_correct_it(pair):
    clicks = Prompts.from_arrays([[2, 3, 4], [9, 10, 8]], [1, 3])
    (sparse,) = read_scans([replace(pair, labels=None, prompts=clicks)])
    assert (sparse.labels >= 0).sum() == 2
    assert (sparse.labels[4, 3, 2], sparse.labels[8, 10, 9]) == (1, 3)
    assert [entry.name for entry in sparse.classes] == ["class 1", "class 3"]
    (both,) = read_scans([replace(pair, prompts=clicks)])
    expected = arrays(0)[1].transpose(2, 1, 0).astype(np.int32)
    expected[4, 3, 2], expected[8, 10, 9] = 1, 3
    np.testing.assert_array_equal(both.labels, expected)


def test_prompts_that_are_called_background_are_0_as_in_label_maps(pair):
    classes = (
        PromptClass(label=2, name="core", color="#ff0000"),
        PromptClass(label=4, name="Background", color="#00ff00"),
    )
    clicks = Prompts.from_arrays([[2, 3, 4], [9, 10, 8]], [4, 2], classes)
    (sparse,) = read_scans([replace(pair, labels=None, prompts=clicks)])
    assert (sparse.labels[4, 3, 2], sparse.labels[8, 10, 9]) == (0, 2)
    assert [(entry.label, entry.name) for entry in class_table([sparse], ())] == [
        (0, "background"),
        (2, "core"),
    ]
    # Beside a map they take away what is too much; no class of their own appears.
    inside = Prompts.from_arrays([[9, 10, 8]], [4], classes)
    assert arrays(0)[1][9, 10, 8] == 2
    (both,) = read_scans([replace(pair, prompts=inside)])
    assert both.labels[8, 10, 9] == 0
    assert [entry.label for entry in class_table([both], ())] == [0, 1, 2]


def test_scribbles_on_one_slice_are_enough(pair):
    places = [[x, y, 8] for x in range(5, 12) for y in range(5, 12)]
    labels = [1 if x < 8 else 2 for x in range(5, 12) for _ in range(5, 12)]
    prompts = Prompts.from_arrays(places, labels, kind="scribble")
    scans = read_scans([replace(pair, labels=None, prompts=prompts)])
    assert [entry.label for entry in class_table(scans, ())] == [1, 2]
    assert (scans[0].labels >= 0).any(axis=(1, 2)).sum() == 1


def test_prompts_of_another_scan_or_place_are_refused(pair):
    other = Prompts(points=((1, 1, 1, 1),), volume_identity="0" * 64)
    assert "placed on another scan" in refusal(replace(pair, labels=None, prompts=other))
    far = Prompts.from_arrays([[500, 0, 0]], [1])
    assert "none of 1 prompts is inside" in refusal(replace(pair, labels=None, prompts=far))


def test_nobody_is_on_both_sides_and_no_scan_comes_twice(tmp_path):
    first, second = write(tmp_path, 2)
    assert "is given twice" in refusal(first, first)
    # A copy under another name has the same values, and a person may have several scans.
    copy = save(tmp_path / "copy.nii.gz", arrays(0)[0], np.diag([1, 1, 1.5, 1]))
    labels = save(tmp_path / "copied.nii.gz", arrays(0)[1], np.diag([1, 1, 1.5, 1]))
    copied = LabelledInput(copy, labels, held_out=True)
    assert "of the same subject, or copies" in refusal(first, copied)
    mine = replace(first, subject="anna")
    hers = replace(second, subject="anna", held_out=True)
    assert "of the same subject" in refusal(mine, hers)
    assert "no scan is for training" in refusal(replace(first, held_out=True))


def test_a_scan_that_is_on_no_disk_is_refused(pair):
    volume = read(pair.image)
    assert read_scans([replace(pair, image=volume)])[0].source == pair.image
    assert "is in memory only" in refusal(replace(pair, image=replace(volume, source=None)))
