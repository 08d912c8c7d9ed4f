"""`Pack`: a collection of packed volumes, in a folder or behind a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs.manifest import LARGEST_MANIFEST, MANIFEST, Manifest
from napari_mrissl.packs.packed_volume import PackedVolume
from napari_mrissl.packs.places import LocalPlace, Place, RemotePlace
from napari_mrissl.packs.shards import VOLUMES

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")


class Pack:
    """A pack that is open for reading; opening it reads its manifest alone.

    Attributes
    ----------
    place
        Where its files are read from.
    manifest
        What is in it.
    """

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self.place = place
        self.manifest = manifest

    @classmethod
    def open(cls, where: str | Path) -> Pack:
        """Open the pack in a folder, or behind a URL of fsspec.

        Raises
        ------
        MrisslError
            If there is none, it is of another version, its manifest is damaged, or a package
            that reads it is not installed.
        """
        _check_codecs()
        place = place_of(where)
        content = place.read(MANIFEST, LARGEST_MANIFEST)
        return cls(place, Manifest.parse(content, f"{place.name}, {MANIFEST}"))

    def volume(self, identity: str) -> PackedVolume | None:
        """The volume of this identity, none of whose voxels are read yet; None where it is not.

        Raises
        ------
        MrisslError
            If it cannot be one, see `PackedVolume`.
        """
        entry = self.manifest.by_identity.get(identity)
        return None if entry is None else PackedVolume(entry, self.place)


def is_url(where: str | Path) -> bool:
    """Whether a text is a URL rather than a path."""
    return isinstance(where, str) and _URL.match(where) is not None


def is_pack(where: str | Path) -> bool:
    """Whether there is a pack, or meant to be: a URL, or a folder with its manifest and volumes."""
    if is_url(where):
        return True
    folder = str(where)
    return all(
        exists(os.path.join(folder, name))
        for exists, name in ((os.path.isfile, MANIFEST), (os.path.isdir, VOLUMES))
    )


def place_of(where: str | Path) -> Place:
    """The place that a folder's path or a URL names.

    Raises
    ------
    MrisslError
        If the URL is none that can be opened here.
    """
    if is_url(where):
        return RemotePlace(str(where))
    return LocalPlace(Path(where).absolute())


def _check_codecs() -> None:
    try:
        import google_crc32c  # noqa: F401
        import numcodecs  # noqa: F401
    except ImportError as error:
        raise MrisslError(
            "zarr is not installed", remedy='run: pip install "napari-mrissl[train]"'
        ) from error
