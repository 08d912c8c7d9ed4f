"""Crops of 96^3 voxels, any size and turn, out of a 256^3 scan, beside scipy, MONAI and torch.

``python tests/benchmarks/bench_crops.py [--quick]``

Every round cuts another crop at another place, of another size, turned in another way. The
others get the scan in [0, 1] and single precision, which ours reads as stored; MONAI and
torch get the box already cut out where that is how they are used.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from measure import Table, measure, save
from monai.transforms import Affine, Resize
from scipy import ndimage

from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import CropRecord, cut, draw_crop
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume

SIDE, EXTENT, THREADS, BATCH = 96, 256, 2, 8
OURS = "ours, one thread"


def scan_of(extent: int) -> Scan:
    """Smooth noise, as int16."""
    rng = np.random.default_rng(0)
    smooth = ndimage.zoom(rng.random((extent // 8,) * 3), 8, order=1)
    volume = Volume.from_stored((smooth * 1000).astype(np.int16), np.eye(4))
    return Scan(volume, 0.0, 1000.0, "subject-001", volume.identity)


def places(record: CropRecord) -> list[np.ndarray]:
    """Index coordinates along each axis of the unturned crop."""
    steps = (np.arange(record.side) + 0.5) / record.side
    return [
        low + steps * (high - low) for low, high in zip(record.lower, record.upper, strict=True)
    ]


def main() -> None:
    """Measure and write the tables."""
    quick = "--quick" in sys.argv
    torch.set_num_threads(THREADS)
    scan = scan_of(EXTENT)
    unit = (scan.volume.data / np.float32(1000)).astype(np.float32)
    tensor = torch.from_numpy(unit)[None, None]

    def record(number: int) -> CropRecord:
        return draw_crop(np.random.default_rng(number % 1000), scan, SIDE, float(SIDE))

    def ours(number: int) -> np.ndarray:
        return cut(scan, record(number))

    def coordinates(number: int) -> np.ndarray:
        r = record(number)
        grid = np.meshgrid(*places(r), indexing="ij")
        made = ndimage.map_coordinates(unit, grid, order=1, mode="nearest")
        return np.ascontiguousarray(cube.act(made, r.element))

    def affine(number: int) -> np.ndarray:
        r = record(number)
        matrix = r.crop_to_index
        return ndimage.affine_transform(
            unit, matrix[:3, :3], matrix[:3, 3], (SIDE,) * 3, order=1, mode="nearest"
        )

    def grid_sample(number: int) -> torch.Tensor:
        r = record(number)
        matrix = torch.from_numpy(r.crop_to_index)[:3].float()
        lines = torch.arange(SIDE, dtype=torch.float32)
        index = torch.stack(torch.meshgrid(lines, lines, lines, indexing="ij"), dim=-1)
        at = index @ matrix[:, :3].T + matrix[:, 3]
        normal = (at.flip(-1) + 0.5) / (EXTENT / 2) - 1
        made = torch.nn.functional.grid_sample(
            tensor, normal[None], align_corners=False, padding_mode="border"
        )
        return made[0, 0]

    monai_affine = Affine(
        spatial_size=(SIDE,) * 3, padding_mode="border", image_only=True, normalized=False
    )
    middle = np.eye(4)
    middle[:3, 3] = (EXTENT - 1) / 2

    def monai_of_whole(number: int) -> Any:
        r = record(number)
        # MONAI counts both grids from their middles.
        from_middle = np.eye(4)
        from_middle[:3, 3] = (SIDE - 1) / 2
        monai_affine.affine_grid.affine = np.linalg.inv(middle) @ r.crop_to_index @ from_middle
        return monai_affine(tensor[0])[0]

    resize = Resize((SIDE,) * 3, mode="trilinear", align_corners=False)

    def monai_of_box(number: int) -> Any:
        # Rounded to whole voxels, as crop-and-resize pipelines do.
        r = record(number)
        box = tuple(
            slice(max(round(low + 0.5), 0), round(high + 0.5))
            for low, high in zip(r.lower, r.upper, strict=True)
        )
        made = resize(tensor[0][(slice(None), *box)])[0]
        return torch.from_numpy(np.ascontiguousarray(cube.act(made.numpy(), r.element)))

    rounds = 5 if quick else 25
    rows = measure(
        {
            OURS: ours,
            "scipy map_coordinates": coordinates,
            "scipy affine_transform": affine,
            "torch grid_sample, 2 threads": grid_sample,
            "MONAI Affine of the scan, 2 threads": monai_of_whole,
            "MONAI crop and Resize, 2 threads": monai_of_box,
        },
        rounds=rounds,
        reference="scipy map_coordinates",
        notes={"MONAI crop and Resize, 2 threads": "box rounded to whole voxels: other values"},
    )
    single = Table(f"One {SIDE}^3 crop from {EXTENT}^3", rows, OURS)

    with ThreadPoolExecutor(THREADS) as pool:

        def batch(number: int) -> None:
            for _ in pool.map(ours, range(number * BATCH, (number + 1) * BATCH)):
                pass

        many = measure({f"{BATCH} crops in {THREADS} threads": batch}, rounds=rounds)
    rate = BATCH / many[0].median_ms * 1e3
    table = Table("A batch", many, notes=[f"{rate:.0f} crops a second"])
    save("crops", [single, table])


if __name__ == "__main__":
    main()
