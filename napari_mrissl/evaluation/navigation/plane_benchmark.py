"""Ways to the mid-sagittal plane compared on held-out heads; what is done is not done again.

Written also when learning loses.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.cells import PROTOCOL, agreed
from napari_mrissl.evaluation.navigation import cloning, demonstrations
from napari_mrissl.evaluation.navigation.encoders import NetworkEncoder
from napari_mrissl.evaluation.navigation.kept import MEASURED, keep, kept
from napari_mrissl.evaluation.navigation.plane_heads import DisplacedHead, displaced_head
from napari_mrissl.evaluation.navigation.plane_tables import Reached, write
from napari_mrissl.evaluation.navigation.standard_plane import PLAIN, Plane, apart
from napari_mrissl.evaluation.weights import scan_for, weights_of
from napari_mrissl.geometry import Pose
from napari_mrissl.networks import weights
from napari_mrissl.networks.slice_encoder import SliceEncoder
from napari_mrissl.pretext.navigation.flights import cut
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.trajectories.dataset import Dataset
from napari_mrissl.trajectories.frames import Episodes, Scans
from napari_mrissl.volumes import Volume

POLICY = "policy"
DEMONSTRATIONS, POLICY_FILE = "demonstrations", "policy.safetensors"

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


def compare(
    place: Path,
    folder: Path,
    settings: PlaneSettings | None = None,
    *,
    flights: Path | None = None,
    tell: Tell = lambda text: None,
) -> list[Reached]:
    """Learn from demonstrations, fly over held-out heads, and write the tables after each.

    Parameters
    ----------
    place
        The folder of a run of the method tokenizer or dynamics, or its weights.
    folder
        New, or of an earlier call with the same settings, which goes on from there; there may
        be more test heads. Demonstrations, the policy and the tables are written into it.
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
        If the folder holds anything else, weights are of another network, or a scan is not
        known.
    """
    settings = settings or PlaneSettings()
    file = weights_of(place)
    state, card = weights.load(file)
    encoder = NetworkEncoder(SliceEncoder.of(state, card))
    recorded = None if flights is None else Dataset.open(flights)
    protocol = {
        "comparison": "ways to the mid-sagittal plane, by three crossing slices",
        "weights": _digest(file),
        "flights": None if recorded is None else _digest_of_frames(recorded),
        **settings.model_dump(exclude={"test"}),
    }
    if folder.is_dir() and any(folder.iterdir()) and not (folder / PROTOCOL).exists():
        raise MrisslError(
            "is there already",
            where=folder,
            expected="a new folder, or that of an earlier call",
            remedy="choose another name",
        )
    agreed(folder, protocol, MEASURED)
    policy, facts = _learned(folder, encoder, card, recorded, settings, protocol, tell)
    key = {"software": __version__, "policy": _digest(folder / POLICY_FILE)}
    act = {POLICY: cloning.answer(policy, encoder)}
    reached: list[Reached] = []
    for number in range(settings.test):
        measured = folder / MEASURED / f"head_{number:05d}.json"
        found = kept(measured, key, lambda rows: [Reached(**row) for row in rows])
        if found is None:
            head = displaced_head(settings.seed, _HELD_OUT + number)
            found = on_head(head, number, act, encoder.network.shape.size, card, settings.flight)
            keep(measured, key, [asdict(one) for one in found])
            tell(f"{number + 1} of {settings.test} held-out heads")
        reached += found
        write(folder, reached, {"method": card.get("method"), "test": settings.test, **facts})
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
        return _seen(scan, pose, size)

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


def _digest(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _digest_of_frames(dataset: Dataset) -> str:
    shown = demonstrations.frames_shown(dataset)
    told = [[one.identity, *map(float, one.pose.to_row())] for one in shown]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _learned(
    folder: Path,
    encoder: NetworkEncoder,
    card: Mapping[str, Any],
    recorded: Dataset | None,
    settings: PlaneSettings,
    protocol: Mapping[str, Any],
    tell: Tell,
) -> tuple[cloning.Policy, dict[str, Any]]:
    """The policy of a folder, learned where it is not there yet, and how it was trained."""
    file = folder / POLICY_FILE
    with contextlib.suppress(MrisslError):
        # What is damaged is learned again, from demonstrations that are there.
        return cloning.load(file, protocol["weights"]), dict(weights.read_card(file)["training"])
    if recorded is None:
        tell(f"flying over {settings.heads} heads, {settings.each} times each")
        heads = [displaced_head(settings.seed, number) for number in range(settings.heads)]
        place = folder / DEMONSTRATIONS
        dataset = demonstrations.record(place, heads, settings.each, settings.seed)
        found = Scans([head.volume for head in heads])
    else:
        dataset, found = recorded, Scans(kept=8)
    rows, actions = _lessons(encoder, card, dataset, found)
    tell(f"learning from {len(rows)} recorded frames")
    policy = cloning.cloned(rows, actions, settings.steps, settings.seed)
    facts = {"frames": len(rows), **protocol}
    cloning.save(file, policy, protocol["weights"], facts)
    return policy, facts


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
        images = np.stack([_seen(scan(identity), one.pose, size) for one in own])
        rows.append((own, cloning.row_of(encoder, images)))
    return (
        np.concatenate([features for _, features in rows]),
        np.stack([one.action for own, _ in rows for one in own]),
    )


def _seen(scan: Scan, pose: Pose, size: int) -> NDArray[np.float32]:
    """(3, 2, N, N), see `cloning.crossing`."""
    grey, valid = cut(scan, cloning.crossing(pose), size)
    return np.stack([grey, valid], axis=1).astype(np.float32)
