"""A file of several frames: every command takes the one that is asked for."""

import json

import nibabel
import numpy as np
import pytest


@pytest.fixture
def series(tmp_path):
    """Three frames of 20 x 22 x 24 voxels, told apart by their level."""
    index = np.indices((20, 22, 24)).sum(axis=0)
    frames = np.stack([index + 100 * n for n in range(3)], axis=-1).astype(np.int16)
    path = tmp_path / "series.nii.gz"
    nibabel.save(nibabel.Nifti1Image(frames, np.diag([2.0, 2, 2, 1])), path)
    return path


WHERE = ("--center", 20, 20, 20, "--normal", 0, 0, 1, "--up", 0, 1, 0, "--fov", 20, "--size", 8)


def test_without_a_frame_the_first_is_used_and_said(series, run):
    ran = run("info", series, "--json")
    assert json.loads(ran.out)["frames"] == 3
    assert "frame" in ran.err


def test_slices_and_identities_are_of_the_frame(series, run, tmp_path):
    found, identities = [], set()
    for frame in range(3):
        out = tmp_path / f"{frame}.npy"
        assert run("slice", series, *WHERE, "--frame", frame, "--out", out).code == 0
        found.append(np.load(out))
        identities.add(json.loads(run("info", series, "--frame", frame, "--json").out)["identity"])
    np.testing.assert_allclose(found[1], found[0] + 100, atol=1e-3)
    np.testing.assert_allclose(found[2], found[0] + 200, atol=1e-3)
    assert len(identities) == 3


def test_a_flight_over_a_frame_is_replayed_over_it(series, run, tmp_path):
    flight, out = tmp_path / "flight", tmp_path / "flight.npy"
    made = run(
        "trajectory", "generate", series, "--out", flight,
        "--policy", "pan", "--frames", 4, "--seed", 1, "--frame", 2,
    )  # fmt: skip
    assert made.code == 0, made.err
    ran = run("trajectory", "replay", flight, "--out", out, "--size", 16)
    assert ran.code == 0, ran.err
    assert np.load(out).max() > 200


def test_a_frame_that_is_not_there_is_refused(series, refused):
    assert "frame" in refused("info", series, "--frame", 3)
