"""Steps a second, the share of waiting for samples, and what training does to a window.

``python tests/benchmarks/bench_training.py [--quick] [--method NAME] [--gaps MINUTES]``. Runs
are trained in child processes, as the panel trains them, on made-up scans of 160^3. Gaps are
between ticks of a 5 ms Qt timer in this process: idle, beside a training child, and beside
one while this process cuts slices without a pause (bar G1; always compare with idle).
Training's own slowdown while slices are cut is given too. ``--gaps 10`` is the bar alone: so
many minutes idle, and so many beside training.

With a GPU a second table gives steps a second and peak memory at 96^3 in float32 and
bfloat16, in this process, on a batch that is there already.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from measure import Row, Table, save  # first: it says how idle threads wait
from qtpy.QtCore import QCoreApplication, Qt, QTimer

from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import render
from napari_mrissl.training import launch
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.data import cohort
from napari_mrissl.training.estimate import Phantoms
from napari_mrissl.training.events import EventTail, StepEvent
from napari_mrissl.training.run import Run

SCANS = 4
TICK_MS = 5
SMALL = {
    "crop.side": 32,
    "crop.edge_mm": 64.0,
    "backbone.width": 8,
    "backbone.depth": 4,
    "optimisation.steps": 1_000_000,
    "optimisation.batch": 4,
    "checkpoint.every": 100_000,
    "checkpoint.images_every": 0,
    "checkpoint.validate_every": 0,
}
LOADERS = (0, 1, 2)


def written_scans(folder: Path) -> Path:
    """Made-up scans on disk, each another one."""
    data = Phantoms().scan(0).volume.data
    for number in range(SCANS):
        voxels = np.roll(data, 5 * number, axis=number % 3).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"scan-{number}.nii.gz")
    return folder


def made_up(folder: Path) -> Any:
    """Settings of a cohort of scans, in a data directory of their own."""
    os.environ["MRISSL_DATA_DIR"] = str(folder / "data")
    scans = folder / "scans"
    scans.mkdir()
    return cohort.load([written_scans(scans)]).settings()


@contextmanager
def training(folder: Path, method: str, data: Any, loaders: int) -> Iterator[Run]:
    """A run in a child process that has done its first steps."""
    overrides = {**SMALL, "data.workers": loaders}
    run = Run.create(folder, settings_for(method, data, None, overrides))
    launch.start(run.folder)
    try:
        while run.state().step < 3:
            if not run.state().alive:
                raise RuntimeError(run.state().reason)
            time.sleep(0.1)
        yield run
    finally:
        launch.stop(run.folder)


def ticks(seconds: float, idle: Callable[[], object] | None = None) -> list[float]:
    """Milliseconds between ticks of a timer; ``idle`` runs whenever nothing else is due."""
    app = QCoreApplication.instance() or QCoreApplication([])
    times: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TICK_MS)
    timer.timeout.connect(lambda: times.append(time.perf_counter()))
    work = QTimer()
    if idle is not None:
        work.timeout.connect(idle)
        work.start(0)
    timer.start()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        app.processEvents()
        if idle is None:
            time.sleep(0.0005)
    timer.stop()
    work.stop()
    return [1e3 * gap for gap in np.diff(times)]


def steps_of(run: Run, after: int) -> list[StepEvent]:
    """The steps that a run has done since one."""
    events = EventTail(run.folder).poll()
    return [e for e in events if isinstance(e, StepEvent) and e.step > after]


def gaps_row(name: str, gaps: list[float], seconds: float, note: str = "") -> Row:
    """Gaps of one phase; low and high are the 50th and the 99th percentile."""
    longer = sum(gap > 50 for gap in gaps)
    much = sum(gap > 100 for gap in gaps)
    said = f"p99 {np.percentile(gaps, 99):.1f}, longest {max(gaps):.0f}; "
    said += f"{60 * longer / seconds:.1f} a minute > 50 ms, {much} > 100 ms"
    low, high = (float(v) for v in np.percentile(gaps, (10, 90)))
    return Row(name, statistics.median(gaps), low, high, len(gaps), note=f"{said} {note}".strip())


def steps_row(name: str, steps: list[StepEvent]) -> Row:
    """Milliseconds a step, and what part of it was waiting."""
    taken = [1e3 * (event.seconds or 0.0) for event in steps]
    waiting = sum(event.waiting or 0.0 for event in steps)
    share = waiting / max(1e-9, sum(event.seconds or 0.0 for event in steps))
    low, high = (float(v) for v in np.percentile(taken, (10, 90)))
    median = statistics.median(taken)
    note = f"{1e3 / median:.2f} steps/s, waiting {100 * share:.1f} %"
    return Row(name, median, low, high, len(taken), note=note)


def on_this_processor(method: str, seconds: float) -> list[Table]:
    """Loaders, gaps and the slowdown by slicing."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = made_up(folder)
        speed = []
        for loaders in LOADERS:
            with training(folder / f"run-{loaders}", method, data, loaders) as run:
                first = run.state().step
                time.sleep(seconds)
                speed.append(steps_row(f"{loaders} loaders", steps_of(run, first)))
        volume = Phantoms().scan(0).volume
        pose = Pose.from_normal_up(volume.center, (0.3, 0.2, 1.0), (0, 1, 0), 200.0)
        slices = [0]

        def cut() -> None:
            render(volume, pose, 256)
            slices[0] += 1

        cut()
        gaps = [gaps_row("idle", ticks(seconds), seconds)]
        with training(folder / "run", method, data, 1) as run:
            first = run.state().step
            gaps.append(gaps_row("training", ticks(seconds), seconds))
            alone = steps_of(run, first)
            first, slices[0] = run.state().step, 0
            beside = ticks(seconds, cut)
            gaps.append(
                gaps_row("training and slicing", beside, seconds, f"{slices[0] / seconds:.0f}/s")
            )
            slicing = steps_of(run, first)
        slices[0] = 0
        beside = ticks(seconds, cut)
        gaps.append(gaps_row("slicing", beside, seconds, f"{slices[0] / seconds:.0f}/s"))
        slowdown = [steps_row("alone", alone), steps_row("while slices are cut", slicing)]
    return [
        Table("Steps by loaders", speed, baseline="0 loaders"),
        Table(f"Gaps between ticks of a {TICK_MS} ms timer", gaps, baseline="idle"),
        Table("Steps beside slicing", slowdown, baseline="alone"),
    ]


def gaps_alone(method: str, seconds: float) -> list[Table]:
    """Gaps while nothing is done and while a run is trained, for as long as bar G1 asks."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = made_up(folder)
        gaps = [gaps_row("idle", ticks(seconds), seconds)]
        with training(folder / "run", method, data, 1) as run:
            first = run.state().step
            gaps.append(gaps_row("training", ticks(seconds), seconds))
            speed = [steps_row("training", steps_of(run, first))]
    title = f"Gaps between ticks of a {TICK_MS} ms timer"
    return [Table(title, gaps, baseline="idle"), Table("Steps meanwhile", speed)]


def on_gpu(method: str, quick: bool) -> list[Table]:
    """Steps at 96^3 in both precisions."""
    import torch

    from napari_mrissl.pretext.task import SampleKey
    from napari_mrissl.training.batches import stacked
    from napari_mrissl.training.building import task_of
    from napari_mrissl.training.trainer import Trainer

    rows = []
    for precision in ("float32", "bfloat16"):
        changes = {"precision": precision, "crop.side": 96, "workers": 0}
        settings = settings_for(method, None, "gpu", changes)
        trainer = Trainer(task_of(settings), settings, torch.device("cuda", 0))
        subjects = Phantoms()
        parts = []
        for share in trainer.numbers:
            keys = [SampleKey(0, 0, number) for number in share]
            parts.append(stacked([trainer.task.sample(subjects, key) for key in keys], keys))
        torch.cuda.reset_peak_memory_stats()
        taken = []
        for step in range(8 if quick else 40):
            began = time.perf_counter()
            trainer.step(step, parts)
            taken.append(1e3 * (time.perf_counter() - began))
        taken = taken[5:]
        low, high = (float(v) for v in np.percentile(taken, (10, 90)))
        memory = torch.cuda.max_memory_allocated() / (1 << 30)
        median = statistics.median(taken)
        note = f"{1e3 / median:.2f} steps/s of {settings.optimisation.batch}, {memory:.1f} GiB"
        rows.append(Row(precision, median, low, high, len(taken), note=note))
        del trainer
        torch.cuda.empty_cache()
    return [Table("Steps at 96^3 on the GPU", rows, baseline="float32")]


def main() -> None:
    """Measure, with a GPU where there is one."""
    quick = "--quick" in sys.argv
    method = "vectorpose"
    if "--method" in sys.argv:
        method = sys.argv[sys.argv.index("--method") + 1]
    if "--gaps" in sys.argv:
        minutes = float(sys.argv[sys.argv.index("--gaps") + 1])
        save("bench_training_gaps", gaps_alone(method, 60 * minutes), method=method)
        return
    # Before torch is imported here: a window's process has none.
    tables = on_this_processor(method, 10.0 if quick else 120.0)
    import torch

    if torch.cuda.is_available():
        tables += on_gpu(method, quick)
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    save("bench_training", tables, method=method, GPU=device)


if __name__ == "__main__":
    main()
