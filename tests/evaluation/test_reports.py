"""What a report says, and what it keeps to itself."""

import csv
import json

import pytest
from evaluation.test_segmentations import cube, folders, save  # noqa: F401

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import reports
from napari_mrissl.evaluation.segmentations import score_folders


def test_all_tables_say_the_same_and_name_no_file(folders, tmp_path):  # noqa: F811
    scored = score_folders(*folders)
    report = reports.report(scored)
    report.write(tmp_path / "out")
    facts = report.facts()
    assert facts["mean_dice"] == pytest.approx((1 + 1 + 0.75 + 1 + 1 + 0) / 6)
    assert (facts["subjects"], facts["empty_in_one"], facts["labels"]) == (3, 1, [1, 2])
    json.dumps(facts, allow_nan=False)
    assert report.worst()[0] == ("c", 0.5)
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {"subjects.csv"} | {
        f"table.{end}" for end in ["csv", "md", "tex", "json", "png"]
    }
    lines = list(csv.DictReader((out / "subjects.csv").read_text("utf-8").splitlines()))
    assert [float(line["dice"]) for line in lines] == pytest.approx(
        [one.dice for one in scored.scores]
    )
    for path in out.iterdir():
        content = path.read_bytes()
        assert str(tmp_path).encode() not in content
        assert b".nii" not in content
    assert "surface-distance 0.1" in (out / "table.md").read_text("utf-8")
    assert r"\toprule" in (out / "table.tex").read_text("utf-8")


def test_names_of_files_are_there_for_who_asks(folders, tmp_path):  # noqa: F811
    for folder in folders:
        (folder / "a.nii.gz").rename(folder / 'a, "1".nii.gz')
    reports.report(score_folders(*folders)).write(tmp_path / "out", names=True)
    text = (tmp_path / "out" / "subjects.csv").read_text("utf-8")
    found = {line["file"] for line in csv.DictReader(text.splitlines())}
    assert found == {'a, "1"', "b", "c"}


def test_two_predictions_are_compared_subject_by_subject(folders, tmp_path):  # noqa: F811
    for name in "abc":
        save(tmp_path / "other", f"{name}.nii.gz", cube(5))
    ours = score_folders(*folders)
    report = reports.report(ours, score_folders(tmp_path / "other", folders[1]))
    (row,) = (
        row
        for row in report.rows
        if (row.source, row.measure, row.label) == (reports.OURS, "dice", "1")
    )
    assert row.difference == pytest.approx(((1 - 0.5) + (0.75 - 0.5) + (1 - 0.5)) / 3)
    assert row.p is not None
    save(tmp_path / "fewer", "a.nii.gz", cube(5))
    with pytest.raises(MrisslError, match="same scans"):
        reports.report(ours, score_folders(tmp_path / "fewer", folders[1]))
