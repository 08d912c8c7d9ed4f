"""A backbone, heads for gaps, chunks and vectors, and a copy that follows it slowly."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import nn

from napari_mrissl.networks.backbones import Backbone, build
from napari_mrissl.pretext.observable.settings import ObservableSettings

_LAYERS = 3
_CHUNK_LAYERS = 4


class Trunk(nn.Module):
    """What a view comes to: three strided convolutions of its dense map, and their mean.

    As in the authors' public code for arXiv:2509.05967, which halves the channels at each
    layer, to an eighth; corrected: a small network keeps at least ``least`` of them.

    Parameters
    ----------
    channels
        Of the dense map.
    least
        Channels that no layer has fewer of.
    """

    def __init__(self, channels: int, least: int) -> None:
        super().__init__()
        widths = [channels, *(max(least, channels // 2**n) for n in range(1, _LAYERS + 1))]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv3d(before, after, 3, stride=2, padding=1), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        self.channels = widths[-1]

    def forward(self, dense: torch.Tensor) -> torch.Tensor:
        """(N, channels) of dense maps (N, C, Z, Y, X)."""
        found: torch.Tensor = self.layers(dense).mean(dim=(2, 3, 4))
        return found


class GapHead(nn.Module):
    """Gaps from differences of what views come to.

    Corrected: the later view minus the earlier one, so that it points as the gap does; the
    authors' code has it the other way round. Its bias, as published, is an option: with it a
    view is not where it is.
    """

    def __init__(self, channels: int, least: int, *, bias: bool) -> None:
        super().__init__()
        self.trunk = Trunk(channels, least)
        self.axis = nn.Linear(self.trunk.channels, 3, bias=bias)

    def forward(self, summaries: torch.Tensor) -> torch.Tensor:
        """(N, V, V, 3) gaps of summaries (N, V, C): from view i (first) to view j."""
        apart: torch.Tensor = self.axis(summaries[:, None, :] - summaries[:, :, None])
        return apart


class PotentialHead(nn.Module):
    """Vectors as differences of predicted places (faithful).

    Every route then ends where the place of its last view is, so that routes say nothing that
    vectors do not: their loss is n / (n - 1) times that of vectors. Corrected: the sign, as in
    `GapHead`; with it the places are places and not their negatives.
    """

    def __init__(self, channels: int, least: int) -> None:
        super().__init__()
        self.trunk = Trunk(channels, least)
        self.place = nn.Linear(self.trunk.channels, 3)
        # All weights alike, as in the authors' code, where they are 1 for four channels.
        nn.init.constant_(self.place.weight, 1 / self.trunk.channels)

    def forward(self, summaries: torch.Tensor) -> torch.Tensor:
        """(N, V, V, 3) vectors of summaries (N, V, C)."""
        places = self.place(summaries)
        vectors: torch.Tensor = places[:, None, :] - places[:, :, None]
        return vectors


class EdgeHead(nn.Module):
    """Vectors of pairs, by a small network of both views and their difference.

    Our own (inferred): nothing ties the vectors of different pairs to each other, so that
    routes, closed loops and the way back are real constraints.
    """

    def __init__(self, channels: int, least: int) -> None:
        super().__init__()
        self.trunk = Trunk(channels, least)
        width = self.trunk.channels
        self.layers = nn.Sequential(
            nn.Linear(3 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, 3)
        )

    def forward(self, summaries: torch.Tensor) -> torch.Tensor:
        """(N, V, V, 3) vectors of summaries (N, V, C)."""
        views = summaries.shape[1]
        first = summaries[:, :, None].expand(-1, -1, views, -1)
        second = summaries[:, None, :].expand(-1, views, -1, -1)
        vectors: torch.Tensor = self.layers(torch.cat([first, second, second - first], dim=-1))
        return vectors


class ChunkEncoder(nn.Module):
    """Features of chunks that are to be alike or not: convolutions that halve and double.

    As in the authors' public code, four layers to 16 times the channels; fewer where a chunk
    cannot be halved so often.
    """

    def __init__(self, channels: int, size: tuple[int, int, int]) -> None:
        super().__init__()
        depth = min(_CHUNK_LAYERS, min(size).bit_length() - 1)
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv3d(channels, 2 * channels, 4, stride=2, padding=1), nn.GELU()]
            channels *= 2
        self.layers = nn.Sequential(*layers)

    def forward(self, chunks: torch.Tensor) -> torch.Tensor:
        """(N, C', z, y, x) of chunks (N, C, Z, Y, X) of dense maps."""
        found: torch.Tensor = self.layers(chunks)
        return found


class ObservableNetwork(nn.Module):
    """The network of the observable tasks; what it gives depends on its settings.

    Attributes
    ----------
    backbone
        Shared by all heads.
    teacher
        The copy that follows it, of all views but the first; None where all views teach. Its
        weights are in checkpoints and weights, but no gradient reaches them.
    gap_head, chunk_encoder, vector_head
        The last two are None where they are not trained.
    """

    def __init__(self, settings: ObservableSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone: Backbone = build(settings.backbone)
        channels = self.backbone.channels[-1]
        self.gap_head = GapHead(channels, settings.width, bias=settings.bias)
        self.chunk_encoder: ChunkEncoder | None = None
        self.vector_head: PotentialHead | EdgeHead | None = None
        if settings.chunks:
            self.chunk_encoder = ChunkEncoder(channels, settings.chunk_voxels)
        if settings.vectors:
            kind = EdgeHead if settings.vector_head == "edge" else PotentialHead
            self.vector_head = kind(channels, settings.width)
        self.teacher: Backbone | None = None
        if settings.grad_views == "first":
            self.teacher = copy.deepcopy(self.backbone).requires_grad_(False)
        # Not saved: a run that goes on has not followed in its next step either.
        self._followed: int | None = None

    def forward(
        self,
        image: torch.Tensor,
        starts: torch.Tensor | None = None,
        step: int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Answers for views of some scans.

        Parameters
        ----------
        image
            (N, V, Z, Y, X) in [0, 1].
        starts
            (N, P, 4, 3) of the chunks of all pairs, see `chunks.ChunkPlan`; None leaves them out.
        step
            Of the optimiser. While training, the copy follows once in each, before it is asked.

        Returns
        -------
        dict
            ``gaps`` and, if trained, ``vectors`` (N, V, V, 3), over the scale; ``chunks``
            (N, P, 4, C, z, y, x).
        """
        if self.training and step is not None:
            self.follow(step)
        dense = self.dense(image, lagging=self.training)
        many, flat = len(image), dense.flatten(0, 1)
        found = {"gaps": _answer(self.gap_head, flat, many)}
        if self.vector_head is not None:
            found["vectors"] = _answer(self.vector_head, flat, many)
        if self.chunk_encoder is not None and starts is not None:
            found["chunks"] = self.encoded(dense, starts)
        return found

    def dense(self, image: torch.Tensor, *, lagging: bool = False) -> torch.Tensor:
        """(N, V, C, Z, Y, X) maps of views (N, V, Z, Y, X) at full resolution.

        With ``lagging``, views after the first go through the copy, where there is one.
        """
        many, views = image.shape[:2]
        if not lagging or self.teacher is None or views == 1:
            maps = self.backbone(image.flatten(0, 1)[:, None])[-1]
            return torch.unflatten(maps, 0, (many, views))
        first = self.backbone(image[:, :1])[-1][:, None]
        with torch.no_grad():
            rest = self.teacher(image[:, 1:].flatten(0, 1)[:, None])[-1]
        return torch.cat([first, torch.unflatten(rest, 0, (many, views - 1))], dim=1)

    def encoded(self, dense: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """(N, P, 4, C', z, y, x) features of the chunks of all pairs of views i < j."""
        if self.chunk_encoder is None:
            raise ValueError("this network encodes no chunks")
        z, y, x = self.settings.chunk_voxels
        first, second = torch.triu_indices(dense.shape[1], dense.shape[1], 1).tolist()
        cut = []
        for maps, pairs in zip(dense, starts.tolist(), strict=True):
            for i, j, four in zip(first, second, pairs, strict=True):
                for view, (a, b, c) in zip((i, j, i, j), four, strict=True):
                    cut.append(maps[view, :, a : a + z, b : b + y, c : c + x])
        features = self.chunk_encoder(torch.stack(cut))
        return torch.unflatten(features, 0, tuple(starts.shape[:3]))

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Let the copy follow the network, once in a step.

        By gamma / (gamma + step), but at least the rate (faithful): at step 0 it becomes the
        network. Its buffers are not averaged (faithful).
        """
        if self.teacher is None or self._followed == step:
            return
        self._followed = step
        rate = follow_rate(step, self.settings.teacher_steps, self.settings.teacher_rate)
        own = zip(self.teacher.parameters(), self.backbone.parameters(), strict=True)
        for mean, weight in own:
            if rate == 1:
                mean.copy_(weight)
            else:
                mean.lerp_(weight, rate)


def _answer(
    head: GapHead | PotentialHead | EdgeHead, dense: torch.Tensor, many: int
) -> torch.Tensor:
    """What a head says of the views of ``many`` scans; half numbers end with their summaries."""
    summaries = exact(head.trunk(dense))
    with torch.autocast(dense.device.type, enabled=False):
        answer: torch.Tensor = head(torch.unflatten(summaries, 0, (many, -1)))
    return answer


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """In single precision at least: differences and cosines of half numbers are too coarse."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def follow_rate(step: int, gamma: float, least: float) -> float:
    """The share by which the copy follows in a step, from 0."""
    annealed = 1.0 if step == 0 else gamma / (gamma + step)
    return max(least, annealed)


def similarities(features: torch.Tensor, *, pool: bool) -> torch.Tensor:
    """(..., 4, 4) how alike four chunks are, by features (..., 4, C, z, y, x).

    The cosine over channels, voxel by voxel, and its mean (faithful); with ``pool`` the cosine
    of the chunks' means, which does not ask that a chunk faces itself voxel by voxel (our
    option: the code has a pooling layer that it does not use).
    """
    flat = exact(features).flatten(-3)
    unit = nn.functional.normalize(flat.mean(-1, keepdim=True) if pool else flat, dim=-2)
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum("...acv,...bcv->...ab", unit, unit) / unit.shape[-1]
