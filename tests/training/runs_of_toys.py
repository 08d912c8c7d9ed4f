"""Runs of the toy task in this process, stopped where a test wants them to."""

import threading
from pathlib import Path

from napari_mrissl.training import checkpoints
from napari_mrissl.training.loop import fit
from napari_mrissl.training.run import Run
from tests.training.toy import REGISTRY, Blobs, Toy


def trained(folder: Path, settings, stop_after=None, validation=None, **others):
    """Make the run if it is not there, and train it; stopped after some steps if wanted."""
    run = Run.open(folder) if folder.exists() else Run.create(folder, settings)
    interrupted = threading.Event()
    right = Toy.losses

    def losses(self, network, batch, collective):
        # Seen before the next step, which is then the last one.
        if network.training and int(batch["step"][0]) == stop_after - 2:
            interrupted.set()
        return right(self, network, batch, collective)

    if stop_after == 1:
        interrupted.set()
    try:
        if stop_after is not None:
            Toy.losses = losses
        state = fit(run, REGISTRY, Blobs(), validation, interrupted=interrupted, **others)
    finally:
        Toy.losses = right
    return run, state


def newest_tensors(run: Run):
    """All tensors of the newest checkpoint, by group and name."""
    found, warnings = checkpoints.newest(run.folder)
    assert warnings == []
    groups, plain = found.load()
    flat = {f"{group}/{name}": t for group, these in groups.items() for name, t in these.items()}
    return flat, plain


def assert_same(run: Run, other: Run) -> None:
    """The newest checkpoints agree bit for bit."""
    (first, plain), (second, other_plain) = newest_tensors(run), newest_tensors(other)
    assert first.keys() == second.keys()
    assert plain["step"] == other_plain["step"]
    different = [name for name in first if not first[name].equal(second[name])]
    assert different == []
