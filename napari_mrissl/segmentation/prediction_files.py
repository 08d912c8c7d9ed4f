"""What a scan's segmentation is called on disk: names of BIDS derivatives, or the scan's own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.source_datasets import DESCRIPTION, merged, source_datasets
from napari_mrissl.volumes import READABLE_SUFFIXES, WRITABLE_SUFFIXES
from napari_mrissl.volumes.atomic import write_text

Names = Literal["bids", "same"]

TABLE = "labels.tsv"
"""Labels and their names, beside label maps that keep the names of their scans."""

SCAN, SEEN = "Scan", "SeenInTraining"
"""In the facts beside a label map: the scan's identity, and whether the network knew it."""

_PROBABILITIES, _FACTS = "probabilities", "facts"
_SOFTWARE = "napari-mrissl"
_SOURCES = "SourceDatasets"
# fmt: off
_ENTITIES = (
    "sub", "ses", "sample", "task", "tracksys", "acq", "ce", "trc", "stain", "rec", "dir",
    "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split",
    "recording", "chunk", "seg", "res", "den", "label", "desc",
)
# fmt: on
"""In the order that BIDS wants."""

_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9+]+)")
_FOLDER = re.compile(r"(sub|ses)-([A-Za-z0-9+]+)")
_LARGEST_DESCRIPTION = 1 << 20


@dataclass(frozen=True)
class Target:
    """Where the files of one scan go.

    Attributes
    ----------
    labels
        The label map, relative to the folder of all results.
    probabilities
        A name for each class but the background, by label, relative to the same folder.
    table, sidecar
        The table of labels, None where all share one, and the facts, None where there are none.
    """

    labels: Path
    probabilities: Mapping[int, Path]
    table: Path | None = None
    sidecar: Path | None = None


def target_of(scan: Path, names: Names, classes: Mapping[int, str]) -> Target:
    """Where a scan's files go, from its name alone.

    A BIDS name keeps its entities and gets ``space-orig`` (unless it names a space) and
    ``desc-mrissl``; of any other name the letters and digits become the subject, in a folder
    ``sub-...`` that folder's subject stands instead, and the name becomes ``acq-...``.

    Parameters
    ----------
    scan
        File, or folder of a DICOM series.
    names
        ``"bids"``, or ``"same"`` for the name of the scan's own file.
    classes
        Name by label; label 0 is background.
    """
    foreground = {label: name for label, name in classes.items() if label}
    if names == "same":
        own = scan.name if scan.name.lower().endswith(WRITABLE_SUFFIXES) else f"{stem(scan)}.nii.gz"
        maps = {
            label: Path(_PROBABILITIES, f"{stem(scan)}_label-{label}.nii.gz")
            for label in foreground
        }
        return Target(Path(own), maps, sidecar=Path(_FACTS, f"{own}.json"))
    entities = _entities(scan)
    folder = Path(*(f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities), "anat")
    base = folder / _joined(entities)
    words = _words(foreground)
    return Target(
        base.with_name(base.name + "_dseg.nii.gz"),
        {
            label: folder / f"{_joined({**entities, 'label': word})}_probseg.nii.gz"
            for label, word in words.items()
        },
        base.with_name(base.name + "_dseg.tsv"),
        base.with_name(base.name + "_dseg.json"),
    )


def facts_beside(label_map: Path) -> tuple[Path, ...]:
    """Where the facts of a label map may lie, by `target_of`: of a BIDS derivative, or not."""
    return (
        label_map.with_name(f"{stem(label_map)}.json"),
        label_map.parent / _FACTS / f"{label_map.name}.json",
    )


def check_distinct(scans: Sequence[Path], targets: Sequence[Target], folder: Path) -> None:
    """Refuse, before any work, results that would be one file, or a scan that is one.

    Raises
    ------
    MrisslError
        If two scans' results have one name (also where capitals do not count), or a result's
        place is that of a scan.
    """
    taken: dict[str, Path] = {}
    sources = {scan.resolve() for scan in scans}
    for scan, target in zip(scans, targets, strict=True):
        key = str(target.labels).casefold()
        if key in taken:
            raise MrisslError(
                f"{taken[key].name} and {scan.name} would both be written as {target.labels.name}",
                where="names",
                remedy="predict them into folders of their own",
            )
        taken[key] = scan
        if (folder / target.labels).resolve() in sources:
            raise MrisslError(
                "a scan lies where its segmentation would be written",
                where=scan,
                remedy="choose another folder",
            )


def check_folder(folder: Path, names: Names) -> None:
    """Refuse a folder that cannot take the results.

    Raises
    ------
    MrisslError
        If it is a file, its parent is not there, or BIDS names are wanted and it is a dataset
        of something else.
    """
    if folder.exists() and not folder.is_dir():
        raise MrisslError("is a file", where=folder, expected="a folder")
    if not folder.parent.is_dir():
        raise MrisslError(
            "folder is not there",
            where=folder.absolute().parent,
            remedy="make the folder first",
        )
    path = folder / DESCRIPTION
    if names == "bids" and path.exists() and not _ours(path):
        raise MrisslError(
            f"is a dataset of something else, as its {DESCRIPTION} says",
            where=folder,
            expected="a new folder, or one of earlier segmentations",
        )


def write_description(folder: Path, scans: Iterable[Path] = ()) -> None:
    """Make the folder a BIDS derivative; one of ours gets the datasets it does not name yet.

    Parameters
    ----------
    folder
        Of the results.
    scans
        What they were made of: where their dataset was published with a DOI, that is said in
        ``SourceDatasets``, and nothing of where they lie.
    """
    path = folder / DESCRIPTION
    earlier = _description(path)
    content = earlier or {
        "Name": "Segmentations of scans",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": _SOFTWARE, "Version": __version__}],
    }
    known = content.get(_SOURCES)
    if sources := merged(known, source_datasets(scans)):
        content = {**content, _SOURCES: sources}
    if earlier is None or sources != (known or []):
        write_text(path, json.dumps(content, indent=2) + "\n")


def table_text(classes: Mapping[int, str], colors: Mapping[int, str]) -> str:
    """Labels, their names and colours as BIDS has them: tab-separated, one a line."""
    rows = ["index\tname\tcolor"]
    for label, name in sorted(classes.items()):
        # A tab or a line end in a name would make other columns and rows.
        plain = "".join(c if c.isprintable() else "?" for c in name) or "n/a"
        rows.append(f"{label}\t{plain}\t{colors.get(label, 'n/a')}")
    return "\n".join(rows) + "\n"


def sidecar_text(facts: Mapping[str, Any]) -> str:
    """The facts beside a label map as JSON; they name no file, person or machine."""
    content = {"Manual": False, "SpatialReference": "orig", **facts}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def stem(path: Path) -> str:
    """The name of a scan without the suffix of its format."""
    lengths = [len(s) for s in READABLE_SUFFIXES if path.name.lower().endswith(s)]
    return path.name[: len(path.name) - max(lengths, default=0)]


def _entities(scan: Path) -> dict[str, str]:
    name = stem(scan)
    parts = [match for part in name.split("_") if (match := _ENTITY.fullmatch(part))]
    found = {match[1]: match[2] for match in parts if match[1] in _ENTITIES}
    if "sub" not in found:
        plain = re.sub(r"[^A-Za-z0-9]", "", name)
        # Names in other scripts leave nothing that BIDS allows.
        plain = plain or hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
        # A folder far above may be called sub-something too.
        above = {m[1]: m[2] for part in scan.parts[-4:-1] if (m := _FOLDER.fullmatch(part))}
        found = {**above, "acq": plain} if "sub" in above else {"sub": plain}
    return {"space": "orig", **found, "desc": "mrissl"}


def _joined(entities: Mapping[str, str]) -> str:
    return "_".join(f"{key}-{entities[key]}" for key in _ENTITIES if key in entities)


def _words(classes: Mapping[int, str]) -> dict[int, str]:
    """A word of letters and digits for each label: its name, or its number where that is none."""
    words = {label: re.sub(r"[^A-Za-z0-9]", "", name) for label, name in classes.items()}
    folded = [word.casefold() for word in words.values()]
    unique = all(folded) and len(set(folded)) == len(folded)
    return words if unique else {label: str(label) for label in classes}


def _ours(path: Path) -> bool:
    return _description(path) is not None


def _description(path: Path) -> dict[str, Any] | None:
    """The description of a folder of ours; None of anything else."""
    try:
        if path.stat().st_size > _LARGEST_DESCRIPTION:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        makers = content["GeneratedBy"]
        ours = any(maker["Name"] == _SOFTWARE for maker in makers)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return content if ours else None
