"""``mrissl info``: a scan as its file stores it."""

from __future__ import annotations

import numpy as np

from napari_mrissl.cli.arguments import Flag, Frame, Scan
from napari_mrissl.cli.files import open_scan
from napari_mrissl.cli.terminal import show, show_json


def info(scan: Scan, /, *, frame: Frame = None, json: Flag = False) -> None:
    """Describe a scan as its file stores it.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series.
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object.
    """
    from napari_mrissl.volumes import describe

    facts = describe(open_scan(scan, frame))
    if json:
        show_json(facts)
        return
    # The notes were said on stderr; what two programs read differently is a fact of the scan.
    del facts["notes"]
    if not facts["disagreements"]:
        del facts["disagreements"]
    lines: dict[str, object] = {}
    for name, value in facts.items():
        if value is None:
            continue
        if name == "affine":
            for number, row in enumerate(np.asarray(value), 1):
                lines[f"affine row {number}"] = "  ".join(f"{entry:.6g}" for entry in row)
        elif isinstance(value, list):
            lines[name] = ", ".join(_short(part) for part in value)
        else:
            lines[name] = value
    show(lines)


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
