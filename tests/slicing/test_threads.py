"""Threads: the limit is kept, every row is done once, and errors come through."""

import threading

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing import set_threads, threads


@pytest.fixture(autouse=True)
def reset(monkeypatch):
    """Any number of cores; the limit is taken back afterwards."""
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    yield
    set_threads(None)


@pytest.mark.parametrize("count", [1, 2, 3, None])
def test_every_row_is_done_once(count):
    set_threads(count)
    done, lock = [], threading.Lock()
    names = set()

    def run(first, last):
        with lock:
            done.extend(range(first, last))
            names.add(threading.get_ident())

    for rows in (1, 2, 7, 1000):
        done.clear()
        threads.over_rows(run, rows, 10**6)
        assert sorted(done) == list(range(rows))
    assert len(names) <= (count or 4)


def test_little_work_stays_in_the_callers_thread():
    names = set()
    threads.over_rows(lambda first, last: names.add(threading.get_ident()), 100, 100)
    assert names == {threading.get_ident()}


def test_limits_add_up(monkeypatch):
    assert threads.threads() == 4
    set_threads(3)
    assert threads.threads() == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    assert threads.threads() == 2
    monkeypatch.setenv("NUMBA_NUM_THREADS", "many")
    assert threads.threads() == 3
    set_threads(100)
    assert threads.threads() == 4


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_unusable_counts_are_named(count):
    with pytest.raises(MrisslError, match="thread count"):
        set_threads(count)


def test_errors_in_any_thread_come_through():
    def run(first, last):
        if first:
            raise RuntimeError("row")

    with pytest.raises(RuntimeError, match="row"):
        threads.over_rows(run, 100, 10**6)


def test_many_callers_at_once():
    sums = []

    def call():
        total, lock = [0], threading.Lock()

        def run(first, last):
            with lock:
                total[0] += last - first

        for _ in range(50):
            threads.over_rows(run, 100, 10**6)
        sums.append(total[0])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sums == [5000] * 4


def test_no_new_threads_at_shutdown_is_no_obstacle(monkeypatch):
    class Closed:
        def submit(self, work):
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(threads, "_workers", Closed)
    done = []
    threads.over_rows(lambda first, last: done.extend(range(first, last)), 50, 10**6)
    assert sorted(done) == list(range(50))
