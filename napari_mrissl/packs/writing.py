"""`PackWriter`: volumes become shards, each whole or not at all, and the manifest comes last."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs import shards
from napari_mrissl.packs.checking import ATTRIBUTES, attributes_of, check_metadata, metadata_of
from napari_mrissl.packs.manifest import MANIFEST, Manifest, PackEntry
from napari_mrissl.packs.pack import Pack
from napari_mrissl.packs.packed_volume import PackedVolume
from napari_mrissl.packs.places import LocalPlace
from napari_mrissl.volumes.atomic import sync_folder, write_atomically
from napari_mrissl.volumes.errors import WriteError
from napari_mrissl.volumes.volume import Volume

_UNFINISHED = ".mrissl-*.unfinished"


class PackWriter:
    """Adds volumes to a pack in a local folder; one writer at a time, several of its threads.

    A volume is written beside the others and renamed into place when it is on disk, with all
    that the manifest will say of its voxels in its ``zarr.json``. So whatever a killed writer
    completed is found by the next one, which has to write the manifest only.

    Parameters
    ----------
    folder
        A pack, an empty folder, or one that is made.

    Raises
    ------
    MrisslError
        If the folder is something else, or holds a pack that cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._place = LocalPlace(folder)
        self._alone = threading.Lock()
        self._written: dict[str, PackEntry] = {}
        if (folder / MANIFEST).exists():
            self.manifest = Pack.open(folder).manifest
        else:
            _check_empty(folder)
            self.manifest = Manifest(uuid.uuid4().hex)
        try:
            (folder / shards.VOLUMES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(folder, error) from error
        for left in folder.glob(_UNFINISHED):
            shutil.rmtree(left, ignore_errors=True)

    def stored(self, identity: str, name: str, subject: str) -> PackEntry | None:
        """What is in the pack of a volume already; None where it is not, or not whole.

        The shard of one that the manifest does not know yet is read and checked.
        """
        with self._alone:
            written = self._written.get(identity)
        if written is not None:
            return written
        known = self.manifest.by_identity.get(identity)
        try:
            if known is None:
                return self._recovered(identity, name, subject)
            size = self._place.size(shards.shard_of(identity))
            return known if size == known.bytes else None
        except MrisslError:
            return None

    def write(self, volume: Volume, facts: dict[str, Any]) -> PackEntry:
        """Write one volume, and read it back; of threads that write the same the first counts.

        Parameters
        ----------
        volume
            The scan or label map.
        facts
            Fields of its entry that do not follow from the volume.

        Raises
        ------
        MrisslError
            If the disk refuses, zarr is not installed, or what was written is not what is read.
        """
        temporary = self.folder / f".mrissl-{secrets.token_hex(8)}.unfinished"
        target = self.folder / shards.folder_of(volume.identity)
        try:
            written = temporary / shards.folder_of(volume.identity)
            entry = _written(written, volume, facts)
            _check_same(PackedVolume(entry, LocalPlace(temporary)), volume)
            target.parent.mkdir(exist_ok=True)
            with self._alone:
                if volume.identity in self._written:
                    return self._written[volume.identity]
                if target.exists():
                    # It was found to be damaged.
                    target.rename(temporary / "replaced")
                written.rename(target)
                self._written[volume.identity] = entry
            sync_folder(target.parent)
        except OSError as error:
            raise _refused(self.folder, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return entry

    def commit(self, entries: Sequence[PackEntry]) -> Manifest:
        """Write the manifest: from now on these are what the pack holds.

        Raises
        ------
        MrisslError
            If the disk refuses, or they contradict each other.
        """
        made = Manifest(self.manifest.uuid, tuple(entries))
        content = made.dump()
        self.manifest = Manifest.parse(content, MANIFEST)

        def write(file: BinaryIO) -> None:
            file.write(content)

        write_atomically(self.folder / MANIFEST, write)
        return self.manifest

    def _recovered(self, identity: str, name: str, subject: str) -> PackEntry | None:
        said = metadata_of(identity, self._place)
        try:
            facts = dict(said["attributes"][ATTRIBUTES])
            del facts["axes"]
            entry = PackEntry.model_validate(
                {**facts, "name": name, "subject": subject}, strict=False
            )
        except (KeyError, TypeError, ValueError):
            return None
        check_metadata(entry, said)
        if entry.identity != identity:
            return None
        # Reading all of it compares the checksums.
        return entry if PackedVolume(entry, self._place).data.size else None


def _written(folder: Path, volume: Volume, facts: dict[str, Any]) -> PackEntry:
    try:
        import zarr
        from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
    except ModuleNotFoundError as error:
        raise MrisslError(
            "zarr is not installed", remedy='run: pip install "napari-mrissl[train]"'
        ) from error
    folder.mkdir(parents=True)
    grid = shards.grid_of(volume.shape)
    size = volume.data.dtype.itemsize
    array = zarr.create_array(
        str(folder),
        shape=volume.shape,
        shards=tuple(shards.SIDE * count for count in grid),
        chunks=(shards.SIDE,) * 3,
        dtype=volume.data.dtype.newbyteorder("<"),
        serializer=BytesCodec(endian="little") if size > 1 else BytesCodec(endian=None),
        compressors=[
            BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=size),
            Crc32cCodec(),
        ],
        chunk_key_encoding={"name": "default", "separator": "."},
        fill_value=0,
        dimension_names=shards.DIMENSIONS,
        zarr_format=3,
        # A chunk of zeros takes 150 bytes; without it a shard of zeros would be no file.
        config={"write_empty_chunks": True},
    )
    array[...] = volume.data
    shard = folder / shards.SHARD
    said = {
        "identity": volume.identity,
        "shape": volume.shape,
        "dtype": volume.data.dtype.name,
        "affine": tuple(map(tuple, volume.affine[:3].tolist())),
        "slope": float(volume.slope),
        "intercept": float(volume.intercept),
        "window": volume.value_range(),
        "bytes": shard.stat().st_size,
        "sha256": _sha256(shard),
    }
    entry = PackEntry.model_validate(said | facts)
    array.update_attributes(attributes_of(entry))
    for path in (shard, folder / shards.METADATA):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    sync_folder(folder)
    return entry


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_same(packed: PackedVolume, volume: Volume) -> None:
    read, written = (np.ascontiguousarray(one.data).view(np.uint8) for one in (packed, volume))
    if not np.array_equal(read, written) or packed.affine.tolist() != volume.affine.tolist():
        raise shards.damaged(packed.entry, "what was written is not what is read")


def _check_empty(folder: Path) -> None:
    """Refuse a folder that holds anything but the volumes of a pack that was not finished."""
    if folder.is_file():
        raise MrisslError("is a file", where=folder, expected="a folder for the pack")
    if not folder.is_dir():
        return
    ours = {shards.VOLUMES, *(path.name for path in folder.glob(_UNFINISHED))}
    if {path.name for path in folder.iterdir()} - ours:
        raise MrisslError(
            "holds something else than a pack", where=folder, expected="a new or empty folder"
        )


def _refused(folder: Path, error: OSError) -> WriteError:
    return WriteError(
        f"could not be written ({error.strerror or type(error).__name__})",
        where=folder,
        expected="a writable folder with enough space",
        remedy="choose another folder or free some space; what is complete stays",
    )
