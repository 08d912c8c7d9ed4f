"""What words on the command line stand for: weights, random networks, filters, grey values."""

from __future__ import annotations

from collections.abc import Sequence

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.frozen import (
    FILTERS,
    INTENSITY,
    RANDOM_SEEDS,
    Source,
    plain_source,
)
from napari_mrissl.evaluation.leakage import trained_on
from napari_mrissl.features.network import RANDOM, NetworkFeatures, NetworkSettings
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import (
    DEFAULT,
    WeightFile,
    available,
    weights_named,
)


def named(words: Sequence[str]) -> list[Source]:
    """The sources of a comparison, in the order of their words; each once.

    Parameters
    ----------
    words
        ``filters``, ``intensity``, ``random`` (`RANDOM_SEEDS` networks of the size of the first
        weights), or weights by name, run or file.

    Raises
    ------
    MrisslError
        If a word stands for nothing, or two stand for the same.
    """
    wanted = list(dict.fromkeys(words))
    files = {
        word: weights_named(word) for word in wanted if word not in (FILTERS, INTENSITY, RANDOM)
    }
    sources: list[Source] = []
    for word in wanted:
        if word == RANDOM:
            size = next(iter(files.values())).size if files else _usual_size()
            sources += [random_network(seed, size) for seed in range(RANDOM_SEEDS)]
        elif word in files:
            sources.append(pretrained(word, files[word]))
        else:
            sources.append(plain_source(word))
    names = [(source.name, source.seed) for source in sources]
    if len(set(names)) < len(names):
        raise MrisslError("two of them are the same weights", where="--weights")
    return sources


def pretrained(word: str, file: WeightFile) -> Source:
    """Weights as a source; those of a run know which scans it was trained on."""
    known = trained_on(word) if file.origin == "run" else frozenset()
    settings = NetworkFeatures(NetworkSettings(weights=word)).settings
    return Source(file.name, 0, settings, settings.model_dump_json(), known)


def random_network(seed: int, size: UNetSize) -> Source:
    """A network as it is before training."""
    settings = NetworkSettings(weights=RANDOM, seed=seed, width=size.width, depth=size.depth)
    return Source(RANDOM, seed, settings, settings.model_dump_json())


def _usual_size() -> UNetSize:
    """That of the weights that ship, or else the published one."""
    if any(file.origin == "shipped" for file in available()):
        return weights_named(DEFAULT).size
    return UNetSize()
