"""Which true label maps of an evaluation belong to scans that a network was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.label_map_pairs import Pair, pairs
from napari_mrissl.networks.weights import read_card
from napari_mrissl.segmentation.prediction_files import SCAN, SEEN, facts_beside
from napari_mrissl.training import card, known_scans
from napari_mrissl.training.data.facts import values_sha256
from napari_mrissl.training.run import Run
from napari_mrissl.volumes import read
from napari_mrissl.volumes.labels import whole_numbers

_LARGEST_SIDECAR = 1 << 20


def seen_by(runs: Sequence[Path]) -> frozenset[str]:
    """What tells the scans and label maps that runs, or files of their weights, saw.

    Beside what `known_scans.trained_on` gives, the parts that the label maps in a run's folder
    divide a scan into: a run numbers classes in its own way. A run that began from weights that
    do not say what they saw gives its own; see `untold`.

    Raises
    ------
    MrisslError
        If one is not there, cannot be read, or says nothing of what it was trained on.
    """
    known: set[str] = set()
    for place in runs:
        if not place.exists():
            raise MrisslError("is not there", where=place, expected="a run, or a file of weights")
        own = known_scans.trained_on(place)
        if not own and known_scans.silent(place):
            raise MrisslError(
                "does not say what it was trained on", where=place, expected="the folder of a run"
            )
        known |= own
        run = Run.open(place) if place.is_dir() else card.run_above(place)
        run = run or card.run_of(read_card(place))
        known |= set() if run is None else _label_maps(run)
    return frozenset(known)


def seen_of(predicted: Iterable[Path], truth: Path, known: frozenset[str]) -> frozenset[Path]:
    """True label maps whose scans, or others of their subjects, were seen in training.

    Those are known, or ``mrissl predict`` wrote beside the prediction that its network saw
    them. A known scan is told by its label map, in whatever numbers and header, or by the facts
    that ``mrissl predict`` writes for its own.

    Parameters
    ----------
    predicted
        Folders of predictions.
    truth
        The folder of true label maps.
    known
        See `seen_by`; of no run nothing.

    Raises
    ------
    MrisslError
        If files do not belong together, or one cannot be read.
    """
    matched = [pair for folder in predicted for pair in pairs(folder, truth)[0]]
    told: dict[Path, bool] = {}
    for pair in matched:
        beside = _facts_beside(pair.predicted)
        if any(facts.get(SEEN) is True or facts.get(SCAN) in known for facts in beside):
            told[pair.truth] = True
        elif pair.truth not in told:
            told[pair.truth] = bool(known) and _told(pair, known)
    people = {pair.person for pair in matched if told[pair.truth]}
    return frozenset(pair.truth for pair in matched if pair.person in people)


def untold(predicted: Iterable[Path], truth: Path, runs: Sequence[Path] = ()) -> bool:
    """Whether a network, or weights that it began from, do not say what they were trained on.

    That a scan is not among those of `seen_of` shows nothing then. Runs tell it, and what
    ``mrissl predict`` wrote beside predictions.

    Raises
    ------
    MrisslError
        If files do not belong together, or one cannot be read.
    """
    if any(known_scans.silent(place) for place in runs):
        return True
    return any(
        SEEN in facts and facts[SEEN] is None
        for folder in predicted
        for pair in pairs(folder, truth)[0]
        for facts in _facts_beside(pair.predicted)
    )


def _told(pair: Pair, known: frozenset[str]) -> bool:
    volume = read(pair.truth)
    labels = whole_numbers(volume, pair.truth)
    return bool({volume.identity, values_sha256(volume), _parts(labels)} & known)


def _label_maps(run: Run) -> set[str]:
    from napari_mrissl.segmentation.finetuning.preparing import LABELS

    found = set()
    for record in run.settings.data.subjects:
        path = run.folder / LABELS / f"{record.labels}.nii.gz"
        if record.labels is not None and path.is_file():
            parts = _parts(whole_numbers(read(path), path))
            found |= set() if parts is None else {parts}
    return found


def _parts(labels: NDArray[np.integer]) -> str | None:
    """A digest of which voxels are labelled alike, whatever the numbers; None where all are."""
    values, first, places = np.unique(labels, return_index=True, return_inverse=True)
    if len(values) < 2:
        return None
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(first)] = np.arange(len(values))
    digest = hashlib.sha256(repr(labels.shape).encode())
    digest.update(rank[places.ravel()].astype("<i4").tobytes())
    return f"parts {digest.hexdigest()}"


def _facts_beside(label_map: Path) -> list[dict[str, object]]:
    """What files with a label map say of it: of which scan it was made, and by what."""
    found = []
    for path in facts_beside(label_map):
        try:
            if not path.is_file() or path.stat().st_size > _LARGEST_SIDECAR:
                continue
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            # A sidecar of somebody else says nothing of scans.
            continue
        if isinstance(content, dict):
            found.append({name: content[name] for name in (SCAN, SEEN) if name in content})
    return [facts for facts in found if isinstance(facts.get(SCAN), str | None)]
