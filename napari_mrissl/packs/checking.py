"""`check`: whether every volume of a pack is as it was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import shards
from napari_mrissl.packs.manifest import PackEntry
from napari_mrissl.packs.pack import Pack
from napari_mrissl.packs.packed_volume import PackedVolume
from napari_mrissl.packs.places import Place
from napari_mrissl.volumes.volume import identity_of

ATTRIBUTES = "mrissl"
"""Name of our part of an array's attributes."""

OF_THE_MANIFEST = {"name", "subject", "role", "split", "labels"}
"""Fields of an entry that are no matter of the voxels, and may change when others are added."""


@dataclass(frozen=True)
class Checked:
    """What was found.

    Attributes
    ----------
    volumes, bytes
        How many were looked at, and how much of their shards was read.
    faults
        A sentence for each volume that is not as it was written.
    """

    volumes: int
    bytes: int
    faults: tuple[str, ...] = ()


def check(pack: Pack, progress: Callable[[float], object] | None = None) -> Checked:
    """Read all of a pack: checksums of shards and chunks, identities, and what zarr is told.

    The manifest was checked when the pack was opened. Volumes are read one after the other.
    """
    faults: list[str] = []
    read = 0
    entries = pack.manifest.entries
    for number, entry in enumerate(entries, 1):
        try:
            check_volume(entry, pack.place)
            read += entry.bytes
        except MrisslError as error:
            faults.append(str(error))
        if progress is not None:
            progress(number / len(entries))
    return Checked(len(entries), read, tuple(faults))


def check_volume(entry: PackEntry, place: Place) -> None:
    """Refuse a volume that is not as the manifest says.

    Raises
    ------
    MrisslError
        If a file is missing, has another size, fails a checksum, or holds other voxels, or if
        ``zarr.json`` says something else than the manifest.
    """
    size = place.size(shards.shard_of(entry.identity))
    if size != entry.bytes:
        raise shards.damaged(entry, f"the shard has {size} bytes, not {entry.bytes}")
    check_metadata(entry, metadata_of(entry.identity, place))
    volume = PackedVolume(entry, place)
    if identity_of(volume.data, volume.affine) != entry.identity:
        raise shards.damaged(entry, "its voxels are not those of its identity")


def metadata_of(identity: str, place: Place) -> Any:
    """What ``zarr.json`` of a volume says, as plain data; None where it is no JSON.

    Raises
    ------
    MrisslError
        If it cannot be read or is too large.
    """
    file = f"{shards.folder_of(identity)}/{shards.METADATA}"
    try:
        return json.loads(place.read(file, shards.LARGEST_METADATA))
    except (ValueError, RecursionError) as error:
        if isinstance(error, MrisslError):
            raise
        return None


def check_metadata(entry: PackEntry, said: Any) -> None:
    """Refuse metadata by which another program would read something else than ours.

    Raises
    ------
    MrisslError
        If it is so.
    """
    if not isinstance(said, dict):
        raise shards.damaged(entry, f"{shards.METADATA} is not JSON")
    expected = shards.expected_metadata(entry)
    expected["attributes"] = attributes_of(entry)
    for name, value in expected.items():
        if said.get(name) != value:
            raise shards.damaged(entry, f"{shards.METADATA} says another {name}")
    if said.keys() != expected.keys():
        raise shards.damaged(entry, f"{shards.METADATA} says more than it should")


def attributes_of(entry: PackEntry) -> dict[str, Any]:
    """What an array says of itself: the geometry, the scaling, and its checksums."""
    facts = entry.model_dump(mode="json", exclude=OF_THE_MANIFEST)
    return {ATTRIBUTES: {"axes": "S, A, R", **facts}}
