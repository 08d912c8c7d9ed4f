"""Which features weights give: by what their card says, so that commands need not know."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.coordinate_maps import CoordinateMapSettings
from napari_mrissl.features.denoiser import DenoiserSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.features.slice_stacks import SliceStackSettings
from napari_mrissl.networks.diffusion_cards import COORDINATES, DIFFUSION
from napari_mrissl.networks.slice_cards import DYNAMICS, TOKENIZER, slice_network
from napari_mrissl.networks.weight_library import WeightFile, network_named
from napari_mrissl.networks.weight_places import is_identity, place_of, remember

_RATIO = re.compile(r"(-?\d{1,2}(?:\.\d{1,3})?)dB")
_STEP = re.compile(r"t(\d{1,5})")


@dataclass(frozen=True)
class NetworkKind:
    """A kind of network whose features can be had.

    Attributes
    ----------
    settings
        Settings of its features, from ``weights`` and options by name.
    drawn
        Of a random network of the same size, from a file of weights and a seed.
    variants
        Options by the word that stands behind the name of weights and a plus.
    noisy
        Whether such a word may also be a signal-to-noise ratio, as 10dB, or a step of the noise,
        as t100.
    """

    settings: Callable[..., BaseModel]
    drawn: Callable[[WeightFile, int], BaseModel]
    variants: Mapping[str, Mapping[str, Any]]
    noisy: bool = False

    def options(self, word: str) -> Mapping[str, Any] | None:
        """What a word behind a plus stands for; None if for nothing."""
        if self.noisy and (ratio := _RATIO.fullmatch(word)):
            return {"snr_db": float(ratio[1])}
        if self.noisy and (step := _STEP.fullmatch(word)):
            return {"step": int(step[1])}
        return self.variants.get(word)

    @property
    def words(self) -> tuple[str, ...]:
        """The words there are, for people."""
        return (*self.variants, *(("10dB", "t100") if self.noisy else ()))


def _drawn_unet(file: WeightFile, seed: int) -> BaseModel:
    size = file.size
    return NetworkSettings(weights=RANDOM, seed=seed, width=size.width, depth=size.depth)


def _drawn_slices(file: WeightFile, seed: int) -> BaseModel:
    network = slice_network(file.card)
    return SliceStackSettings(
        weights=RANDOM, seed=seed, slices=network.slices, dynamics=network.dynamics
    )


def _drawn_denoiser(file: WeightFile, seed: int) -> BaseModel:
    remember(file.identity, file.path)
    return DenoiserSettings(weights=file.identity, untrained=seed)


def _drawn_coordinates(file: WeightFile, seed: int) -> BaseModel:
    remember(file.identity, file.path)
    return CoordinateMapSettings(weights=file.identity, untrained=seed)


UNET = NetworkKind(NetworkSettings, _drawn_unet, {"scales": {"scales": "decoder"}})
SLICES = NetworkKind(SliceStackSettings, _drawn_slices, {"each": {"joined": "each"}})

DENOISER = NetworkKind(
    DenoiserSettings,
    _drawn_denoiser,
    {"scales": {"scales": "decoder"}, "zeroed": {"coordinates": "zeroed"}},
    noisy=True,
)

MAPS = NetworkKind(CoordinateMapSettings, _drawn_coordinates, {"intensity": {"intensity": True}})

KINDS = (UNET, SLICES, DENOISER, MAPS)

BY_METHOD: Mapping[str, NetworkKind] = {
    TOKENIZER: SLICES,
    DYNAMICS: SLICES,
    DIFFUSION: DENOISER,
    COORDINATES: MAPS,
}
"""What weights of a method are; those of all others are plain U-Nets."""


def kind_of(weights: str | Path) -> NetworkKind:
    """The kind of network that a name, an identity, a run or a file stands for.

    Raises
    ------
    MrisslError
        If there are no such weights.
    """
    if weights == RANDOM:
        return UNET
    place = place_of(str(weights)) if is_identity(str(weights)) else weights
    return BY_METHOD.get(str(network_named(place).card.get("method")), UNET)


def settings_of(weights: str | Path, **options: Any) -> BaseModel:
    """Settings of the features that weights give.

    Parameters
    ----------
    weights
        A name of the library, ``"random"``, a SHA-256, a run's folder or a file.
    options
        Fields of the settings; a None is left out.

    Raises
    ------
    MrisslError
        If there are no such weights, or their features have no such option.
    """
    kind = kind_of(weights)
    chosen = {name: value for name, value in options.items() if value is not None}
    fields = getattr(kind.settings, "model_fields", {})
    for name in chosen:
        if name not in fields:
            raise MrisslError(
                f"{name!r} for these weights",
                where="features",
                expected=f"one of {', '.join(sorted(set(fields) - {'kind', 'weights'}))}",
            )
    return kind.settings(weights=weights if isinstance(weights, str) else str(weights), **chosen)
