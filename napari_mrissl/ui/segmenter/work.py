"""What the panel's background jobs do: plain functions of a `Control`, no Qt, no layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Estimate, FeatureStack, cached, estimate
from napari_mrissl.features.apart import compute_apart
from napari_mrissl.features.settings import remarks_on
from napari_mrissl.geometry import apply_affine
from napari_mrissl.segmentation import (
    InstantSegmenter,
    Segmentation,
    SegmentSettings,
    read_prompts,
    replay,
    write_prompts,
)
from napari_mrissl.segmentation.prompts import PromptClass, Prompts, labelled_voxels
from napari_mrissl.ui.segmenter.journal import Unfinished, find_unfinished
from napari_mrissl.ui.segmenter.planes import Plane
from napari_mrissl.ui.segmenter.state import PromptSnapshot
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.ui.jobs import Control

PredictedPlanes = list[tuple[Plane, NDArray[np.uint8]]]


class Opened(NamedTuple):
    """What is known of a scan once its voxels were read.

    Attributes
    ----------
    identity
        Of the volume.
    stack
        Its features, when they are cached.
    needed
        What computing them would take; None if they cannot be computed.
    unfinished
        Prompts an earlier session left.
    problem
        Why they cannot, in a sentence.
    remarks
        Sentences to read before trusting these features of this scan.
    """

    identity: str
    stack: FeatureStack | None
    needed: Estimate | None
    unfinished: Unfinished | None
    problem: str = ""
    remarks: tuple[str, ...] = ()


class Segmented(NamedTuple):
    """A whole result.

    Attributes
    ----------
    result
        Of all voxels.
    labels
        Of the classes that had a prompt inside the scan: one per probability channel.
    outside
        How many prompts lay outside the scan and were left out.
    """

    result: Segmentation
    labels: tuple[int, ...]
    outside: int


def open_scan(volume: Volume, settings: SegmentSettings, control: Control) -> Opened:
    """Identify a scan and look for its features and left-over prompts."""
    control.progress(0.0, "Reading the scan")
    identity = volume.identity
    unfinished = find_unfinished(identity)
    try:
        stack, needed = cached(volume, settings.features), estimate(volume, settings.features)
        remarks = remarks_on(volume, settings.features)
    except MrisslError as error:
        # Weights that are gone are no reason to lose marks: the journal is kept all the same.
        return Opened(identity, None, None, unfinished, str(error))
    return Opened(identity, stack, needed, unfinished, remarks=remarks)


def compute_features(volume: Volume, settings: SegmentSettings, control: Control) -> FeatureStack:
    """Features from the cache, or computed into it; cancelled, nothing is left.

    A network's are computed in a process of their own: torch never enters the viewer's.
    """
    return compute_apart(volume, settings.features, control.progress, control.cancelled)


def segment_view_first(
    kept: dict[SegmentSettings, InstantSegmenter],
    volume: Volume,
    stack: FeatureStack,
    settings: SegmentSettings,
    marked: PromptSnapshot,
    planes: list[Plane],
    control: Control,
) -> Segmented:
    """Fit, send the first plane, then the others in view, and return the whole volume.

    The segmenter is kept for the next click: it looks at a sample of all features first.
    """
    segmenter = kept.get(settings)
    if segmenter is None or segmenter.stack is not stack:
        kept.clear()
        kept[settings] = segmenter = InstantSegmenter(volume, stack, settings)
    prompts = marked.prompts(stack.identity)
    segmenter.fit(prompts)
    for group in (planes[:1], planes[1:]):
        if control.cancelled():
            break
        if group:
            control.send([(p, segmenter.predict_plane(p.affine, p.shape)) for p in group])
    result = segmenter.predict_volume(control.progress, control.cancelled)
    marked_voxels = labelled_voxels(volume, prompts)
    labels = np.unique(marked_voxels.labels)
    return Segmented(result, tuple(labels.tolist()), marked_voxels.outside)


def replay_record(volume: Volume, record: Mapping[str, Any], control: Control) -> Segmentation:
    """Make a result again from what its layer's metadata say."""
    return replay(volume, record, control.progress, control.cancelled)


def save_labels(
    path: Path,
    labels: NDArray[Any],
    volume: Volume,
    classes: tuple[PromptClass, ...],
    overwrite: bool,
    control: Control,
) -> Path:
    """Write labels on the scan's stored grid, never over the scan's own file."""
    from napari_mrissl.volumes import write_labels

    control.progress(0.0, f"Writing {path.name}")
    refuse_source(path, volume)
    names = {one.label: one.name for one in classes}
    return Path(write_labels(path, labels, volume, overwrite=overwrite, names=names))


def refuse_source(path: Path, volume: Volume) -> None:
    """Refuse to write where the scan itself was read from.

    Raises
    ------
    MrisslError
        If the path is the scan's own file.
    """
    from napari_mrissl.trajectories.scan_index import locate

    source = locate(volume.identity)
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise MrisslError(
            "this is the scan itself", where=path, remedy="choose another name for the labels"
        )


def save_prompts(path: Path, marked: PromptSnapshot, control: Control) -> Path:
    """Write prompts as CSV or JSON, by suffix."""
    control.progress(0.0, f"Writing {path.name}")
    write_prompts(path, marked.prompts(marked.volume.identity))
    return path


def load_prompts(path: Path, volume: Volume, control: Control) -> tuple[Prompts, str]:
    """Read prompts, and say if they were placed on another scan or lie outside this one."""
    control.progress(0.0, f"Reading {path.name}")
    prompts = read_prompts(path)
    remark = ""
    if prompts.volume_identity not in (None, volume.identity):
        remark = " They were placed on another scan."
    index = apply_affine(volume.to_index, prompts.positions)
    inside = ((index > -0.5) & (index < np.array(volume.shape) - 0.5)).all(axis=1)
    if not inside.all():
        remark += f" {int((~inside).sum())} of them lie outside this scan."
    return prompts, remark
