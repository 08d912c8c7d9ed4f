"""The arms of the comparison: which runs they are, and that their budgets are equal; no torch.

Controls are those that the method's notes ask for: without coordinates, shuffled ones, a plain
denoiser at one level of noise, and plain U-Nets that restore spoiled crops or, where they are
asked for, contrast voxels of two painted views.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation.arms import Arm
from napari_mrissl.networks.diffusion_cards import COORDINATES, DIFFUSION
from napari_mrissl.training.building import info_of, knows, settings_for
from napari_mrissl.training.settings import DataSettings, RunSettings

START = COORDINATES
GUIDED, NONE, SHUFFLED = "guided", "no_coordinates", "shuffled_coordinates"
PLAIN, RESTORED, CONTRASTIVE = "plain_denoiser", "restoration", "contrastive"
DENOISERS = (GUIDED, NONE, SHUFFLED, PLAIN)
CONTROLS = (RESTORED, CONTRASTIVE)
COMPARED = (*DENOISERS, *CONTROLS)
"""The arms of the table, in its order."""

_METHODS = {RESTORED: "reconstruction", CONTRASTIVE: "synthesis"}
_OURS = ("coordinates", "levels", "one_db", "prediction", "schedule", "steps", "backbone.name")
"""Settings that arms differ in, that losses could not be compared with, or of two meanings."""

Changes = Mapping[str, Any]


def arms(
    data: DataSettings | Mapping[str, Any] | None,
    preset: str,
    changes: Changes,
    *,
    contrastive: bool = False,
) -> dict[str, Arm]:
    """All runs by name, in the order in which they can be trained.

    Parameters
    ----------
    data
        What all of them are trained on.
    preset
        ``"tiny"``, ``"cpu"`` or ``"gpu"``.
    changes
        Single settings of every run that knows them, e.g. ``optimisation.steps`` or
        ``patch.side``; shapes of a backbone go to the network of coordinates alone, which the
        denoisers take over.
    contrastive
        Whether there is an arm that contrasts painted views; painting takes it several times
        as long as the others.

    Raises
    ------
    MrisslError
        If no method knows a key, a value is none, or there is nothing to paint.
    """
    parts = _parted(changes)
    own = parts[DIFFUSION]
    guided = settings_for(DIFFUSION, data, preset, own)
    alone = {**own, "coordinates": "none"}
    budget = {
        "optimisation.steps": guided.optimisation.steps,
        "optimisation.batch": guided.optimisation.batch,
        "backbone.name": "unet",
    }
    made = {
        START: settings_for(COORDINATES, data, preset, parts[COORDINATES]),
        GUIDED: guided,
        NONE: settings_for(DIFFUSION, data, preset, alone),
        SHUFFLED: settings_for(DIFFUSION, data, preset, {**own, "coordinates": "shuffled"}),
        PLAIN: settings_for(DIFFUSION, data, preset, {**alone, "levels": "one"}),
    }
    if contrastive and not _labelled(guided.data):
        raise MrisslError(
            "scans without labels, which nothing can be painted from",
            where="--contrastive",
            expected="label maps, or --data heads",
        )
    for name, method in _METHODS.items():
        if name == RESTORED or contrastive:
            made[name] = settings_for(method, data, preset, {**parts[method], **budget})
    begun = (GUIDED, SHUFFLED)
    return {name: Arm(name, one, START if name in begun else None) for name, one in made.items()}


def budgets(runs: Mapping[str, Arm]) -> dict[str, dict[str, int]]:
    """Optimiser steps and samples of each run; those of `START` are no part of the others'.

    Raises
    ------
    MrisslError
        If they are not the same for all compared arms.
    """
    found = {name: _budget(arm.settings) for name, arm in runs.items()}
    if len({tuple(found[name].values()) for name in COMPARED if name in found}) > 1:
        raise MrisslError("arms of different budgets", where="benchmark", expected="the same")
    return found


def _budget(settings: RunSettings) -> dict[str, int]:
    chosen = settings.optimisation
    return {"steps": chosen.steps, "samples": chosen.steps * chosen.batch * chosen.accumulation}


def _labelled(data: DataSettings) -> bool:
    """Whether there are label maps to paint."""
    return data.kind != "scans" or all(one.labels is not None for one in data.subjects)


def _parted(changes: Changes) -> dict[str, dict[str, Any]]:
    """Changes of each method's runs."""
    methods = (COORDINATES, DIFFUSION, *_METHODS.values())
    parts: dict[str, dict[str, Any]] = {method: {} for method in methods}
    for key, value in changes.items():
        if key in _OURS:
            raise MrisslError(
                f"{key} by --set", where="--set", expected="a setting that is the same in all arms"
            )
        for method, part in parts.items():
            if _takes(method, key) and (method == COORDINATES or not key.startswith("backbone")):
                part[key] = value
        if not any(key in part for part in parts.values()):
            settings_for(DIFFUSION, None, None, {key: value})  # says what keys there are
    return parts


def _takes(method: str, key: str) -> bool:
    """Whether a method knows a key to its last part: two may have crops of different settings."""
    first, *rest = key.split(".")
    field = info_of(method).settings.model_fields.get(first)
    inner = getattr(field.annotation, "model_fields", None) if field is not None else None
    return knows(method, key) and (inner is None or not rest or rest[0] in inner)
