"""Samples a second by one process and by two, and what part of a step is waiting for the sum.

``python tests/benchmarks/bench_scaling.py [--quick] [--method NAME]``. Each process has one
thread, as a core each is what two of them have here. Batches are made before the clock
runs. Strong scaling cuts one batch among the processes, as a run does; weak scaling gives
each as many samples as one has alone. The sum of gradients is what a step takes longer than
the same step without it, and beside that the time of a lone sum of as many bytes. Seconds of
the processor for each sample, over all processes, tell work apart from waiting: what others
do on the machine moves them least.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Row, Table, save

ROOT = Path(__file__).resolve().parents[2]
BATCH = 4
SMALL = {
    "crop.side": 32,
    "crop.edge_mm": 64.0,
    "backbone.width": 8,
    "backbone.depth": 4,
    "data.workers": 0,
    "device": "cpu",
}


def in_processes(method: str, batch: int, processes: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of steps, of steps without the sum, and of lone sums, of the slowest process."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "times.json"
        words = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        words += [f"--nproc-per-node={processes}", __file__, "--child"]
        words += [method, str(batch), str(rounds), str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        subprocess.run(words, env=environment, check=True, timeout=1200)
        found: dict[str, list[float]] = json.loads(out.read_text("utf-8"))
        return found


def child(method: str, batch: int, rounds: int, out: Path) -> None:
    """Take steps as one of the processes."""
    import torch
    import torch.distributed as dist

    from napari_mrissl.pretext.task import SampleKey
    from napari_mrissl.training.batches import stacked
    from napari_mrissl.training.building import settings_for, task_of
    from napari_mrissl.training.collective import joined
    from napari_mrissl.training.estimate import Phantoms
    from napari_mrissl.training.trainer import Trainer

    torch.set_num_threads(1)
    settings = settings_for(method, None, None, {**SMALL, "optimisation.batch": batch})
    with joined(torch.device("cpu")) as collective:
        trainer = Trainer(task_of(settings), settings, torch.device("cpu"), collective)
        subjects = Phantoms()
        parts = []
        for share in trainer.numbers:
            keys = [SampleKey(0, 0, number) for number in share]
            parts.append(stacked([trainer.task.sample(subjects, key) for key in keys], keys))
        count = sum(p.numel() for p in trainer.network.parameters() if p.requires_grad)
        gradients = torch.zeros(count)
        many = collective.world_size > 1
        synchronised = trainer._synchronised
        found: dict[str, list[float]] = {name: [] for name in ("step", "without", "sum", "cpu")}
        found["bytes"] = [4 * count]

        def timed(name: str, work: object) -> None:
            if many:
                dist.barrier()
            began = time.perf_counter()
            work()  # type: ignore[operator]
            taken = torch.tensor([time.perf_counter() - began], dtype=torch.float64)
            if many:
                dist.all_reduce(taken, dist.ReduceOp.MAX)
            found[name].append(float(taken))

        for step in range(rounds + 3):
            began = time.process_time()
            timed("step", lambda step=step: trainer.step(step, parts))
            worked = torch.tensor([time.process_time() - began], dtype=torch.float64)
            found["cpu"].append(float(collective.sum(worked)))
            if many:
                trainer._synchronised = lambda last: synchronised(last=False)
                timed("without", lambda step=step: trainer.step(step, parts))
                trainer._synchronised = synchronised
                # Without the sum the two went different ways: back together.
                for tensor in trainer.network.state_dict().values():
                    dist.broadcast(tensor, 0)
                timed("sum", lambda: dist.all_reduce(gradients))
        if collective.rank == 0:
            warm = {name: times if name == "bytes" else times[3:] for name, times in found.items()}
            out.write_text(json.dumps(warm), "utf-8")


def row(name: str, batch: int, times: list[float], note: str = "") -> Row:
    """Milliseconds a step."""
    ordered = sorted(1e3 * one for one in times)
    median = statistics.median(ordered)
    low, high = (ordered[round(q * (len(ordered) - 1))] for q in (0.1, 0.9))
    said = f"{1e3 * batch / median:.2f} samples/s"
    return Row(name, median, low, high, len(times), note=f"{said}; {note}" if note else said)


def main() -> None:
    """Measure one process, two with the same batch, and two with twice the batch."""
    rounds = 8 if "--quick" in sys.argv else 40
    method = "vectorpose"
    if "--method" in sys.argv:
        method = sys.argv[sys.argv.index("--method") + 1]
    alone = in_processes(method, BATCH, 1, rounds)
    one = statistics.median(alone["step"])
    rows = [row("1 process", BATCH, alone["step"])]
    facts: dict[str, object] = {"method": method, "gradients, bytes": alone["bytes"][0]}
    for name, batch in (("2 processes, same batch", BATCH), ("2 processes, twice", 2 * BATCH)):
        both = in_processes(method, batch, 2, rounds)
        two = statistics.median(both["step"])
        faster = (batch / two) / (BATCH / one)
        lone = statistics.median(both["sum"])
        pairs = zip(both["step"], both["without"], strict=True)
        share = statistics.median(step - without for step, without in pairs) / two
        work = statistics.median(both["cpu"]) / batch / (statistics.median(alone["cpu"]) / BATCH)
        note = f"{faster:.2f} times one process, efficiency {faster / 2:.2f}; sum of gradients "
        note += f"{100 * share:.1f} % of a step (alone {1e3 * lone:.1f} ms); processor seconds "
        note += f"a sample {work:.2f} times those of one process"
        rows.append(row(name, batch, both["step"], note))
    save("bench_scaling", [Table("Steps by processes of one thread each", rows)], **facts)


if __name__ == "__main__":
    if "--child" in sys.argv:
        given = sys.argv[sys.argv.index("--child") + 1 :]
        child(given[0], int(given[1]), int(given[2]), Path(given[3]))
    else:
        main()
