"""Classes that a file or an earlier session brings, and which of them are hidden."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.segmenter.presets import is_background

LOGGER = logging.getLogger(__name__)

Classes = tuple[PromptClass, ...]


def merged(brought: Classes, there: Classes) -> Classes:
    """The classes of a file and those there, by label.

    A file without names, as CSV is, says nothing of the classes: those there now stay.
    """
    named = {one.label: one for one in brought if not _nameless(one)}
    ours = {one.label: one for one in there}
    if named:
        used = {one.label for one in brought}
        ours = {label: one for label, one in ours.items() if label in used}
    unnamed = {one.label: one for one in brought if _nameless(one)}
    found = {**unnamed, **ours, **named}
    return tuple(found[label] for label in sorted(found))


def hidden_of(classes: Classes, there: Classes, hidden: set[int]) -> set[int]:
    """Classes that keep their name stay as the user has them; new backgrounds start hidden."""
    known = {(one.label, one.name) for one in there}
    return {
        one.label
        for one in classes
        if (one.label in hidden if (one.label, one.name) in known else is_background(one))
    }


def usable(kept: object) -> Classes | None:
    """The classes that an earlier session kept, or None if they cannot be used."""
    if not isinstance(kept, list) or not kept:
        return None
    try:
        classes = tuple(PromptClass.model_validate(one) for one in kept)
    except ValidationError as error:
        LOGGER.warning("kept classes cannot be read: %s", error)
        return None
    return classes if len({one.label for one in classes}) == len(classes) else None


def _nameless(one: PromptClass) -> bool:
    """Whether nobody named a class: it was made for a label that a file only mentions."""
    return one == PromptClass.default(one.label)
