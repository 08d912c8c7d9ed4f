"""A report on a tokenizer or dynamics and one scan: numbers beside chance, and what is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.evaluation.navigation.encoders import BoxEncoder, NetworkEncoder
from napari_mrissl.evaluation.navigation.probe_slices import Amounts, draw
from napari_mrissl.evaluation.navigation.probing import Measure, probe
from napari_mrissl.evaluation.navigation.reconstructions import reconstruction
from napari_mrissl.evaluation.navigation.tables import CYCLE
from napari_mrissl.evaluation.navigation.world import EVEN, RATIOS, cycle, flown, measures, numbers
from napari_mrissl.features.slice_stacks import STACKS, stack_poses
from napari_mrissl.geometry import Pose
from napari_mrissl.networks import weights
from napari_mrissl.networks.slice_encoder import SliceEncoder
from napari_mrissl.pretext.navigation.flights import FlownPoses, cut
from napari_mrissl.pretext.navigation.imagination import Imagination
from napari_mrissl.pretext.navigation.rollout import Rollout, measure
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.volumes.atomic import write_text

REPORT = "report.json"
STEPS = tuple(range(1, 9))
SAID = (1, 4, 8)
POSE_PROBE = (
    "fitted on other random slices of this very scan: it says whether the features know the "
    "place in it, not in scans of others; box_ is what the same probe reads from where the scan "
    "ends alone"
)

_SHOWN_KINDS = ("scroll", "rotate", "walk")
_STACK_SLICES = 6
_OF_A_PROBE = ("position_mm", "angle_degrees", "log_fov_r2", "plane_accuracy")

Progress = Callable[[float], object]
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Strip:
    """One flight in pictures.

    Attributes
    ----------
    kind
        Of the flight.
    true, restored
        (T, N, N) slices, and what the tokenizer makes of them.
    imagined
        (T, N, N) from the first slice, which is a restored one, and the actions alone; None
        without dynamics.
    poses
        One for each.
    """

    kind: str
    true: Array
    restored: Array
    imagined: Array | None
    poses: tuple[Pose, ...]


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel slices in pictures.

    Attributes
    ----------
    slices
        (K, N, N).
    colours
        (K, grid, grid, 3) in [0, 1], of their tokens.
    poses
        One for each.
    """

    slices: Array
    colours: Array
    poses: tuple[Pose, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """What is written.

    Attributes
    ----------
    numbers
        JSON-ready; holds no name of a file, folder or person.
    strips
        Some flights.
    drift
        Latent errors by answer at each of `STEPS`; empty without dynamics.
    stacks
        For each axis slices and their tokens as colours, one basis for all.
    """

    numbers: dict[str, Any]
    strips: tuple[Strip, ...] = ()
    drift: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    stacks: Mapping[str, Stack] = field(default_factory=dict)


class _OneScan:
    """A scan as subjects."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def __len__(self) -> int:
        return 1

    def scan(self, number: int) -> Scan:
        """The scan."""
        return self._scan


def examine(
    place: Path,
    scan: Scan,
    slices: int = 256,
    flights: int = 4,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = lambda part: None,
) -> Report:
    """Measure a network on random slices of a scan and flights over it.

    Parameters
    ----------
    place
        The file of weights.
    scan
        Prepared as the card says.
    slices
        That the pose probe is fitted on, and as many others that it is measured on.
    flights
        Of each kind; only with dynamics.
    seed
        Of slices and flights.
    progress
        Is told the share that is done; what it raises ends the work.

    Raises
    ------
    MrisslError
        If the weights are of another network.
    """
    state, card = weights.load(place)
    encoder = SliceEncoder.of(state, card).to(device)
    size = encoder.shape.size
    amounts = Amounts(1, slices, 0)
    one, other = (draw(_OneScan(scan), amounts, size, seed + k) for k in (1, 0))
    progress(0.2)
    found: dict[str, Measure] = reconstruction(encoder.backbone, other.images, other.subjects, seed)
    progress(0.3)
    probed = probe(NetworkEncoder(encoder), one, other)
    found |= {name: probed[name] for name in _OF_A_PROBE}
    ended = probe(BoxEncoder(encoder.shape.patch), one, other)
    found |= {f"box_{name}": ended[name] for name in _OF_A_PROBE}
    progress(0.5)
    all_flights = flown(_OneScan(scan), 0, seed, flights)
    kinds = {flight.kind: flight for flight in all_flights}
    drift: dict[str, NDArray[np.float64]] = {}
    imagination: Imagination | None = None
    if encoder.dynamics is not None:
        imagination = Imagination.open(place, device)
        rollouts = list(measure(imagination, all_flights, STEPS).values())
        turning = flown(_OneScan(scan), 0, seed, flights, turns=1.0)
        turned = list(measure(imagination, turning, ()).values())
        found |= _said(rollouts, turned, cycle(imagination, all_flights))
        drift = _drift(rollouts)
    progress(0.8)
    shown = [_strip(encoder, imagination, kinds[kind]) for kind in _SHOWN_KINDS]
    report = Report(
        _plain(card, scan, found, slices, flights, seed),
        tuple(shown),
        drift,
        _stacks(encoder, scan),
    )
    progress(1.0)
    return report


def write(report: Report, folder: Path) -> list[str]:
    """Write report and figures into a new folder, whole or not at all; the names of its files.

    Raises
    ------
    MrisslError
        If the folder is there already, or the disk refuses.
    """
    from napari_mrissl.evaluation.navigation import figures

    with new_folder(folder) as made:
        text = json.dumps(report.numbers, indent=2, sort_keys=True, allow_nan=False)
        write_text(made / REPORT, text + "\n")
        for strip in report.strips:
            figures.strip(strip).save(made / f"flight_{strip.kind}.png")
        for name, stack in report.stacks.items():
            figures.tokens(stack).save(made / f"tokens_{name}.png")
        if report.drift:
            figures.drift(np.array(STEPS), report.drift).save(made / "drift.png")
    return sorted(path.name for path in folder.iterdir())


def _said(rollouts: list[Rollout], turned: list[Rollout], around: float) -> dict[str, Measure]:
    plain = {name: [value] for name, value in numbers(rollouts, turned).items()}
    plain["cycle_error"] = [around]
    kept = ("latent", "psnr", "ssim")
    wanted = {"cycle_error", *(f"{name}_{step}" for name in kept for step in SAID)}
    found = {
        name: one
        for name, one in measures(plain).items()
        if name in wanted or name.removeprefix(EVEN).startswith(RATIOS)
    }
    return {name.replace("latent_", "latent_error_"): one for name, one in found.items()}


def _drift(rollouts: list[Rollout]) -> dict[str, NDArray[np.float64]]:
    answers = list(next(iter(rollouts[0].errors.values())))
    return {
        answer: np.array(
            [np.mean([one.errors[step][answer].latent for one in rollouts]) for step in STEPS]
        )
        for answer in answers
    }


def _strip(encoder: SliceEncoder, imagination: Imagination | None, flight: FlownPoses) -> Strip:
    from napari_mrissl.evaluation.navigation.reconstructions import restored

    grey, valid = cut(flight.scan, flight.poses[1:], encoder.shape.size)
    images = np.stack([grey, valid], axis=1).astype(np.float32)
    grid = encoder.shape.grid
    again = restored(encoder.backbone, images, np.zeros((len(images), grid, grid), np.bool_))
    imagined = None
    if imagination is not None:
        flown_on = imagination.fork()
        frames = [flown_on.begin(flight.scan, flight.poses[1]).image]
        frames += [flown_on.step(action).image for action in flight.actions[1:]]
        imagined = np.stack(frames)
    return Strip(flight.kind, grey, again, imagined, flight.poses[1:])


def _stacks(encoder: SliceEncoder, scan: Scan) -> dict[str, Stack]:
    """Slices along each axis and their tokens as three principal components of all of them."""
    side = float(scan.volume.extent.max())
    slices, tokens, poses = {}, {}, {}
    for number, stack in enumerate(STACKS):
        parts = np.linspace(0.25, 0.75, _STACK_SLICES)
        levels = np.rint(parts * (scan.volume.shape[number] - 1))
        poses[stack] = tuple(stack_poses(scan.volume, stack, levels, side))
        grey, valid = cut(scan, poses[stack], encoder.shape.size)
        images = np.stack([grey, valid], axis=1).astype(np.float32)
        slices[stack], tokens[stack] = grey, NetworkEncoder(encoder).tokens(images)
    rows = np.concatenate([one.reshape(-1, one.shape[-1]) for one in tokens.values()])
    centred = rows - rows.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, np.argsort(values)[::-1][:3]]
    # Signs of components are arbitrary; the largest entry decides, so that reports agree.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    low, high = np.percentile(centred @ axes, (1, 99), axis=0)
    return {
        stack: Stack(
            slices[stack],
            (((one - rows.mean(axis=0)) @ axes - low) / np.maximum(high - low, 1e-12))
            .clip(0, 1)
            .astype(np.float32),
            poses[stack],
        )
        for stack, one in tokens.items()
    }


def _plain(
    card: Mapping[str, Any],
    scan: Scan,
    found: Mapping[str, Measure],
    slices: int,
    flights: int,
    seed: int,
) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "software": f"napari-mrissl {__version__}",
        "method": card.get("method"),
        "run": card.get("run"),
        "step": card.get("step"),
        "shuffled_actions": bool(card.get("shuffled", False)),
        "identity": scan.identity,
        "preprocessing": card.get("preprocessing"),
        "slices": slices,
        "flights_of_each_kind": flights,
        "seed": seed,
        "pose_probe": POSE_PROBE,
    }
    if "cycle_error" in found:
        plain["cycle"] = CYCLE
    for name, one in found.items():
        plain[name] = one.value if np.isfinite(one.value) else None
        if one.chance is not None:
            plain[f"chance_{name}"] = one.chance if np.isfinite(one.chance) else None
    return plain
