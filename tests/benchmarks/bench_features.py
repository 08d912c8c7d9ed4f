"""Dense features of one volume with the published U-Net (K4), beside the plain module and MONAI.

Run with ``python tests/benchmarks/bench_features.py [--side 128] [--rounds 3]``. Every
measurement is a fresh process that makes one network with the same weights, then calls it
three times: the first call pays for memory never touched before, the others are steady. All
start from the same float32 image and end with an array (C, Z, Y, X). The floor is what a
matrix product of the same process does in a second, over the network's multiply-adds. On a
machine that others use too, compare the seconds of processors.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CALLS = 3
PLAIN = "plain module"
OURS = "ours"
MONAI_ROUNDS = 1
HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
CANDIDATES = {
    PLAIN: ("plain", {}),
    "plain module, huge pages": ("plain", HUGE_PAGES),
    OURS: ("ours", {}),
    "ours, huge pages for torch too": ("ours", HUGE_PAGES),
    "MONAI sliding window 96, overlap .25, Gaussian": ("monai", {}),
}


def make_inputs(folder: Path, side: int) -> None:
    """Weights whose normalisations do something, and a smooth image with noise."""
    import torch
    from safetensors.torch import save_file
    from torch.nn import functional

    from napari_mrissl.networks import UNet3d

    torch.manual_seed(0)
    state = UNet3d().state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith(("running_mean", ".bias")):
            tensor.normal_(0, 0.2)
    save_file(state, folder / "weights.safetensors")
    coarse = torch.rand(1, 1, 8, 8, 8)
    image = functional.interpolate(coarse, (side,) * 3, mode="trilinear")[0, 0]
    image += 0.05 * torch.randn(image.shape)
    np.save(folder / "image.npy", image.numpy())


def network(folder: Path) -> Any:
    from safetensors.torch import load_file

    from napari_mrissl.networks import UNet3d

    made = UNet3d()
    made.load_state_dict(load_file(folder / "weights.safetensors"))
    return made.eval().requires_grad_(False)


def plain(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    module = network(folder)

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(image)[None, None])[0].numpy()

    return run


def monai(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from monai.inferers import sliding_window_inference

    module = network(folder)

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(image)[None, None]
            found = sliding_window_inference(
                batch, (96,) * 3, 1, module, overlap=0.25, mode="gaussian", sigma_scale=0.25
            )
            return found[0].numpy()

    return run


def ours(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    from napari_mrissl.networks.fast_unet import FastUNet

    fast = FastUNet(network(folder))

    def run(image: np.ndarray) -> np.ndarray:
        out = np.empty((fast.plan.channels, *image.shape), np.float32)
        target = torch.from_numpy(out)

        def write(first: int, planes: torch.Tensor) -> None:
            target[:, first : first + len(planes)].copy_(planes.permute(3, 0, 1, 2))

        fast.run(torch.from_numpy(image), write)
        return out

    return run


def measured(kind: str, folder: Path, seed: str) -> dict[str, Any]:
    """Times and memory of one candidate in this process."""
    import torch

    image = np.load(folder / "image.npy")
    run = {"plain": plain, "monai": monai, "ours": ours}[kind](folder)
    before = resident()
    seconds, processor = [], []
    for _ in range(CALLS if kind != "monai" else 2):
        found = None  # a caller that keeps one result at a time
        begin, used = time.perf_counter(), time.process_time()
        found = run(image)
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    np.save(folder / f"{seed}.npy", found[:, ::3, ::3, ::3])
    return {
        "first": seconds[0],
        "steady": seconds[1:],
        "first processor": processor[0],
        "steady processor": processor[1:],
        "added": peak - before,
        "peak": peak,
        "gflops": gflops(),
        "threads": torch.get_num_threads(),
    }


def resident() -> int:
    """Bytes of this process in memory now."""
    pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def gflops() -> float:
    """Billions of multiply-adds a second of a matrix product that fills the machine."""
    import torch

    one, other = torch.randn(2, 2048, 2048).unbind()
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - begin)
    return 2048**3 / min(times) / 1e9


def child(kind: str, folder: Path, seed: str, environment: dict[str, str]) -> dict[str, Any]:
    words = [sys.executable, __file__, "--child", kind, "--folder", str(folder), "--name", seed]
    done = subprocess.run(
        words, check=True, capture_output=True, encoding="utf-8", env={**os.environ, **environment}
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print and save."""
    from measure import Row, Table, save

    from napari_mrissl.networks.inference_plan import InferencePlan
    from napari_mrissl.networks.unet_layout import UNetSize

    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--name")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.child, given.folder, given.name)))
        return
    chosen = {n: c for n, c in CANDIDATES.items() if not given.only or c[0] in given.only}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    differences: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="mrissl-bench-") as place:
        folder = Path(place)
        make_inputs(folder, given.side)
        for number in range(given.rounds):
            for name, (kind, environment) in chosen.items():
                if kind == "monai" and number >= MONAI_ROUNDS:
                    continue
                found[name].append(
                    child(kind, folder, f"result{list(chosen).index(name)}", environment)
                )
                print(name, found[name][-1], flush=True)
        reference = np.load(folder / "result0.npy")
        scale = float(reference.std())
        for at, name in enumerate(chosen):
            other = np.load(folder / f"result{at}.npy")
            differences[name] = float(np.abs(other - reference).max()) / scale
    tables = []
    for title, times, processor in (
        (
            "First call in a process",
            lambda run: [run["first"]],
            lambda run: [run["first processor"]],
        ),
        ("Steady call", lambda run: run["steady"], lambda run: run["steady processor"]),
    ):
        rows = []
        for name, runs in found.items():
            taken = [1e3 * s for run in runs for s in times(run)]
            used = statistics.median(s for run in runs for s in processor(run))
            added = statistics.median(run["added"] for run in runs) / 2**30
            peak = statistics.median(run["peak"] for run in runs) / 2**30
            rows.append(
                Row(
                    name, statistics.median(taken), min(taken), max(taken), len(taken),
                    differences[name],
                    f"{used:.1f} s of processors, {added:.2f} GiB added, {peak:.2f} in all",
                )
            )  # fmt: skip
        speed = max(run["gflops"] for runs in found.values() for run in runs) * 1e9
        voxels = given.side**3
        for name, work in (
            ("floor: 82,728 multiply-adds a voxel", 82_728 * voxels),
            (
                "floor: as ours counts them",
                InferencePlan(UNetSize()).multiply_adds((given.side,) * 3),
            ),
        ):
            bound = 1e3 * work / speed
            rows.append(Row(name, bound, bound, bound, 0, None, "matrix product"))
        tables.append(Table(title, rows, baseline=PLAIN))
    tables[0].notes.append("differences are relative to the standard deviation of the features")
    threads = {run["threads"] for runs in found.values() for run in runs}
    save(
        "bench_features",
        tables,
        side=given.side,
        threads=", ".join(map(str, threads)),
        sgemm=f"{2 * speed / 1e9:.0f} GFLOP/s",
    )


if __name__ == "__main__":
    main()
