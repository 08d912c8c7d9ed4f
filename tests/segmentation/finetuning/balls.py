"""Small labelled scans on disk and in memory: a ball in a ball, brighter inside."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.segmentation.finetuning import FinetuneSettings, LabelledInput
from napari_mrissl.volumes import Volume

SHAPE = (18, 20, 16)
TINY = {"backbone.depth": 3, "optimisation.threads": 1, "data.workers": 0}
"""A network of seconds; its two processes or threads would only wait for each other here."""


def arrays(who: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and labels 0, 1, 2, both along (R, A, S)."""
    rng = np.random.default_rng(who)
    middle = np.array(shape).reshape(3, 1, 1, 1) / 2 + rng.uniform(-1.5, 1.5, (3, 1, 1, 1))
    distance = np.linalg.norm(np.indices(shape) - middle, axis=0)
    labels = np.uint8(distance < 6) + np.uint8(distance < 3.5)
    return (labels * 80 + rng.normal(100, 10, shape)).astype(np.float32), labels


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def write(folder: Path, count: int = 2, first: int = 0) -> list[LabelledInput]:
    """Scans ``images/s0.nii.gz`` and so on, with label maps of the same names."""
    found = []
    for who in range(first, first + count):
        voxels, labels = arrays(who)
        image = save(folder / "images" / f"s{who}.nii.gz", voxels)
        found.append(LabelledInput(image, save(folder / "labels" / f"s{who}.nii.gz", labels)))
    return found


def tiny(**changes: object) -> FinetuneSettings:
    """Settings that end within seconds."""
    given = {"weights": "scratch", "preset": "tiny", "device": "cpu", **changes}
    return FinetuneSettings(**{**given, "changes": {**TINY, **given.get("changes", {})}})


def scan(voxels: np.ndarray, labels: np.ndarray | None, affine: np.ndarray | None = None) -> Scan:
    """A subject of a run, its grey values as they are; arrays along (R, A, S)."""
    affine = np.eye(4) if affine is None else affine
    volume = Volume.from_stored(np.asarray(voxels, np.float32), affine)
    known = None if labels is None else Volume.from_stored(labels, affine).data
    return Scan(volume, 0.0, 1.0, "subject-001", volume.identity, known)
