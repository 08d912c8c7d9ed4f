"""HDF5 in stable-worldmodel's columns: read with h5py by the layout, and by its own reader."""

import json

import numpy as np
import pytest
from peers import environment_with, told_by

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import apply_action
from napari_mrissl.geometry.pose import Pose
from napari_mrissl.trajectories import Dataset
from napari_mrissl.trajectories.exchange import formats

h5py = pytest.importorskip("h5py")
SIZE = 20


@pytest.fixture
def path(dataset, tmp_path):
    return formats.export("hdf5", dataset, tmp_path / "out.h5", SIZE)


def test_columns_are_what_the_layout_says(path, stretches, expected):
    with h5py.File(path, "r", swmr=True) as file:
        lengths, offsets = file["ep_len"][:], file["ep_offset"][:]
        assert lengths.tolist() == [len(one) for one in stretches]
        assert offsets.tolist() == np.cumsum([0, *lengths[:-1]]).tolist()
        columns = {name: file[name][:] for name in file}
        told = json.loads(bytes(file.attrs["napari_mrissl"]))
        assert file.attrs["fps"] == 20
    total = lengths.sum()
    assert {name: values.dtype.str for name, values in columns.items()} == {
        "pixels": "|u1", "action": "<f4", "state": "<f8", "timestamp": "<f8",
        "episode_idx": "<i8", "step_idx": "<i8", "ep_len": "<i4", "ep_offset": "<i8",
    }  # fmt: skip
    assert columns["pixels"].shape == (total, SIZE, SIZE, 3)
    for number, (stretch, grey) in enumerate(zip(stretches, expected, strict=True)):
        rows = slice(offsets[number], offsets[number] + lengths[number])
        np.testing.assert_array_equal(columns["pixels"][rows], np.stack([grey] * 3, -1))
        np.testing.assert_array_equal(columns["state"][rows], stretch.poses)
        assert set(columns["episode_idx"][rows]) == {number}
        np.testing.assert_array_equal(columns["step_idx"][rows], np.arange(lengths[number]))
        np.testing.assert_allclose(columns["timestamp"][rows], np.arange(lengths[number]) / 20)
        action = columns["action"][rows]
        assert not action[-1].any()
        for before, moved, after in zip(
            stretch.poses[:-1], action[:-1], stretch.poses[1:], strict=True
        ):
            reached = apply_action(Pose.from_row(before), moved).to_row()
            np.testing.assert_allclose(reached, after, atol=1e-4)
        assert told["volume_of_episode"][number] == stretch.entry.identity
        assert told["episodes"][number]["task"] == stretch.entry.task


def test_what_is_exported_comes_back_bit_for_bit(path, stretches, tmp_path):
    found = formats.load("hdf5", path, tmp_path / "back")
    assert len(found) == len(stretches)
    for number, stretch in enumerate(stretches):
        np.testing.assert_array_equal(found.table(number)["pose"], stretch.poses)
        entry = found.entries[number]
        for name in ("identity", "task", "source", "policy", "seed", "volume", "hertz"):
            assert getattr(entry, name) == getattr(stretch.entry, name), name
    Dataset.open(tmp_path / "back")


def test_single_precision_comes_back_as_it_is(volumes, stretches, tmp_path):
    state = np.float32(stretches[0].poses)
    foreign(tmp_path / "other.h5", state, [21], [0])
    found = formats.load("hdf5", tmp_path / "other.h5", tmp_path / "back", scans=volumes[:1])
    np.testing.assert_array_equal(found.table(0)["pose"], state.astype(np.float64))
    assert (found.entries[0].identity, found.hertz) == (volumes[0].identity, 15)


def foreign(path, state, lengths, offsets, **more):
    """A file as another program may write it."""
    with h5py.File(path, "w") as file:
        file["state"], file["ep_len"], file["ep_offset"] = state, lengths, offsets
        file.attrs["fps"] = 15.0
        file.attrs.update(more)


def hostile(path, way, state):
    """A file that is not what it should be, in one way."""
    if way == "text":
        path.write_text("no HDF5", "utf-8")
        return
    lengths = {"long": [22], "negative": [-1], "overflow": [2**62]}.get(way, [21])
    offsets = {"before": [-5], "overflow": [2**62], "more": [0, 0]}.get(way, [0])
    state = state[:, :7] if way == "narrow" else np.full_like(state, np.nan if way == "nan" else 1)
    state = state.astype("S3") if way == "words" else state
    if way == "far":
        state = np.tile([1e200, 0, 0, 1, 0, 0, 0, 50], (21, 1))
    rate = {
        "rate": {"fps": 0.0}, "json": {"napari_mrissl": "{"},
        "often": {"napari_mrissl": f'{{"hertz": 2{400 * "0"}}}'},
    }.get(way, {})  # fmt: skip
    foreign(path, state, lengths, offsets, **rate)
    with h5py.File(path, "a") as file:
        if way in ("missing", "group", "outside", "external", "huge"):
            del file["state"]
        if way == "group":
            file.create_group("state")
        elif way == "outside":
            foreign(path.with_name("secret.h5"), np.zeros((21, 8)), [21], [0])
            file["state"] = h5py.ExternalLink("secret.h5", "/state")
        elif way == "external":
            path.with_name("secret.raw").write_bytes(bytes(21 * 64))
            file.create_dataset("state", (21, 8), "f8", external=str(path.with_name("secret.raw")))
        elif way == "huge":
            file.create_dataset("state", (1 << 40, 8), "f8", chunks=(1024, 8))


@pytest.mark.parametrize(
    "way",
    ["text", "long", "negative", "overflow", "before", "more", "narrow", "nan", "unit", "words",
     "far", "rate", "often", "json", "missing", "group", "outside", "external", "huge"],
)  # fmt: skip
def test_a_file_that_lies_is_refused_in_a_sentence(way, volumes, stretches, tmp_path):
    hostile(tmp_path / "bad.h5", way, stretches[0].poses)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MrisslError):
        formats.load("hdf5", tmp_path / "bad.h5", tmp_path / "back", scans=volumes[:1])
    with pytest.raises(MrisslError, match="not there"):
        formats.load("hdf5", tmp_path, tmp_path / "back", scans=volumes[:1])
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_names_no_scan_needs_one(volumes, stretches, tmp_path):
    foreign(tmp_path / "other.h5", stretches[0].poses, [21], [0])
    for scans in ((), volumes):
        with pytest.raises(MrisslError, match="over which scan"):
            formats.load("hdf5", tmp_path / "other.h5", tmp_path / "back", scans=scans)


@pytest.fixture
def worldmodel():
    yield from environment_with(
        "MRISSL_WORLDMODEL",
        "stable-worldmodel==0.1.1",
        "h5py",
        "hdf5plugin",
        # It imports these two, which it asks for only with its environments.
        "opencv-python-headless",
        "imageio",
    )


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_stable_worldmodel_itself_reads_an_export(path, stretches, expected, tmp_path, worldmodel):
    lengths = [len(one) for one in stretches]
    np.savez(
        tmp_path / "expected.npz",
        lengths=lengths,
        offsets=np.cumsum([0, *lengths[:-1]]),
        pixels=np.repeat(np.concatenate(expected)[..., None], 3, axis=-1),
        state=np.concatenate([one.poses for one in stretches]),
        action=np.concatenate([np.float32(one.actions) for one in stretches]),
    )
    said = told_by(worldmodel, "worldmodel_check.py", path, tmp_path / "expected.npz")
    assert said == {"episodes": 6, "windows": 16 + 2 + 65 + 0 + 1 + 3}
