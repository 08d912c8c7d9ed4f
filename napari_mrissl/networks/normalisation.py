"""Normalisation layers whose result does not depend on how many processes train."""

from __future__ import annotations

import torch
from torch import nn

from napari_mrissl.errors import MrisslError


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
        Whether ``num_batches_tracked`` is among the buffers, as in `torch.nn.BatchNorm3d`;
        nothing depends on it but the names in files of weights.
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
        # A group's samples become further voxels of it: (G, group, C, ...) -> (G, C, group, ...).
        groups = x.reshape(-1, self.group, *x.shape[1:]).transpose(1, 2)
        axes = tuple(range(2, groups.ndim))
        if groups.dtype in (torch.float16, torch.bfloat16):
            groups = groups.float()
        variance, mean = torch.var_mean(groups, dim=axes, correction=0, keepdim=True)
        result = (groups - mean) * torch.rsqrt(variance + self.eps)
        with torch.no_grad():
            voxels = groups[0, 0].numel()
            unbiased = variance * (voxels / max(1, voxels - 1))
            self.running_mean.lerp_(_over_groups(mean, self.running_mean), self.momentum)
            self.running_var.lerp_(_over_groups(unbiased, self.running_var), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        shape = (1, self.channels, *(1 for _ in axes))
        result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.transpose(1, 2).reshape(x.shape).to(x.dtype)


def _over_groups(statistic: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return statistic.flatten(1).mean(dim=0).to(like.dtype)


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
