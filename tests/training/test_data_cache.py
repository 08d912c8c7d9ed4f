"""The cache of decoded scans stays within its bound and decodes each scan once at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.data.cache import DecodedCache, scan_bytes
from napari_mrissl.volumes import Volume


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
