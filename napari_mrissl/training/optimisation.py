"""The optimiser of a run, its learning rate, precision and averaged weights."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.settings import OptimisationSettings, Precision

_STAGES = 5
_HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def learning_rate(step: int, settings: OptimisationSettings) -> float:
    """The rate of a step, from 0: a linear warm-up, then down by half a cosine or in stages.

    Five stages of equal length have 1, 0.8, 0.6, 0.4 and 0.2 of the peak, as published for
    contrastive pretraining (arXiv:2411.02372, its public code).
    """
    peak = settings.learning_rate
    warmup = min(settings.warmup, settings.steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if settings.schedule == "stages":
        stage = (step - warmup) * _STAGES // max(1, settings.steps - warmup)
        return peak * (1 - min(stage, _STAGES - 1) / _STAGES)
    part = (step - warmup) / max(1, settings.steps - 1 - warmup)
    low = settings.final_rate
    return peak * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(part, 1.0))))


def optimiser(
    network: torch.nn.Module,
    settings: OptimisationSettings,
    rates: Mapping[str, float] = MappingProxyType({}),
) -> torch.optim.AdamW:
    """AdamW; weights decay, the offsets and scales of layers (one axis) do not.

    Parameters
    ----------
    network, settings
        What is trained, and how.
    rates
        Learning rates as shares of the run's, by how names of parameters begin. A group's
        share is its ``share``; `set_rate` heeds it.
    """
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    shares = {name: _share(name, rates) for name, _ in trained}
    groups: list[dict[str, Any]] = []
    for share in dict.fromkeys([*shares.values(), 1.0]):
        own = [p for name, p in trained if shares[name] == share]
        groups += [
            {
                "params": [p for p in own if p.ndim > 1],
                "weight_decay": settings.weight_decay,
                "share": share,
            },
            {"params": [p for p in own if p.ndim < 2], "weight_decay": 0.0, "share": share},
        ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let each group of parameters have its share of a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


def _share(name: str, rates: Mapping[str, float]) -> float:
    return next((share for begin, share in rates.items() if name.startswith(begin)), 1.0)


def average_of(network: torch.nn.Module, decay: float) -> AveragedModel | None:
    """A copy of the network that follows it by an exponential moving average; None for 0."""
    if not decay:
        return None
    return AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(decay),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )


def seed_torch(seed: int, purpose: str) -> None:
    """Set torch's generators by a run's seed and a purpose, e.g. a step's dropout."""
    key = hashlib.blake2b(f"{seed}/torch/{purpose}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(key, "little"))


def check_precision(precision: Precision, device: torch.device) -> None:
    """Refuse what a device cannot do well.

    Raises
    ------
    MrisslError
        For half precision anywhere but on a GPU, and for double precision on Metal.
    """
    if precision in _HALF and device.type == "cpu":
        raise MrisslError(
            f"{precision} on {device.type}", expected="a GPU", remedy="choose float32"
        )
    if precision == "float64" and device.type == "mps":
        raise MrisslError("float64 on mps", expected="float32", remedy="choose float32")


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """What the forward pass runs in."""
    if precision not in _HALF:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_HALF[precision])


def stored_type(precision: Precision) -> torch.dtype:
    """The type of weights and of floating-point inputs."""
    return torch.float64 if precision == "float64" else torch.float32


def optimiser_tensors(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """All that the optimiser remembers, as ``kind/name of the parameter``."""
    return {
        f"{kind}/{name}": value
        for name, parameter in network.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimiser(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Give the optimiser back what `optimiser_tensors` took from it.

    Raises
    ------
    MrisslError
        If a tensor belongs to no parameter, or has another shape than it.
    """
    numbers: dict[torch.nn.Parameter, int] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            numbers[parameter] = len(numbers)
    parameters = dict(network.named_parameters())
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        parameter = parameters.get(name)
        if parameter is None or parameter not in numbers:
            raise MrisslError("optimiser state of an unknown parameter", where=name)
        if kind != "step" and value.shape != parameter.shape:
            raise MrisslError(
                f"optimiser state of shape {tuple(value.shape)}",
                where=name,
                expected=f"{tuple(parameter.shape)}",
            )
        state.setdefault(numbers[parameter], {})[kind] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
