"""How the cells of a comparison were made: further columns of its rows, sentences below it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_mrissl.evaluation.cells import Cell, Made
from napari_mrissl.evaluation.contenders import FULL, REGISTERED
from napari_mrissl.evaluation.frozen import FILTERS, INTENSITY
from napari_mrissl.evaluation.frozen_sources import parted
from napari_mrissl.evaluation.score_rows import MEAN, Row
from napari_mrissl.evaluation.trained_contenders import MONAI
from napari_mrissl.evaluation.transferred import TRANSFER
from napari_mrissl.features.of_networks import RANDOM
from napari_mrissl.networks.weight_library import DEFAULT, names
from napari_mrissl.segmentation.finetuning import SCRATCH
from napari_mrissl.training.initial import weights_file

EMPTY, SILENT = "empty_in_one", "training_unknown"
"""What a cell says of its scores, by label, and of its weights; those of before say neither."""

_NETWORK = "backbone."
_WORDS = (SCRATCH, MONAI, TRANSFER, RANDOM, FILTERS, INTENSITY, DEFAULT)


def with_facts(rows: Sequence[Row], found: Mapping[Cell, Made]) -> list[Row]:
    """The rows with steps, rate, minutes of training, and labels empty on one side.

    What not all cells of a row say, or say differently, is None; minutes are means.
    """
    groups: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for cell, made in found.items():
        groups.setdefault((cell.mode, cell.source, cell.shots), []).append(made.how)
    told = []
    for row in rows:
        hows = groups[row.mode, row.source, row.shots]
        empty = [_empty(how, row.label) for how in hows]
        told.append(
            replace(
                row,
                steps=_same(hows, "steps"),
                learning_rate=_same(hows, "learning_rate"),
                minutes=_mean(hows, "minutes"),
                tuning_minutes=_mean(hows, "tuning_minutes"),
                empty_in_one=None if None in empty else sum(n for n in empty if n is not None),
            )
        )
    return told


def sentences(found: Mapping[Cell, Made], silent: Collection[str] = ()) -> list[str]:
    """What is to be said of the cells of a table, below it.

    Parameters
    ----------
    found
        All that are shown.
    silent
        Sources known not to say what they were trained on, beside those whose cells say so.
    """
    counts = [_empty(made.how, MEAN) for made in found.values()]
    known = [count for count in counts if count is not None]
    said = []
    if known:
        among = "" if len(known) == len(counts) else f" (of {len(known)} cells that counted it)"
        said.append(f"A label was empty in one of both maps {sum(known)} times in all{among}.")
    untold = {cell.source for cell, made in found.items() if made.how.get(SILENT)} | set(silent)
    for name in sorted(untold & {cell.source for cell in found}):
        said.append(f"{name} does not say what it was trained on: it may know test scans.")
    if any(cell.mode == REGISTERED for cell in found):
        said.append(
            f"{TRANSFER} moves the labels of the one training scan to each test scan by "
            "registration; nothing is trained, and its settings were chosen on no test scan."
        )
    for name in _other_networks(found):
        said.append(
            f"{name} is another network than {SCRATCH}, which is that of the weights that ship: "
            "its own from scratch is missing here, and the difference is also one of networks."
        )
    return said


def empty_in_one(empties: Mapping[int, int]) -> dict[str, Any]:
    """For `Made.how`: how often each label was empty in one of both maps."""
    return {EMPTY: {str(label): count for label, count in empties.items()}}


def portable(word: str) -> str:
    """A word for weights that can be put into a command anywhere.

    Names stay as they are; a run or a file becomes ``RUN-`` and the start of the SHA-256 of its
    weights, to be replaced by where they lie, as ``DATA`` is by the folder of scans.

    Raises
    ------
    MrisslError
        If it stands for no weights.
    """
    name = parted(word)[0]
    if name in _WORDS or name in names():
        return word
    return f"RUN-{weights_file(name)[1][:12]}{word[len(name) :]}"


def _other_networks(found: Mapping[Cell, Made]) -> list[str]:
    """Sources in full mode whose network is not the one that was trained from scratch."""
    networks = {
        cell.source: network
        for cell in found
        if cell.mode == FULL and (network := _network(cell.identity)) is not None
    }
    scratch = networks.get(SCRATCH)
    if scratch is None:
        return []
    return sorted(name for name, network in networks.items() if network != scratch)


def _network(identity: str) -> dict[str, str] | None:
    try:
        facts = json.loads(identity)
    except ValueError:
        return None
    if not isinstance(facts, dict) or not isinstance(facts.get("backbone"), dict):
        return None
    changes = facts.get("changes", {})
    own = {k.removeprefix(_NETWORK): v for k, v in changes.items() if k.startswith(_NETWORK)}
    return {name: str(value) for name, value in {**facts["backbone"], **own}.items()}


def _empty(how: Mapping[str, Any], label: str) -> int | None:
    counts = how.get(EMPTY)
    if not isinstance(counts, Mapping):
        return None
    return sum(counts.values()) if label == MEAN else counts.get(label)


def _same(hows: Sequence[Mapping[str, Any]], name: str) -> Any:
    values = {how.get(name) for how in hows}
    return values.pop() if len(values) == 1 else None


def _mean(hows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [how.get(name) for how in hows]
    return None if None in values else float(np.mean([v for v in values if v is not None]))
