"""Which features can be explored: filters that need nothing, and networks by name or place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel

from napari_mrissl.errors import printable
from napari_mrissl.features import FilterBankSettings, NetworkSettings, source_for
from napari_mrissl.features.network import NetworkFeatures
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.features.similarity import Comparison
from napari_mrissl.networks.unet_layout import final, halvings_at, taps
from napari_mrissl.networks.weight_library import names


@dataclass(frozen=True)
class SourceChoice:
    """Features that can be chosen.

    Attributes
    ----------
    key
        By which a session remembers the choice.
    title, tip
        What the choice is called, and what it gives.
    settings
        What computes them; None for a network, whose settings `network_settings` makes.
    comparison
        How such features are best compared.
    weights
        Name, file or run of a network.
    """

    key: str
    title: str
    tip: str
    settings: BaseModel | None
    comparison: Comparison
    weights: str | None = None


PLAIN_SOURCES = (
    SourceChoice(
        "filter bank",
        "Filter bank",
        "Intensity, Gaussians, gradients and Hessian eigenvalues at 1 and 2 mm: 11 channels",
        FilterBankSettings(),
        "standardised",
    ),
    SourceChoice(
        "intensity",
        "Intensity",
        "The intensity itself and smoothed by 1, 2 and 4 mm: 4 channels",
        FilterBankSettings(groups=("intensity", "gaussian"), scales_mm=(1.0, 2.0, 4.0)),
        "standardised",
    ),
    SourceChoice(
        "mind",
        "MIND",
        "MIND-SSC, made to be alike in images of different contrast: 12 channels",
        FilterBankSettings(groups=("mind",)),
        "standardised",
    ),
)
"""Features that need neither torch nor weights."""


def network_choice(weights: str, title: str | None = None) -> SourceChoice:
    """A network as a choice.

    Parameters
    ----------
    weights
        Name of shipped or imported weights, a file, or the folder of a run.
    title
        What to call it; the last part of its place when left out.
    """
    last = weights.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    shown = printable(title or last)
    return SourceChoice(
        f"network:{weights}",
        f"Network: {shown}",
        "Features of a pretrained network, computed in a process of its own",
        None,
        "plain",
        weights,
    )


def network_settings(weights: str, tap: int | None = None) -> BaseModel:
    """What computes a network's features, at its end or at one of its layers; reads a file.

    Features keep their length, which says how strongly a network answers; a comparison by
    cosine does without it.

    Raises
    ------
    MrisslError
        If the weights are unknown or unusable.
    """
    return NetworkSettings(weights=weights, tap=tap, normalise="none")


def title_of(choice: SourceChoice, tap: int | None) -> str:
    """What features are called, with the layer of the network that gives them."""
    title = choice.title.removeprefix("Network: ")
    return title if tap is None else f"{title}, layer {tap}"


def known_networks() -> tuple[SourceChoice, ...]:
    """Shipped and imported weights, by name, and a network that learned nothing."""
    untrained = network_choice(RANDOM, "random, learned nothing")
    return (*(network_choice(name) for name in names()), untrained)


def layers_of(settings: BaseModel) -> tuple[tuple[int, int], ...]:
    """Number and stride of each layer of a network that gives features, but for the last."""
    source = source_for(settings)
    if not isinstance(source, NetworkFeatures):
        return ()
    depth = source.plan.size.depth
    return tuple(
        (number, 2 ** halvings_at(number, depth))
        for number in taps(depth)
        if number != final(depth)
    )


def settings_of(choice: SourceChoice, tap: int | None) -> Callable[[], BaseModel]:
    """A function that gives what computes the features; networks are looked up when called."""

    def settings() -> BaseModel:
        if choice.settings is not None:
            return choice.settings
        assert choice.weights is not None  # noqa: S101 - it has the one or the other
        return network_settings(choice.weights, tap)

    return settings
