"""What words on the command line stand for: weights, random networks, filters, grey values."""

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
from napari_mrissl.evaluation.leakage import silent, trained_on
from napari_mrissl.features.network import RANDOM, NetworkSettings, Scales, network_source
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import (
    DEFAULT,
    WeightFile,
    available,
    weights_named,
)

ALL_SCALES = "+scales"
"""Behind the name of a network whose decoder's coarser levels count too."""


def named(words: Sequence[str]) -> list[Source]:
    """The sources of a comparison, in the order of their words; each once.

    Parameters
    ----------
    words
        ``filters``, ``intensity``, ``random`` (`RANDOM_SEEDS` networks of the size of the first
        weights), or weights by name, run or file; with ``+scales`` behind it, a network's
        features of its decoder's coarser levels as well.

    Raises
    ------
    MrisslError
        If a word stands for nothing, or two stand for the same.
    """
    wanted = {word: _scales_of(word) for word in words}
    files = {
        name: weights_named(name)
        for name, _ in wanted.values()
        if name not in (FILTERS, INTENSITY, RANDOM)
    }
    sources: list[Source] = []
    for word, (name, scales) in wanted.items():
        if name == RANDOM:
            size = next(iter(files.values())).size if files else _usual_size()
            sources += [random_network(seed, size, scales) for seed in range(RANDOM_SEEDS)]
        elif name in files:
            sources.append(pretrained(name, files[name], scales))
        else:
            sources.append(plain_source(word))
    names = [(source.name, source.seed) for source in sources]
    if len(set(names)) < len(names):
        raise MrisslError("two of them are the same weights", where="--weights")
    return sources


def pretrained(word: str, file: WeightFile, scales: Scales = "output") -> Source:
    """Weights as a source, with what they say of the scans that they were trained on."""
    known = trained_on(word)
    settings = network_source(NetworkSettings(weights=word, scales=scales)).settings
    name, identity = _called(file.name, scales), identity_of(settings)
    return Source(name, 0, settings, identity, known, silent(word))


def random_network(seed: int, size: UNetSize, scales: Scales = "output") -> Source:
    """A network as it is before training."""
    settings = NetworkSettings(
        weights=RANDOM, scales=scales, seed=seed, width=size.width, depth=size.depth
    )
    return Source(_called(RANDOM, scales), seed, settings, identity_of(settings))


def _scales_of(word: str) -> tuple[str, Scales]:
    name = word.removesuffix(ALL_SCALES)
    return (name, "output") if name == word else (name, "decoder")


def _called(name: str, scales: Scales) -> str:
    return name if scales == "output" else f"{name}{ALL_SCALES}"


def _usual_size() -> UNetSize:
    """That of the weights that ship, or else the published one."""
    if any(file.origin == "shipped" for file in available()):
        return weights_named(DEFAULT).size
    return UNetSize()
