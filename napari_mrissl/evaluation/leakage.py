"""Nothing is measured on scans, or subjects, that something was trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.labelled_scans import LabelledScan
from napari_mrissl.networks.weight_library import DEFAULT, names, weights_named
from napari_mrissl.networks.weights import read_card
from napari_mrissl.training import card
from napari_mrissl.training.data.facts import facts_of
from napari_mrissl.trajectories.scan_index import locate


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


def trained_on(place: str | Path) -> frozenset[str]:
    """What tells the scans and label maps that weights saw: identities, and values of those here.

    Of a run, or a file in its folder, those it was trained on, held-out ones too, and those
    that the weights it began from saw; of another file, or weights with a name, those that their
    card lists. A copy of a scan that was saved with another header has another identity, but the
    same values; they are looked at where this machine knows the scan. Weights whose card says
    nothing, such as those of others, give nothing.

    Raises
    ------
    MrisslError
        If the run's settings, or the weights, cannot be read.
    """
    identities = card.seen_in(_file(place))
    values = set()
    for identity in identities:
        path = locate(identity)
        # What cannot be read any more is told by its identity alone.
        with contextlib.suppress(MrisslError):
            if path is not None and (facts := facts_of(path)).identity == identity:
                values.add(facts.values)
    return frozenset(identities | values)


def silent(place: str | Path) -> bool:
    """Whether weights do not say what they were trained on: then nothing can be refused.

    Raises
    ------
    MrisslError
        If the run's settings, or the weights, cannot be read.
    """
    path = _file(place)
    if not path.is_file():
        return False
    return card.run_above(path) is None and not card.says(read_card(path))


def _file(place: str | Path) -> Path:
    """The file of weights with a name; any other place as it is."""
    if isinstance(place, str) and (place == DEFAULT or place in names()):
        return weights_named(place).path
    return Path(place)


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
