"""Training data on disk: images and labels as NIfTI, and a table of the subjects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.directories import made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.engine import Engine
from napari_mrissl.synthesis.head_templates import cubic_affine, cubic_volume
from napari_mrissl.synthesis.heads import Heads
from napari_mrissl.synthesis.pairs import VIEWS
from napari_mrissl.synthesis.settings import REFERENCE_SIDE
from napari_mrissl.volumes import write_image, write_labels
from napari_mrissl.volumes.atomic import write_text
from napari_mrissl.volumes.writing import GENERATOR

MANIFEST = "subjects.json"

Progress = Callable[[float], object]


def export_heads(
    heads: Heads, count: int, out: str | Path, *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Write heads 0 to ``count`` - 1 to ``out/images`` and ``out/labels``.

    Images are 8-bit, labels the smallest type that holds them. ``out/subjects.json`` says
    for every head its subject, split, template (SHA-256), seed and index, and the settings
    of all; whole files only, also when it is interrupted.

    Parameters
    ----------
    heads
        What to write.
    count
        How many.
    out
        A folder, made if need be; nothing in it is replaced.
    progress
        Called with the fraction done, 0 to 1.

    Returns
    -------
    list of dict
        A row of the table per head.

    Raises
    ------
    MrisslError
        If a template is bad, a file is there already, or the system refuses.
    """
    names = [f"head_{index:06d}.nii.gz" for index in range(count)]
    _check(Path(out), [("images", name) for name in names] + [("labels", name) for name in names])
    heads.prepare(range(count))
    images, labels = _folders(Path(out))
    rows: list[dict[str, Any]] = []
    try:
        for index, name in enumerate(names):
            if progress is not None:
                progress(index / count)
            head = heads.head(index)
            write_labels(labels / name, head.labels, head.image)
            write_image(images / name, head.image_as_bytes(), head.image)
            rows.append({"file": name, **head.record})
    finally:
        _write_manifest(Path(out), "heads", heads.settings.model_dump(mode="json"), rows)
    if progress is not None:
        progress(1.0)
    return rows


def export_ensembles(
    engine: Engine, count: int, out: str | Path, *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Write pairs 0 to ``count`` - 1: two 8-bit views and their labels, as `export_heads`.

    A pair is ``images/ensemble_000000_view0.nii.gz``, ``..._view1.nii.gz`` and
    ``labels/ensemble_000000.nii.gz``; its volume is a cube of 128 mm.
    """
    names = [f"ensemble_{index:06d}" for index in range(count)]
    views = [("images", f"{n}_view{view}.nii.gz") for n in names for view in range(VIEWS)]
    _check(Path(out), views + [("labels", f"{name}.nii.gz") for name in names])
    images, labels = _folders(Path(out))
    affine = cubic_affine(np.zeros(3), engine.side, REFERENCE_SIDE / engine.side)
    rows: list[dict[str, Any]] = []
    try:
        for index, name in enumerate(names):
            if progress is not None:
                progress(index / count)
            pair = engine.pair(index)
            grid = cubic_volume(pair.labels, affine, name)
            write_labels(labels / f"{name}.nii.gz", pair.labels, grid)
            for view, values in enumerate(pair.views_as_bytes()):
                write_image(images / f"{name}_view{view}.nii.gz", values, grid)
            rows.append({"file": f"{name}.nii.gz", "kind": pair.kind, **pair.record})
    finally:
        _write_manifest(Path(out), "ensembles", engine.settings.model_dump(mode="json"), rows)
    if progress is not None:
        progress(1.0)
    return rows


def _check(out: Path, files: list[tuple[str, str]]) -> None:
    """Refuse before the work what would be in the way after it."""
    if out.exists() and not out.is_dir():
        raise MrisslError("is a file", where=out, expected="a folder")
    if not out.absolute().parent.is_dir():
        raise MrisslError(
            "folder is not there", where=out.absolute().parent, remedy="make the folder first"
        )
    for target in (out / MANIFEST, *(out / folder / name for folder, name in files)):
        if target.exists():
            raise MrisslError(
                "file is there already", where=target, remedy="give another folder for the output"
            )


def _folders(out: Path) -> tuple[Path, Path]:
    images, labels = (
        made_directory(out / name, remedy="choose another folder") for name in ("images", "labels")
    )
    return images, labels


def _write_manifest(out: Path, kind: str, settings: Any, rows: list[dict[str, Any]]) -> None:
    document = {
        "format": "mrissl-subjects",
        "version": 1,
        "software": GENERATOR,
        "kind": kind,
        "settings": settings,
        "subjects": rows,
    }
    write_text(out / MANIFEST, json.dumps(document, indent=1, allow_nan=False) + "\n")
