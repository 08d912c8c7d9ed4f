"""F1: what three readers make of the same damaged files, one child process per reader.

``python tests/benchmarks/bench_damage.py [--count 500]``

Every file is opened by those of napari-mrissl, nibabel and SimpleITK that read its format,
each in a process of its own that is started anew when it dies or hangs. A file counts as

same
    opened with the voxels, geometry and scaling that were stored, the damage unsaid;
silent wrong
    opened without complaint with other voxels than were stored, other geometry or scaling;
moved
    opened with the voxels that were stored but placed or scaled otherwise, after a random
    change of just those header fields, which nothing in the file could tell;
refused
    an exception; in brackets those by an error that is not the reader's own;
crashed
    the process ended, or gave no answer in ten seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from measure import OUTPUT

_TESTS = Path(__file__).resolve().parents[1]
MEMORY = 6 * 2**30
SECONDS = 10
READERS = ("napari-mrissl", "nibabel", "SimpleITK")
# What a reader does not claim to read is not held against it.
UNREAD = {"nibabel": (".nrrd", ".mha", "nhdr", "mhd"), "SimpleITK": (".mgz",)}

Reading = tuple[Any, Any]


def _ours(path: str) -> Reading:
    from napari_mrissl.volumes import read

    volume = read(path)
    return volume.to_stored(volume.data) * volume.slope + volume.intercept, volume.stored.affine


def _nibabel(path: str) -> Reading:
    import nibabel

    image = nibabel.load(path)
    return np.asarray(image.dataobj), image.affine


def _simpleitk(path: str) -> Reading:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    image = sitk.ReadImage(path)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine


_READ: dict[str, Callable[[str], Reading]] = dict(
    zip(READERS, (_ours, _nibabel, _simpleitk), strict=True)
)


def _start() -> None:
    import sys

    sys.path.insert(0, str(_TESTS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # SimpleITK's libraries write their remarks to the terminal.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _outcome(reader: str, path: str, free: bool) -> tuple[str, str]:
    """What a reader makes of a file, in the child: an outcome and the error's class."""
    from damaged_files import AFFINE, VOXELS

    from napari_mrissl.volumes import ScanError

    try:
        voxels, affine = _READ[reader](path)
    except Exception as error:  # noqa: BLE001 - every class is counted
        named = {
            "napari-mrissl": isinstance(error, ScanError),
            "nibabel": type(error).__module__.startswith("nibabel"),
            # It has one class for everything.
            "SimpleITK": isinstance(error, RuntimeError),
        }[reader]
        return "refused", type(error).__name__ if not named else ""
    if voxels.shape != VOXELS.shape:
        return "silent wrong", ""
    affine_same = np.allclose(affine, AFFINE, atol=1e-3)
    if np.array_equal(voxels, VOXELS) and affine_same:
        return "same", ""
    return "moved" if free and _scaled(voxels, VOXELS) else "silent wrong", ""


def _scaled(found: np.ndarray, stored: np.ndarray) -> bool:
    """Whether values are slope * stored + intercept, so that no voxel was lost or moved."""
    found = found.astype(np.float64).ravel()
    stored = stored.astype(np.float64).ravel()
    if not np.isfinite(found).all() or np.ptp(found) == 0:
        # Scaled to nothing, or beyond all numbers.
        return True
    slope, intercept = np.polyfit(stored, found, 1)
    return bool(np.abs(slope * stored + intercept - found).max() <= 1e-3 * np.ptp(found))


class Child:
    """One reader in a process of its own, replaced when it dies or hangs."""

    def __init__(self, reader: str) -> None:
        self.reader = reader
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, path: Path, free: bool) -> tuple[str, str]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, _start)
        try:
            return self._pool.submit(_outcome, self.reader, str(path), free).result(SECONDS)
        except BrokenProcessPool:
            self.close()
            return "crashed", "ended"
        except TimeoutError:
            self.close()
            return "crashed", "hung"

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            for process in multiprocessing.active_children():
                if process.pid in (self._pool._processes or {}):
                    process.kill()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def damages(count: int, folder: Path) -> Iterator[tuple[str, str, Any]]:
    """Damage, format and one damaged scan of it; ``count`` in all for each damage."""
    import damaged_files as made

    scans = made.originals(folder)
    groups: tuple[tuple[str, Callable[..., Any], tuple[str, ...]], ...] = (
        ("bit flip in the compressed voxels", made.flips, made.COMPRESSED),
        ("truncation", made.truncations, made.EVERY),
        ("header bytes changed", made.mutations, (*made.BINARY_HEADERS, *made.TEXT_HEADERS)),
    )
    for damage, make, kinds in groups:
        each = -(-count // len(kinds))
        for kind in kinds:
            made_here = list(make(kind, scans[kind], each))
            # Truncations bring a few lengths of their own: an even share of all of them.
            chosen = np.linspace(0, len(made_here) - 1, min(each, len(made_here))).astype(int)
            for item in (made_here[k] for k in chosen):
                yield damage, kind, item
    raw = scans[".nii"]["scan.nii"]
    for number, item in enumerate(made.gzip_variants(raw, "scan.nii.gz", -(-count // 30))):
        if number == count:
            break
        right = "gzip variant, legal" if item.expected == "same" else "gzip variant, broken"
        yield right, ".nii.gz", item


def main() -> None:
    """Run all readers on all files and print the table."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--count", type=int, default=500, help="files of each damage")
    count = arguments.parse_args().count
    _start_here()
    seen: dict[tuple[str, str], Counter[str]] = {}
    bare: dict[tuple[str, str], Counter[str]] = {}
    children = {reader: Child(reader) for reader in READERS}
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "originals").mkdir()
        for damage, kind, item in damages(count, Path(scratch) / "originals"):
            folder = Path(tempfile.mkdtemp(dir=scratch))
            path = item.write(folder)
            for reader in READERS:
                if kind in UNREAD.get(reader, ()):
                    continue
                outcome, error = children[reader](path, item.expected == "valid")
                key = damage, reader
                seen.setdefault(key, Counter())[outcome] += 1
                if error:
                    bare.setdefault(key, Counter())[error] += 1
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    for child in children.values():
        child.close()
    text = table(seen, bare)
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "damage.md").write_text(text, "utf-8")
    rows = {" | ".join(key): dict(found) for key, found in seen.items()}
    (OUTPUT / "damage.json").write_text(json.dumps(rows, indent=1), "utf-8")
    print(text)


def _start_here() -> None:
    import sys

    sys.path.insert(0, str(_TESTS))


def table(
    seen: dict[tuple[str, str], Counter[str]], bare: dict[tuple[str, str], Counter[str]]
) -> str:
    """Markdown: a row per damage and reader."""
    lines = [
        "Damaged files, each opened by every reader of its format: "
        + ", ".join(f"{reader} {version(reader)}" for reader in READERS),
        "",
        "| damage | reader | files | same | moved | silent wrong | refused | crashed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (damage, reader), found in seen.items():
        errors = bare.get((damage, reader), Counter())
        ends = errors.pop("ended", 0) + errors.pop("hung", 0)
        assert ends == found["crashed"]
        names = ", ".join(f"{n} {name}" for name, n in errors.most_common())
        said = f" ({names})" if names else ""
        lines.append(
            f"| {damage} | {reader} | {found.total()} | {found['same']} | {found['moved']} "
            f"| {found['silent wrong']} | {found['refused']}{said} | {found['crashed']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
