"""One optimiser step after the other: network, optimiser and averaged weights of a run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.normalisation import running_statistics
from napari_mrissl.pretext.task import Task
from napari_mrissl.training.batches import Part, shares
from napari_mrissl.training.collective import Alone, Processes
from napari_mrissl.training.objective import Objective, values, weighted
from napari_mrissl.training.optimisation import (
    average_of,
    check_precision,
    learning_rate,
    optimiser,
    optimiser_tensors,
    restore_optimiser,
    seed_torch,
    set_rate,
    stored_type,
)
from napari_mrissl.training.settings import RunSettings


@dataclass(frozen=True)
class Stepped:
    """What one step came to, the same in every process.

    Attributes
    ----------
    terms
        Values of the terms that were measured.
    total
        The weighted loss.
    gradient_norm
        Before clipping.
    rate
        The learning rate.
    flags
        Sums over processes of what each gave to `Trainer.step`.
    taken
        Whether weights changed: not if anything is not finite.
    finite
        Whether loss and gradients are.
    """

    terms: dict[str, float]
    total: float
    gradient_norm: float
    rate: float
    flags: tuple[float, ...]
    taken: bool
    finite: bool


class Trainer:
    """A network in training.

    Parameters
    ----------
    task
        What it is trained on.
    settings
        Of the run.
    device
        Where.
    collective
        The processes that share each batch.

    Raises
    ------
    MrisslError
        If the batch cannot be shared, or the device cannot do the precision.
    """

    def __init__(
        self,
        task: Task[Any],
        settings: RunSettings,
        device: torch.device,
        collective: Alone | Processes | None = None,
    ) -> None:
        self.task = task
        self.settings = settings
        self.device = device
        self.collective = collective or Alone()
        options = settings.optimisation
        check_precision(options.precision, device)
        self.numbers = shares(
            options.batch,
            options.accumulation,
            self.collective.rank,
            self.collective.world_size,
        )
        seed_torch(settings.seed, "network")
        self._type = stored_type(options.precision)
        self.network = task.network().to(device=device, dtype=self._type)
        if options.compile:
            self.network.compile()
        self.average = average_of(self.network, options.ema)
        self.optimiser = optimiser(self.network, options, task.rates)
        self._scaler = torch.amp.GradScaler(
            device.type, enabled=options.precision == "float16" and device.type == "cuda"
        )
        self._objective = Objective(
            task,
            self.network,
            self.collective,
            parts=options.accumulation,
            precision=options.precision,
            device=device,
        )
        self._parallel = self._distributed()

    @property
    def shown(self) -> torch.nn.Module:
        """The network to measure and to look at: the averaged one where there is one."""
        if self.average is None:
            return self.network
        averaged: torch.nn.Module = self.average.module
        return averaged

    @property
    def checkpoint_bytes(self) -> int:
        """About as many as a checkpoint has: weights, two moments of each, the average."""
        state = self.network.state_dict().values()
        weights = sum(tensor.numel() * tensor.element_size() for tensor in state)
        moments = 2 * sum(
            parameter.numel() * parameter.element_size()
            for parameter in self.network.parameters()
            if parameter.requires_grad
        )
        return int(weights * (1 if self.average is None else 2) + moments)

    def step(self, step: int, parts: Sequence[Part], flags: Sequence[float] = ()) -> Stepped:
        """Take step number ``step`` on this process's parts of its batch.

        Weights stay as they are if the loss or a gradient is not finite.
        """
        options = self.settings.optimisation
        rate = learning_rate(step, options)
        set_rate(self.optimiser, rate)
        # Masks of dropout differ between processes, as they do between samples.
        seed_torch(self.settings.seed, f"step {step}, process {self.collective.rank}")
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        contributions: torch.Tensor | None = None
        for number, part in enumerate(parts):
            batch = self.task.prepare(self.on_device(part), part.keys)
            with self._synchronised(last=number == len(parts) - 1):
                loss, found = self._parallel(batch)
                if loss.requires_grad:
                    self._scaler.scale(loss).backward()
            contributions = found if contributions is None else contributions + found
        if contributions is None:
            raise ValueError("a step has at least one part")
        self._scaler.unscale_(self.optimiser) if self._scaler.is_enabled() else None
        norm = self._clipped(contributions)
        reported = torch.cat([contributions.flatten(), contributions.new_tensor(list(flags))])
        summed = torch.cat([self.collective.sum(reported), norm.reshape(1)]).tolist()
        count = 2 * len(self._objective.weights)
        pairs = [summed[i : i + 2] for i in range(0, count, 2)]
        terms = values(self._objective.weights, pairs)
        total = weighted(self._objective.weights, terms)
        sound = all(map(math.isfinite, [total, *terms.values()]))
        norm_value = float(summed[-1])
        taken = sound and math.isfinite(norm_value)
        self._update(taken=taken, sound=sound)
        # With scaled gradients an overflow is expected now and then, unless nothing is left.
        scaled_out = self._scaler.is_enabled() and self._scaler.get_scale() >= 1
        return Stepped(
            terms,
            total,
            norm_value,
            rate,
            tuple(summed[count:-1]),
            taken,
            taken or (sound and scaled_out),
        )

    def on_device(self, part: Part) -> dict[str, torch.Tensor]:
        """The arrays of a part as tensors on the device, floating ones in the run's type."""
        batch = {}
        for name, array in part.arrays.items():
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            if self.device.type == "cuda":
                tensor = tensor.pin_memory()
            kind = self._type if tensor.is_floating_point() else None
            batch[name] = tensor.to(device=self.device, dtype=kind, non_blocking=True)
        return batch

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Copies of all tensors that a checkpoint needs, on the CPU."""
        found = {
            "weights": self.network.state_dict(),
            "optimizer": optimiser_tensors(self.network, self.optimiser),
        }
        if self.average is not None:
            found["average"] = self.average.module.state_dict()
        return {
            kind: {name: t.detach().to("cpu", copy=True).contiguous() for name, t in these.items()}
            for kind, these in found.items()
        }

    def plain(self) -> dict[str, Any]:
        """What a checkpoint needs besides tensors, as JSON."""
        averaged = 0 if self.average is None else int(self.average.n_averaged)
        scaler = self._scaler.state_dict() if self._scaler.is_enabled() else {}
        return {"averaged": averaged, "scaler": scaler}

    def restore(
        self, tensors: Mapping[str, Mapping[str, torch.Tensor]], plain: Mapping[str, Any]
    ) -> None:
        """Go back to what `tensors` and `plain` gave.

        Raises
        ------
        MrisslError
            If they are those of another network.
        """
        load_weights(self.network, tensors["weights"])
        restore_optimiser(self.network, self.optimiser, tensors["optimizer"])
        if self.average is not None:
            load_weights(self.average.module, tensors.get("average", tensors["weights"]))
            self.average.n_averaged.fill_(int(plain["averaged"]))
        if self._scaler.is_enabled() and plain["scaler"]:
            self._scaler.load_state_dict(dict(plain["scaler"]))

    def _update(self, *, taken: bool, sound: bool) -> None:
        if self._scaler.is_enabled() and sound:
            self._scaler.step(self.optimiser)
            self._scaler.update()
        elif taken:
            self.optimiser.step()
        if not taken:
            return
        if self.collective.world_size > 1:
            for statistic in running_statistics(self.network):
                statistic.copy_(self.collective.sum(statistic) / self.collective.world_size)
        if self.average is not None:
            self.average.update_parameters(self.network)

    def _clipped(self, like: torch.Tensor) -> torch.Tensor:
        trained = [p for p in self.network.parameters() if p.grad is not None]
        largest = self.settings.optimisation.clip or math.inf
        if not trained:
            return like.new_zeros(())
        return torch.nn.utils.clip_grad_norm_(trained, largest).to(like.dtype)

    def _distributed(self) -> torch.nn.Module:
        if self.collective.world_size == 1:
            return self._objective
        return DistributedDataParallel(
            self._objective,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            # Terms that are only shown leave their heads without a gradient.
            find_unused_parameters=True,
        )

    def _synchronised(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        if last or not isinstance(self._parallel, DistributedDataParallel):
            return contextlib.nullcontext()
        waiting: contextlib.AbstractContextManager[Any] = self._parallel.no_sync()
        return waiting


def load_weights(network: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Put weights into a network.

    Raises
    ------
    MrisslError
        If names or shapes differ; the network is then as it was.
    """
    expected = network.state_dict()
    odd = sorted(set(expected) ^ set(weights))
    odd = odd or [name for name in expected if expected[name].shape != weights[name].shape]
    if odd:
        raise MrisslError(
            f"weights of another network ({odd[0]} and {len(odd) - 1} more differ)",
            expected="the network of this run's settings",
        )
    network.load_state_dict(dict(weights))
