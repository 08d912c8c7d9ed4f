"""The cells of a comparison on disk: each computed once, whole or not at all, in any order."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes.atomic import write_text

Scores = dict[str, dict[int, float]]
"""Dice by subject, by label."""

CELLS, PROTOCOL = "cells", "protocol.json"
_FORMAT = 1
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
    """

    source: str
    shots: int
    draw: int
    seed: int
    identity: str

    @property
    def name(self) -> str:
        """Of its file: words for people, and a digest that tells all cells apart."""
        facts = json.dumps(self.facts(), sort_keys=True)
        digest = hashlib.sha256(facts.encode()).hexdigest()[:10]
        word = re.sub(r"[^A-Za-z0-9]+", "_", self.source)[:32]
        return f"{word}_seed{self.seed}_{self.shots}shots_draw{self.draw}_{digest}.json"

    def facts(self) -> dict[str, Any]:
        """All that tells it apart, JSON-ready."""
        return {
            "source": self.source,
            "shots": self.shots,
            "draw": self.draw,
            "seed": self.seed,
            "identity": self.identity,
        }


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
        self.protocol = json.loads(json.dumps(dict(protocol)))
        self.command = command
        place = self.folder / PROTOCOL
        try:
            (self.folder / CELLS).mkdir(parents=True, exist_ok=True)
            known = _read(place) if place.exists() else None
        except OSError as error:
            raise MrisslError(
                f"could not be made ({error.strerror or type(error).__name__})",
                where=self.folder,
                expected="a folder that can be written",
            ) from error
        except ValueError as error:
            raise MrisslError("cannot be read", where=place, remedy="use a new folder") from error
        if known is None:
            write_text(place, json.dumps(self.protocol, indent=1, sort_keys=True) + "\n")
        elif known != self.protocol:
            other = sorted(
                name
                for name in {*known, *self.protocol}
                if known.get(name) != self.protocol.get(name)
            )
            raise MrisslError(
                f"holds a comparison with other {', '.join(other)}",
                where=self.folder,
                remedy="use a new folder, or the settings of that comparison",
            )

    def scores(self, cell: Cell) -> Scores | None:
        """What a cell came to; None where it is missing or damaged, and has to be made."""
        try:
            content = _read(self.folder / CELLS / cell.name)
            if content["cell"] != cell.facts() or content["format"] != _FORMAT:
                return None
            return {
                str(subject): {int(label): float(value) for label, value in of_labels.items()}
                for subject, of_labels in content["dice"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def keep(self, cell: Cell, scores: Scores, seconds: float) -> None:
        """Write a cell, whole.

        Raises
        ------
        WriteError
            If the disk refuses.
        """
        content = {
            "format": _FORMAT,
            "software": f"napari-mrissl {__version__}",
            "command": self.command,
            "cell": cell.facts(),
            "seconds": round(seconds, 3),
            "dice": scores,
        }
        text = json.dumps(content, indent=1, allow_nan=False)
        write_text(self.folder / CELLS / cell.name, text + "\n")

    def fill(
        self,
        plan: Sequence[Cell],
        work: Callable[[Cell], Scores],
        done: Callable[[int, Cell, bool], object] = lambda number, cell, made: None,
    ) -> dict[Cell, Scores]:
        """All cells of a plan; those that are here already are only read.

        Parameters
        ----------
        plan
            The cells, in the order in which they are made.
        work
            Makes one.
        done
            Is told how many there are now, the newest, and whether it was made just now.
        """
        found: dict[Cell, Scores] = {}
        for number, cell in enumerate(plan, 1):
            known = self.scores(cell)
            start = time.perf_counter()
            scores = work(cell) if known is None else known
            if known is None:
                self.keep(cell, scores, time.perf_counter() - start)
            found[cell] = scores
            done(number, cell, known is None)
        return found


def _read(path: Path) -> Any:
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError("too long")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("too deep") from error
