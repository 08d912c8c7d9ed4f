"""Train a run over smooth scans in a process of its own, see `tests.training.toy_child`."""

from pathlib import Path

import napari_mrissl.pretext.navigation.dynamics  # noqa: F401 - once, not in every child
from napari_mrissl.cli.child import stopping_on_signals
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training import initial
from napari_mrissl.training.loop import fit
from napari_mrissl.training.run import Run
from tests.pretext.navigation.small import Smooth
from tests.training.toy_child import main


def train(folder: Path) -> None:
    run = Run.open(folder)
    with stopping_on_signals() as interrupted:
        fit(run, TASKS, Smooth(), Smooth(10, 1), interrupted=interrupted, initial=initial.of(run))


if __name__ == "__main__":
    main(train)
