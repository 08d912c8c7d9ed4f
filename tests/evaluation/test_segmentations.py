"""Folders of label maps against each other: who belongs to whom, and what is measured."""

import nibabel
import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import reports
from napari_mrissl.evaluation.label_map_pairs import pairs
from napari_mrissl.evaluation.segmentations import score_folders

AFFINE = np.diag([1.0, 2.0, 1.5, 1.0])


def cube(start, label=1, shape=(12, 12, 12)):
    array = np.zeros(shape, np.uint8)
    array[start : start + 4, 3:7, 3:7] = label
    return array


def save(folder, name, array, affine=AFFINE):
    folder.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), folder / name)


@pytest.fixture
def folders(tmp_path):
    """Three subjects: right, moved by one voxel, and one where a label is missing."""
    pred, truth = tmp_path / "pred", tmp_path / "truth"
    for name, ours, theirs in (
        ("a", cube(3), cube(3)),
        ("b", cube(4), cube(3)),
        ("c", cube(3), cube(3) + cube(8, 2)),
    ):
        save(pred, f"{name}.nii.gz", ours)
        save(truth, f"{name}.nii.gz", theirs)
    return pred, truth


def test_every_label_counts_for_every_subject(folders):
    found = score_folders(*folders)
    assert found.labels == (1, 2)
    by = {(found.names[one.scan], one.label): one for one in found.scores}
    assert len(by) == 6
    assert by["a", 1].dice == by["a", 1].nsd == 1
    # Three of four planes in common; the axis that was moved along has voxels of 1 mm.
    assert by["b", 1].dice == pytest.approx(2 * 3 / 8)
    assert by["b", 1].hd95_mm == pytest.approx(1.0)
    assert (by["a", 2].dice, by["a", 2].hd95_mm, by["a", 2].empty) == (1, 0, "both")
    lost = by["c", 2]
    assert (lost.dice, lost.nsd, lost.empty) == (0, 0, "predicted")
    assert lost.hd95_mm == pytest.approx(np.linalg.norm([12 * 1.0, 12 * 2.0, 12 * 1.5]))
    assert lost.truth_ml == pytest.approx(64 * 3 / 1000)
    assert lost.volume_difference_percent == -100
    assert by["a", 2].volume_difference_percent is None
    assert found.one_sided() == 1
    assert found.mean_dice == pytest.approx((1 + 1 + 0.75 + 1 + 1 + 0) / 6)
    assert set(found.measures()) == {
        "dice", "hd95_mm", "nsd", "volume_difference_ml", "absolute_volume_difference_ml"
    }  # fmt: skip


def test_scans_that_were_learned_from_are_left_out(folders):
    found = score_folders(*folders)
    rest = found.without("a")
    assert sorted(rest.names.values()) == ["b", "c"]
    assert rest.labels == found.labels
    assert rest.mean_dice == pytest.approx((0.75 + 1 + 1 + 0) / 4)
    assert found.without() == found
    with pytest.raises(MrisslError, match="nothing is called 'd'"):
        found.without("a", "d")
    with pytest.raises(MrisslError, match="no subject is left"):
        found.without("a", "b", "c")


def test_tolerance_is_that_of_nsd(folders):
    wide = score_folders(*folders, tolerance_mm=3.0)
    assert {one.nsd for one in wide.scores if wide.names[one.scan] == "b"} == {1.0}
    strict = score_folders(*folders, tolerance_mm=0.5)
    assert min(one.nsd for one in strict.scores if strict.names[one.scan] == "b") < 1


def test_names_of_predictions_find_their_truth(tmp_path):
    pred, truth = tmp_path / "pred", tmp_path / "truth"
    for ours, theirs in (
        ("sub-01_space-orig_desc-mrissl_dseg.nii.gz", "sub-01_dseg.nii.gz"),
        ("sub-02_ses-1_space-orig_desc-mrissl_dseg.nii.gz", "sub-02_ses-1_T1w.nii.gz"),
        ("scan_7_seg.nii.gz", "scan_7.nrrd.nii"),
        ("scan_8.nii.gz", "scan_8.nii.gz"),
        ("sub-hippocampus003_space-orig_desc-mrissl_dseg.nii.gz", "hippocampus_003.nii.gz"),
    ):
        save(pred, ours, cube(3))
        save(truth, theirs.replace(".nrrd", ""), cube(3))
    save(pred / "sub-03" / "anat", "sub-03_space-orig_desc-mrissl_dseg.nii.gz", cube(3))
    save(truth, "sub-03_dseg.nii.gz", cube(3))
    save(truth, "sub-04_dseg.nii.gz", cube(3))
    save(pred, "sub-01_space-orig_label-left_desc-mrissl_probseg.nii.gz", cube(3))
    found, unpredicted = pairs(pred, truth)
    assert [path.name for path in unpredicted] == ["sub-04_dseg.nii.gz"]
    assert sorted((one.name, one.truth.name) for one in found) == [
        ("scan_7", "scan_7.nii"), ("scan_8", "scan_8.nii.gz"), ("sub-01", "sub-01_dseg.nii.gz"),
        ("sub-02_ses-1", "sub-02_ses-1_T1w.nii.gz"), ("sub-03", "sub-03_dseg.nii.gz"),
        ("sub-hippocampus003", "hippocampus_003.nii.gz"),
    ]  # fmt: skip


def test_what_does_not_belong_together_is_refused(folders, tmp_path):
    pred, truth = folders
    save(pred, "d.nii.gz", cube(3))
    with pytest.raises(MrisslError, match=r"d\.nii\.gz: has no true label map"):
        score_folders(pred, truth)
    (pred / "d.nii.gz").unlink()
    save(pred, "a_desc-x_dseg.nii.gz", cube(3))
    with pytest.raises(MrisslError, match="is a second prediction beside"):
        score_folders(pred, truth)
    (pred / "a_desc-x_dseg.nii.gz").unlink()
    save(truth, "b_seg.nii.gz", cube(3))
    save(truth, "b_mask.nii.gz", cube(3))
    (truth / "b.nii.gz").unlink()
    with pytest.raises(MrisslError, match="has several true label maps"):
        score_folders(pred, truth)
    with pytest.raises(MrisslError, match="no such folder"):
        score_folders(tmp_path / "nowhere", truth)
    (tmp_path / "none").mkdir()
    with pytest.raises(MrisslError, match="no label maps found"):
        score_folders(tmp_path / "none", truth)


@pytest.mark.parametrize(
    ("array", "affine", "sentence"),
    [
        (cube(3, shape=(12, 12, 11)), AFFINE, "is on another grid than the true label map"),
        (cube(3), np.diag([1.0, 2.0, 1.6, 1.0]), "is on another grid than the true label map"),
        (cube(3) * 0.5, AFFINE, "no whole numbers"),
    ],
)
def test_a_prediction_that_does_not_fit_is_one_sentence(folders, array, affine, sentence):
    save(folders[0], "b.nii.gz", array, affine)
    with pytest.raises(MrisslError, match=r"b\.nii\.gz: ") as said:
        score_folders(*folders)
    assert sentence in str(said.value)


def test_labels_that_only_predictions_hold_are_said(folders):
    save(folders[0], "a.nii.gz", cube(3) + cube(8, 9))
    found = score_folders(*folders)
    assert found.foreign == (9,)
    assert {one.label for one in found.scores} == {1, 2}


def test_subjects_of_which_nothing_is_labelled_stay_apart(folders):
    for name in ("d", "e"):
        save(folders[0], f"{name}.nii.gz", cube(3, 0))
        save(folders[1], f"{name}.nii.gz", cube(3, 0))
    found = score_folders(*folders)
    assert len(found.subjects) == 5
    assert sorted(found.names.values()) == list("abcde")
    for path in folders[1].iterdir():
        save(folders[1], path.name, cube(3, 0))
    with pytest.raises(MrisslError, match="nothing but 0"):
        score_folders(*folders)


@pytest.mark.parametrize("tree", [False, True])
def test_sessions_of_one_subject_are_one_subject(tmp_path, tree):
    """Three scans of one subject beside one of another: a mean of two, not of four."""
    pred, truth = tmp_path / "pred", tmp_path / "truth"
    for name, start in (("sub-01_ses-1", 3), ("sub-02_ses-1", 4), ("sub-02_ses-2", 5),
                        ("sub-02_ses-3", 5)):  # fmt: skip
        anat = truth.joinpath(*name.split("_"), "anat") if tree else truth
        save(pred, f"{name}_dseg.nii.gz", cube(start))
        # Label maps of one place are told apart by what else they hold.
        other = cube(3)
        other[0, 0, int(name[-1]) + 3 * int(name[5])] = 1
        save(anat, f"{name}_T1w.nii.gz", other)
    found = score_folders(pred, truth)
    assert (len(found.scores), len(found.scans), len(found.subjects)) == (4, 4, 2)
    by = {found.names[one.scan]: one for one in found.scores}
    assert by["sub-02_ses-1"].subject == by["sub-02_ses-3"].subject != by["sub-01_ses-1"].subject
    dice = [2 * common / (64 + 65) for common in (64, 48, 32, 32)]
    assert [one.dice for one in found.scores] == pytest.approx(dice)
    wanted = [dice[0], np.mean(dice[1:])]
    assert sorted(one[1] for one in found.measures()["dice"].values()) == pytest.approx(
        sorted(wanted)
    )
    assert found.mean_dice == pytest.approx(np.mean(wanted))
    report = reports.report(found)
    (row,) = (r for r in report.rows if (r.measure, r.label) == ("dice", "mean"))
    assert (row.subjects, row.mean) == (2, pytest.approx(np.mean(wanted)))
    assert (row.low, row.high) == pytest.approx((wanted[1], wanted[0]))
    assert (report.facts()["subjects"], report.facts()["scans"]) == (2, 4)
    assert "2 subjects with 4 scans, which are averaged by subject" in reports.about(found)
    assert found.without("sub-02_ses-1").scans == (by["sub-01_ses-1"].scan,)


def test_a_folder_named_like_a_subject_makes_no_subject_of_all_in_it(tmp_path):
    pred, truth = tmp_path / "sub-7" / "pred", tmp_path / "sub-7" / "truth"
    for start, name in enumerate("ab", 3):
        save(pred, f"{name}.nii.gz", cube(start))
        save(truth, f"{name}.nii.gz", cube(start))
    assert len(score_folders(pred, truth).subjects) == 2


def test_errors_of_volume_do_not_cancel_in_the_measure_without_sign(tmp_path):
    pred, truth = tmp_path / "pred", tmp_path / "truth"
    for name, planes in (("a", 3), ("b", 5)):
        array = cube(3)
        array[3:7] = 0
        array[3 : 3 + planes, 3:7, 3:7] = 1
        save(pred, f"{name}.nii.gz", array)
        other = cube(3)
        other[0, 0, planes] = 2
        save(truth, f"{name}.nii.gz", other)
    facts = reports.report(score_folders(pred, truth)).facts()
    rows = {(r["measure"], r["label"]): r["mean"] for r in facts["rows"]}
    assert rows["volume_difference_ml", "1"] == pytest.approx(0)
    assert rows["absolute_volume_difference_ml", "1"] == pytest.approx(16 * 3 / 1000)


def test_all_true_label_maps_may_be_asked_for(folders):
    pred, truth = folders
    assert score_folders(pred, truth, complete=True).unpredicted == 0
    (pred / "b.nii.gz").unlink()
    found = score_folders(pred, truth)
    assert (found.unpredicted, found.without_prediction) == (1, ("b",))
    assert found.mean_dice == pytest.approx((1 + 1 + 1 + 0) / 4)
    sentence = "1 of 3 true label maps have no prediction, such as b"
    with pytest.raises(MrisslError, match=sentence):
        score_folders(pred, truth, complete=True)
