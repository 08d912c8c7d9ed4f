"""Ways to the mid-sagittal plane compared on held-out heads; written also when learning loses."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation import cloning, demonstrations
from napari_mrissl.evaluation.navigation.encoders import NetworkEncoder
from napari_mrissl.evaluation.navigation.plane_heads import DisplacedHead, displaced_head
from napari_mrissl.evaluation.navigation.standard_plane import PLAIN, Plane, apart
from napari_mrissl.evaluation.statistics import interval
from napari_mrissl.evaluation.weights import scan_for, weights_of
from napari_mrissl.geometry import Pose
from napari_mrissl.networks import weights
from napari_mrissl.networks.slice_encoder import SliceEncoder
from napari_mrissl.pretext.navigation.flights import cut
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.trajectories.dataset import Dataset
from napari_mrissl.trajectories.frames import Episodes, Scans
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.atomic import write_text

POLICY = "policy"
DEMONSTRATIONS, POLICY_FILE = "demonstrations", "policy.safetensors"
TABLE, TABLE_FOR_PEOPLE, TABLE_AS_JSON = "plane.csv", "plane.md", "plane.json"

_HELD_OUT = 1_000_000
"""Test heads have numbers from here on: no shape, contrast or place of them is trained on."""

Tell = Callable[[str], object]


class PlaneSettings(BaseModel):
    """How the policy is made and measured.

    Attributes
    ----------
    heads, each
        Heads that are flown over, and demonstrations of each; not used with flights at hand.
    test
        Held-out heads.
    steps
        Of the policy's training.
    flight
        Most steps of a flight that is measured.
    seed
        Of everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    heads: int = Field(default=24, ge=1, le=10_000)
    each: int = Field(default=4, ge=1, le=1000)
    test: int = Field(default=12, ge=1, le=10_000)
    steps: int = Field(default=2000, ge=1, le=1_000_000)
    flight: int = Field(default=40, ge=1, le=1000)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Reached:
    """Where one way led on one head.

    Attributes
    ----------
    way, head
        Which.
    mm, degrees
        From the true plane, see `standard_plane.apart`.
    steps
        Flown.
    """

    way: str
    head: int
    mm: float
    degrees: float
    steps: int = 0


def compare(
    place: Path,
    folder: Path,
    settings: PlaneSettings | None = None,
    *,
    flights: Path | None = None,
    tell: Tell = lambda text: None,
) -> list[Reached]:
    """Learn from demonstrations, fly over held-out heads, and write the tables.

    Parameters
    ----------
    place
        The folder of a run of the method tokenizer or dynamics, or its weights.
    folder
        New. Demonstrations, the policy and the tables are written into it.
    settings
        How.
    flights
        A dataset of recorded flights that each end on the plane, in place of demonstrations;
        this machine has to know its scans.
    tell
        Is told what happens.

    Raises
    ------
    MrisslError
        If the folder is there, weights are of another network, or a scan is not known.
    """
    settings = settings or PlaneSettings()
    file = weights_of(place)
    state, card = weights.load(file)
    encoder = NetworkEncoder(SliceEncoder.of(state, card))
    if folder.exists():
        raise MrisslError("is there already", where=folder, remedy="choose another name")
    folder.mkdir(parents=True)
    if flights is None:
        tell(f"flying over {settings.heads} heads, {settings.each} times each")
        heads = [displaced_head(settings.seed, number) for number in range(settings.heads)]
        dataset = demonstrations.record(
            folder / DEMONSTRATIONS, heads, settings.each, settings.seed
        )
        found = Scans([head.volume for head in heads])
    else:
        dataset, found = Dataset.open(flights), Scans(kept=8)
    rows, actions = _lessons(encoder, card, dataset, found)
    tell(f"learning from {len(rows)} recorded frames")
    policy = cloning.cloned(rows, actions, settings.steps, settings.seed)
    with open(file, "rb") as content:
        identity = hashlib.file_digest(content, "sha256").hexdigest()
    facts = {"frames": len(rows), "recorded": flights is not None, **settings.model_dump()}
    cloning.save(folder / POLICY_FILE, policy, identity, facts)
    reached: list[Reached] = []
    for number in range(settings.test):
        head = displaced_head(settings.seed, _HELD_OUT + number)
        reached += on_head(head, number, {POLICY: cloning.answer(policy, encoder)},
                           encoder.network.shape.size, card, settings.flight)  # fmt: skip
        tell(f"{number + 1} of {settings.test} held-out heads")
    write(folder, reached, {"method": card.get("method"), "weights": identity, **facts})
    return reached


def on_head(
    head: DisplacedHead,
    number: int,
    policies: Mapping[str, Callable[[NDArray[np.float32]], Any]],
    size: int,
    card: Mapping[str, Any],
    steps: int,
) -> list[Reached]:
    """Where policies end, where they begin, and what plain answers say.

    Parameters
    ----------
    policies
        Answers to slices, by name.
    size
        Pixels of a slice.
    card
        Says how scans are prepared.
    steps
        At most flown.
    """
    scan = scan_for(head.volume, card)

    def see(pose: Pose) -> NDArray[np.float32]:
        return _image(scan, pose, size)

    found = []
    start = demonstrations.start_of(head.volume)
    for name, act in policies.items():
        poses = cloning.flown(act, see, start, steps)
        plane = Plane.of_pose(poses[-1])
        found.append(Reached(name, number, *apart(plane, head.plane, head.middle), len(poses) - 1))
    for name, plain in PLAIN.items():
        away = apart(plain(head.volume), head.plane, head.middle)
        found.append(Reached(name, number, *away))
    return found


def summary(reached: Sequence[Reached]) -> dict[str, dict[str, float]]:
    """Of each way the mean and median of both errors over heads, with 95 % intervals."""
    rows: dict[str, dict[str, float]] = {}
    for way in dict.fromkeys(one.way for one in reached):
        own = [one for one in reached if one.way == way]
        row: dict[str, float] = {"heads": len(own)}
        for name in ("mm", "degrees"):
            values = np.array([getattr(one, name) for one in own])
            low, high = interval(values) if len(values) > 1 else (values[0], values[0])
            row |= {
                f"{name}_mean": float(values.mean()), f"{name}_low": float(low),
                f"{name}_high": float(high), f"{name}_median": float(np.median(values)),
                f"{name}_worst": float(values.max()),
            }  # fmt: skip
        rows[way] = row
    return rows


def write(folder: Path, reached: Sequence[Reached], facts: Mapping[str, Any]) -> None:
    """Every head as CSV, and the summary as Markdown and JSON."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["way", "head", "mm", "degrees", "steps"])
    for one in reached:
        lines.writerow([one.way, one.head, f"{one.mm:.4f}", f"{one.degrees:.4f}", one.steps])
    write_text(folder / TABLE, text.getvalue())
    rows = summary(reached)
    write_text(folder / TABLE_FOR_PEOPLE, markdown(rows))
    content = {"software": f"napari-mrissl {__version__}", "how": dict(facts), "ways": rows}
    text_ = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_text(folder / TABLE_AS_JSON, text_ + "\n")


def markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The summary for people."""
    lines = ["| way | mm (95 %) | median mm | degrees (95 %) | median degrees |"]
    lines.append("|---|---|---|---|---|")
    for way, row in rows.items():
        cells = [way]
        for name in ("mm", "degrees"):
            mean, low, high = (row[f"{name}_{part}"] for part in ("mean", "low", "high"))
            cells += [f"{mean:.2f} ({low:.2f} to {high:.2f})", f"{row[f'{name}_median']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    said = (
        "Distance of the mid-sagittal plane at the middle of the head, and angle between the "
        "planes, means over held-out heads: MNI152 deformed, recoloured and displaced by up to "
        "30 mm and 30 degrees, so one anatomy in many shapes. volume_centre is where the policy's "
        "flights begin."
    )
    return "\n".join(lines) + f"\n\n{said}\n"


def _lessons(
    encoder: NetworkEncoder, card: Mapping[str, Any], dataset: Dataset, found: Scans
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Features of all frames of a dataset, and the actions to learn."""
    facts = {entry.identity: entry.volume for entry in Episodes(dataset).entries}

    @cache
    def scan(identity: str) -> Scan:
        volume: Volume = found.volume(facts[identity])
        return scan_for(volume, card)

    shown = demonstrations.frames_shown(dataset)
    size = encoder.network.shape.size
    rows = []
    for identity in dict.fromkeys(one.identity for one in shown):
        own = [one for one in shown if one.identity == identity]
        images = np.stack([_image(scan(identity), one.pose, size) for one in own])
        rows.append((own, encoder.pooled(images)))
    return (
        np.concatenate([features for _, features in rows]),
        np.stack([one.action for own, _ in rows for one in own]),
    )


def _image(scan: Scan, pose: Pose, size: int) -> NDArray[np.float32]:
    grey, valid = cut(scan, (pose,), size)
    return np.stack([grey[0], valid[0]]).astype(np.float32)
