"""Dice of probes by noise and level of the decoder, as a benchmark wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError

FILE = "probe_grid.json"

_MOST_BYTES = 1_000_000


@dataclass(frozen=True, eq=False)
class ProbeGrid:
    """A table of Dice.

    Attributes
    ----------
    ratios_db
        Signal-to-noise ratios, one for each row.
    levels
        Names of the levels of the decoder, one for each column, deepest first.
    dice
        (rows, columns) in [0, 1]; None where nothing was measured.
    """

    ratios_db: tuple[float, ...]
    levels: tuple[str, ...]
    dice: NDArray[np.float64] | None

    @classmethod
    def read(cls, folder: Path) -> ProbeGrid:
        """The table that a benchmark wrote into a folder.

        Raises
        ------
        MrisslError
            If there is none, or it is of another form.
        """
        path = folder / FILE
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise MrisslError("is far too large", where=path)
            found: Any = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise MrisslError(
                f"has no {FILE}", where=folder, remedy="choose the folder of a benchmark"
            ) from error
        except (ValueError, RecursionError) as error:
            raise MrisslError("is no JSON", where=path) from error
        try:
            ratios = tuple(float(one) for one in found["ratios_db"])
            levels = tuple(str(one) for one in found["levels"])
            dice = np.array(found["dice"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise MrisslError(
                "is no table of probes", where=path, expected="ratios_db, levels and dice"
            ) from error
        if dice.shape != (len(ratios), len(levels)) or not dice.size:
            raise MrisslError(
                f"dice of shape {dice.shape}", where=path, expected=f"{len(ratios)} x {len(levels)}"
            )
        if not np.isfinite(ratios).all() or not ((dice >= 0) & (dice <= 1)).all():
            raise MrisslError("numbers beyond their range", where=path, expected="dice in 0 to 1")
        return cls(ratios, levels, dice)
