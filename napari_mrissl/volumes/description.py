"""`describe`: what a scan's file says, as plain data."""

from __future__ import annotations

from napari_mrissl.volumes.volume import Volume


def describe(volume: Volume) -> dict[str, object]:
    """Everything about a scan as stored, JSON-ready and without any path.

    Returns
    -------
    dict
        ``shape``, ``spacing_mm``, ``orientation`` (axis codes), ``affine`` (stored index
        to RAS mm), ``dtype``, ``frames``, ``identity``, ``sha256`` (of the file; None for
        a folder), ``notes`` and ``disagreements`` (those of the notes by which another
        program puts the scan elsewhere).
    """
    stored = volume.stored
    return {
        "shape": list(stored.shape),
        "spacing_mm": stored.spacing.tolist(),
        "orientation": stored.orientation,
        "affine": stored.affine.tolist(),
        "dtype": volume.data.dtype.name,
        "frames": volume.frames,
        "identity": volume.identity,
        "sha256": volume.file_sha256,
        "notes": list(volume.notes),
        "disagreements": list(volume.disagreements),
    }
