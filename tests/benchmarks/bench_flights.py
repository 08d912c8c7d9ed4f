"""Frames of flights over many volumes, and the share of a training step spent waiting for them.

``python tests/benchmarks/bench_flights.py [--quick] [--device cpu|cuda]``

64 volumes x 16 frames x 128^2: drawing the poses, then rendering them by the compiled renderer,
by its twin in torch that reads volumes where they lie (`on_device`), by scipy and by torch's
``grid_sample``. Then the steps of the two methods: how much of each the loop waits for samples.
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from measure import Table, measure, save
from scipy import ndimage
from slicing_rivals import Scipy, TorchGridSample

from napari_mrissl.pretext.navigation.flights import Flights, FlownPoses, frames_of
from napari_mrissl.pretext.navigation.on_device import DeviceScans
from napari_mrissl.pretext.navigation.settings import FlightSettings
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.slicing.planes import planes_of_poses
from napari_mrissl.training.batches import Batches
from napari_mrissl.training.building import settings_for, task_of
from napari_mrissl.training.collective import device_of
from napari_mrissl.training.trainer import Trainer
from napari_mrissl.volumes import Volume

FRAMES, SIZE = 16, 128
OURS = "ours, compiled"


class Made:
    """Smooth noise as int16, one scan of each number."""

    def __init__(self, count: int, extent: int) -> None:
        self.scans = [_scan(number, extent) for number in range(count)]

    def __len__(self) -> int:
        return len(self.scans)

    def scan(self, number: int) -> Scan:
        """The scan of this number."""
        return self.scans[number]


def _scan(number: int, extent: int) -> Scan:
    rng = np.random.default_rng(number)
    smooth = ndimage.zoom(rng.random((extent // 8,) * 3), 8, order=1)
    volume = Volume.from_stored((smooth * 1000).astype(np.int16), np.eye(4))
    return Scan(volume, 0.0, 1000.0, f"subject-{number:03d}", volume.identity)


def rendering(subjects: Made, device: str, rounds: int) -> Table:
    """All flights of a batch, one for each volume."""
    flights = Flights(FlightSettings(frames=FRAMES))

    def drawn_at(turn: int) -> list[FlownPoses]:
        keys = (SampleKey(0, turn, number) for number in range(len(subjects)))
        return [flights.draw(subjects, key) for key in keys]

    def draw(turn: int) -> None:
        drawn_at(turn)

    # One flight for each volume, in place of the volume that a key draws.
    drawn = drawn_at(0)
    batch = [
        FlownPoses(scan, n, one.kind, flights.fly(scan, one.kind, FRAMES, n), None)
        for n, (scan, one) in enumerate(zip(subjects.scans, drawn, strict=True))
    ]
    planes = [planes_of_poses(flown.scan.volume.to_index, flown.poses, SIZE) for flown in batch]
    there = DeviceScans(1 << 40)
    rows = torch.from_numpy(np.stack([flown.rows for flown in batch])).float().to(device)
    scans = [partial(subjects.scan, number) for number in range(len(batch))]

    def ours(_: int) -> np.ndarray:
        return np.stack([frames_of(flown, SIZE)[0] for flown in batch])

    def on_device(_: int) -> np.ndarray:
        names = list(range(len(batch)))
        grey, _valid = there.frames(scans, names, rows, SIZE, [None] * len(batch))
        return grey.cpu().numpy()

    by_scipy = [Scipy(flown.scan.volume.data, threads=2) for flown in batch]
    by_torch = [TorchGridSample(flown.scan.volume.data) for flown in batch]

    def others(renderers: list[Any], _: int) -> np.ndarray:
        values = [
            one(own, SIZE) / np.float32(1000) for one, own in zip(renderers, planes, strict=True)
        ]
        return np.stack(values)

    rows_of = measure(
        {
            "poses alone": draw,
            OURS: ours,
            f"ours, on {device}": on_device,
            "scipy, two threads": partial(others, by_scipy),
            "torch grid_sample": partial(others, by_torch),
        },
        rounds=rounds,
        notes={"poses alone": "drawing, without rendering", OURS: "with [0, 1] and validity"},
    )
    return Table(f"{len(batch)} volumes x {FRAMES} frames x {SIZE}^2", rows_of, OURS)


def waiting(subjects: Made, device: str, steps: int) -> list[str]:
    """For each method and preset, what share of a step the loop waits for samples."""
    found = []
    for method in ("tokenizer", "dynamics"):
        preset = "gpu" if device != "cpu" else "cpu"
        settings = settings_for(method, None, preset, {"device": device, "steps": steps})
        task = task_of(settings, TASKS)
        trainer = Trainer(task, settings, device_of(device))
        whole, waits = [], []
        with Batches(
            task,
            subjects,
            seed=0,
            batch=settings.optimisation.batch,
            numbers=trainer.numbers,
            workers=settings.data.workers,
        ) as batches:
            began, waited = time.perf_counter(), 0.0
            for step, parts in enumerate(batches.steps(0, steps)):
                trainer.step(step, parts)
                now = time.perf_counter()
                whole.append(now - began)
                waits.append(batches.waited - waited)
                began, waited = now, batches.waited
        # The first steps compile, and wait for what nobody has made ahead.
        seconds = statistics.median(whole[2:])
        share = sum(waits[2:]) / sum(whole[2:])
        found.append(
            f"{method}, preset {preset}: {1000 * seconds:.0f} ms a step, of which waiting "
            f"{100 * share:.1f} %, {settings.data.workers} loaders"
        )
    return found


def main() -> None:
    """Print and keep the table."""
    quick = "--quick" in sys.argv
    device = sys.argv[sys.argv.index("--device") + 1] if "--device" in sys.argv else "cpu"
    subjects = Made(8 if quick else 64, 96 if quick else 160)
    table = rendering(subjects, device, rounds=3 if quick else 10)
    table.notes += waiting(subjects, device, steps=6 if quick else 30)
    save("flights", [table])


if __name__ == "__main__":
    main()
