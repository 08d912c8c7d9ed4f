"""Signs of life of a run that another machine trains, told though clocks differ and copies lag.

The beat of a run is the time of a file, by the clock of its writer, of a file server, or of
whoever copied it. Against this machine's clock it proves nothing; that it changes does.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.heartbeat import pulse

PATIENCE = 120.0
"""Seconds without news after which a run of another machine counts as gone."""

_CLOCKS_APART = 86_400.0
"""Further apart two clocks are not: a wrong time zone is within it."""


@dataclass(frozen=True)
class Sight:
    """What can be said of a run from afar.

    Attributes
    ----------
    life
        ``lives``, ``gone``, or ``unknown`` where only clocks speak against it.
    quiet
        Seconds since its last sign of life, by this machine's clock.
    """

    life: Literal["lives", "gone", "unknown"]
    quiet: float


class Sightings:
    """What one observer has seen of a run, timed by nothing but the observer's own waiting."""

    def __init__(self) -> None:
        self._beaten = 0.0
        self._news: Hashable = None
        self._since: float | None = None
        self._changed = False

    def look(self, folder: Path, news: Hashable) -> Sight:
        """Look at a run again.

        Parameters
        ----------
        folder
            Of the run.
        news
            Whatever changes as it goes on, besides its beats.
        """
        heart = pulse(folder)
        beaten = heart.beaten if heart else 0.0
        now = time.monotonic()
        # A beat that is older than one seen before was only copied late.
        if self._since is None or beaten > self._beaten or news != self._news:
            self._changed = self._since is not None
            self._since = now
        self._beaten, self._news = max(beaten, self._beaten), news
        waited = now - self._since
        patience = max(PATIENCE, heart.patience) if heart else PATIENCE
        if waited >= patience:
            return Sight("gone", waited)
        if self._changed:
            return Sight("lives", waited)
        if heart is None:
            return Sight("unknown", waited)
        if heart.age < patience:
            return Sight("lives", heart.age)
        return Sight("gone" if heart.age > _CLOCKS_APART else "unknown", heart.age)


def beats_by_its_own_clock(folder: Path) -> bool:
    """Whether a run beat lately by the clock that times the files of its folder.

    Writes a file for it: only for a process that is about to write there anyway.

    Raises
    ------
    MrisslError
        If the disk refuses.
    """
    heart = pulse(folder)
    if heart is None:
        return False
    probe = folder / f".mrissl-{secrets.token_hex(8)}.tmp"
    try:
        probe.write_bytes(b"")
        os.utime(probe)
        now = probe.stat().st_mtime
    except OSError as error:
        raise MrisslError(
            f"could not be written ({error.strerror or type(error).__name__})", where=folder
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink()
    return now - heart.beaten < max(PATIENCE, heart.patience)
