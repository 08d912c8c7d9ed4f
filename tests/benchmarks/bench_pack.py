"""Random crops of scans that are not in memory: a pack beside folders of NIfTI.

``python tests/benchmarks/bench_pack.py [--quick]``

Every round draws another crop of 96^3 voxels, of another scan, as training draws it; nothing
of the scan is kept from round to round, as in a cohort that is far larger than the memory.
Files are in the system's cache, so what is measured is the work and not a disk: ratios hold
wherever the disk or the network keeps up, which the bytes a crop tell.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import zarr
from measure import Table, measure, save
from numcodecs import blosc

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from napari_mrissl.packs import Pack
from napari_mrissl.packs.shards import folder_of
from napari_mrissl.pretext.crops import cut, draw_crop
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.data.packing import pack as packed
from napari_mrissl.volumes import Volume, read
from tests.packed import counted, served

SIDE, EXTENT, SCANS, BATCH = 96, 256, 4, 16
DELAY = 0.03
PACK, GZIP, PLAIN = "pack, local", ".nii.gz, read whole", ".nii, read whole"


def write_scans(folder: Path) -> None:
    """A T1 template in a field of 256 mm with the noise of a scanner, as int16."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=1)
    brain = np.asarray(template.dataobj)
    wide = np.zeros((EXTENT,) * 3, np.float32)
    first = [(EXTENT - n) // 2 for n in brain.shape]
    wide[tuple(slice(f, f + n) for f, n in zip(first, brain.shape, strict=True))] = brain
    wide *= 800 / wide.max()
    for number in range(SCANS):
        rng = np.random.default_rng(number)
        real, imaginary = rng.normal(0, 12, (2, *wide.shape)).astype(np.float32)
        noisy = np.rint(np.hypot(wide + real, imaginary)).astype(np.int16)
        for suffix in (".nii", ".nii.gz"):
            path = folder / suffix[1:] / f"sub-{number}_T1w{suffix}"
            path.parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(noisy, template.affine), path)


@contextlib.contextmanager
def behind_a_server(folder: Path, delay: float = 0.0) -> Iterator[Pack | None]:
    """The pack over HTTP on this machine, late by so many seconds; None without aiohttp."""
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        yield None
        return
    with served(folder.parent, delay=delay) as (url, _):
        yield Pack.open(f"{url}/{folder.name}")


def main() -> None:
    """Measure and write the tables."""
    quick = "--quick" in sys.argv
    blosc.set_nthreads(1)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        write_scans(folder)
        begin = time.perf_counter()
        packed([folder / "nii.gz"], folder / "pack")
        seconds = (time.perf_counter() - begin) / SCANS
        near, far = (
            stack.enter_context(behind_a_server(folder / "pack", delay)) for delay in (0.0, DELAY)
        )
        tables(folder, seconds, near, far, quick=quick)


def tables(
    folder: Path, seconds: float, remote: Pack | None, far: Pack | None, *, quick: bool
) -> None:
    """Measure all candidates on the files of a folder."""
    local, watched = Pack.open(folder / "pack"), Pack.open(f"counted://{folder / 'pack'}")
    entries = local.manifest.entries
    zipped, plain = (sorted((folder / kind).iterdir()) for kind in ("nii.gz", "nii"))

    def crop(volume: Volume, number: int) -> np.ndarray:
        scan = Scan(volume, *entries[number % SCANS].window, "s", volume.identity)
        record = draw_crop(np.random.default_rng(number % 1000), scan, SIDE, float(SIDE))
        return cut(scan, record)

    def of_pack(pack: Pack, number: int) -> np.ndarray:
        volume = pack.volume(entries[number % SCANS].identity)
        assert volume is not None
        return crop(volume, number)

    def of_file(paths: list[Path], number: int) -> np.ndarray:
        volume = read(paths[number % SCANS])
        # Its hash is no part of reading: training knows it from the start.
        volume.__dict__["identity"] = entries[number % SCANS].identity
        return crop(volume, number)

    def box(number: int) -> tuple[slice, ...]:
        volume = local.volume(entries[number % SCANS].identity)
        assert volume is not None
        scan = Scan(volume, *volume.value_range(), "s", volume.identity)
        rng = np.random.default_rng(number % 1000)
        record = draw_crop(rng, scan, SIDE, float(SIDE), least_mean=0.0)
        corners = zip(record.lower, record.upper, strict=True)
        return tuple(slice(max(int(low), 0), int(high) + 2) for low, high in corners)

    def by_zarr(number: int) -> None:
        identity = entries[number % SCANS].identity
        array = zarr.open_array(folder / "pack" / folder_of(identity), mode="r")
        np.asarray(array[box(number)])

    def by_nibabel(number: int) -> None:
        image = nibabel.load(plain[number % SCANS])
        np.asarray(image.dataobj[tuple(reversed(box(number)))])

    candidates = {
        PACK: lambda number: of_pack(local, number),
        PLAIN: lambda number: of_file(plain, number),
        GZIP: lambda number: of_file(zipped, number),
        "pack, zarr-python": by_zarr,
        ".nii, nibabel's memory map": by_nibabel,
    }
    if remote is not None:
        candidates["pack, http on this machine"] = lambda number: of_pack(remote, number)
    note = "the box as it is stored: no crop is made of it"
    rows = measure(
        candidates,
        rounds=6 if quick else 40,
        reference=GZIP,
        seconds_each=200.0,
        notes={"pack, zarr-python": note, ".nii, nibabel's memory map": note},
    )
    sizes, requests = [], []
    for number in range(20 if quick else 200):
        with counted() as reads:
            of_pack(watched, number)
        sizes.append(sum(count for _, count in reads))
        requests.append(len(reads))
    by_name = {row.name: row.median_ms for row in rows}
    whole = np.mean([entry.bytes for entry in entries])
    zipped_mb, plain_mb = (np.mean([p.stat().st_size for p in k]) / 1e6 for k in (zipped, plain))
    gzip, nifti = (by_name[name] / by_name[PACK] for name in (GZIP, PLAIN))
    part, middle = np.mean(sizes), np.median(sizes)
    notes = [
        f"crops a second: {', '.join(f'{name}: {1e3 / ms:.1f}' for name, ms in by_name.items())}",
        f"crops of the pack: {gzip:.1f} times those of .nii.gz, {nifti:.1f} times those of .nii",
        f"MB a crop: {part / 1e6:.2f} (median {middle / 1e6:.2f}), {part / whole:.2f} of a shard",
        f"requests a crop: {np.mean(requests):.1f}",
        f"MB a scan: shard {whole / 1e6:.2f}, .nii.gz {zipped_mb:.2f}, .nii {plain_mb:.2f}",
        f"packing, one thread: {seconds:.2f} s a scan, from .nii.gz",
    ]
    found = [Table(f"One {SIDE}^3 crop of another {EXTENT}^3 scan", rows, PACK, notes)]
    if far is not None:
        with contextlib.ExitStack() as stack:
            pools = {n: stack.enter_context(ThreadPoolExecutor(n)) for n in (1, 4, 16)}

            def batch(pool: ThreadPoolExecutor, number: int) -> None:
                numbers = range(number * BATCH, (number + 1) * BATCH)
                list(pool.map(lambda one: of_pack(far, one), numbers))

            late = measure(
                {f"{n} threads": partial(batch, pool) for n, pool in pools.items()},
                rounds=2 if quick else 8,
            )
        rates = ", ".join(f"{row.name} {BATCH / row.median_ms * 1e3:.1f}" for row in late)
        title = f"{BATCH} crops over HTTP, every request {1e3 * DELAY:g} ms late"
        found.append(Table(title, late, "1 threads", [f"crops a second: {rates}"]))
    save("pack", found)


if __name__ == "__main__":
    main()
