"""Packs made to do harm: each is refused by a sentence, before memory is taken or a file left."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from tests.attacks.harm import refusal

pytest.importorskip("zarr")

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import MANIFEST, Pack, check
from napari_mrissl.packs.manifest import Manifest
from napari_mrissl.packs.shards import folder_of, index_bytes, shard_of
from napari_mrissl.volumes import Volume
from tests.packed import pack_of

SHAPE = (70, 64, 64)


class Bench:
    """A good pack of one volume, whose parts can be spoiled so that all checksums fit again."""

    def __init__(self, folder: Path) -> None:
        voxels = np.random.default_rng(0).integers(0, 50, SHAPE).astype("i2")
        self.volume = Volume.from_stored(voxels, np.eye(4))
        self.folder = folder / "pack"
        self.entry = pack_of(self.folder, self.volume).manifest.entries[0]
        self.shard = self.folder / shard_of(self.entry.identity)
        self.zarr = self.folder / folder_of(self.entry.identity) / "zarr.json"
        self.index = index_bytes(self.entry.shape)

    def rewritten(self, content: bytes, **changes: object) -> None:
        """Another shard, and a manifest that agrees with it."""
        self.shard.write_bytes(content)
        said = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} | changes
        self.entry = self.entry.model_copy(update=said)
        (self.folder / MANIFEST).write_bytes(Manifest("ab" * 16, (self.entry,)).dump())

    def with_index(self, index: np.ndarray) -> bytes:
        """The shard with another index, whose checksum fits."""
        body = index.astype("<u8").tobytes()
        return self.shard.read_bytes()[: -self.index] + body + _crc(body)

    def places(self) -> np.ndarray:
        return np.frombuffer(self.shard.read_bytes()[-self.index : -4], "<u8").reshape(-1, 2).copy()

    def with_chunk(self, chunk: bytes) -> bytes:
        """The shard whose first chunk is another one, whose checksum fits."""
        index = self.places()
        index[0] = 0, len(chunk) + 4
        body = index.astype("<u8").tobytes()
        rest = self.shard.read_bytes()[: -self.index]
        first = chunk + _crc(chunk)
        content = first + rest[len(first) :]
        assert len(first) <= len(rest)
        return content + body + _crc(body)

    def chunk(self) -> bytes:
        offset, length = (int(number) for number in self.places()[0])
        return self.shard.read_bytes()[offset : offset + length - 4]

    def said(self) -> str:
        """What is said of the volume when a crop of it, and when all of it, is read."""

        def part(folder: Path) -> None:
            volume = Pack.open(folder).volume(self.entry.identity)
            assert volume is not None
            volume.region((0, 0, 0), (66, 5, 5))

        def whole(folder: Path) -> None:
            volume = Pack.open(folder).volume(self.entry.identity)
            assert volume is not None
            _ = volume.data

        refusal(whole, self.folder, 300)
        return refusal(part, self.folder, 300)


def _crc(content: bytes) -> bytes:
    return int(google_crc32c.value(content)).to_bytes(4, "little")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_the_bench_makes_is_read_while_it_is_not_spoiled(bench) -> None:
    bench.rewritten(bench.with_index(bench.places()))
    bench.rewritten(bench.with_chunk(bench.chunk()))
    pack = Pack.open(bench.folder)
    assert np.array_equal(pack.volume(bench.entry.identity).data, bench.volume.data)


@pytest.mark.parametrize(
    "place",
    [
        (0, 1 << 62),
        (1 << 62, 100),
        ((1 << 64) - 100, 200),
        (0, (1 << 64) - 1),
        ((1 << 64) - 1, 100),
        (0, 3),
        (0, 0),
        (0, 64**3 * 2 + 1000),
    ],
)
def test_an_index_that_points_beyond_its_shard(bench, place) -> None:
    index = bench.places()
    index[0] = np.array(place, np.uint64)
    bench.rewritten(bench.with_index(index))
    assert "points beyond it" in bench.said()


@pytest.mark.parametrize("size", [0, 1, (1 << 31) - 1, (1 << 32) - 1, 64**3 * 2 + 1])
def test_a_chunk_that_says_it_expands_to_another_size(bench, size) -> None:
    chunk = bytearray(bench.chunk())
    chunk[4:8] = struct.pack("<I", size)
    bench.rewritten(bench.with_chunk(bytes(chunk)))
    assert f"would expand to {size} bytes" in bench.said()


def test_a_chunk_that_says_another_length_of_itself(bench) -> None:
    chunk = bytearray(bench.chunk())
    chunk[12:16] = struct.pack("<I", 1 << 30)
    bench.rewritten(bench.with_chunk(bytes(chunk)))
    assert "would expand" in bench.said()


FUZZ = """
import sys
from pathlib import Path
import numpy as np
sys.path[:0] = sys.argv[2:]
from test_packs import Bench, Pack, MrisslError
bench = Bench(Path(sys.argv[1]))
good, rng, refused = bench.chunk(), np.random.default_rng(0), 0
for _ in range(150):
    chunk = bytearray(good)
    for place in rng.integers(0, 40 if rng.random() < 0.5 else len(chunk), 3):
        if not 4 <= place < 8 and not 12 <= place < 16:
            chunk[place] = rng.integers(256)
    whole = bench.shard.read_bytes()
    bench.rewritten(bench.with_chunk(bytes(chunk)))
    try:
        Pack.open(bench.folder).volume(bench.entry.identity).region((0, 0, 0), (5, 5, 5))
    except MrisslError:
        refused += 1
    bench.rewritten(whole)
print("refused", refused)
"""


def test_chunks_of_any_bytes_are_refused_or_read_and_never_crash(tmp_path: Path) -> None:
    here = Path(__file__).resolve()
    words = [sys.executable, "-c", FUZZ, str(tmp_path), *map(str, (here.parent, here.parents[2]))]
    ended = subprocess.run(words, capture_output=True, encoding="utf-8", check=False, timeout=250)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) > 10


@pytest.mark.parametrize("length", [0, 1, 10, 1000])
def test_a_shard_that_was_cut_off(bench, length) -> None:
    os.truncate(bench.shard, length)
    assert "shorter than the manifest says" in bench.said()
    (fault,) = check(Pack.open(bench.folder)).faults
    assert f"the shard has {length} bytes" in fault


def test_a_tiny_shard_that_the_manifest_agrees_with(bench) -> None:
    bench.rewritten(b"tiny")
    assert "too short for its index" in bench.said()


def test_a_missing_shard(bench) -> None:
    bench.shard.unlink()
    assert "No such file" in bench.said()
    assert len(check(Pack.open(bench.folder)).faults) == 1


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "folder"])
def test_a_shard_that_is_no_file(bench, tmp_path, kind) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bench.shard.read_bytes())
    bench.shard.unlink()
    if kind == "link":
        bench.shard.symlink_to(secret)
    elif kind == "folder link":
        bench.shard.symlink_to(tmp_path)
    elif kind == "pipe":
        os.mkfifo(bench.shard)
    else:
        bench.shard.mkdir()
    assert "could not be read" in bench.said()


@pytest.mark.parametrize("place", ["volumes", "middle", "identity"])
def test_a_folder_that_leads_out_of_the_pack(bench, tmp_path, place) -> None:
    folder = bench.shard.parents[{"volumes": 2, "middle": 1, "identity": 0}[place]]
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert "could not be read" in bench.said()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shape", [1 << 40] * 3),
        ("shape", [70, 64, 65]),
        ("data_type", "float64"),
        ("data_type", "object"),
        ("fill_value", 7),
        ("zarr_format", 2),
        ("codecs", [{"name": "pickle"}]),
        ("codecs", [{"name": "numcodecs.pickle", "configuration": {}}]),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [1, 1, 1]}}),
        ("storage_transformers", [{"name": "x"}]),
        ("attributes", {"mrissl": {"affine": []}}),
        ("must_understand_this", {"name": "exec"}),
    ],
)
def test_metadata_that_says_something_else_is_found_and_never_used(bench, field, value) -> None:
    said = json.loads(bench.zarr.read_text("utf-8"))
    bench.zarr.write_text(json.dumps(said | {field: value}), "utf-8")
    pack = Pack.open(bench.folder)
    assert np.array_equal(pack.volume(bench.entry.identity).data, bench.volume.data)
    (fault,) = check(pack).faults
    assert "zarr.json" in fault


@pytest.mark.parametrize("content", [b"", b"[" * 10_000, b"{}", b"\xff\xfe", b" " * 100_000])
def test_metadata_that_is_none(bench, content) -> None:
    bench.zarr.write_bytes(content)
    assert len(check(Pack.open(bench.folder)).faults) == 1


def test_a_volume_larger_than_the_memory_is_refused_before_it_takes_any(bench) -> None:
    bench.rewritten(bench.shard.read_bytes(), shape=(32_768,) * 3, dtype="float64")
    assert "of memory" in bench.said()


@pytest.mark.parametrize("size", [1 << 50, 10**300], ids=["large", "absurd"])
def test_a_shard_that_is_said_to_be_huge(bench, size) -> None:
    os.truncate(bench.shard, 1 << 40)
    bench.entry = bench.entry.model_copy(update={"bytes": size})
    (bench.folder / MANIFEST).write_bytes(Manifest("ab" * 16, (bench.entry,)).dump())
    assert "larger than one can be" in bench.said()


def test_voxels_of_another_volume_are_found_by_its_identity(bench) -> None:
    bench.rewritten(bench.shard.read_bytes(), slope=1.0, affine=((2.0, 0, 0, 0),) * 3)
    with pytest.raises(MrisslError):
        Pack.open(bench.folder).volume(bench.entry.identity)
    bench.rewritten(
        bench.shard.read_bytes(), affine=((0.0, 0, 2, 0), (0.0, 2, 0, 0), (2.0, 0, 0, 0))
    )
    faults = check(Pack.open(bench.folder)).faults
    assert len(faults) == 1


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "huge"])
def test_a_manifest_that_is_no_file_or_too_large(bench, tmp_path, kind) -> None:
    path = bench.folder / MANIFEST
    path.rename(tmp_path / "secret")
    if kind == "link":
        path.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    refusal(Pack.open, bench.folder, 300)
