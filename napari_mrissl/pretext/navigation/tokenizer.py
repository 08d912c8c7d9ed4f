"""The task ``tokenizer``: hidden patches of slices are filled in (stage 1; inferred).

Masked autoencoding as in Dreamer 4's tokenizer (arXiv:2509.24527): the share of hidden patches
is drawn for each slice, evenly up to nine tenths. In place of a perceptual loss, which needs
weights from elsewhere, gradients are compared. Departing from a loss at hidden patches alone:
shown patches count as well (the setting ``seen``), since here each token is decoded where it
lies, and nothing else would ever ask for the patches of a slice that is seen whole.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_mrissl.networks.settings import TokenizerShape
from napari_mrissl.networks.slice_tokenizer import SliceTokenizer, pixels_of
from napari_mrissl.pretext.navigation.settings import TOKENIZER, FlightSettings, TokenizerSettings
from napari_mrissl.pretext.navigation.slices import CHANCE_SAMPLES, SliceTask
from napari_mrissl.pretext.restoration import constant_error, exact, thinned
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Shown

_AT_ONCE = 8
_SHOWN = 4


class TokenizerNetwork(nn.Module):
    """A tokenizer as it is trained; its parameters are named ``backbone. ...``."""

    def __init__(self, shape: TokenizerShape) -> None:
        super().__init__()
        self.backbone = SliceTokenizer(shape)

    def forward(self, image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Grey values (B, N, N), see `SliceTokenizer.forward`."""
        restored: torch.Tensor = self.backbone(image, hidden)
        return restored


class Tokenizer(SliceTask[TokenizerSettings]):
    """Fill in hidden patches of slices.

    Terms: ``hidden`` and ``seen``, mean squared errors at hidden and at shown patches, and
    ``edges``, the mean difference of gradients where a hidden pixel takes part, after what was
    shown is pasted over the reconstruction.
    """

    info = TOKENIZER

    @property
    def flight_settings(self) -> FlightSettings:
        """Where slices are taken from."""
        return self.settings.flights

    @property
    def slices(self) -> TokenizerShape:
        """Of the network."""
        return self.settings.backbone

    def network(self) -> TokenizerNetwork:
        """A new tokenizer."""
        return TokenizerNetwork(self.settings.backbone)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """The frames of a flight, and which patches of each are hidden."""
        flight = self.flights.draw(subjects, key)
        hidden = self.draw_hidden(key.generator("patches"))
        return self.sample_of(flight, subjects, hidden=hidden)

    def draw_hidden(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """(T, grid, grid) hidden patches; their share in a slice is even from 0 to the most."""
        frames, grid = self.settings.flights.frames, self.settings.backbone.grid
        hidden = np.zeros((frames, grid * grid), np.bool_)
        for one in hidden:
            count = round(rng.uniform(0, self.settings.hidden) * grid * grid)
            one[rng.permutation(grid * grid)[:count]] = True
        return hidden.reshape(frames, grid, grid)

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``hidden``, ``seen`` and ``edges``."""
        image, hidden = batch["image"].flatten(0, 1), batch["hidden"].flatten(0, 1)
        restored = exact(network(image, hidden))
        return self.terms(restored, image[:, 0].to(restored.dtype), hidden)

    def terms(
        self, restored: torch.Tensor, true: torch.Tensor, hidden: torch.Tensor
    ) -> dict[str, LossTerm]:
        """The terms of reconstructions (B, N, N)."""
        settings = self.settings
        where = pixels_of(hidden, settings.backbone.patch)
        mask = where.to(restored.dtype)
        squares = (restored - true).square()
        difference = torch.where(where, restored - true, 0)
        edges, touched = [], []
        for axis in (-2, -1):
            edges.append(difference.diff(dim=axis).abs().sum())
            size = where.shape[axis]
            before, after = where.narrow(axis, 0, size - 1), where.narrow(axis, 1, size - 1)
            touched.append((before | after).sum())
        shown = 1 - mask
        return {
            "hidden": LossTerm((squares * mask).sum(), mask.sum()),
            "seen": LossTerm((squares * shown).sum(), shown.sum(), settings.seen),
            "edges": LossTerm(sum(edges[1:], edges[0]), sum(touched[1:], touched[0]),
                              settings.edges),
        }  # fmt: skip

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """What simple answers are worth, that nobody had to learn.

        ``hidden``: the better of one grey value for all slices, and for each slice the mean of
        its shown patches; ``edges``: that mean; ``seen``: the mean of each patch itself.
        """
        grey: list[NDArray[np.floating]] = []
        sums: dict[str, list[float]] = {"hidden": [0.0, 0.0], "edges": [0.0, 0.0]}
        sums["seen"] = [0.0, 0.0]
        patch = self.settings.backbone.patch
        for first in range(0, CHANCE_SAMPLES, _AT_ONCE):
            batch = self.chance_batch(subjects, seed, first, _AT_ONCE)
            true = batch["image"].flatten(0, 1)[:, 0].double()
            hidden = batch["hidden"].flatten(0, 1)
            where = pixels_of(hidden, patch)
            shown = (~where).double()
            means = (true * shown).sum((1, 2)) / shown.sum((1, 2)).clamp(min=1)
            blocks = torch.nn.functional.avg_pool2d(true[:, None], patch)[:, 0]
            answer = torch.where(where, means[:, None, None], pixels_of(blocks, patch))
            for name, term in self.terms(answer, true, hidden).items():
                sums[name][0] += float(term.total)
                sums[name][1] += float(term.count)
            grey.append(thinned(true[where].numpy()))
        found = {name: total / count for name, (total, count) in sums.items() if count}
        if "hidden" in found:
            constant = constant_error(np.concatenate(grey), squared=True)
            found["hidden"] = min(found["hidden"], constant)
        return found

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """A few slices: as they are, as the network saw them, and as it gives them back."""
        image, hidden = batch["image"][:_SHOWN, 0], batch["hidden"][:_SHOWN, 0]
        with torch.no_grad():
            restored = exact(network(image, hidden))
            whole = exact(network(image, torch.zeros_like(hidden)))
        where = pixels_of(hidden, self.settings.backbone.patch)
        rows = {
            "input": image[:, 0],
            "masked": image[:, 0].masked_fill(where, torch.nan),
            "reconstruction": restored,
            "from the whole slice": whole,
        }
        tiles = torch.cat([row.float().clamp(0, 1) for row in rows.values()])
        captions = tuple(name for name in rows for _ in range(len(image)))
        return [Shown("slices", tiles.cpu().numpy(), captions)]
