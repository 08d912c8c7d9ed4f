"""The samples of each step, made ahead by threads: the same for any number of them.

A sample is a function of its `SampleKey`, so there is no state of a loader to save: a run
that goes on at step k makes the samples that it would have made.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Sample, SampleKey, Task
from napari_mrissl.synthesis.draws import generator

_STEPS_AHEAD = 2


@dataclass(frozen=True, eq=False)
class Part:
    """What one process works through at once: some of a step's samples, stacked.

    Attributes
    ----------
    keys
        Of the samples, in order.
    arrays
        By name, (N, ...) each.
    """

    keys: tuple[SampleKey, ...]
    arrays: Mapping[str, NDArray[Any]]


def shares(batch: int, parts: int, rank: int, world_size: int) -> tuple[range, ...]:
    """Which samples of a global batch a process works through, part by part.

    A batch is first cut into parts, and each of them among the processes, so that a part
    is made of the same samples however many processes there are.

    Raises
    ------
    MrisslError
        If the batch cannot be cut evenly.
    """
    if batch % (parts * world_size):
        pieces = f"{parts} parts" if parts > 1 else ""
        people = f"{world_size} processes" if world_size > 1 else ""
        raise MrisslError(
            f"{batch} samples cannot be shared evenly among "
            + " and ".join(filter(None, (pieces, people))),
            where="batch",
            expected=f"a multiple of {parts * world_size}",
        )
    each = batch // (parts * world_size)
    firsts = (part * each * world_size + rank * each for part in range(parts))
    return tuple(range(first, first + each) for first in firsts)


def made(
    task: Task[Any], subjects: Subjects, key: SampleKey, batch: int, *, shuffled: bool
) -> Sample:
    """One sample of a batch; if shuffled, with the targets of another sample of the batch.

    The other one is the same number of places on for all samples of a step, so that none
    keeps its own.

    Raises
    ------
    MrisslError
        If targets are to be shuffled, but the task names none or the batch has one sample.
    """
    sample = task.sample(subjects, key)
    if not shuffled:
        return sample
    if batch < 2 or not task.targets:
        raise MrisslError(
            "targets cannot be shuffled",
            where=task.info.name,
            expected="a method with targets and a batch of at least 2",
        )
    places = int(generator(key.seed, key.step, "shuffled").integers(1, batch))
    other = SampleKey(key.seed, key.step, (key.number + places) % batch)
    taken = task.sample(subjects, other)
    arrays = {**sample.arrays, **{name: taken.arrays[name] for name in task.targets}}
    return Sample(arrays, sample.subject, {**sample.record, "targets of": other.number})


def stacked(samples: Sequence[Sample], keys: Sequence[SampleKey]) -> Part:
    """Samples side by side along a new first axis."""
    first = samples[0].arrays
    arrays = {name: np.stack([sample.arrays[name] for sample in samples]) for name in first}
    return Part(tuple(keys), arrays)


def digest(parts: Sequence[Part]) -> str:
    """A name for the content of some parts: equal only if every array is."""
    found = hashlib.sha256()
    for part in parts:
        for name in sorted(part.arrays):
            array = np.ascontiguousarray(part.arrays[name])
            found.update(f"{name} {array.dtype.str} {array.shape}".encode())
            found.update(array.tobytes())
    return found.hexdigest()


class Batches:
    """The parts of step after step, for one process; a context that ends its threads.

    Parameters
    ----------
    task, subjects
        What makes the samples.
    seed
        Of the run.
    batch
        Samples of a step, over all processes.
    numbers
        This process's of them, part by part; see `shares`.
    workers
        Threads that make samples ahead; with 0 they are made when they are asked for.
    shuffled
        Whether targets are those of other samples.
    """

    def __init__(
        self,
        task: Task[Any],
        subjects: Subjects,
        *,
        seed: int,
        batch: int,
        numbers: Sequence[range],
        workers: int = 0,
        shuffled: bool = False,
    ) -> None:
        self._task = task
        self._subjects = subjects
        self._seed = seed
        self._batch = batch
        self._numbers = tuple(numbers)
        self._shuffled = shuffled
        self._pool = ThreadPoolExecutor(workers, "samples") if workers else None
        self.waited = 0.0
        """Seconds that the loop has waited for samples so far."""

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; what they have not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def steps(self, first: int, last: int) -> Iterator[list[Part]]:
        """The parts of the steps ``first`` to ``last`` - 1."""
        ahead: deque[list[list[Future[Sample]]]] = deque()
        asked = first
        for step in range(first, last):
            keys = self._keys(step)
            began = time.perf_counter()
            if self._pool is None:
                samples = [[self._made(key) for key in part] for part in keys]
            else:
                while asked < min(last, step + 1 + _STEPS_AHEAD):
                    ahead.append(
                        [
                            [self._pool.submit(self._made, key) for key in part]
                            for part in self._keys(asked)
                        ]
                    )
                    asked += 1
                samples = [[future.result() for future in part] for part in ahead.popleft()]
            parts = [stacked(made, named) for made, named in zip(samples, keys, strict=True)]
            self.waited += time.perf_counter() - began
            yield parts

    def _keys(self, step: int) -> list[tuple[SampleKey, ...]]:
        return [tuple(SampleKey(self._seed, step, n) for n in part) for part in self._numbers]

    def _made(self, key: SampleKey) -> Sample:
        return made(self._task, self._subjects, key, self._batch, shuffled=self._shuffled)
