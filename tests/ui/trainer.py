"""Tells the story of a run as the training process does, without training: quick, no torch.

Called with the run's folder. Steps take 20 ms; commands are obeyed after a step. `LINGERS` in the
environment says how many seconds the process takes to leave when all is done.
"""

import os
import sys
import time

import numpy as np

from napari_mrissl.pretext.task import Shown
from napari_mrissl.training.control import Control
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run

STEP_SECONDS = 0.02


def train(run: Run) -> None:
    steps, control = run.settings.optimisation.steps, Control(run.folder)
    with run.claim(), EventWriter(run.folder) as events:
        first = run.state().step
        events.state("running")
        events.chance({"restoration": 0.25})
        for step in range(first + 1, steps + 1):
            time.sleep(STEP_SECONDS)
            loss = 0.1 + 0.4 / step
            events.step(
                step, loss, {"restoration": loss}, rate=1e-3, seconds=STEP_SECONDS, waiting=0.005,
                samples_per_second=50.0, gradient_norm=1.0, memory=1 << 28,
            )  # fmt: skip
            if step % 10 == 0:
                events.validation(step, loss + 0.01, {"restoration": loss + 0.01})
                tiles = np.full((3, 16, 16), step % 100 / 100, np.float32)
                events.image(step, Shown("restored", tiles, ("spoiled", "restored", "true")))
            command = control.poll()
            if command == "pause":
                events.state("paused")
                while command not in ("resume", "stop"):
                    time.sleep(0.02)
                    events.beat()
                    command = control.poll()
                if command == "resume":
                    events.state("running")
            if command == "stop":
                events.state("stopped")
                return
        events.state("finished")


if __name__ == "__main__":
    train(Run.open(sys.argv[1]))
    time.sleep(float(os.environ.get("LINGERS", "0")))
