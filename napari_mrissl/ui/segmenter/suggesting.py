"""What the job behind "Where to label next" does: a plain function of a `Control`, no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack, cached
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.segmentation import Prompts, SegmentSettings
from napari_mrissl.segmentation.several_scans import PromptedScan, beliefs
from napari_mrissl.segmentation.suggestions import Candidate, Place, Suggestion, suggest
from napari_mrissl.ui.segmenter.state import PromptSnapshot
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.ui.jobs import Control

_READING, _CLASSIFYING = 0.05, 0.85
"""Up to which part of all the work these are done."""


class OpenScan(NamedTuple):
    """A scan of the viewer in which something could be labelled.

    Attributes
    ----------
    read
        Gives the volume; called in the job.
    stack
        Its features, when they are in memory already.
    marked
        What is marked in it; None for nothing that counts.
    """

    read: Callable[[], Volume]
    stack: FeatureStack | None = None
    marked: PromptSnapshot | None = None


class Found(NamedTuple):
    """Where to label next.

    Attributes
    ----------
    suggestion
        None where nothing is uncertain but what was skipped.
    scan
        Its place among the scans that were asked about; -1 without a suggestion.
    looked_at
        How many scans were compared.
    left_out
        How many were not: they have no features yet, or cannot be read.
    """

    suggestion: Suggestion | None
    scan: int
    looked_at: int
    left_out: int


def suggest_next(
    asked: Sequence[OpenScan], settings: SegmentSettings, skipped: Sequence[Place], control: Control
) -> Found:
    """Learn from the marks of all scans that have features, and find the next place to mark.

    Features are never computed here: a scan without any is left out. A scan that is open
    twice is looked at once.

    Raises
    ------
    Cancelled
        If the job was cancelled.
    MrisslError
        If fewer than two classes are marked in the scans that have features.
    """
    scans, numbers, left_out = _with_features(asked, settings, control)

    def classified(part: float, text: str) -> None:
        control.progress(_READING + (_CLASSIFYING - _READING) * part, text)

    believed = beliefs(scans, settings.classifier, classified, control.cancelled)
    stop_if(control.cancelled)
    control.progress(_CLASSIFYING, "comparing places")
    candidates = [
        Candidate(scan.volume, scan.stack, belief.uncertainty, scan.prompts)
        for scan, belief in zip(scans, believed, strict=True)
    ]
    found = suggest(candidates, skipped)
    identities = [scan.volume.identity for scan in scans]
    number = -1 if found is None else numbers[identities.index(found.place.scan)]
    return Found(found, number, len(scans), left_out)


def _with_features(
    asked: Sequence[OpenScan], settings: SegmentSettings, control: Control
) -> tuple[list[PromptedScan], list[int], int]:
    """Those that have features, their numbers among all, and how many others there are."""
    scans: list[PromptedScan] = []
    numbers: list[int] = []
    left_out = 0
    for number, one in enumerate(asked):
        stop_if(control.cancelled)
        control.progress(_READING * number / len(asked), "reading scans")
        try:
            volume = one.read()
        except MrisslError:
            # Its own panel entry says why; here it is counted, and the user is told.
            left_out += 1
            continue
        if any(volume.identity == scan.volume.identity for scan in scans):
            continue
        stack = one.stack if one.stack is not None else cached(volume, settings.features)
        if stack is None:
            left_out += 1
            continue
        identity = volume.identity
        prompts = one.marked.prompts(identity) if one.marked is not None else Prompts()
        scans.append(PromptedScan(volume, stack, prompts))
        numbers.append(number)
    return scans, numbers, left_out
