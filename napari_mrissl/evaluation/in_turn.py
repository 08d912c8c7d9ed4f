"""Cells of several sources made one source after the other, each told with its mean Dice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from napari_mrissl.evaluation.cells import Cell, Grid, Made, Scores

Tell = Callable[[str], object]
S = TypeVar("S")


def filled(
    grid: Grid,
    by_cell: Mapping[Cell, S],
    sources: Iterable[S],
    work: Callable[[Cell], Made | Scores],
    tell: Tell,
) -> Iterator[tuple[S, list[Cell]]]:
    """Each source with its cells, once all of them are in the grid.

    Parameters
    ----------
    grid
        Keeps the cells; those that are there are not made again.
    by_cell
        All cells, and the source of each.
    sources
        In their order.
    work
        Makes a cell.
    tell
        Is told of each that was made.
    """
    finished = 0
    for source in sources:
        plan = [cell for cell, own in by_cell.items() if own is source]

        def done(number: int, cell: Cell, made: bool, before: int = finished) -> None:
            known = grid.scores(cell) if made else None
            if known:
                mean = np.mean([list(one.values()) for one in known.values()])
                tell(
                    f"{before + number} of {len(by_cell)}: {cell.source}, {cell.shots} training "
                    f"scan{'s' * (cell.shots > 1)}, draw {cell.draw}: Dice {mean:.3f}"
                )

        grid.fill_whole(plan, work, done)
        finished += len(plan)
        yield source, plan
