"""The weights of either method of slice navigation, as something that encodes slices.

Torch, but no Qt. A run of ``dynamics`` holds its frozen tokenizer, so that both give tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.geometry import Pose
from napari_mrissl.networks import weights
from napari_mrissl.networks.slice_tokenizer import SliceTokenizer
from napari_mrissl.networks.transformer import normed
from napari_mrissl.pretext.navigation.flights import Flights, cut
from napari_mrissl.pretext.navigation.imagination import Imagination, Limits
from napari_mrissl.pretext.navigation.settings import (
    DYNAMICS,
    KINDS,
    TOKENIZER,
    FlightSettings,
    TokenizerSettings,
)
from napari_mrissl.pretext.navigation.tokenizer import TokenizerNetwork
from napari_mrissl.pretext.opening import file_of, opened
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume

_BATCH = 32


class OpenNetwork:
    """A trained tokenizer, alone or within dynamics.

    Attributes
    ----------
    backbone : SliceTokenizer
        In evaluation mode.
    flights : FlightSettings
        What it was trained on.
    imagination : Imagination or None
        Where there are dynamics.
    limits : Limits
        How scans are brought to [0, 1].
    """

    def __init__(
        self,
        backbone: SliceTokenizer,
        flights: FlightSettings,
        limits: Limits,
        imagination: Imagination | None = None,
    ) -> None:
        self.backbone = backbone.eval()
        self.flights = flights
        self.limits = limits
        self.imagination = imagination
        self._flown = Flights(flights)

    @classmethod
    def open(cls, run_or_weights: str | Path, device: str = "cpu") -> OpenNetwork:
        """The newest weights of a run of either method, or weights from a file.

        Raises
        ------
        MrisslError
            If they cannot be read, or are of another method.
        """
        path = file_of(run_or_weights)
        card = weights.read_card(path)
        method = card.get("method")
        limits = Limits.of_card(card, path)
        if method == DYNAMICS.name:
            found = Imagination.open(path, device)
            network = found.network
            return cls(network.backbone, network.settings.flights, limits, found)
        if method != TOKENIZER.name:
            raise MrisslError(
                f"weights are of the method {str(method or 'none')[:40]}",
                where=path,
                expected=f"a run of the method {TOKENIZER.name} or {DYNAMICS.name}",
            )
        settings, made, _ = opened(path, TOKENIZER, TokenizerSettings, _tokenizer, device)
        return cls(made.backbone, settings.flights, limits)

    @property
    def size(self) -> int:
        """Pixels along a side of a slice."""
        return self.backbone.shape.size

    @property
    def grid(self) -> int:
        """Tokens along a side of a slice."""
        return self.backbone.shape.grid

    def scan(self, volume: Volume) -> Scan:
        """A volume with the values that are 0 and 1 to the network."""
        low, high = self.limits.of(volume)
        return Scan(volume, low, high, volume.name, volume.identity)

    def frames(self, scan: Scan, poses: Sequence[Pose]) -> NDArray[np.float32]:
        """True slices (K, N, N) in [0, 1], 0 outside of the scan."""
        grey: NDArray[np.float32] = cut(scan, tuple(poses), self.size)[0]
        return grey

    @torch.no_grad()
    def encode(
        self,
        scan: Scan,
        poses: Sequence[Pose],
        cancelled: IsCancelled | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Layer-normed latents (K, grid, grid, latent) of true slices.

        Raises
        ------
        Cancelled
            If ``cancelled`` answered True.
        """
        weight = next(self.backbone.parameters())
        found = []
        for first in range(0, len(poses), _BATCH):
            stop_if(cancelled)
            grey, valid = cut(scan, tuple(poses[first : first + _BATCH]), self.size)
            image = torch.from_numpy(np.stack([grey, valid], axis=1).astype(np.float32))
            latents = normed(self.backbone.encode(image.to(weight)))
            found.append(latents.float().cpu().numpy())
            if progress is not None:
                progress(min(1.0, (first + _BATCH) / len(poses)))
        return np.concatenate(found)

    @torch.no_grad()
    def decode(self, latents: NDArray[np.floating]) -> NDArray[np.float32]:
        """Grey values (K, N, N) in [0, 1] of latents (K, grid, grid, latent)."""
        weight = next(self.backbone.parameters())
        given = torch.from_numpy(np.asarray(latents, np.float32)).to(weight)
        picture: NDArray[np.float32] = self.backbone.decode(given).clamp(0, 1).cpu().numpy()
        return picture

    def places(self, scan: Scan, count: int, seed: int) -> tuple[Pose, ...]:
        """Poses where training flights over a scan begin, in the run's mixture of kinds.

        For a run that never flew, of slices of stacks alone, in the usual mixture.
        """
        rng = np.random.default_rng(seed)
        kinds = rng.choice(KINDS, size=count, p=list(self.flights.shares_flown.values()))
        seeds = rng.integers(1 << 62, size=count)
        return tuple(
            self._flown.fly(scan, str(kind), 1, int(one))[0]
            for kind, one in zip(kinds, seeds, strict=True)
        )


def _tokenizer(settings: TokenizerSettings) -> TokenizerNetwork:
    return TokenizerNetwork(settings.backbone)
