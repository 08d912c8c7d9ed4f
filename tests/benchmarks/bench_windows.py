"""Windows of 16 frames out of a dataset: rendered again from the scan, or read where stored.

``python tests/benchmarks/bench_windows.py [--quick]``

Every round asks for eight windows drawn at random, other ones each time, as a shuffling data
loader does. A loop of single renders and frames read back from disk stand beside ours.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from measure import Table, measure, save
from PIL import Image

from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import BlockedVolume, policies, render
from napari_mrissl.trajectories import Dataset, flight_info, flight_of, lerobot, remember
from napari_mrissl.trajectories.frames import Scans
from napari_mrissl.trajectories.sampling import sample
from napari_mrissl.trajectories.windows import Windows
from napari_mrissl.volumes import Volume, read, samples, write_image

EPISODES, FRAMES, LENGTH, BATCH = 4, 200, 16, 8
LOOP = "loop of single renders"


def scan(folder: Path) -> Volume:
    """MNI152 at 1 mm, as a file that this machine remembers."""
    path = folder / "scan.nii.gz"
    head = samples.mni152()
    write_image(path, head.data, head)
    volume = read(path)
    remember(volume.identity, path)
    return volume


def datasets(folder: Path, volume: Volume, size: int) -> tuple[Dataset, Dataset]:
    """The same flights with and without their frames."""
    with_frames = Dataset.create(folder / f"with{size}")
    without = Dataset.create(folder / f"without{size}")
    for seed in range(EPISODES):
        poses = policies.generate(volume, "walk", FRAMES, seed)
        flight = flight_of(volume, poses, without.hertz, policy="walk", seed=seed)
        without.append(flight)
        events = [
            (int(t), {"pose": p.to_row().tolist()})
            for t, p in zip(flight.times_ns, poses, strict=True)
        ]
        with_frames.add(
            sample(events, without.hertz, idle_seconds=None),
            volume.identity,
            flight_info(volume),
            frame_size=size,
            pictures=lambda start, stop, poses=poses: (
                render(volume, poses[start:stop], size).values
            ),
        )
    return with_frames, without


def candidates(
    folder: Path, volume: Volume, size: int
) -> tuple[dict[str, Callable[[int], Any]], dict[str, str]]:
    """Ways to get the frames of eight windows (8, 16, N, N), and how large they lie on disk."""
    with_frames, without = datasets(folder, volume, size)
    again = Windows(without, LENGTH, 1, size=size)
    stored = Windows(with_frames, LENGTH, 1)
    elsewhere = Windows(without, LENGTH, 1, size=size, scans=Scans([volume]))
    blocked = BlockedVolume.of(volume)
    exported = lerobot.export(without, folder / f"lerobot{size}", size)
    data = pq.ParquetFile(exported / "data/chunk-000/file-000.parquet")

    def drawn(number: int) -> list[int]:
        return np.random.default_rng(number + 10).integers(0, len(again), BATCH).tolist()

    def stacked(windows: Windows, number: int) -> np.ndarray:
        return np.stack([window.frames for window in windows.batch(drawn(number))])

    def one_by_one(number: int) -> np.ndarray:
        return np.stack([again[k].frames for k in drawn(number)])

    def loop(number: int) -> np.ndarray:
        found = np.empty((BATCH, LENGTH, size, size), np.float32)
        for k, which in enumerate(drawn(number)):
            episode, start = again._place(which)
            for row in range(LENGTH):
                pose = Pose.from_row(again.episodes.table(episode)["pose"][start + row])
                found[k, row] = render(blocked, pose, size).values
        return found

    def pictures(number: int) -> None:
        for which in drawn(number):
            episode, start = again._place(which)
            cells = data.read_row_group(episode, columns=["observation.image"])[0]
            for cell in cells.slice(start, LENGTH).to_pylist():
                np.asarray(Image.open(io.BytesIO(cell["bytes"])))

    ways = {
        "rendered again, a batch": lambda n: stacked(again, n),
        "rendered again, one by one": one_by_one,
        "rendered again, scan given (not in blocks)": lambda n: stacked(elsewhere, n),
        LOOP: loop,
        "read where stored": lambda n: stacked(stored, n),
        "LeRobot export, PNG decoded (8 bits)": pictures,
    }

    def megabytes(path: Path) -> str:
        return f"{sum(f.stat().st_size for f in path.rglob('*') if f.is_file()) / 1e6:.3g} MB"

    notes = {
        "rendered again, a batch": f"dataset {megabytes(without.folder)}",
        "read where stored": f"dataset {megabytes(with_frames.folder)}",
        "LeRobot export, PNG decoded (8 bits)": f"folder {megabytes(exported)}",
    }
    return ways, notes


def main() -> None:
    """Measure and save."""
    sizes = (128,) if "--quick" in sys.argv else (128, 256)
    tables = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MRISSL_DATA_DIR"] = str(folder / "data")
        volume = scan(folder)
        for size in sizes:
            ways, notes = candidates(folder, volume, size)
            rows = measure(ways, rounds=6, seconds_each=5, reference=LOOP, notes=notes, warm_up=1)
            for row in rows:
                row.note = f"{1000 * BATCH / row.median_ms:.3g} windows/s; {row.note}".strip("; ")
            tables.append(
                Table(f"{BATCH} windows of {LENGTH} frames of {size}^2", rows, baseline=LOOP)
            )
    save(
        "bench_windows", tables, episodes=f"{EPISODES} of {FRAMES} frames", scan="MNI152 1 mm uint8"
    )


if __name__ == "__main__":
    main()
