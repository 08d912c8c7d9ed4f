"""Files of two folders of label maps that belong together: predicted ones and true ones."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.data.sources import person_of
from napari_mrissl.volumes import READABLE_SUFFIXES

_ENDS = re.compile(
    r"_(dseg|seg|segmentation|labels?|mask|pred|prediction|T1w|T2w|T2starw|PDw|FLAIR|inplaneT[12]"
    r"|UNIT1|ct)$",
    re.IGNORECASE,
)
_ENTITIES = re.compile(r"_(space|desc|seg|atlas|label|res)-[A-Za-z0-9]+(?=_|$)")


@dataclass(frozen=True)
class Pair:
    """A predicted label map and the true one; files are never saved in results.

    Attributes
    ----------
    name
        What both are called, for whoever looks at the screen.
    person
        A key that is the same for label maps of one subject, by their BIDS names; it never
        leaves this process.
    """

    name: str
    person: str = field(repr=False)
    predicted: Path = field(repr=False)
    truth: Path = field(repr=False)


def pairs(predicted: str | Path, truth: str | Path) -> tuple[list[Pair], list[Path]]:
    """Files of two folders that belong together, and the true ones without a partner.

    Names are the same, or become so without endings such as ``_dseg`` and BIDS entities that
    say how a file was made (``space-``, ``desc-``), or as the subjects that `mrissl predict`
    makes of other names: ``sub-scan7`` of ``scan_7``. Maps of probabilities are left out.

    Raises
    ------
    MrisslError
        If a folder is missing or empty, a prediction has no true label map or several, or two
        are of the same.
    """
    ours, theirs = _files(Path(predicted)), _files(Path(truth))
    exact = {_stem(path): path for path in theirs}
    loose: dict[str, list[Path]] = {}
    plain: dict[str, list[Path]] = {}
    for path in theirs:
        loose.setdefault(_subject(path), []).append(path)
        plain.setdefault(_plain(path), []).append(path)
    found: dict[Path, Pair] = {}
    for path in ours:
        same = exact.get(_stem(path))
        partners = [same] if same else loose.get(_subject(path)) or plain.get(_plain(path), [])
        if len(partners) != 1:
            raise MrisslError(
                "has several true label maps" if partners else "has no true label map",
                where=path,
                expected="one of its name in the folder of true ones",
            )
        if partners[0] in found:
            raise MrisslError(
                f"is a second prediction beside {found[partners[0]].predicted.name}", where=path
            )
        found[partners[0]] = Pair(
            _subject(path), person_of(partners[0].relative_to(truth)), path, partners[0]
        )
    return list(found.values()), [path for path in theirs if path not in found]


def _files(folder: Path) -> list[Path]:
    """Scans directly in a folder, or in the ``anat`` folders of a BIDS tree."""
    if not folder.is_dir():
        raise MrisslError("no such folder", where=folder, expected="a folder of label maps")
    places = [folder, *sorted(folder.glob("sub-*/anat")), *sorted(folder.glob("sub-*/ses-*/anat"))]
    found = [
        path
        for place in places
        for path in sorted(place.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and _stem(path) != path.name
        and not _stem(path).endswith("_probseg")
    ]
    if not found:
        raise MrisslError("no label maps found", where=folder, expected="files such as .nii.gz")
    return found


def name_of(path: Path) -> str:
    """What a label map is called, for the screen."""
    return _subject(path)


def _stem(path: Path) -> str:
    lower = path.name.lower()
    # The .img of a pair is read with its .hdr.
    if lower.endswith((".img", ".img.gz")):
        return path.name
    fitting = [suffix for suffix in READABLE_SUFFIXES if lower.endswith(suffix)]
    return path.name[: len(path.name) - max(map(len, fitting), default=0)]


def _subject(path: Path) -> str:
    return _ENTITIES.sub("", _ENDS.sub("", _stem(path)))


def _plain(path: Path) -> str:
    """Letters and digits of a name, which is all that a BIDS subject keeps of it."""
    return re.sub(r"[^A-Za-z0-9]", "", _subject(path).removeprefix("sub-"))
