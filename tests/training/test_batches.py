"""Batches are a function of seed and step: not of threads, processes or where a run began."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.batches import Batches, digest, made, shares
from tests.training.toy import Blobs, Toy, ToySettings

TASK = Toy(ToySettings())


def digests(first, last, numbers, workers=0, shuffled=False, seed=3):
    with Batches(
        TASK, Blobs(), seed=seed, batch=8, numbers=numbers, workers=workers, shuffled=shuffled
    ) as batches:
        return [digest(parts) for parts in batches.steps(first, last)]


def test_any_number_of_threads_makes_the_same_batches():
    numbers = shares(8, 2, 0, 1)
    expected = digests(0, 6, numbers)
    assert len(set(expected)) == 6
    assert digests(0, 6, numbers, workers=2) == expected
    assert digests(0, 6, numbers, workers=4) == expected
    assert digests(4, 6, numbers, workers=2) == expected[4:]
    assert digests(0, 6, numbers, seed=4) != expected


def test_processes_share_each_part_of_a_batch():
    for parts, world in ((1, 1), (2, 1), (1, 4), (2, 2), (4, 2)):
        by_rank = [shares(8, parts, rank, world) for rank in range(world)]
        each = 8 // parts
        for part in range(parts):
            numbers = [n for rank in range(world) for n in by_rank[rank][part]]
            assert numbers == list(range(part * each, (part + 1) * each))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(MrisslError, match="3 processes; expected a multiple of 6"):
        shares(8, 2, 0, 3)


def test_the_parts_of_two_processes_are_those_of_one():
    def arrays(rank, world):
        numbers = shares(8, 2, rank, world)
        with Batches(TASK, Blobs(), seed=3, batch=8, numbers=numbers) as batches:
            return [part.arrays["image"] for part in next(batches.steps(5, 6))]

    alone, first, second = arrays(0, 1), arrays(0, 2), arrays(1, 2)
    for part in range(2):
        np.testing.assert_array_equal(alone[part], np.concatenate([first[part], second[part]]))


def test_shuffled_targets_are_never_the_samples_own():
    for step in range(5):
        keys = [SampleKey(3, step, number) for number in range(8)]
        own = [TASK.sample(Blobs(), key) for key in keys]
        shuffled = [made(TASK, Blobs(), key, 8, shuffled=True) for key in keys]
        for number in range(8):
            image, clean = shuffled[number].arrays["image"], shuffled[number].arrays["clean"]
            np.testing.assert_array_equal(image, own[number].arrays["image"])
            assert not np.array_equal(clean, own[number].arrays["clean"])
            other = shuffled[number].record["targets of"]
            np.testing.assert_array_equal(clean, own[other].arrays["clean"])
        assert sorted(s.record["targets of"] for s in shuffled) == list(range(8))


def test_a_method_without_targets_has_no_null_control(monkeypatch):
    monkeypatch.setattr(Toy, "targets", ())
    with pytest.raises(MrisslError, match="targets cannot be shuffled"):
        made(TASK, Blobs(), SampleKey(3, 0, 0), 8, shuffled=True)


def test_an_error_in_a_thread_reaches_the_loop_and_threads_end():
    class Broken(Blobs):
        def scan(self, number):
            raise MrisslError("is damaged", where="subject-002")

    batches = Batches(TASK, Broken(), seed=3, batch=8, numbers=shares(8, 1, 0, 1), workers=2)
    with batches, pytest.raises(MrisslError, match="subject-002"):
        next(batches.steps(0, 3))


def test_waiting_is_counted():
    import time

    class Slow(Blobs):
        def scan(self, number):
            time.sleep(0.02)
            return super().scan(number)

    with Batches(TASK, Slow(), seed=3, batch=8, numbers=shares(8, 1, 0, 1)) as batches:
        next(batches.steps(0, 1))
        assert batches.waited >= 8 * 0.02
