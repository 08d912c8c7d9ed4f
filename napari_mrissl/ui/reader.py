"""napari's reader: scans and label maps as layers, by drag and drop or File > Open.

napari calls a reader on its own thread of the window; a progress bar in its activity dock
keeps the window painted meanwhile. Errors reach the user as one notification each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mrissl.errors import printable
from napari_mrissl.ui.layers import image_layer, labels_layer, prepare_viewer

if TYPE_CHECKING:
    from napari_mrissl.volumes.volume import Volume

LayerData = tuple[Any, dict[str, Any], str]

_SUFFIXES = (
    *(".nii", ".nii.gz", ".hdr", ".img", ".mgh", ".mgz"),
    *(".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"),
)
_LABEL_INTENT = 1002
_SAME_AS_NEIGHBOUR = 0.75


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """The reader of a path or several, or None if one of them is no scan by its name.

    A folder counts when a file in it starts like DICOM.
    """
    paths = [path] if isinstance(path, str) else list(path)
    if not paths or not all(_looks_like_scan(Path(p)) for p in paths):
        return None
    return read_layers


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read one path or several into Image and Labels layers in world mm.

    Raises
    ------
    ScanError
        If a file is damaged or no 3-D scan; one sentence.
    """
    from napari import current_viewer

    from napari_mrissl.ui.session import keep

    viewer = current_viewer()
    if viewer is not None:
        prepare_viewer(viewer)
        keep(viewer)
    return [_read(Path(p)) for p in ([path] if isinstance(path, str) else path)]


def is_label_map(volume: Volume) -> bool:
    """Whether a scan is shown as labels.

    The rule: whole numbers >= 0 without scaling (some tools store them as floats) and
    either a NIfTI intent that says label (1002), or, along some axis, at least three
    quarters of the non-zero voxels equal to their next neighbour. Label maps and masks
    are like that, intensities are not.
    """
    if (volume.slope, volume.intercept) != (1.0, 0.0) or not _whole_numbers(volume.data):
        return False
    forms = volume.stored.forms
    if forms is not None and forms.intent_code == _LABEL_INTENT:
        return True
    shares = (_share_like_neighbour(volume.data, axis) for axis in range(3))
    return any(share >= _SAME_AS_NEIGHBOUR for share in shares)


def _whole_numbers(voxels: np.ndarray) -> bool:
    if voxels.dtype.kind == "u":
        return True
    # A few voxels tell most images from labels; the rest is looked at only then.
    for part in (voxels[::8, ::8, ::8], voxels):
        if part.min() < 0 or part.max() > np.iinfo(np.int32).max:
            return False
        if not np.array_equal(part, np.rint(part)):
            return False
    return True


def _share_like_neighbour(voxels: np.ndarray, axis: int) -> float:
    along = np.moveaxis(voxels, axis, 0)
    inside = along[:-1] != 0
    count = int(inside.sum())
    return int((inside & (along[:-1] == along[1:])).sum()) / count if count else 0.0


def _read(path: Path) -> LayerData:
    from napari.utils import progress
    from napari.utils.notifications import show_info, show_warning

    from napari_mrissl import volumes

    with progress(total=100, desc=printable(f"Reading {path.name}")) as bar:

        def report(share: float) -> None:
            bar.update(max(0, round(100 * share) - bar.n))

        volume = volumes.read(path, progress=report)
    for note in volume.notes:
        said = printable(f"{volume.name}: {note}")
        (show_warning if note in volume.disagreements else show_info)(said)
    threading.Thread(target=_remember, args=(volume, path), daemon=True).start()
    if is_label_map(volume):
        whole = volume.data if volume.data.dtype.kind in "ui" else volume.data.astype(np.int32)
        data, settings = labels_layer(volume, whole, volume.name)
        return data, settings, "labels"
    data, settings = image_layer(volume)
    return data, settings, "image"


def _remember(volume: Volume, path: Path) -> None:
    """Let flights find their scan again; hashing takes a while, so not in the window's thread."""
    from napari_mrissl.trajectories import scan_index

    scan_index.remember(volume.identity, path)


def _looks_like_scan(path: Path) -> bool:
    if not path.is_dir():
        return path.name.lower().endswith(_SUFFIXES)
    for member in sorted(path.iterdir()):
        if member.is_file():
            with member.open("rb") as file:
                if file.read(132)[128:] == b"DICM":
                    return True
    return False
