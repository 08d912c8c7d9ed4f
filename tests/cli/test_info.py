import hashlib
import json

import nibabel
import numpy as np
import pytest

from napari_mrissl.volumes import read

KEYS = {
    "shape", "spacing_mm", "orientation", "affine", "dtype", "frames", "identity", "sha256",
    "notes",
    "disagreements",
}  # fmt: skip


def test_json_is_one_object_that_agrees_with_nibabel(scan, run):
    ran = run("info", scan.path, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert set(facts) == KEYS
    assert ran.out.count("\n") == 1
    image = nibabel.load(scan.path)
    assert facts["shape"] == list(image.shape)
    assert facts["orientation"] == "".join(nibabel.aff2axcodes(image.affine))
    assert facts["dtype"] == "int16"
    assert facts["frames"] == 1
    np.testing.assert_allclose(facts["affine"], image.affine, atol=1e-6)
    np.testing.assert_allclose(facts["spacing_mm"], image.header.get_zooms(), rtol=1e-5)
    assert facts["sha256"] == hashlib.sha256(scan.path.read_bytes()).hexdigest()
    assert facts["identity"] == read(scan.path).identity


def test_text_says_the_same(scan, run):
    facts = json.loads(run("info", scan.path, "--json").out)
    text = run("info", scan.path).out
    for name in KEYS - {"affine", "notes", "disagreements"}:
        assert name in text
    assert facts["identity"] in text
    assert "44, 52, 26" in text
    assert text.count("affine row") == 4


def test_frames_are_counted_and_the_choice_is_said(tmp_path, run):
    data = np.random.default_rng(0).integers(0, 900, (8, 9, 10, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([2, 2, 2, 1])), tmp_path / "four.nii")
    ran = run("info", tmp_path / "four.nii", "--json")
    facts = json.loads(ran.out)
    assert facts["frames"] == 3
    assert facts["shape"] == [8, 9, 10]
    assert "frame" in ran.err


def test_progress_goes_to_stderr(scan, run):
    ran = run("info", scan.path, "--json")
    assert "reading scan.nii.gz" in ran.err
    json.loads(ran.out)


@pytest.mark.parametrize("content", [b"", b"not a scan at all", b"\x1f\x8b\x08\x00broken"])
def test_files_that_are_no_scans_are_refused(tmp_path, refused, content):
    path = tmp_path / "broken.nii.gz"
    path.write_bytes(content)
    assert "broken.nii.gz" in refused("info", path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "name",
    ["absent.nii.gz", "", ".", "a/b.nii", "x" * 300 + ".nii", "caf\udce9.nii", "-x.nii"],
)
def test_names_without_a_scan_are_refused(tmp_path, monkeypatch, refused, name):
    monkeypatch.chdir(tmp_path)
    refused("info", "--", name)


def test_escape_sequences_in_names_reach_no_terminal(scan, run, tmp_path):
    hostile = tmp_path / "\x1b[2J\x1b]0;owned\x07\u202escan.nii.gz"
    scan.path.rename(hostile)
    for words in (("info", hostile), ("info", hostile, "--json"), ("info", f"{hostile}.absent")):
        ran = run(*words)
        assert "\x1b" not in ran.out + ran.err
        assert "\x07" not in ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err
