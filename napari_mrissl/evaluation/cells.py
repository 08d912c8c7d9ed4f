"""The cells of a comparison on disk: each computed once, whole or not at all, in any order."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes.atomic import write_text

Scores = dict[str, dict[int, float]]
"""A measure, of Dice unless another is named, by subject, by label."""

DICE, HD95, NSD = "dice", "hd95_mm", "nsd"
SIZE_ML, ABSOLUTE_ML = "volume_difference_ml", "absolute_volume_difference_ml"
CELLS, PROTOCOL = "cells", "protocol.json"
_FORMAT = 2
_READABLE = (1, 2)
"""Cells of format 1 have Dice only, and do not say how they were made."""

_MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class Cell:
    """One entry of a comparison: a source of features, and what it was trained with.

    Attributes
    ----------
    source
        What the table calls it.
    shots, draw
        How many training scans, and which.
    seed
        Of what is random in the source; 0 where nothing is.
    identity
        Of the source's weights or settings: other weights are another cell.
    mode
        What was trained on top of the source, where a comparison has several kinds of that.
    """

    source: str
    shots: int
    draw: int
    seed: int
    identity: str
    mode: str = ""

    @property
    def name(self) -> str:
        """Of its file: words for people, and a digest that tells all cells apart."""
        facts = json.dumps(self.facts(), sort_keys=True)
        digest = hashlib.sha256(facts.encode()).hexdigest()[:10]
        word = re.sub(r"[^A-Za-z0-9]+", "_", self.source)[:32]
        return f"{word}_seed{self.seed}_{self.shots}shots_draw{self.draw}_{digest}.json"

    def facts(self) -> dict[str, Any]:
        """All that tells it apart, JSON-ready."""
        facts = {
            "source": self.source,
            "shots": self.shots,
            "draw": self.draw,
            "seed": self.seed,
            "identity": self.identity,
        }
        return facts | ({"mode": self.mode} if self.mode else {})


@dataclass(frozen=True)
class Made:
    """What a cell came to, and how.

    Attributes
    ----------
    scores
        Dice.
    further
        Other measures by name, of the same subjects and labels.
    how
        Facts such as the number of steps and the learning rate, JSON-ready; no file, no person.
    """

    scores: Scores
    further: Mapping[str, Scores] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)

    def measures(self) -> dict[str, Scores]:
        """All measures by name, Dice first.

        Differences of volume come without their sign too: cells do not keep them twice.
        """
        found = {DICE: self.scores, **self.further}
        if SIZE_ML in found and ABSOLUTE_ML not in found:
            found[ABSOLUTE_ML] = {
                subject: {label: abs(value) for label, value in of_labels.items()}
                for subject, of_labels in found[SIZE_ML].items()
            }
        return found


class Grid:
    """A folder of cells that were made by one protocol.

    Parameters
    ----------
    folder
        New, or of an earlier call with the same protocol.
    protocol
        What all cells share, JSON-ready; it names no file and no person.
    command
        How the cells are made, without places of this machine.

    Raises
    ------
    MrisslError
        If the folder holds cells of another protocol, or cannot be written.
    """

    def __init__(self, folder: str | Path, protocol: Mapping[str, Any], command: str) -> None:
        self.folder = Path(folder)
        self.command = command
        self.protocol = agreed(self.folder, protocol, CELLS)

    def scores(self, cell: Cell) -> Scores | None:
        """The Dice of a cell; None where it is missing or damaged, and has to be made."""
        made = self.made(cell)
        return None if made is None else made.scores

    def made(self, cell: Cell) -> Made | None:
        """What a cell came to; None where it is missing or damaged, and has to be made."""
        try:
            content = _read(self.folder / CELLS / cell.name)
            if content["cell"] != cell.facts() or content["format"] not in _READABLE:
                return None
            further = {
                str(name): _scores(scores) for name, scores in content.get("further", {}).items()
            }
            return Made(_scores(content["dice"]), further, dict(content.get("how", {})))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def cells(self) -> dict[Cell, Made]:
        """All whole cells of the folder, the newest last; damaged ones are left out."""
        found = []
        for path in (self.folder / CELLS).glob("*.json"):
            try:
                facts = _read(path)["cell"]
                cell = Cell(**facts)
                when = path.stat().st_mtime_ns
            except (OSError, ValueError, KeyError, TypeError):
                continue
            made = self.made(cell) if cell.name == path.name else None
            if made is not None:
                found.append((when, cell.name, cell, made))
        return {cell: made for *_, cell, made in sorted(found, key=lambda one: one[:2])}

    def keep(self, cell: Cell, made: Made | Scores, seconds: float) -> None:
        """Write a cell, whole, with the command, the seed, and how long it took.

        Seconds are those of this call; minutes are those of training alone, in all calls, where
        it says so of itself.

        Raises
        ------
        WriteError
            If the disk refuses.
        """
        made = made if isinstance(made, Made) else Made(made)
        content = {
            "format": _FORMAT,
            "software": f"napari-mrissl {__version__}",
            "command": self.command,
            "cell": cell.facts(),
            "seconds": round(seconds, 3),
            "minutes": made.how.get("minutes", round(seconds / 60, 2)),
            "how": dict(made.how),
            "dice": made.scores,
            "further": dict(made.further),
        }
        text = json.dumps(content, indent=1, allow_nan=False)
        write_text(self.folder / CELLS / cell.name, text + "\n")

    def fill(
        self,
        plan: Sequence[Cell],
        work: Callable[[Cell], Made | Scores],
        done: Callable[[int, Cell, bool], object] = lambda number, cell, made: None,
    ) -> dict[Cell, Scores]:
        """The Dice of all cells of a plan; those that are here already are only read.

        Parameters
        ----------
        plan
            The cells, in the order in which they are made.
        work
            Makes one.
        done
            Is told how many there are now, the newest, and whether it was made just now.
        """
        return {cell: made.scores for cell, made in self.fill_whole(plan, work, done).items()}

    def fill_whole(
        self,
        plan: Sequence[Cell],
        work: Callable[[Cell], Made | Scores],
        done: Callable[[int, Cell, bool], object] = lambda number, cell, made: None,
    ) -> dict[Cell, Made]:
        """As `fill`, with all measures of each cell and how it was made."""
        found: dict[Cell, Made] = {}
        for number, cell in enumerate(plan, 1):
            known = self.made(cell)
            if known is None:
                start = time.perf_counter()
                result = work(cell)
                self.keep(cell, result, time.perf_counter() - start)
                found[cell] = result if isinstance(result, Made) else Made(result)
            else:
                found[cell] = known
            done(number, cell, known is None)
        return found


def agreed(folder: Path, protocol: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The protocol of a comparison's folder, which is made where it is not there.

    Parameters
    ----------
    folder
        New, or of an earlier call with the same protocol.
    protocol
        What all results in it share, JSON-ready; it names no file and no person.
    part
        The folder of the results in it.

    Raises
    ------
    MrisslError
        If the folder holds results of another protocol, or cannot be written.
    """
    wanted: dict[str, Any] = json.loads(json.dumps(dict(protocol)))
    place = folder / PROTOCOL
    try:
        (folder / part).mkdir(parents=True, exist_ok=True)
        known = _read(place) if place.exists() else None
    except OSError as error:
        raise MrisslError(
            f"could not be made ({error.strerror or type(error).__name__})",
            where=folder,
            expected="a folder that can be written",
        ) from error
    except ValueError as error:
        raise MrisslError("cannot be read", where=place, remedy="use a new folder") from error
    if known is None:
        write_text(place, json.dumps(wanted, indent=1, sort_keys=True) + "\n")
    elif known != wanted:
        other = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
        raise MrisslError(
            f"holds a comparison with other {', '.join(other)}",
            where=folder,
            remedy="use a new folder, or the settings of that comparison",
        )
    return wanted


def shown(grid: Grid, plan: Sequence[Cell], modes: Sequence[str] = ("",)) -> dict[Cell, Made]:
    """The cells of a folder that belong in its table, those of the plan first.

    Of a source that was measured with several settings, those of the plan count, or else the
    newest.

    Parameters
    ----------
    grid
        Of the folder.
    plan
        What was asked for now.
    modes
        In their order; cells of others do not count.
    """
    chosen = {(cell.mode, cell.source, cell.seed): cell.identity for cell in plan}
    there = {cell: made for cell, made in grid.cells().items() if cell.mode in modes}
    for cell in reversed(there):
        chosen.setdefault((cell.mode, cell.source, cell.seed), cell.identity)
    rank = {cell: number for number, cell in enumerate(plan)}
    kept = [c for c in there if chosen[c.mode, c.source, c.seed] == c.identity]
    kept.sort(
        key=lambda c: (modes.index(c.mode), rank.get(c, len(rank)), c.source, c.shots, c.draw)
    )
    return {cell: there[cell] for cell in kept}


def _scores(content: Mapping[str, Mapping[str, Any]]) -> Scores:
    return {
        str(subject): {int(label): float(value) for label, value in of_labels.items()}
        for subject, of_labels in content.items()
    }


def _read(path: Path) -> Any:
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError("too long")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("too deep") from error
