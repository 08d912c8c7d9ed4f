"""Pairs at 128^3: the data engine against the published chain, in one run, stage by stage.

``python tests/benchmarks/bench_synthesis.py [--quick] [--side N] [--device D]``. The published
chain (`tests/synthesis/published_chain.py`: scipy, scikit-image, MONAI) makes its pairs in as many
processes as there are threads, one thread each, which is its fastest; the engine uses its
threads for one pair after the other, and on the GPU where there is one. Seconds of
processor time are given too: they depend less on what else the machine does.

With a GPU a second table says what share of its memory bandwidth (that of a large copy in
the same run) the pairs reach at the least, and what share of a training step they take. The
step is forward, backward and Adam of the U-Net that the published method trains, both views
in one batch, without its loss: the real step is longer and the real share smaller.
``--device cpu --side 32`` runs the same code without a GPU.
"""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from measure import Row, Table, save  # first: it says how idle threads wait

from napari_mrissl.slicing.threads import set_threads, threads
from napari_mrissl.synthesis import Engine, EngineSettings, Templates

TESTS = Path(__file__).resolve().parents[1]
SHAPES = 120
PER_ROUND = 8
WARM_UP = 12
OURS, ON_GPU, PUBLISHED = "napari-mrissl", "napari-mrissl, GPU", "published chain"
OPERATIONS = {
    "paint": "affine",
    "median": "median, median of the mask",
    "ball": "mask",
    "merge": "",
    "envelope": "envelope",
    "mixture": "mixture",
    "modulate": "noise, scale",
    "bias": "bias",
    "spike": "spike",
    "contrast": "contrast",
    "smooth": "smooth",
    "gibbs": "gibbs",
    "sharpen": "sharpen",
    "low_resolution": "low resolution",
    "unit": "",
    "finish": "threshold, finish",
}
"""The engine's operations, and the stages of the published chain that do the same."""

_chain: Any = None


def start_chain(side: int, seeds: Any) -> None:
    """Once in each worker process."""
    global _chain
    sys.path.insert(0, str(TESTS))
    from synthesis.published_chain import PublishedChain

    torch.set_num_threads(1)
    pool = Templates.procedural(0, SHAPES)
    _chain = PublishedChain([pool[k] for k in range(len(pool))], seeds.get(), side)
    _chain.pair()
    _chain.clock.seconds.clear()


def published_pair(_number: int) -> tuple[float, dict[str, float]]:
    """Make one pair; processor seconds, and the seconds of each stage so far."""
    begin = time.process_time()
    _chain.pair()
    return time.process_time() - begin, dict(_chain.clock.seconds)


def compare(pool: Templates, side: int, rounds: int) -> Table:
    """Both in turn, round after round."""
    settings = EngineSettings.of_side(side)
    engines = {OURS: Engine(pool, settings)}
    if torch.cuda.is_available():
        engines[ON_GPU] = Engine(pool, settings, device="cuda")
    wall: dict[str, list[float]] = defaultdict(list)
    processor: dict[str, list[float]] = defaultdict(list)
    context = multiprocessing.get_context("spawn")
    seeds = context.Queue()
    for seed in range(threads()):
        seeds.put(seed)
    with ProcessPoolExecutor(threads(), context, start_chain, (side, seeds)) as workers:
        list(workers.map(published_pair, range(threads())))
        for engine in engines.values():
            engine.batch(range(WARM_UP))
        for number in range(rounds):
            for name, engine in engines.items():
                count = PER_ROUND
                begin, used = time.perf_counter(), time.process_time()
                for index in range(number * count, (number + 1) * count):
                    engine.batch([index])
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                wall[name].append((time.perf_counter() - begin) / count)
                processor[name].append((time.process_time() - used) / count)
            begin = time.perf_counter()
            results = list(workers.map(published_pair, range(threads())))
            wall[PUBLISHED].append((time.perf_counter() - begin) / threads())
            processor[PUBLISHED] += [seconds for seconds, _ in results]
    rows = [
        row(name, seconds, f"{statistics.mean(processor[name]):.3g} s of processor time a pair")
        for name, seconds in wall.items()
    ]
    ours, theirs = (statistics.median(wall[name]) for name in (OURS, PUBLISHED))
    work = statistics.mean(processor[PUBLISHED]) / statistics.mean(processor[OURS])
    return Table(
        f"One pair of {side}^3",
        rows,
        OURS,
        [
            f"pairs/s: {1 / ours:.3g} and {1 / theirs:.3g}, {theirs / ours:.1f} times as many",
            f"{work:.1f} times less processor time a pair",
            f"at most {Engine(pool, settings).memory_estimate() / 1e6:.0f} MB at a time",
        ],
    )


def row(name: str, seconds: list[float], note: str = "") -> Row:
    """One line; milliseconds a pair."""
    ordered = sorted(1e3 * value for value in seconds)
    low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    return Row(name, statistics.median(ordered), low, high, len(ordered), note=note)


STEP_CHANNELS = (16, 32, 64, 128, 256)
"""Of the published U-Net (arXiv:2411.02372): stem and four levels, 16 channels out."""

PASSES_PER_PAIR = 40
"""Reads and writes of a whole volume of 4 bytes a voxel that no order of the stages can
save: two views through mixture, noise, bias, contrast, smoothing and ranges. A floor."""


def unet() -> torch.nn.Module:
    """The published U-Net's layers: two convolutions a level, batch norm, skips."""
    from torch import nn

    def block(first: int, *others: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((first, *others)):
            layers += [
                nn.Conv3d(before, after, 3, padding=1, padding_mode="reflect", bias=False),
                nn.BatchNorm3d(after),
                nn.ReLU(),
            ]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            down, up = itertools.pairwise(STEP_CHANNELS), STEP_CHANNELS[::-1]
            self.stem = block(1, *STEP_CHANNELS[:1] * 3)
            self.down = nn.ModuleList(block(a, b, b) for a, b in down)
            self.up = nn.ModuleList(block(a + b, b, b) for a, b in itertools.pairwise(up))
            self.out = nn.Conv3d(STEP_CHANNELS[0], 16, 3, padding=1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept = [self.stem(x)]
            for layer in self.down:
                kept.append(layer(nn.functional.max_pool3d(kept[-1], 2)))
            x = kept.pop()
            for layer in self.up:
                skip = kept.pop()
                x = layer(torch.cat([skip, nn.functional.interpolate(x, scale_factor=2)], 1))
            result: torch.Tensor = self.out(x)
            return result

    return UNet()


def repeated(run: Any, device: str, count: int) -> list[float]:
    """Seconds of each of ``count`` calls, after one to warm up."""
    seconds = []
    for number in range(count + 1):
        begin = time.perf_counter()
        run(number)
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def beside_training(pool: Templates, side: int, device: str, rounds: int) -> Table:
    """A pair, a copy of memory and a training step on one device."""
    engine = Engine(pool, EngineSettings.of_side(side), device=device)
    network = unet().to(device)
    adam = torch.optim.Adam(network.parameters(), lr=2e-4)
    views = engine.batch([0]).views[0][:, None]
    cells = side**3 * (64 if device != "cpu" else 4)
    source = torch.ones(cells, device=device)
    target = torch.empty_like(source)

    def step(_number: int) -> None:
        adam.zero_grad(set_to_none=True)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = network(views).square().mean()
        loss.backward()
        adam.step()

    pair = repeated(lambda number: engine.batch([number]), device, 4 * rounds)
    copy = repeated(lambda _: target.copy_(source), device, 4 * rounds)
    train = repeated(step, device, rounds)
    once, moved, stepped = (statistics.median(one) for one in (pair, copy, train))
    bandwidth = 2 * source.nbytes / moved
    least = PASSES_PER_PAIR * 4 * side**3 / once
    return Table(
        f"One pair of {side}^3 beside a training step on {device}",
        [row("pair", pair), row("training step, both views, bf16", train)],
        notes=[
            f"pairs/s: {1 / once:.3g}",
            f"a pair takes {once / stepped:.1%} of a training step",
            f"at least {least / 1e9:.3g} GB/s; a copy moves {bandwidth / 1e9:.3g} GB/s",
            f"share of the copy's bandwidth: {least / bandwidth:.1%}",
        ],
    )


def by_stage(pool: Templates, side: int, pairs: int) -> Table:
    """Milliseconds of one thread a pair, by stage, of both chains."""
    import queue

    seeds: queue.Queue[int] = queue.Queue()
    seeds.put(7)
    start_chain(side, seeds)
    engine = Engine(pool, EngineSettings.of_side(side))
    operations: Any = engine._operations
    for index in range(WARM_UP):
        engine.pair(index)
    seconds: dict[str, float] = defaultdict(float)
    for name in OPERATIONS:
        setattr(operations, name, timed(getattr(operations, name), seconds, name))
    set_threads(1)
    published: dict[str, float] = {}
    try:
        for index in range(pairs):
            _, published = published_pair(index)
            for repeat in range(4):
                engine.pair(4 * index + repeat)
    finally:
        set_threads(None)
        torch.set_num_threads(threads())
    rows = []
    for name, theirs in OPERATIONS.items():
        ours = 1e3 * seconds[name] / (4 * pairs)
        slow = 1e3 * sum(published.get(stage, 0) for stage in theirs.split(", ")) / pairs
        note = f"{slow:.3g} ms in the published chain ({theirs})" if theirs else ""
        rows.append(Row(name, ours, ours, ours, pairs * 4, note=note))
    notes = ["means of all pairs, one thread; a stage that does not act costs nothing"]
    return Table(f"Stages of a pair of {side}^3", rows, notes=notes)


def timed(run: Any, seconds: dict[str, float], name: str) -> Any:
    """The same operation, with its seconds added up."""

    def wrapped(*arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return run(*arguments)
        finally:
            seconds[name] += time.perf_counter() - begin

    return wrapped


def main() -> None:
    """Run everything; ``--quick`` for few rounds."""
    words = sys.argv[1:]
    quick = "--quick" in words
    side = int(words[words.index("--side") + 1]) if "--side" in words else 128
    torch.set_num_threads(threads())
    pool = Templates.procedural(0, SHAPES)
    rounds = 3 if quick else 10
    device = "cuda" if torch.cuda.is_available() else None
    if "--device" in words:
        device = words[words.index("--device") + 1]
    tables = [compare(pool, side, rounds), by_stage(pool, side, rounds)]
    if device is not None:
        tables.append(beside_training(pool, side, device, rounds))
    save(Path(__file__).stem, tables, threads=threads(), shapes=SHAPES)


if __name__ == "__main__":
    main()
