"""What the user chose for the cells of a comparison, and whether both sides of a difference agree.

A folder takes cells of any settings, as rows are added to it; what a difference is then also one
of is said below the table. What a contender chose for itself, as the rate and length of a network
from scratch, is no part of this.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from napari_mrissl.evaluation.cells import Cell
from napari_mrissl.evaluation.contenders import FULL, REGISTERED
from napari_mrissl.evaluation.score_rows import References, reference_of

Recipe = dict[str, str]
"""Settings by key, as texts."""

_SECTIONS = ("task.", "optimisation.")
_OWN = ("steps", "batch", "learning_rate")
_FURTHER = ("patch", "spacing", "unlabelled", "classes")
_OTHER = (
    # Said as another network; a share of the rate is for what was learned before.
    "backbone.", "backbone_rate",
    # How fast it is and what is kept of it, not what comes of it.
    "threads", "data.", "checkpoint.every", "checkpoint.images_every",
)  # fmt: skip
_PRESET = "preset"
_SAID = 4

_Key = tuple[str, str, int]


def recipe_of(cell: Cell) -> Recipe | None:
    """What the user chose for a cell, by its identity; None where it says nothing of that.

    Of a head the voxels and the decision, of a finetuning its preset by its content and name,
    changed by what was set; a peer, and what is not trained, has a recipe of its own.
    """
    if cell.mode == REGISTERED:
        return None
    if cell.mode != FULL:
        parts = cell.identity.rsplit(" ", 3)
        return {"voxels": parts[1], "decision": parts[2]} if len(parts) == 4 else None
    try:
        facts = json.loads(cell.identity)
    except ValueError:
        return None
    if not isinstance(facts, dict) or _PRESET not in facts:
        return None
    chosen: dict[str, Any] = dict(_flat(facts.get("recipe") or {}))
    further = {name: facts[name] for name in (*_OWN, *_FURTHER) if facts.get(name) is not None}
    for key, value in {**further, **(facts.get("changes") or {})}.items():
        chosen[_short(str(key))] = value
    kept = {key: _text(value) for key, value in chosen.items() if not key.startswith(_OTHER)}
    return {_PRESET: str(facts[_PRESET]), **kept}


def sentences(found: Collection[Cell], references: References = None) -> list[str]:
    """Which rows differ in settings from what they are compared with, or within themselves.

    Parameters
    ----------
    found
        All cells that are shown.
    references
        What they are compared with, see `score_rows.rows_of`.
    """
    rows: dict[_Key, list[Recipe]] = {}
    for cell in found:
        recipe = recipe_of(cell)
        if recipe is not None:
            rows.setdefault((cell.mode, cell.source, cell.shots), []).append(recipe)
    keys = {(cell.mode, cell.source, cell.shots) for cell in found}
    mixed: dict[tuple[str, str, str], list[int]] = {}
    apart: dict[tuple[str, str, str, str], list[int]] = {}
    for key, own in rows.items():
        mode, source, shots = key
        if within := _different(own):
            mixed.setdefault((mode, source, within), []).append(shots)
        name = reference_of(references, key, keys)
        if name == source or (mode, name, shots) not in rows:
            continue
        if between := _different(own, rows[mode, name, shots]):
            apart.setdefault((mode, source, name, between), []).append(shots)
    said = [
        f"The cells of {_row(mode, source, shots)} were made with several settings: {what}."
        for (mode, source, what), shots in mixed.items()
    ]
    said += [
        f"{_row(mode, source, shots)} was made with other settings than {name}, which it is "
        f"compared with: {what}; the difference is also one of settings."
        for (mode, source, name, what), shots in apart.items()
    ]
    return said


def _different(own: Sequence[Recipe], other: Sequence[Recipe] | None = None) -> str:
    """Keys and values that differ: within one side, or between two; empty if none does."""
    keys = [_PRESET, *sorted({key for one in (*own, *(other or ())) for key in one} - {_PRESET})]
    found = []
    for key in keys:
        one = _values(own, key)
        two = one if other is None else _values(other, key)
        if other is None and len(one) > 1:
            found.append((key, f"{key} {' and '.join(one)}"))
        elif one != two:
            found.append((key, f"{key} {' and '.join(one)}, not {' and '.join(two)}"))
    # The name of a preset says nothing where all that it stands for was set alike.
    if all(key == _PRESET for key, _ in found):
        return ""
    texts = [text for _, text in found]
    more = len(texts) - _SAID
    return "; ".join([*texts[:_SAID], *([f"and {more} more"] if more > 0 else [])])


def _values(recipes: Iterable[Recipe], key: str) -> list[str]:
    return sorted({one.get(key, "as by default") for one in recipes})


def _row(mode: str, source: str, shots: Sequence[int]) -> str:
    return f"{source} ({mode}, training scans: {', '.join(map(str, sorted(shots)))})"


def _flat(content: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield _short(f"{before}{key}"), value


def _short(key: str) -> str:
    """A key as it may be said to ``--set``: without the section where it is not needed."""
    section = next((one for one in _SECTIONS if key.startswith(one)), "")
    return key.removeprefix(section)


def _text(value: Any) -> str:
    """A value as text; numbers that were given as text are numbers."""
    if isinstance(value, str):
        try:
            return _text(_number(value))
        except ValueError:
            return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, sort_keys=True)


def _number(text: str) -> Any:
    """What a text is as JSON; a text within it stays one."""
    found = json.loads(text)
    if isinstance(found, str):
        raise ValueError(text)
    return found
