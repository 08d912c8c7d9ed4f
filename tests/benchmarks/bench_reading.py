"""K7: opening a .nii.gz with its checksum verified, against nibabel, SimpleITK and inflaters.

``python tests/benchmarks/bench_reading.py [--quick]``

All candidates read the same files from the page cache, interleaved. Ours also hashes the
file and reorders the voxels to (S, A, R); the others do neither.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import deflate
import nibabel as nib
import numpy as np
import SimpleITK as sitk
from isal import isal_zlib
from measure import Table, measure, save
from scipy.ndimage import gaussian_filter

from napari_mrissl.volumes import Volume, read, samples, write_image

SIDE = 256
BAR = 0.6
OURS, DATAOBJ = "napari-mrissl read", "nibabel dataobj"
# One stored voxel in eight along each axis is compared.
STEP = 8


def scans(quick: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, voxels and affines: from nearly empty to incompressible, straight and turned."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(SIDE,) * 3).astype(np.float32), 6)
    inside = np.linalg.norm(np.indices((SIDE,) * 3) - SIDE / 2, axis=0) < 0.4 * SIDE
    head = (np.where(inside, 1000 + 30000 * smooth, 0)).astype(np.int16) // 8 * 8
    turned = np.array([[0, 0, -1, 128], [-1, 0, 0, 128], [0, -1, 0, 128], [0, 0, 0, 1.0]])
    yield "head-like int16", head, np.eye(4)
    if quick:
        return
    yield "head-like int16, stored P I L", head, turned
    yield "labels uint8", (np.digitize(smooth, [-0.02, 0.02]) * inside).astype(np.uint8), np.eye(4)
    noise = (rng.normal(size=(SIDE,) * 3) * 300).astype(np.int16)
    yield "noise int16", noise, np.eye(4)
    yield "head-like float32", (head + smooth).astype(np.float32), np.eye(4)
    t1 = samples.mni152()
    yield "MNI152 T1, 197 x 233 x 189 uint8", t1.to_stored(t1.data), t1.stored.affine


def candidates(path: Path, voxels: np.ndarray) -> dict[str, Callable[[int], Any]]:
    """Ways to get at the stored voxels of a file, each giving a sample of them."""
    offset, dtype, shape = 352, voxels.dtype, voxels.shape

    def numbers(content: Any) -> np.ndarray:
        return np.frombuffer(content, dtype, offset=offset).reshape(shape, order="F")

    def ours(_: int) -> np.ndarray:
        volume = read(path)
        return sample(volume.to_stored(volume.data))

    def itk(_: int) -> np.ndarray:
        image = sitk.ReadImage(path)
        # Copied while the image lives: the view does not keep it.
        return sample(sitk.GetArrayViewFromImage(image).T).copy()

    def sample(array: np.ndarray) -> np.ndarray:
        return array[::STEP, ::STEP, ::STEP]

    return {
        OURS: ours,
        DATAOBJ: lambda _: sample(np.asanyarray(nib.load(path).dataobj)),
        "nibabel get_fdata float32": lambda _: sample(nib.load(path).get_fdata(dtype=np.float32)),
        "nibabel get_fdata": lambda _: sample(nib.load(path).get_fdata()),
        "SimpleITK": itk,
        "libdeflate only": lambda _: sample(numbers(deflate.gzip_decompress(path.read_bytes()))),
        "ISA-L only": lambda _: sample(numbers(isal_zlib.decompress(path.read_bytes(), 31))),
        "gzip module only": lambda _: sample(numbers(gzip.decompress(path.read_bytes()))),
    }


NOTES = {
    OURS: "header, CRC and length checked; SHA-256; canonical order",
    DATAOBJ: "CRC not checked",
    "SimpleITK": "truncated files load silently",
    "libdeflate only": "CRC checked; no header, no reordering",
    "ISA-L only": "CRC checked; no header, no reordering",
    "gzip module only": "CRC checked; no header, no reordering",
}


def main() -> None:
    """Measure all scans; ``--quick`` for one."""
    quick = "--quick" in sys.argv[1:]
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for name, voxels, affine in scans(quick):
            path = Path(folder, "scan.nii.gz")
            # Compressed by nibabel, as a scan from elsewhere would be.
            nib.save(nib.Nifti1Image(voxels, affine), path)
            rows = measure(
                candidates(path, voxels),
                rounds=5 if quick else 15,
                reference=DATAOBJ,
                notes=NOTES,
            )
            size = f"{path.stat().st_size / 1e6:.1f} MB, {voxels.nbytes / 1e6:.1f} MB raw"
            medians = {row.name: row.median_ms for row in rows}
            ratio = medians[OURS] / medians[DATAOBJ]
            note = f"ours is {ratio:.2f} of nibabel's dataobj (bar {BAR})"
            tables.append(Table(f"{name} ({size})", rows, DATAOBJ, [note]))
        tables.append(writing(Path(folder), quick))
    save(Path(__file__).stem, tables)


def writing(folder: Path, quick: bool) -> Table:
    """Saving a label map as .nii.gz, durably, against nibabel and SimpleITK."""
    tissues = samples.mni152_tissues(2 if quick else 1)
    volume = Volume.from_stored(tissues.to_stored(tissues.data), tissues.stored.affine)
    stored = np.asfortranarray(volume.to_stored(volume.data))
    image = nib.Nifti1Image(stored, volume.stored.affine)
    itk = sitk.GetImageFromArray(np.ascontiguousarray(stored.T))
    ours, rival = folder / "ours.nii.gz", folder / "rival.nii.gz"
    rows = measure(
        {
            "napari-mrissl write_image": lambda _: (
                write_image(ours, volume.data, volume, overwrite=True) and None
            ),
            "nibabel save": lambda _: nib.save(image, rival),
            "SimpleITK": lambda _: sitk.WriteImage(itk, rival),
        },
        rounds=3 if quick else 7,
        notes={"napari-mrissl write_image": "temporary file, fsync, rename, folder fsync"},
    )
    return Table("writing labels, MNI152 tissues", rows, "nibabel save")


if __name__ == "__main__":
    main()
