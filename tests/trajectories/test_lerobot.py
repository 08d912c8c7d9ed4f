"""The LeRobot export, read by a reader of its own; and by lerobot itself under ``slow``."""

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
from flight_datasets import add_with_frames, dataset_over, remembered_scans, walk
from lerobot_reader import Reader
from peers import environment_with, told_by

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import ACTION_NAMES, POSE_COLUMNS, apply_action
from napari_mrissl.slicing import render
from napari_mrissl.trajectories import Dataset, Recorder
from napari_mrissl.trajectories import lerobot_layout as layout
from napari_mrissl.trajectories.frames import Scans
from napari_mrissl.trajectories.lerobot import export

SIZE = 20
FRAMES = (21, 7, 16, 1)


@pytest.fixture
def volumes(tmp_path):
    return remembered_scans(tmp_path)


@pytest.fixture
def dataset(volumes, tmp_path):
    """Four episodes over two scans, with two tasks."""
    return dataset_over(tmp_path / "flights", volumes, FRAMES)


@pytest.fixture
def exported(dataset, tmp_path):
    """The dataset as a LeRobot folder, read and checked against the layout."""
    return Reader(export(dataset, tmp_path / "out", SIZE))


def test_an_export_is_what_the_layout_says(dataset, exported):
    # The reader has checked keys, templates, schemas, indices and shapes.
    assert exported.info["fps"] == 20
    assert isinstance(exported.info["fps"], int)
    assert [episode.meta["length"] for episode in exported.episodes] == list(FRAMES)
    assert exported.tasks == ["find the ball", ""]
    assert [episode.meta["tasks"] for episode in exported.episodes] == [
        [entry.task] for entry in dataset.entries
    ]
    assert exported.features["observation.state"]["names"] == list(POSE_COLUMNS)
    assert exported.features["action"]["names"] == list(ACTION_NAMES)
    files = {str(p.relative_to(exported.root)) for p in exported.root.rglob("*") if p.is_file()}
    assert files == {
        "meta/info.json", "meta/stats.json", "meta/tasks.parquet",
        "meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet",
    }  # fmt: skip


def test_stretches_between_cuts_are_episodes_of_their_own(volumes, clock, tmp_path):
    recorder = Recorder(tmp_path / "set", volumes[0], task="look", clock=clock)
    poses = walk(volumes[0], 13, 0)
    for number, pose in enumerate(poses):
        if number == 6:
            recorder.pause()
            recorder.pose(pose)
            recorder.resume()
        recorder.pose(pose)
        clock.wait(0.05)
    assert (entry := recorder.commit()).cuts == (5,)
    assert entry.frames == 14
    reader = Reader(export(Dataset.open(tmp_path / "set"), tmp_path / "out", SIZE))
    assert [episode.meta["length"] for episode in reader.episodes] == [6, 8]
    assert reader.info["total_episodes"] == 2
    assert len(reader.info["napari_mrissl"]["volume_of_episode"]) == 2
    rows = np.float32([pose.to_row() for pose in poses])
    for episode, first in zip(reader.episodes, (0, 6), strict=True):
        state, action = (episode.columns[name] for name in ("observation.state", "action"))
        np.testing.assert_array_equal(state[:6], rows[first : first + 6])
        assert not action[-1].any()
        assert action[:5].any(axis=1).all()
        assert episode.columns["timestamp"][0] == 0


def test_states_and_actions_are_those_flown(dataset, exported):
    for n, episode in enumerate(exported.episodes):
        state, action = (episode.columns[name] for name in ("observation.state", "action"))
        poses = dataset.flight(n).poses
        np.testing.assert_array_equal(state, np.float32([pose.to_row() for pose in poses]))
        assert not action[-1].any()
        for k in range(len(poses) - 1):
            reached = apply_action(poses[k], action[k]).to_row()
            np.testing.assert_allclose(reached, poses[k + 1].to_row(), atol=1e-4)


def test_images_are_the_slices_in_grey_with_the_mapping_kept(dataset, volumes, exported):
    told = exported.info["napari_mrissl"]
    for n, episode in enumerate(exported.episodes):
        volume = volumes[n % 2]
        assert told["volume_of_episode"][n] == volume.identity
        facts = told["volumes"][volume.identity]
        black, white = facts["black"], facts["white"]
        assert (black, white) == volume.display_window()
        np.testing.assert_array_equal(facts["affine"], volume.affine)
        slices = render(volume, dataset.flight(n).poses, SIZE)
        pictures = episode.columns["observation.image"]
        assert (pictures == pictures[..., :1]).all()
        back = black + (white - black) * pictures[..., 0] / 255
        between = slices.valid & (slices.values > black) & (slices.values < white)
        assert between.mean() > 0.3
        half_a_level = (white - black) / 255 / 2
        assert np.abs(back - slices.values)[between].max() <= half_a_level * 1.01
        assert (pictures[~slices.valid] == 0).all()


def numbers_of(episodes, name):
    """All values of a feature, (rows, D); pictures as pixels (rows, 1) in 0 to 1."""
    parts = [episode.columns[name] for episode in episodes]
    if name == "observation.image":
        return np.concatenate([part[..., 0].reshape(-1, 1) for part in parts]) / 255
    return np.concatenate([part.reshape(len(part), -1) for part in parts]).astype(np.float64)


def test_statistics_are_numpys(exported):
    for episodes, found in (
        *(([episode], episode.statistics) for episode in exported.episodes),
        (exported.episodes, exported.statistics),
    ):
        for name, numbers in found.items():
            values = numbers_of(episodes, name)
            # The image's quantiles are levels that occur; the others lie between two values.
            method = "lower" if name == "observation.image" else "linear"
            for key, expected in {
                "min": values.min(axis=0),
                "max": values.max(axis=0),
                "mean": values.mean(axis=0),
                "std": values.std(axis=0),
                **{
                    f"q{p:02d}": np.quantile(values, p / 100, axis=0, method=method)
                    for p in (1, 10, 50, 90, 99)
                },
            }.items():
                got = np.array(numbers[key]).reshape(-1)
                if name == "observation.image":
                    expected = np.repeat(expected, 3)
                np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=f"{name} {key}")


def test_pandas_and_arrow_see_the_tasks_by_their_text(exported):
    tasks = pandas.read_parquet(exported.root / "meta" / "tasks.parquet")
    assert tasks.loc["find the ball"].task_index == 0
    assert tasks.iloc[1].name == ""


def test_a_full_file_is_followed_by_the_next(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "DATA_FILES_SIZE_IN_MB", 0)
    monkeypatch.setattr(layout, "CHUNKS_SIZE", 3)
    found = Reader(export(dataset, tmp_path / "out", 8))
    places = [
        (e.meta["data/chunk_index"], e.meta["data/file_index"]) for e in found.episodes
    ]  # fmt: skip
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert (found.root / "data" / "chunk-001" / "file-000.parquet").is_file()


def test_an_episode_is_a_row_group(exported):
    file = pq.ParquetFile(exported.root / "data" / "chunk-000" / "file-000.parquet")
    sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert sizes == list(FRAMES)


def test_stored_frames_serve_where_the_scan_is_not_known(volumes, tmp_path):
    dataset = Dataset.create(tmp_path / "flights")
    poses = walk(volumes[0], 10, 3)
    add_with_frames(dataset, volumes[0], poses, 16)
    (tmp_path / "scan0.nii.gz").unlink()
    found = Reader(export(dataset, tmp_path / "out", 16))
    (facts,) = found.info["napari_mrissl"]["volumes"].values()
    slices = render(volumes[0], poses, 16)
    low, high = np.percentile(slices.values[slices.valid], (0.5, 99.5))
    assert (facts["black"], facts["white"]) == (pytest.approx(low), pytest.approx(high))
    with pytest.raises(MrisslError, match=volumes[0].identity):
        export(dataset, tmp_path / "other", 17)


def test_episodes_are_counted_anew_and_unused_tasks_stay(dataset, tmp_path):
    dataset.set_task("never to be seen")
    dataset.set_task("find the ball")
    content = Reader(export(dataset, tmp_path / "out", 8))
    assert content.tasks == ["find the ball", ""]
    for path in content.root.rglob("*"):
        assert not path.is_file() or b"never" not in path.read_bytes()


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
def test_what_is_given_up_leaves_nothing(dataset, tmp_path, moment):
    class GivenUp(Exception):
        pass

    def give_up(part):
        if part >= moment:
            raise GivenUp

    before = sorted(tmp_path.iterdir())
    with pytest.raises(GivenUp):
        export(dataset, tmp_path / "out", 8, progress=give_up)
    assert sorted(tmp_path.iterdir()) == before


def test_progress_rises_to_one(dataset, tmp_path):
    seen = []
    export(dataset, tmp_path / "out", 8, progress=seen.append)
    assert seen == sorted(seen)
    assert 0 < seen[0] <= seen[-1] == pytest.approx(1)


def test_refusals_leave_all_as_it_was(dataset, volumes, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    empty = Dataset.create(tmp_path / "empty")
    before = sorted(tmp_path.iterdir())
    inside = sorted(dataset.folder.rglob("*"))
    for arguments, needle in (
        ((dataset, tmp_path / "there"), "there already"),
        ((dataset, tmp_path / "dangling"), "there already"),
        ((dataset, tmp_path / "no" / "such"), "not there"),
        ((dataset, dataset.folder / "out"), "dataset itself"),
        ((dataset, tmp_path / "out", 0), "size"),
        ((dataset, tmp_path / "out", 1 << 20), "size"),
        ((empty, tmp_path / "out"), "no episode"),
    ):
        with pytest.raises(MrisslError, match=needle):
            export(*arguments)
    (tmp_path / "scan1.nii.gz").rename(tmp_path / "away.nii.gz")
    with pytest.raises(MrisslError, match=volumes[1].identity):
        export(dataset, tmp_path / "out", 8)
    (tmp_path / "away.nii.gz").rename(tmp_path / "scan1.nii.gz")
    assert sorted(tmp_path.iterdir()) == before
    assert sorted(dataset.folder.rglob("*")) == inside


def test_the_same_dataset_gives_the_same_export(dataset, volumes, tmp_path):
    for name in ("a", "b"):
        export(dataset, tmp_path / name, 8, scans=Scans(volumes) if name == "b" else None)
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            other = tmp_path / "b" / path.relative_to(tmp_path / "a")
            assert path.read_bytes() == other.read_bytes()


@pytest.fixture
def lerobot():
    """An environment with lerobot (8 GB)."""
    yield from environment_with("MRISSL_LEROBOT", "lerobot==0.4.4")


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_lerobot_itself_reads_an_export(dataset, tmp_path, lerobot):
    out = export(dataset, tmp_path / "out", SIZE)
    expected = Reader(out)
    images = [e.columns["observation.image"] for e in expected.episodes]
    states = [e.columns["observation.state"] for e in expected.episodes]
    actions = [e.columns["action"] for e in expected.episodes]
    np.savez(
        tmp_path / "expected.npz",
        images=np.concatenate(images), states=np.concatenate(states),
        actions=np.concatenate(actions),
    )  # fmt: skip
    said = told_by(
        lerobot,
        "lerobot_check.py",
        out,
        tmp_path / "expected.npz",
        HF_HUB_OFFLINE="1",
        HF_HOME=str(tmp_path / "hf"),
    )
    assert said["frames"] == sum(FRAMES)
    assert said["episodes"] == len(FRAMES)
    assert said["grown_to"] == len(FRAMES) + 1
