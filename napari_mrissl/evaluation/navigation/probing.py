"""All probes of one source of features: where a slice lies, and what it shows.

Measures are means over held-out subjects, with 95 % intervals over these where there are
several; each stands beside what an answer is worth that looks at no slice (chance).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation import linear_head
from napari_mrissl.evaluation.navigation import probes
from napari_mrissl.evaluation.navigation.encoders import Encoder, at_pixels
from napari_mrissl.evaluation.navigation.probe_slices import ProbeSlices
from napari_mrissl.evaluation.statistics import interval
from napari_mrissl.synthesis.draws import generator

MOST_LABELS = 8
TOKEN_COMPONENTS = 64
_PIXELS = 20_000
_PRESENT = 0.005
"""Share of a slice from which on a label counts as shown."""


@dataclass(frozen=True)
class Measure:
    """One number of a table.

    Attributes
    ----------
    value
        Mean over subjects.
    low, high
        95 % interval over subjects; None for a single one.
    chance
        Of an answer that looks at no slice; None where there is none.
    subjects
        How many.
    """

    value: float
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    subjects: int = 1

    @classmethod
    def of(cls, values: NDArray[np.float64], chance: NDArray[np.float64] | None = None) -> Measure:
        """From one value of each subject, and of chance."""
        low, high = interval(values) if len(values) > 1 else (None, None)
        plain = None if chance is None else float(np.mean(chance))
        return cls(float(np.mean(values)), low, high, plain, len(values))

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return dict(vars(self))


def probe(
    encoder: Encoder, train: ProbeSlices, test: ProbeSlices, components: int = TOKEN_COMPONENTS
) -> dict[str, Measure]:
    """Fit on training subjects, measure on held-out ones.

    ``position_mm``, ``position_r2`` (centre), ``angle_degrees`` (orientation), ``log_fov_r2``,
    ``plane_accuracy``; ``moved_mm``, ``moved_degrees`` (the way between two slices),
    ``order_accuracy``; and, where there are label maps, ``presence_auroc``, ``dice`` and
    ``dice_<label>``. Single tokens are brought to so many ``components``, see `segmentation`.
    """
    rows, other = probes.reduced(encoder.pooled(train.images), encoder.pooled(test.images))
    found = _places(rows, other, train, test) | _pairs(rows, other, train, test)
    if train.labels is not None and test.labels is not None:
        labels = probes.kept_labels([train.labels[train.singles]], MOST_LABELS)
        if labels:
            found |= _presence(rows, other, train, test, labels)
            found |= segmentation(encoder, train, test, labels, components)
    return found


def _places(
    rows: probes.Rows, other: probes.Rows, train: ProbeSlices, test: ProbeSlices
) -> dict[str, Measure]:
    a, b = train.singles, test.singles
    own, groups = test.subjects[b], train.subjects[a]
    x, y = rows[a], other[b]

    def far(found: probes.Rows) -> NDArray[np.float64]:
        return probes.by_subject(np.linalg.norm(found - test.places[b], axis=1), own)

    def turned(found: probes.Rows) -> NDArray[np.float64]:
        away = probes.geodesic_degrees(probes.orthonormal(found), test.rotations[b])
        return probes.by_subject(away, own)

    places = probes.regress(x, train.places[a], groups, y)
    mean_place = train.places[a].mean(axis=0)
    six = probes.six_numbers(train.rotations[a])
    turns = probes.regress(x, six, groups, y)
    logs, true_logs = np.log(train.fovs[a])[:, None], np.log(test.fovs[b])[:, None]
    sizes = probes.regress(x, logs, groups, y)
    likely, classes = probes.classify(x, train.planes[a], groups, y)
    right = classes[likely.argmax(axis=1)] == test.planes[b]
    usual = np.bincount(train.planes[a]).argmax() == test.planes[b]
    r2 = probes.explained(test.places[b], places, mean_place, own)
    r2_size = probes.explained(true_logs, sizes, logs.mean(axis=0), own)
    return {
        "position_mm": Measure.of(far(places), far(mean_place[None])),
        "position_r2": Measure.of(r2, np.zeros(1)),
        "angle_degrees": Measure.of(turned(turns), turned(_constant(six, len(b)))),
        "log_fov_r2": Measure.of(r2_size, np.zeros(1)),
        "plane_accuracy": Measure.of(
            probes.by_subject(right, own), probes.by_subject(usual, own)
        ),
    }  # fmt: skip


def _constant(six: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The mean orientation once for each; any will do where the mean is none."""
    mean = six.mean(axis=0)
    rank = np.linalg.matrix_rank(mean.reshape(2, 3), tol=1e-9)
    return np.repeat((mean if rank == 2 else six[0])[None], count, axis=0)


def _pairs(
    rows: probes.Rows, other: probes.Rows, train: ProbeSlices, test: ProbeSlices
) -> dict[str, Measure]:
    def both(features: probes.Rows, pairs: NDArray[np.int64]) -> probes.Rows:
        first, second = features[pairs[:, 0]], features[pairs[:, 1]]
        return np.concatenate([first, second - first], axis=1)

    found: dict[str, Measure] = {}
    if len(train.moved) and len(test.moved):
        own, groups = test.subjects[test.moved[:, 0]], train.subjects[train.moved[:, 0]]
        x, y = both(rows, train.moved), both(other, test.moved)
        way = probes.regress(x, train.actions, groups, y)
        mean = np.repeat(train.actions.mean(axis=0)[None], len(y), axis=0)
        found["moved_mm"] = Measure.of(*(_shift_mm(one, test, own) for one in (way, mean)))
        found["moved_degrees"] = Measure.of(*(_turn_degrees(one, test, own) for one in (way, mean)))
    if len(train.ordered) and len(test.ordered):
        own, groups = test.subjects[test.ordered[:, 0]], train.subjects[train.ordered[:, 0]]
        x, y = both(rows, train.ordered), both(other, test.ordered)
        likely, classes = probes.classify(x, train.later, groups, y)
        right = classes[likely.argmax(axis=1)] == test.later
        usual = (train.later.mean() >= 0.5) == test.later
        found["order_accuracy"] = Measure.of(
            probes.by_subject(right, own), probes.by_subject(usual, own)
        )
    return found


def _shift_mm(found: probes.Rows, test: ProbeSlices, own: NDArray[np.int64]) -> NDArray[np.float64]:
    away = np.linalg.norm(found[:, :3] - test.actions[:, :3], axis=1)
    return probes.by_subject(away * test.fovs[test.moved[:, 0]], own)


def _turn_degrees(
    found: probes.Rows, test: ProbeSlices, own: NDArray[np.int64]
) -> NDArray[np.float64]:
    from napari_mrissl.geometry.rotations import matrix_from_axis_angle

    one, true = (
        np.stack([matrix_from_axis_angle(row[3:6]) for row in actions])
        for actions in (found, test.actions)
    )
    return probes.by_subject(probes.geodesic_degrees(one, true), own)


def _presence(
    rows: probes.Rows,
    other: probes.Rows,
    train: ProbeSlices,
    test: ProbeSlices,
    labels: tuple[int, ...],
) -> dict[str, Measure]:
    a, b = train.singles, test.singles
    assert train.labels is not None  # noqa: S101 - asked before
    assert test.labels is not None  # noqa: S101
    shown, true = (
        np.stack([(one == k).mean(axis=(1, 2)) >= _PRESENT for k in labels], axis=1)
        for one in (train.labels[a], test.labels[b])
    )
    scores = np.zeros(true.shape)
    for k in range(len(labels)):
        likely, classes = probes.classify(rows[a], shown[:, k], train.subjects[a], other[b])
        scores[:, k] = likely[:, -1] if classes[-1] else 0.0
    areas = probes.auroc(true, scores, test.subjects[b])
    if not len(areas):
        return {}
    chance = probes.auroc(true, np.zeros(true.shape), test.subjects[b])
    return {"presence_auroc": Measure.of(areas, chance)}


def segmentation(
    encoder: Encoder,
    train: ProbeSlices,
    test: ProbeSlices,
    labels: tuple[int, ...],
    components: int = TOKEN_COMPONENTS,
    seed: int = 0,
) -> dict[str, Measure]:
    """A linear head on tokens, brought to the pixels: Dice of each label, and their mean.

    A subject's Dice counts the pixels of all its slices together. Chance is that of the answer
    that says the one label everywhere. Sources are comparable where each has as many components:
    as many as the narrowest of them has numbers for a token.
    """
    assert train.labels is not None  # noqa: S101 - asked before
    assert test.labels is not None  # noqa: S101
    size = train.images.shape[-1]
    tokens = encoder.tokens(train.images[train.singles])
    others = encoder.tokens(test.images[test.singles])
    channels = tokens.shape[-1]
    flat, other = probes.reduced(
        tokens.reshape(-1, channels), others.reshape(-1, channels), components
    )
    tokens = flat.reshape(*tokens.shape[:3], -1).astype(np.float32)
    others = other.reshape(*others.shape[:3], -1).astype(np.float32)
    truth = np.where(np.isin(train.labels[train.singles], labels), train.labels[train.singles], 0)
    each = max(1, _PIXELS // len(tokens))
    rng = generator(seed, len(tokens), "pixels of the segmentation probe")
    rows, wanted = [], []
    for one, label_map in zip(tokens, truth, strict=True):
        chosen = rng.choice(size * size, min(each, size * size), replace=False)
        rows.append(at_pixels(one[None], size)[0].reshape(size * size, -1)[chosen])
        wanted.append(label_map.reshape(-1)[chosen])
    head = linear_head.fit(rows, wanted)
    found = [head.predict(at_pixels(one[None], size)[0].transpose(2, 0, 1)) for one in others]
    return _dice(np.stack(found), test.labels[test.singles], test.subjects[test.singles], labels)


def _dice(
    found: NDArray[np.integer],
    true: NDArray[np.integer],
    subjects: NDArray[np.int64],
    labels: tuple[int, ...],
) -> dict[str, Measure]:
    persons = np.unique(subjects)
    scores = np.full((len(persons), len(labels)), np.nan)
    chance = scores.copy()
    for row, person in enumerate(persons):
        own = subjects == person
        for k, label in enumerate(labels):
            ours, truth = found[own] == label, true[own] == label
            if truth.any():
                scores[row, k] = 2 * (ours & truth).sum() / (ours.sum() + truth.sum())
                chance[row, k] = 2 * truth.sum() / (truth.size + truth.sum())
    measures = {}
    for k, label in enumerate(labels):
        known = ~np.isnan(scores[:, k])
        if known.any():
            measures[f"dice_{label}"] = Measure.of(scores[known, k], chance[known, k])
    seen = ~np.isnan(scores).all(axis=1)
    if seen.any():
        measures["dice"] = Measure.of(
            np.nanmean(scores[seen], axis=1), np.nanmean(chance[seen], axis=1)
        )
    return measures
