import json
import shutil

import numpy as np
import pytest
from PIL import Image

from napari_mrissl.slicing import render
from napari_mrissl.trajectories import locate, read_flight
from napari_mrissl.volumes import read


@pytest.fixture
def flight(scan, run, tmp_path):
    """A walk of twenty poses."""
    folder = tmp_path / "flight"
    ran = run("trajectory", "generate", scan.path, "--out", folder, *policy("walk", 20, 3))
    assert ran.code == 0, ran.err
    assert ran.out == ""
    return folder


def policy(name, frames, seed):
    return ("--policy", name, "--frames", frames, "--seed", seed)


@pytest.mark.parametrize("name", ["scroll", "rotate", "zoom", "pan", "walk", "mixture"])
def test_every_policy_gives_the_same_flight_for_the_same_seed(scan, run, tmp_path, name):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ("--out", tmp_path / folder, *policy(name, 6, seed))
        assert run("trajectory", "generate", scan.path, *words).code == 0
    rows = [
        np.array([pose.to_row() for pose in read_flight(tmp_path / folder).poses])
        for folder in "abc"
    ]
    assert rows[0].shape == (6, 8)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_info_says_how_it_was_made_and_where_it_went(scan, flight, run):
    ran = run("trajectory", "info", flight, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["frames"] == 20
    assert facts["policy"] == "walk"
    assert facts["seed"] == 3
    assert facts["identity"] == read(scan.path).identity
    assert facts["duration_s"] > 0
    centers = np.array([pose.center for pose in read_flight(flight).poses])
    for axis, name in enumerate("xyz"):
        low, high = facts["ranges"][f"center_{name}_mm"]
        assert (low, high) == (centers[:, axis].min(), centers[:, axis].max())
    text = run("trajectory", "info", flight).out
    assert "walk" in text
    assert facts["identity"] in text


def test_replay_finds_the_scan_and_renders_what_the_poses_say(scan, flight, run, tmp_path):
    ran = run("trajectory", "replay", flight, "--out", tmp_path / "a.npy", "--size", 24)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    frames = np.load(tmp_path / "a.npy")
    assert frames.shape == (20, 24, 24)
    assert frames.dtype == np.float32
    volume = read(scan.path)
    for frame, pose in zip(frames, read_flight(flight).poses, strict=True):
        np.testing.assert_allclose(frame, render(volume, pose, 24).values, atol=0.02)


def test_replay_as_gif_has_every_frame_in_its_time(flight, run, tmp_path):
    out = tmp_path / "a.gif"
    assert run("trajectory", "replay", flight, "--out", out, "--size", 24).code == 0
    with Image.open(out) as movie:
        assert movie.size == (24, 24)
        shown = 0
        for number in range(movie.n_frames):
            movie.seek(number)
            shown += movie.info["duration"]
    seconds = read_flight(flight).duration_s
    assert shown / 1000 == pytest.approx(seconds, rel=0.3)


def test_replay_without_a_file_gives_figures(scan, flight, run, tmp_path):
    ran = run("trajectory", "replay", flight, "--size", 16)
    assert ran.code == 0, ran.err
    shown = dict(line.split() for line in ran.out.splitlines())
    volume = read(scan.path)
    slices = [render(volume, pose, 16) for pose in read_flight(flight).poses]
    inside = np.concatenate([s.values[s.valid] for s in slices])
    assert int(shown["frames"]) == 20
    assert float(shown["part_inside"]) == pytest.approx(inside.size / (20 * 16 * 16))
    assert float(shown["mean"]) == pytest.approx(inside.mean(), rel=1e-4)
    assert float(shown["lowest"]) == pytest.approx(inside.min(), abs=0.01)
    assert float(shown["highest"]) == pytest.approx(inside.max(), abs=0.01)


def test_a_scan_that_was_moved_is_asked_for(scan, flight, run, refused, tmp_path):
    moved = scan.path.rename(tmp_path / "moved.nii.gz")
    assert "--scan" in refused("trajectory", "replay", flight)
    out = tmp_path / "a.npy"
    assert run("trajectory", "replay", flight, "--scan", moved, "--out", out, "--size", 8).code == 0
    assert locate(read_flight(flight).identity) == moved


def test_another_scan_is_refused(scan, flight, refused, run, tmp_path):
    import nibabel

    other = tmp_path / "other.nii"
    image = nibabel.load(scan.path)
    data = np.asarray(image.dataobj).copy()
    data[3, 4, 5] += 50
    nibabel.save(nibabel.Nifti1Image(data, image.affine), other)
    words = ("--scan", other, "--out", tmp_path / "a.npy")
    assert "another scan" in refused("trajectory", "replay", flight, *words)
    shutil.copy(other, scan.path)
    refused("trajectory", "replay", flight, "--out", tmp_path / "a.npy")
    assert not (tmp_path / "a.npy").exists()


def test_a_flight_that_is_there_stays_unless_asked_for(scan, flight, run, refused):
    words = ("generate", scan.path, "--out", flight, *policy("pan", 4, 1))
    assert "--overwrite" in refused("trajectory", *words)
    assert len(read_flight(flight)) == 20
    assert run("trajectory", *words, "--overwrite").code == 0
    assert len(read_flight(flight)) == 4


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (policy("dance", 4, 1), "walk"),
        (policy("walk", 0, 1), "--frames"),
        (policy("walk", -4, 1), "--frames"),
        (policy("walk", "4.5", 1), "whole number"),
        (policy("walk", "1e12", 1), "--frames"),
        (policy("walk", 4, -1), "--seed"),
        (policy("walk", 4, 2**70), "--seed"),
        (policy("walk", 4, 1)[:4], "--seed"),
    ],
)
def test_bad_wishes_are_refused_and_leave_nothing(scan, refused, tmp_path, words, needle):
    out = tmp_path / "flight"
    assert needle in refused("trajectory", "generate", scan.path, "--out", out, *words)
    assert not out.exists()


def test_folders_that_hold_no_flight(scan, refused, tmp_path):
    for command in ("info", "replay"):
        refused("trajectory", command, tmp_path / "absent")
        refused("trajectory", command, tmp_path)
        refused("trajectory", command, scan.path)
    words = ("generate", scan.path, *policy("walk", 4, 1), "--out")
    assert "is a file" in refused("trajectory", *words, scan.path)
    assert "folder" in refused("trajectory", *words, tmp_path / "no" / "such")


def test_a_torn_or_hostile_flight_is_read_or_refused(flight, run, refused):
    file = flight / "flight.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    assert run("trajectory", "info", flight).code == 0
    for bad in (b"", b"{}", b"[1]\n", b"\x00" * 100, whole.replace(b'"pose"', b'"push"')):
        file.write_bytes(bad)
        refused("trajectory", "info", flight)
        refused("trajectory", "replay", flight)


@pytest.mark.parametrize("size", [0, -1, "x", 1e6])
def test_sizes_that_make_no_picture(flight, refused, size):
    refused("trajectory", "replay", flight, "--size", size)


def test_unknown_picture_formats(flight, refused, tmp_path):
    assert ".gif" in refused("trajectory", "replay", flight, "--out", tmp_path / "a.mp4")
