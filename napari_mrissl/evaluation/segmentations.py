"""Predicted label maps against true ones: a row for each subject and label."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.cells import DICE, Scores
from napari_mrissl.metrics import dice, size_scores, surface_scores
from napari_mrissl.metrics.surfaces import Empty
from napari_mrissl.volumes import READABLE_SUFFIXES, Volume, read
from napari_mrissl.volumes.labels import check_grid, whole_numbers

HD95, NSD, SIZE_ML = "hd95_mm", "nsd", "volume_difference_ml"

Progress = Callable[[float], object]

_ENDS = re.compile(
    r"_(dseg|seg|segmentation|labels?|mask|pred|prediction|T1w|T2w|T2starw|PDw|FLAIR|inplaneT[12]"
    r"|UNIT1|ct)$",
    re.IGNORECASE,
)
_ENTITIES = re.compile(r"_(space|desc|seg|atlas|label|res)-[A-Za-z0-9]+(?=_|$)")


@dataclass(frozen=True)
class Score:
    """One subject and label.

    Attributes
    ----------
    subject
        Start of the identity of the true label map: it says nothing of whose it is.
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


@dataclass(frozen=True)
class Pair:
    """A predicted label map and the true one; files are never saved in results.

    Attributes
    ----------
    name
        What both are called, for whoever looks at the screen.
    """

    name: str
    predicted: Path = field(repr=False)
    truth: Path = field(repr=False)


@dataclass(frozen=True)
class Scored:
    """All subjects of a folder.

    Attributes
    ----------
    scores
        By subject, then label.
    labels
        Those that occur in the truth.
    names
        What each subject's files are called, for the screen only.
    unpredicted
        How many true label maps have no prediction.
    foreign
        Labels that only predictions hold; nothing else counts them.
    tolerance_mm
        Of NSD.
    """

    scores: tuple[Score, ...]
    labels: tuple[int, ...]
    names: Mapping[str, str] = field(repr=False)
    unpredicted: int = 0
    foreign: tuple[int, ...] = ()
    tolerance_mm: float = 1.0

    @property
    def subjects(self) -> tuple[str, ...]:
        """In the order of the scores."""
        return tuple(dict.fromkeys(score.subject for score in self.scores))

    @property
    def mean_dice(self) -> float:
        """Over subjects and labels."""
        return float(np.mean([score.dice for score in self.scores]))

    def without(self, *files: str) -> Scored:
        """All but the subjects whose files are called so: those that were learned from.

        Raises
        ------
        MrisslError
            If no file is called so, or no subject is left.
        """
        if unknown := set(files) - set(self.names.values()):
            raise MrisslError(f"nothing is called {sorted(unknown)[0]!r}", where="predictions")
        names = {subject: name for subject, name in self.names.items() if name not in files}
        if not names:
            raise MrisslError("no subject is left", where="predictions")
        scores = tuple(one for one in self.scores if one.subject in names)
        return replace(self, scores=scores, names=names)

    def measures(self) -> dict[str, Scores]:
        """All by subject and label, as cells of a comparison hold them."""
        found: dict[str, Scores] = {name: {} for name in (DICE, HD95, NSD, SIZE_ML)}
        for score in self.scores:
            for name, values in found.items():
                values.setdefault(score.subject, {})[score.label] = getattr(score, name)
        return found

    def one_sided(self) -> int:
        """How many subjects times labels are empty in one of both."""
        return sum(score.empty in ("predicted", "truth") for score in self.scores)


def pairs(predicted: str | Path, truth: str | Path) -> tuple[list[Pair], int]:
    """Files of two folders that belong together, and how many true ones have no partner.

    Names are the same, or become so without endings such as ``_dseg`` and BIDS entities that
    say how a file was made (``space-``, ``desc-``), or as the subjects that `mrissl predict`
    makes of other names: ``sub-scan7`` of ``scan_7``. Maps of probabilities are left out.

    Raises
    ------
    MrisslError
        If a folder is missing or empty, a prediction has no true label map or several, or two
        are of the same.
    """
    ours, theirs = _files(Path(predicted)), _files(Path(truth))
    exact = {_stem(path): path for path in theirs}
    loose: dict[str, list[Path]] = {}
    plain: dict[str, list[Path]] = {}
    for path in theirs:
        loose.setdefault(_subject(path), []).append(path)
        plain.setdefault(_plain(path), []).append(path)
    found: dict[Path, Pair] = {}
    for path in ours:
        same = exact.get(_stem(path))
        partners = [same] if same else loose.get(_subject(path)) or plain.get(_plain(path), [])
        if len(partners) != 1:
            raise MrisslError(
                "has several true label maps" if partners else "has no true label map",
                where=path,
                expected="one of its name in the folder of true ones",
            )
        if partners[0] in found:
            raise MrisslError(
                f"is a second prediction beside {found[partners[0]].predicted.name}", where=path
            )
        found[partners[0]] = Pair(_subject(path), path, partners[0])
    return list(found.values()), len(theirs) - len(found)


def score_folders(
    predicted: str | Path,
    truth: str | Path,
    *,
    tolerance_mm: float = 1.0,
    progress: Progress | None = None,
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

    Raises
    ------
    MrisslError
        If files do not belong together, one cannot be read, holds no whole numbers, or lies on
        another grid than its truth.
    """
    matched, unpredicted = pairs(predicted, truth)
    # Labels of all subjects are known before the first is measured.
    present = [frozenset(_values(_read(pair.truth)[1])) for pair in matched]
    labels = tuple(sorted(frozenset().union(*present) - {0}))
    if not labels:
        raise MrisslError("holds nothing but 0", where=Path(truth), expected="labels from 1")
    scores: list[Score] = []
    names: dict[str, str] = {}
    foreign: set[int] = set()
    for number, pair in enumerate(matched, 1):
        true, wanted = _read(pair.truth)
        volume, guess = _read(pair.predicted)
        check_grid(volume, true, pair.predicted, "the true label map")
        subject = _unlike(true.identity[:12], names)
        names[subject] = pair.name
        scores += score(subject, guess, wanted, true.spacing, labels, tolerance_mm)
        foreign |= set(_values(guess)) - set(labels) - {0}
        if progress is not None:
            progress(number / len(matched))
    return Scored(tuple(scores), labels, names, unpredicted, tuple(sorted(foreign)), tolerance_mm)


def score(
    subject: str,
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    spacing_mm: Sequence[float] | NDArray[np.float64],
    labels: Sequence[int],
    tolerance_mm: float = 1.0,
) -> list[Score]:
    """All measures of one subject, a row for each label.

    Parameters
    ----------
    subject
        What the rows call it.
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
            subject,
            label,
            overlaps[label],
            surfaces[label].hd95_mm,
            surfaces[label].nsd,
            sizes[label].truth_ml,
            sizes[label].predicted_ml,
            sizes[label].difference_ml,
            sizes[label].difference_percent,
            surfaces[label].empty,
        )
        for label in labels
    ]


def _files(folder: Path) -> list[Path]:
    """Scans directly in a folder, or in the ``anat`` folders of a BIDS tree."""
    if not folder.is_dir():
        raise MrisslError("no such folder", where=folder, expected="a folder of label maps")
    places = [folder, *sorted(folder.glob("sub-*/anat")), *sorted(folder.glob("sub-*/ses-*/anat"))]
    found = [
        path
        for place in places
        for path in sorted(place.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and _stem(path) != path.name
        and not _stem(path).endswith("_probseg")
    ]
    if not found:
        raise MrisslError("no label maps found", where=folder, expected="files such as .nii.gz")
    return found


def _stem(path: Path) -> str:
    lower = path.name.lower()
    # The .img of a pair is read with its .hdr.
    if lower.endswith((".img", ".img.gz")):
        return path.name
    fitting = [suffix for suffix in READABLE_SUFFIXES if lower.endswith(suffix)]
    return path.name[: len(path.name) - max(map(len, fitting), default=0)]


def _subject(path: Path) -> str:
    return _ENTITIES.sub("", _ENDS.sub("", _stem(path)))


def _unlike(subject: str, known: Mapping[str, str]) -> str:
    """A name of its own for each: label maps of nothing at all may be copies of each other."""
    return next(
        name
        for number in range(1, len(known) + 2)
        if (name := subject if number == 1 else f"{subject}-{number}") not in known
    )


def _plain(path: Path) -> str:
    """Letters and digits of a name, which is all that a BIDS subject keeps of it."""
    return re.sub(r"[^A-Za-z0-9]", "", _subject(path).removeprefix("sub-"))


def _read(path: Path) -> tuple[Volume, NDArray[np.integer]]:
    volume = read(path)
    return volume, whole_numbers(volume, path)


def _values(labels: NDArray[np.integer]) -> list[int]:
    return [int(value) for value in np.unique(labels)]
