"""The processes of one run: a world of one, or the many that ``torchrun`` starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.parting import WAY_ON, Parting, file_store, parting

_PATIENCE = timedelta(minutes=10)
"""How long the others wait for one process, e.g. while the first one saves."""


@dataclass(frozen=True)
class Alone:
    """The world of a single process."""

    rank: int = 0
    world_size: int = 1

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor itself."""
        return tensor

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor itself, without its gradient."""
        return tensor.detach()

    def broken(self, sentence: str | None) -> str:
        """Why the run ends: what this process says."""
        return sentence or ""


class Processes:
    """The processes of torch's default group.

    Every process must make the same calls in the same order.

    Parameters
    ----------
    parting
        Where they leave their last words, if anywhere.
    """

    def __init__(self, parting: Parting | None = None) -> None:
        self._parting = parting

    @property
    def rank(self) -> int:
        """This process's number."""
        return dist.get_rank()

    @property
    def world_size(self) -> int:
        """How many processes there are."""
        return dist.get_world_size()

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Stack a tensor of all processes along its first axis, by rank, with gradients.

        The gradient of what another process computes from this one's part comes back here,
        so a loss over gathered negatives has the gradient it has in one process.
        """
        if tensor.ndim == 0:
            raise ValueError("a tensor without axes cannot be stacked")
        gathered: torch.Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
        return gathered

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add a tensor up over all processes, without gradients."""
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    def broken(self, sentence: str | None) -> str:
        """Why the run ends, as far as all processes together know; each may call it once.

        Parameters
        ----------
        sentence
            Why this process does; None if it only lost another one.
        """
        lost = f"another process of this run ended; {WAY_ON}"
        if self._parting is None:
            return sentence or lost
        try:
            self._parting.tell(sentence or "")
            return sentence or self._parting.of_others()
        except RuntimeError:
            # The machine that kept the words is gone too.
            return sentence or lost


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        ctx.rows = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        first = dist.get_rank() * ctx.rows
        return total[first : first + ctx.rows]


def device_of(wanted: str, environment: Mapping[str, str] = os.environ) -> torch.device:
    """The device that a run's settings mean in this process.

    ``auto`` is the GPU where there is one. Under ``torchrun`` each process takes the GPU of
    its number on its machine.

    Raises
    ------
    MrisslError
        If there is no such device.
    """
    name = wanted
    if wanted == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise MrisslError(
            f"device {wanted!r}", expected="auto, cpu, cuda, cuda:1 or the like"
        ) from error
    if device.type == "cuda":
        number = device.index if device.index is not None else 0
        if "LOCAL_RANK" in environment and int(environment.get("WORLD_SIZE", "1")) > 1:
            number = int(environment["LOCAL_RANK"])
        if number >= torch.cuda.device_count():
            raise MrisslError(
                f"device cuda:{number}",
                expected=f"one of the {torch.cuda.device_count()} CUDA devices of this machine",
                remedy="choose cpu, or auto",
            )
        return torch.device("cuda", number)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise MrisslError("device mps", expected="a machine with Metal", remedy="choose cpu")
    if device.type not in ("cpu", "mps"):
        raise MrisslError(f"device {wanted!r}", expected="cpu, cuda or mps")
    return device


def own_rank(environment: Mapping[str, str] = os.environ) -> int:
    """The number of this process among those of the run, joined or not."""
    many = int(environment.get("WORLD_SIZE", "1")) > 1
    return int(environment["RANK"]) if many else 0


@contextmanager
def joined(
    device: torch.device, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Alone | Processes]:
    """Join the other processes of the run for a block, where ``torchrun`` started some.

    Parameters
    ----------
    device
        Of this process.
    stopped
        Whether this process was asked to end: it then waits for the others no longer.

    Raises
    ------
    MrisslError
        If one of them ends before all have met.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size < 2:
        yield Alone()
        return
    rank, words = own_rank(), parting(own_rank(), world_size)
    if words is not None:
        try:
            words.meet(stopped, _PATIENCE.total_seconds())
        except RuntimeError as error:
            raise MrisslError(f"another process of this run ended; {WAY_ON}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend, store = ("nccl" if device.type == "cuda" else "gloo"), file_store()
    if store is None:
        dist.init_process_group(backend, timeout=_PATIENCE)
    else:
        dist.init_process_group(
            backend, timeout=_PATIENCE, store=store, rank=rank, world_size=world_size
        )
    try:
        yield Processes(words)
    finally:
        dist.destroy_process_group()
