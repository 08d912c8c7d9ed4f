"""Export of flights as a BIDS derivative of motion data: poses as text, no pictures.

Written from the BIDS specification 1.11 (motion). A scan is a subject, whose label begins its
identity; a flight is a run of a task, tracked by the system ``plane``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_mrissl import __version__
from napari_mrissl.geometry import POSE_COLUMNS
from napari_mrissl.trajectories.exchange.stretches import Stretch, Stretches

VERSION = "1.11.1"
TRACKSYS = "plane"
TOLD = "NapariMrissl"
"""Key of a ``_motion.json``: how the flight was made, and over which scan."""

CHANNELS: dict[str, tuple[str, str, str]] = {
    "cx": ("x", "POS", "mm"),
    "cy": ("y", "POS", "mm"),
    "cz": ("z", "POS", "mm"),
    "qw": ("quat_w", "ORNT", "n/a"),
    "qx": ("quat_x", "ORNT", "n/a"),
    "qy": ("quat_y", "ORNT", "n/a"),
    "qz": ("quat_z", "ORNT", "n/a"),
    "fov": ("n/a", "MISC", "mm"),
}
"""Component, type and unit of each number of a pose."""

CHANNEL_COLUMNS = ("name", "component", "type", "tracked_point", "units", "reference_frame")

_FRAME = "scanner"
_NO_TASK = "flight"
_LONGEST_LABEL = 60
_README = """\
Flights of an oblique plane through MRI scans, as BIDS motion data.

A subject is a scan, known by the first digits of its identity (a checksum of its voxels and
their geometry; the whole of it is in each _motion.json). A run is one flight without a pause.
Columns of a _motion.tsv: centre of the square plane in RAS mm, its orientation (columns right,
up, normal) as a unit quaternion, and the side of the square in mm.
"""


def write(stretches: Stretches, partial: Path) -> None:
    """Fill the folder.

    Numbers have as many digits as it takes to read them back bit for bit. No scan is needed,
    and no picture is written.
    """
    subjects = subject_labels(entry.identity for entry in stretches.episodes.entries)
    tasks = task_labels(stretches.tasks)
    runs: Counter[tuple[str, str]] = Counter()
    _write_json(partial / "dataset_description.json", _description())
    _write(partial / "README", _README)
    for stretch in stretches:
        subject, task = subjects[stretch.entry.identity], tasks[stretch.entry.task]
        runs[subject, task] += 1
        folder = partial / f"sub-{subject}" / "motion"
        folder.mkdir(parents=True, exist_ok=True)
        run = f"run-{runs[subject, task]:03d}"
        stem = f"sub-{subject}_task-{task}_tracksys-{TRACKSYS}_{run}"
        _write_json(folder / f"{stem}_motion.json", _sidecar(stretch, task, stretches.hertz))
        lines = ("\t".join(map(repr, row)) for row in stretch.poses.tolist())
        _write(folder / f"{stem}_motion.tsv", "\n".join(lines) + "\n")
        _write(folder / f"{stem}_channels.tsv", _channels())
        _write_json(folder / f"{stem}_channels.json", _frames())


def subject_labels(identities: Iterable[str]) -> dict[str, str]:
    """The shortest beginnings of identities, from 12 digits on, that tell them apart."""
    distinct = sorted(set(identities))
    digits = next(n for n in range(12, 65) if len({i[:n] for i in distinct}) == len(distinct))
    return {identity: identity[:digits] for identity in distinct}


def task_labels(tasks: list[str]) -> dict[str, str]:
    """A label of letters and digits for each task text, no two alike."""
    labels: dict[str, str] = {}
    for task in tasks:
        plain = re.sub("[^0-9a-zA-Z]", "", task)[:_LONGEST_LABEL] or _NO_TASK
        label, number = plain, 1
        while label in labels.values():
            number += 1
            label = f"{plain}{number}"
        labels[task] = label
    return labels


def _description() -> dict[str, Any]:
    return {
        "Name": "Flights of an oblique plane through MRI scans",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "napari-mrissl", "Version": __version__}],
    }


def _sidecar(stretch: Stretch, label: str, hertz: float) -> dict[str, Any]:
    count = len(stretch)
    kinds = Counter(kind for _, kind, _ in CHANNELS.values())
    task = stretch.entry.task
    volume = {name: value for name, value in stretch.entry.volume.items() if name != "identity"}
    return {
        # By the rule of the specification the label is the name without what is no letter.
        "TaskName": task if re.sub("[^0-9a-zA-Z]", "", task) == label else label,
        "TaskDescription": task or "A flight without a stated purpose.",
        "SamplingFrequency": hertz,
        "SamplingFrequencyEffective": hertz,
        "RecordingDuration": (count - 1) / hertz,
        "TrackingSystemName": "napari-mrissl oblique plane",
        "TrackedPointsCount": 1,
        "MotionChannelCount": len(CHANNELS),
        "POSChannelCount": kinds["POS"],
        "ORNTChannelCount": kinds["ORNT"],
        "MiscChannelCount": kinds["MISC"],
        "SoftwareVersions": stretch.entry.software,
        TOLD: {"stretch": stretch.number, **stretch.made, "volume": volume},
    }


def _channels() -> str:
    lines = ["\t".join(CHANNEL_COLUMNS)]
    for name in POSE_COLUMNS:
        component, kind, unit = CHANNELS[name]
        frame = _FRAME if kind != "MISC" else "n/a"
        lines.append("\t".join((name, component, kind, "plane", unit, frame)))
    return "\n".join(lines) + "\n"


def _frames() -> dict[str, Any]:
    return {
        "reference_frame": {
            "Levels": {
                _FRAME: {
                    "SpatialAxes": "RAS",
                    "RotationRule": "right-hand",
                    "RotationOrder": "n/a",
                    "Description": "World coordinates of the scan in mm; the quaternion turns "
                    "x, y, z into the right, up and normal of the plane.",
                }
            }
        }
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")
