"""How long work is told to stop and how it says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with the part done, 0 to 1, and what is being done."""

IsCancelled = Callable[[], bool]
"""Asked between steps; True ends the work with `Cancelled`."""


class Cancelled(Exception):
    """The work was stopped because the user, or a newer click, asked for it."""


def stop_if(cancelled: IsCancelled | None) -> None:
    """Raise `Cancelled` when the caller wants the work to end."""
    if cancelled is not None and cancelled():
        raise Cancelled
