"""From labelled scans to the folder of a finetuning run, whole or not at all; without torch."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.segmentation.finetuning.inputs import LabelledInput
from napari_mrissl.segmentation.finetuning.reading import (
    Progress,
    ReadScan,
    class_table,
    encoded,
    read_scans,
)
from napari_mrissl.segmentation.finetuning.settings import (
    LARGEST_PATCH,
    FinetuneSettings,
)
from napari_mrissl.segmentation.finetuning.starting import Start, backbone_arrays, start_of
from napari_mrissl.segmentation.finetuning.task_settings import INFO, REGISTRY, LabelClass
from napari_mrissl.training import card as cards
from napari_mrissl.training import initial
from napari_mrissl.training.building import checked, settings_for
from napari_mrissl.training.data.places import note_place
from napari_mrissl.training.data.preprocessing import CT_WINDOW
from napari_mrissl.training.known_scans import UNTOLD
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import (
    DataSettings,
    Preprocessing,
    RunSettings,
    SubjectRecord,
)
from napari_mrissl.trajectories.new_folder import check_new_folder
from napari_mrissl.volumes import read, write_labels
from napari_mrissl.volumes.atomic import write_atomically

LABELS = "labels"
"""Folder of a run with the label maps as they were when it was made."""

_SAME_SPACING = 0.02


def prepare(
    settings: FinetuneSettings,
    inputs: Sequence[LabelledInput],
    out: str | Path,
    *,
    progress: Progress | None = None,
) -> Run:
    """Check everything and make the run, which is then queued; imports no torch.

    The run keeps label maps and starting weights itself: what is painted or retrained later
    changes nothing in it, and a killed run goes on from its folder and the scans alone.

    Raises
    ------
    MrisslError
        If labels, weights or settings do not fit; nothing is left behind then.
    """
    out = Path(out)
    check_new_folder(out)
    start = start_of(settings.weights)
    scans = read_scans(inputs, settings.unlabelled, progress)
    classes = class_table(scans, settings.classes)
    with tempfile.TemporaryDirectory(prefix="mrissl-") as folder, ExitStack() as undo:
        place = Path(folder)
        records = [_recorded(scan, classes, place) for scan in scans]
        chosen = _run_settings(settings, start, scans, classes, records)
        if start.path is not None:
            chosen = _with_weights(chosen, start, place)
        run = Run.create(out, chosen, notes=_remarks(scans, classes, start))
        undo.callback(shutil.rmtree, run.folder, ignore_errors=True)
        if start.path is not None:
            initial.keep(run, place / _WEIGHTS)
        _keep_labels(run, place)
        undo.pop_all()
    for scan in scans:
        note_place(scan.facts.identity, scan.source)
    place_labels(run)
    return run


def place_labels(run: Run) -> None:
    """Let this machine know the label maps that lie in a run's own folder.

    To be called before a run is trained: it may have been moved since it was made.

    Raises
    ------
    MrisslError
        If the data directory cannot be written.
    """
    for record in run.settings.data.subjects:
        if record.labels is not None:
            path = run.folder / LABELS / f"{record.labels}.nii.gz"
            if path.is_file():
                note_place(record.labels, path)


_WEIGHTS = "start.safetensors"


def _recorded(scan: ReadScan, classes: Sequence[LabelClass], place: Path) -> SubjectRecord:
    """The scan's record; its label map is written as it will lie in the run."""
    written = place / "labels.nii.gz"
    write_labels(written, encoded(scan.labels, classes), scan.volume, overwrite=True)
    # A file may hold the affine less exactly than the scan does: only it says who it is.
    identity = read(written).identity
    written.rename(place / f"{identity}.nii.gz")
    return SubjectRecord(
        identity=scan.facts.identity,
        subject=f"subject-{scan.group + 1:03d}",
        split=scan.split,
        labels=identity,
    )


def _run_settings(
    settings: FinetuneSettings,
    start: Start,
    scans: Sequence[ReadScan],
    classes: Sequence[LabelClass],
    records: Sequence[SubjectRecord],
) -> RunSettings:
    spacing = _spacing(settings, scans)
    backbone = start.backbone
    if start.path is None:
        content = {**backbone.model_dump(), **_network_changes(settings.changes)}
        backbone = checked(BackboneSettings, content, where="network")
    elif _network_changes(settings.changes):
        raise MrisslError(
            "another network than that of the weights",
            where="backbone",
            remedy="leave it out, or start from scratch",
        )
    changes: dict[str, Any] = {
        "task.classes": [entry.model_dump(mode="json") for entry in classes],
        "task.mode": settings.mode,
        "task.backbone": backbone.model_dump(mode="json"),
        "task.patch": list(settings.patch or _patch(settings, scans, spacing, backbone)),
        "task.spacing": None if spacing is None else list(spacing),
        # What was just drawn has nothing to be kept.
        "task.backbone_rate": 1.0 if start.path is None else settings.backbone_rate,
        "task.started_from": start.name,
        "seed": settings.seed,
        "device": settings.device,
    }
    given = {"steps": settings.steps, "batch": settings.batch}
    given["learning_rate"] = settings.learning_rate  # type: ignore[assignment]
    changes |= {f"optimisation.{name}": value for name, value in given.items() if value is not None}
    changes |= {k: v for k, v in settings.changes.items() if not k.startswith("backbone.")}
    data = DataSettings(
        kind="scans",
        subjects=tuple(records),
        preprocessing=start.preprocessing or _fitting_scale(scans),
    )
    return settings_for(INFO.name, data, settings.preset, changes, registry=REGISTRY)


def _network_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        k.removeprefix("backbone."): v for k, v in changes.items() if k.startswith("backbone.")
    }
    return {k: int(v) if k in ("width", "depth") else v for k, v in found.items()}


def _spacing(
    settings: FinetuneSettings, scans: Sequence[ReadScan]
) -> tuple[float, float, float] | None:
    if isinstance(settings.spacing, tuple):
        return settings.spacing
    if settings.spacing == "native":
        return None
    own = np.array([scan.facts.spacing_mm for scan in scans if scan.split == "train"])
    s, a, r = (round(float(value), 4) for value in np.median(own, axis=0))
    return s, a, r


def _patch(
    settings: FinetuneSettings,
    scans: Sequence[ReadScan],
    spacing: tuple[float, float, float] | None,
    backbone: BackboneSettings,
) -> tuple[int, int, int]:
    """As large as the largest scan along each axis, up to what the preset's machine can hold."""
    stride, least = backbone.stride, backbone.least_side
    most = max(LARGEST_PATCH[settings.preset] // stride * stride, least)
    sizes = np.array(
        [
            np.array(scan.volume.shape) * (1 if spacing is None else scan.volume.spacing / spacing)
            for scan in scans
        ]
    )
    wanted = np.ceil(np.round(sizes.max(axis=0), 3) / stride) * stride
    s, a, r = (int(side) for side in np.clip(wanted, least, most))
    return s, a, r


def _fitting_scale(scans: Sequence[ReadScan]) -> Preprocessing:
    return CT_WINDOW if all(scan.facts.ct for scan in scans) else Preprocessing()


def _with_weights(settings: RunSettings, start: Start, place: Path) -> RunSettings:
    """The settings with the identity of the starting weights, which are written as a run's."""
    path = place / _WEIGHTS
    seen = frozenset() if start.path is None else cards.seen_in(start.path)
    # A list that may lack some scans must not pass for a whole one.
    told = cards.SEEN if _says(start) else cards.SEEN_AT_LEAST
    card = {
        "method": INFO.name,
        "started_from": start.name,
        told: sorted(seen),
        "preprocessing": settings.data.preprocessing.model_dump(mode="json"),
        "task": {"backbone": settings.task["backbone"]},
    }
    weights.save_arrays(path, backbone_arrays(start), card)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return settings.model_copy(update={"initial": sha256})


def _says(start: Start) -> bool:
    """Whether the weights say what they were trained on; drawn ones saw nothing."""
    return start.path is None or cards.says_in(start.path)


def _keep_labels(run: Run, place: Path) -> None:
    folder = run.folder / LABELS
    folder.mkdir()
    for record in run.settings.data.subjects:
        name = f"{record.labels}.nii.gz"
        with open(place / name, "rb") as file:
            write_atomically(folder / name, partial(shutil.copyfileobj, file))


def _remarks(scans: Sequence[ReadScan], classes: Sequence[LabelClass], start: Start) -> list[str]:
    """What is worth knowing of the data, with counts and without names of files."""
    said = [f"started from {start.name}"]
    if not _says(start):
        said.append(UNTOLD)
    for number, entry in enumerate(classes):
        voxels = [
            int((scan.labels == entry.label).sum()) for scan in scans if scan.split == "train"
        ]
        having = sum(count > 0 for count in voxels)
        if having < len(voxels) or sum(voxels) < 10:
            said.append(
                f"class number {number}: {sum(voxels)} labelled voxels in {having} of "
                f"{len(voxels)} training scans"
            )
    own = np.array([scan.facts.spacing_mm for scan in scans])
    if np.ptp(own, axis=0).max() > _SAME_SPACING * own.min():
        said.append("scans have different voxel sizes")
    return said
