"""``mrissl evaluate``: from two folders to one JSON object."""

import json

import nibabel
import numpy as np
import pytest


@pytest.fixture
def folders(tmp_path):
    """Two subjects, the second moved by one of four voxels."""
    for name, ours, theirs in (("a", 3, 3), ("b", 4, 3)):
        for part, start in (("pred", ours), ("truth", theirs)):
            array = np.zeros((12, 12, 12), np.uint8)
            array[start : start + 4, 3:7, 3:7] = 1
            (tmp_path / part).mkdir(exist_ok=True)
            path = tmp_path / part / f"{name}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    return ["evaluate", "--pred", tmp_path / "pred", "--truth", tmp_path / "truth"]


def test_json_has_the_mean_dice(run, folders):
    ran = run(*folders, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["mean_dice"] == pytest.approx((1 + 0.75) / 2)
    assert found["subjects"] == 2
    assert found["mean_hd95_mm"] == pytest.approx(0.5)
    assert [one["dice"] for one in found["scores"]] == pytest.approx([1, 0.75])
    assert ".nii" not in ran.out


def test_the_table_is_for_people_and_files_for_print(run, folders, tmp_path):
    ran = run(*folders, "--out", tmp_path / "out", "--tolerance", "2")
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert "least mean Dice: b, 0.750" in ran.err
    assert "NSD at 2 mm" in ran.err
    assert "| predicted | 0.875" in (tmp_path / "out" / "table.md").read_text("utf-8")
    assert (tmp_path / "out" / "subjects.csv").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--tolerance", "-1"], "a tolerance of -1.0 mm"),
        (["--against", "nowhere"], "no such folder"),
    ],
)
def test_what_is_wrong_is_one_sentence(refused, folders, change, sentence):
    assert sentence in refused(*folders, *change)


def test_another_grid_is_refused(refused, folders, tmp_path):
    image = nibabel.Nifti1Image(np.ones((12, 12, 12), np.uint8), np.diag([1, 1, 2, 1]))
    nibabel.save(image, tmp_path / "pred" / "a.nii.gz")
    said = refused(*folders)
    assert "a.nii.gz: is on another grid than the true label map" in said


def test_a_missing_prediction_is_said_and_refused_on_demand(run, refused, folders, tmp_path):
    (tmp_path / "pred" / "b.nii.gz").unlink()
    ran = run(*folders, "--json", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "1 true label map has no prediction and is not in the mean: b" in ran.err
    found = json.loads(ran.out)
    assert (found["mean_dice"], found["unpredicted"]) == (1, 1)
    assert "unpredicted_files" not in found
    table = (tmp_path / "out" / "table.md").read_text("utf-8")
    assert "1 true label map has no prediction and is not in the mean." in table
    named = json.loads(run(*folders, "--json", "--file-names").out)
    assert named["unpredicted_files"] == ["b"]
    assert "not in the mean: b" in run(*folders).err
    said = refused(*folders, "--complete")
    assert "1 of 2 true label maps have no prediction, such as b" in said
    (tmp_path / "truth" / "b.nii.gz").unlink()
    whole = run(*folders, "--complete", "--json")
    assert whole.code == 0
    assert "not in the mean" not in whole.err
