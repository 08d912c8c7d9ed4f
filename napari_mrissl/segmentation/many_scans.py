"""Labels of many scans, as files, by whatever gives labels; one bad scan does not stop others."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel

from napari_mrissl import __version__
from napari_mrissl.directories import made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.segmentation import prediction_files
from napari_mrissl.segmentation.prediction import (
    Prediction,
    PredictionSettings,
    Predictor,
    Segmenter,
)
from napari_mrissl.segmentation.prediction_files import Names, Target
from napari_mrissl.training.data.sources import find
from napari_mrissl.training.known_scans import is_among
from napari_mrissl.volumes import Volume, read, write_image, write_labels
from napari_mrissl.volumes.atomic import write_text

if TYPE_CHECKING:
    from napari_mrissl.segmentation.finetuning.saved import SavedSegmenter

Existing = Literal["refuse", "skip", "replace"]

_READING, _NETWORK = 0.05, 0.9
"""Parts of the work on one scan at which it was read, and was segmented."""


class Labeller(Protocol):
    """What gives the labels of a scan: a network, or a labelled scan that is registered.

    Attributes
    ----------
    classes
        Name by label.
    settings
        For the file beside each label map.
    """

    @property
    def classes(self) -> Mapping[int, str]: ...  # noqa: D102 - see above
    @property
    def settings(self) -> BaseModel: ...  # noqa: D102

    def prepare(self) -> None:
        """Find out now what would fail for every scan."""
        ...

    def predict(
        self,
        volume: Volume,
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> Prediction:
        """The labels of a scan."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of one scan.

    Attributes
    ----------
    scan
        Name of its file.
    state
        ``"done"``, ``"skipped"`` where a result was there already, or ``"failed"``.
    identity
        Of the volume, where it could be read.
    labels
        The label map, relative to the folder of all results.
    volumes_ml
        By label.
    seconds
        For this scan, reading and writing included.
    error
        One sentence, where it failed.
    seen
        Whether the network was trained on this scan, or chosen by it; None where unknown.
    """

    scan: str
    state: Literal["done", "skipped", "failed"]
    identity: str | None = None
    labels: Path | None = None
    volumes_ml: Mapping[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    seen: bool | None = None


def facts_of(segmenter: SavedSegmenter) -> dict[str, Any]:
    """What the file beside a label map says of its network: no place, only what it is.

    Raises
    ------
    MrisslError
        If the network's file cannot be read.
    """
    try:
        with open(segmenter.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=segmenter.path
        ) from error
    known = {name: segmenter.card[name] for name in ("method", "step") if name in segmenter.card}
    return {"sha256": digest, **known}


def scans_of(places: Sequence[str | Path]) -> list[Path]:
    """The scans of files, folders, lists, tables and BIDS trees, each once, in order.

    Raises
    ------
    MrisslError
        If there is nothing at a place.
    """
    return [entry.path for entry in find(places).entries]


def predict_scans(
    segmenter: Segmenter,
    scans: Sequence[Path],
    folder: str | Path,
    settings: PredictionSettings | None = None,
    *,
    names: Names = "bids",
    existing: Existing = "refuse",
    model: Mapping[str, Any] | None = None,
    colors: Mapping[int, str] | None = None,
    seen: frozenset[str] = frozenset(),
    untold: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
    tell: Callable[[Outcome], object] = lambda outcome: None,
) -> list[Outcome]:
    """Segment scans by a finetuned network, see `label_scans`.

    Parameters
    ----------
    segmenter
        The finetuned network.
    settings
        How the network is applied.
    scans, folder, names, existing, model, colors, seen, untold, progress, cancelled, tell
        As of `label_scans`.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        As of `label_scans`, or if the network cannot be had.
    """
    return label_scans(
        Predictor(segmenter, settings),
        scans,
        folder,
        names=names,
        existing=existing,
        model=model,
        colors=colors,
        seen=seen,
        untold=untold,
        progress=progress,
        cancelled=cancelled,
        tell=tell,
    )


def label_scans(
    labeller: Labeller,
    scans: Sequence[Path],
    folder: str | Path,
    *,
    names: Names = "bids",
    existing: Existing = "refuse",
    model: Mapping[str, Any] | None = None,
    colors: Mapping[int, str] | None = None,
    seen: frozenset[str] = frozenset(),
    untold: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
    tell: Callable[[Outcome], object] = lambda outcome: None,
) -> list[Outcome]:
    """Label scans, one after the other; each label map is written whole or not at all.

    A scan's label map is the last of its files to be written: where it is, all of them are.

    Parameters
    ----------
    labeller
        Gives the labels.
    scans
        See `scans_of`.
    folder
        For the results; made where it is not there.
    names
        See `prediction_files.target_of`.
    existing
        What to do where a result is there: refuse everything before any work, skip that
        scan, or replace its files.
    model
        Facts of the labeller for the file beside each label map, e.g. the SHA-256 of weights.
    colors
        ``#rrggbb`` by label, for the tables.
    seen
        What tells scans that the labeller learned from, see `known_scans.trained_on`; empty
        where that is not known. The file beside a label map says whether its scan is among them.
    untold
        Whether it may have seen others as well, see `known_scans.silent`: of a scan that is not
        among those known it is then said to be unknown, as null beside its label map.
    progress
        Called with the part of all scans done and what is being done.
    cancelled
        Asked now and then; what was finished stays.
    tell
        Is told of each scan as it is done.

    Returns
    -------
    list of Outcome
        One for each scan, in order; those that failed say why.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If the folder or a name cannot be used, a result is there already, or the labeller
        cannot work: what would fail for every scan.
    """
    out = Path(folder)
    targets = [prediction_files.target_of(scan, names, labeller.classes) for scan in scans]
    prediction_files.check_folder(out, names)
    prediction_files.check_distinct(scans, targets, out)
    there = [target for target in targets if (out / target.labels).exists()]
    if there and existing == "refuse":
        raise MrisslError(
            f"{len(there)} of {len(targets)} results are there already",
            where=there[0].labels,
            remedy="choose another folder, or have them skipped or replaced",
        )
    labeller.prepare()
    made_directory(out, remedy="choose another folder")
    job = _Job(
        labeller, out, dict(model or {}), dict(colors or {}), existing == "replace", seen, untold
    )
    outcomes = []
    for number, (scan, target) in enumerate(zip(scans, targets, strict=True)):
        stop_if(cancelled)

        def say(part: float, step: str, number: int = number, name: str = scan.name) -> None:
            if progress is not None:
                progress((number + part) / len(scans), f"{name}: {step}")

        if existing == "skip" and target in there:
            outcome = Outcome(scan.name, "skipped", labels=target.labels)
        else:
            outcome = job.attempt(scan, target, say, cancelled)
        outcomes.append(outcome)
        tell(outcome)
    if any(outcome.state == "done" for outcome in outcomes):
        done = [scan for scan, one in zip(scans, outcomes, strict=True) if one.state == "done"]
        _about_all(out, names, labeller.classes, job.colors, done)
    return outcomes


@dataclass(frozen=True)
class _Job:
    """What is the same for all scans."""

    labeller: Labeller
    out: Path
    model: dict[str, Any]
    colors: dict[int, str]
    overwrite: bool
    seen: frozenset[str]
    untold: bool

    def attempt(
        self, scan: Path, target: Target, progress: Progress, cancelled: IsCancelled | None
    ) -> Outcome:
        began = time.monotonic()
        identity = None
        try:
            progress(0.0, "reading")
            volume = read(scan)
            identity = volume.identity
            found = self.labeller.predict(
                volume,
                lambda part, step: progress(_READING + (_NETWORK - _READING) * part, step),
                cancelled,
            )
            progress(_NETWORK, "writing")
            seen = self._known(volume)
            self._write(target, found, volume, seen)
            progress(1.0, "done")
        except (MrisslError, MemoryError, OSError) as error:
            said = str(error) if isinstance(error, MrisslError) else _system(scan, error)
            return Outcome(scan.name, "failed", identity, error=said)
        return Outcome(
            scan.name,
            "done",
            identity,
            target.labels,
            found.volumes_ml,
            time.monotonic() - began,
            seen=seen,
        )

    def _known(self, volume: Volume) -> bool | None:
        if is_among(volume, self.seen):
            return True
        return False if self.seen and not self.untold else None

    def _write(self, target: Target, found: Prediction, volume: Volume, seen: bool | None) -> None:
        place = self.out / target.labels
        if place.exists() and not self.overwrite:
            raise MrisslError("is there meanwhile", where=place, remedy="choose another folder")
        made_directory(place.parent, remedy="choose another folder")
        if found.probabilities is not None:
            for label, own in zip(found.classes, found.probabilities, strict=True):
                if label in target.probabilities:
                    path = self.out / target.probabilities[label]
                    made_directory(path.parent, remedy="choose another folder")
                    # Without its label map it is the rest of an interrupted call.
                    write_image(path, own, volume, overwrite=True)
        if target.table is not None:
            table = prediction_files.table_text(found.classes, self.colors)
            write_text(self.out / target.table, table)
        if target.sidecar is not None:
            facts = self._facts(found, volume, seen)
            made_directory((self.out / target.sidecar).parent, remedy="choose another folder")
            write_text(self.out / target.sidecar, prediction_files.sidecar_text(facts))
        write_labels(place, found.labels, volume, overwrite=self.overwrite)

    def _facts(self, found: Prediction, volume: Volume, seen: bool | None) -> dict[str, Any]:
        said = seen is not None or self.untold
        return {
            "Software": f"napari-mrissl {__version__}",
            "Model": self.model,
            "Settings": self.labeller.settings.model_dump(mode="json"),
            prediction_files.SCAN: volume.identity,
            **({prediction_files.SEEN: seen} if said else {}),
            "Volumes": [
                {"index": label, "name": name, "ml": round(found.volumes_ml[label], 6)}
                for label, name in found.classes.items()
            ],
        }


def _about_all(
    out: Path,
    names: Names,
    classes: Mapping[int, str],
    colors: Mapping[int, str],
    scans: Sequence[Path],
) -> None:
    if names == "bids":
        prediction_files.write_description(out, scans)
    else:
        table = prediction_files.table_text(classes, colors)
        write_text(out / prediction_files.TABLE, table)


def _system(scan: Path, error: MemoryError | OSError) -> str:
    reason = error.strerror if isinstance(error, OSError) else "memory does not suffice"
    return str(MrisslError(reason or type(error).__name__, where=scan))
