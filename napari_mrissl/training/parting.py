"""What the processes of a run tell each other as it begins or breaks, so that one can say why.

A process whose partner is gone learns from its connection only that; which one it was, and
why, is known to all by what the others have left in a store: of torchrun, or in a file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Protocol

from torch.distributed import (  # type: ignore[attr-defined]
    FileStore,
    PrefixStore,
    Store,
    TCPStore,
)

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.whereabouts import MEETING

GONE = "gave no word: it was killed, perhaps because memory ran out, or its machine is gone"
BROKE = "the connection between processes of this run broke"
WAY_ON = "resume, or the same command, goes on from the last checkpoint"

_NEWS_SECONDS = 3.0
_LONGEST_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_MOST_LETTERS = 600


class Words(Protocol):
    """Texts by name that all processes see; `torch.distributed.Store` is one."""

    def set(self, key: str, value: str, /) -> object:
        """Leave a text."""

    def get(self, key: str, /) -> bytes:
        """A text that is there."""

    def check(self, keys: list[str], /) -> bool:
        """Whether all of them are there."""


class Parting:
    """The last words of the processes of a run.

    Parameters
    ----------
    words
        Where they are left.
    rank, world_size
        Of this process, and how many there are.
    """

    def __init__(self, words: Words, rank: int, world_size: int) -> None:
        self._words = words
        self._rank = rank
        self._world_size = world_size

    def meet(self, stopped: Callable[[], bool], patience: float) -> None:
        """Wait until all processes are there.

        Parameters
        ----------
        stopped
            Whether this process was asked to end.
        patience
            Seconds to wait.

        Raises
        ------
        MrisslError
            If another one told why it ends, this one was asked to, or time is over.
        """
        self._words.set(f"here/{self._rank}", "")
        others = [rank for rank in range(self._world_size) if rank != self._rank]
        end = time.monotonic() + patience
        while not all(self._words.check([f"here/{rank}"]) for rank in others):
            left = any(self._words.check([f"left/{rank}"]) for rank in others)
            if left or stopped() or time.monotonic() > end:
                self.tell("")
                raise MrisslError(self.of_others("was asked to end before all processes had met"))
            time.sleep(_LOOK_SECONDS)

    def tell(self, sentence: str) -> None:
        """Leave why this process ends; empty if it is only because another one did."""
        self._words.set(f"left/{self._rank}", sentence[:_MOST_LETTERS])

    def of_others(self, otherwise: str = BROKE) -> str:
        """Why the run ends, by what the other processes told; those without a word are gone.

        Waits for them for some seconds: they may notice a little later. If all of them only
        lost another one, it is ``otherwise``.
        """
        told: dict[int, str] = {}
        missing = set(range(self._world_size)) - {self._rank}
        began = news = time.monotonic()
        while missing and time.monotonic() < min(news + _NEWS_SECONDS, began + _LONGEST_SECONDS):
            for rank in sorted(missing):
                if self._words.check([f"left/{rank}"]):
                    told[rank] = self._words.get(f"left/{rank}").decode("utf-8", "replace")
                    news = time.monotonic()
            missing -= told.keys()
            time.sleep(_LOOK_SECONDS)
        reasons = {rank: sentence for rank, sentence in sorted(told.items()) if sentence}
        if reasons:
            rank, sentence = next(iter(reasons.items()))
            return f"{self._named([rank])}: {sentence}"
        if not missing:
            return f"{otherwise}; {WAY_ON}"
        return f"{self._named(sorted(missing))} {GONE}; {WAY_ON}"

    def _named(self, ranks: list[int]) -> str:
        several = "s" if len(ranks) > 1 else ""
        return f"process{'es' if several else ''} of rank{several} " + (
            ", ".join(map(str, ranks)) + f" of {self._world_size}"
        )


def parting(
    rank: int, world_size: int, environment: Mapping[str, str] = os.environ
) -> Parting | None:
    """The last words of the processes of a run; None where there is no store to keep them."""
    try:
        store = file_store(environment) or TCPStore(
            environment["MASTER_ADDR"],
            int(environment["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=timedelta(seconds=_LONGEST_SECONDS),
        )
    except (KeyError, ValueError, RuntimeError):
        return None
    return Parting(PrefixStore(f"mrissl/{_life(environment)}", store), rank, world_size)


def file_store(environment: Mapping[str, str] = os.environ) -> Store | None:
    """The file in which the processes of one machine meet, where they are to."""
    place = environment.get(MEETING)
    return None if place is None else FileStore(f"{place}-{_life(environment)}")


@contextmanager
def told_to_others(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """What ends this process before it met the others is told to them, for they wait for it."""
    try:
        yield
    except MrisslError as error:
        world_size = int(environment.get("WORLD_SIZE", "1"))
        if world_size > 1 and (found := parting(int(environment["RANK"]), world_size, environment)):
            # Whoever kept the words may be gone.
            with suppress(RuntimeError):
                found.tell(str(error))
        raise


def _life(environment: Mapping[str, str]) -> str:
    # With --max-restarts several lives of a run share the store.
    return environment.get("TORCHELASTIC_RESTART_COUNT", "0")
