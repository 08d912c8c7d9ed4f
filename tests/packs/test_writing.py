"""Volumes become zarr arrays that zarr itself reads as they were; a killed writer loses nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import Pack, PackWriter, check
from napari_mrissl.packs.shards import folder_of, shard_of
from napari_mrissl.volumes import Volume
from tests.packed import pack_of, volume_of

zarr = pytest.importorskip("zarr")

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_and_we_read_every_type_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(0)
    voxels = np.frombuffer(rng.bytes(70 * 5 * 66 * int(dtype[1])), dtype).reshape(70, 5, 66)
    if dtype[0] == "f":
        # Not a number, infinite, and zeros of both signs.
        voxels = np.where(rng.random(voxels.shape) < 0.5, -0.0, voxels).astype(dtype)
    volume = Volume.from_stored(voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    pack = pack_of(tmp_path / "pack", volume)
    stored = zarr.open_array(tmp_path / "pack" / folder_of(volume.identity), mode="r")
    assert bits(stored[...]) == bits(volume.data)
    assert bits(pack.volume(volume.identity).data) == bits(volume.data)
    assert check(pack).faults == ()


@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 64, 64), (65, 1, 129), (2, 200, 64)])
def test_every_shape_is_one_shard_of_cubes(tmp_path: Path, shape) -> None:
    volume = Volume.from_stored(np.arange(np.prod(shape), dtype="i4").reshape(shape), np.eye(4))
    pack = pack_of(tmp_path / "pack", volume)
    folder = tmp_path / "pack" / folder_of(volume.identity)
    assert sorted(os.listdir(folder)) == ["c.0.0.0", "zarr.json"]
    said = json.loads((folder / "zarr.json").read_text("utf-8"))
    assert said["zarr_format"] == 3
    (sharding,) = said["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert sharding["configuration"]["chunk_shape"] == [64, 64, 64]
    stored = zarr.open_array(folder, mode="r")
    assert stored.chunks == (64, 64, 64)
    assert bits(stored[...]) == bits(pack.volume(volume.identity).data) == bits(volume.data)


def test_zeros_alone_are_a_shard_as_well(tmp_path: Path) -> None:
    volume = Volume.from_stored(np.zeros((65, 64, 3), "i2"), np.eye(4))
    pack = pack_of(tmp_path / "pack", volume)
    assert not pack.volume(volume.identity).data.any()
    assert check(pack).faults == ()


def test_the_array_says_where_it_is_and_what_it_means(tmp_path: Path) -> None:
    volume = volume_of(1)
    pack_of(tmp_path / "pack", volume)
    stored = zarr.open_array(tmp_path / "pack" / folder_of(volume.identity), mode="r")
    said = stored.attrs["mrissl"]
    assert said["axes"] == "S, A, R"
    assert said["affine"] == volume.affine[:3].tolist()
    assert (said["slope"], said["intercept"]) == (0.5, -3.0)
    assert said["identity"] == volume.identity
    assert stored.metadata.dimension_names == ("s", "a", "r")


def test_the_volume_that_comes_back_is_the_same(tmp_path: Path) -> None:
    volume = volume_of(1)
    found = pack_of(tmp_path / "pack", volume).volume(volume.identity)
    assert np.array_equal(found.affine, volume.affine)
    assert (found.shape, found.identity) == (volume.shape, volume.identity)
    assert found.value_range() == volume.value_range()
    assert found.value_range(2, 90) == volume.value_range(2, 90)
    assert found.display_window() == volume.display_window()
    assert np.array_equal(found.to_index, volume.to_index)
    with pytest.raises(ValueError, match="read-only"):
        found.data[0, 0, 0] = 1


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.packed import volume_of
from napari_mrissl.packs import PackWriter, writing

place = sys.argv[3]
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
writer = PackWriter(Path(sys.argv[1]))
facts = {"values": "0" * 64, "subject": "s"}
entries = [writer.write(volume_of(1), facts | {"name": "scan-1"})]
setattr(*{"shard": (writing, "_sha256", killed), "check": (writing, "_check_same", killed),
    "sync": (writing, "sync_folder", killed), "manifest": (writing, "write_atomically", killed),
}[place])
entries.append(writer.write(volume_of(2), facts | {"name": "scan-2"}))
writer.commit(entries)
"""


@pytest.mark.parametrize("place", ["shard", "check", "sync", "manifest"])
def test_a_writer_that_is_killed_anywhere_leaves_what_was_complete(tmp_path, place) -> None:
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-c", KILLED, str(tmp_path / "pack"), str(root), place]
    ended = subprocess.run(words, cwd=root, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    first, second = volume_of(1), volume_of(2)
    before = os.stat(tmp_path / "pack" / shard_of(first.identity)).st_mtime_ns
    writer = PackWriter(tmp_path / "pack")
    assert not list((tmp_path / "pack").glob(".mrissl-*"))
    found = writer.stored(first.identity, "scan-1", "s")
    assert found is not None
    # Renamed into place before the kill, or not at all.
    assert (writer.stored(second.identity, "scan-2", "s") is not None) == (place == "manifest")
    again = writer.write(second, {"values": "0" * 64, "name": "scan-2", "subject": "s"})
    pack = Pack(writer._place, writer.commit([found, again]))
    assert check(pack).faults == ()
    assert os.stat(tmp_path / "pack" / shard_of(first.identity)).st_mtime_ns == before


def test_what_was_left_but_is_damaged_is_written_again(tmp_path: Path) -> None:
    volume = volume_of(1)
    facts = {"values": "0" * 64, "name": "scan-1", "subject": "s"}
    PackWriter(tmp_path / "pack").write(volume, facts)
    shard = tmp_path / "pack" / shard_of(volume.identity)
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.write_bytes(content)
    writer = PackWriter(tmp_path / "pack")
    assert writer.stored(volume.identity, "scan-1", "s") is None
    entry = writer.write(volume, facts)
    assert check(Pack(writer._place, writer.commit([entry]))).faults == ()
    shard.unlink()
    assert PackWriter(tmp_path / "pack").stored(volume.identity, "scan-1", "s") is None


def test_a_folder_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("work of years", "utf-8")
    with pytest.raises(MrisslError, match="something else than a pack"):
        PackWriter(tmp_path)
    with pytest.raises(MrisslError, match="is a file"):
        PackWriter(tmp_path / "thesis.txt")
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_disk_that_refuses_leaves_nothing_half(tmp_path: Path, monkeypatch) -> None:
    writer = PackWriter(tmp_path / "pack")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_mrissl.packs.writing.sync_folder", full)
    with pytest.raises(MrisslError, match="No space left on device"):
        writer.write(volume_of(1), {"values": "0" * 64, "name": "scan-1", "subject": "s"})
    assert os.listdir(tmp_path / "pack") == ["volumes"]
    assert not list((tmp_path / "pack" / "volumes").rglob("*.0"))
