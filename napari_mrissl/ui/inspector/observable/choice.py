"""Which views are looked at, and which two of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

FEWEST, MOST = 3, 12
"""Views that are looked at together."""

_MOST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Choice:
    """Some random views of a scan and one cell of their matrix.

    Attributes
    ----------
    count, seed
        How many views, and of which draw.
    lagging
        Whether the slowly following copy looks at all views but the first, as in training.
    cell
        From which view (row) to which (column); below ``count``.
    """

    count: int = 6
    seed: int = 0
    lagging: bool = False
    cell: tuple[int, int] = (0, 1)

    @property
    def views(self) -> tuple[int, int, bool]:
        """What the network has to look at; the cell changes nothing of it."""
        return self.count, self.seed, self.lagging

    def at(self, i: int, j: int) -> Choice:
        """The same views, another cell; what is beyond the matrix is moved into it."""
        last = self.count - 1
        return replace(self, cell=(min(max(i, 0), last), min(max(j, 0), last)))

    def of(self, count: int) -> Choice:
        """Other views, so many; the cell stays where it can."""
        return replace(self, count=min(max(count, FEWEST), MOST)).at(*self.cell)

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "cell": list(self.cell)}

    @classmethod
    def from_plain(cls, plain: object) -> Choice | None:
        """What `plain` gave, or None if it is not usable."""
        if not isinstance(plain, dict):
            return None
        count, seed, lagging, cell = (plain.get(n) for n in ("count", "seed", "lagging", "cell"))
        if not isinstance(cell, list | tuple) or len(cell) != 2 or type(lagging) is not bool:
            return None
        numbers = (count, seed, *cell)
        if any(type(one) is not int for one in numbers):
            return None
        if not FEWEST <= count <= MOST or not 0 <= seed <= _MOST_SEED:  # type: ignore[operator]
            return None
        if not all(0 <= one < count for one in cell):
            return None
        return cls(count, seed, lagging, (cell[0], cell[1]))  # type: ignore[arg-type]
