"""What dynamics know of the world: rollouts beside simple answers, heeded actions, cycles.

Built on `pretext.navigation.rollout`; per held-out subject, and means over these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.geometry import invert_action
from napari_mrissl.pretext.navigation.flights import Flights, FlownPoses
from napari_mrissl.pretext.navigation.imagination import Imagination
from napari_mrissl.pretext.navigation.rollout import ANSWERS, HORIZONS, Rollout, measure
from napari_mrissl.pretext.navigation.settings import KINDS, FlightSettings
from napari_mrissl.pretext.subjects import Subjects
from napari_mrissl.synthesis.draws import generator

Tell = Callable[[float], object]
Values = dict[str, list[float]]

RATIOS = ("shuffle_ratio", "below_copied")
EVEN = "even_"
"""Before ratios of flights that keep their velocity, where the slices before tell a good part."""

_UNLEARNED = ("moved_", "remembered_")
_LEADS = {f"{answer}_" for answer in ANSWERS} | set(_UNLEARNED)
_LEAST = 2
"""Flights of a kind and a subject: others' actions are those of another one."""


def flown(
    subjects: Subjects,
    number: int,
    seed: int,
    each: int,
    kinds: Sequence[str] = KINDS,
    turns: float = 0.0,
) -> list[FlownPoses]:
    """Flights over a subject that are long enough to be measured, so many of each kind.

    Those that turn at every frame show whether actions are heeded: nothing else tells how they
    go on.
    """
    flights, scan = Flights(FlightSettings(turns=turns)), subjects.scan(number)
    rng = generator(seed, number, f"measured flights {scan.identity}")
    frames = max(HORIZONS) + 2
    return [
        FlownPoses(
            scan, number, kind, flights.fly(scan, kind, frames, int(rng.integers(1 << 62))), None
        )
        for kind in kinds
        for _ in range(max(_LEAST, each))
    ]


def world(
    run: Path,
    subjects: Subjects,
    seed: int,
    *,
    most: int = 8,
    each: int = _LEAST,
    device: str = "cpu",
    tell: Tell = lambda part: None,
) -> dict[str, Measure]:
    """Measures of dynamics on held-out subjects, all kinds of flights with equal weights.

    Of each horizon ``latent_h`` (chance: the best of the first slice once more, of a straight
    line in latent space, and of the first slice moved as the actions say), ``psnr_h`` and
    ``ssim_h`` (chance: likewise); beside them ``copied_latent_h``, ``straight_latent_h`` and
    ``moved_latent_h``. ``shuffle_ratio`` and ``below_copied`` are of single steps of flights that
    have a new velocity at every frame, and of each kind by itself with its name behind (chance:
    the best of 1, which is what copying has, and those of moved and of remembered latents,
    ``moved_shuffle_ratio`` ...); with ``even_`` before them they are of the flights that all
    else is of, which keep their velocity. ``cycle_error`` is the latent
    error after an action and its inverse (chance: 0, see `tables.CYCLE`).

    Parameters
    ----------
    run
        The folder of a run of the method dynamics, or its weights.
    subjects
        Held out.
    seed
        Of the flights.
    most, each
        Scans at most, those of one person count as one; flights of each kind over each scan.
    """
    imagination = Imagination.open(run, device)
    count = min(most, len(subjects))
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(count):
        flights = flown(subjects, number, seed, each)
        turning = flown(subjects, number, seed, each, turns=1.0)
        turned = measure(imagination, turning, ())
        plain = numbers(list(measure(imagination, flights).values()), list(turned.values()))
        plain["cycle_error"] = cycle(imagination, flights)
        for name, value in plain.items():
            # A flight that could not move has no error to copy: what is divided by it is no number.
            if np.isfinite(value):
                people = found.setdefault(name, {})
                people.setdefault(flights[0].scan.subject, []).append(value)
        tell((number + 1) / count)
    return measures(
        {name: [float(np.mean(own)) for own in by.values()] for name, by in found.items()}
    )


def numbers(rollouts: Sequence[Rollout], turning: Sequence[Rollout]) -> dict[str, float]:
    """Plain numbers of one subject's flights, means over kinds; ratios of each kind too."""
    plain: dict[str, float] = {}
    for horizon in rollouts[0].errors:
        for answer in rollouts[0].errors[horizon]:
            for number, name in enumerate(("latent", "psnr", "ssim")):
                values = [one.errors[horizon][answer][number] for one in rollouts]
                lead = "" if answer == "imagined" else f"{answer}_"
                plain[f"{lead}{name}_{horizon}"] = float(np.mean(values))
    leads = ("", *_UNLEARNED)
    for (when, flights), lead, ratio in product((("", turning), (EVEN, rollouts)), leads, RATIOS):
        by_kind = {one.kind: float(getattr(one, f"{lead}{ratio}")) for one in flights}
        name = f"{lead}{when}{ratio}"
        plain[name] = float(np.mean(list(by_kind.values())))
        plain |= {f"{name}_{kind}": value for kind, value in by_kind.items()}
    return plain


def measures(found: Values) -> dict[str, Measure]:
    """Means over subjects, each beside the best of the answers that learned no dynamics."""
    made: dict[str, Measure] = {}
    for name, values in found.items():
        chance: NDArray[np.float64] | None = None
        rivals = [found.get(f"{lead}{name}") for lead in _LEADS]
        known = [np.array(one) for one in rivals if one is not None]
        plain = name.removeprefix(EVEN)
        if plain.startswith(RATIOS):
            known.append(np.ones(1))
        if known:
            best = min if plain.startswith(("latent", "below_copied")) else max
            chance = best(known, key=lambda one: float(np.mean(one)))
        elif name == "cycle_error":
            chance = np.zeros(1)
        made[name] = Measure.of(np.array(values), chance)
    return made


def cycle(imagination: Imagination, flights: Sequence[FlownPoses]) -> float:
    """Mean latent error where an action and then its inverse should lead back to."""
    errors = []
    for flight in flights:
        there = imagination.fork()
        true = there.begin(flight.scan, flight.poses[1]).latents
        action = flight.actions[1]
        there.step(action)
        back = there.step(invert_action(action)).latents
        errors.append(float(np.abs(back - true).mean(dtype=np.float64)))
    return float(np.mean(errors))
