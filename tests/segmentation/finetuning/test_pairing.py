"""Scans and label maps find each other by name."""

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.finetuning import labelled_pairs
from tests.segmentation.finetuning.balls import arrays, save, write


def names(pairs):
    return [(p.image.name, p.labels and p.labels.name, p.held_out) for p in pairs]


def test_the_same_names_make_pairs_and_others_are_left_out(tmp_path):
    write(tmp_path, 3)
    (tmp_path / "labels" / "s1.nii.gz").unlink()
    pairs = labelled_pairs(tmp_path / "images", tmp_path / "labels")
    assert names(pairs) == [
        ("s0.nii.gz", "s0.nii.gz", False),
        ("s2.nii.gz", "s2.nii.gz", False),
    ]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.nii.gz", "a_seg.nii.gz"),
        ("a.nii.gz", "a_labels.nii"),
        ("sub-01_T1w.nii.gz", "sub-01_dseg.nii.gz"),
        ("sub-01_T1w.nii.gz", "sub-01_T1w_dseg.nii.gz"),
    ],
)
def test_endings_that_say_label_map_are_known(tmp_path, image, label):
    save(tmp_path / "images" / image, arrays(0)[0])
    save(tmp_path / "labels" / label, arrays(0)[1])
    assert names(labelled_pairs(tmp_path / "images", tmp_path / "labels")) == [
        (image, label, False)
    ]


def test_scans_are_chosen_and_held_out_by_name(tmp_path):
    write(tmp_path, 4)
    given = tmp_path / "images", tmp_path / "labels"
    assert names(labelled_pairs(*given, subjects=["s2", "s0.nii.gz"], held_out=["s3"])) == [
        ("s2.nii.gz", "s2.nii.gz", False),
        ("s0.nii.gz", "s0.nii.gz", False),
        ("s3.nii.gz", "s3.nii.gz", True),
    ]
    # All but the held-out one.
    assert [pair.held_out for pair in labelled_pairs(*given, held_out=["s1"])] == [
        False,
        False,
        False,
        True,
    ]
    with pytest.raises(MrisslError, match="no scan 's9'; expected names such as s0, s1"):
        labelled_pairs(*given, subjects=["s9"])
    (tmp_path / "labels" / "s2.nii.gz").unlink()
    with pytest.raises(MrisslError, match="has neither a label map nor prompts"):
        labelled_pairs(*given, subjects=["s2"])


def test_a_bids_subject_is_a_name(tmp_path):
    for who in ("01", "02"):
        save(tmp_path / f"sub-{who}" / "anat" / f"sub-{who}_T1w.nii.gz", arrays(int(who))[0])
        labels = tmp_path / "derivatives" / f"sub-{who}" / "anat" / f"sub-{who}_dseg.nii.gz"
        save(labels, arrays(int(who))[1])
    for name in ("02", "sub-02"):
        pairs = labelled_pairs(tmp_path, tmp_path / "derivatives", subjects=[name])
        assert names(pairs) == [("sub-02_T1w.nii.gz", "sub-02_dseg.nii.gz", False)]


def test_one_scan_takes_one_file_of_labels_or_prompts(tmp_path):
    write(tmp_path, 2)
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("x,y,z,label\n1,2,3,1\n4,5,6,2\n", encoding="utf-8")
    image = tmp_path / "images" / "s0.nii.gz"
    (pair,) = labelled_pairs(image, prompts=clicks)
    assert (pair.image, pair.labels, pair.prompts) == (image, None, clicks)
    (pair,) = labelled_pairs(image, tmp_path / "labels" / "s1.nii.gz")
    assert pair.labels.name == "s1.nii.gz"
    with pytest.raises(MrisslError, match="one file for several scans"):
        labelled_pairs(tmp_path / "images", prompts=clicks)
    clicks.rename(tmp_path / "s1.csv")
    (pair,) = labelled_pairs(tmp_path / "images", prompts=tmp_path)
    assert pair.image.name == "s1.nii.gz"


def test_nothing_to_learn_from_is_said(tmp_path):
    write(tmp_path, 1)
    with pytest.raises(MrisslError, match="neither label maps nor prompts"):
        labelled_pairs(tmp_path / "images")
    with pytest.raises(MrisslError, match="no such file or folder"):
        labelled_pairs(tmp_path / "images", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MrisslError, match="no scan has a label map or prompts of its name"):
        labelled_pairs(tmp_path / "images", tmp_path / "empty")


def test_a_table_says_labels_subjects_and_split(tmp_path):
    write(tmp_path, 4)
    rows = ["path,subject,split,label"]
    for who, part in enumerate(("train", "validation", "test", "train")):
        rows.append(f"images/s{who}.nii.gz,p{who % 3},{part},labels/s{who}.nii.gz")
    table = tmp_path / "scans.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    pairs = labelled_pairs(table)
    assert names(pairs) == [
        ("s0.nii.gz", "s0.nii.gz", False),
        ("s3.nii.gz", "s3.nii.gz", False),
        ("s1.nii.gz", "s1.nii.gz", True),
    ]
    assert pairs[0].subject == pairs[1].subject != pairs[2].subject
