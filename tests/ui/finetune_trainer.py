"""Tells the story of a finetuning as its process does, without training: quick, no torch.

Called with the run's folder. Steps take 20 ms; the network is saved at the end and at a stop.
"""

import sys
import time

import numpy as np

from napari_mrissl.networks import weights
from napari_mrissl.pretext.task import Shown
from napari_mrissl.training.control import Control
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.training.run import Run

STEP_SECONDS = 0.02


def save(run: Run, step: int) -> None:
    card = {
        "method": run.settings.method,
        "task": run.settings.task,
        "preprocessing": run.settings.data.preprocessing.model_dump(mode="json"),
        "step": step,
    }
    weights.save_arrays(run.folder / WEIGHTS, {"head.bias": np.zeros(3, np.float32)}, card)


def train(run: Run) -> None:
    steps, control = run.settings.optimisation.steps, Control(run.folder)
    with run.claim(), EventWriter(run.folder) as events:
        first = run.state().step
        events.state("running")
        events.chance({"dice": 0.125})
        for step in range(first + 1, steps + 1):
            time.sleep(STEP_SECONDS)
            terms = {"dice": 1 - 0.5 / step}
            events.step(
                step, 0.5 / step, terms, rate=1e-3, seconds=STEP_SECONDS, waiting=0.0,
                samples_per_second=50.0, gradient_norm=1.0, memory=1 << 28,
            )  # fmt: skip
            if step % 5 == 0:
                events.validation(step, 0.6, {"dice": 0.75})
                tiles = np.zeros((3, 16, 16), np.float32)
                tiles[0], tiles[1, :8], tiles[2, 8:] = 0.5, 1.0, 0.5
                events.image(step, Shown("prediction", tiles, ("scan", "predicted", "labels")))
            if control.poll() == "stop":
                save(run, step)
                events.state("stopped")
                return
        save(run, steps)
        events.state("finished")


if __name__ == "__main__":
    train(Run.open(sys.argv[1]))
