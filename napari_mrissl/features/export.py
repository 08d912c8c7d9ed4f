"""Features as a zarr store that other programs read, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Progress
from napari_mrissl.features.source import FeatureStack, source_for
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.atomic import sync_folder

SUFFIX = ".zarr"

ARRAY = "0"
"""Name of the array in the store, as in OME-Zarr."""

_CHUNK = (32, 64, 64)
_AXES = ("z", "y", "x")


def write_features(
    path: str | Path,
    stack: FeatureStack,
    volume: Volume,
    dtype: Literal["float32", "float16"] = "float32",
    progress: Progress | None = None,
) -> None:
    """Write features with what is needed to use them: (C, S, A, R), zarr format 3.

    The attributes follow OME-Zarr 0.5 as far as that can say it (axes, spacing), and
    ``mrissl`` adds the affine from index (s, a, r) to RAS mm, the names of the channels, what
    computed them, and the identities of scan and weights. No path or name of a scan is in it.

    Parameters
    ----------
    path
        A folder that is not there yet, by convention ending in ``.zarr``.
    stack
        The features.
    volume
        The scan they belong to.
    dtype
        In which to write.
    progress
        Told how far it is.

    Raises
    ------
    MrisslError
        If the folder is there, the disk refuses, the features are of another scan, or zarr is
        not installed.
    """
    path = Path(path)
    if stack.identity != volume.identity:
        raise MrisslError("these features belong to another scan", where=volume.name)
    if path.exists() or path.is_symlink():
        raise MrisslError("is there already", where=path, remedy="give another name")
    unfinished = path.with_name(f".mrissl-{volume.identity[:8]}-{path.name[:80]}.unfinished")
    try:
        _write(unfinished, stack, volume, dtype, progress)
        unfinished.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise MrisslError(
            f"could not be written ({error.strerror or type(error).__name__})",
            where=path,
            remedy="choose another folder or free some space",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(
    folder: Path, stack: FeatureStack, volume: Volume, dtype: str, progress: Progress | None
) -> None:
    try:
        import zarr
    except ModuleNotFoundError as error:
        raise MrisslError(
            "zarr is not installed", remedy='run: pip install "napari-mrissl[train]"'
        ) from error
    shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
    channels, slices = stack.data.shape[:2]
    group = zarr.create_group(
        str(folder), zarr_format=3, attributes=_attributes(stack, volume, dtype)
    )
    # All channels of a place together: one is rarely wanted without the others.
    chunk = (channels, *(min(c, n) for c, n in zip(_CHUNK, volume.shape, strict=True)))
    array = group.create_array(
        ARRAY,
        shape=stack.data.shape,
        chunks=chunk,
        dtype=dtype,
        dimension_names=("c", *_AXES),
    )
    step = chunk[1]
    for first in range(0, slices, step):
        array[:, first : first + step] = np.asarray(stack.data[:, first : first + step], dtype)
        if progress is not None:
            progress(min(first + step, slices) / slices, "writing")


def _attributes(stack: FeatureStack, volume: Volume, dtype: str) -> dict[str, Any]:
    settings = source_for(stack.settings).settings.model_dump(mode="json")
    return {
        "ome": {
            "version": "0.5",
            "multiscales": [
                {
                    "axes": [
                        {"name": "c", "type": "channel"},
                        *({"name": n, "type": "space", "unit": "millimeter"} for n in _AXES),
                    ],
                    "datasets": [
                        {
                            "path": ARRAY,
                            "coordinateTransformations": [
                                {"type": "scale", "scale": [1.0, *map(float, volume.spacing)]}
                            ],
                        }
                    ],
                }
            ],
        },
        "mrissl": {
            "software": f"napari-mrissl {__version__}",
            "axes": "C, S, A, R",
            "affine": volume.affine.tolist(),
            "scan": volume.identity,
            "channels": list(stack.names),
            "features": settings,
            "dtype": dtype,
        },
    }
