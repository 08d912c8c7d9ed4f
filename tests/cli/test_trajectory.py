import json
import shutil

import numpy as np
import pytest
from PIL import Image

from napari_mrissl.slicing import render
from napari_mrissl.trajectories import Dataset, locate
from napari_mrissl.volumes import read


@pytest.fixture
def flight(scan, run, tmp_path):
    """A dataset with a walk of twenty poses."""
    folder = tmp_path / "flight"
    ran = run("trajectory", "generate", scan.path, "--out", folder, *policy("walk", 20, 3))
    assert ran.code == 0, ran.err
    assert ran.out == ""
    return folder


def read_flight(folder):
    """The only flight of a dataset."""
    dataset = Dataset.open(folder)
    assert len(dataset) == 1
    return dataset.flight(0)


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


def test_flights_are_added_and_none_is_replaced(scan, flight, run, refused):
    before = Dataset.open(flight).entries[0]
    words = ("generate", scan.path, "--out", flight, *policy("pan", 4, 1))
    ran = run("trajectory", *words, "--task", "find the\n ball", "--hertz", 20)
    assert ran.code == 0, ran.err
    assert "episode 1" in ran.err
    dataset = Dataset.open(flight)
    assert [entry.frames for entry in dataset.entries] == [20, 4]
    assert dataset.entries[0] == before
    assert [entry.task for entry in dataset.entries] == ["", "find the ball"]
    assert "rate" in refused("trajectory", *words, "--hertz", 10)
    assert len(Dataset.open(flight)) == 2


def test_a_new_dataset_has_the_rate_asked_for(scan, run, tmp_path):
    words = ("--out", tmp_path / "slow", *policy("pan", 5, 1), "--hertz", 4)
    assert run("trajectory", "generate", scan.path, *words).code == 0
    assert Dataset.open(tmp_path / "slow").hertz == 4
    assert read_flight(tmp_path / "slow").duration_s == 1


def test_a_folder_with_something_else_is_left_alone(scan, refused, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine", "utf-8")
    words = ("generate", scan.path, "--out", folder, *policy("pan", 4, 1))
    refused("trajectory", *words)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


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


def test_a_damaged_episode_is_told_but_not_flown(flight, run, refused):
    (file,) = (flight / "episodes").iterdir()
    whole = file.read_bytes()
    for bad in (b"", whole[:-30], whole.replace(b"pose", b"push"), b"\x00" * 100):
        file.write_bytes(bad)
        assert run("trajectory", "info", flight).code == 0
        assert "repair" in refused("trajectory", "replay", flight)


def test_a_damaged_manifest_is_made_up_for_and_said(flight, run):
    manifest = flight / "dataset.json"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    ran = run("trajectory", "info", flight, "--json")
    assert ran.code == 0
    assert "dataset.json" in ran.err
    assert json.loads(ran.out)["frames"] == 20


@pytest.mark.parametrize("size", [0, -1, "x", 1e6])
def test_sizes_that_make_no_picture(flight, refused, size):
    refused("trajectory", "replay", flight, "--size", size)


def test_unknown_picture_formats(flight, refused, tmp_path):
    assert ".gif" in refused("trajectory", "replay", flight, "--out", tmp_path / "a.mp4")
