"""``mrissl info``: a scan as its file stores it, or what a pack holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Frame
from napari_mrissl.cli.files import open_scan
from napari_mrissl.cli.pack import show_pack
from napari_mrissl.cli.terminal import show, show_json
from napari_mrissl.errors import MrisslError

Place = Annotated[str, Parameter(name="SCAN")]


def info(scan: Place, /, *, frame: Frame = None, json: Flag = False) -> None:
    """Describe a scan as its file stores it, or the scans of a pack.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, a folder with one DICOM series, or a pack: its
        folder or a URL.
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object.
    """
    from napari_mrissl.packs import is_pack
    from napari_mrissl.volumes import describe

    if is_pack(scan):
        if frame is not None:
            raise MrisslError("a pack has no frames", where="--frame", expected="a scan")
        show_pack(scan, json=json)
        return
    facts = describe(open_scan(Path(scan), frame))
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
