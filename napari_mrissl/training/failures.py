"""What a failed step is reported with: one sentence, and the samples it was made of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Sample, SampleKey
from napari_mrissl.training.batches import made, stacked
from napari_mrissl.training.collective import Alone
from napari_mrissl.training.trainer import Stepped, Trainer

_GIB = 1 << 30
_MOST_NAMED = 8


def not_finite(
    trainer: Trainer, subjects: Subjects, step: int, stepped: Stepped
) -> tuple[str, list[str]]:
    """Why a step's loss or gradient is not finite: one sentence, and each sample's record.

    The samples of the whole batch are made again, which any process can do. Those with
    values that are not finite, or with such a loss on their own, are named; where none
    stands out, all are.
    """
    settings = trainer.settings
    batch = settings.optimisation.batch
    keys = [SampleKey(settings.seed, step, number) for number in range(batch)]
    samples = [made(trainer.task, subjects, key, batch, shuffled=settings.shuffled) for key in keys]
    odd = [n for n, sample in enumerate(samples) if not _all_finite(sample)]
    odd = odd or [n for n in range(batch) if not _finite_alone(trainer, samples[n], keys[n])]
    named = odd or list(range(batch))
    wrong = [name for name, value in stepped.terms.items() if not math.isfinite(value)]
    what = f"loss term {wrong[0]}" if wrong else "the gradient"
    people = list(dict.fromkeys(samples[n].subject for n in named))
    whose = ", ".join(people[:_MOST_NAMED]) + (" ..." if len(people) > _MOST_NAMED else "")
    sentence = (
        f"{what} is not a finite number at step {step + 1} "
        f"({'samples' if odd else 'a batch'} of {whose}); the last checkpoint is kept; "
        + ("look at these scans, or " if odd else "")
        + "resume with a lower learning rate"
    )
    records = [
        printable(
            f"step {step + 1}, sample {n} of {samples[n].subject}: "
            + json.dumps(_plain(samples[n].record))
        )
        for n in named
    ]
    return sentence, records


def out_of_memory(error: BaseException, device: torch.device) -> str | None:
    """One sentence with memory needed and available; None if that was not the reason."""
    text = str(error)
    hungry = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if not hungry and "can't allocate memory" not in text and "not enough memory" not in text:
        return None
    needed = _asked_for(text)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = psutil.virtual_memory().available
    wanted = "more memory" if needed is None else f"{needed / _GIB:.2f} GiB more"
    return (
        f"out of memory on {device}: {wanted} needed, {free / _GIB:.2f} GiB available; "
        "resume with a smaller batch, more accumulation or smaller crops"
    )


def lost_another(error: BaseException) -> bool:
    """Whether all that went wrong in this process is that another one of the run is gone."""
    if isinstance(error, MrisslError):
        return False
    lost = ("closed by peer", "Connection reset", "Timed out waiting", "NCCL", "gloo")
    return any(mark in str(error) for mark in lost)


def explained(error: BaseException, device: torch.device) -> str:
    """One sentence on why a run failed, without a path."""
    memory = out_of_memory(error, device)
    if memory is not None:
        return memory
    if isinstance(error, MrisslError):
        return str(error).rstrip(".")
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        return f"the system refused ({error.strerror or type(error).__name__})"
    first = re.sub(r"(?:[A-Za-z]:)?[\\/][^\s'\",;:()]+", "...", text)[:300]
    return f"{type(error).__name__}: {first}".rstrip(". ")


def _asked_for(text: str) -> float | None:
    found = re.search(r"[Tt]ried to allocate ([\d.]+) ?(bytes|[KMGT]iB)", text)
    if found is None:
        return None
    powers = {"bytes": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
    return float(found[1]) * (1 << powers[found[2]])


def _all_finite(sample: Sample) -> bool:
    return all(
        bool(np.isfinite(array).all())
        for array in sample.arrays.values()
        if array.dtype.kind == "f"
    )


def _finite_alone(trainer: Trainer, sample: Sample, key: SampleKey) -> bool:
    part = stacked([sample], [key])
    network = trainer.network.eval()
    try:
        with torch.no_grad():
            batch = trainer.task.prepare(trainer.on_device(part), part.keys)
            terms = trainer.task.losses(network, batch, Alone())
        return all(math.isfinite(float(term.total)) for term in terms.values())
    except (RuntimeError, ValueError, IndexError):
        # Some losses need more than one sample: this one then cannot be blamed alone.
        return True


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return str(value)
