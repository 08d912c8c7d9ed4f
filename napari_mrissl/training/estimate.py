"""What a run will need, measured by real steps on made-up scans before it starts."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.batches import Part, stacked
from napari_mrissl.training.building import task_of
from napari_mrissl.training.collective import device_of
from napari_mrissl.training.cores import computing
from napari_mrissl.training.failures import out_of_memory
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.training.trainer import Trainer
from napari_mrissl.volumes import Volume

_SIDE = 160
_MOST_ON_CPU = 2
_SECONDS = 20.0


@dataclass(frozen=True)
class Estimate:
    """What a run needs.

    Attributes
    ----------
    parameters
        Numbers that are trained.
    memory_bytes
        Of the device while a step runs; on the CPU of the process.
    seconds_per_step
        Without waiting for samples; None where no step could be taken.
    seconds_per_sample
        To make one sample, in one thread.
    checkpoint_bytes
        Of one checkpoint on disk.
    measured
        Whether whole steps were taken; on a CPU large batches are reckoned from small ones.
    reason
        Why no step could be taken, or empty.
    """

    parameters: int
    memory_bytes: int
    seconds_per_step: float | None
    seconds_per_sample: float
    checkpoint_bytes: int
    measured: bool
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


class Phantoms:
    """Two made-up scans with labels: a ball in a ball in noise, 1 mm voxels."""

    def __init__(self, side: int = _SIDE) -> None:
        z, y, x = np.ogrid[:side, :side, :side]
        middle = (side - 1) / 2
        distance = np.sqrt((z - middle) ** 2 + (y - middle) ** 2 + (x - middle) ** 2)
        labels = ((distance < side * 0.45) + (distance < side * 0.2)).astype(np.uint8)
        noise = np.random.default_rng(0).integers(0, 60, labels.shape, np.uint8)
        voxels = labels * np.uint8(80) + noise
        affine = np.eye(4)
        self._scans = []
        for number in range(2):
            volume = Volume.from_stored(np.roll(voxels, 3 * number, axis=0), affine)
            self._scans.append(
                Scan(volume, 0.0, 255.0, f"phantom-{number}", f"{number:064x}", labels)
            )

    def __len__(self) -> int:
        return len(self._scans)

    def scan(self, number: int) -> Scan:
        """The scan of this number."""
        return self._scans[number]


def estimate(settings: RunSettings, registry: Mapping[str, TaskInfo] = TASKS) -> Estimate:
    """Build the network of a run and take a few of its steps.

    Run it in a process of its own: memory of the GPU comes back only when a process ends,
    and a batch that is too large for the machine's memory may end it.

    Raises
    ------
    MrisslError
        If the settings cannot be trained at all.
    """
    with computing(settings.optimisation.threads):
        return _estimated(settings, registry)


def _estimated(settings: RunSettings, registry: Mapping[str, TaskInfo]) -> Estimate:
    device = device_of(settings.device)
    task = task_of(settings, registry)
    options = settings.optimisation.model_copy(update={"compile": False})
    trainer = Trainer(task, settings.model_copy(update={"optimisation": options}), device)
    parameters = sum(p.numel() for p in trainer.network.parameters() if p.requires_grad)
    subjects = Phantoms()
    size = options.batch // options.accumulation
    began = time.perf_counter()
    keys = [SampleKey(settings.seed, 0, number) for number in range(size)]
    samples = [task.sample(subjects, keys[0])]
    # Only the second one is timed: the first compiles kernels.
    samples.append(task.sample(subjects, SampleKey(settings.seed, 0, 1)))
    began = time.perf_counter()
    samples.append(task.sample(subjects, SampleKey(settings.seed, 0, 2)))
    each = time.perf_counter() - began

    def part(count: int) -> Part:
        repeated = [samples[number % len(samples)] for number in range(count)]
        return stacked(repeated, keys[:count])

    whole = device.type != "cpu" or size <= _MOST_ON_CPU
    counts = [size] if whole else [_MOST_ON_CPU]
    try:
        before = _memory(device)
        seconds, used = _measured(trainer, [part(n) for n in counts], device)
    except (RuntimeError, MemoryError) as error:
        reason = out_of_memory(error, device)
        if reason is None:
            raise
        return Estimate(
            parameters, 0, None, each, trainer.checkpoint_bytes, measured=False, reason=reason
        )
    scale = size / counts[0]
    # Weights, gradients and moments are there once; activations grow with the batch.
    fixed = 4 * parameters * 4
    memory = before + int(fixed + max(0, used - before - fixed) * scale)
    return Estimate(
        parameters,
        memory if not whole else used,
        seconds * scale * options.accumulation,
        each,
        trainer.checkpoint_bytes,
        measured=whole,
    )


def _measured(trainer: Trainer, parts: list[Part], device: torch.device) -> tuple[float, int]:
    """Seconds of a step in the steady state, and the most memory of one."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds: list[float] = []
    end = time.perf_counter() + _SECONDS
    for step in range(3):
        began = time.perf_counter()
        stepped = trainer.step(step, parts)
        seconds.append(time.perf_counter() - began)
        if not stepped.finite:
            raise MrisslError("the first steps are not finite", where="loss")
        if time.perf_counter() > end:
            break
    return min(seconds), _memory(device)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most * (1 if sys.platform == "darwin" else 1024))


def devices() -> list[dict[str, Any]]:
    """What this machine can train on, the fastest first, as plain data.

    Each has a ``name`` for the settings, a ``title`` for people, its ``memory_bytes`` and how
    many of them are ``free_bytes``.
    """
    found: list[dict[str, Any]] = []
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, memory = torch.cuda.mem_get_info(number)
            title = torch.cuda.get_device_name(number)
            found.append(_device(f"cuda:{number}", title, memory, free))
    memory = psutil.virtual_memory()
    if torch.backends.mps.is_available():
        found.append(_device("mps", "Apple GPU", memory.total, memory.available))
    cores = psutil.cpu_count() or 1
    found.append(_device("cpu", f"CPU, {cores} cores", memory.total, memory.available))
    return found


def _device(name: str, title: str, memory: int, free: int) -> dict[str, Any]:
    return {"name": name, "title": title, "memory_bytes": memory, "free_bytes": free}
