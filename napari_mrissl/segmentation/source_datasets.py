"""Which datasets scans come from, as BIDS derivatives name them: by DOI and version, no place.

BIDS allows ``URL``, ``DOI`` and ``Version`` in ``SourceDatasets``; a URL of a folder would say
where it lies, so only what the dataset was published with is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

DESCRIPTION = "dataset_description.json"
_CHANGES = "CHANGES"
_LARGEST = 1 << 20
_ABOVE = 4
"""Folders from a scan up to its dataset's: ``sub-01/ses-1/anat`` and that itself."""

_DOI = re.compile(r"(?:doi:\s*|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/[!-~]{1,200})", re.I)
_VERSION = re.compile(r"v?(\d+(?:\.\d+){1,3})(?=\s|$)")


def source_datasets(scans: Iterable[Path]) -> list[dict[str, str]]:
    """What is known of the datasets of scans, each once, in order; empty where nothing is.

    The DOI is that of the nearest ``dataset_description.json`` above a scan; the version the
    first that its ``CHANGES`` names, newest first as BIDS wants it.

    Parameters
    ----------
    scans
        Files, or folders of a DICOM series.
    """
    roots = dict.fromkeys(root for scan in scans if (root := _root(scan)) is not None)
    found: list[dict[str, str]] = []
    for root in roots:
        one = _published(root)
        if one and one not in found:
            found.append(one)
    return found


def merged(known: object, further: Iterable[dict[str, str]]) -> list[object]:
    """Those of an earlier description, then the ones it does not name yet."""
    found = list(known) if isinstance(known, list) else []
    return found + [one for one in further if one not in found]


def _root(scan: Path) -> Path | None:
    above = scan.absolute().parents[:_ABOVE]
    return next((folder for folder in above if (folder / DESCRIPTION).is_file()), None)


def _published(root: Path) -> dict[str, str]:
    try:
        content = json.loads(_text(root / DESCRIPTION))
    except (OSError, ValueError, RecursionError):
        # A description that cannot be read names no dataset; the scans were read all the same.
        return {}
    doi = content.get("DatasetDOI") if isinstance(content, dict) else None
    match = _DOI.fullmatch(doi.strip()) if isinstance(doi, str) else None
    if match is None:
        return {}
    version = _version(root / _CHANGES)
    return {"DOI": f"doi:{match[1]}", **({"Version": version} if version else {})}


def _version(path: Path) -> str | None:
    try:
        lines = _text(path).splitlines()
    except (OSError, ValueError):
        return None
    return next((match[1] for line in lines if (match := _VERSION.match(line))), None)


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST:
        raise ValueError("too long")
    return path.read_text(encoding="utf-8-sig")
