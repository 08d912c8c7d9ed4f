"""A tiny VectorPOSE run for the inspector's tests: real, but trained for two steps only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_mrissl.networks import weights
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.loop import fit
from napari_mrissl.training.run import Run
from tests.pretext.vectorpose.scans import Held, scan_of

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_mrissl.ui.inspector import Inspector

EDGE_MM = 24.0


_made: list[Path] = []


def shared_run(factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that all tests of a process share; they only read it."""
    if not _made:
        _made.append(trained(factory.mktemp("inspected") / "tiny"))
    return _made[0]


def as_shuffled(run: Path, folder: Path) -> Path:
    """A copy of a run that says it was trained on shuffled targets: training is slow."""
    folder.mkdir()
    told = Run.open(run).settings.model_copy(update={"shuffled": True})
    made = Run.create(folder / run.name, told)
    state, card = weights.load(run / "weights.safetensors")
    weights.save(made.folder / "weights.safetensors", state, {**card, "shuffled": True})
    return made.folder


def trained(folder: Path, **changes: object) -> Path:
    """The folder of a run with weights; ``changes`` are settings by key."""
    wanted = {
        "steps": 2,
        "batch": 2,
        "crop.edge_mm": EDGE_MM,
        "crop.least_mean": 0.0,
        "checkpoint.images_every": 0,
        "checkpoint.validate_every": 0,
        "data.workers": 0,
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    settings = settings_for("vectorpose", None, "tiny", wanted)
    noise = np.random.default_rng(0).random((40, 36, 44))
    with pytest.MonkeyPatch.context() as patch:
        # Made for a whole session, outside the directories of any one test.
        patch.setenv("MRISSL_DATA_DIR", str(folder.parent / "data"))
        patch.setenv("MRISSL_CACHE_DIR", str(folder.parent / "cache"))
        run = Run.create(folder, settings)
        state = fit(run, TASKS, Held([scan_of(noise, (1.0, 1.5, 1.2))]), None)
    assert state.name == "finished"
    return folder


def settle(inspector: Inspector, qtbot: QtBot) -> None:
    """Wait until the Inspector has nothing to do."""
    qtbot.waitUntil(lambda: not inspector.busy, timeout=60_000)
