"""``mrissl match``, registration that begins with its landmarks, and ``mrissl transfer``."""

import json

import nibabel
import numpy as np
import pytest
from turned_pairs import turned_pair

from napari_mrissl.geometry import apply_affine
from napari_mrissl.registration.landmarks import COLUMNS, read_landmarks


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Both scans, labels of the first, and a table of places that are known to correspond."""
    pair = turned_pair("LPS", 12)
    folder = tmp_path_factory.mktemp("Dr Smith")
    for name, volume in (("fixed", pair.fixed), ("moving", pair.moving)):
        image = nibabel.Nifti1Image(np.asarray(volume.data), volume.affine)
        nibabel.save(image, folder / f"{name}.nii.gz")
    labels = (pair.fixed.data > 150).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(labels, pair.fixed.affine), folder / "labels.nii.gz")
    known = np.concatenate([pair.body, apply_affine(pair.truth, pair.body)], axis=1)
    lines = [",".join(COLUMNS), *(",".join(f"{value:.6f}" for value in row) for row in known)]
    (folder / "known.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_landmarks_of_a_match_begin_a_registration(files, run, tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "cache"))
    pair = files / "fixed.nii.gz", files / "moving.nii.gz"
    ran = run(
        "match", *pair, "--out", tmp_path / "marks", "--features", "mind", "--count", 60,
        "--mutual", 2, "--at", 1, 2, 3, "--landmarks", files / "known.csv", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["errors"]["median_mm"] < 2 < facts["errors"]["chance_median_mm"] / 3
    assert facts["matches"][0]["asked"] == [1, 2, 3]
    assert 0 <= facts["matches"][0]["confidence"] <= 1
    written = tmp_path / "marks" / "landmarks.csv"
    assert len(read_landmarks(written)) == facts["landmarks"] >= 20
    assert json.loads((tmp_path / "marks" / "match.json").read_text("utf-8")) == facts
    assert "Smith" not in ran.out
    ran = run(
        "register", *pair, "--out", tmp_path / "moved", "--landmarks", written, "--initial",
        "landmarks", "--linear", "none", "--rigid-only", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    states = json.loads(ran.out)["landmarks"]
    assert states["linear"]["mean_mm"] < 3 < states["before"]["mean_mm"] / 3


def test_labels_are_transferred_and_missing_ones_added(files, run, tmp_path):
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no scan")
    words = ("transfer", files / "fixed.nii.gz", files / "labels.nii.gz", files / "moving.nii.gz")
    quick = ("--linear", "none", "--memory", 1, "--out", tmp_path / "out", "--json")
    ran = run(*words, bad, *quick)
    assert ran.code == 2
    assert "1 of 2 scans could not be labelled" in ran.err
    facts = json.loads(ran.out)
    assert [row["state"] for row in facts["scans"]] == ["done", "failed"]
    assert facts["classes"] == {"0": "background", "1": "label 1"}
    assert (tmp_path / "out" / facts["scans"][0]["labels"]).exists()
    assert "Smith" not in ran.out
    again = run(*words, *quick, "--missing")
    assert again.code == 0, again.err
    assert json.loads(again.out)["scans"][0]["state"] == "skipped"


def test_bad_input_is_one_sentence_and_leaves_nothing(files, refused, tmp_path):
    fixed, moving, labels = (files / f"{n}.nii.gz" for n in ("fixed", "moving", "labels"))
    small = tmp_path / "small.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), small)
    before = sorted(tmp_path.iterdir())
    match = ("match", fixed, moving, "--out", tmp_path / "out")
    assert "--count" in refused(*match, "--count", 1)
    assert "is not there" in refused(*match, "--weights", "nope")
    assert "could not be read" in refused(*match, "--landmarks", tmp_path / "none.csv")
    assert "another grid" in refused(*match, "--features", "mind", "--mask", small)
    transfer = ("transfer", fixed, labels)
    assert "no scan given" in refused(*transfer, "--out", tmp_path / "out")
    assert "another grid" in refused("transfer", fixed, small, moving, "--out", tmp_path / "out")
    both = ("--missing", "--overwrite")
    assert "one of them" in refused(*transfer, moving, "--out", tmp_path / "out", *both)
    landmarks = ("--initial", "landmarks", "--rigid-only")
    assert "no landmarks" in refused("register", fixed, moving, "--out", tmp_path / "o", *landmarks)
    assert sorted(tmp_path.iterdir()) == before
