"""Windows: their numbers against loops, their frames against single renders."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from flight_datasets import add_with_frames, dataset_over, scan_file, walk

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.slicing import render
from napari_mrissl.trajectories import Dataset, frames, remember
from napari_mrissl.trajectories.frames import Scans
from napari_mrissl.trajectories.windows import Windows
from napari_mrissl.volumes import Volume, read

SIZE = 24


@pytest.fixture
def volumes(tmp_path):
    """Two scans that this machine remembers."""
    paths = [scan_file(tmp_path, seed) for seed in (0, 1)]
    found = [read(path) for path in paths]
    for volume, path in zip(found, paths, strict=True):
        remember(volume.identity, path)
    return found


@pytest.fixture
def dataset(volumes, tmp_path):
    """Episodes of 21, 7 and 16 frames over two scans."""
    return dataset_over(tmp_path / "flights", volumes, (21, 7, 16))


def starts(counts, length, stride):
    """Episode and first frame of every window, by counting."""
    return [
        (episode, start)
        for episode, count in enumerate(counts)
        for start in range(0, count, stride)
        if start + length <= count
    ]


@pytest.mark.parametrize(
    ("length", "stride"), [(16, None), (8, 1), (8, 8), (1, 1), (5, 3), (7, 20), (22, 1)]
)
def test_windows_are_those_counted_by_hand(dataset, length, stride):
    windows = Windows(dataset, length, stride, size=SIZE)
    expected = starts((21, 7, 16), length, stride or length)
    assert len(windows) == len(expected)
    assert [windows._place(k) for k in range(len(windows))] == expected
    with pytest.raises(IndexError):
        windows[len(windows)]


def test_a_window_is_what_was_flown(dataset, volumes):
    windows = Windows(dataset.folder, 6, 4, size=SIZE)
    for k, (episode, start) in enumerate(starts((21, 7, 16), 6, 4)):
        window = windows[k]
        poses = dataset.flight(episode).poses[start : start + 6]
        assert (window.episode, window.start) == (episode, start)
        assert [Pose.from_row(row) for row in window.poses] == poses
        assert window.frames.dtype == np.float32
        for pose, frame, valid in zip(poses, window.frames, window.valid, strict=True):
            alone = render(volumes[episode % 2], pose, SIZE)
            np.testing.assert_allclose(frame, alone.values, atol=1e-3)
            np.testing.assert_array_equal(valid, alone.valid)


@pytest.mark.parametrize("hertz", [None, 20.0, 50.0, 7.0])
def test_each_action_takes_a_pose_to_the_next(dataset, hertz):
    windows = Windows(dataset, 6, 5, size=4, hertz=hertz)
    assert len(windows) > 0
    for window in windows:
        for k, action in enumerate(window.actions):
            reached = apply_action(Pose.from_row(window.poses[k]), action).to_row()
            np.testing.assert_allclose(reached, window.poses[k + 1], atol=1e-9)


@pytest.mark.parametrize("hertz", [10.0, 50.0, 7.0, 13.3])
def test_at_another_rate_each_pose_is_held(dataset, hertz):
    windows = Windows(dataset, 2, 1, size=4, hertz=hertz)
    table = dataset.table(0)
    rows, count = [], 0
    while count / hertz <= table["timestamp"][-1] + 1e-6:
        due = count / hertz + 1e-6
        rows.append(max(k for k, t in enumerate(table["timestamp"]) if t <= due))
        count += 1
    first = [window for window in windows if window.episode == 0]
    assert len(first) == count - 1
    for k, window in enumerate(first):
        np.testing.assert_array_equal(window.poses, table["pose"][[rows[k], rows[k + 1]]])


def test_order_batches_and_processes_change_nothing(dataset):
    windows = Windows(dataset, 5, 2, size=SIZE)
    forward = list(windows)
    backward = [windows[k] for k in reversed(range(len(windows)))][::-1]
    batch = windows.batch(range(len(windows)))
    copy = pickle.loads(pickle.dumps(windows))  # noqa: S301 our own
    for several in (backward, batch, [copy[k] for k in range(len(copy))]):
        for one, other in zip(forward, several, strict=True):
            for found, expected in zip(other[:6], one[:6], strict=True):
                np.testing.assert_array_equal(found, expected)


def test_another_process_gives_the_same_to_the_bit(dataset, tmp_path):
    windows = Windows(dataset, 5, 2, size=SIZE)
    (tmp_path / "windows").write_bytes(pickle.dumps(windows))
    script = (
        "import pickle, sys, numpy; w = pickle.load(open(sys.argv[1], 'rb'));"
        "numpy.save(sys.argv[2], numpy.stack([x.frames for x in w]))"
    )
    out = tmp_path / "frames.npy"
    command = [sys.executable, "-c", script, str(tmp_path / "windows"), str(out)]
    subprocess.run(command, check=True, timeout=120)
    np.testing.assert_array_equal(np.load(out), np.stack([w.frames for w in windows]))


def test_a_batch_renders_each_scan_once_and_each_frame_once(dataset, monkeypatch):
    calls = []

    def counting(volume, poses, size):
        calls.append(len(poses))
        return render(volume, poses, size)

    monkeypatch.setattr(frames, "render", counting)
    windows = Windows(dataset, 8, 4, size=8)
    windows.batch(range(len(windows)))
    # Windows at 0, 4, 8, 12 of episode 0 show 20 frames of one scan, and so does episode 2
    # with 16; the 7 frames of episode 1, over the other scan, make no window.
    assert calls == [36]


def test_a_pickle_holds_no_voxels_and_no_path(dataset, volumes, tmp_path):
    windows = Windows(dataset, 8, size=SIZE)
    windows.batch(range(len(windows)))
    content = pickle.dumps(windows)
    assert len(content) < 40_000
    assert b"scan0" not in content


def test_stored_frames_are_taken_as_they_are(volumes, tmp_path):
    dataset = Dataset.create(tmp_path / "flights")
    poses = walk(volumes[0], 20, 3)
    add_with_frames(dataset, volumes[0], poses, 16)
    (tmp_path / "scan0.nii.gz").unlink()
    windows = Windows(dataset, 6, 5)
    assert windows.size == 16
    for window in windows:
        part = poses[window.start : window.start + 6]
        expected = render(volumes[0], part, 16)
        np.testing.assert_array_equal(window.frames, expected.values)
        np.testing.assert_array_equal(window.valid, expected.valid)
    # At another size, or another rate with the scan gone, what is stored decides.
    assert Windows(dataset, 4, hertz=30.0)[0].frames.shape == (4, 16, 16)
    with pytest.raises(MrisslError, match=volumes[0].identity):
        Windows(dataset, 6, size=17)[0]


def test_what_is_inside_is_told_without_the_voxels():
    rng = np.random.default_rng(0)
    for k in range(20):
        affine = np.diag([0.5, 1, 2, 1.0])
        if k % 2:
            affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ affine[:3, :3]
        voxels = np.zeros(rng.integers(1, 40, 3), np.uint8)
        volume = Volume.from_stored(voxels, affine)
        facts = {"shape": volume.shape, "affine": volume.affine}
        poses = [Pose.from_normal_up(volume.center, (0, 0, 1), (0, 1, 0), 32.0)]
        poses += [
            Pose.from_normal_up(volume.center + rng.normal(size=3), *rng.normal(size=(2, 3)), fov)
            for fov in (4.0, 20.0, 60.0)
        ]
        found = frames.pixels_inside(facts, poses, 32)
        np.testing.assert_array_equal(found, render(volume, poses, 32).valid)


def test_columns_come_along(volumes, tmp_path):
    dataset = Dataset.create(tmp_path / "flights")
    add_with_frames(dataset, volumes[0], walk(volumes[0], 12, 3), 8)
    columns = ("cursor_ras", "window", "clicks", "layers")
    window = Windows(dataset, 6, columns=columns)[1]
    cursor = window.columns["cursor_ras"]
    np.testing.assert_array_equal(np.isnan(cursor[:, 0]), [True, False, False] * 2)
    np.testing.assert_array_equal(cursor[1], [7, 2, 3])
    np.testing.assert_array_equal(window.columns["window"], [[1, 9]] * 6)
    np.testing.assert_array_equal(window.columns["layers"], [1] * 6)
    assert [len(clicks) for clicks in window.columns["clicks"]] == [1, 0, 0, 0, 1, 0]
    assert window.columns["clicks"][0] == [(6.0, 1.0, 2.0, 5)]


def test_undoing_an_episode_elsewhere_moves_nothing(dataset):
    windows = Windows(dataset, 5, size=8)
    before = windows[0]
    dataset.undo_last()
    np.testing.assert_array_equal(windows[0].frames, before.frames)


def test_a_scan_that_is_not_to_be_had_is_named(dataset, volumes, tmp_path):
    windows = Windows(dataset, 16, size=8)
    scan = tmp_path / "scan0.nii.gz"
    scan.replace(tmp_path / "moved.nii.gz")
    with pytest.raises(MrisslError, match=volumes[0].identity):
        windows[0]
    given = Windows(dataset, 16, size=8, scans=Scans([volumes[0]]))
    assert given[0].frames.any()
    scan_file(tmp_path, 5).replace(scan)
    with pytest.raises(MrisslError, match="another scan"):
        windows[0]


def test_a_geometry_that_is_not_the_scans_is_refused(volumes):
    facts = {
        "identity": volumes[0].identity,
        "frame": 0,
        "shape": list(volumes[0].shape),
        "affine": volumes[0].affine.tolist(),
    }
    assert Scans().volume(facts).identity == volumes[0].identity
    for wrong in (
        {**facts, "shape": [5, 5, 5]},
        {**facts, "affine": (volumes[0].affine + np.eye(4) * 1e-3).tolist()},
    ):
        for scans in (Scans(), Scans([volumes[0]])):
            with pytest.raises(MrisslError, match="geometry"):
                scans.find(wrong)


def test_only_the_last_few_scans_stay_in_memory(volumes):
    scans = Scans(kept=1)
    for volume in (*volumes, *volumes):
        assert scans.volume({"identity": volume.identity}).identity == volume.identity
        assert len(scans._read) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": 0}, {"stride": 0}, {"size": 0}, {"size": None}, {"hertz": 0},
        {"hertz": float("nan")}, {"columns": ("clicks",)}, {"columns": ("name",)},
    ],
)  # fmt: skip
def test_wishes_that_make_no_window(dataset, wrong):
    with pytest.raises(MrisslError):
        Windows(dataset, **{"size": 8, **wrong})


def test_an_empty_dataset_has_no_window(tmp_path):
    windows = Windows(Dataset.create(tmp_path / "empty"), size=8)
    assert len(windows) == 0
    assert list(windows) == []


def test_a_damaged_episode_is_refused(dataset):
    path = dataset.folder / dataset.entries[0].file
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(MrisslError, match="checksum"):
        Windows(dataset, 5, size=8)[0]
