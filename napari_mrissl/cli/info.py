"""``mrissl info``: a scan as its file stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mrissl.cli.arguments import Flag, Scan
from napari_mrissl.cli.files import open_scan
from napari_mrissl.cli.terminal import show, show_json

if TYPE_CHECKING:
    from napari_mrissl.volumes import Volume


def info(scan: Scan, /, *, json: Flag = False) -> None:
    """Describe a scan as its file stores it.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series.
    json
        Print one JSON object.
    """
    facts = described(open_scan(scan))
    if json:
        show_json(facts)
        return
    rows = ["  ".join(f"{number:.6g}" for number in row) for row in facts.pop("affine")]
    lines = {
        "shape": " x ".join(map(str, facts.pop("shape"))),
        "spacing_mm": " x ".join(f"{number:.6g}" for number in facts.pop("spacing_mm")),
        **facts,
    }
    show(lines | {f"affine row {number}": row for number, row in enumerate(rows, 1)})


def described(volume: Volume) -> dict[str, Any]:
    """JSON-ready facts about a scan as stored; neither its name nor its folder."""
    stored = volume.stored
    return {
        "shape": list(stored.shape),
        "spacing_mm": [float(side) for side in stored.spacing],
        "orientation": stored.orientation,
        "affine": stored.affine.tolist(),
        "dtype": volume.data.dtype.name,
        "frames": volume.frames,
        "identity": volume.identity,
        "sha256": volume.file_sha256,
    }
