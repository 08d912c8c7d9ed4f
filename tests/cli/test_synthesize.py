"""``mrissl synthesize``: what it writes, says and refuses."""

import json

import nibabel
import numpy as np

from tests.synthesis.label_heads import write_label_heads


def test_heads_of_a_split(run, tmp_path):
    maps = write_label_heads(tmp_path / "maps", 4)
    out = tmp_path / "out"
    words = ["--templates", maps, "--count", 2, "--side", 32, "--seed", 5, "--out", out]
    ran = run("synthesize", "heads", *words, "--split", "test", "--contrast", "random", "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert [row["subject"] for row in said["subjects"]] == ["head-04"] * 2
    assert "painting heads: 100 %" in ran.err
    assert ran.err.endswith("2 heads of 1 subjects written\n")
    assert len(list(out.rglob("*.nii.gz"))) == 4
    again = tmp_path / "again"
    words[-1] = again
    assert run("synthesize", "heads", *words, "--split", "test", "--contrast", "random").out == ""
    for path in out.rglob("*.nii.gz"):
        first, second = (nibabel.load(p) for p in (path, again / path.relative_to(out)))
        np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))


def test_ensembles_from_nothing(run, tmp_path):
    ran = run("synthesize", "ensembles", "--count", 1, "--side", 32, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert len(list(tmp_path.rglob("*.nii.gz"))) == 3


def test_bad_input_gets_a_sentence(refused, tmp_path):
    empty, scans = tmp_path / "empty", tmp_path / "scans"
    empty.mkdir()
    scans.mkdir()
    noise = np.random.default_rng(0).random((9, 9, 9)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), scans / "scan.nii.gz")
    rest = ("--count", 1, "--side", 32, "--out", tmp_path / "out")
    for kind in ("heads", "ensembles"):
        assert "no label maps" in refused("synthesize", kind, "--templates", empty, *rest)
        assert "no such folder" in refused("synthesize", kind, "--templates", empty / "no", *rest)
        assert "no whole numbers" in refused("synthesize", kind, "--templates", scans, *rest)
        said = refused("synthesize", kind, "--count", 1, "--side", 40, "--out", tmp_path / "out")
        assert said == "--side: 40; expected a multiple of 16."
    assert not (tmp_path / "out").exists()
