"""Oblique slices against scipy, torch, SimpleITK, VTK and numpy, beside the gather floor.

``python tests/benchmarks/bench_slicing.py [--quick]``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import Row, Table, measure, save  # first: it says how idle threads wait

import slicing_rivals as rivals  # isort: skip
import torch

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.slicing import BlockedVolume, compiled, render, render_grid
from napari_mrissl.slicing.planes import planes_of_grid, planes_of_poses
from napari_mrissl.slicing.threads import threads
from napari_mrissl.volumes import Volume

SIDE = 256
POSES = 256
FOV = 172.0  # mm; the square stays inside the cube whatever its orientation
OURS, BLOCKED = "napari-mrissl", "napari-mrissl, blocked volume"
FLOOR, SCIPY = "gather only (floor)", "scipy"


def volume_of(dtype: str) -> Volume:
    """A 256^3 volume of 1 mm voxels, smooth noise over the grey levels of the type."""
    rng = np.random.default_rng(0)
    coarse = rng.random((SIDE // 4,) * 3, np.float32)
    fine = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    top = 255 if dtype == "uint8" else 2000
    voxels = (top * fine).astype(dtype)
    return Volume.from_stored(np.ascontiguousarray(voxels.T), np.eye(4))


def random_poses(volume: Volume, seed: int = 1) -> list[Pose]:
    """Poses of any orientation near the middle."""
    rng = np.random.default_rng(seed)
    return [
        Pose.from_normal_up(
            volume.center + rng.uniform(-3, 3, 3), rng.normal(size=3), rng.normal(size=3), FOV
        )
        for _ in range(POSES)
    ]


def one_at_a_time(volume: Volume, size: int, rounds: int) -> Table:
    """One slice a call, a new random pose each time."""
    poses = random_poses(volume)
    planes = planes_of_poses(volume.to_index, poses, size)
    out, mask = np.empty((size, size), np.float32), np.empty((size, size), bool)
    floor = rivals.GatherOnly(volume.data, planes, size)
    blocked = BlockedVolume.of(volume)
    threads_here = threads()
    others = {
        "VTK reslice": rivals.Vtk(volume.data, threads_here),
        "SimpleITK": rivals.SimpleItk(volume.data, threads_here),
        "torch grid_sample, float32 volume": rivals.TorchGridSample(volume.data),
        "numpy gather": rivals.NumpyGather(volume.data),
        SCIPY: rivals.Scipy(volume.data),
    }
    if volume.data.dtype != np.float32:
        others["torch grid_sample, converted per call"] = rivals.TorchGridSample(
            volume.data, convert_each_time=True
        )
    candidates = {
        OURS: lambda n: render(volume, poses[n % POSES], size, out=out, valid_out=mask).values,
        BLOCKED: lambda n: render(blocked, poses[n % POSES], size, out=out, valid_out=mask).values,
        FLOOR: lambda n: floor(n % POSES, 1),
        **{
            name: lambda n, other=other: other(planes[n % POSES, None], size)[0]
            for name, other in others.items()
        },
    }
    rows = measure(candidates, rounds=rounds, seconds_each=3, reference=SCIPY)
    title = f"One {size}^2 slice of 256^3 {volume.data.dtype}, random orientations"
    return Table(title, rows, OURS)


def many_at_a_time(volume: Volume, size: int) -> Table:
    """All 256 slices in a call; slow candidates do a part of them."""
    poses = random_poses(volume, seed=2)
    planes = planes_of_poses(volume.to_index, poses, size)
    out, mask = np.empty((POSES, size, size), np.float32), np.empty((POSES, size, size), bool)
    floor = rivals.GatherOnly(volume.data, planes, size)
    blocked = BlockedVolume.of(volume)
    threads_here = threads()
    others = {
        "torch grid_sample, one slab call": (rivals.TorchGridSample(volume.data), 4),
        "VTK reslice": (rivals.Vtk(volume.data, threads_here), 8),
        "SimpleITK": (rivals.SimpleItk(volume.data, threads_here), 16),
        "scipy, all threads": (rivals.Scipy(volume.data, threads_here), 16),
        SCIPY: (rivals.Scipy(volume.data), 16),
    }
    candidates = {
        OURS: lambda n: render(volume, poses, size, out=out, valid_out=mask).values,
        BLOCKED: lambda n: render(blocked, poses, size, out=out, valid_out=mask).values,
        FLOOR: lambda n: floor(0, POSES),
        **{
            name: lambda n, other=other, part=part: other(planes[: POSES // part], size)
            for name, (other, part) in others.items()
        },
    }
    parts = {name: 1 / part for name, (_, part) in others.items()}
    rows = measure(candidates, rounds=7, seconds_each=4, reference=OURS, parts=parts, warm_up=1)
    title = f"256 slices of {size}^2 of 256^3 {volume.data.dtype} in a call"
    return Table(title, rows, OURS)


def crop(volume: Volume) -> Table:
    """One turned and scaled 96^3 crop."""
    side = 96
    affine = random_poses(volume)[0].grid(side)
    affine[:3, :3] *= side / FOV * 1.1
    affine[:3, 3] = volume.center - affine[:3, :3] @ np.full(3, (side - 1) / 2)
    planes = planes_of_grid(volume.to_index, affine, side)
    out, mask = np.empty((side,) * 3, np.float32), np.empty((side,) * 3, bool)
    itk = rivals.SimpleItk(volume.data, threads())
    grid_sample = rivals.TorchGridSample(volume.data)
    by_scipy = rivals.Scipy(volume.data)
    rows = measure(
        {
            OURS: lambda n: render_grid(volume, affine, (side,) * 3, out=out, valid_out=mask)[0],
            "torch grid_sample": lambda n: grid_sample(planes, side),
            "SimpleITK, plane by plane": lambda n: itk(planes, side),
            SCIPY: lambda n: by_scipy(planes, side),
        },
        rounds=10,
        seconds_each=3,
        reference=SCIPY,
    )
    return Table(f"A turned and scaled 96^3 crop of 256^3 {volume.data.dtype}", rows, OURS)


def pose_change(volume: Volume) -> Table:
    """What a key press costs before any drawing: action, pose, slice into a kept array."""
    pose = random_poses(volume)[0]
    out, mask = np.empty((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), bool)
    action = np.array([0, 0, 0.002, 0.005, 0.005, 0, 0])

    def move(number: int) -> None:
        nonlocal pose
        pose = apply_action(pose, action if number % 2 else -action)
        render(volume, pose, SIDE, out=out, valid_out=mask)

    rows = measure({"apply_action + render": move}, rounds=300)
    return Table("Pose change to the data of a 256^2 slice, int16", rows)


_FIRST_SLICE = """
import time
begin = time.perf_counter()
import numpy as np
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import compiled, prepare, render
from napari_mrissl.volumes.volume import Volume
imported = time.perf_counter()
volume = Volume.from_stored(np.zeros((256, 256, 256), np.int16), np.eye(4))
pose = Pose.from_normal_up(volume.center, (1, 2, 3), (0, 1, 0), 200.0)
if {prepared}:
    prepare()
ready = time.perf_counter()
render(volume, pose, 256)
first = time.perf_counter()
render(volume, pose, 256)
compiled._background.wait(("linear", "i2"))
kernel = time.perf_counter()
print(imported - begin, first - ready, imported - begin + first - ready, kernel - ready)
"""


def first_slice(rounds: int) -> Table:
    """A fresh process: import, first slice, and when the kernel is there."""
    rows = []
    labels = ("import of slicing", "first slice", "both", "kernel ready after")
    with tempfile.TemporaryDirectory() as warm_folder:
        for cache in ("warm", "cold"):
            for prepared in (False, True):
                times: list[list[float]] = [[] for _ in labels]
                for number in range(-1, rounds):
                    with tempfile.TemporaryDirectory() as cold_folder:
                        folder = warm_folder if cache == "warm" else cold_folder
                        printed = subprocess.run(
                            [sys.executable, "-c", _FIRST_SLICE.format(prepared=prepared)],
                            env=os.environ | {"NUMBA_CACHE_DIR": folder},
                            check=True,
                            capture_output=True,
                            encoding="utf-8",
                        ).stdout
                    if number >= 0:
                        for seconds, value in zip(times, printed.split(), strict=True):
                            seconds.append(float(value) * 1e3)
                how = f"{cache} cache" + (", after prepare()" if prepared else "")
                for label, values in zip(labels, times, strict=True):
                    low, middle, high = np.percentile(values, (10, 50, 90))
                    rows.append(Row(f"{how}: {label}", middle, low, high, rounds))
    return Table("First 256^2 slice in a fresh process", rows)


def main() -> None:
    """Run everything; ``--quick`` for one dtype and fewer rounds."""
    quick = "--quick" in sys.argv[1:]
    torch.set_num_threads(threads())
    tables = []
    begin = time.perf_counter()
    for dtype in ("int16",) if quick else ("uint8", "int16", "float32"):
        volume = volume_of(dtype)
        for name in ("linear", "blocked"):
            key = (name, volume.data.dtype.str[1:])
            compiled._background.want((key,), first=True)
            compiled._background.wait(key)
        for size in (256,) if quick else (128, 256):
            tables.append(one_at_a_time(volume, size, 40 if quick else 120))
            tables.append(many_at_a_time(volume, size))
        if dtype == "int16":
            tables += [crop(volume), pose_change(volume)]
    tables.append(first_slice(2 if quick else 5))
    save(
        Path(__file__).stem,
        tables,
        threads=threads(),
        seconds=round(time.perf_counter() - begin),
    )


if __name__ == "__main__":
    main()
