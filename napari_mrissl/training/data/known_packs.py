"""Where packs lie on this machine, by uuid: runs name a pack and never its place."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import Pack, PackEntry, is_url
from napari_mrissl.training.data.facts import Facts
from napari_mrissl.volumes.atomic import write_text

_UUID = re.compile(r"[0-9a-f]{32}")
_REMEDY = "name the pack once more, e.g. mrissl info PACK, and it is found by its uuid"


_open: dict[str, Pack] = {}
"""Packs by uuid, as they were when this process last opened them."""


def noted(where: str | Path) -> Pack:
    """Open a pack, and remember where it lies.

    Raises
    ------
    MrisslError
        If it cannot be opened, or the data directory cannot be written.
    """
    pack = Pack.open(where)
    place = str(where) if is_url(where) else str(Path(where).absolute())
    note = _note(pack.manifest.uuid)
    made_directory(note.parent)
    write_text(note, json.dumps({"place": place}))
    _open[pack.manifest.uuid] = pack
    return pack


def known(uuids: Iterable[str]) -> tuple[Pack, ...]:
    """The packs of these uuids, open.

    Raises
    ------
    MrisslError
        If one is not known on this machine, or cannot be opened where it was last seen.
    """
    return tuple(_opened(uuid) for uuid in uuids)


def values_of(identities: frozenset[str]) -> set[str]:
    """The SHA-256 of the values of those volumes that are in packs on this machine's disks.

    Packs behind URLs are not asked, but for those that this process has open.
    """
    try:
        uuids = [path.stem for path in (data_directory() / "packs").glob("*.json")]
    except OSError:
        return set()
    found: set[str] = set()
    for uuid in filter(_UUID.fullmatch, uuids):
        # A pack that is not there any more tells nothing.
        with contextlib.suppress(MrisslError):
            if uuid in _open or not is_url(_place_of(uuid)):
                entries = _opened(uuid).manifest.by_identity
                found |= {entries[identity].values for identity in identities & entries.keys()}
    return found


def facts_of_entry(entry: PackEntry) -> Facts:
    """What a run needs to know of a packed volume, from the manifest alone.

    Raises
    ------
    MrisslError
        If its affine is none.
    """
    from napari_mrissl.geometry.affines import as_affine, spacing

    first, second, third = (float(side) for side in spacing(as_affine(entry.matrix)))
    return Facts(
        identity=entry.identity,
        values=entry.values,
        nbytes=entry.nbytes,
        shape=entry.shape,
        spacing_mm=(first, second, third),
        ct=entry.ct,
        frames=entry.frames,
        disputed=entry.disputed,
    )


def _opened(uuid: str) -> Pack:
    if uuid not in _open:
        place = _place_of(uuid)
        pack = Pack.open(place if is_url(place) else Path(place))
        if pack.manifest.uuid != uuid:
            raise MrisslError(
                f"another pack lies where the pack {uuid[:12]} was", where="data", remedy=_REMEDY
            )
        _open[uuid] = pack
    return _open[uuid]


def _place_of(uuid: str) -> str:
    try:
        place = json.loads(_note(uuid).read_text("utf-8"))["place"]
        if not isinstance(place, str) or "\0" in place:
            raise ValueError
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise MrisslError(
            f"the pack {uuid[:12]} of this run is not known on this machine",
            where="data",
            remedy=_REMEDY,
        ) from error
    return place


def _note(uuid: str) -> Path:
    if not _UUID.fullmatch(uuid):
        raise MrisslError("not the uuid of a pack", expected="32 hexadecimal digits")
    return data_directory() / "packs" / f"{uuid}.json"
