"""The kinds of arguments that commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from napari_mrissl.errors import MrisslError


def whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number; ``1e2`` is one, ``2.5`` is not (and is never rounded).

    Raises
    ------
    ValueError
        If the text is no whole number.
    """
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise ValueError(f'"{text}" is not a whole number')
    return int(number)


def listed(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """The names of a comma-separated list, or of several.

    Raises
    ------
    ValueError
        If there is none.
    """
    parts = (part.strip() for token in tokens for part in token.value.split(","))
    names = tuple(filter(None, parts))
    if not names:
        raise ValueError("no name given")
    return names


Scan = Annotated[Path, Parameter(name="SCAN")]
Whole = Annotated[int, Parameter(converter=whole_number, n_tokens=1)]
Frame = Annotated[int | None, Parameter(converter=whole_number, n_tokens=1)]
Vector = Annotated[tuple[float, float, float], Parameter(negative="")]
Names = Annotated[tuple[str, ...], Parameter(converter=listed, n_tokens=1, negative="")]
Flag = Annotated[bool, Parameter(negative="")]


def within(name: str, number: int, low: int, high: int) -> int:
    """The number, if it lies in ``low`` to ``high``.

    Raises
    ------
    MrisslError
        If it does not.
    """
    if not low <= number <= high:
        raise MrisslError(f"{number}", where=name, expected=f"a whole number from {low} to {high}")
    return number
