"""A network that a panel shows, and where it came from; its weights are loaded once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from napari_mrissl.evaluation.weights import weights_of
from napari_mrissl.ui.jobs import Control

Opened = TypeVar("Opened")


@dataclass(frozen=True, eq=False)
class Network(Generic[Opened]):
    """A loaded network and where it came from."""

    folder: Path
    inspector: Opened


def network_of(
    control: Control,
    folder: Path,
    known: Network[Opened] | None,
    part: float,
    opened: Callable[[Path], Opened],
) -> Network[Opened]:
    """The network of a run, loaded where it is not the known one.

    Parameters
    ----------
    control
        Of the job.
    folder
        Of the run.
    known
        What is loaded already.
    part
        Of the work that is done before.
    opened
        Gives the network of a file of weights; torch may come with it, after progress is told.
    """
    if known is not None and known.folder == folder:
        return known
    control.progress(part, "Loading the weights")
    return Network(folder, opened(weights_of(folder)))
