"""Runs with small checkpoints, and children that do as they are told."""

import sys
import time
from pathlib import Path

import pytest

from napari_mrissl.training import launch, whereabouts
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings

FAKE = Path(__file__).with_name("fake_child.py")


@pytest.fixture
def run(tmp_path):
    """A new run of 100 steps."""
    settings = RunSettings.model_validate({"method": "scratch", "optimisation": {"steps": 100}})
    return Run.create(tmp_path / "run", settings)


@pytest.fixture
def begin(monkeypatch):
    """Start a run in a child that lives in a chosen way; every child is gone at the end."""
    begun = []
    # Where this package lies must be known to a child that looks in no folder of its own.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))

    def start(run, how):
        begun.append(run)
        return launch.start(
            run.folder, command=lambda folder, _: [sys.executable, str(FAKE), str(folder), how]
        )

    yield start
    for run in begun:
        known = whereabouts.recall(run.identity.uuid)
        whereabouts.end(known)
        while whereabouts.alive(known):
            time.sleep(0.01)
