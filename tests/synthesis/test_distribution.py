"""The engine and the published chain, each by itself and against each other, in distribution.

Both draw their own random numbers, so only distributions can agree: of label counts,
background, kinds, grey values, power spectra and the smoothness of label borders. Seeds are
fixed: nothing here is left to chance.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats
from tracing import untraced

from napari_mrissl.synthesis import Engine, EngineSettings, Templates

pytest.importorskip("monai")
torch = pytest.importorskip("torch")

SIDE, FEW, MANY = 32, 36, 300
SAME = 1e-3
"""Least p value of a two-sample Kolmogorov-Smirnov test; 12 of them are made."""


@dataclass
class Sample:
    """Numbers from many pairs: one list per quantity."""

    kinds: list[str] = field(default_factory=list)
    numbers: dict[str, list[float]] = field(default_factory=dict)
    highest: int = 0
    ends: list[tuple[float, float]] = field(default_factory=list)

    def add(self, views: np.ndarray, labels: np.ndarray, kind: str, mixtures: np.ndarray) -> None:
        self.kinds.append(kind)
        self.highest = max(self.highest, int(labels.max()))
        counts = np.bincount(labels.ravel(), minlength=256)
        lowest = int(labels.min())
        self._note("labels", np.count_nonzero(counts))
        self._note("background share", counts[0] / labels.size)
        borders = [np.mean(np.diff(labels.astype(int), axis=axis) != 0) for axis in range(3)]
        self._note("borders", np.mean(borders))
        self._note("rough borders", roughness(labels) / np.mean(borders))
        for view, mixture in zip(views, mixtures, strict=True):
            self.ends.append((float(view.min()), float(view.max())))
            self._note("empty background", float(not mixture[labels == lowest].any()))
            self._note("mean grey value", view.mean())
            self._note("contrast", view.std())
            for label in np.flatnonzero(counts[1:] > 50)[:6] + 1:
                here = labels == label
                self._note("label means", mixture[here].mean())
                self._note("label stds", mixture[here].std())
                self._note("label means after all", view[here].mean())
                self._note("label stds after all", view[here].std())
            for band, power in enumerate(log_power(view)):
                self._note(f"power in band {band}", power)

    def _note(self, name: str, value: float) -> None:
        self.numbers.setdefault(name, []).append(float(value))


def roughness(labels: np.ndarray) -> float:
    """The share of voxels that differ from both neighbours along some axis."""
    alone = np.zeros(labels.shape, bool)
    for axis in range(3):
        moved = np.moveaxis(labels, axis, 0)
        odd = (moved[1:-1] != moved[:-2]) & (moved[1:-1] != moved[2:])
        np.moveaxis(alone, axis, 0)[1:-1] |= odd
    return float(alone.mean())


def log_power(view: np.ndarray) -> np.ndarray:
    """Mean log power in four shells of k-space."""
    power = np.abs(np.fft.fftn(view - view.mean())) ** 2 + 1e-6
    line = np.fft.fftfreq(len(view))
    radius = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + line**2)
    shells = [(0.02, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 0.5)]
    return np.array([np.log(power[(radius > a) & (radius <= b)].mean()) for a, b in shells])


def sample_of_engine(pool: Templates, count: int) -> Sample:
    engine, sample = Engine(pool, EngineSettings.of_side(SIDE), seed=11), Sample()
    for index in range(count):
        stages = engine.stages(index)
        mixtures = np.stack([stage.array for stage in stages if stage.name == "mixture"])
        pair = engine.pair(index)
        sample.add(pair.views, pair.labels, pair.kind, mixtures)
    return sample


def sample_of_published(pool: Templates, count: int) -> Sample:
    from synthesis.published_chain import PublishedChain

    chain, sample = PublishedChain([pool[k] for k in range(len(pool))], 12, SIDE), Sample()
    for _ in range(count):
        pair = chain.pair()
        sample.add(pair.views, pair.labels, pair.kind, pair.mixtures)
    return sample


MAKERS = {"engine": sample_of_engine, "published chain": sample_of_published}


@pytest.fixture(
    scope="module",
    params=[FEW, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])],
    ids=["few", "many"],
)
def samples(request, pool) -> dict[str, Sample]:
    before = torch.get_num_threads()
    # Volumes this small gain nothing from a second thread.
    torch.set_num_threads(1)
    try:
        with untraced():
            return {name: make(pool, request.param) for name, make in MAKERS.items()}
    finally:
        torch.set_num_threads(before)


def likely(hits: int, count: int, chance: float) -> bool:
    return bool(stats.binomtest(hits, count, chance).pvalue > SAME)


@pytest.mark.parametrize("name", MAKERS)
def test_thirds_are_plain_masked_and_enveloped(samples, name):
    kinds = samples[name].kinds
    for kind in ("plain", "masked", "enveloped"):
        assert likely(kinds.count(kind), len(kinds), 1 / 3)


@pytest.mark.parametrize("name", MAKERS)
def test_labels_fit_the_published_limits(samples, name):
    sample = samples[name]
    assert sample.highest <= 40
    assert max(sample.numbers["labels"]) <= 41
    assert max(sample.numbers["labels"]) > 15


@pytest.mark.parametrize("name", MAKERS)
def test_a_quarter_of_the_views_has_an_empty_background(samples, name):
    empty = samples[name].numbers["empty background"]
    assert likely(int(sum(empty)), len(empty), 0.25)


@pytest.mark.parametrize("name", MAKERS)
def test_views_fill_0_to_1(samples, name):
    ends = np.array(samples[name].ends)
    assert not ends[:, 0].any()
    assert np.allclose(ends[:, 1], 1, atol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_neighbours_share_labels_and_borders_are_smooth(samples, name):
    assert 0.01 < np.mean(samples[name].numbers["borders"]) < 0.4
    assert np.mean(samples[name].numbers["rough borders"]) < 0.7


@pytest.mark.parametrize(
    "quantity",
    [
        "labels",
        "background share",
        "borders",
        "rough borders",
        "mean grey value",
        "contrast",
        "label means",
        "label stds",
        "label means after all",
        "label stds after all",
        *(f"power in band {band}" for band in range(4)),
    ],
)
def test_both_make_the_same_distribution(samples, quantity):
    one, other = (samples[name].numbers[quantity] for name in MAKERS)
    assert stats.ks_2samp(one, other).pvalue > SAME, (np.mean(one), np.mean(other))
