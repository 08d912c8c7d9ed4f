"""What it costs to keep an episode for good, and what a kill costs who does not.

    python tests/benchmarks/bench_recording.py [EPISODES]

Each candidate stores episodes of 300 frames and says so after each one; a child process
does it, is killed, and the parent counts what can still be read. The peer is recording in
the manner of LeRobot v3: one parquet writer stays open until ``finalize``.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import OUTPUT

from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Dataset, Recorder
from napari_mrissl.trajectories.sampling import actions_between
from napari_mrissl.volumes import Volume

FRAMES = 300
VOLUME = Volume.from_stored(np.zeros((20, 20, 20), np.uint8), np.eye(4))
POSES = [
    Pose.from_normal_up((n * 0.1, 1, 2), (0, 0.01 * n, 1), (0, 1, 0), 30 + n * 0.1)
    for n in range(FRAMES)
]
ROWS = np.array([pose.to_row() for pose in POSES])


class Clock:
    """Twenty frames a second without waiting for them."""

    now = 0

    def __call__(self) -> int:
        return self.now


def ours(folder: Path, said: Callable[[float], None]) -> None:
    """`Recorder.commit`, from the call to the entry."""
    VOLUME.identity  # noqa: B018 known before anything is timed
    while True:
        clock = Clock()
        recorder = Recorder(folder / "set", VOLUME, clock=clock)
        for pose in POSES:
            recorder.pose(pose)
            clock.now += 50_000_000
        # A flight of 15 s has its journal written but for the last moment when it ends.
        time.sleep(0.3)
        began = time.perf_counter()
        recorder.commit()
        said(time.perf_counter() - began)


def ours_unsynced(folder: Path, said: Callable[[float], None]) -> None:
    """The same without asking the disk to keep it: the rest is the cost of durability."""
    os.fsync = lambda _: None
    ours(folder, said)


def one_file_each(folder: Path, said: Callable[[float], None]) -> None:
    """The least that is durable: a parquet, its fsync, a rename; no manifest, no checksums."""
    number = 0
    while True:
        began = time.perf_counter()
        temporary = folder / "episode.tmp"
        with open(temporary, "wb") as file:
            pq.write_table(_table(number), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / f"{number:06d}.parquet")
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        said(time.perf_counter() - began)
        number += 1


def open_until_finalize(folder: Path, said: Callable[[float], None]) -> None:
    """As LeRobot v3 records: one writer, a row group an episode, closed at the very end."""
    writer = pq.ParquetWriter(folder / "file-000.parquet", _table(0).schema, compression="zstd")
    number = 0
    while True:
        began = time.perf_counter()
        writer.write_table(_table(number))
        said(time.perf_counter() - began)
        number += 1


def _table(number: int) -> pa.Table:
    frames = np.arange(FRAMES)
    actions = actions_between(ROWS)
    return pa.table(
        {
            "timestamp": frames / 20,
            "frame_index": frames,
            "episode_index": np.full(FRAMES, number),
            "index": frames + number * FRAMES,
            "task_index": np.zeros(FRAMES, np.int64),
            "pose": pa.FixedSizeListArray.from_arrays(ROWS.ravel(), 8),
            "action": pa.FixedSizeListArray.from_arrays(actions.ravel(), 7),
        }
    )


def count_ours(folder: Path) -> int:
    dataset = Dataset.open(folder / "set")
    for number in range(len(dataset)):
        dataset.verify(number)
    return len(dataset)


def count_files(folder: Path) -> int:
    found = 0
    for path in sorted(folder.glob("*.parquet")):
        try:
            found += pq.ParquetFile(path).metadata.num_rows // FRAMES
        except (pa.ArrowException, OSError):
            continue
    return found


CANDIDATES = {
    "napari-mrissl": (ours, count_ours),
    "napari-mrissl, nothing synced": (ours_unsynced, count_ours),
    "one file each, no manifest": (one_file_each, count_files),
    "open until finalize (LeRobot v3)": (open_until_finalize, count_files),
}


def run(name: str, episodes: int) -> tuple[list[float], int, int]:
    """Seconds of each acknowledged episode, how many there were, how many are left."""
    record, count = CANDIDATES[name]
    with tempfile.TemporaryDirectory() as made:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            record(Path(made), lambda seconds: os.write(writing, b"%.9f\n" % seconds))
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            lines = [file.readline() for _ in range(episodes)]
            os.kill(child, signal.SIGKILL)
            lines += file.readlines()
        os.waitpid(child, 0)
        times = [float(line) for line in lines]
        return times, len(times), count(Path(made))


def main(episodes: int) -> None:
    """Three interleaved rounds of each candidate."""
    times: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    firsts: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    kept: dict[str, list[int]] = {name: [0, 0] for name in CANDIDATES}
    for _ in range(3):
        for name in CANDIDATES:
            took, said, left = run(name, episodes)
            firsts[name].append(took[0])
            times[name] += took[1:]
            kept[name][0] += said
            # One more may have been stored than was said.
            kept[name][1] += max(0, said - left)
    lines = [
        f"### Episodes of {FRAMES} frames, 3 x {episodes} and a kill each",
        "",
        "| candidate | median ms | p99 ms | first ms | acknowledged | lost |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in times.items():
        median, high = statistics.median(found) * 1e3, float(np.percentile(found, 99)) * 1e3
        first = statistics.median(firsts[name]) * 1e3
        lines.append(
            f"| {name} | {median:.1f} | {high:.1f} | {first:.0f} "
            f"| {kept[name][0]} | {kept[name][1]} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "recording.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
