"""``mrissl benchmark vectorpose``: four arms of real runs, and one table."""

import json

import nibabel
import numpy as np
import pytest

from napari_mrissl.pretext.vectorpose.ablation import ARMS
from napari_mrissl.training.run import Run


@pytest.fixture
def scans(tmp_path):
    """Two small scans of two people."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(2):
        values = np.random.default_rng(number).integers(0, 200, (20, 22, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{number}.nii.gz")
    return folder


def test_four_arms_at_equal_steps_in_one_table(run, scans, tmp_path):
    out = tmp_path / "out"
    words = ["--data", scans, "--out", out, "--preset", "tiny", "--steps", 2, "--batch", 2]
    words += ["--samples", 4, "--device", "cpu", "--json"]
    for change in ("crop.edge_mm=12", "crop.least_mean=0", "checkpoint.validate_every=0"):
        words += ["--set", change]
    ran = run("benchmark", "vectorpose", *words)
    assert ran.code == 0, ran.err
    table = json.loads(ran.out)
    assert {arm: set(terms) for arm, terms in table.items()} == {
        "vectors": {"r", "theta", "phi"},
        "boundary": {"reconstruction", "boundary"},
        "both": {"r", "theta", "phi", "reconstruction", "boundary"},
        "reconstruction": {"reconstruction"},
    }
    assert all(worth["chance"] > 0 for terms in table.values() for worth in terms.values())
    assert {Run.open(out / arm).state().step for arm in ARMS} == {2}
    assert "| both | 2 |" in (out / "ablation.md").read_text(encoding="utf-8")


def test_a_wrong_setting_is_refused_before_anything_is_made(run, scans, tmp_path):
    out = tmp_path / "out"
    words = ["--data", scans, "--out", out, "--set", "nonsense=3"]
    ran = run("benchmark", "vectorpose", *words)
    assert ran.code == 2
    assert "nonsense" in ran.err
    assert not out.exists()
