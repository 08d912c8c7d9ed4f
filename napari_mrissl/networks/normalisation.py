"""Normalisation layers whose result does not depend on how many processes train."""

from __future__ import annotations

import torch
from torch import nn

from napari_mrissl.errors import MrisslError

_TENTH = 10


class GhostBatchNorm3d(nn.Module):
    """Batch normalisation over groups of a fixed number of samples.

    Statistics are those of ``group`` neighbouring samples, whatever the batch, so that two
    processes with half a batch each do what one does with all of it (arXiv:1705.08741).
    Running statistics follow the mean over groups of mean and unbiased variance; the
    training loop averages them over processes (`running_statistics` names them).

    Parameters
    ----------
    channels
        Of the input (N, C, Z, Y, X).
    group
        Samples normalised together; N in training must be a multiple of it.
    momentum, eps
        As in `torch.nn.BatchNorm3d`.
    counted
        Whether ``num_batches_tracked`` is among the buffers, as in `torch.nn.BatchNorm3d`.
        Running statistics are then, in place of `momentum`, about those of the last tenth of
        all batches: with 0.1 features of whole scans depend on which few crops came last.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor | None

    def __init__(
        self,
        channels: int,
        group: int = 2,
        momentum: float = 0.1,
        eps: float = 1e-5,
        *,
        counted: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.group, self.momentum, self.eps = channels, group, momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        count = torch.zeros((), dtype=torch.long) if counted else None
        self.register_buffer("num_batches_tracked", count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (N, C, Z, Y, X)."""
        if not self.training:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if len(x) % self.group:
            raise MrisslError(
                f"{len(x)} samples are normalised in groups of {self.group}",
                where="batch",
                expected=f"a multiple of {self.group} for each process and part",
            )
        groups = len(x) // self.group
        # Groups become channels of their own: torch's layer then normalises each by itself.
        wide = _side_by_side(x, groups, self.group)
        mean = self.running_mean.new_zeros(groups * self.channels)
        variance = self.running_var.new_ones(groups * self.channels)
        weight, bias = self.weight.repeat(groups), self.bias.repeat(groups)
        result = nn.functional.batch_norm(
            wide, mean, variance, weight, bias, training=True, momentum=1.0, eps=self.eps
        )
        with torch.no_grad():
            share: float | torch.Tensor = self.momentum
            if self.num_batches_tracked is not None:
                share = _TENTH / (_TENTH + self.num_batches_tracked.to(mean.dtype))
                self.num_batches_tracked += 1
            # With momentum 1 these are now the statistics of the groups.
            self.running_mean.lerp_(mean.view(groups, -1).mean(dim=0), share)
            self.running_var.lerp_(variance.view(groups, -1).mean(dim=0), share)
        return _one_after_the_other(result, groups, self.group)


def _side_by_side(x: torch.Tensor, groups: int, group: int) -> torch.Tensor:
    """(group, groups * C, ...) of (groups * group, C, ...)."""
    if groups == 1:
        return x
    return x.reshape(groups, group, *x.shape[1:]).transpose(0, 1).flatten(1, 2)


def _one_after_the_other(x: torch.Tensor, groups: int, group: int) -> torch.Tensor:
    """The inverse of `_side_by_side`."""
    if groups == 1:
        return x
    return x.reshape(group, groups, -1, *x.shape[2:]).transpose(0, 1).flatten(0, 1)


def running_statistics(network: nn.Module) -> list[torch.Tensor]:
    """The running statistics in a network, which processes must average after each step."""
    return [
        statistic
        for layer in network.modules()
        if isinstance(layer, GhostBatchNorm3d)
        for statistic in (layer.running_mean, layer.running_var)
    ]


def group_norm(channels: int, most: int = 8) -> nn.GroupNorm:
    """Group normalisation with as many groups, up to ``most``, as divide the channels."""
    groups = next(n for n in range(min(most, channels), 0, -1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)
