"""Nothing is measured on scans, or subjects, that something was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.labelled_scans import LabelledScan


class Trained(Protocol):
    """Something that may have been trained on scans.

    Attributes
    ----------
    name
        For people.
    known
        What tells its scans: identities, and SHA-256 of values; empty where nothing is known.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def known(self) -> frozenset[str]: ...  # noqa: D102


def refuse_overlap(sources: Iterable[Trained], tested: Sequence[LabelledScan]) -> None:
    """Let nothing be measured on what it was trained on, or on other scans of those subjects.

    Raises
    ------
    MrisslError
        If a source knows one of a test subject's scans, or a copy of it.
    """
    for source in sources:
        both = sum(bool(({scan.identity} | scan.own) & source.known) for scan in tested)
        if both:
            raise MrisslError(
                f"was pretrained on {both} of the {len(tested)} test scans",
                where=source.name,
                expected="weights that never saw them",
                remedy="choose other weights, or another seed",
            )
