"""Predicted label maps against true ones: a row for each scan and label, means by subject."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.cells import ABSOLUTE_ML, DICE, HD95, NSD, SIZE_ML, Scores
from napari_mrissl.evaluation.label_map_pairs import name_of, pairs
from napari_mrissl.metrics import dice, size_scores, surface_scores
from napari_mrissl.metrics.surfaces import Empty
from napari_mrissl.volumes import Volume, read
from napari_mrissl.volumes.labels import check_grid, whole_numbers

Progress = Callable[[float], object]

ONE_SIDED: tuple[Empty, ...] = ("predicted", "truth")
"""A label occurs in one of both label maps only."""


@dataclass(frozen=True)
class Score:
    """One scan and label.

    Attributes
    ----------
    subject
        Of the scans of one subject the same; it says nothing of whose they are.
    label
        Its number.
    dice, hd95_mm, nsd
        See `napari_mrissl.metrics`.
    truth_ml, predicted_ml
        Volumes.
    volume_difference_ml, volume_difference_percent
        Predicted less true; the percentage is None where the true volume is 0.
    empty
        In which of both label maps the label does not occur.
    scan
        Start of the identity of the true label map, which says nothing of whose it is either.
    """

    subject: str
    label: int
    dice: float
    hd95_mm: float
    nsd: float
    truth_ml: float
    predicted_ml: float
    volume_difference_ml: float
    volume_difference_percent: float | None
    empty: Empty
    scan: str = ""

    @property
    def absolute_volume_difference_ml(self) -> float:
        """Without its sign, so that errors of several scans do not cancel."""
        return abs(self.volume_difference_ml)


@dataclass(frozen=True)
class Scored:
    """All subjects of a folder.

    Attributes
    ----------
    scores
        By scan, then label.
    labels
        Those that occur in the truth.
    names
        What each scan's files are called, for the screen only.
    without_prediction
        What the true label maps that have no prediction are called, for the screen only.
    foreign
        Labels that only predictions hold; nothing else counts them.
    tolerance_mm
        Of NSD.
    left_out
        How many scans were not measured because they, or others of their subjects, were seen.
    """

    scores: tuple[Score, ...]
    labels: tuple[int, ...]
    names: Mapping[str, str] = field(repr=False)
    without_prediction: tuple[str, ...] = field(default=(), repr=False)
    foreign: tuple[int, ...] = ()
    tolerance_mm: float = 1.0
    left_out: int = 0

    @property
    def unpredicted(self) -> int:
        """How many true label maps have no prediction; they are in no mean."""
        return len(self.without_prediction)

    @property
    def subjects(self) -> tuple[str, ...]:
        """In the order of the scores."""
        return tuple(dict.fromkeys(score.subject for score in self.scores))

    @property
    def scans(self) -> tuple[str, ...]:
        """In the order of the scores; a subject may have several."""
        return tuple(dict.fromkeys(score.scan for score in self.scores))

    @property
    def mean_dice(self) -> float:
        """Over subjects and labels."""
        return float(np.mean([[*one.values()] for one in self.measures()[DICE].values()]))

    def without(self, *files: str) -> Scored:
        """All but the subjects of the scans whose files are called so: those learned from.

        Raises
        ------
        MrisslError
            If no file is called so, or no subject is left.
        """
        if unknown := set(files) - set(self.names.values()):
            raise MrisslError(f"nothing is called {sorted(unknown)[0]!r}", where="predictions")
        gone = {one.subject for one in self.scores if self.names[one.scan] in files}
        scores = tuple(one for one in self.scores if one.subject not in gone)
        if not scores:
            raise MrisslError("no subject is left", where="predictions")
        names = {one.scan: self.names[one.scan] for one in scores}
        return replace(self, scores=scores, names=names)

    def measures(self) -> dict[str, Scores]:
        """All by subject and label, as cells of a comparison hold them.

        What the scans of a subject score is averaged: the unit of intervals is the subject.
        """
        found: dict[str, Scores] = {}
        for name in (DICE, HD95, NSD, SIZE_ML, ABSOLUTE_ML):
            values: dict[str, dict[int, list[float]]] = {}
            for score in self.scores:
                of_subject = values.setdefault(score.subject, {})
                of_subject.setdefault(score.label, []).append(getattr(score, name))
            found[name] = {
                subject: {label: float(np.mean(own)) for label, own in labels.items()}
                for subject, labels in values.items()
            }
        return found

    def one_sided(self) -> int:
        """How many scans times labels are empty in one of both."""
        return sum(score.empty in ONE_SIDED for score in self.scores)


def score_folders(
    predicted: str | Path,
    truth: str | Path,
    *,
    tolerance_mm: float = 1.0,
    progress: Progress | None = None,
    seen: Collection[Path] = (),
    complete: bool = False,
) -> Scored:
    """Measure every prediction in a folder against the true label map of the same name.

    Every label that occurs in the truth of any subject counts for all; what is empty counts by
    the policy of `napari_mrissl.metrics.surfaces`.

    Parameters
    ----------
    predicted, truth
        Folders of label maps.
    tolerance_mm
        Of NSD.
    progress
        Is told which part, 0 to 1, is done.
    seen
        True label maps that are left out, see `seen_scans.seen_of`.
    complete
        Whether every true label map has to have a prediction; without it those that have none
        are in no mean, and counted.

    Raises
    ------
    MrisslError
        If a prediction is missing and all are wanted; if files do not belong together, one
        cannot be read, holds no whole numbers, or lies on another grid than its truth; or if
        none is left.
    """
    found, alone = pairs(predicted, truth)
    unpredicted = tuple(map(name_of, alone))
    if complete and unpredicted:
        raise MrisslError(
            f"{len(unpredicted)} of {len(found) + len(unpredicted)} true label maps have no "
            f"prediction, such as {unpredicted[0]}",
            where=Path(predicted),
            remedy="predict them too, or leave out --complete",
        )
    matched = [pair for pair in found if pair.truth not in seen]
    if not matched:
        raise MrisslError(
            f"all {len(found)} scans, or others of their subjects, were seen in training",
            where="--run",
            expected="predictions of other scans too",
        )
    # Labels of all subjects are known before the first is measured.
    present = [frozenset(_values(_read(pair.truth)[1])) for pair in matched]
    labels = tuple(sorted(frozenset().union(*present) - {0}))
    if not labels:
        raise MrisslError("holds nothing but 0", where=Path(truth), expected="labels from 1")
    scores: list[Score] = []
    names: dict[str, str] = {}
    people: dict[str, list[str]] = {}
    foreign: set[int] = set()
    for number, pair in enumerate(matched, 1):
        true, wanted = _read(pair.truth)
        volume, guess = _read(pair.predicted)
        check_grid(volume, true, pair.predicted, "the true label map")
        scan = _unlike(true.identity[:12], names)
        names[scan] = pair.name
        people.setdefault(pair.person, []).append(scan)
        scores += score(scan, guess, wanted, true.spacing, labels, tolerance_mm)
        foreign |= set(_values(guess)) - set(labels) - {0}
        if progress is not None:
            progress(number / len(matched))
    # Named after one of its scans that does not depend on the order of files.
    subjects = {scan: min(scans) for scans in people.values() for scan in scans}
    return Scored(
        tuple(replace(one, subject=subjects[one.scan]) for one in scores),
        labels,
        names,
        unpredicted,
        tuple(sorted(foreign)),
        tolerance_mm,
        len(found) - len(matched),
    )


def score(
    scan: str,
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    spacing_mm: Sequence[float] | NDArray[np.float64],
    labels: Sequence[int],
    tolerance_mm: float = 1.0,
) -> list[Score]:
    """All measures of one scan, a row for each label.

    Parameters
    ----------
    scan
        What the rows call it, and its subject.
    predicted, truth
        Label maps (S, A, R).
    spacing_mm
        Along the three axes.
    labels
        Which are measured.
    tolerance_mm
        Of NSD.
    """
    spacing = [float(side) for side in spacing_mm]
    overlaps = dice(predicted, truth, labels)
    surfaces = surface_scores(predicted, truth, spacing, labels, tolerance_mm)
    sizes = size_scores(predicted, truth, float(np.prod(spacing)), labels)
    return [
        Score(
            scan,
            label,
            overlaps[label],
            surfaces[label].hd95_mm,
            surfaces[label].nsd,
            sizes[label].truth_ml,
            sizes[label].predicted_ml,
            sizes[label].difference_ml,
            sizes[label].difference_percent,
            surfaces[label].empty,
            scan,
        )
        for label in labels
    ]


def _unlike(scan: str, known: Mapping[str, str]) -> str:
    """A name of its own for each: label maps of nothing at all may be copies of each other."""
    return next(
        name
        for number in range(1, len(known) + 2)
        if (name := scan if number == 1 else f"{scan}-{number}") not in known
    )


def _read(path: Path) -> tuple[Volume, NDArray[np.integer]]:
    volume = read(path)
    return volume, whole_numbers(volume, path)


def _values(labels: NDArray[np.integer]) -> list[int]:
    return [int(value) for value in np.unique(labels)]
