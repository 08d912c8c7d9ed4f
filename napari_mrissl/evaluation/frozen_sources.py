"""What words on the command line stand for: weights, random networks, filters, grey values.

Which features weights give is for their card to say, see `features.of_weights`.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.frozen import (
    FILTERS,
    INTENSITY,
    RANDOM_SEEDS,
    Source,
    identity_of,
    plain_source,
)
from napari_mrissl.features.network import NetworkSettings, Scales
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.features.of_weights import DENOISER, KINDS, UNET, NetworkKind, kind_of
from napari_mrissl.features.source import source_for
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import (
    DEFAULT,
    WeightFile,
    available,
    network_named,
    weights_named,
)
from napari_mrissl.training.known_scans import silent, trained_on

ALL_SCALES = "+scales"
"""Behind the name of a network whose decoder's coarser levels count too."""


def named(words: Sequence[str]) -> list[Source]:
    """The sources of a comparison, in the order of their words; each once.

    Parameters
    ----------
    words
        ``filters``, ``intensity``, ``random`` (`RANDOM_SEEDS` networks of the kind and size of
        the first weights), or weights by name, run or file; with variants behind it, such as
        ``+scales`` for a network's features of its decoder's coarser levels as well,
        ``+each`` for the three stacks of a network for slices one after the other, ``+10dB``,
        ``+t100`` and ``+zeroed`` for the noise of a denoiser and what it is told, or
        ``+intensity`` for grey values beside body coordinates.

    Raises
    ------
    MrisslError
        If a word stands for nothing, or two stand for the same.
    """
    wanted = {word: parted(word) for word in words}
    plain = (FILTERS, INTENSITY, RANDOM)
    files = {name: _weights(name) for name, _ in wanted.values() if name not in plain}
    sources: list[Source] = []
    for word, (name, variant) in wanted.items():
        if name == RANDOM:
            sources += _random(next(iter(files.items()), None), variant)
        elif name in files:
            sources.append(pretrained(name, files[name], variant))
        else:
            sources.append(plain_source(word))
    names = [(source.name, source.seed) for source in sources]
    if len(set(names)) < len(names):
        raise MrisslError("two of them are the same weights", where="--weights")
    return sources


def pretrained(word: str, file: WeightFile, variant: str = "") -> Source:
    """Weights as a source, with what they say of the scans that they were trained on.

    Raises
    ------
    MrisslError
        If their kind of network has no such variant.
    """
    kind = kind_of(word)
    chosen = kind.settings(weights=word, **_options(kind, variant))
    settings = source_for(chosen).settings
    name = _called(file.name, variant)
    return Source(name, 0, settings, identity_of(settings), trained_on(word), silent(word))


def random_network(seed: int, size: UNetSize, scales: Scales = "output") -> Source:
    """A plain U-Net as it is before training."""
    settings = NetworkSettings(
        weights=RANDOM, scales=scales, seed=seed, width=size.width, depth=size.depth
    )
    variant = "" if scales == "output" else ALL_SCALES[1:]
    return Source(_called(RANDOM, variant), seed, settings, identity_of(settings))


def _random(first: tuple[str, WeightFile] | None, variant: str) -> list[Source]:
    if first is None or kind_of(first[0]) is UNET:
        _options(UNET, variant)
        size = first[1].size if first is not None else _usual_size()
        scales: Scales = "decoder" if variant else "output"
        return [random_network(seed, size, scales) for seed in range(RANDOM_SEEDS)]
    return [drawn_like(*first, seed, variant) for seed in range(RANDOM_SEEDS)]


def drawn_like(word: str, file: WeightFile, seed: int, variant: str = "") -> Source:
    """A network of the kind and size of weights as it is before training.

    Of a denoiser the coordinates that guide it stay those of the weights, with what they saw.

    Raises
    ------
    MrisslError
        If their kind of network has no such variant.
    """
    kind = kind_of(word)
    drawn = kind.drawn(file, seed).model_copy(update=dict(_options(kind, variant)))
    settings = source_for(drawn).settings
    known, untold = frozenset[str](), False
    if kind is DENOISER:
        known, untold = trained_on(word), silent(word)
    return Source(_called(RANDOM, variant), seed, settings, identity_of(settings), known, untold)


def _options(kind: NetworkKind, variant: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in filter(None, variant.split("+")):
        chosen = kind.options(word)
        if chosen is None:
            raise MrisslError(
                f"+{word} behind these weights",
                where="--weights",
                expected=" or ".join(f"+{name}" for name in kind.words),
            )
        found |= chosen
    return found


def _weights(name: str) -> WeightFile:
    """A file of weights; a plain U-Net is looked at as such, so that others are refused here."""
    return network_named(name) if kind_of(name) is not UNET else weights_named(name)


def parted(word: str) -> tuple[str, str]:
    """The name of weights, and the variants behind it; ``""`` where there are none."""
    name, plus, variant = word.rpartition("+")
    if not plus or all(kind.options(variant) is None for kind in KINDS):
        return word, ""
    name, before = parted(name)
    return name, f"{before}+{variant}" if before else variant


def _called(name: str, variant: str) -> str:
    return f"{name}+{variant}" if variant else name


def _usual_size() -> UNetSize:
    """That of the weights that ship, or else the published one."""
    if any(file.origin == "shipped" for file in available()):
        return weights_named(DEFAULT).size
    return UNetSize()
