"""Commands over whole datasets: describe, render, validate, repair, export."""

import json

import numpy as np
import pytest
from flight_datasets import add_with_frames, dataset_over, remembered_scans, scan_file, walk
from lerobot_reader import Reader

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.slicing import render
from napari_mrissl.trajectories import Dataset


@pytest.fixture
def volumes(tmp_path):
    return remembered_scans(tmp_path)


@pytest.fixture
def dataset(volumes, tmp_path):
    """Episodes of 9, 5 and 7 frames over two scans."""
    return dataset_over(tmp_path / "flights", volumes, (9, 5, 7))


def damage(dataset, number):
    """Flip a bit in the middle of an episode's file."""
    path = dataset.folder / dataset.entries[number].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content))
    return path.name


def test_info_of_several_episodes(dataset, volumes, run):
    ran = run("trajectory", "info", dataset.folder, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["frames"] == 21
    assert facts["duration_s"] == pytest.approx((8 + 4 + 6) / 20)
    assert [episode["frames"] for episode in facts["episodes"]] == [9, 5, 7]
    assert facts["policy"] == "walk"
    # What the episodes do not share is said of each, not of all.
    assert facts["seed"] is None
    assert facts["identity"] is None
    assert [e["identity"] for e in facts["episodes"]] == [
        volumes[n].identity for n in (0, 1, 0)
    ]  # fmt: skip
    rows = np.concatenate([dataset.table(n)["pose"] for n in range(3)])
    assert facts["ranges"]["fov_mm"] == [rows[:, 7].min(), rows[:, 7].max()]
    text = run("trajectory", "info", dataset.folder).out
    assert "find the ball" in text
    assert len(text.splitlines()) >= 3 + 4


def test_what_others_wrote_never_drives_the_terminal(volumes, run, tmp_path):
    dataset = Dataset.create(tmp_path / "flights")
    dataset_over(tmp_path / "other", volumes, (4,))
    add_with_frames(dataset, volumes[0], walk(volumes[0], 4, 1), 8)
    dataset.set_task("a\x1b[31mred\x07\u202etxt")
    hostile = tmp_path / "na\x1b[2Jme"
    dataset.folder.rename(hostile)
    for words in (("info",), ("validate",), ("repair",), ("replay", "--size", 8)):
        ran = run("trajectory", words[0], hostile, *words[1:])
        assert ran.code == 0, ran.err
        for character in "\x1b\x07\u202e":
            assert character not in ran.out + ran.err
    ran = run("trajectory", "info", tmp_path / "not\x1b[2Jhere")
    assert ran.code == 2
    assert "\x1b" not in ran.err


def test_render_gives_all_that_is_needed_to_train(dataset, volumes, run, tmp_path):
    out = tmp_path / "one.npz"
    words = ("--out", out, "--episode", 1, "--size", 12)
    ran = run("trajectory", "render", dataset.folder, *words)
    assert ran.code == 0, ran.err
    found = np.load(out, allow_pickle=False)
    expected = render(volumes[1], dataset.flight(1).poses, 12)
    np.testing.assert_array_equal(found["frames"], expected.values)
    np.testing.assert_array_equal(found["valid"], expected.valid)
    np.testing.assert_allclose(found["times_s"], np.arange(5) / 20)
    for k in range(4):
        reached = apply_action(Pose.from_row(found["poses"][k]), found["actions"][k])
        np.testing.assert_allclose(reached.to_row(), found["poses"][k + 1], atol=1e-9)


def test_render_into_a_folder_gives_every_episode(dataset, volumes, run, refused, tmp_path):
    out = tmp_path / "all"
    assert run("trajectory", "render", dataset.folder, "--out", out, "--size", 6).code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        f"episode_{n:06d}.npz" for n in range(3)
    ]  # fmt: skip
    last = np.load(out / "episode_000002.npz")
    expected = render(volumes[0], dataset.flight(2).poses, 6)
    np.testing.assert_array_equal(last["frames"], expected.values)
    assert "there already" in refused(
        "trajectory", "render", dataset.folder, "--out", out, "--size", 6
    )


def test_render_of_a_scan_that_is_lost_half_way_leaves_nothing(dataset, run, refused, tmp_path):
    (tmp_path / "scan1.nii.gz").unlink()
    out = tmp_path / "all"
    assert "--scan" in refused("trajectory", "render", dataset.folder, "--out", out, "--size", 6)
    assert not [path for path in tmp_path.iterdir() if path.name in ("all",) or "tmp" in path.name]


def test_stored_frames_are_shown_where_the_scan_is_not_known(volumes, run, tmp_path):
    dataset = Dataset.create(tmp_path / "flights")
    poses = walk(volumes[0], 6, 1)
    add_with_frames(dataset, volumes[0], poses, 10)
    (tmp_path / "scan0.nii.gz").unlink()
    for name in ("a.npy", "a.gif"):
        words = ("--out", tmp_path / name, "--size", 10)
        assert run("trajectory", "replay", dataset.folder, *words).code == 0
    expected = render(volumes[0], poses, 10).values
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)


def test_validate_and_repair(dataset, run):
    ran = run("trajectory", "validate", dataset.folder, "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == {
        "ok": True, "episodes": 3, "frames": 21, "unfinished": 0, "problems": [], "done": [],
    }  # fmt: skip
    name = damage(dataset, 1)
    ran = run("trajectory", "validate", dataset.folder, "--json")
    assert ran.code == 2
    found = json.loads(ran.out)
    assert not found["ok"]
    assert len(found["problems"]) == 1
    assert name in found["problems"][0]
    assert ran.err.splitlines()[-1].startswith("mrissl: flights: the dataset has 1 problem")
    ran = run("trajectory", "validate", dataset.folder)
    assert ran.code == 2
    assert name in ran.out
    ran = run("trajectory", "repair", dataset.folder)
    assert ran.code == 0, ran.err
    assert name in ran.out
    assert list((dataset.folder / "quarantine").rglob("*.parquet"))
    ran = run("trajectory", "validate", dataset.folder)
    assert ran.code == 0
    assert [entry.frames for entry in Dataset.open(dataset.folder).entries] == [9, 7]
    # Episodes are asked for by their place, as `info` lists them and `Dataset.flight` counts.
    lines = run("trajectory", "info", dataset.folder).out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("episode ")] == ["9", "7"]
    assert [line.split()[1] for line in lines if line.startswith("episode ")] == ["0", "1"]
    out = dataset.folder.parent / "second.npz"
    words = ("replay", dataset.folder, "--size", 4, "--out", out, "--episode")
    assert run("trajectory", *words, 1).code == 0
    assert len(np.load(out)["frames"]) == 7
    ran = run("trajectory", *words, 2)
    assert ran.code == 2


def test_a_dot_in_the_name_of_a_folder(dataset, run, tmp_path):
    out = tmp_path / "frames_v1.2"
    words = ("--out", out, "--size", 4, "--episode", 1)
    ran = run("trajectory", "render", dataset.folder, *words)
    assert ran.code == 0, ran.err
    assert [path.name for path in out.iterdir()] == ["episode_000001.npz"]
    assert "1 episode of" in ran.err


def test_replay_checks_what_the_dataset_says_of_the_scan(dataset, refused, tmp_path):
    """An episode whose geometry is not its scan's is not rendered, given or remembered."""
    entry = dataset.entries[0]
    affine = [[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]]
    flight = dataset.flight(0)
    flight.info["affine"] = affine
    other = Dataset.create(tmp_path / "lying")
    other.append(flight)
    assert other.entries[0].identity == entry.identity
    for more in ((), ("--scan", tmp_path / "scan0.nii.gz")):
        words = ("replay", other.folder, "--size", 4, *more)
        assert "another geometry" in refused("trajectory", *words)


def test_clean_says_what_it_deletes(dataset, run, refused, tmp_path):
    dataset.set_task("find it", 0)
    dataset.undo_last()
    assert b"find the ball" in (dataset.folder / "dataset.previous.json").read_bytes()
    assert len(list((dataset.folder / "removed").iterdir())) == 2
    ran = run("trajectory", "clean", dataset.folder)
    assert ran.code == 0, ran.err
    assert "3 files deleted, 2 episodes kept" in ran.err
    names = {path.name for path in dataset.folder.rglob("*") if path.is_file()}
    assert len(names) == 3
    assert run("trajectory", "validate", dataset.folder).code == 0
    assert "deleted removed/" in ran.err
    ran = run("trajectory", "clean", dataset.folder, "--json")
    assert json.loads(ran.out) == {"episodes": 2, "deleted": ["dataset.previous.json"]}


def test_export_is_a_lerobot_folder(dataset, run, tmp_path):
    out = tmp_path / "out"
    words = ("export", dataset.folder, "--to", "lerobot", "--out", out, "--size", 16)
    ran = run("trajectory", *words)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert "100 %" in ran.err
    found = Reader(out)
    assert found.features["observation.image"]["shape"] == [16, 16, 3]
    assert [episode.meta["length"] for episode in found.episodes] == [9, 5, 7]


def test_export_takes_scans_that_are_given(dataset, run, refused, tmp_path):
    moved = [
        (tmp_path / f"scan{n}.nii.gz").rename(tmp_path / f"moved{n}.nii.gz") for n in (0, 1)
    ]  # fmt: skip
    out = tmp_path / "out"
    words = ("export", dataset.folder, "--to", "lerobot", "--out", out, "--size", 8)
    assert "--scan" in refused("trajectory", *words)
    assert not out.exists()
    other = scan_file(tmp_path, 9)
    assert "no episode" in refused("trajectory", *words, "--scan", other)
    assert run("trajectory", *words, "--scan", moved[0], "--scan", moved[1]).code == 0
    assert len(Reader(out).episodes) == 3


def test_exports_are_imported_again(dataset, run, refused, tmp_path):
    pytest.importorskip("h5py")
    for name, out in (("bids", "bids"), ("hdf5", "a.h5")):
        source, back = tmp_path / out, tmp_path / f"{name} back"
        words = ("--to", name, "--out", source, "--size", 8)
        assert run("trajectory", "export", dataset.folder, *words).code == 0
        words = ("trajectory", "import", source, "--from", name, "--out", back)
        ran = run(*words)
        assert ran.code == 0, ran.err
        assert "3 episodes imported" in ran.err
        found = Dataset.open(back)
        assert [entry.frames for entry in found.entries] == [9, 5, 7]
        for n in range(3):
            np.testing.assert_array_equal(found.table(n)["pose"], dataset.table(n)["pose"])
        assert run("trajectory", "validate", back).code == 0
        assert "there already" in refused(*words)


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (("export", "--to", "hdf5", "--out", "a.zip"), ".h5"),
        (("import", "--from", "bids", "--out", "x"), "no motion data"),
        (("import", "--from", "lerobot", "--out", "x"), "bids"),
        (("export", "--to", "avi", "--out", "x"), "lerobot"),
        (("export", "--to", "lerobot", "--out", "out", "--size", 0), "--size"),
        (("export", "--to", "lerobot", "--out", "flights"), "dataset itself"),
        (("export", "--to", "lerobot", "--out", "flights/inside"), "dataset itself"),
        (("export", "--to", "lerobot", "--out", "no/such"), "not there"),
        (("render", "--out", "no/such"), "not there"),
        (("render", "--out", "a.mp4"), "suffix"),
        (("render", "--out", "a.npz", "--episode", 3), "--episode"),
        (("render", "--out", "a", "--episode", -1), "--episode"),
        (("render", "--out", "a", "--size", 1e9), "--size"),
    ],
)
def test_wishes_that_cannot_be_met(dataset, refused, tmp_path, monkeypatch, words, needle):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert needle in refused("trajectory", words[0], dataset.folder, *words[1:])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "command", ["info", "validate", "repair", "clean", "replay", "render", "export"]
)
def test_folders_that_hold_no_dataset(refused, tmp_path, command):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("{}", "utf-8")
    more = {
        "render": ("--out", tmp_path / "o"),
        "export": ("--to", "lerobot", "--out", tmp_path / "o"),
    }
    for name in ("empty", "absent", "file"):
        refused("trajectory", command, tmp_path / name, *more.get(command, ()))
    assert not (tmp_path / "o").exists()
