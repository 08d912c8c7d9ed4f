"""Parts of packs are read as parts, from folders and URLs alike, and are the same voxels."""

import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest

pytest.importorskip("zarr")

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import Pack, PackedVolume, check, is_pack
from napari_mrissl.packs import places as places_module
from napari_mrissl.pretext.crops import crop_at, cut, draw_crop
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume
from tests.packed import Counting, counted, pack_of, served, volume_of


def scan_of(volume: Volume) -> Scan:
    return Scan(volume, *volume.value_range(), "subject-001", volume.identity)


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> tuple[Path, Volume]:
    volume = volume_of(3, (200, 180, 190))
    folder = tmp_path_factory.mktemp("packed") / "pack"
    pack_of(folder, volume)
    return folder, volume


def chunks_of_box(lower: np.ndarray, upper: np.ndarray, shape: tuple[int, ...]) -> int:
    """How many cubes of 64 hold a voxel that interpolation in a box looks at, by looking."""
    axes = []
    for low, high, extent in zip(lower, upper, shape, strict=True):
        places = np.clip(np.linspace(low, high, 2000), 0, extent - 1)
        below = np.minimum(places.astype(int), extent - 2)
        axes.append({int(k) // 64 for k in np.concatenate([below, below + 1])})
    return int(np.prod([len(axis) for axis in axes]))


def test_opening_reads_the_manifest_alone(packed) -> None:
    folder, volume = packed
    with counted() as reads:
        pack = Pack.open(f"counted://{folder}")
        pack.volume(volume.identity).value_range()
    assert {Path(path).name for path, _ in reads} == {"manifest.jsonl"}


def test_a_crop_reads_its_chunks_and_a_crop_beside_it_no_more(packed) -> None:
    folder, volume = packed
    pack = Pack.open(f"counted://{folder}")
    size = pack.manifest.entries[0].bytes
    found = scan_of(pack.volume(volume.identity))
    record = crop_at(found, (32.0, 32.0, 32.0), 24, 24.0)
    with counted() as reads:
        crop = cut(found, record)
    assert np.array_equal(crop, cut(scan_of(volume), record))
    # Of 36 chunks one, and the index.
    assert sum(count for _, count in reads) < size / 20
    with counted() as reads:
        cut(found, crop_at(found, (30.0, 33.0, 31.0), 24, 24.0))
    assert reads == []


def test_random_crops_are_bit_equal_and_read_no_chunk_that_they_do_not_touch(packed) -> None:
    folder, volume = packed
    pack = Pack.open(f"counted://{folder}")
    whole = scan_of(volume)
    parts = []
    for seed in range(25):
        fresh = scan_of(pack.volume(volume.identity))
        with counted() as reads:
            rng = np.random.default_rng(seed)
            record = draw_crop(rng, fresh, 32, 40.0, scale=(0.3, 1.2), least_mean=0.0)
            crop = cut(fresh, record)
        expected = draw_crop(
            np.random.default_rng(seed), whole, 32, 40.0, scale=(0.3, 1.2), least_mean=0.0
        )
        assert record == expected
        assert np.array_equal(crop, cut(whole, expected))
        chunks = fresh.volume.chunks._read
        touched = chunks_of_box(np.array(record.lower), np.array(record.upper), volume.shape)
        assert chunks.sum() == touched
        parts.append(sum(count for _, count in reads) / pack.manifest.entries[0].bytes)
    assert np.mean(parts) < 0.25


@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 65, 2), (1, 130, 64)])
def test_boxes_beyond_a_small_volume_are_its_outermost_voxels(tmp_path: Path, shape) -> None:
    from napari_mrissl.pretext.crops import cut_box

    rng = np.random.default_rng(0)
    volume = Volume.from_stored(rng.integers(1, 9, shape).astype("u1"), np.eye(4))
    pack = pack_of(tmp_path / "pack", volume)
    for lower in (-3.0, -0.5, 0.0, 63.4, 64.0):
        corners = (lower,) * 3, (lower + 3.2,) * 3
        ours, theirs = np.empty((2, 5, 5, 5), np.float32)
        cut_box(Scan(pack.volume(volume.identity), 0, 9, "s", volume.identity), *corners, ours)
        cut_box(Scan(volume, 0, 9, "s", volume.identity), *corners, theirs)
        assert np.array_equal(ours, theirs)


def test_the_whole_is_read_once_and_completes_what_was_read(packed) -> None:
    folder, volume = packed
    pack = Pack.open(f"counted://{folder}")
    found = pack.volume(volume.identity)
    cut(scan_of(found), crop_at(scan_of(found), (90.0, 90.0, 90.0), 30, 30.0))
    assert np.array_equal(found.data, volume.data)
    with counted() as reads:
        assert np.array_equal(found.data, volume.data)
        found.region((0, 0, 0), (500, 500, 500))
    assert reads == []


def test_many_threads_share_one_volume(packed) -> None:
    folder, volume = packed
    found = scan_of(Pack.open(folder).volume(volume.identity))
    whole = scan_of(volume)
    wrong: list[int] = []

    def work(first: int) -> None:
        for seed in range(first, first + 15):
            record = draw_crop(np.random.default_rng(seed), found, 20, 25.0, least_mean=0.0)
            if not np.array_equal(cut(found, record), cut(whole, record)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(100 * k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_pack_in_the_memory_file_system_is_read_alike(packed) -> None:
    folder, volume = packed
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/bucket/pack", recursive=True)
    try:
        pack = Pack.open("memory://bucket/pack")
        assert np.array_equal(pack.volume(volume.identity).data, volume.data)
        assert check(pack).faults == ()
    finally:
        system.rm("/bucket", recursive=True)
    with pytest.raises(MrisslError, match="could not be read"):
        Pack.open("memory://bucket/pack")


def test_a_server_is_asked_for_ranges(packed) -> None:
    pytest.importorskip("aiohttp")
    folder, volume = packed
    with served(folder.parent) as (url, sent):
        pack = Pack.open(f"{url}/pack")
        found = scan_of(pack.volume(volume.identity))
        sent.clear()
        record = crop_at(found, (60.0, 60.0, 60.0), 40, 40.0)
        assert np.array_equal(cut(found, record), cut(scan_of(volume), record))
        assert 0 < sum(sent) < pack.manifest.entries[0].bytes / 2
        assert check(pack).faults == ()
        with pytest.raises(MrisslError, match="could not be read"):
            Pack.open(f"{url}/none")
    with served(folder.parent, ranges=False) as (url, _):
        # Its manifest is whole; of parts such a server knows nothing.
        pack = Pack.open(f"{url}/pack")
        with pytest.raises(MrisslError, match="gives no parts of files"):
            cut(scan_of(pack.volume(volume.identity)), record)


@pytest.mark.slow
def test_a_bucket_of_an_object_store_is_read_alike(packed, monkeypatch) -> None:
    s3fs = pytest.importorskip("s3fs")
    servers = pytest.importorskip("moto.server")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    folder, volume = packed
    server = servers.ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
        system = s3fs.S3FileSystem()
        system.mkdir("bucket")
        system.put(str(folder), "bucket/pack", recursive=True)
        pack = Pack.open("s3://bucket/pack")
        found = scan_of(pack.volume(volume.identity))
        record = crop_at(found, (60.0, 60.0, 60.0), 40, 40.0)
        assert np.array_equal(cut(found, record), cut(scan_of(volume), record))
        assert not found.volume.chunks._read.all()
        assert check(pack).faults == ()
        with pytest.raises(MrisslError, match="could not be read"):
            Pack.open("s3://bucket/none")
    finally:
        server.stop()


def test_a_connection_that_breaks_is_tried_again_and_one_that_stays_broken_is_said(
    packed, monkeypatch
) -> None:
    monkeypatch.setattr(places_module, "_PAUSE_SECONDS", 0.0)
    folder, volume = packed
    pack = Pack.open(f"counted://{folder}")
    with counted() as reads:
        Counting.failures += [TimeoutError(), ConnectionResetError()]
        assert np.array_equal(pack.volume(volume.identity).data, volume.data)
        assert len(reads) == 1
        Counting.failures += [RuntimeError("token 123")] * 3
        with pytest.raises(MrisslError, match=r"could not be read \(RuntimeError\)") as told:
            _ = pack.volume(volume.identity).data
        assert "123" not in str(told.value)
        # A file that is not there does not come by waiting.
        Counting.failures += [FileNotFoundError()] * 3
        with pytest.raises(MrisslError, match="no such file"):
            _ = pack.volume(volume.identity).data
        assert len(Counting.failures) == 2


@pytest.mark.parametrize("answers", [[503, 503], [429], [0, 0], [503, 0]])
def test_a_server_that_is_busy_for_a_while_is_asked_again(packed, monkeypatch, answers) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(places_module, "_PAUSE_SECONDS", 0.0)
    folder, volume = packed
    # Each time its size is asked for twice, in two ways.
    with served(folder.parent, first=[one for one in answers for _ in range(2)]) as (url, _):
        pack = Pack.open(f"{url}/pack")
        assert pack.manifest.entries[0].identity == volume.identity


@pytest.mark.parametrize(
    ("answer", "said", "again"),
    [(503, "the server answered 503", True), (0, "did not answer", True),
     (404, "no such file", False), (403, "the server answered 403", False)],
)  # fmt: skip
def test_what_a_server_answers_is_said(packed, monkeypatch, answer, said, again) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(places_module, "_PAUSE_SECONDS", 0.0)
    folder, _ = packed
    answers = [answer] * 20
    with served(folder.parent, first=answers) as (url, _):
        with pytest.raises(MrisslError, match=said):
            Pack.open(f"{url}/pack")
        assert (20 - len(answers) > 2) == again


def test_near_spans_are_read_as_one(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(300_000)
    (tmp_path / "file").write_bytes(content)
    place = places_module.RemotePlace(f"counted://{tmp_path}")
    spans = [(200_000, 200_100), (0, 10), (5_000, 5_010), (5_005, 6_000), (290_000, 290_001)]
    with counted() as reads:
        found = place.spans("file", spans)
    assert found == [content[a:b] for a, b in spans]
    assert [count for _, count in reads] == [6_000, 100, 1]
    with pytest.raises(MrisslError, match="shorter than"):
        place.spans("file", [(299_000, 301_000)])


def test_what_no_package_can_open_is_said_without_the_urls_secrets() -> None:
    for url in ("nothing://user:secret@host/pack", "s3+none://key:secret@host/pack?sig=secret"):
        with pytest.raises(MrisslError) as told:
            Pack.open(url)
        assert "secret" not in str(told.value)
        assert "pack" in str(told.value)


def test_a_folder_is_a_pack_by_its_manifest_and_volumes(packed, tmp_path: Path) -> None:
    assert is_pack(packed[0])
    assert is_pack(str(packed[0]))
    assert is_pack("s3://bucket/pack")
    assert not is_pack(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("{}\n", "utf-8")
    assert not is_pack(tmp_path)
    assert not is_pack("a\0b")


def test_a_packed_volume_stays_in_its_process(packed) -> None:
    import copy

    found = Pack.open(packed[0]).volume(packed[1].identity)
    assert isinstance(found, PackedVolume)
    assert "Chunks" not in repr(found)
    with pytest.raises(TypeError, match="stays in its process"):
        copy.copy(found)
