"""The Minari layout: read with h5py, and by Minari itself."""

import json

import numpy as np
import pytest
from flight_datasets import dataset_over
from peers import environment_with, told_by

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Dataset
from napari_mrissl.trajectories.exchange import formats
from napari_mrissl.trajectories.exchange.minari import rewards_of

h5py = pytest.importorskip("h5py")
SIZE = 33


@pytest.fixture
def flown(stretches):
    """Those with a step, by their number in the export."""
    return dict(enumerate(stretch for stretch in stretches if len(stretch) > 1))


@pytest.fixture
def root(dataset, tmp_path):
    return formats.export("minari", dataset, tmp_path / "out", SIZE)


def test_groups_are_what_the_layout_says(root, flown):
    data = root / "mrissl" / "flights-v0" / "data"
    told = json.loads((data / "metadata.json").read_text("utf-8"))
    assert (told["dataset_id"], told["data_format"]) == ("mrissl/flights-v0", "hdf5")
    assert told["total_episodes"] == len(flown) == 5
    assert told["total_steps"] == sum(len(one) - 1 for one in flown.values())
    whose = [one.entry.identity for one in flown.values()]
    assert told["napari_mrissl"]["volume_of_episode"] == whose
    spaces = json.loads(told["observation_space"])["subspaces"]
    assert spaces["pixels"]["shape"] == [1, SIZE, SIZE]
    with h5py.File(data / "main_data.hdf5", "r") as file:
        assert list(file) == [f"episode_{number}" for number in flown]
        for number, stretch in flown.items():
            group = file[f"episode_{number}"]
            assert group.attrs["id"] == number
            assert len(group["infos"]) == 0
            assert group.attrs["total_steps"] == len(stretch) - 1
            assert group["observations/pixels"].shape == (len(stretch), 1, SIZE, SIZE)
            np.testing.assert_array_equal(group["observations/pose"][:], stretch.poses)
            np.testing.assert_array_equal(group["actions"][:], np.float32(stretch.actions[:-1]))
            ended = [False] * (len(stretch) - 2) + [True]
            assert group["terminations"][:].tolist() == ended
            assert not group["truncations"][:].any()


def test_without_a_step_there_is_nothing_to_export(tmp_path, volumes):
    dataset_over(tmp_path / "short", volumes, (1, 1))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MrisslError, match="no flight has two frames"):
        formats.export("minari", Dataset.open(tmp_path / "short"), tmp_path / "out", SIZE)
    assert sorted(tmp_path.iterdir()) == before


def test_rewards_add_up_to_the_way_to_the_last_plane():
    half = np.sqrt(0.5)
    # 60 mm off along the normal of both planes; then turned by a right angle, 9 mm off.
    poses = np.array(
        [[0, 5, 60, 1, 0, 0, 0, 100], [0, 0, 15, half, half, 0, 0, 80], [9, 9, 0, 1, 0, 0, 0, 90]]
    )
    np.testing.assert_allclose(rewards_of(poses), [2 - (0.3 + 3), 0.3 + 3])
    # The other side of a plane is the same plane.
    poses[1, 3:7] = 0, 1, 0, 0
    np.testing.assert_allclose(rewards_of(poses), [2 - 0.5, 0.5], atol=1e-12)


@pytest.fixture
def peer():
    yield from environment_with("MRISSL_MINARI", "minari[hdf5]==0.5.4", "pillow")


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_minari_itself_loads_an_export(root, flown, tmp_path, peer):
    arrays = {}
    with h5py.File(root / "mrissl" / "flights-v0" / "data" / "main_data.hdf5", "r") as file:
        for number, stretch in flown.items():
            seen = file[f"episode_{number}/observations"]
            arrays[f"{number}.pixels"] = seen["pixels"][:]
            arrays[f"{number}.pose"] = stretch.poses
            arrays[f"{number}.action"] = np.float32(stretch.actions[:-1])
    np.savez(tmp_path / "expected.npz", **arrays)
    said = told_by(
        peer, "minari_check.py", tmp_path / "expected.npz", MINARI_DATASETS_PATH=str(root)
    )
    assert said == {"episodes": 5, "steps": 107, "longer": 2}
