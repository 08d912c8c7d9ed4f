"""``mrissl register``: one pair, a table of pairs, and refusals that leave nothing."""

import json
import sys

import nibabel
import numpy as np
import pytest
from warped_pairs import WarpedPair, warped_pair

from napari_mrissl.registration.outputs import DISPLACEMENT, FACTS, LABELS_MOVED, MOVED
from napari_mrissl.volumes import read

QUICK = ("--linear", "none", "--iterations", 20, "--search", 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Both scans of a pair, and their labels, as NIfTI files."""
    pair: WarpedPair = warped_pair(1)
    folder = tmp_path_factory.mktemp("Dr Smith")
    for name, data, volume in (
        ("fixed", pair.fixed.data, pair.fixed),
        ("moving", pair.moving.data, pair.moving),
        ("fixed_labels", pair.fixed_labels, pair.fixed),
        ("moving_labels", pair.moving_labels, pair.moving),
    ):
        image = nibabel.Nifti1Image(np.asarray(data), volume.affine)
        nibabel.save(image, folder / f"{name}.nii.gz")
    (folder / "marks.csv").write_text(
        "fixed_x,fixed_y,fixed_z,moving_x,moving_y,moving_z\n0,0,0,1,1,1\n", "utf-8"
    )
    return folder


def test_a_pair_with_labels_and_landmarks(files, run, tmp_path):
    out = tmp_path / "out"
    ran = run(
        "register", files / "fixed.nii.gz", files / "moving.nii.gz", "--out", out,
        "--labels", files / "moving_labels.nii.gz",
        "--fixed-labels", files / "fixed_labels.nii.gz",
        "--landmarks", files / "marks.csv", *QUICK, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    mean = {
        state: np.mean([one["dice"] for one in scores.values()])
        for state, scores in facts["labels"].items()
    }
    assert mean["after"] > mean["before"] + 0.05
    assert facts["landmarks"]["before"]["mean_mm"] == pytest.approx(3**0.5)
    assert facts["settings"]["linear"] == "none"
    assert len(facts["costs"]) == 21
    assert "refining" in ran.err or "100 %" in ran.err
    moved = read(out / MOVED)
    np.testing.assert_allclose(moved.affine, read(files / "fixed.nii.gz").affine)
    assert read(out / LABELS_MOVED).data.dtype == np.uint8
    assert "Smith" not in (out / FACTS).read_text("utf-8")


def test_identical_scans_by_the_command_give_a_zero_field(files, run, tmp_path):
    scan = files / "fixed.nii.gz"
    ran = run("register", scan, scan, "--out", tmp_path / "out", "--iterations", 10)
    assert ran.code == 0, ran.err
    assert not nibabel.load(tmp_path / "out" / DISPLACEMENT).get_fdata().any()
    assert "largest displacement" in ran.out
    assert "0.00 mm" in ran.out


def test_a_table_of_pairs_goes_on_after_a_bad_one(files, run, tmp_path):
    table = files / "pairs.csv"
    table.write_text(
        "name,fixed,moving,labels\n"
        "good,fixed.nii.gz,moving.nii.gz,moving_labels.nii.gz\n"
        "bad,fixed.nii.gz,absent.nii.gz,\n",
        "utf-8",
    )
    out = tmp_path / "out"
    ran = run("register", table, "--out", out, *QUICK)
    assert ran.code == 2
    assert "1 of 2 pairs" in ran.err
    assert (out / "good" / LABELS_MOVED).exists()
    assert [path.name for path in out.iterdir()] == ["good"]


def test_bad_input_is_one_sentence_and_leaves_nothing(files, refused, tmp_path):
    fixed, moving = files / "fixed.nii.gz", files / "moving.nii.gz"
    out = tmp_path / "out"
    small = tmp_path / "small.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), small)
    flat = tmp_path / "flat.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((20, 20, 20), np.uint8), np.eye(4)), flat)
    before = sorted(tmp_path.iterdir())
    pair = ("register", fixed, moving, "--out", out)
    assert "MOVING" in refused("register", fixed, "--out", out)
    assert "another grid" in refused(*pair, "--labels", small)
    assert "another grid" in refused(*pair, "--fixed-mask", small)
    assert "same value" in refused("register", fixed, flat, "--out", out, *QUICK)
    assert "--search" in refused(*pair, "--search", 99)
    assert "fixed-window" in refused(*pair, "--fixed-window", 5, 5)
    assert "could not be read" in refused(*pair, "--landmarks", tmp_path / "none.csv")
    assert "is not there" in refused(*pair, *QUICK, "--features", "network", "--weights", "nope")
    table = files / "other.csv"
    table.write_text("fixed,moving,colour\na,b,c\n", "utf-8")
    assert "colour" in refused("register", table, "--out", out)
    table.write_text("fixed,moving\nfixed.nii.gz,\n", "utf-8")
    assert "line 2" in refused("register", table, "--out", out)
    table.write_text("name,fixed,moving\n../up,fixed.nii.gz,moving.nii.gz\n", "utf-8")
    assert "name" in refused("register", table, "--out", out)
    assert "beside a table" in refused("register", table, "--out", out, "--labels", small)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("SimpleITK", "rigid and affine alignment need SimpleITK"),
        ("torch", "deformable registration needs torch"),
    ],
)
def test_what_is_not_installed_is_one_sentence_at_once(
    files, run, tmp_path, monkeypatch, missing, words
):
    # Modules that import it may be there already.
    for name in [
        name for name in sys.modules if name.startswith("napari_mrissl.registration.torch")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    out = tmp_path / "out"
    ran = run("register", files / "fixed.nii.gz", files / "moving.nii.gz", "--out", out)
    assert ran.code == 2
    (said,) = (line for line in ran.err.splitlines() if words in line)
    assert 'pip install "napari-mrissl[register]"' in said
    assert "Traceback" not in ran.err
    # Not after the linear part, which takes its time.
    assert "rigid," not in ran.err
    assert not out.exists()
