"""The arms of the comparison: which runs they are, and that their budgets are equal; no torch.

After the comparators of arXiv:2605.06487 (static volumes, tokenizer only, dynamics without
aligned actions); how each is made is ours (inferred).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.slice_cards import DYNAMICS, TOKENIZER
from napari_mrissl.pretext.navigation.settings import KINDS, STACK
from napari_mrissl.training.building import knows, settings_for
from napari_mrissl.training.settings import DataSettings, RunSettings

START, STATIC_START = "tokenizer", "static_start"
STATIC, TOKENIZER_ONLY = "static", "tokenizer_only"
NO_ACTION, SHUFFLED, FULL = "dynamics_no_action", "dynamics_shuffled", "dynamics"
COMPARED = (STATIC, TOKENIZER_ONLY, NO_ACTION, SHUFFLED, FULL)
"""The arms of the table, in its order."""
DRAWN = "dynamics_drawn"
"""No run: the tokenizer of all dynamics, and dynamics that were never trained."""

_NO_FLIGHT = {f"flights.{kind}": 0.0 for kind in KINDS} | {f"flights.{STACK}": 1.0}

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Arm:
    """One run of the comparison.

    Attributes
    ----------
    name
        Of its folder.
    settings
        Without the weights that it begins from, which are not there yet.
    begins_from
        The run whose weights it begins from, where it does.
    """

    name: str
    settings: RunSettings
    begins_from: str | None = None

    @property
    def slices(self) -> int:
        """How many slices its steps see."""
        chosen = self.settings
        return (
            chosen.optimisation.steps
            * chosen.optimisation.batch
            * int(chosen.task["flights"]["frames"])
        )


def arms(
    data: DataSettings | Mapping[str, Any] | None, preset: str, changes: Changes
) -> dict[str, Arm]:
    """All runs by name, in the order in which they can be trained.

    Both starts see the same number of slices, and so do all arms after them: what goes on
    with the tokenizer takes the batch and the frames of the dynamics.

    Parameters
    ----------
    data
        What all of them are trained on.
    preset
        ``"tiny"``, ``"cpu"`` or ``"gpu"``.
    changes
        Single settings of every run that knows them, e.g. ``steps`` or ``backbone.width``;
        shapes of the tokenizer go to its runs alone, and dynamics take them over.

    Raises
    ------
    MrisslError
        If no method knows a key, or a value is none.
    """
    of_tokenizer, of_dynamics = _parted(changes)
    moving = settings_for(DYNAMICS, data, preset, of_dynamics)
    going_on = {
        **of_tokenizer,
        "steps": moving.optimisation.steps,
        "batch": moving.optimisation.batch,
        "flights.frames": moving.task["flights"]["frames"],
    }
    shuffled = moving.model_copy(update={"shuffled": True})
    without = settings_for(DYNAMICS, data, preset, {**of_dynamics, "actions": "zero"})
    made = (
        Arm(START, settings_for(TOKENIZER, data, preset, of_tokenizer)),
        Arm(STATIC_START, settings_for(TOKENIZER, data, preset, of_tokenizer | _NO_FLIGHT)),
        Arm(STATIC, settings_for(TOKENIZER, data, preset, going_on | _NO_FLIGHT), STATIC_START),
        Arm(TOKENIZER_ONLY, settings_for(TOKENIZER, data, preset, going_on), START),
        Arm(NO_ACTION, without, START),
        Arm(SHUFFLED, shuffled, START),
        Arm(FULL, moving, START),
    )
    return {arm.name: arm for arm in made}


def budgets(runs: Mapping[str, Arm]) -> dict[str, dict[str, int]]:
    """Optimiser steps and slices of each compared arm, the run it begins from counted in.

    Of `DRAWN` those of its tokenizer.

    Raises
    ------
    MrisslError
        If they are not the same for all arms.
    """
    found = {}
    for name in COMPARED:
        arm = runs[name]
        parts = [arm] if arm.begins_from is None else [runs[arm.begins_from], arm]
        found[name] = {
            "steps": sum(part.settings.optimisation.steps for part in parts),
            "slices": sum(part.slices for part in parts),
        }
    if len({tuple(one.values()) for one in found.values()}) > 1:
        raise MrisslError("arms of different budgets", where="benchmark", expected="the same")
    start = runs[START]
    drawn = {"steps": start.settings.optimisation.steps, "slices": start.slices}
    return {DRAWN: drawn, **found}


def _parted(changes: Changes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Changes of the tokenizer's runs, and of the dynamics'."""
    parts: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for key, value in changes.items():
        if key == "flights" or key.removeprefix("flights.") in (*KINDS, STACK):
            raise MrisslError(
                f"{key} by --set",
                where="--set",
                expected="no kinds of flights: arms differ in them",
            )
        for method, part in zip((TOKENIZER, DYNAMICS), parts, strict=True):
            # Dynamics take the tokenizer over from the run that they begin from.
            if knows(method, key) and not (method == DYNAMICS and key.startswith("backbone")):
                part[key] = value
        if not any(key in part for part in parts):
            settings_for(TOKENIZER, None, None, {key: value})  # says what keys there are
    return parts
