"""What is said of a Dice: of which voxels it is, and against what."""

from __future__ import annotations

from collections.abc import Iterable

from napari_mrissl.ui.finetuning.work import LABELLED, Measured

TIP = (
    "Against the scan's label layer; no test where that was learned. *: only where it is not 0. "
    "†: that is an accepted result of an earlier network"
)
PARTIAL = "* Dice of labelled voxels only: wrong labels elsewhere do not count."
NOT_LABELLED = "Not measured: no voxel of this scan is labelled so"

_AGREEMENT = (
    "† Dice against an accepted result: how far this network agrees with the one that made it."
)
_NO_TEST = " That holds for a held-out scan too, which is no test then."
_ORIGINS = {
    "labels": "",
    "accepted result": ", against an accepted result of an earlier network",
    "corrected result": ", against a corrected result of an earlier network",
}


def marked(found: Measured | None, score: float | None) -> str:
    """A Dice with what is to be said of it; a dash where others of the scan may have one."""
    if found is None or found.dice_against is None:
        return ""
    if score is None:
        return "–"
    partial = "*" if found.dice_of == LABELLED else ""
    return f"{score:.3f}{partial}{'†' * (found.dice_against == 'accepted result')}"


def of_what(found: Measured | None) -> str:
    """What the mean of a scan is of, in words."""
    if found is None:
        return ""
    if found.dice_against is None:
        return "No label layer to measure against"
    partial = f" that are labelled, of {LABELLED} only" if found.dice_of == LABELLED else ""
    return f"Mean over the classes{partial}{_ORIGINS[found.dice_against]}"


def agreement(found: Iterable[Measured]) -> str:
    """What is to be said where a Dice tells how far two networks agree; empty where none does."""
    against = [one for one in found if one.dice and one.dice_against == "accepted result"]
    if not against:
        return ""
    return _AGREEMENT + (_NO_TEST if any(one.part == "held out" for one in against) else "")
