"""What the panel does off the GUI thread: make runs, segment scans, measure, save tables."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled, stop_if
from napari_mrissl.segmentation.finetuning import INFO, FinetuneSettings, SavedSegmenter, prepare
from napari_mrissl.segmentation.finetuning.inputs import LabelledInput
from napari_mrissl.segmentation.finetuning.task_settings import LabelClass, PreviewSettings
from napari_mrissl.segmentation.prediction import PredictionSettings
from napari_mrissl.segmentation.prediction_apart import predict_apart
from napari_mrissl.training import launch
from napari_mrissl.training.known_scans import UNTOLD, is_among, with_values
from napari_mrissl.training.looking import look_at
from napari_mrissl.training.run import Run
from napari_mrissl.trajectories.locks import locked
from napari_mrissl.ui.finetuning.learning import NOTHING, Given, labelled, table_for
from napari_mrissl.ui.finetuning.seen import Origin
from napari_mrissl.ui.jobs import Control
from napari_mrissl.ui.pretraining import work as runs
from napari_mrissl.volumes import Volume

_KIND = "finetuning"


class Wanted(NamedTuple):
    """A finetuning as the user asked for it.

    Attributes
    ----------
    settings
        Without classes and preview.
    given
        Scans to learn from and to measure on.
    classes
        The table of classes but background.
    zero_is_nothing
        See `learning.labelled`.
    look
        The scan whose slice is shown while the network learns, a place in it in world RAS
        mm, and the axis of (S, A, R) across the slice; None for what the run chooses.
    """

    settings: FinetuneSettings
    given: tuple[Given, ...]
    classes: tuple[LabelClass, ...]
    zero_is_nothing: bool = False
    look: tuple[Volume, tuple[float, float, float], int] | None = None


class Begun(NamedTuple):
    """A run that was started, and what is to be said of it."""

    folder: Path
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """What a finetuning has learned so far.

    Attributes
    ----------
    folder
        Of the run.
    name
        For people: of its folder.
    key
        Of the run, without any name or place.
    classes
        Labels with names, background first.
    learned_from, measured_on
        What tells scans, see `known_scans.with_values`.
    step
        Of the weights.
    """

    folder: Path
    name: str
    key: str
    classes: tuple[LabelClass, ...]
    learned_from: frozenset[str]
    measured_on: frozenset[str]
    step: int

    @property
    def foreground(self) -> tuple[LabelClass, ...]:
        """All classes but background."""
        return tuple(one for one in self.classes if one.label)


def runs_folder() -> Path:
    """Where new runs are proposed to lie: in the user's data directory."""
    return data_directory() / _KIND


def begin(control: Control, wanted: Wanted, folder: Path) -> Begun:
    """Make a run of what is labelled and give it to a process of its own.

    Raises
    ------
    MrisslError
        If another one is being trained, or labels, weights and settings do not fit.
    """
    with locked(runs.runs_folder()):
        runs.refuse_second(control)
        if folder.parent == runs_folder():
            made_directory(folder.parent)
        run, notes = _prepared(control, wanted, folder)
        control.progress(0.95, "Starting")
        launch.start(run.folder)
    return Begun(run.folder, notes)


def estimate(control: Control, wanted: Wanted) -> tuple[Mapping[str, Any], int, int]:
    """Memory and time, measured by a real step in a process of its own.

    Returns
    -------
    found, steps, held
        What the process says, how many steps there will be, and the bytes of the scans.
    """
    with tempfile.TemporaryDirectory(prefix="mrissl-") as place:
        run, _ = _prepared(control, wanted, Path(place) / "run")
        settings = run.settings
    control.progress(0.9, "Measuring a step")
    found = dict(runs.ask(control, ["--estimate", "-"], settings.model_dump_json()))
    held = sum(one.volume.data.nbytes for one in wanted.given)
    return found, settings.optimisation.steps, held


def show_slice(
    control: Control, run: Run, look: tuple[Volume, tuple[float, float, float], int]
) -> None:
    """Ask a run to show another slice in its next picture, where it has the scan.

    Parameters
    ----------
    look
        As in `Wanted`.

    Raises
    ------
    MrisslError
        If the run's folder cannot be written.
    """
    volume, place, axis = look
    if volume.identity not in {record.identity for record in run.settings.data.subjects}:
        return
    wanted = PreviewSettings(identity=volume.identity, at_mm=place, axis=axis)
    stop_if(control.cancelled)
    look_at(run.folder, wanted.model_dump(mode="json"))


def model_of(control: Control, folder: Path) -> Model:
    """What a finetuning has learned.

    Raises
    ------
    MrisslError
        If it is none, or has no weights yet.
    """
    control.progress(0.5, "Reading what was learned")
    saved = SavedSegmenter.load(folder)
    run = Run.open(folder)
    parts: dict[str, set[str]] = {"train": set(), "validation": set()}
    for record in run.settings.data.subjects:
        parts.setdefault(record.split, set()).add(record.identity)
    return Model(
        run.folder,
        run.folder.name,
        f"{INFO.name} {run.identity.uuid[:8]}",
        saved.settings.classes,
        with_values(frozenset(parts["train"])),
        with_values(frozenset(parts["validation"])),
        int(saved.card.get("step", 0)),
    )


def segment(control: Control, model: Model, volumes: Sequence[Volume], device: str) -> int:
    """Segment scans; each result is sent as its number, labels or None, and why not.

    Returns how many could not be segmented.
    """
    missed = 0

    def received(number: int, labels: NDArray[Any] | None, why: str) -> None:
        nonlocal missed
        missed += labels is None
        control.send((number, labels, why))

    predict_apart(
        model.folder,
        volumes,
        received,
        PredictionSettings(device=device),
        control.progress,
        control.cancelled,
    )
    return missed


WHOLE, LABELLED = "whole scan", "labelled voxels"
"""What Dice is of."""


class Measured(NamedTuple):
    """Sizes of a scan's result, and how it agrees with its labels.

    Attributes
    ----------
    identity
        Of the scan.
    part
        ``"learned from"``, ``"held out"`` or ``"new"`` to the network.
    voxels, volumes_ml
        By label of the network's classes but background.
    dice
        By label, where the scan has a label layer.
    dice_of
        Which voxels that is of: ``"whole scan"``, or ``"labelled voxels"`` where 0 in the label
        layer means "not labelled": answers there are not counted, and a class that the layer
        does not hold has no Dice.
    dice_against
        What the label layer is; None without one.
    """

    identity: str
    part: str
    voxels: Mapping[int, int]
    volumes_ml: Mapping[int, float]
    dice: Mapping[int, float]
    dice_of: str = WHOLE
    dice_against: Origin | None = None

    @property
    def mean_dice(self) -> float | None:
        """Over the classes that have one; None without labels."""
        return float(np.mean(list(self.dice.values()))) if self.dice else None


class ToMeasure(NamedTuple):
    """A scan's result as it is shown now; its label layer where it has one, and what that is."""

    volume: Volume
    labels: NDArray[Any]
    truth: NDArray[Any] | None
    origin: Origin = "labels"


def measure(
    control: Control, model: Model, results: Sequence[ToMeasure], *, zero_is_nothing: bool
) -> tuple[Measured, ...]:
    """Measure results by the classes of the network that made them."""
    from napari_mrissl.metrics import dice

    found = []
    wanted = [one.label for one in model.foreground]
    for number, one in enumerate(results):
        stop_if(control.cancelled)
        control.progress(number / len(results), "Measuring")
        identity = one.volume.identity
        counts = np.bincount(one.labels.reshape(-1), minlength=max(wanted, default=0) + 1)
        voxels = {label: int(counts[label]) for label in wanted}
        voxel_ml = abs(float(np.linalg.det(one.volume.affine[:3, :3]))) / 1000
        scores: dict[int, float] = {}
        against: Origin | None = None
        if one.truth is not None and one.truth.shape == one.labels.shape:
            predicted, there, against = one.labels, wanted, one.origin
            if zero_is_nothing:
                predicted = np.where(one.truth == 0, 0, predicted).astype(predicted.dtype)
                # That a class is nowhere labelled does not say that it is nowhere.
                there = [label for label in wanted if (one.truth == label).any()]
            scores = dice(predicted, one.truth, there)
        part = "held out" if is_among(one.volume, model.measured_on) else "new"
        part = "learned from" if is_among(one.volume, model.learned_from) else part
        sizes = {label: count * voxel_ml for label, count in voxels.items()}
        dice_of = LABELLED if zero_is_nothing else WHOLE
        found.append(Measured(identity, part, voxels, sizes, scores, dice_of, against))
    return tuple(found)


def _prepared(control: Control, wanted: Wanted, folder: Path) -> tuple[Run, tuple[str, ...]]:
    if not wanted.given:
        raise MrisslError(
            "no scan is labelled",
            remedy="mark some places of two classes or more in a scan, or open a label map of it",
        )
    inputs: list[LabelledInput] = []
    for number, given in enumerate(wanted.given):
        stop_if(control.cancelled)
        control.progress(0.3 * number / len(wanted.given), "Reading labels")
        inputs.append(labelled(given, zero_is_nothing=wanted.zero_is_nothing))
    classes, notes = table_for(inputs, wanted.classes)
    changes = dict(wanted.settings.changes)
    if wanted.look is not None:
        volume, place, axis = wanted.look
        look = PreviewSettings(identity=volume.identity, at_mm=place, axis=axis)
        changes["preview"] = look.model_dump(mode="json")
    settings = wanted.settings.model_copy(
        update={"classes": classes, "changes": changes, "unlabelled": NOTHING}
    )
    run = prepare(settings, inputs, folder, progress=partial(_tell, control))
    return run, (*notes, *(note for note in run.identity.notes if note == UNTOLD))


def _tell(control: Control, part: float, said: str) -> None:
    if control.cancelled():
        raise Cancelled
    control.progress(0.3 + 0.6 * part, said.capitalize())
