"""How many threads a process of a run computes with on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


@contextmanager
def computing(wanted: int) -> Iterator[None]:
    """Let torch compute with the threads of `threads_for` for a block.

    Parameters
    ----------
    wanted
        As the settings of the run say; 0 for as many as suit this machine.
    """
    before = torch.get_num_threads()
    count = threads_for(wanted, before)
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_for(wanted: int, usual: int, environment: Mapping[str, str] = os.environ) -> int:
    """Threads of this process; the processes of one machine share what there is.

    Of more than two cores one is left to the viewer: neither a low priority nor threads that
    sleep while they wait keep it from stuttering where every core computes.

    Parameters
    ----------
    wanted
        For all processes on this machine together; 0 for as many as suit it.
    usual
        How many torch takes by itself.
    environment
        Where ``torchrun`` says how many processes there are here, and a user, by
        ``OMP_NUM_THREADS``, how many threads each may have.
    """
    together = int(environment.get("LOCAL_WORLD_SIZE", "1"))
    if together > 1:
        # By itself torchrun gives each process one thread.
        usual = _cores()
    elif not wanted and "OMP_NUM_THREADS" in environment:
        return usual
    return max(1, (wanted or (usual - 1 if usual > 2 else usual)) // together)


def _cores() -> int:
    """Those that this process may use, as a batch system or container allows."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
