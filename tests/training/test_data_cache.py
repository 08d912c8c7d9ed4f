"""The cache of decoded scans stays within its bound and decodes each scan once at a time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.crops import cut, draw_crop
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.data import scans, spill
from napari_mrissl.training.data.cache import GIB, DecodedCache, scan_bytes
from napari_mrissl.training.data.cohort import load
from napari_mrissl.training.data.places import read_known
from napari_mrissl.training.data.scans import ScanSubjects
from napari_mrissl.training.data.spill import bytes_in_memory
from napari_mrissl.volumes import Volume, read
from tests.training.cohorts import SHAPE, write_scan


def scan(number: int, side: int = 10) -> Scan:
    volume = Volume.from_stored(np.full((side,) * 3, number, np.uint8), np.eye(4))
    return Scan(volume, 0.0, 1.0, f"subject-{number:03d}", f"{number:064x}")


def test_the_least_recently_used_goes_first_and_the_bound_holds() -> None:
    made: list[int] = []

    def make(number: int) -> Scan:
        made.append(number)
        return scan(number)

    cache = DecodedCache(3000)

    def get(number: int) -> Scan:
        found = cache.get(number, partial(make, number))
        assert cache.nbytes <= 3000
        return found

    for number in (0, 1, 2, 0, 3, 0):
        assert get(number).volume.data[0, 0, 0] == number
    assert made == [0, 1, 2, 3]
    # 1 went for 3; 2 goes for 1; 0 was used in between.
    for number in (1, 0, 2):
        get(number)
    assert made == [0, 1, 2, 3, 1, 2]
    assert cache.nbytes == 3000


def test_a_scan_larger_than_the_bound_is_kept_until_the_next() -> None:
    cache = DecodedCache(500)
    first = cache.get(0, lambda: scan(0))
    assert cache.get(0, lambda: scan(99)) is first
    cache.get(1, lambda: scan(1))
    assert len(cache) == 1
    assert cache.nbytes == 1000


def test_labels_count_too() -> None:
    bare = scan(0)
    labelled = Scan(
        bare.volume, 0.0, 1.0, bare.subject, bare.identity, np.zeros((10, 10, 10), np.int32)
    )
    assert scan_bytes(labelled) == 1000 + 4000


def test_threads_that_want_the_same_scan_wait_for_one_to_decode_it() -> None:
    made: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def make(number: int) -> Scan:
        made.append(number)
        started.set()
        assert go_on.wait(60)
        return scan(number)

    cache = DecodedCache(1 << 20)
    with ThreadPoolExecutor(6) as pool:
        same = [pool.submit(cache.get, 5, partial(make, 5)) for _ in range(5)]
        assert started.wait(60)
        # Another scan does not wait behind it.
        assert pool.submit(cache.get, 6, partial(scan, 6)).result(60).subject == "subject-006"
        go_on.set()
        assert len({id(job.result(60)) for job in same}) == 1
    assert made == [5]


def test_a_failure_is_told_to_its_caller_and_the_next_tries_again() -> None:
    cache = DecodedCache(1 << 20)

    def fail() -> Scan:
        raise OSError("disk gone")

    for _ in range(2):
        with pytest.raises(OSError, match="disk gone"):
            cache.get(0, fail)
    assert cache.get(0, lambda: scan(0)).subject == "subject-000"


def subjects_on_disk(tmp_path: Path, cache_gib: float) -> ScanSubjects:
    for number in range(6):
        write_scan(tmp_path / f"{number}.nii.gz", number, slope=2.0, inter=-3.0)
    made = load([tmp_path], share=0)
    return ScanSubjects(made.records, made.settings(cache_gib=cache_gib))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    decoded: list[str] = []

    def read_counted(identity: str, subject: str) -> Volume:
        decoded.append(identity)
        return read_known(identity, subject)

    monkeypatch.setattr(scans, "read_known", read_counted)
    return decoded


def test_a_cohort_larger_than_the_cache_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_scans = 2.5 * np.prod(SHAPE) * 2 / GIB
    subjects = subjects_on_disk(tmp_path, two_scans)
    decoded = counted(monkeypatch)
    first = [
        (s.volume.data.copy(), s.volume.affine, s.low, s.high) for s in map(subjects.scan, range(6))
    ]
    for number in (3, 0, 5, 1, 4, 2, 0, 3):
        scan = subjects.scan(number)
        data, affine, low, high = first[number]
        np.testing.assert_array_equal(scan.volume.data, data)
        np.testing.assert_array_equal(scan.volume.affine, affine)
        assert (scan.low, scan.high) == (low, high)
        assert scan.identity == scan.volume.identity
        assert subjects._cache.nbytes <= subjects._cache.limit
    # Two are still in memory when the second round begins; they leave for disk later.
    assert len(decoded) == 6
    record = draw_crop(np.random.default_rng(0), subjects.scan(0), 8, 5.0)
    assert bytes_in_memory(subjects.scan(0).volume.data) == 0
    crop = cut(subjects.scan(0), record)
    whole = replace(subjects.scan(0).volume, data=first[0][0])
    np.testing.assert_array_equal(cut(replace(subjects.scan(0), volume=whole), record), crop)


def test_what_fits_is_not_written_to_disk(tmp_path: Path) -> None:
    subjects = subjects_on_disk(tmp_path, 1.0)
    for number in range(6):
        assert bytes_in_memory(subjects.scan(number).volume.data) == 2 * np.prod(SHAPE)
    assert not (cache_directory() / "decoded").exists()


def test_a_damaged_file_on_disk_is_decoded_again(tmp_path: Path) -> None:
    volume = read(write_scan(tmp_path / "a.nii", 1))
    assert spill.mapped(volume.identity) is None
    assert spill.spill(volume)
    found = spill.mapped(volume.identity)
    assert found is not None
    np.testing.assert_array_equal(found.data, volume.data)
    path = cache_directory() / "decoded" / f"{volume.identity}.npy"
    whole = path.read_bytes()
    for damage in (
        whole[:-1],
        whole[:40],
        b"",
        whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:],
    ):
        path.write_bytes(damage)
        assert spill.mapped(volume.identity) is None
        assert not path.exists()
        assert spill.spill(volume)
    (path.with_suffix(".json")).write_text('{"affine": "no"}', encoding="utf-8")
    assert spill.mapped(volume.identity) is None


def test_a_full_disk_keeps_nothing_and_old_files_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, other = (read(write_scan(tmp_path / f"{k}.nii", k)) for k in (1, 2))
    with monkeypatch.context() as patched:
        patched.setattr(spill, "FREE_BYTES", 1 << 60)
        assert not spill.spill(volume)
    assert spill.spill(volume)
    assert spill.spill(other)
    path = cache_directory() / "decoded" / f"{volume.identity}.npy"
    long_ago = path.stat().st_mtime - (spill.KEPT_DAYS + 1) * 86_400
    os.utime(path, (long_ago, long_ago))
    spill.forget_unused()
    assert spill.mapped(volume.identity) is None
    assert spill.mapped(other.identity) is not None


@pytest.mark.parametrize("damage", ["changed", "cut", "gone data file"])
def test_what_is_said_of_a_scan_names_its_subject_and_no_file(tmp_path: Path, damage: str) -> None:
    # Such sentences reach the events of a run, which are shared.
    path = write_scan(tmp_path / "DOE_JANE.nii.gz", 1)
    if damage == "gone data file":
        header = "NDims = 3\nDimSize = 7 6 5\nElementType = MET_UCHAR\n"
        path = tmp_path / "DOE_JANE.mhd"
        path.write_text(f"{header}ElementDataFile = DOE_JANE.raw\n", encoding="utf-8")
        (tmp_path / "DOE_JANE.raw").write_bytes(bytes(7 * 6 * 5))
    identity = load([path], share=0).records[0].identity
    if damage == "changed":
        write_scan(path, 2)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        (tmp_path / "DOE_JANE.raw").unlink()
    with pytest.raises(MrisslError, match=r"^subject-001: ") as said:
        read_known(identity, "subject-001")
    assert "DOE" not in str(said.value)
